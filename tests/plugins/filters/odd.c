/* odd: a filter that breaks the contract of its verb, for tests of the host. Not installed. */
#include <vj/plugin.h>

enum { ODD_SILENT, ODD_VALUE, ODD_BOTH };
static const char *const ways[] = {"silent", "value", "both", NULL};

typedef struct {
  int64_t how;
} Odd;

/* An error without words; a value that is none; words without an error. */
static VjFlow
keep (void *self, VjRun *run, const VjTrace *trace, char **ret_reason, GError **error)
{
  const Odd *odd = self;
  (void) run, (void) trace, (void) ret_reason;
  if (odd->how == ODD_BOTH)
    vj_fail (error, VJ_EXIT_DATA, "odd: words without an error");
  return odd->how == ODD_SILENT ? VJ_FLOW_ERROR : odd->how == ODD_VALUE ? (VjFlow) 77 : VJ_FLOW_OK;
}

static const VjOption options[] = {VJ_OPTION_CHOICE (Odd, how, "silent", ways, "What is broken."), VJ_OPTION_END};

VJ_DEFINE_FILTER (Odd, keep, NULL, .name = "odd", .version = "1.0", .license = "Apache-2.0",
                  .summary = "Breaks its contract.", .options = options)
