/* balance: keeps as many traces that end in [[A]] as traces that end in [[B]] (Self-Taught
 * Evaluators, arXiv 2408.02666), so that the letter itself carries nothing; and, if asked, no
 * more than so many of each category. What goes is chosen by the run's stream. */
#include <vj/plugin.h>

#include <string.h>

typedef struct {
  int64_t max_per_category;
  double ratio;

  GPtrArray *seen;  /* of Seen, as observed */
  GHashTable *fate; /* trace id -> static reason, "" for kept; NULL until the first keep */
} Balance;

typedef struct {
  guint64 key; /* random: lowest keys stay, whatever order traces come in */
  VjVerdict verdict;
  char *id, *category;
} Seen;

static const VjOption options[] = {
  VJ_OPTION_REAL (Balance, ratio, "1", 1, 1000, "", "How many traces of the commoner verdict may stay for each of the rarer."),
  VJ_OPTION_INT (Balance, max_per_category, "0", 0, 1e9, "traces", "Most traces of one category; 0 means no limit."),
  VJ_OPTION_END
};

static void
seen_free (gpointer data)
{
  Seen *seen = data;
  g_free (seen->id);
  g_free (seen->category);
  g_free (seen);
}

static gboolean
balance_start (void *instance, VjRun *run, GError **error)
{
  Balance *self = instance;
  (void) run, (void) error;
  self->seen = g_ptr_array_new_with_free_func (seen_free);
  return TRUE;
}

static void
balance_stop (void *instance)
{
  Balance *self = instance;
  g_clear_pointer (&self->seen, g_ptr_array_unref);
  g_clear_pointer (&self->fate, g_hash_table_unref);
}

static VjFlow
balance_observe (void *instance, VjRun *run, const VjTrace *trace, GError **error)
{
  Balance *self = instance;
  Seen *seen = g_new0 (Seen, 1);
  (void) error;
  *seen = (Seen){.key = vj_run_seed (run), .verdict = trace->verdict, .id = g_strdup (trace->id),
                 .category = g_strdup (trace->question->category)};
  g_ptr_array_add (self->seen, seen);
  return VJ_FLOW_OK;
}

static int
by_key (gconstpointer a, gconstpointer b)
{
  const Seen *x = *(const Seen *const *) a, *y = *(const Seen *const *) b;
  return x->key < y->key ? -1 : x->key > y->key ? 1 : strcmp (x->id, y->id);
}

static void
set_fate (Balance *self, const Seen *seen, const char *reason)
{
  g_hash_table_insert (self->fate, seen->id, (gpointer) reason);
}

/* Caps categories first, then evens out the verdicts among what is left. */
static void
balance_decide (Balance *self)
{
  g_autoptr (GHashTable) counts = g_hash_table_new (g_str_hash, g_str_equal);
  guint total[3] = {0}, kept[3] = {0};
  self->fate = g_hash_table_new (g_str_hash, g_str_equal);
  g_ptr_array_sort (self->seen, by_key);
  for (guint i = 0; i < self->seen->len; i++) {
    const Seen *seen = g_ptr_array_index (self->seen, i);
    guint of_category = GPOINTER_TO_UINT (g_hash_table_lookup (counts, seen->category)) + 1;
    if (seen->verdict == VJ_VERDICT_UNPARSED)
      set_fate (self, seen, "unparsed verdict");
    else if (self->max_per_category && of_category > self->max_per_category)
      set_fate (self, seen, "enough of this category");
    else {
      g_hash_table_insert (counts, seen->category, GUINT_TO_POINTER (of_category));
      total[seen->verdict]++;
    }
  }
  double most = self->ratio * MIN (total[VJ_VERDICT_A], total[VJ_VERDICT_B]);
  for (guint i = 0; i < self->seen->len; i++) {
    const Seen *seen = g_ptr_array_index (self->seen, i);
    if (!g_hash_table_contains (self->fate, seen->id))
      set_fate (self, seen, ++kept[seen->verdict] > most ? "more of this verdict than of the other" : "");
  }
}

static VjFlow
balance_keep (void *instance, VjRun *run, const VjTrace *trace, char **ret_reason, GError **error)
{
  Balance *self = instance;
  (void) run;
  if (!self->fate)
    balance_decide (self);
  const char *reason = g_hash_table_lookup (self->fate, trace->id);
  if (!reason) {
    vj_fail (error, VJ_EXIT_BUG, "balance: '%s': kept without having been observed; report this", trace->id);
    return VJ_FLOW_ERROR;
  }
  if (!*reason)
    return VJ_FLOW_OK;
  *ret_reason = g_strdup (reason);
  return VJ_FLOW_SKIP;
}

VJ_DEFINE_FILTER (Balance, balance_keep, balance_observe,
                  .name = "balance", .version = "1.0", .license = "Apache-2.0",
                  .summary = "Keeps equal numbers of A and B verdicts.",
                  .options = options, .start = balance_start, .stop = balance_stop)
