/* swap-number: replaces the first numeral of the answer by a nearby one. Written as someone outside the tree would. */
#include <vj/plugin.h>
#include <string.h>

typedef struct { int64_t distance; } SwapNumber;

static const VjOption options[] = {
  VJ_OPTION_INT (SwapNumber, distance, "2", 1, 9, "", "Farthest the new number may lie from the old one."), VJ_OPTION_END};

static VjFlow
swap_number_tell (const void *self, VjRun *run, const VjQuestion *question, const char *response, const VjReplies *replies,
                  VjInjection *ret_injection, GError **error)
{
  const SwapNumber *opt = self;
  size_t at = strcspn (response, "0123456789");
  if (response[at] == '\0') {
    ret_injection->reason = g_strdup ("no numeral in the answer");
    return VJ_FLOW_SKIP;
  }
  char *end;
  guint64 number = g_ascii_strtoull (response + at, &end, 10) + 1 + vj_run_random (run, (uint32_t) opt->distance);
  ret_injection->text = g_strdup_printf ("%.*s%" G_GUINT64_FORMAT "%s", (int) at, response, number, end);
  ret_injection->kind = "number";
  return VJ_FLOW_OK;
}

VJ_DEFINE_INJECTOR (SwapNumber, swap_number_tell, NULL, .name = "swap-number", .version = "1.0", .license = "Apache-2.0",
                    .summary = "Replaces the first numeral of the answer by a nearby one.", .options = options)
