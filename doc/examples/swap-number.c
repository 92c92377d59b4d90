/* swap-number: makes an answer wrong by moving its first number a little. No model needed. */
#include <vj/plugin.h>

typedef struct {
  int64_t distance;
} SwapNumber;

static const VjOption options[] = {
  VJ_OPTION_INT (SwapNumber, distance, "2", 1, 9, "units", "Farthest the number may move, upwards."),
  VJ_OPTION_END
};

static VjFlow
swap_number_tell (const void *self, VjRun *run, const VjQuestion *question, const char *response,
                  const VjReplies *replies, VjInjection *ret_injection, GError **error)
{
  const SwapNumber *opt = self;
  int before = (int) strcspn (response, "0123456789");
  char *after;
  guint64 number = g_ascii_strtoull (response + before, &after, 10);
  (void) question, (void) replies, (void) error;
  if (!response[before]) {
    ret_injection->reason = g_strdup ("no number in the answer");
    return VJ_FLOW_SKIP;
  }
  guint64 other = number + 1 + vj_run_random (run, (uint32_t) opt->distance);
  ret_injection->text = g_strdup_printf ("%.*s%" G_GUINT64_FORMAT "%s", before, response, other, after);
  ret_injection->kind = "number";
  return VJ_FLOW_OK;
}

VJ_DEFINE_INJECTOR (SwapNumber, swap_number_tell, NULL, .name = "swap-number", .version = "1.0", .license = "Apache-2.0",
                    .summary = "Moves the first number of an answer.", .options = options)
