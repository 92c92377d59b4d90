/* balance: evens out what a judge could learn instead of judging. As many traces end in [[A]] as in
 * [[B]] (Self-Taught Evaluators, arXiv 2408.02666), so that the letter itself carries nothing; if
 * asked, the chosen answer is the longer one as often as the shorter one (the length control of
 * Meta-Rewarding, arXiv 2407.19594), and stands first as often as second. Each of these is evened
 * out by itself, not within the others. What goes is chosen by the run's stream. */
#include <vj/plugin.h>

#include <string.h>

/* Each has two sides, 0 and 1; NO_SIDE takes no part in it. */
enum { BY_VERDICT, BY_LENGTH, BY_POSITION, N_BY };
static const char *const bys[] = {"verdict", "length", "position", NULL};
#define NO_SIDE 2
#define N_CELLS (3 * 3 * 3) /* a side of each */

typedef struct {
  char **by;
  double ratio, length_margin;

  gboolean wanted[N_BY];
  GPtrArray *seen;  /* of Seen, as observed */
  GHashTable *fate; /* trace id -> static reason, "" for kept; NULL until the first keep */
} Balance;

typedef struct {
  guint64 key; /* random: lowest keys stay, whatever order traces come in */
  guint cell;  /* NO cell: N_CELLS, an unparsed verdict                   */
  char *id;
} Seen;

static const VjOption options[] = {
  VJ_OPTION_REAL (Balance, ratio, "1", 1, 1000, "", "How many traces of the commoner side may stay for each of the rarer."),
  VJ_OPTION_LIST (Balance, by, "verdict", bys,
                  "What is evened out, each by itself: the verdict; which answer is longer, the chosen or the rejected; which "
                  "of the two stands first."),
  VJ_OPTION_REAL (Balance, length_margin, "0", 0, 1, "",
                  "Answers count as equally long, and take no part in length, when they differ by at most this share of the longer."),
  VJ_OPTION_END
};

static void
seen_free (gpointer data)
{
  g_free (((Seen *) data)->id);
  g_free (data);
}

static gboolean
balance_start (void *instance, VjRun *run, GError **error)
{
  Balance *self = instance;
  (void) run;
  if (!self->by || !self->by[0])
    return vj_fail (error, VJ_EXIT_RECIPE, "balance: 'by': the list is empty; name at least one, or leave the filter out");
  for (guint by = 0; by < N_BY; by++)
    self->wanted[by] = g_strv_contains ((const char *const *) self->by, bys[by]);
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

/* 0: the chosen answer is longer, in characters; 1: it is shorter. */
static guint
length_side (const Balance *self, const VjTrace *trace)
{
  glong chosen = g_utf8_strlen (trace->chosen, -1), rejected = g_utf8_strlen (trace->rejected, -1);
  if (ABS (chosen - rejected) <= self->length_margin * MAX (chosen, rejected))
    return NO_SIDE;
  return chosen > rejected ? 0 : 1;
}

static guint
cell_of (const Balance *self, const VjTrace *trace)
{
  guint verdict = trace->verdict == VJ_VERDICT_A ? 0 : 1, position = trace->chosen_is_a ? 0 : 1;
  if (trace->verdict == VJ_VERDICT_UNPARSED)
    return N_CELLS;
  return (self->wanted[BY_VERDICT] ? verdict : NO_SIDE) + 3 * (self->wanted[BY_LENGTH] ? length_side (self, trace) : NO_SIDE)
         + 9 * (self->wanted[BY_POSITION] ? position : NO_SIDE);
}

static guint
side_of (guint cell, guint by)
{
  static const guint place[N_BY] = {1, 3, 9};
  return cell / place[by] % 3;
}

static VjFlow
balance_observe (void *instance, VjRun *run, const VjTrace *trace, GError **error)
{
  Balance *self = instance;
  Seen *seen = g_new (Seen, 1);
  (void) error;
  *seen = (Seen){.key = vj_run_seed (run), .cell = cell_of (self, trace), .id = g_strdup (trace->id)};
  g_ptr_array_add (self->seen, seen);
  return VJ_FLOW_OK;
}

static int
by_key (gconstpointer a, gconstpointer b)
{
  const Seen *x = *(const Seen *const *) a, *y = *(const Seen *const *) b;
  return x->key < y->key ? -1 : x->key > y->key ? 1 : strcmp (x->id, y->id);
}

/* -- what goes -------------------------------------------------------------------------- */

typedef struct {
  GPtrArray *cells[N_CELLS]; /* of Seen, by key; NULL: empty */
  guint count[N_BY][3];
} Stock;

/* The side of `by` that has too many; NO_SIDE: none. */
static guint
heavy_side (const Balance *self, const Stock *stock, guint by)
{
  guint first = stock->count[by][0], second = stock->count[by][1];
  if (first > self->ratio * second)
    return 0;
  return second > self->ratio * first ? 1 : NO_SIDE;
}

/* The cell whose last trace goes next: on too many heavy sides at once, then the fullest. N_CELLS: none has to go. */
static guint
next_cell (const Stock *stock, const guint heavy[N_BY])
{
  guint best = N_CELLS, best_heavy = 0, best_size = 0;
  for (guint cell = 0; cell < N_CELLS; cell++) {
    guint size = stock->cells[cell] ? stock->cells[cell]->len : 0, n = 0;
    for (guint by = 0; by < N_BY; by++)
      n += heavy[by] != NO_SIDE && side_of (cell, by) == heavy[by];
    if (size > 0 && n > 0 && (n > best_heavy || (n == best_heavy && size > best_size)))
      best = cell, best_heavy = n, best_size = size;
  }
  return best;
}

static const char *
why (const guint heavy[N_BY], guint cell)
{
  static const char *const reasons[N_BY][2] = {
    {"more of this verdict than of the other", "more of this verdict than of the other"},
    {"the chosen answer is the longer one too often", "the chosen answer is the shorter one too often"},
    {"the chosen answer stands first too often", "the chosen answer stands second too often"},
  };
  guint by = 0;
  while (heavy[by] == NO_SIDE || side_of (cell, by) != heavy[by])
    by++;
  return reasons[by][heavy[by]];
}

/* Takes traces from the heavy sides until none is heavy. Every round takes one, so it ends. */
static void
even_out (Balance *self, Stock *stock)
{
  for (;;) {
    guint heavy[N_BY];
    for (guint by = 0; by < N_BY; by++)
      heavy[by] = heavy_side (self, stock, by);
    guint cell = next_cell (stock, heavy);
    if (cell == N_CELLS)
      return;
    GPtrArray *traces = stock->cells[cell];
    const Seen *seen = traces->pdata[traces->len - 1];
    g_hash_table_insert (self->fate, seen->id, (gpointer) why (heavy, cell));
    g_ptr_array_set_size (traces, (int) traces->len - 1);
    for (guint by = 0; by < N_BY; by++)
      stock->count[by][side_of (cell, by)]--;
  }
}

static void
balance_decide (Balance *self)
{
  Stock stock = {0};
  self->fate = g_hash_table_new (g_str_hash, g_str_equal);
  g_ptr_array_sort (self->seen, by_key);
  for (guint i = 0; i < self->seen->len; i++) {
    Seen *seen = g_ptr_array_index (self->seen, i);
    g_hash_table_insert (self->fate, seen->id, (gpointer) (seen->cell == N_CELLS ? "unparsed verdict" : ""));
    if (seen->cell == N_CELLS)
      continue;
    if (!stock.cells[seen->cell])
      stock.cells[seen->cell] = g_ptr_array_new ();
    g_ptr_array_add (stock.cells[seen->cell], seen);
    for (guint by = 0; by < N_BY; by++)
      stock.count[by][side_of (seen->cell, by)]++;
  }
  even_out (self, &stock);
  for (guint cell = 0; cell < N_CELLS; cell++)
    g_clear_pointer (&stock.cells[cell], g_ptr_array_unref);
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
                  .summary = "Keeps equal numbers of A and B verdicts, and, if asked, of longer and shorter chosen answers.",
                  .options = options, .start = balance_start, .stop = balance_stop)
