/* Bookkeeping of one stage. */
#include "pipeline/context.h"

#include <string.h>

static gboolean
put (VjContext *context, const VjStep *step, VjStageState state, gint64 n_in, gint64 n_kept, GError **error)
{
  VjStage stage = {.iteration = step->iteration, .name = step->name, .digest = step->digest, .state = state, .n_in = n_in,
                   .n_kept = n_kept};
  g_autofree char *key = g_strdup_printf ("parts %u %s", step->iteration, step->name);
  return vj_store_stage_put (context->store, &stage, error)
         && vj_store_meta_set (context->store, key, step->parts, error);
}

void
vj_step_aim (VjContext *context, const VjStep *step)
{
  const VjRecipe *recipe = context->recipe;
  gboolean judged = recipe->iterates && recipe->judge.plugin != NULL, own = step->held_out && recipe->gate.n_questions > 0;
  VjRunPlan plan = {.orders = !judged ? 0 : recipe->judge.orders == VJ_ORDERS_BOTH ? 2 : 1,
                    .samples = judged ? (guint) recipe->judge.samples : 0,
                    .gold_needed = recipe->gold_filter && recipe->n_questions == 1 && !own, /* the gate is made without gold */
                    .fresh_weights = step->work == vj_work_course && step->index == 0};
  vj_run_set_plan (context->run, &plan);
}

gboolean
vj_step_begin (VjContext *context, const VjStep *step, gint64 n_in, GError **error)
{
  return put (context, step, VJ_STAGE_RUNNING, n_in, 0, error);
}

gboolean
vj_step_end (VjContext *context, const VjStep *step, gint64 n_in, gint64 n_kept, GError **error)
{
  if (vj_store_in_group (context->store) && !vj_store_commit (context->store, error))
    return FALSE;
  return put (context, step, VJ_STAGE_DONE, n_in, n_kept, error)
         && vj_store_balance (context->store, (int) step->iteration, error);
}

gboolean
vj_step_drop (VjContext *context, const VjStep *step, const VjUnit *unit, gboolean failed, GError **error)
{
  if (failed || unit->failure != NULL)
    return vj_store_quarantine (context->store, unit->id, step->name, unit->reason, step->title, unit->failure, error);
  return vj_store_record_fate (context->store, unit->id, VJ_FATE_DROPPED, step->name, unit->reason, error);
}

gboolean
vj_inputs_init (VjInputs *inputs, VjContext *context, const VjStep *step, VjRecordKind kind, const char *made_by,
                gboolean (*fits) (const VjRecord *), GError **error)
{
  VjStoreQuery query = VJ_STORE_QUERY_ALL;
  VjInputs found = {.open = g_ptr_array_new_with_free_func (g_free)};
  gboolean good;

  query.iteration = (int) step->iteration;
  query.kind = (int) kind;
  query.stage = made_by;
  g_autoptr (VjStoreCursor) cursor = vj_store_walk (context->store, &query);
  for (;;) {
    g_autoptr (VjStored) stored = NULL;
    good = vj_store_walk_next (cursor, &stored, error);
    if (!good || stored == NULL)
      break;
    gboolean mine = g_strcmp0 (stored->fate_stage, step->name) == 0;
    if ((stored->fate != VJ_FATE_OPEN && !mine) || (fits != NULL && !fits (stored->record)))
      continue;
    found.in++;
    found.kept += mine && stored->fate == VJ_FATE_KEPT;
    if (stored->fate == VJ_FATE_OPEN)
      g_ptr_array_add (found.open, g_strdup (stored->record->id));
  }
  if (good)
    *inputs = found;
  else
    vj_inputs_clear (&found);
  return good;
}

void
vj_inputs_clear (VjInputs *inputs)
{
  g_clear_pointer (&inputs->open, g_ptr_array_unref);
}

gboolean
vj_path_lies_in (const char *path, const char *dir)
{
  g_autofree char *inner = g_canonicalize_filename (path, NULL), *outer = g_canonicalize_filename (dir, NULL);
  gsize length = strlen (outer);
  return g_str_has_prefix (inner, outer) && (inner[length] == '\0' || inner[length] == '/' || length == 1);
}

VjModel *
vj_context_model (VjContext *context, const char *name, GError **error)
{
  const char *path = vj_models_path (context->models, name);
  gboolean own = path != NULL && vj_path_lies_in (path, vj_store_dir (context->store));
  g_autofree char *made = NULL, *key = NULL, *known = NULL;

  if (own && !vj_made_check (context, path, &made, error))
    return NULL;
  VjModel *model = vj_models_open (context->models, name, error);
  if (model == NULL || path == NULL)
    return model;
  /* Options are part of an identity. A changed entry has its stages run again, so it may begin with another one; what the run
   * trains itself is another one when its stage is done anew. */
  key = g_strdup_printf ("identity %s %s", vj_recipe_model (context->recipe, name)->backend.digest, own ? made : path);
  if (!vj_store_meta_get (context->store, key, &known, error))
    return NULL;
  if (known == NULL)
    return vj_store_meta_set (context->store, key, model->identity, error) ? model : NULL;
  if (strcmp (known, model->identity) == 0)
    return model;
  vj_fail (error, VJ_EXIT_DATA, "models.%s: '%s': it is not the model this run began with: %s, or the numbers "
           "it computes with, have changed; put that one back, or start a new run with --run-dir", name, path,
           own ? "its files are those that were made, but what they adapt" : "its files");
  return NULL;
}

VjScheduler
vj_context_scheduler (const VjContext *context)
{
  return (VjScheduler){.store = context->store, .models = context->models, .run = context->run,
                       .seed = context->recipe->seed, .stop = context->stop, .progress = context->progress};
}

void
vj_context_progress (const VjContext *context, const VjStep *step, VjProgressKind kind, const char *unit, guint64 done,
                     guint64 total, const char *note)
{
  VjProgressEvent event = {.kind = kind, .stage = step->title, .unit = unit, .done = done, .total = total, .note = note};
  vj_progress_report (context->progress, &event);
}
