/* both-orders: keeps a pair only when the judge was right with the better answer first and
 * with it second, so that a judge with a favourite position teaches nothing; if asked, only when
 * enough of an order's samples agree with the label (Self-Taught Evaluators, arXiv 2408.02666).
 * Of several right samples of one order it keeps one, chosen by the run's stream, or all. */
#include <vj/plugin.h>

#include <string.h>

enum { KEEP_ONE, KEEP_ALL };
static const char *const keeps[] = {"one", "all", NULL};

typedef struct {
  int64_t keep, at_least;
  double min_agreement;
  GHashTable *pairs; /* pair id -> Pair */
} BothOrders;

/* Per order, indexed by chosen_is_a. */
typedef struct {
  guint right[2];
  guint64 key[2]; /* of the pick: the largest random key, whatever order traces come in */
  char *pick[2];  /* trace id */
} Pair;

static const VjOption options[] = {
  VJ_OPTION_CHOICE (BothOrders, keep, "one", keeps, "Which right samples of an order stay: one chosen at random, or all."),
  VJ_OPTION_INT (BothOrders, at_least, "1", 1, 1000, "samples", "Samples of each order that must be right."),
  VJ_OPTION_REAL (BothOrders, min_agreement, "0", 0, 1, "",
                  "Least share of each order's samples that must be right, of all that were drawn: one that is unparsed, or that "
                  "an earlier filter dropped, does not agree."),
  VJ_OPTION_END
};

static void
pair_free (gpointer data)
{
  Pair *pair = data;
  g_free (pair->pick[0]);
  g_free (pair->pick[1]);
  g_free (pair);
}

static gboolean
both_orders_start (void *instance, VjRun *run, GError **error)
{
  BothOrders *self = instance;
  const VjRunPlan *plan = vj_run_plan (run);
  if (plan->orders == 1)
    return vj_fail (error, VJ_EXIT_RECIPE, "both-orders: the judge is asked in one order only (orders: one), so no trace would pass; "
                    "set the judge's orders: both, or leave the filter out");
  if (plan->samples > 0 && self->at_least > plan->samples)
    return vj_fail (error, VJ_EXIT_RECIPE, "both-orders: 'at_least': %" G_GINT64_FORMAT " right samples of each order are asked for, but "
                    "the judge gives %u (samples: %u), so no trace would pass; lower it, or raise the judge's samples", self->at_least,
                    plan->samples, plan->samples);
  self->pairs = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, pair_free);
  return TRUE;
}

static void
both_orders_stop (void *instance)
{
  BothOrders *self = instance;
  g_clear_pointer (&self->pairs, g_hash_table_unref);
}

static gboolean
is_right (const VjTrace *trace)
{
  return trace->verdict != VJ_VERDICT_UNPARSED && trace->right;
}

static VjFlow
both_orders_observe (void *instance, VjRun *run, const VjTrace *trace, GError **error)
{
  BothOrders *self = instance;
  Pair *pair = g_hash_table_lookup (self->pairs, trace->pair);
  guint order = trace->chosen_is_a ? 1 : 0;
  guint64 key = vj_run_seed (run);
  (void) error;
  if (!is_right (trace))
    return VJ_FLOW_OK;
  if (!pair)
    g_hash_table_insert (self->pairs, g_strdup (trace->pair), pair = g_new0 (Pair, 1));
  if (pair->right[order]++ == 0 || key > pair->key[order]) {
    g_free (pair->pick[order]);
    pair->pick[order] = g_strdup (trace->id);
    pair->key[order] = key;
  }
  return VJ_FLOW_OK;
}

/* Of the samples the host says were drawn; a host or test that does not say counts as if only these were. */
static gboolean
agrees (const BothOrders *self, const VjTrace *trace, guint right)
{
  guint drawn = MAX (trace->samples, right);
  /* Products, not quotients: 3 of 5 is 0.6 also where 3/5 rounds to less. */
  return right >= self->min_agreement * drawn - 1e-9;
}

static VjFlow
both_orders_keep (void *instance, VjRun *run, const VjTrace *trace, char **ret_reason, GError **error)
{
  BothOrders *self = instance;
  const Pair *pair = g_hash_table_lookup (self->pairs, trace->pair);
  guint need = (guint) self->at_least;
  const char *reason = NULL;
  (void) run, (void) error;
  if (!is_right (trace))
    reason = trace->verdict == VJ_VERDICT_UNPARSED ? "unparsed verdict" : "wrong verdict";
  else if (!pair || pair->right[0] < need || pair->right[1] < need)
    reason = "not right in both orders";
  else if (!agrees (self, trace, pair->right[0]) || !agrees (self, trace, pair->right[1]))
    reason = "too few samples agree with the label";
  else if (self->keep == KEEP_ONE && strcmp (trace->id, pair->pick[trace->chosen_is_a ? 1 : 0]) != 0)
    reason = "another sample of this order was kept";
  if (!reason)
    return VJ_FLOW_OK;
  *ret_reason = g_strdup (reason);
  return VJ_FLOW_SKIP;
}

VJ_DEFINE_FILTER (BothOrders, both_orders_keep, both_orders_observe,
                  .name = "both-orders", .version = "1.0", .license = "Apache-2.0",
                  .summary = "Keeps a pair only when the judge was right in both orders.",
                  .options = options, .start = both_orders_start, .stop = both_orders_stop)
