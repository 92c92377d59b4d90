/* Stage `audit:shortcut`: how well the text alone tells chosen from rejected. Asks no model. */
#include "pipeline/audit.h"

#include <stdlib.h>

/* The pairs with all that they borrow. */
typedef struct {
  GPtrArray *stored;  /* of VjStored: pair, question, pair, question, ... */
  GPtrArray *kinds;   /* of char *                                        */
  GArray *pairs;      /* of VjShortcutPair                                */
  GHashTable *owners; /* image or prompt -> number of the first pair that has it */
} Set;

static void
set_init (Set *set)
{
  *set = (Set){.stored = g_ptr_array_new_with_free_func ((GDestroyNotify) vj_stored_free),
               .kinds = g_ptr_array_new_with_free_func (g_free),
               .pairs = g_array_new (FALSE, TRUE, sizeof (VjShortcutPair)),
               .owners = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL)};
}

static void
set_clear (Set *set)
{
  g_ptr_array_unref (set->stored);
  g_ptr_array_unref (set->kinds);
  g_array_unref (set->pairs);
  g_hash_table_unref (set->owners);
}

static VjShortcutPair *
pair_at (const Set *set, guint32 index)
{
  return &g_array_index (set->pairs, VjShortcutPair, index);
}

/* The first pair of this one's group; `group` leads there from pair to pair. */
static guint32
root_of (const Set *set, guint32 index)
{
  while (pair_at (set, index)->group != index) {
    pair_at (set, index)->group = pair_at (set, pair_at (set, index)->group)->group;
    index = pair_at (set, index)->group;
  }
  return index;
}

/* Pairs that have the same in common become one group. Takes `what`. */
static void
join (Set *set, char *what, guint32 index)
{
  gpointer owner = NULL;
  if (!g_hash_table_lookup_extended (set->owners, what, NULL, &owner)) {
    g_hash_table_insert (set->owners, what, GUINT_TO_POINTER (index));
    return;
  }
  g_free (what);
  guint32 one = root_of (set, GPOINTER_TO_UINT (owner)), other = root_of (set, index);
  pair_at (set, MAX (one, other))->group = MIN (one, other);
}

static gboolean
add_pair (Set *set, VjContext *context, const char *id, GError **error)
{
  VjStore *store = context->store;
  guint32 index = set->pairs->len;
  VjStored *pair = vj_load_stored (store, id, error);
  if (pair == NULL)
    return FALSE;
  g_ptr_array_add (set->stored, pair);
  VjStored *question = vj_load_stored (store, pair->record->parents[0], error);
  if (question == NULL)
    return FALSE;
  g_ptr_array_add (set->stored, question);
  g_ptr_array_add (set->kinds, vj_audit_kind (context->recipe, pair->record));
  VjShortcutPair row = {.question = vj_record_text (question->record, "prompt"),
                        .chosen = vj_record_text (pair->record, "chosen"),
                        .rejected = vj_record_text (pair->record, "rejected"),
                        .kind = set->kinds->pdata[index],
                        .group = index};
  g_array_append_val (set->pairs, row);
  gsize n_images = vj_record_n_images (question->record);
  for (gsize i = 0; i < n_images; i++)
    join (set, g_strdup (vj_record_image (question->record, i)), index);
  if (n_images == 0)
    join (set, vj_ngrams_normalize (row.question), index);
  return TRUE;
}

/* A group and its place in the deal. */
typedef struct {
  guint64 place;
  guint32 root;
} Group;

static int
by_place (gconstpointer a, gconstpointer b)
{
  const Group *x = a, *y = b;
  return x->place != y->place ? (x->place < y->place ? -1 : 1) : (x->root > y->root) - (x->root < y->root);
}

/* Deals whole groups to the folds, in an order drawn by the run's seed. */
static void
deal (Set *set, const GPtrArray *ids, guint64 seed, guint folds)
{
  g_autoptr (GArray) groups = g_array_new (FALSE, FALSE, sizeof (Group));

  for (guint32 i = 0; i < set->pairs->len; i++) {
    pair_at (set, i)->group = root_of (set, i);
    if (pair_at (set, i)->group != i)
      continue;
    Group group = {vj_random_seed_named (seed, "audit/fold", ids->pdata[i], 0), i};
    g_array_append_val (groups, group);
  }
  g_array_sort (groups, by_place);
  for (guint i = 0; i < groups->len; i++)
    pair_at (set, g_array_index (groups, Group, i).root)->fold = i % folds;
  for (guint32 i = 0; i < set->pairs->len; i++)
    pair_at (set, i)->fold = pair_at (set, pair_at (set, i)->group)->fold;
}

gboolean
vj_work_audit_shortcut (VjContext *context, const VjStep *step, GError **error)
{
  const VjRecipeAuditShortcut *options = &context->recipe->audit.shortcut;
  g_autoptr (GPtrArray) ids = NULL;
  g_autofree char *finding = NULL, *figures = NULL;
  VjAuditOutcome outcome;
  gboolean good = TRUE;
  const char *more = "ask more questions";
  Set set;

  if (!vj_audit_pairs (context, step, options->sample, &ids, error) || !vj_audit_begin (context, step, ids->len, error))
    return FALSE;
  vj_context_progress (context, step, VJ_PROGRESS_BEGIN, "pairs", 0, ids->len, NULL);
  set_init (&set);
  for (guint i = 0; good && i < ids->len; i++)
    good = add_pair (&set, context, ids->pdata[i], error);
  if (good) {
    deal (&set, ids, context->recipe->seed, (guint) options->folds);
    g_autoptr (VjShortcut) shortcut =
        vj_shortcut_new ((const VjShortcutPair *) (gpointer) set.pairs->data, set.pairs->len, (guint) options->folds);
    if (shortcut->groups >= VJ_SHORTCUT_LEAST_GROUPS)
      more = "lower iteration.audit.shortcut.folds, or ask more questions";
    figures = vj_shortcut_figures (shortcut, step->iteration, options->max_auc, &outcome, &finding);
  }
  set_clear (&set);
  if (!good)
    return FALSE;
  vj_context_progress (context, step, VJ_PROGRESS_END, "pairs", ids->len, ids->len, NULL);
  return vj_audit_end (
      context, step, ids->len, ids->len, figures, outcome, finding, options->on_leak == VJ_ON_FINDING_FAIL,
      "mend what makes the worse answers, or say in iteration.audit.shortcut what is allowed (max_auc, on_leak)",
      more, error);
}
