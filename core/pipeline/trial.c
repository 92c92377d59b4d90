/* What can be told before any work is done: does every plugin of the stages to come start, and is every model there?
 *
 * Backends are not started: a model may take minutes to load and all the memory there is. Of these their directories are
 * looked for. All other plugins are started and stopped again, which is cheap by contract. */
#include "pipeline/context.h"
#include "pipeline/run.h"

#include <string.h>
#include "recipe/problems.h"
#include "report/statistics.h"

typedef struct {
  VjContext *context; /* store NULL: nothing is done yet */
  VjProblems problems;
  GHashTable *tried;  /* key paths and directories that were looked at: each is told once */
  GHashTable *paths;  /* model name -> directory as of this stage; "": one that is not made yet */
  char *made, *maker; /* directory of the model that a done training made and that stands, and its stage's title */
  char *candidate;    /* directory of the last training that is done, for its gate; NULL: none */
  char *candidate_maker;
} Trial;

static void
problem (Trial *trial, VjExit exit, const VjNode *node, const char *format, ...)
{
  g_autofree char *where = node != NULL ? vj_node_where (node) : NULL;
  GError *error = NULL;
  va_list args;

  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  vj_fail (&error, exit, "%s%s%s", where ? where : "", where ? ": " : "", text);
  vj_problem_error (&trial->problems, error);
}

static gboolean
first_time (Trial *trial, const char *what)
{
  return g_hash_table_add (trial->tried, g_strdup (what));
}

static void
try_plugin (Trial *trial, const VjRecipePlugin *entry)
{
  GError *error = NULL;

  if (entry->plugin == NULL || !first_time (trial, entry->path))
    return;
  vj_run_aim (trial->context->run, "check", entry->path, 0, 0, 0);
  VjInstance *instance = vj_instance_new (entry->plugin, entry->node, NULL, trial->context->run, &error);
  if (instance == NULL)
    vj_problem_error (&trial->problems, error);
  vj_instance_free (instance);
}

static void
need_made (Trial *trial, const char *dir, const char *maker)
{
  GError *error = NULL;

  if (!first_time (trial, dir))
    return;
  if (!g_file_test (dir, G_FILE_TEST_IS_DIR))
    problem (trial, VJ_EXIT_DATA, NULL, "%s: '%s': the model that it made is missing; put it back, or start a new run with --run-dir",
             maker, dir);
  else if (!vj_made_check (trial->context, dir, NULL, &error)) {
    g_prefix_error (&error, "%s: ", maker);
    vj_problem_error (&trial->problems, error);
  }
}

/* The directory of model `name` as this stage finds it. */
static void
need_model (Trial *trial, const char *name)
{
  const VjRecipeModel *model = name != NULL ? vj_recipe_model (trial->context->recipe, name) : NULL;
  const char *made = name != NULL ? g_hash_table_lookup (trial->paths, name) : NULL;
  const char *path = vj_models_path (trial->context->models, name);

  if (made != NULL && *made != '\0')
    need_made (trial, made, trial->maker);
  if (made != NULL || path == NULL || model == NULL || g_file_test (path, G_FILE_TEST_IS_DIR)
      || !first_time (trial, model->backend.path))
    return;
  const VjNode *node = vj_node_get (model->backend.node, "path");
  if (g_file_test (path, G_FILE_TEST_EXISTS))
    problem (trial, VJ_EXIT_DATA, node, "'%s': it is a file, but a model is a directory; mend the path", path);
  else
    problem (trial, VJ_EXIT_DATA, node, "'%s': there is no such model; mend the path, or put the model there", path);
}

static void
try_evaluator (Trial *trial, const VjStep *step)
{
  const VjRecipe *recipe = trial->context->recipe;
  const VjRecipePlugin *entry = &recipe->evaluators[step->index];
  const VjEvaluatorOps *ops = entry->plugin->ops;
  const char *model = entry->model != NULL ? entry->model : recipe->judge.model;

  try_plugin (trial, entry);
  if (ops->ask == NULL)
    try_plugin (trial, &recipe->judge);
  need_model (trial, model);
}

/* Replay asks again what made the pairs. */
static void
try_replay (Trial *trial)
{
  const VjRecipe *recipe = trial->context->recipe;
  try_plugin (trial, &recipe->sampler);
  need_model (trial, recipe->sampler.model);
  for (gsize i = 0; i < recipe->n_injectors; i++) {
    try_plugin (trial, &recipe->injectors[i]);
    need_model (trial, recipe->injectors[i].model);
  }
}

static void
try_trainer (Trial *trial)
{
  const VjRecipePlugin *entry = &trial->context->recipe->trainer;
  if (vj_models_path (trial->context->models, entry->model) == NULL)
    problem (trial, VJ_EXIT_RECIPE, entry->node, "model '%s' has no `path`, so it cannot be trained; name one that has",
             entry->model ? entry->model : "(none)");
  need_model (trial, entry->model);
  try_plugin (trial, entry);
  if (entry->replay > 0)
    try_replay (trial);
}

static void
try_course (Trial *trial, const VjStep *step)
{
  const VjRecipe *recipe = trial->context->recipe;
  const VjRecipeCourse *course = &recipe->courses[step->index];

  for (gsize i = 0; i < course->n_lessons; i++)
    try_plugin (trial, &course->lessons[i]);
  try_plugin (trial, &course->train);
  if (step->index == 0 && !g_file_test (recipe->pretrain_init, G_FILE_TEST_IS_DIR))
    problem (trial, VJ_EXIT_DATA, vj_node_get (vj_node_get (recipe->root, "pretrain"), "init"), "'%s': there is no such model "
             "directory; mend the path, or put the model there", recipe->pretrain_init);
  else if (step->index > 0 && trial->made != NULL)
    need_made (trial, trial->made, trial->maker);
}

static void
try_questions (Trial *trial, const VjStep *step)
{
  const VjRecipe *recipe = trial->context->recipe;
  gboolean own = step->held_out && recipe->gate.n_questions > 0;
  for (gsize i = 0; i < (own ? recipe->gate.n_questions : recipe->n_questions); i++)
    try_plugin (trial, own ? &recipe->gate.questions[i] : &recipe->questions[i]);
}

static void
need_generator (Trial *trial, const char *name)
{
  need_model (trial, name != NULL ? vj_recipe_generator (trial->context->recipe, name) : NULL);
}

/* The held-out set has one pair a question at most. */
static void
try_gate_size (Trial *trial)
{
  const VjRecipe *recipe = trial->context->recipe;
  const VjRecipeGate *gate = &recipe->gate;
  const VjNode *node = vj_node_get (vj_node_get (recipe->root, "repeat"), "gate"), *limit;
  guint64 least = vj_statistics_mcnemar_least (gate->alpha), most = 0;
  gboolean floors = gate->min_consistency > 0 || gate->min_parsed > 0, better = gate->promote == VJ_PROMOTE_BETTER;

  for (gsize i = 0; i < gate->n_questions; i++)
    most += (guint64) (gate->questions[i].count > 0 ? MIN (gate->questions[i].count, gate->count) : gate->count);
  if (gate->n_questions == 0)
    most = (guint64) gate->count * recipe->n_questions;
  limit = vj_node_get (node, gate->n_questions > 0 ? "questions" : "count");
  if (most < least && (better || !floors) && first_time (trial, "the size of the gate"))
    problem (trial, VJ_EXIT_RECIPE, limit != NULL ? limit : node, "the gate has at most %" G_GUINT64_FORMAT " pairs, and fewer than %"
             G_GUINT64_FORMAT " can never be significant at alpha %g, so it could never %s; raise count or alpha", most, least,
             gate->alpha, better ? "promote a candidate" : "refuse a candidate");
}

static void
try_gate (Trial *trial)
{
  try_gate_size (trial);
  try_plugin (trial, &trial->context->recipe->judge);
  need_model (trial, trial->context->recipe->trainer.model);
  if (trial->candidate != NULL)
    need_made (trial, trial->candidate, trial->candidate_maker);
}

/* All that one stage will need. */
static void
try_step (Trial *trial, const VjStep *step)
{
  const VjRecipe *recipe = trial->context->recipe;

  vj_step_aim (trial->context, step);
  if (step->work == vj_work_questions) {
    try_questions (trial, step);
  } else if (step->work == vj_work_respond) {
    need_generator (trial, recipe->respond.model);
  } else if (step->work == vj_work_inject) {
    for (gsize i = 0; i < recipe->n_injectors; i++) {
      try_plugin (trial, &recipe->injectors[i]);
      need_generator (trial, recipe->injectors[i].model);
    }
  } else if (step->work == vj_work_sample) {
    try_plugin (trial, &recipe->sampler);
    need_generator (trial, recipe->sampler.model);
  } else if (step->work == vj_work_judge || step->work == vj_work_audit_images) {
    try_plugin (trial, &recipe->judge);
    need_model (trial, recipe->judge.model);
  } else if (step->work == vj_work_filter) {
    try_plugin (trial, &recipe->filters[step->index]);
  } else if (step->work == vj_work_train) {
    try_trainer (trial);
  } else if (step->work == vj_work_gate) {
    try_gate (trial);
  } else if (step->work == vj_work_course) {
    try_course (trial, step);
  } else if (step->work == vj_work_evaluate) {
    try_evaluator (trial, step);
  }
}

static void
set_path (Trial *trial, const char *name, const char *path)
{
  if (name != NULL)
    g_hash_table_insert (trial->paths, g_strdup (name), g_strdup (path));
}

/* With a gate a training makes a candidate, if it keeps any trace. */
static void
pass_candidate (Trial *trial, const VjStep *step, gboolean made)
{
  g_free (trial->candidate);
  g_free (trial->candidate_maker);
  trial->candidate = made ? vj_context_model_dir (trial->context, step->iteration, FALSE) : NULL;
  trial->candidate_maker = made ? g_strdup (step->title) : NULL;
}

/* Which model the stages behind a gate find: the candidate, the judge as it was, or one that is not known yet. */
static gboolean
pass_gate (Trial *trial, const VjStep *step, gboolean done, gboolean *ret_stops, GError **error)
{
  const char *name = trial->context->recipe->trainer.model;
  gboolean promoted = FALSE;

  if (!done) {
    set_path (trial, name, "");
    return TRUE;
  }
  if (!vj_step_promoted (trial->context->store, step, &promoted, error)
      || !vj_step_stops (trial->context->store, step, ret_stops, error))
    return FALSE;
  if (promoted && trial->candidate != NULL) {
    g_free (trial->made);
    g_free (trial->maker);
    trial->made = g_steal_pointer (&trial->candidate);
    trial->maker = g_steal_pointer (&trial->candidate_maker);
    set_path (trial, name, trial->made);
  }
  return TRUE;
}

/* Which model the stages behind a training find: the one it made, or one that is still to come. */
static void
pass_training (Trial *trial, const VjStep *step, gboolean done, gint64 kept)
{
  const VjRecipe *recipe = trial->context->recipe;
  gboolean course = step->work == vj_work_course, last = course && step->index + 1 == recipe->n_courses;

  if (step->work != vj_work_train && !course)
    return;
  if (step->work == vj_work_train && recipe->gate.present) {
    pass_candidate (trial, step, done && kept > 0);
    return;
  }
  if (done && kept == 0)
    return; /* no trace was kept: the judge stays as it was */
  g_clear_pointer (&trial->made, g_free);
  g_clear_pointer (&trial->maker, g_free);
  if (done) {
    trial->made = vj_context_model_dir (trial->context, step->iteration, last);
    trial->maker = g_strdup (step->title);
  }
  const char *path = done ? trial->made : "";
  if (!course)
    set_path (trial, recipe->trainer.model, path);
  else if (last)
    set_path (trial, recipe->judge.model, path);
  for (gsize i = 0; last && i < recipe->n_evaluators; i++)
    set_path (trial, recipe->evaluators[i].model, path);
}

static gboolean
try_all (Trial *trial, const GPtrArray *plan, GError **error)
{
  gboolean all_done = TRUE, stops = FALSE;
  guint stopped = G_MAXUINT;

  for (guint i = 0; i < plan->len; i++) {
    const VjStep *step = plan->pdata[i];
    g_autoptr (VjStage) known = NULL;
    if (step->iteration > stopped)
      break;
    if (trial->context->store != NULL
        && !vj_store_stage_get (trial->context->store, step->iteration, step->name, &known, error))
      return FALSE;
    gboolean done = known != NULL && known->state == VJ_STAGE_DONE && strcmp (known->digest, step->digest) == 0;
    if (!done)
      try_step (trial, step);
    all_done &= done;
    pass_training (trial, step, done, known != NULL ? known->n_kept : 0);
    if (step->work == vj_work_gate && !pass_gate (trial, step, done, &stops, error))
      return FALSE;
    if (stops)
      stopped = MIN (stopped, step->iteration);
  }
  if (all_done && trial->made != NULL)
    need_made (trial, trial->made, trial->maker);
  return TRUE;
}

gboolean
vj_context_try (VjContext *context, const GPtrArray *plan, GError **error)
{
  Trial trial = {.context = context};

  trial.tried = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  trial.paths = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  gboolean good = try_all (&trial, plan, error);
  if (!vj_problems_done (&trial.problems, good ? error : NULL))
    good = FALSE;
  g_hash_table_unref (trial.tried);
  g_hash_table_unref (trial.paths);
  g_free (trial.made);
  g_free (trial.maker);
  g_free (trial.candidate);
  g_free (trial.candidate_maker);
  return good;
}

gboolean
vj_pipeline_try (const VjRecipe *recipe, VjLog *log, GError **error)
{
  g_autoptr (VjRun) run = vj_run_new (recipe->seed, log, NULL);
  g_autoptr (VjModels) models = vj_models_new (recipe, run);
  g_autoptr (GPtrArray) plan = vj_plan_new (recipe);
  VjContext context = {.recipe = recipe, .models = models, .run = run, .log = log};
  return vj_context_try (&context, plan, error);
}
