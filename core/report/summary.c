/* What a run has done, as text. */
#include "report/summary.h"

#include <string.h>
#include "base/log.h"
#include "report/audit.h"
#include "report/cells.h"
#include "report/gate.h"
#include "report/notes.h"

#define REASONS 4 /* shown per stage; the rest is summed */
#define COLUMNS 3 /* evaluations side by side */

/* -- comparison ---------------------------------------------------------------------- */

/* Right answers per case of one evaluation; cases are named without their iteration: ".1.000007". */
static gboolean
right_by_case (VjStore *store, const char *evaluator, guint iteration, GHashTable **ret_right, GError **error)
{
  g_autoptr (GHashTable) right = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autofree char *stage = g_strconcat ("evaluate:", evaluator, NULL);
  VjStoreQuery query = VJ_STORE_QUERY_ALL;

  query.iteration = (int) iteration;
  query.kind = VJ_RECORD_JUDGMENT;
  query.stage = stage;
  g_autoptr (VjStoreCursor) cursor = vj_store_walk (store, &query);
  for (;;) {
    g_autoptr (VjStored) stored = NULL;
    if (!vj_store_walk_next (cursor, &stored, error))
      return FALSE;
    if (stored == NULL)
      break;
    const char *name = strchr (stored->record->parents[0], '.');
    if (name == NULL)
      continue;
    guint count = GPOINTER_TO_UINT (g_hash_table_lookup (right, name)) + vj_record_flag (stored->record, "right");
    g_hash_table_insert (right, g_strdup (name), GUINT_TO_POINTER (count));
  }
  *ret_right = g_steal_pointer (&right);
  return TRUE;
}

gboolean
vj_summary_compare (VjStore *store, const char *evaluator, guint iteration, VjComparison *ret_comparison, GError **error)
{
  g_autoptr (GHashTable) before = NULL, after = NULL;
  VjComparison result = {.p = 1.0};
  GHashTableIter iter;
  gpointer name, value;

  if (!right_by_case (store, evaluator, 0, &before, error) || !right_by_case (store, evaluator, iteration, &after, error))
    return FALSE;
  g_hash_table_iter_init (&iter, before);
  while (g_hash_table_iter_next (&iter, &name, &value)) {
    gpointer other = NULL;
    if (!g_hash_table_lookup_extended (after, name, NULL, &other))
      continue;
    gboolean was = GPOINTER_TO_UINT (value) == 2, is = GPOINTER_TO_UINT (other) == 2;
    result.cases++;
    result.lost += was && !is;
    result.gained += is && !was;
  }
  result.p = vj_statistics_mcnemar (result.lost, result.gained);
  *ret_comparison = result;
  return TRUE;
}

/* -- the funnel ------------------------------------------------------------------------- */

/* The stage's dropped records by reason, the most frequent first; VjDrop comes in that order. */
static void
append_drops (GString *out, const GPtrArray *drops, const VjStage *stage)
{
  guint shown = 0;
  gint64 rest = 0;
  for (guint i = 0; i < drops->len; i++) {
    const VjDrop *drop = drops->pdata[i];
    if (drop->iteration != stage->iteration || strcmp (drop->stage, stage->name) != 0)
      continue;
    if (shown++ >= REASONS) {
      rest += drop->count;
      continue;
    }
    g_string_append_printf (out, "%32" G_GINT64_FORMAT "  ", drop->count);
    vj_cells_wrapped (out, drop->reason, 62);
    g_string_append_c (out, '\n');
  }
  if (rest > 0)
    g_string_append_printf (out, "%32" G_GINT64_FORMAT "  for %u other reasons\n", rest, shown - REASONS);
}

static void
append_funnel (GString *out, const GPtrArray *stages, const GPtrArray *drops)
{
  guint iteration = G_MAXUINT;
  for (guint i = 0; i < stages->len; i++) {
    const VjStage *stage = stages->pdata[i];
    gboolean held_out = g_str_has_prefix (stage->name, VJ_STORE_STAGE_GATE_SET);
    if (stage->iteration == 0 && g_str_has_prefix (stage->name, "evaluate:"))
      continue;
    if (stage->iteration != iteration) {
      g_autofree char *head = g_strdup_printf ("%s %u", strcmp (stage->name, VJ_STORE_STAGE_COURSE) == 0 ? "course" : "iteration", stage->iteration);
      g_string_append_printf (out, "%s%s\n", out->len > 0 ? "\n" : "", held_out ? "held out for the gate" : head);
      iteration = stage->iteration;
    }
    if (stage->state == VJ_STAGE_RUNNING)
      g_string_append_printf (out, "  %-24s unfinished\n", stage->name);
    else
      g_string_append_printf (out, "  %-20s %7" G_GINT64_FORMAT " in %7" G_GINT64_FORMAT " kept %6" G_GINT64_FORMAT
                              " dropped\n", stage->name, stage->n_in, stage->n_kept, stage->n_in - stage->n_kept);
    append_drops (out, drops, stage);
  }
}

/* -- scores ------------------------------------------------------------------------------- */

/* Both orders of a pair are asked, but they are one item: intervals count items. */
static VjInterval
interval_of (const VjStoredScore *score)
{
  gboolean two = strncmp (score->metric, VJ_METRIC_ACCURACY, strlen (VJ_METRIC_ACCURACY)) == 0
                 || strcmp (score->metric, VJ_METRIC_UNPARSED) == 0 || strcmp (score->metric, VJ_METRIC_SAID_A) == 0;
  double share = two ? 0.5 : 1.0;
  return vj_statistics_wilson (score->right * share, score->total * share, VJ_Z95);
}

/* The iteration of a label: "iteration 3" is 3, any other 0. */
static guint
iteration_of (const char *label)
{
  return g_str_has_prefix (label, "iteration ") ? (guint) g_ascii_strtoull (label + strlen ("iteration "), NULL, 10) : 0;
}

/* The distinct values of one member, in order of first mention; borrowed. `evaluator` NULL: of all. */
typedef enum { BY_EVALUATOR, BY_LABEL, BY_METRIC } Member;

static const char *
member_of (const VjStoredScore *score, Member member)
{
  return member == BY_EVALUATOR ? score->evaluator : member == BY_LABEL ? score->label : score->metric;
}

static GPtrArray *
distinct (const GPtrArray *scores, Member member, const char *evaluator)
{
  GPtrArray *values = g_ptr_array_new ();
  for (guint i = 0; i < scores->len; i++) {
    const VjStoredScore *score = scores->pdata[i];
    const char *value = member_of (score, member);
    if ((evaluator == NULL || strcmp (score->evaluator, evaluator) == 0)
        && !g_ptr_array_find_with_equal_func (values, value, g_str_equal, NULL))
      g_ptr_array_add (values, (gpointer) value);
  }
  return values;
}

static const VjStoredScore *
find_score (const GPtrArray *scores, const char *evaluator, const char *label, const char *metric)
{
  for (guint i = 0; i < scores->len; i++) {
    const VjStoredScore *score = scores->pdata[i];
    if (strcmp (score->evaluator, evaluator) == 0 && strcmp (score->label, label) == 0 && strcmp (score->metric, metric) == 0)
      return score;
  }
  return NULL;
}

static void
append_row (GString *out, const GPtrArray *scores, const char *evaluator, const char *metric, const GPtrArray *labels, guint from,
            guint to)
{
  g_string_append (out, "  ");
  vj_cells_padded (out, metric, 28);
  for (guint i = from; i < to; i++) {
    const VjStoredScore *score = find_score (scores, evaluator, labels->pdata[i], metric);
    VjInterval interval = score != NULL ? interval_of (score) : (VjInterval){0};
    if (score != NULL && score->total > 0)
      g_string_append_printf (out, "%.3f [%.3f, %.3f]  ", score->right / score->total, interval.low, interval.high);
    else
      g_string_append_printf (out, "%-22s", "-");
  }
  g_string_truncate (out, out->len - 2);
  g_string_append_c (out, '\n');
}

static gboolean
append_comparisons (GString *out, VjStore *store, const char *evaluator, const GPtrArray *labels, GError **error)
{
  for (guint i = 0; i < labels->len; i++) {
    VjComparison comparison;
    const char *label = labels->pdata[i];
    if (iteration_of (label) == 0)
      continue;
    if (!vj_summary_compare (store, evaluator, iteration_of (label), &comparison, error))
      return FALSE;
    if (comparison.cases > 0)
      g_string_append_printf (out, "  %s against before, both orders right: %" G_GUINT64_FORMAT " pairs gained, %" G_GUINT64_FORMAT
                              " lost of %" G_GUINT64_FORMAT "; exact McNemar p = %.3g\n", label, comparison.gained,
                              comparison.lost, comparison.cases, comparison.p);
  }
  return TRUE;
}

/* A table per evaluator: metrics down, evaluations across. */
static gboolean
append_scores (GString *out, VjStore *store, const GPtrArray *scores, GError **error)
{
  g_autoptr (GPtrArray) evaluators = distinct (scores, BY_EVALUATOR, NULL);
  for (guint e = 0; e < evaluators->len; e++) {
    const char *evaluator = evaluators->pdata[e];
    g_autoptr (GPtrArray) labels = distinct (scores, BY_LABEL, evaluator), metrics = distinct (scores, BY_METRIC, evaluator);
    for (guint from = 0; from < labels->len; from += COLUMNS) {
      guint to = MIN (from + COLUMNS, labels->len);
      g_string_append_c (out, '\n');
      vj_cells_padded (out, evaluator, 30);
      for (guint i = from; i < to; i++)
        g_string_append_printf (out, i + 1 < to ? "%-22s" : "%s", (const char *) labels->pdata[i]);
      g_string_append_c (out, '\n');
      for (guint m = 0; m < metrics->len; m++)
        append_row (out, scores, evaluator, metrics->pdata[m], labels, from, to);
    }
    if (!append_comparisons (out, store, evaluator, labels, error))
      return FALSE;
  }
  return TRUE;
}

/* Nobody must take a control for a result. */
static gboolean
append_ablation (GString *out, VjStore *store, GError **error)
{
  json_t *marks = NULL;
  if (!vj_store_ablation_get (store, &marks, error))
    return FALSE;
  const char *labels = json_string_value (json_object_get (marks, "labels"));
  if (labels != NULL)
    g_string_append_printf (out, "ABLATION: iteration.labels is %s. Which verdict counts as right was a coin;\n"
                            "this run is a control, and no figure below shows what the method can do.\n", labels);
  json_decref (marks);
  return TRUE;
}

static gboolean
append_gates (GString *out, VjStore *store, GError **error)
{
  g_autofree char *text = vj_gate_text (store, error);
  if (text == NULL)
    return FALSE;
  if (*text != '\0')
    g_string_append_printf (out, "\n%s", text);
  return TRUE;
}

char *
vj_summary_text (VjStore *store, GError **error)
{
  g_autoptr (GPtrArray) stages = NULL, drops = NULL, scores = NULL;
  g_autoptr (GString) out = g_string_new (NULL);

  if (!vj_store_stages (store, &stages, error) || !vj_store_drops (store, VJ_ANY, &drops, error)
      || !vj_store_scores (store, NULL, &scores, error))
    return NULL;
  if (!append_ablation (out, store, error))
    return NULL;
  append_funnel (out, stages, drops);
  if (!vj_notes_text (store, stages, out, error) || !append_gates (out, store, error))
    return NULL;
  if (scores->len > 0) {
    g_string_append (out, "\nscores: share [95 % Wilson interval]\n");
    if (!append_scores (out, store, scores, error))
      return NULL;
  }
  if (!vj_audits_append (out, store, error))
    return NULL;
  return g_string_free (g_steal_pointer (&out), FALSE);
}

/* -- for machines ----------------------------------------------------------------------------- */

static json_t *
funnel_json (const GPtrArray *stages, const GPtrArray *drops)
{
  json_t *funnel = json_array ();
  for (guint i = 0; i < stages->len; i++) {
    const VjStage *stage = stages->pdata[i];
    json_t *reasons = json_object ();
    for (guint j = 0; j < drops->len; j++) {
      const VjDrop *drop = drops->pdata[j];
      if (drop->iteration == stage->iteration && strcmp (drop->stage, stage->name) == 0)
        json_object_set_new (reasons, drop->reason, json_integer (drop->count));
    }
    json_array_append_new (funnel, json_pack ("{s:I, s:s, s:b, s:I, s:I, s:o}", "iteration", (json_int_t) stage->iteration,
                                              "stage", stage->name, "done", stage->state == VJ_STAGE_DONE, "in",
                                              (json_int_t) stage->n_in, "kept", (json_int_t) stage->n_kept, "dropped",
                                              reasons));
  }
  return funnel;
}

static gboolean
scores_json (VjStore *store, const GPtrArray *scores, json_t *rows, json_t *tests, GError **error)
{
  for (guint i = 0; i < scores->len; i++) {
    const VjStoredScore *score = scores->pdata[i];
    VjInterval interval = interval_of (score);
    VjComparison comparison;
    json_array_append_new (rows, json_pack ("{s:s, s:s, s:s, s:f, s:f, s:f, s:f}", "label", score->label, "evaluator",
                                            score->evaluator, "metric", score->metric, "right", score->right, "total",
                                            score->total, "low", interval.low, "high", interval.high));
    if (iteration_of (score->label) == 0 || strcmp (score->metric, VJ_METRIC_STRICT) != 0)
      continue;
    if (!vj_summary_compare (store, score->evaluator, iteration_of (score->label), &comparison, error))
      return FALSE;
    json_array_append_new (tests, json_pack ("{s:s, s:s, s:I, s:I, s:I, s:f}", "label", score->label, "evaluator",
                                             score->evaluator, "cases", (json_int_t) comparison.cases, "gained",
                                             (json_int_t) comparison.gained, "lost", (json_int_t) comparison.lost,
                                             "mcnemar_p", comparison.p));
  }
  return TRUE;
}

char *
vj_summary_json (VjStore *store, GError **error)
{
  g_autoptr (GPtrArray) stages = NULL, drops = NULL, scores = NULL;
  json_t *gates, *marks = NULL;

  if (!vj_store_stages (store, &stages, error) || !vj_store_drops (store, VJ_ANY, &drops, error)
      || !vj_store_scores (store, NULL, &scores, error) || (gates = vj_gate_records (store, error)) == NULL)
    return NULL;
  if (!vj_store_ablation_get (store, &marks, error)) {
    json_decref (gates);
    return NULL;
  }
  json_t *rows = json_array (), *tests = json_array (), *audits = json_array ();
  json_t *all = json_pack ("{s:O?, s:o, s:o, s:o, s:o, s:o}", "ablation", json_object_get (marks, "labels"), "funnel", funnel_json (stages, drops), "audits",
                           audits, "gates", gates, "scores", rows, "tests", tests);
  gboolean good = vj_notes_json (store, stages, all, error) && vj_audits_json (store, audits, error)
                  && scores_json (store, scores, rows, tests, error);
  char *text = good ? vj_json_readable (all) : NULL;
  json_decref (all);
  json_decref (marks);
  return text;
}
