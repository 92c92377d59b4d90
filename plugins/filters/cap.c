/* cap: keeps at most so many traces, in all, of one category or of one kind. What stays is a random
 * subset that the run's seed alone decides, whatever order traces come in. Arms of an ablation get
 * equal numbers this way; of single traces, a smaller total keeps a subset of what a larger one keeps. */
#include <vj/plugin.h>

#include <string.h>

enum { WHOLE_TRACE, WHOLE_PAIR };
static const char *const wholes[] = {"trace", "pair", NULL};

typedef struct {
  int64_t total, per_category, per_kind, whole;

  GHashTable *units; /* id of the trace or pair -> Unit                        */
  gboolean decided;
} Cap;

/* What is kept or dropped as a whole. */
typedef struct {
  guint64 key;    /* random, of the trace `first`: lowest keys stay */
  guint traces;
  const char *id; /* the table's key                                */
  char *first;    /* smallest trace id                              */
  char *category, *kind;
  const char *reason; /* static; NULL: kept */
} Unit;

static const VjOption options[] = {
  VJ_OPTION_INT (Cap, total, "0", 0, 1e9, "traces", "Most traces in all; 0 means no limit."),
  VJ_OPTION_INT (Cap, per_category, "0", 0, 1e9, "traces", "Most traces of one category of question; 0 means no limit."),
  VJ_OPTION_INT (Cap, per_kind, "0", 0, 1e9, "traces",
                 "Most traces of one kind of pair: the first word of what made the rejected answer worse (attribute, count, "
                 "majority, ...); 0 means no limit."),
  VJ_OPTION_CHOICE (Cap, whole, "trace", wholes,
                    "What is kept or dropped as a whole: a trace; or a pair with all its traces, which keeps both orders "
                    "together and may end a little below the limit."),
  VJ_OPTION_END
};

static void
unit_free (gpointer data)
{
  Unit *unit = data;
  g_free (unit->first);
  g_free (unit->category);
  g_free (unit->kind);
  g_free (unit);
}

static gboolean
cap_start (void *instance, VjRun *run, GError **error)
{
  Cap *self = instance;
  (void) run;
  if (!self->total && !self->per_category && !self->per_kind)
    return vj_fail (error, VJ_EXIT_RECIPE, "cap: none of 'total', 'per_category' and 'per_kind' is given, so nothing would be "
                    "capped; give one, or leave the filter out");
  self->units = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, unit_free);
  return TRUE;
}

static void
cap_stop (void *instance)
{
  g_clear_pointer (&((Cap *) instance)->units, g_hash_table_unref);
}

static const char *
unit_id (const Cap *self, const VjTrace *trace)
{
  return self->whole == WHOLE_PAIR ? trace->pair : trace->id;
}

static VjFlow
cap_observe (void *instance, VjRun *run, const VjTrace *trace, GError **error)
{
  Cap *self = instance;
  Unit *unit = g_hash_table_lookup (self->units, unit_id (self, trace));
  guint64 key = vj_run_seed (run);
  (void) error;
  if (!unit) {
    char *id = g_strdup (unit_id (self, trace));
    unit = g_new (Unit, 1);
    *unit = (Unit){.key = key, .id = id, .first = g_strdup (trace->id),
                   .category = g_strdup (trace->question->category), .kind = g_strndup (trace->how, strcspn (trace->how, " "))};
    g_hash_table_insert (self->units, id, unit);
  }
  unit->traces++;
  if (strcmp (trace->id, unit->first) < 0) {
    g_free (unit->first);
    unit->first = g_strdup (trace->id);
    unit->key = key;
  }
  return VJ_FLOW_OK;
}

static int
by_key (gconstpointer a, gconstpointer b)
{
  const Unit *x = *(const Unit *const *) a, *y = *(const Unit *const *) b;
  return x->key < y->key ? -1 : x->key > y->key ? 1 : strcmp (x->id, y->id);
}

static gboolean
fits (int64_t limit, guint before, const Unit *unit)
{
  return limit == 0 || before + unit->traces <= limit;
}

static void
count (GHashTable *counts, const char *name, guint traces)
{
  guint before = GPOINTER_TO_UINT (g_hash_table_lookup (counts, name));
  g_hash_table_insert (counts, (gpointer) name, GUINT_TO_POINTER (before + traces));
}

static void
collect (gpointer id, gpointer value, gpointer values)
{
  (void) id;
  g_ptr_array_add (values, value);
}

static void
cap_decide (Cap *self)
{
  g_autoptr (GPtrArray) units = g_ptr_array_new ();
  g_autoptr (GHashTable) categories = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GHashTable) kinds = g_hash_table_new (g_str_hash, g_str_equal);
  guint total = 0;
  g_hash_table_foreach (self->units, collect, units);
  g_ptr_array_sort (units, by_key);
  for (guint i = 0; i < units->len; i++) {
    Unit *unit = units->pdata[i];
    if (!fits (self->per_category, GPOINTER_TO_UINT (g_hash_table_lookup (categories, unit->category)), unit))
      unit->reason = "enough of this category";
    else if (!fits (self->per_kind, GPOINTER_TO_UINT (g_hash_table_lookup (kinds, unit->kind)), unit))
      unit->reason = "enough of this kind";
    else if (!fits (self->total, total, unit))
      unit->reason = "enough traces in all";
    else {
      count (categories, unit->category, unit->traces);
      count (kinds, unit->kind, unit->traces);
      total += unit->traces;
    }
  }
  self->decided = TRUE;
}

static VjFlow
cap_keep (void *instance, VjRun *run, const VjTrace *trace, char **ret_reason, GError **error)
{
  Cap *self = instance;
  (void) run;
  if (!self->decided)
    cap_decide (self);
  const Unit *unit = g_hash_table_lookup (self->units, unit_id (self, trace));
  if (!unit) {
    vj_fail (error, VJ_EXIT_BUG, "cap: '%s': kept without having been observed; report this", trace->id);
    return VJ_FLOW_ERROR;
  }
  if (!unit->reason)
    return VJ_FLOW_OK;
  *ret_reason = g_strdup (unit->reason);
  return VJ_FLOW_SKIP;
}

VJ_DEFINE_FILTER (Cap, cap_keep, cap_observe,
                  .name = "cap", .version = "1.0", .license = "Apache-2.0",
                  .summary = "Keeps at most so many traces, in all, of one category or of one kind.",
                  .options = options, .start = cap_start, .stop = cap_stop)
