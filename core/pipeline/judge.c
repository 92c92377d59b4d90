/* Stage `judge`: the current judge judges each new pair. */
#include "pipeline/judging.h"

typedef struct {
  VjContext *context;
  const VjStep *step;
  VjJudging judging;
  VjModel *model;
  VjInputs inputs;
  guint at;
  gint64 kept;
} Stage;

static void
item_free (VjUnit *unit)
{
  vj_judging_item_done ((VjJudgingItem *) unit);
  g_free (unit);
}

static gboolean
next_pair (gpointer self, VjUnit **ret_unit, GError **error)
{
  Stage *stage = self;
  if (stage->at == stage->inputs.open->len) {
    *ret_unit = NULL;
    return TRUE;
  }
  VjJudgingItem *item = vj_judging_item_new (stage->inputs.open->pdata[stage->at++]);
  if (!vj_judging_item_load (item, stage->context->store, error)) {
    item_free (&item->unit);
    return FALSE;
  }
  item->unit.model = stage->model;
  *ret_unit = &item->unit;
  return TRUE;
}

static VjFlow
judge_ask (gpointer self, VjRun *run, VjUnit *unit, const VjReplies *so_far, VjAsk *ask, GError **error)
{
  (void) so_far;
  return vj_judging_ask (&((Stage *) self)->judging, run, (VjJudgingItem *) unit, ask, error);
}

static VjFlow
judge_tell (gpointer self, VjRun *run, VjUnit *unit, const VjReplies *replies, GError **error)
{
  return vj_judging_tell (&((Stage *) self)->judging, run, (VjJudgingItem *) unit, replies, error);
}

static gboolean
judge_settle (gpointer self, VjUnit *unit, VjFlow flow, GError **error)
{
  Stage *stage = self;
  VjJudgingItem *item = (VjJudgingItem *) unit;
  VjStore *store = stage->context->store;

  if (flow != VJ_FLOW_OK)
    return vj_step_drop (stage->context, stage->step, unit, FALSE, error);
  for (guint i = 0; i < item->judged->len; i++) {
    g_autoptr (VjRecord) record = vj_judging_record (item, i, stage->step->iteration, TRUE);
    if (!vj_store_record_put (store, stage->step->name, record, error))
      return FALSE;
    /* Without filters every judgment is a trace: nothing else would decide its fate. */
    if (stage->context->recipe->n_filters == 0
        && !vj_store_record_fate (store, record->id, VJ_FATE_KEPT, "no filters", NULL, error))
      return FALSE;
  }
  stage->kept++;
  return vj_store_record_fate (store, unit->id, VJ_FATE_KEPT, stage->step->name, NULL, error);
}

gboolean
vj_work_judge (VjContext *context, const VjStep *step, GError **error)
{
  const VjRecipePlugin *entry = &context->recipe->judge;
  g_autoptr (VjInstance) judge = NULL;
  VjScheduler scheduler = vj_context_scheduler (context);
  Stage stage = {.context = context, .step = step};

  vj_run_aim (context->run, "judge", "start", 0, 0, 0);
  judge = vj_instance_new (entry->plugin, entry->node, NULL, context->run, error);
  if (judge == NULL || (stage.model = vj_context_model (context, entry->model, error)) == NULL
      || !vj_inputs_init (&stage.inputs, context, step, VJ_RECORD_PAIR, NULL, NULL, error))
    return FALSE;
  stage.judging = (VjJudging){.judge = judge, .samples = (guint) entry->samples, .both = entry->orders == VJ_ORDERS_BOTH,
                              .seed = context->recipe->seed, .labels = context->recipe->labels};
  VjWork work = {.stage = "judge", .title = step->title, .unit = "pairs", .total = (guint64) stage.inputs.in,
                 .done = (guint64) stage.inputs.in - stage.inputs.open->len, .self = &stage, .next = next_pair,
                 .ask = judge_ask, .tell = judge_tell, .settle = judge_settle, .unit_free = item_free};
  gboolean good = vj_step_begin (context, step, stage.inputs.in, error)
                  && vj_step_note_model (context, step, entry->model, stage.model, error) && vj_scheduler_run (&scheduler, &work, error)
                  && vj_step_end (context, step, stage.inputs.in, stage.inputs.kept + stage.kept, error);
  vj_inputs_clear (&stage.inputs);
  return good;
}
