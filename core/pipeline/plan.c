/* The stages a recipe asks for, in order, each with the digest of all that decides its result.
 *
 * A stage's digest chains over the stages before it, so a change in the recipe changes the digests from the first
 * stage it touches on, and of no stage before. Evaluations and audits hang off the chain: nothing depends on them. So do
 * gates: but for the evaluation behind it, what depends on one depends on its outcome alone. Options of `repeat` are part
 * where they differ from the default, so that a run without them is the same as before there were any. */
#include "pipeline/context.h"

#include <jansson.h>
#include <string.h>
#include "report/gate.h"

typedef struct {
  const VjRecipe *recipe;
  GPtrArray *steps;
  char *chain; /* digest of the steps so far */
  json_t *parts;
} Plan;

static void
step_free (gpointer data)
{
  VjStep *step = data;
  g_free (step->name);
  g_free (step->title);
  g_free (step->digest);
  g_free (step->parts);
  g_free (step);
}

static void
part (Plan *plan, const char *path, const char *digest)
{
  json_object_set_new (plan->parts, path, json_string (digest));
}

static void
part_model (Plan *plan, const char *name)
{
  const VjRecipeModel *model = name != NULL ? vj_recipe_model (plan->recipe, name) : NULL;
  if (model == NULL)
    return;
  g_autofree char *path = g_strconcat ("models.", name, NULL);
  part (plan, path, model->backend.digest);
}

static void
part_plugin (Plan *plan, const VjRecipePlugin *entry)
{
  part (plan, entry->path, entry->digest);
  part_model (plan, entry->model);
}

/* The model of a generating role. */
static void
part_generator (Plan *plan, const char *name)
{
  const char *asked = name != NULL ? vj_recipe_generator (plan->recipe, name) : NULL;
  if (asked != NULL && asked != name) {
    part (plan, "repeat.generator", "judge");
    part_model (plan, asked);
  }
}

static void
part_gate_option (gpointer data, const char *name, const char *value)
{
  g_autofree char *path = g_strconcat ("repeat.gate.", name, NULL);
  if (strcmp (name, "count") != 0) /* which decides the set, not the comparison */
    part (data, path, value);
}

/* Adds a step of the parts gathered since the last one. Takes `name` and `title`. */
static VjStep *
add (Plan *plan, guint iteration, char *name, char *title, gboolean chained,
     gboolean (*work) (VjContext *, const VjStep *, GError **))
{
  VjStep *step = g_new0 (VjStep, 1);
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);

  step->iteration = iteration;
  step->name = name;
  step->title = title;
  step->work = work;
  step->parts = vj_json_canonical (plan->parts);
  g_checksum_update (sum, (const guchar *) plan->chain, -1);
  g_checksum_update (sum, (const guchar *) name, (gssize) strlen (name) + 1);
  g_checksum_update (sum, (const guchar *) step->parts, -1);
  step->digest = g_strdup (g_checksum_get_string (sum));
  if (chained) {
    g_free (plan->chain);
    plan->chain = g_strdup (step->digest);
  }
  json_object_clear (plan->parts);
  g_ptr_array_add (plan->steps, step);
  return step;
}

static VjStep *
add_of_iteration (Plan *plan, guint iteration, const char *name, gboolean (*work) (VjContext *, const VjStep *, GError **))
{
  return add (plan, iteration, g_strdup (name), g_strdup_printf ("iteration %u: %s", iteration, name), TRUE, work);
}

/* A stage that makes pairs: of an iteration, or (0) of the gate's held-out set. */
static VjStep *
add_of_pairs (Plan *plan, guint iteration, const char *name, gboolean (*work) (VjContext *, const VjStep *, GError **))
{
  if (iteration > 0)
    return add_of_iteration (plan, iteration, name, work);
  VjStep *step = add (plan, 0, g_strconcat (VJ_STORE_STAGE_GATE_SET, name, NULL), g_strdup_printf ("gate: %s", name), TRUE, work);
  step->held_out = TRUE;
  return step;
}

/* "filter:dedup", and "filter:dedup#2" where the recipe names the plugin again. */
static char *
entry_name (const char *kind, const VjRecipePlugin *entries, gsize index)
{
  guint before = 0;
  for (gsize i = 0; i < index; i++)
    before += strcmp (entries[i].name, entries[index].name) == 0;
  return before == 0 ? g_strdup_printf ("%s:%s", kind, entries[index].name)
                     : g_strdup_printf ("%s:%s#%u", kind, entries[index].name, before + 1);
}

/* `gate`: the step that says who is measured; NULL: there is none. */
static void
add_evaluations (Plan *plan, guint iteration, const char *label, const VjStep *gate)
{
  const VjRecipe *recipe = plan->recipe;
  for (gsize i = 0; i < recipe->n_evaluators; i++) {
    char *name = entry_name ("evaluate", recipe->evaluators, i);
    part_plugin (plan, &recipe->evaluators[i]);
    if (recipe->judge.plugin != NULL)
      part_plugin (plan, &recipe->judge);
    if (gate != NULL)
      part (plan, "repeat.gate", gate->digest);
    VjStep *step = add (plan, iteration, name, g_strdup_printf ("%s: %s", label, name), FALSE, vj_work_evaluate);
    step->index = (guint) i;
  }
}

static void
part_sources (Plan *plan, gboolean held_out)
{
  const VjRecipe *recipe = plan->recipe;
  const VjRecipeGate *gate = &recipe->gate;
  gboolean own = held_out && gate->n_questions > 0;
  g_autofree char *count = g_strdup_printf ("%" G_GINT64_FORMAT, gate->count);

  for (gsize i = 0; i < (own ? gate->n_questions : recipe->n_questions); i++)
    part_plugin (plan, own ? &gate->questions[i] : &recipe->questions[i]);
  if (held_out)
    part (plan, "repeat.gate.count", count);
  else if (gate->present) /* questions that it holds out are left out */
    part (plan, "repeat.gate", "present");
  part (plan, "iteration.open_ended", recipe->respond.model != NULL ? "present" : "absent");
  part (plan, "iteration.closed_form", recipe->sampler.plugin != NULL ? "present" : "absent");
}

/* Of an iteration, or (0) of the gate's held-out set. */
static void
add_pairs (Plan *plan, guint iteration)
{
  const VjRecipe *recipe = plan->recipe;

  part_sources (plan, iteration == 0);
  add_of_pairs (plan, iteration, "questions", vj_work_questions);
  if (recipe->respond.model != NULL) {
    part (plan, "iteration.open_ended.respond", recipe->respond.digest);
    part_model (plan, recipe->respond.model);
    part_generator (plan, recipe->respond.model);
    add_of_pairs (plan, iteration, "respond", vj_work_respond);
    for (gsize i = 0; i < recipe->n_injectors; i++) {
      part_plugin (plan, &recipe->injectors[i]);
      part_generator (plan, recipe->injectors[i].model);
    }
    add_of_pairs (plan, iteration, "inject", vj_work_inject);
  }
  if (recipe->sampler.plugin != NULL) {
    part_plugin (plan, &recipe->sampler);
    part_generator (plan, recipe->sampler.model);
    if (recipe->gold_filter && iteration > 0) /* the gate's pairs are made without gold, whatever is trained on */
      part (plan, "iteration.closed_form.gold", "filter");
    add_of_pairs (plan, iteration, "sample", vj_work_sample);
  }
}

static void
add_filters (Plan *plan, guint iteration)
{
  const VjRecipe *recipe = plan->recipe;

  for (gsize i = 0; i < recipe->n_filters; i++) {
    g_autofree char *name = entry_name ("filter", recipe->filters, i);
    part_plugin (plan, &recipe->filters[i]);
    /* The last one keeps what the others only let pass. */
    if (i + 1 == recipe->n_filters)
      part (plan, "iteration.filters.last", "yes");
    VjStep *step = add_of_iteration (plan, iteration, name, vj_work_filter);
    step->index = (guint) i;
    step->last_filter = i + 1 == recipe->n_filters;
  }
}

/* Gives the gate's step; NULL: there is none. */
static const VjStep *
add_training (Plan *plan, guint iteration)
{
  const VjRecipe *recipe = plan->recipe;

  part_plugin (plan, &recipe->trainer);
  if (iteration > 1 && recipe->repeat.train_from == VJ_TRAIN_FROM_BASE)
    part (plan, "repeat.train_from", "base");
  if (iteration > 1 && recipe->repeat.traces == VJ_TRACES_ALL)
    part (plan, "repeat.traces", "all");
  add_of_iteration (plan, iteration, "train", vj_work_train);
  if (!recipe->gate.present)
    return NULL;
  part_plugin (plan, &recipe->judge);
  vj_recipe_repeat_options (recipe, TRUE, part_gate_option, plan);
  /* Not chained: later iterations depend on the outcome alone, and vj_work_gate undoes them when that changes. */
  return add (plan, iteration, g_strdup (VJ_STORE_STAGE_GATE), g_strdup_printf ("iteration %u: " VJ_STORE_STAGE_GATE, iteration), FALSE,
              vj_work_gate);
}

static void
add_audits (Plan *plan, guint iteration)
{
  const VjRecipe *recipe = plan->recipe;
  if (recipe->audit.shortcut_digest != NULL) {
    part (plan, "iteration.audit.shortcut", recipe->audit.shortcut_digest);
    add (plan, iteration, g_strdup ("audit:shortcut"), g_strdup_printf ("iteration %u: audit:shortcut", iteration), FALSE,
         vj_work_audit_shortcut);
  }
  if (recipe->audit.images_digest != NULL) {
    part (plan, "iteration.audit.images", recipe->audit.images_digest);
    part_plugin (plan, &recipe->judge);
    add (plan, iteration, g_strdup ("audit:images"), g_strdup_printf ("iteration %u: audit:images", iteration), FALSE,
         vj_work_audit_images);
  }
}

static void
add_iteration (Plan *plan, guint iteration)
{
  const VjRecipe *recipe = plan->recipe;
  g_autofree char *label = g_strdup_printf ("iteration %u", iteration);
  const VjStep *gate = NULL;

  if (iteration > 1 && recipe->repeat.pairs == VJ_PAIRS_REUSE) {
    part (plan, "repeat.pairs", "reuse");
    add_of_iteration (plan, iteration, VJ_STORE_STAGE_REUSE, vj_work_reuse);
  } else
    add_pairs (plan, iteration);
  add_audits (plan, iteration);
  if (recipe->judge.plugin != NULL) {
    part_plugin (plan, &recipe->judge);
    part (plan, "iteration.filters", recipe->n_filters > 0 ? "present" : "absent");
    if (recipe->labels != VJ_LABELS_CONSTRUCTION)
      part (plan, "iteration.labels", vj_recipe_labels_name (recipe->labels));
    add_of_iteration (plan, iteration, "judge", vj_work_judge);
    add_filters (plan, iteration);
    if (recipe->trainer.plugin != NULL)
      gate = add_training (plan, iteration);
  }
  add_evaluations (plan, iteration, label, gate);
}

static void
add_course (Plan *plan, gsize index)
{
  const VjRecipeCourse *course = &plan->recipe->courses[index];
  for (gsize i = 0; i < course->n_lessons; i++)
    part (plan, course->lessons[i].path, course->lessons[i].digest);
  part (plan, course->train.path, course->train.digest);
  part (plan, "pretrain.init", plan->recipe->pretrain_init);
  part (plan, "pretrain.dtype", plan->recipe->pretrain_dtype);
  VjStep *step = add (plan, (guint) index + 1, g_strdup (VJ_STORE_STAGE_COURSE), g_strdup_printf ("course %zu", index + 1), TRUE,
                      vj_work_course);
  step->index = (guint) index;
}

GPtrArray *
vj_plan_new (const VjRecipe *recipe)
{
  Plan plan = {.recipe = recipe, .steps = g_ptr_array_new_with_free_func (step_free)};

  plan.parts = json_object ();
  plan.chain = g_strdup_printf ("seed %" G_GUINT64_FORMAT, recipe->seed);
  if (recipe->pretrain_init != NULL) {
    for (gsize i = 0; i < recipe->n_courses; i++)
      add_course (&plan, i);
    add_evaluations (&plan, (guint) recipe->n_courses, "pretrained", NULL);
  } else {
    add_evaluations (&plan, 0, "before", NULL);
    if (recipe->iterates && recipe->gate.present)
      add_pairs (&plan, 0);
    for (gint64 i = 1; recipe->iterates && i <= recipe->repeat.iterations; i++)
      add_iteration (&plan, (guint) i);
  }
  json_decref (plan.parts);
  g_free (plan.chain);
  return plan.steps;
}

char *
vj_step_label (const VjContext *context, const VjStep *step)
{
  if (context->recipe->pretrain_init != NULL)
    return g_strdup ("pretrained");
  return step->iteration == 0 ? g_strdup ("before") : g_strdup_printf ("iteration %u", step->iteration);
}

static gboolean
adopt_trained (VjContext *context, const VjStep *step, GError **error)
{
  g_autofree char *dir = vj_context_model_dir (context, step->iteration, FALSE);
  gboolean made;
  if (!vj_made_any (context->store, step->iteration, &made, error))
    return FALSE;
  if (made)
    vj_models_set_path (context->models, context->recipe->trainer.model, dir);
  return TRUE;
}

gboolean
vj_step_adopt (VjContext *context, const VjStep *step, GError **error)
{
  const VjRecipe *recipe = context->recipe;

  if (step->work == vj_work_train && !recipe->gate.present)
    return adopt_trained (context, step, error);
  if (step->work == vj_work_gate) {
    gboolean promoted;
    return vj_step_promoted (context->store, step, &promoted, error) && (!promoted || adopt_trained (context, step, error));
  }
  if (step->work == vj_work_course && step->index + 1 == recipe->n_courses) {
    g_autofree char *dir = vj_context_model_dir (context, step->iteration, TRUE);
    if (recipe->judge.model != NULL)
      vj_models_set_path (context->models, recipe->judge.model, dir);
    for (gsize i = 0; i < recipe->n_evaluators; i++)
      if (recipe->evaluators[i].model != NULL)
        vj_models_set_path (context->models, recipe->evaluators[i].model, dir);
  }
  return TRUE;
}
