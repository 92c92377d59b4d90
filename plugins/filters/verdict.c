/* verdict: keeps the traces that end in the right verdict (arXiv 2512.05145: keep only judgments
 * that agree with the construction). An unparsed verdict is never a tie and never a guess. */
#include <vj/plugin.h>

typedef struct {
  gboolean unused; /* an instance has at least one byte */
} Verdict;

static VjFlow
verdict_keep (void *self, VjRun *run, const VjTrace *trace, char **ret_reason, GError **error)
{
  (void) self, (void) run, (void) error;
  if (trace->verdict != VJ_VERDICT_UNPARSED && trace->right)
    return VJ_FLOW_OK;
  *ret_reason = g_strdup (trace->verdict == VJ_VERDICT_UNPARSED ? "unparsed verdict" : "wrong verdict");
  return VJ_FLOW_SKIP;
}

VJ_DEFINE_FILTER (Verdict, verdict_keep, NULL,
                  .name = "verdict", .version = "1.0", .license = "Apache-2.0",
                  .summary = "Keeps traces whose verdict agrees with how the pair was made.")
