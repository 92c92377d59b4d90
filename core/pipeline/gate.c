/* Stage `gate`: the candidate that training made is compared with the judge, and becomes the judge or does not.
 *
 * Both judge the held-out pairs in both orders, one after the other, so that two models never have to fit together. The
 * pairs were made before the first iteration, as any pairs are and without gold, out of questions that no iteration may
 * train on (questions.c). No evaluation has a say. A gate that was interrupted is passed anew out of the ledger. */
#include "pipeline/judging.h"

#include "record/request.h"
#include "report/gate.h"

enum { JUDGE, CANDIDATE, FIRST, N_SIDES };

typedef struct {
  VjAnswer by[N_SIDES][2]; /* [.][chosen first, second] */
} Answers;

typedef struct {
  VjContext *context;
  const VjStep *step;
  VjJudging judging;
  VjModel *model;
  VjGateRule rule;
  VjGateFigures figures;
  GPtrArray *pairs; /* ids (char *, owned) */
  GArray *answers;  /* of Answers, by pair */
  guint side;       /* JUDGE or CANDIDATE: who judges now */
  guint at, settled;
} Stage;

static VjGateSide *
side_of (Stage *stage)
{
  return stage->side == JUDGE ? &stage->figures.current : &stage->figures.candidate;
}

static VjGateRule
rule_of (const VjRecipeGate *gate)
{
  return (VjGateRule){.accuracy = gate->metric == VJ_GATE_METRIC_ACCURACY,
                      .better = gate->promote == VJ_PROMOTE_BETTER,
                      .sampled = gate->answers == VJ_GATE_ANSWERS_SAMPLED,
                      .alpha = gate->alpha,
                      .min_consistency = gate->min_consistency,
                      .min_parsed = gate->min_parsed,
                      .patience = gate->patience};
}

/* -- one judge over all pairs -------------------------------------------------------- */

static void
item_free (VjUnit *unit)
{
  vj_judging_item_done ((VjJudgingItem *) unit);
  g_free (unit);
}

/* Of a pair's judgments by one side, without order and sample: "g.0.000007.p.2candidate". */
static char *
name_of (const char *pair, guint iteration, guint side)
{
  return g_strdup_printf ("%s.%u%s", pair, iteration, side == JUDGE ? "judge" : "candidate");
}

static gboolean
next_pair (gpointer self, VjUnit **ret_unit, GError **error)
{
  Stage *stage = self;

  *ret_unit = NULL;
  if (stage->at == stage->pairs->len)
    return TRUE;
  VjJudgingItem *item = vj_judging_item_new (stage->pairs->pdata[stage->at++]);
  if (!vj_judging_item_load (item, stage->context->store, error)) {
    item_free (&item->unit);
    return FALSE;
  }
  item->unit.model = stage->model;
  /* Both judges and all iterations draw from the pair's one stream: they differ by the model alone. */
  item->name = name_of (item->unit.id, stage->step->iteration, stage->side);
  *ret_unit = &item->unit;
  return TRUE;
}

static VjFlow
pair_ask (gpointer self, VjRun *run, VjUnit *unit, const VjReplies *so_far, VjAsk *ask, GError **error)
{
  (void) so_far;
  return vj_judging_ask (&((Stage *) self)->judging, run, (VjJudgingItem *) unit, ask, error);
}

static VjFlow
pair_tell (gpointer self, VjRun *run, VjUnit *unit, const VjReplies *replies, GError **error)
{
  return vj_judging_tell (&((Stage *) self)->judging, run, (VjJudgingItem *) unit, replies, error);
}

/* An order without an answer is one without a verdict: a judge gains nothing by not answering. */
static gboolean
pair_settle (gpointer self, VjUnit *unit, VjFlow flow, GError **error)
{
  Stage *stage = self;
  VjJudgingItem *item = (VjJudgingItem *) unit;
  VjAnswer *answers = g_array_index (stage->answers, Answers, stage->settled).by[stage->side];
  guint answered = flow == VJ_FLOW_OK ? item->judged->len : 0;

  stage->settled++;
  side_of (stage)->unanswered += 2 - answered;
  for (guint i = 0; i < answered; i++) {
    const VjJudged *judged = &g_array_index (item->judged, VjJudged, i);
    g_autoptr (VjRecord) record = vj_judging_record (item, i, stage->step->iteration, FALSE);
    if (!vj_store_record_put (stage->context->store, stage->step->name, record, error))
      return FALSE;
    if (judged->verdict != VJ_VERDICT_UNPARSED)
      answers[judged->order] = judged->right ? VJ_ANSWER_RIGHT : VJ_ANSWER_WRONG;
  }
  return TRUE;
}

/* The model that stands under the trained name judges all pairs. */
static gboolean
judge_all (Stage *stage, guint side, GError **error)
{
  VjContext *context = stage->context;
  const char *name = context->recipe->trainer.model;
  VjScheduler scheduler = vj_context_scheduler (context);
  guint n = stage->pairs->len;

  stage->side = side;
  stage->at = stage->settled = 0;
  if ((stage->model = vj_context_model (context, name, error)) == NULL)
    return FALSE;
  side_of (stage)->model = vj_context_model_label (context, name);
  side_of (stage)->identity = g_strdup (stage->model->identity);
  VjWork work = {.stage = "gate", .title = stage->step->title, .unit = "pairs", .total = 2 * n, .done = side * n, .self = stage,
                 .next = next_pair, .ask = pair_ask, .tell = pair_tell, .settle = pair_settle, .unit_free = item_free};
  return vj_scheduler_run (&scheduler, &work, error);
}

/* The judge, then the candidate in its place, then the judge's place is the judge's again. */
static gboolean
judge_both (Stage *stage, const char *candidate, GError **error)
{
  VjModels *models = stage->context->models;
  const VjRecipePlugin *entry = &stage->context->recipe->judge;
  const char *name = stage->context->recipe->trainer.model;
  g_autofree char *standing = g_strdup (vj_models_path (models, name));
  g_autoptr (VjInstance) judge = NULL;

  vj_run_aim (stage->context->run, "judge", "start", 0, 0, 0);
  judge = vj_instance_new (entry->plugin, entry->node, NULL, stage->context->run, error);
  if (judge == NULL)
    return FALSE;
  stage->judging = (VjJudging){.judge = judge, .samples = 1, .both = TRUE, .greedy = !stage->rule.sampled,
                               .seed = stage->context->recipe->seed};
  gboolean good = judge_all (stage, JUDGE, error);
  if (good) {
    vj_models_set_path (models, name, candidate);
    good = judge_all (stage, CANDIDATE, error);
    vj_models_set_path (models, name, standing);
  }
  return good;
}

/* -- the first judge ------------------------------------------------------------------- */

/* The gate that promoted first: its judge was the run's first. 0: the first judge stands still. */
static gboolean
first_promotion (VjStore *store, guint iteration, guint *ret_iteration, GError **error)
{
  *ret_iteration = 0;
  for (guint i = 1; i < iteration && *ret_iteration == 0; i++) {
    VjGateOutcome outcome;
    gboolean known;
    guint refused;
    if (!vj_gate_outcome (store, i, &known, &outcome, &refused, error))
      return FALSE;
    if (known && outcome == VJ_GATE_PROMOTED)
      *ret_iteration = i;
  }
  return TRUE;
}

/* What was said of one pair at a gate before; an order that was never answered has no record. */
static gboolean
recall (Stage *stage, guint iteration, guint side, guint index, VjAnswer answers[2], GError **error)
{
  g_autofree char *name = name_of (stage->pairs->pdata[index], iteration, side);
  for (guint order = 0; order < 2; order++) {
    g_autofree char *id = g_strdup_printf ("%s.%c0", name, order == 0 ? 'a' : 'b');
    g_autoptr (VjStored) stored = NULL;
    if (!vj_store_record_get (stage->context->store, id, &stored, error))
      return FALSE;
    if (stored != NULL && g_strcmp0 (vj_record_text (stored->record, "verdict"), "unparsed") != 0)
      answers[order] = vj_record_flag (stored->record, "right") ? VJ_ANSWER_RIGHT : VJ_ANSWER_WRONG;
  }
  return TRUE;
}

static gboolean
count_all (Stage *stage, GError **error)
{
  guint first;

  if (!first_promotion (stage->context->store, stage->step->iteration, &first, error))
    return FALSE;
  for (guint i = 0; i < stage->answers->len; i++) {
    Answers *answers = &g_array_index (stage->answers, Answers, i);
    if (first > 0 && !recall (stage, first, JUDGE, i, answers->by[FIRST], error))
      return FALSE;
    vj_gate_figures_add (&stage->figures, &stage->rule, answers->by[JUDGE], answers->by[CANDIDATE], first > 0 ? answers->by[FIRST] : NULL);
  }
  return TRUE;
}

/* -- the decision ------------------------------------------------------------------------ */

/* A gate decided otherwise than before: the later iterations, built on its old outcome, are undone. */
static gboolean
undo_followers (Stage *stage, GError **error)
{
  guint iteration = stage->step->iteration;
  VjContext *context = stage->context;
  g_autoptr (GPtrArray) stages = NULL;
  gint64 undone = 0;

  if (!vj_store_stages_beyond (context->store, iteration, &stages, error))
    return FALSE;
  for (guint i = stages->len; i > 0; i--) {
    const VjStage *later = stages->pdata[i - 1];
    if (!vj_store_stage_forget (context->store, later->iteration, later->name, error)
        || (g_strcmp0 (later->name, "train") == 0 && !vj_context_forget_training (context, later->iteration, error)))
      return FALSE;
    undone++;
  }
  if (undone > 0)
    vj_log_write (context->log, VJ_LOG_WARNING, "gate", "%s: it decides otherwise than before, so %" G_GINT64_FORMAT " stages of "
                  "later iterations are undone; replies already received are kept", stage->step->title, undone);
  return TRUE;
}

/* With the stage's last group, so that no kill can part the record from what it undoes. */
static gboolean
decide (Stage *stage, GError **error)
{
  VjContext *context = stage->context;
  guint iteration = stage->step->iteration, refused = 0;
  VjGateOutcome before;
  gboolean known = FALSE;
  g_auto (VjGateDecision) decision = {0};

  if (iteration > 1 && !vj_gate_outcome (context->store, iteration - 1, &known, &before, &refused, error))
    return FALSE;
  vj_gate_decide (&stage->rule, &stage->figures, refused, &decision);
  gboolean promoted = decision.outcome == VJ_GATE_PROMOTED;
  g_autofree char *standing = vj_context_model_label (context, context->recipe->trainer.model);
  const char *judge = promoted ? stage->figures.candidate.model : standing;
  if (!vj_store_in_group (context->store) && !vj_store_begin (context->store, error))
    return FALSE;
  if (!vj_gate_outcome (context->store, iteration, &known, &before, &refused, error)
      || (known && decision.outcome != before && !undo_followers (stage, error))
      || !vj_gate_put (context->store, iteration, &stage->rule, &stage->figures, &decision, judge, error))
    return FALSE;
  vj_log_write (context->log, promoted ? VJ_LOG_INFO : VJ_LOG_WARNING, "gate", "%s: %s: %s; the judge is %s", stage->step->title,
                vj_gate_outcome_name (decision.outcome), decision.reason, judge);
  return TRUE;
}

static gboolean
find_pairs (Stage *stage, GError **error)
{
  VjStoreQuery query = VJ_STORE_QUERY_ALL;

  query.iteration = 0;
  query.kind = VJ_RECORD_PAIR;
  if (!vj_load_ids (stage->context->store, &query, NULL, NULL, stage->pairs, error))
    return FALSE;
  g_array_set_size (stage->answers, stage->pairs->len);
  return stage->pairs->len > 0
         || vj_fail (error, VJ_EXIT_DATA, "%s: none of the gate's questions became a pair, so nothing can be compared; raise "
                     "repeat.gate.count, or name other sources in repeat.gate.questions", stage->step->title);
}

gboolean
vj_work_gate (VjContext *context, const VjStep *step, GError **error)
{
  g_autofree char *candidate = vj_context_model_dir (context, step->iteration, FALSE);
  gboolean exists;
  Stage stage = {.context = context, .step = step, .rule = rule_of (&context->recipe->gate)};

  if (!vj_made_any (context->store, step->iteration, &exists, error))
    return FALSE;
  stage.pairs = g_ptr_array_new_with_free_func (g_free);
  stage.answers = g_array_new (FALSE, TRUE, sizeof (Answers));
  gboolean good = find_pairs (&stage, error) && vj_step_begin (context, step, stage.pairs->len, error)
                  && (!exists || (judge_both (&stage, candidate, error) && count_all (&stage, error))) && decide (&stage, error)
                  && vj_step_end (context, step, stage.pairs->len, stage.pairs->len, error);
  g_ptr_array_unref (stage.pairs);
  g_array_unref (stage.answers);
  vj_gate_figures_clear (&stage.figures);
  return good;
}

/* -- what came of it ------------------------------------------------------------------------- */

static gboolean
outcome_of (VjStore *store, const VjStep *step, VjGateOutcome *ret_outcome, GError **error)
{
  gboolean known;
  guint refused;
  return vj_gate_outcome (store, step->iteration, &known, ret_outcome, &refused, error)
         && (known || vj_fail (error, VJ_EXIT_BUG, "store: %s is done, but its outcome is missing", step->title));
}

gboolean
vj_step_promoted (VjStore *store, const VjStep *step, gboolean *ret_promoted, GError **error)
{
  VjGateOutcome outcome;
  if (!outcome_of (store, step, &outcome, error))
    return FALSE;
  *ret_promoted = outcome == VJ_GATE_PROMOTED;
  return TRUE;
}

gboolean
vj_step_stops (VjStore *store, const VjStep *step, gboolean *ret_stops, GError **error)
{
  VjGateOutcome outcome;
  if (!outcome_of (store, step, &outcome, error))
    return FALSE;
  *ret_stops = outcome == VJ_GATE_STOPPED;
  return TRUE;
}
