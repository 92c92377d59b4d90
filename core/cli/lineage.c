/* Where a score comes from. */
#include "cli/lineage.h"

#include <string.h>
#include "base/log.h"
#include "report/gate.h"
#include "report/lineage.h"

#define SHOWN 3 /* traces of a training: enough to go on from */
#define KIND "evaluate:"
#define MADE "models/iteration-"

static const char *
text_of (const json_t *json, const char *name)
{
  const char *text = json_string_value (json_object_get (json, name));
  return text != NULL ? text : "?";
}

static void
print_model (const char *label, const json_t *model)
{
  g_print ("    %-12s %s, identity %.12s\n", label, text_of (model, "model"), text_of (model, "identity"));
}

gboolean
vj_lineage_print_model (VjStore *store, guint iteration, const char *name, GError **error)
{
  json_t *model = NULL;
  if (!vj_lineage_get (store, iteration, name, &model, error))
    return FALSE;
  if (model != NULL)
    print_model ("judged by", model);
  json_decref (model);
  return TRUE;
}

/* -- a training and its traces ---------------------------------------------------------- */

/* One line: the trace, its pair, its question, its pixels. */
static gboolean
print_descent (VjStore *store, const VjRecord *trace, GError **error)
{
  g_autoptr (VjStored) pair = NULL, question = NULL;

  if (!vj_store_record_get (store, trace->parents[0], &pair, error)
      || (pair != NULL && !vj_store_record_get (store, pair->record->parents[0], &question, error)))
    return FALSE;
  if (question == NULL)
    return TRUE; /* the next one has more to tell */
  g_print ("      %s <- %s <- %s", trace->id, pair->record->id, question->record->id);
  for (gsize i = 0; i < vj_record_n_images (question->record); i++)
    g_print ("%s%.12s", i == 0 ? " <- image " : ", ", vj_record_image (question->record, i));
  g_print ("\n");
  return TRUE;
}

static gboolean
print_traces (VjStore *store, guint iteration, GError **error)
{
  VjStoreQuery query = {(int) iteration, VJ_RECORD_JUDGMENT, VJ_FATE_KEPT, "judge", NULL};
  gint64 n = 0;

  if (!vj_store_count (store, &query, &n, error))
    return FALSE;
  g_print ("    %" G_GINT64_FORMAT " kept traces of iteration %u (traces.jsonl of `vjrun export` has them all)\n", n, iteration);
  g_autoptr (VjStoreCursor) cursor = vj_store_walk (store, &query);
  for (guint i = 0; i < SHOWN; i++) {
    g_autoptr (VjStored) trace = NULL;
    if (!vj_store_walk_next (cursor, &trace, error))
      return FALSE;
    if (trace == NULL || !print_descent (store, trace->record, error))
      return trace == NULL;
  }
  return vj_lineage_print_model (store, iteration, "judge", error);
}

static gboolean
print_gate (VjStore *store, guint iteration, GError **error)
{
  json_t *gate = NULL;
  if (!vj_gate_get (store, iteration, &gate, error))
    return FALSE;
  if (gate != NULL)
    g_print ("    %-12s %s: %s\n", "gate", text_of (gate, "outcome"), text_of (gate, "reason"));
  json_decref (gate);
  return TRUE;
}

static gboolean
print_training (VjStore *store, guint iteration, const json_t *training, GError **error)
{
  const json_t *range = json_object_get (training, "iterations");
  const json_t *parent = json_object_get (training, "parent");
  guint first = (guint) json_integer_value (json_array_get (range, 0));

  g_print (MADE "%u  (made by %s on %" G_GINT64_FORMAT " traces, from %s)\n", iteration, text_of (training, "stage"),
           (gint64) json_integer_value (json_object_get (training, "traces")), text_of (parent, "model"));
  print_model ("parent", parent);
  if (!print_gate (store, iteration, error))
    return FALSE;
  for (guint i = iteration; i >= first && i > 0; i--)
    if (!print_traces (store, i, error))
      return FALSE;
  g_print ("\n");
  return TRUE;
}

/* The iteration that made a model of the run; 0: the recipe's. */
static guint
maker_of (const char *model)
{
  return g_str_has_prefix (model, MADE) ? (guint) g_ascii_strtoull (model + strlen (MADE), NULL, 10) : 0;
}

gboolean
vj_lineage_print_trainings (VjStore *store, guint iteration, const char *name, GError **error)
{
  json_t *model = NULL;
  gboolean good = vj_lineage_get (store, iteration, name, &model, error);
  guint maker = good ? maker_of (text_of (model, "model")) : 0;

  json_decref (model);
  /* A model is made of an earlier one, so the numbers fall. */
  for (guint next; good && maker > 0; maker = next) {
    json_t *training = NULL;
    good = vj_lineage_get (store, maker, "train", &training, error)
           && (training == NULL || print_training (store, maker, training, error));
    next = maker_of (text_of (json_object_get (training, "parent"), "model"));
    next = next < maker ? next : 0;
    json_decref (training);
  }
  return good;
}

/* -- what became of a judgment -------------------------------------------------------- */

/* The trainings that are done and saw the kept traces of this iteration. */
static gboolean
print_trainings_on (VjStore *store, guint iteration, guint *uses, GError **error)
{
  g_autoptr (GPtrArray) stages = NULL;
  gboolean good = vj_store_stages (store, &stages, error);

  for (guint i = 0; good && i < stages->len; i++) {
    const VjStage *stage = stages->pdata[i];
    json_t *training = NULL;
    if (strcmp (stage->name, "train") != 0 || stage->state != VJ_STAGE_DONE || stage->n_kept == 0)
      continue;
    good = vj_lineage_get (store, stage->iteration, stage->name, &training, error);
    const json_t *range = json_object_get (training, "iterations");
    if (good && json_integer_value (json_array_get (range, 0)) <= iteration && iteration <= json_integer_value (json_array_get (range, 1))) {
      g_print ("  %s trained on it, which made " MADE "%u\n", text_of (training, "stage"), stage->iteration);
      ++*uses;
    }
    json_decref (training);
  }
  return good;
}

gboolean
vj_lineage_print_uses (VjStore *store, const VjStored *stored, guint *uses, GError **error)
{
  guint iteration = stored->record->iteration;
  json_t *gate = NULL;

  if (stored->record->kind != VJ_RECORD_JUDGMENT)
    return TRUE;
  if (strcmp (stored->stage, "judge") == 0 && stored->fate == VJ_FATE_KEPT)
    return print_trainings_on (store, iteration, uses, error);
  if (strcmp (stored->stage, VJ_STORE_STAGE_GATE) == 0) {
    if (!vj_gate_get (store, iteration, &gate, error))
      return FALSE;
    if (gate != NULL) {
      g_print ("  iteration %u: gate counted it: %s\n", iteration, text_of (gate, "outcome"));
      ++*uses;
    }
    json_decref (gate);
  } else if (g_str_has_prefix (stored->stage, KIND) || g_str_has_prefix (stored->stage, "audit:")) {
    g_print ("  %s counted it\n", stored->stage);
    ++*uses;
  }
  return TRUE;
}

/* -- an evaluation ------------------------------------------------------------------------ */

gboolean
vj_lineage_is_evaluation (const char *what)
{
  return g_str_has_prefix (what, KIND) || strstr (what, ": " KIND) != NULL;
}

/* The label of an evaluation's scores. */
static char *
label_of (const GPtrArray *stages, guint iteration)
{
  for (guint i = 0; i < stages->len; i++)
    if (strcmp (((const VjStage *) stages->pdata[i])->name, VJ_STORE_STAGE_COURSE) == 0)
      return g_strdup ("pretrained");
  return iteration == 0 ? g_strdup ("before") : g_strdup_printf ("iteration %u", iteration);
}

/* The stage meant, borrowed from `stages`; NULL with VJ_EXIT_USAGE and the names of those there are. */
static const VjStage *
find_evaluation (const GPtrArray *stages, const char *what, GError **error)
{
  const VjStage *found = NULL;
  g_autoptr (GString) known = g_string_new (NULL);

  for (guint i = 0; i < stages->len; i++) {
    const VjStage *stage = stages->pdata[i];
    g_autofree char *label = label_of (stages, stage->iteration), *title = g_strconcat (label, ": ", stage->name, NULL);
    if (!g_str_has_prefix (stage->name, KIND) || stage->state != VJ_STAGE_DONE)
      continue;
    if (strcmp (what, title) == 0 || strcmp (what, stage->name) == 0)
      found = stage;
    g_string_append_printf (known, "%s'%s'", known->len > 0 ? ", " : "", title);
  }
  if (found == NULL)
    vj_fail (error, VJ_EXIT_USAGE, "'%s': no evaluation of this run is called so; there are: %s", what,
             known->len > 0 ? known->str : "none yet");
  return found;
}

gboolean
vj_lineage_print_evaluation (VjStore *store, const char *what, GError **error)
{
  g_autoptr (GPtrArray) stages = NULL, scores = NULL;

  if (!vj_store_stages (store, &stages, error))
    return FALSE;
  const VjStage *stage = find_evaluation (stages, what, error);
  g_autofree char *label = stage != NULL ? label_of (stages, stage->iteration) : NULL;
  if (stage == NULL || !vj_store_scores (store, label, &scores, error))
    return FALSE;
  g_print ("%s: %s  (%" G_GINT64_FORMAT " cases)\n", label, stage->name, stage->n_kept);
  for (guint i = 0; i < scores->len; i++) {
    const VjStoredScore *score = scores->pdata[i];
    g_autofree char *metric = vj_text_inert (score->metric, -1);
    if (strcmp (score->evaluator, stage->name + strlen (KIND)) == 0 && score->total > 0)
      g_print ("    %-28s %.3f  (%g of %g)\n", metric, score->right / score->total, score->right, score->total);
  }
  if (!vj_lineage_print_model (store, stage->iteration, stage->name, error))
    return FALSE;
  g_print ("\n");
  return vj_lineage_print_trainings (store, stage->iteration, stage->name, error);
}
