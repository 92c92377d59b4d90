/* A run. */
#include "pipeline/run.h"

#include <jansson.h>
#include <string.h>
#include "pipeline/context.h"

void
vj_run_result_clear (VjRunResult *result)
{
  g_clear_pointer (&result->model, g_free);
}

/* -- what a changed recipe undoes -------------------------------------------------- */

static const VjStep *
find_step (const GPtrArray *plan, guint iteration, const char *name)
{
  for (guint i = 0; i < plan->len; i++) {
    const VjStep *step = plan->pdata[i];
    if (step->iteration == iteration && strcmp (step->name, name) == 0)
      return step;
  }
  return NULL;
}

static guint
last_iteration (const GPtrArray *plan)
{
  guint last = 0;
  for (guint i = 0; i < plan->len; i++)
    last = MAX (last, ((const VjStep *) plan->pdata[i])->iteration);
  return last;
}

static void
append_once (GString *list, const char *path, const char *mark)
{
  g_autofree char *item = g_strdup_printf (", %s%s,", path, mark), *all = g_strdup_printf (", %s,", list->str);
  if (strstr (all, item) == NULL)
    g_string_append_printf (list, "%s%s%s", list->len > 0 ? ", " : "", path, mark);
}

/* What a stage was run with: key path -> digest. New reference; NULL: that is not known. */
static json_t *
old_parts (VjContext *context, const VjStage *stage)
{
  g_autofree char *key = g_strdup_printf ("parts %u %s", stage->iteration, stage->name), *text = NULL;
  return vj_store_meta_get (context->store, key, &text, NULL) && text != NULL ? json_loads (text, 0, NULL) : NULL;
}

/* The key paths whose digests differ between what a stage was run with and what the recipe says now: "why". */
static void
explain_change (VjContext *context, const VjStage *stage, const VjStep *step, GString *why)
{
  json_t *old = old_parts (context, stage), *now = json_loads (step->parts, 0, NULL), *value;
  const char *path;

  json_object_foreach (old != NULL ? now : NULL, path, value)
    if (!json_equal (json_object_get (old, path), value))
      append_once (why, path, "");
  json_object_foreach (old, path, value)
    if (json_object_get (now, path) == NULL)
      append_once (why, path, " (removed)");
  json_decref (old);
  json_decref (now);
}

/* The same for a stage that the recipe no longer has: what no stage reads any more. */
static void
explain_removal (VjContext *context, const GPtrArray *plan, const VjStage *stage, GString *why)
{
  json_t *old = old_parts (context, stage), *value;
  const char *path;

  for (guint i = 0; i < plan->len; i++) {
    json_t *now = json_loads (((const VjStep *) plan->pdata[i])->parts, 0, NULL);
    json_object_foreach (now, path, value)
      json_object_del (old, path);
    json_decref (now);
  }
  json_object_foreach (old, path, value)
    append_once (why, path, " (removed)");
  json_decref (old);
}

static gboolean
forget_stage (VjContext *context, const VjStage *stage, GError **error)
{
  gboolean trains = strcmp (stage->name, "train") == 0 || strcmp (stage->name, VJ_STORE_STAGE_COURSE) == 0;
  return (!trains || vj_context_forget_training (context, stage->iteration, error))
         && vj_store_stage_forget (context->store, stage->iteration, stage->name, error);
}

/* Stages done under another recipe are forgotten, the last first; so are stages the recipe no longer has. */
static gboolean
forget_stale (VjContext *context, const GPtrArray *plan, GError **error)
{
  g_autoptr (GPtrArray) stages = NULL;
  g_autoptr (GString) why = g_string_new (NULL), what = g_string_new (NULL);

  if (!vj_store_stages (context->store, &stages, error))
    return FALSE;
  for (guint i = 0; i < stages->len; i++) {
    const VjStage *stage = stages->pdata[i];
    const VjStep *step = find_step (plan, stage->iteration, stage->name);
    if (step != NULL && strcmp (step->digest, stage->digest) != 0) {
      explain_change (context, stage, step, why);
      g_string_append_printf (what, "%s%s", what->len > 0 ? ", " : "", step->title);
    } else if (step == NULL)
      explain_removal (context, plan, stage, why);
  }
  for (guint i = stages->len; i > 0; i--) {
    const VjStage *stage = stages->pdata[i - 1];
    const VjStep *step = find_step (plan, stage->iteration, stage->name);
    if (step != NULL && strcmp (step->digest, stage->digest) == 0)
      continue;
    if (!vj_store_meta_set (context->store, VJ_RUN_EXPORTED, NULL, error))
      return FALSE;
    if (!forget_stage (context, stage, error))
      return FALSE;
  }
  if (what->len > 0)
    vj_log_write (context->log, VJ_LOG_WARNING, "run", "the recipe changed (%s); these stages run again: %s; replies already "
                  "received are kept", why->len > 0 ? why->str : "an earlier stage", what->str);
  return TRUE;
}

/* The last course's model is called so, whichever it is: another last one takes that name, and the one that was last before
 * needs a name of its own. Both are trained anew, with all that follows. */
static gboolean
move_last_course (VjContext *context, guint from, guint to, GError **error)
{
  g_autoptr (GPtrArray) stages = NULL;

  if (!vj_store_stages_beyond (context->store, MIN (from, to) - 1, &stages, error))
    return FALSE;
  for (guint i = stages->len; i > 0; i--)
    if (!forget_stage (context, stages->pdata[i - 1], error))
      return FALSE;
  if (stages->len > 0)
    vj_log_write (context->log, VJ_LOG_WARNING, "run", "the recipe changed (pretrain.courses): the last course is now number %u, not %u; "
                  "courses from number %u on run again", to, from, MIN (from, to));
  return TRUE;
}

static void
tell_beyond (VjContext *context, guint last, guint to)
{
  vj_log_write (context->log, VJ_LOG_WARNING, "run", "iterations %u to %u are of an earlier run here: the recipe now ends with iteration %u, "
                "so summary and export leave them out; they are kept, and repeat.iterations: %u brings them back", last + 1, to, last, to);
}

/* Iterations beyond the recipe's last are no part of the run, but stay: they are results, and a later recipe may want them
 * again. */
static gboolean
fit_iterations (VjContext *context, const GPtrArray *plan, GError **error)
{
  VjStore *store = context->store;
  guint last = last_iteration (plan), known = vj_store_last (store);
  gboolean pretrains = context->recipe->n_courses > 0, good = TRUE;
  g_autoptr (GPtrArray) beyond = NULL;

  if (!vj_store_stages_beyond (store, last, &beyond, error))
    return FALSE;
  guint to = beyond->len > 0 ? ((const VjStage *) beyond->pdata[beyond->len - 1])->iteration : last;
  if (to > last && !pretrains)
    tell_beyond (context, last, to);
  if (last == known)
    return TRUE;
  if (!vj_store_begin (store, error))
    return FALSE;
  if (pretrains && (known != G_MAXUINT || to > last))
    good = move_last_course (context, known != G_MAXUINT ? known : to, last, error);
  return good && vj_store_meta_set (store, VJ_RUN_EXPORTED, NULL, error) && vj_store_last_set (store, last, error)
         && vj_store_commit (store, error);
}

/* -- the run ---------------------------------------------------------------------------- */

/* Another recipe's run is not undone by a slip in --run-dir. */
static gboolean
check_owner (VjContext *context, GError **error)
{
  g_autofree char *name = NULL, *file = NULL;

  if (!vj_store_meta_get (context->store, "recipe.name", &name, error)
      || !vj_store_meta_get (context->store, "recipe.file", &file, error))
    return FALSE;
  return name == NULL || strcmp (name, context->recipe->name) == 0
         || vj_fail (error, VJ_EXIT_USAGE, "'%s': holds the run of recipe '%s' (%s), not of '%s'; choose another --run-dir, or give the "
                     "recipe the name '%s' to go on with that run", vj_store_dir (context->store), name, file ? file : "?",
                     context->recipe->name, name);
}

static gboolean
note_recipe (VjContext *context, GError **error)
{
  g_autofree char *seed = g_strdup_printf ("%" G_GUINT64_FORMAT, context->recipe->seed);
  g_autofree char *file = g_canonicalize_filename (context->recipe->file, NULL);
  VjRecipeLabels labels = context->recipe->labels;
  const char *ablation = labels != VJ_LABELS_CONSTRUCTION ? vj_recipe_labels_name (labels) : NULL;
  return vj_store_begin (context->store, error) && vj_store_meta_set (context->store, "recipe.name", context->recipe->name, error)
         && vj_store_meta_set (context->store, "recipe.file", file, error)
         && vj_store_meta_set (context->store, "recipe.digest", context->recipe->digest, error)
         && vj_store_ablation_labels (context->store, ablation, error)
         && vj_store_meta_set (context->store, "seed", seed, error) && vj_store_commit (context->store, error);
}

static gboolean
run_step (VjContext *context, const VjStep *step, gboolean *ret_done_before, GError **error)
{
  g_autoptr (VjStage) known = NULL;

  if (!vj_scheduler_go_on (context->stop, error)
      || !vj_store_stage_get (context->store, step->iteration, step->name, &known, error))
    return FALSE;
  *ret_done_before = known != NULL && known->state == VJ_STAGE_DONE;
  vj_step_aim (context, step);
  if (!*ret_done_before && !vj_store_meta_set (context->store, VJ_RUN_EXPORTED, NULL, error))
    return FALSE;
  if (!*ret_done_before && !step->work (context, step, error)) {
    /* A half-written group of a failed stage is dropped; what is committed stays. */
    vj_store_rollback (context->store);
    return FALSE;
  }
  /* A run killed right behind a training has its state still. A course's is what the next one goes on from. */
  if (*ret_done_before && step->work == vj_work_train && !vj_context_forget_training (context, step->iteration, error))
    return FALSE;
  return vj_step_adopt (context, step, error);
}

/* What pretraining made, or the judge as it stands: an iteration that kept no trace made none, and a gate may have refused
 * the last. NULL: it is the recipe's. */
static char *
last_model (const VjContext *context)
{
  const VjRecipe *recipe = context->recipe;
  if (recipe->n_courses > 0)
    return vj_context_model_dir (context, (guint) recipe->n_courses, TRUE);
  const char *path = recipe->iterates ? vj_models_path (context->models, recipe->trainer.model) : NULL;
  return path != NULL && vj_path_lies_in (path, vj_store_dir (context->store)) ? g_strdup (path) : NULL;
}

/* All stages in turn, up to where the gate stops. */
static gboolean
run_all (VjContext *context, const GPtrArray *plan, VjRunResult *result, GError **error)
{
  for (guint i = 0; i < plan->len; i++) {
    const VjStep *step = plan->pdata[i];
    gboolean done_before = FALSE, stops = FALSE;
    if (result->stopped > 0 && step->iteration > result->stopped) {
      result->not_run++;
      continue;
    }
    if (!run_step (context, step, &done_before, error)
        || (step->work == vj_work_gate && !vj_step_stops (context->store, step, &stops, error)))
      return FALSE;
    result->done_before += done_before;
    if (stops)
      result->stopped = step->iteration;
  }
  if (result->not_run > 0)
    vj_log_write (context->log, VJ_LOG_WARNING, "run", "the gate stopped the run at iteration %u: the %u stages of later iterations "
                  "are not run; a larger repeat.gate.patience goes on from there", result->stopped, result->not_run);
  return TRUE;
}

static void
warn_of_labels (const VjContext *context)
{
  if (context->recipe->labels != VJ_LABELS_CONSTRUCTION)
    vj_log_write (context->log, VJ_LOG_WARNING, "run", "ABLATION: iteration.labels is %s, so which verdict counts as right is a coin: this "
                  "run is a control, and its judge has learned nothing true", vj_recipe_labels_name (context->recipe->labels));
}

gboolean
vj_pipeline_run (const VjRunConfig *config, VjRunResult *ret_result, GError **error)
{
  g_autoptr (VjRun) run = vj_run_new (config->recipe->seed, config->log, config->stop);
  g_autoptr (VjModels) models = vj_models_new (config->recipe, run);
  g_autoptr (GPtrArray) plan = vj_plan_new (config->recipe);
  VjContext context = {.recipe = config->recipe, .store = config->store, .models = models, .run = run, .log = config->log,
                       .stop = config->stop, .progress = config->progress};
  VjRunResult result = {.stages = plan->len};

  /* Everything that can be refused comes before anything is undone. */
  if (!check_owner (&context, error) || !vj_context_try (&context, plan, error))
    return FALSE;
  if (!fit_iterations (&context, plan, error) || !forget_stale (&context, plan, error) || !note_recipe (&context, error))
    return FALSE;
  warn_of_labels (&context);
  if (!run_all (&context, plan, &result, error))
    return FALSE;
  if (!vj_store_balance (config->store, VJ_ANY, error) || !vj_store_quarantine_count (config->store, &result.failed, error))
    return FALSE;
  result.model = last_model (&context);
  *ret_result = result;
  return TRUE;
}

static void
run_stage_free (gpointer data)
{
  g_free (((VjRunStage *) data)->title);
  g_free (data);
}

/* Whether the stage is done as the recipe wants it, and its gate stops the run. */
static gboolean
stage_stops (VjStore *store, const VjStep *step, const VjRunStage *stage, gboolean *ret_stops, GError **error)
{
  *ret_stops = FALSE;
  return step->work != vj_work_gate || !stage->done || vj_step_stops (store, step, ret_stops, error);
}

gboolean
vj_pipeline_stages (const VjRecipe *recipe, VjStore *store, GPtrArray **ret_stages, GError **error)
{
  g_autoptr (GPtrArray) plan = vj_plan_new (recipe), stages = g_ptr_array_new_with_free_func (run_stage_free);
  guint stopped = 0;

  for (guint i = 0; i < plan->len; i++) {
    const VjStep *step = plan->pdata[i];
    g_autoptr (VjStage) known = NULL;
    gboolean stops;
    if (!vj_store_stage_get (store, step->iteration, step->name, &known, error))
      return FALSE;
    VjRunStage *stage = g_new0 (VjRunStage, 1);
    g_ptr_array_add (stages, stage);
    stage->title = g_strdup (step->title);
    stage->stale = known != NULL && strcmp (known->digest, step->digest) != 0;
    stage->done = known != NULL && known->state == VJ_STAGE_DONE && !stage->stale;
    stage->stopped = stopped > 0 && step->iteration > stopped;
    if (!stage_stops (store, step, stage, &stops, error))
      return FALSE;
    if (stops && stopped == 0)
      stopped = step->iteration;
  }
  *ret_stages = g_steal_pointer (&stages);
  return TRUE;
}
