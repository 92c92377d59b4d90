/* Stages `filter:NAME`: each filter observes all traces that reached it, then keeps or drops each. */
#include "pipeline/context.h"

#include <string.h>

/* A judgment with all that a filter sees of it. Neighbours share pair and question, so these are kept until
 * another pair's turn comes. */
typedef struct {
  VjStore *store;
  guint samples; /* of each order */
  VjStored *judgment, *pair;
  VjLoaded question;
  VjTrace trace;
} Reader;

static void
reader_clear (Reader *reader)
{
  g_clear_pointer (&reader->judgment, vj_stored_free);
  g_clear_pointer (&reader->pair, vj_stored_free);
  vj_loaded_clear (&reader->question);
}

static gboolean
read_pair (Reader *reader, const char *id, GError **error)
{
  if (reader->pair != NULL && strcmp (reader->pair->record->id, id) == 0)
    return TRUE;
  g_clear_pointer (&reader->pair, vj_stored_free);
  vj_loaded_clear (&reader->question);
  reader->pair = vj_load_stored (reader->store, id, error);
  return reader->pair != NULL && vj_loaded_init (&reader->question, reader->store, reader->pair->record->parents[0], error);
}

static gboolean
read_trace (Reader *reader, const char *id, GError **error)
{
  g_clear_pointer (&reader->judgment, vj_stored_free);
  reader->judgment = vj_load_stored (reader->store, id, error);
  if (reader->judgment == NULL || !read_pair (reader, reader->judgment->record->parents[0], error))
    return FALSE;
  const VjRecord *judgment = reader->judgment->record, *pair = reader->pair->record;
  const char *verdict = vj_record_text (judgment, "verdict");
  reader->trace = (VjTrace){
    .id = judgment->id,
    .pair = pair->id,
    .question = &reader->question.question,
    .chosen = vj_record_text (pair, "chosen"),
    .rejected = vj_record_text (pair, "rejected"),
    .how = vj_record_text (pair, "how"),
    .chosen_is_a = vj_record_flag (judgment, "chosen_is_a"),
    .sample = (guint) vj_record_integer (judgment, "sample"),
    .verdict = strcmp (verdict, "A") == 0 ? VJ_VERDICT_A : strcmp (verdict, "B") == 0 ? VJ_VERDICT_B : VJ_VERDICT_UNPARSED,
    .right = vj_record_flag (judgment, "right"),
    .text = vj_record_text (judgment, "text"),
    .samples = reader->samples,
  };
  return TRUE;
}

static gboolean
observe_all (VjContext *context, const VjStep *step, VjInstance *filter, Reader *reader, const VjInputs *inputs, GError **error)
{
  const VjFilterOps *ops = VJ_INSTANCE_OPS (filter, VjFilterOps);
  for (guint i = 0; ops->observe != NULL && i < inputs->open->len; i++) {
    const char *id = inputs->open->pdata[i];
    if (!read_trace (reader, id, error))
      return FALSE;
    vj_run_aim (context->run, step->name, id, 1, i, 0);
    if (VJ_INSTANCE_FLOW (filter, VjFilterOps, observe, VJ_FLOWS_OK, error, context->run, &reader->trace) == VJ_FLOW_ERROR)
      return FALSE;
  }
  return TRUE;
}

static gboolean
keep_one (VjContext *context, const VjStep *step, VjInstance *filter, Reader *reader, const char *id, guint index,
          gint64 *kept, GError **error)
{
  g_autofree char *reason = NULL;

  if (!read_trace (reader, id, error))
    return FALSE;
  vj_run_aim (context->run, step->name, id, 0, index, 0);
  VjFlow flow = VJ_INSTANCE_FLOW (filter, VjFilterOps, keep, VJ_FLOWS_SKIP, error, context->run, &reader->trace, &reason);
  if (flow == VJ_FLOW_ERROR)
    return FALSE;
  if (flow != VJ_FLOW_OK)
    return vj_store_record_fate (context->store, id, VJ_FATE_DROPPED, step->name, reason ? reason : "no reason given", error);
  (*kept)++;
  return !step->last_filter || vj_store_record_fate (context->store, id, VJ_FATE_KEPT, step->name, NULL, error);
}

/* One group for all fates: a filter's counts cover the whole set, so half a filter must not survive a crash. */
static gboolean
keep_all (VjContext *context, const VjStep *step, VjInstance *filter, Reader *reader, const VjInputs *inputs, gint64 *kept,
          GError **error)
{
  if (!vj_store_begin (context->store, error))
    return FALSE;
  for (guint i = 0; i < inputs->open->len; i++) {
    if (!vj_scheduler_go_on (context->stop, error)
        || !keep_one (context, step, filter, reader, inputs->open->pdata[i], i, kept, error)) {
      vj_store_rollback (context->store);
      return FALSE;
    }
    if (i % 100 == 0)
      vj_context_progress (context, step, VJ_PROGRESS_STEP, "traces", i, inputs->open->len, NULL);
  }
  return vj_store_commit (context->store, error);
}

gboolean
vj_work_filter (VjContext *context, const VjStep *step, GError **error)
{
  const VjRecipePlugin *entry = &context->recipe->filters[step->index];
  g_autoptr (VjInstance) filter = NULL;
  g_auto (VjInputs) inputs = {0};
  Reader reader = {.store = context->store, .samples = (guint) context->recipe->judge.samples};
  gint64 kept = 0;

  vj_run_aim (context->run, step->name, "start", 0, 0, 0);
  filter = vj_instance_new (entry->plugin, entry->node, NULL, context->run, error);
  if (filter == NULL || !vj_inputs_init (&inputs, context, step, VJ_RECORD_JUDGMENT, "judge", NULL, error)
      || !vj_step_begin (context, step, inputs.in, error))
    return FALSE;
  /* Killed after the commit and before the stage was noted as done: all is decided already. */
  gboolean decided = inputs.open->len < (guint64) inputs.in;
  if (decided && !step->last_filter)
    kept = inputs.open->len;
  vj_context_progress (context, step, VJ_PROGRESS_BEGIN, "traces", 0, (guint64) inputs.in, NULL);
  gboolean good = decided
                  || (observe_all (context, step, filter, &reader, &inputs, error)
                      && keep_all (context, step, filter, &reader, &inputs, &kept, error));
  reader_clear (&reader);
  if (!good)
    return FALSE;
  vj_context_progress (context, step, VJ_PROGRESS_END, "traces", (guint64) inputs.in, (guint64) inputs.in, NULL);
  return vj_step_end (context, step, inputs.in, inputs.kept + kept, error);
}
