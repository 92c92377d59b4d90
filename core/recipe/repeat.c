/* The section repeat: how one iteration leads to the next, and what a candidate must show to become the judge. */
#include "recipe/recipe-private.h"

#include <string.h>

static const char *const pairs_choices[] = {"fresh", "reuse", NULL};          /* as VjRepeatPairs     */
static const char *const train_from_choices[] = {"previous", "base", NULL};   /* as VjRepeatTrainFrom */
static const char *const traces_choices[] = {"latest", "all", NULL};          /* as VjRepeatTraces    */
static const char *const generator_choices[] = {"fixed", "judge", NULL};      /* as VjRepeatGenerator */
static const char *const metric_choices[] = {"strict", "accuracy", NULL};     /* as VjRecipeGateMetric  */
static const char *const promote_choices[] = {"not-worse", "better", NULL};   /* as VjRecipeGatePromote */
static const char *const answers_choices[] = {"greedy", "sampled", NULL};     /* as VjRecipeGateAnswers */

const VjOption vj_repeat_options[] = {
  VJ_OPTION_INT (VjRecipeRepeat, iterations, "1", 1, 1000, "iterations", "How many iterations at most."),
  VJ_OPTION_CHOICE (VjRecipeRepeat, pairs, "fresh", pairs_choices,
                    "Whether each iteration makes pairs of its own, or judges those of the first again."),
  VJ_OPTION_CHOICE (VjRecipeRepeat, train_from, "previous", train_from_choices,
                    "What is fine-tuned: the judge as it stands, or each time the model that the recipe names."),
  VJ_OPTION_CHOICE (VjRecipeRepeat, traces, "latest", traces_choices,
                    "Which kept traces are trained on: this iteration's, or those of earlier ones as well."),
  VJ_OPTION_CHOICE (VjRecipeRepeat, generator, "fixed", generator_choices,
                    "Which model answers, injects and samples: the one that its entry names, or, where that has the directory "
                    "of the trained model, the judge as it stands."),
  VJ_OPTION_END
};

const VjOption vj_gate_options[] = {
  VJ_OPTION_INT (VjRecipeGate, count, "500", 1, G_MAXINT32, "questions", "Held-out questions of each source at most."),
  VJ_OPTION_CHOICE (VjRecipeGate, metric, "strict", metric_choices,
                    "What is compared pair by pair: right in both orders, or the number of orders that are right."),
  VJ_OPTION_CHOICE (VjRecipeGate, promote, "not-worse", promote_choices,
                    "Promote unless the candidate is significantly worse, or only when it is significantly better."),
  VJ_OPTION_REAL (VjRecipeGate, alpha, "0.05", 1e-12, 0.5, "", "Level of the exact test; a larger one calls more differences significant."),
  VJ_OPTION_CHOICE (VjRecipeGate, answers, "greedy", answers_choices,
                    "How both judges answer: greedily, or once with the sampling of iteration.judge."),
  VJ_OPTION_REAL (VjRecipeGate, min_consistency, "0", 0, 1, "", "Least share of pairs on which both orders of a candidate agree."),
  VJ_OPTION_REAL (VjRecipeGate, min_parsed, "0", 0, 1, "", "Least share of a candidate's answers that end in a verdict."),
  VJ_OPTION_INT (VjRecipeGate, patience, "1", 0, 1000, "iterations",
                 "The run stops after this many iterations in a row without a promotion; 0 means never."),
  VJ_OPTION_END
};

const char *
vj_recipe_labels_name (VjRecipeLabels labels)
{
  return vj_label_choices[labels];
}

/* -- checking ------------------------------------------------------------------ */

static void
fill (VjChecker *checker, const VjOption *options, const VjNode *node, const char *const *host, gpointer section)
{
  GError *error = NULL;
  if (!vj_options_fill (options, node, host, NULL, section, &error))
    vj_problem_error (&checker->problems, error);
}

static void
check_gate (VjChecker *checker, const VjNode *node)
{
  static const char *const host[] = {"questions", NULL};
  VjRecipe *recipe = checker->recipe;
  VjRecipeGate *gate = &recipe->gate;

  gate->present = TRUE;
  fill (checker, vj_gate_options, node, host, gate);
  const VjNode *questions = vj_check_child (checker, node, "questions", VJ_NODE_SEQUENCE, NULL);
  if (questions != NULL && questions->children->len == 0)
    vj_problem_at (&checker->problems, questions, "the list is empty; name at least one source, or remove this key");
  gate->questions = vj_check_entries (checker, questions, VJ_ROLE_SOURCE, VJ_ENTRY_PLAIN, &gate->n_questions);
  if (!recipe->iterates)
    vj_problem_at_key (&checker->problems, node, "the recipe has no section iteration, so there is no candidate; remove this key");
  else if (recipe->judge.model != NULL && recipe->trainer.model != NULL && strcmp (recipe->judge.model, recipe->trainer.model) != 0)
    vj_problem_at_key (&checker->problems, node, "iteration.judge asks model '%s', but iteration.train trains '%s': the candidate would "
                       "never be the judge; name one model in both", recipe->judge.model, recipe->trainer.model);
}

static gboolean
any_follows (const VjRecipe *recipe)
{
  const char *trained = recipe->trainer.model;
  gboolean any = recipe->respond.model != NULL && vj_recipe_generator (recipe, recipe->respond.model) == trained;
  for (gsize i = 0; i < recipe->n_injectors; i++)
    any |= recipe->injectors[i].model != NULL && vj_recipe_generator (recipe, recipe->injectors[i].model) == trained;
  return any || (recipe->sampler.model != NULL && vj_recipe_generator (recipe, recipe->sampler.model) == trained);
}

void
vj_check_repeat (VjChecker *checker)
{
  static const char *const host[] = {"gate", NULL};
  VjRecipe *recipe = checker->recipe;
  const VjNode *node = vj_check_child (checker, recipe->root, "repeat", VJ_NODE_MAP, NULL);

  fill (checker, vj_repeat_options, node, host, &recipe->repeat);
  const VjNode *gate = vj_check_child (checker, node, "gate", VJ_NODE_MAP, NULL);
  if (gate != NULL)
    check_gate (checker, gate);
  if (recipe->repeat.generator == VJ_GENERATOR_JUDGE && recipe->trainer.model != NULL && !any_follows (recipe))
    vj_problem_at (&checker->problems, vj_node_get (node, "generator"), "no entry of respond, inject or sample names a model whose path "
                   "is that of models.%s, so nothing would follow the judge; give them one path, or remove this key",
                   recipe->trainer.model);
  else if (recipe->repeat.generator == VJ_GENERATOR_JUDGE && recipe->repeat.pairs == VJ_PAIRS_REUSE)
    vj_problem_at (&checker->problems, vj_node_get (node, "generator"), "with pairs: reuse no pairs are made after the first iteration, "
                   "so nothing would follow the judge; remove this key, or set pairs: fresh");
}

/* -- for the pipeline ------------------------------------------------------------- */

const char *
vj_recipe_generator (const VjRecipe *recipe, const char *name)
{
  const char *trained = recipe->trainer.model;
  g_autofree char *own = vj_recipe_model_path (recipe, name), *judge = vj_recipe_model_path (recipe, trained);
  gboolean follows = recipe->repeat.generator == VJ_GENERATOR_JUDGE && own != NULL && judge != NULL && strcmp (own, judge) == 0;
  return follows ? trained : name;
}

static char *
value_text (const VjOption *option, const char *section)
{
  const char *at = section + option->offset;
  if (option->type == VJ_OPTION_CHOICE)
    return g_strdup (option->choices[*(const int64_t *) (gconstpointer) at]);
  if (option->type == VJ_OPTION_INT)
    return g_strdup_printf ("%" G_GINT64_FORMAT, *(const int64_t *) (gconstpointer) at);
  char text[G_ASCII_DTOSTR_BUF_SIZE];
  g_ascii_formatd (text, sizeof text, "%.17g", *(const double *) (gconstpointer) at);
  double preset = g_ascii_strtod (option->preset, NULL);
  return g_strdup (preset == *(const double *) (gconstpointer) at ? option->preset : text);
}

void
vj_recipe_repeat_options (const VjRecipe *recipe, gboolean gate, VjRecipeOptionFunc each, gpointer data)
{
  const VjOption *option = gate ? vj_gate_options : vj_repeat_options;
  const char *section = gate ? (const char *) &recipe->gate : (const char *) &recipe->repeat;
  for (; option->name != NULL; option++) {
    g_autofree char *value = value_text (option, section);
    if (strcmp (value, option->preset) != 0)
      each (data, option->name, value);
  }
}
