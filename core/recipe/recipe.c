/* The sections of a recipe, checked and typed. Faults are gathered and told together. */
#include "recipe/recipe.h"
#include "base/nearest.h"
#include "recipe/node-private.h"
#include "recipe/recipe-private.h"

#include <string.h>

#define RECIPE_FORMAT 1

/* What the public struct does not show. */
typedef struct {
  VjRecipe pub;
  VjTree *tree;
  char *file, *init;
} Recipe;

/* respond is the host's own plugin, so to say: its sampling is read by a table like any other. */
typedef struct {
  VjSampling sampling;
} Respond;

const VjOption vj_respond_options[] = {VJ_OPTIONS_SAMPLING (Respond, "0.6", "50", "0.9", "512"), VJ_OPTION_END};

/* -- secrets ------------------------------------------------------------------- */

static gboolean
key_names_secret (const char *key)
{
  static const char *const words[] = {"api_key",    "apikey",     "api-key",      "access_key", "secret_key",   "private_key", "api_token",
                                      "auth_token", "hf_token",   "access_token", "token",      "bearer_token", "secret",      "password",
                                      "passwd",     "credential", "credentials",  "authorization", NULL};
  g_autofree char *lower = g_ascii_strdown (key, -1);
  for (guint i = 0; words[i] != NULL; i++) {
    gsize n = strlen (lower), w = strlen (words[i]);
    if (strcmp (lower, words[i]) == 0 || (n > w + 1 && strchr (words[i], '_') != NULL && strcmp (lower + n - w, words[i]) == 0))
      return TRUE;
  }
  return FALSE;
}

/* A known prefix followed by a long run of key characters, anywhere in the text. No word is as long as 30; a shorter run must
 * have a digit among them. */
static gboolean
looks_like_secret (const char *text)
{
#define ALNUM "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
  static const struct {
    const char *prefix, *set;
  } shapes[] = {{"sk-", ALNUM "_-"},    {"github_pat_", ALNUM "_"}, {"glpat-", ALNUM "_-"}, {"xoxb-", ALNUM "-"}, {"hf_", ALNUM},
                {"ghp_", ALNUM},        {"AKIA", ALNUM},            {"AIza", ALNUM "_-"},   {"Bearer ", ALNUM "_-.="}};
  for (guint i = 0; i < G_N_ELEMENTS (shapes); i++) {
    for (const char *at = strstr (text, shapes[i].prefix); at != NULL; at = strstr (at + 1, shapes[i].prefix)) {
      const char *run = at + strlen (shapes[i].prefix);
      gsize length = strspn (run, shapes[i].set);
      gboolean starts = at == text || !g_ascii_isalnum (at[-1]);
      if (starts && (length >= 30 || (length >= 16 && strcspn (run, "0123456789") < length)))
        return TRUE;
    }
  }
#undef ALNUM
  return FALSE;
}

void
vj_check_secrets (VjChecker *checker, const VjNode *node)
{
  for (guint i = 0; i < vj_node_length (node); i++)
    vj_check_secrets (checker, vj_node_at (node, i));
  if (node->kind != VJ_NODE_STRING || node->expanded || *node->text == '\0')
    return;
  if ((node->key != NULL && key_names_secret (node->key)) || looks_like_secret (node->text))
    vj_problem_at (&checker->problems, node,
                   "a secret stands in the recipe; put it in the environment and write ${NAME} here, and replace the exposed one");
}

/* -- sections ------------------------------------------------------------------ */

static gboolean
is_name (const char *text, const char *more)
{
  g_autofree char *set = g_strconcat ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", more, NULL);
  return g_ascii_isalnum (*text) && strspn (text, set) == strlen (text) && strlen (text) <= 64;
}

static void
check_head (VjChecker *checker, Recipe *recipe)
{
  const VjNode *root = recipe->pub.root;
  const VjNode *format = vj_check_child (checker, root, "recipe", VJ_NODE_INT, "the format, recipe: 1");
  if (format != NULL && format->integer != RECIPE_FORMAT)
    vj_problem_at (&checker->problems, format, "'%s': this vjrun reads recipe format %d; use a vjrun that reads that one", format->text,
                   RECIPE_FORMAT);
  const VjNode *name = vj_check_child (checker, root, "name", VJ_NODE_STRING, "what the run is called, e.g. name: my-run");
  if (name != NULL && !is_name (name->text, "._-")) {
    g_autofree char *shown = vj_problem_value (name);
    vj_problem_at (&checker->problems, name, "%s; expected at most 64 letters, digits, '.', '_' or '-', beginning with a letter or digit",
                   shown);
  }
  recipe->pub.name = name != NULL ? name->text : NULL;
  recipe->pub.seed = (uint64_t) vj_check_integer (checker, root, "seed", 0, G_MAXINT64, 1);
}

static void
check_models (VjChecker *checker, VjRecipe *recipe)
{
  const VjNode *models = vj_check_child (checker, recipe->root, "models", VJ_NODE_MAP, NULL);
  recipe->n_models = vj_node_length (models);
  recipe->models = g_new0 (VjRecipeModel, recipe->n_models);
  for (guint i = 0; i < recipe->n_models; i++) {
    const VjNode *node = vj_node_at (models, i);
    recipe->models[i].name = node->key;
    if (!is_name (node->key, "_-"))
      vj_problem_at_key (&checker->problems, node, "a model is named by letters, digits, '_' or '-', beginning with a letter or digit");
    vj_check_entry (checker, node, VJ_ROLE_BACKEND, VJ_ENTRY_PLAIN, &recipe->models[i].backend);
  }
}

/* Each key must have meant something to a model or trainer, else it is a slip. */
static void
check_compute (VjChecker *checker, VjRecipe *recipe)
{
  static const char *const known[] = {"use", "threads", "memory_limit", NULL};
  const VjNode *compute = vj_check_child (checker, recipe->root, "compute", VJ_NODE_MAP, NULL);
  vj_check_keys (checker, compute, known);
  const VjNode *use = vj_check_child (checker, compute, "use", VJ_NODE_STRING, NULL);
  if (use != NULL)
    vj_check_compute_name (checker, use);
}

static void
check_respond (VjChecker *checker, const VjNode *node, VjRecipeRespond *respond)
{
  static const char *const host[] = {"model", NULL};
  Respond filled = {0};
  GError *error = NULL;
  if (node == NULL)
    return;
  respond->node = node;
  respond->digest = vj_node_digest (node, NULL);
  if (vj_check_child (checker, node, "model", VJ_NODE_STRING, "the model that answers") != NULL)
    respond->model = vj_check_model (checker, node);
  if (!vj_options_fill (vj_respond_options, node, host, NULL, &filled, &error))
    vj_problem_error (&checker->problems, error);
  respond->sampling = filled.sampling;
  respond->sampling.n = 1;
}

static void
check_open_ended (VjChecker *checker, VjRecipe *recipe, const VjNode *node)
{
  static const char *const keys[] = {"respond", "inject", NULL};
  if (node == NULL)
    return;
  vj_check_keys (checker, node, keys);
  check_respond (checker, vj_check_child (checker, node, "respond", VJ_NODE_MAP, "the model that answers the questions"), &recipe->respond);
  const VjNode *inject = vj_check_child (checker, node, "inject", VJ_NODE_SEQUENCE, "the injectors that make answers worse");
  if (inject != NULL && inject->children->len == 0)
    vj_problem_at (&checker->problems, inject, "the list is empty; name at least one injector");
  recipe->injectors = vj_check_entries (checker, inject, VJ_ROLE_INJECTOR, VJ_ENTRY_PLAIN, &recipe->n_injectors);
}

static void
check_closed_form (VjChecker *checker, VjRecipe *recipe, const VjNode *node)
{
  static const char *const keys[] = {"sample", "gold", NULL};
  if (node == NULL)
    return;
  vj_check_keys (checker, node, keys);
  recipe->gold_filter = g_strcmp0 (vj_check_choice (checker, node, "gold", vj_gold_choices), "filter") == 0;
  const VjNode *sample = vj_check_child (checker, node, "sample", VJ_NODE_MAP, "the sampler that draws answers");
  if (sample != NULL)
    vj_check_entry (checker, sample, VJ_ROLE_SAMPLER, VJ_ENTRY_PLAIN, &recipe->sampler);
}

static void
check_iteration (VjChecker *checker, VjRecipe *recipe, const VjNode *node)
{
  static const char *const keys[] = {"questions", "open_ended", "closed_form", "audit", "judge", "labels", "filters", "train", NULL};
  recipe->iterates = TRUE;
  vj_check_keys (checker, node, keys);
  const VjNode *questions = vj_check_child (checker, node, "questions", VJ_NODE_SEQUENCE, "the sources of questions");
  if (questions != NULL && questions->children->len == 0)
    vj_problem_at (&checker->problems, questions, "the list is empty; name at least one source");
  recipe->questions = vj_check_entries (checker, questions, VJ_ROLE_SOURCE, VJ_ENTRY_PLAIN, &recipe->n_questions);
  if (vj_node_get (node, "open_ended") == NULL && vj_node_get (node, "closed_form") == NULL)
    vj_problem_at (&checker->problems, node, "neither open_ended nor closed_form is given; say how pairs are made");
  check_open_ended (checker, recipe, vj_check_child (checker, node, "open_ended", VJ_NODE_MAP, NULL));
  check_closed_form (checker, recipe, vj_check_child (checker, node, "closed_form", VJ_NODE_MAP, NULL));
  vj_check_audit (checker, node, &recipe->audit);
  const VjNode *judge = vj_check_child (checker, node, "judge", VJ_NODE_MAP, "the judge");
  if (judge != NULL)
    vj_check_entry (checker, judge, VJ_ROLE_JUDGE, VJ_ENTRY_PLAIN, &recipe->judge);
  const char *labels = vj_check_choice (checker, node, "labels", vj_label_choices);
  for (guint i = 0; labels != NULL && vj_label_choices[i] != NULL; i++)
    if (strcmp (labels, vj_label_choices[i]) == 0)
      recipe->labels = (VjRecipeLabels) i;
  recipe->filters = vj_check_entries (checker, vj_check_child (checker, node, "filters", VJ_NODE_SEQUENCE, NULL), VJ_ROLE_FILTER,
                                      VJ_ENTRY_PLAIN, &recipe->n_filters);
  const VjNode *train = vj_check_child (checker, node, "train", VJ_NODE_MAP, "the trainer");
  if (train != NULL)
    vj_check_entry (checker, train, VJ_ROLE_TRAINER, VJ_ENTRY_PLAIN, &recipe->trainer);
}

static void
check_courses (VjChecker *checker, VjRecipe *recipe, const VjNode *courses)
{
  static const char *const keys[] = {"lessons", "train", NULL};
  recipe->n_courses = vj_node_length (courses);
  recipe->courses = g_new0 (VjRecipeCourse, recipe->n_courses);
  if (courses != NULL && recipe->n_courses == 0)
    vj_problem_at (&checker->problems, courses, "the list is empty; give at least one course");
  for (guint i = 0; i < recipe->n_courses; i++) {
    const VjNode *node = vj_node_at (courses, i);
    VjRecipeCourse *course = &recipe->courses[i];
    if (node->kind != VJ_NODE_MAP) {
      vj_problem_at (&checker->problems, node, "this is %s; expected a map with lessons and train", vj_node_kind_name (node->kind));
      continue;
    }
    vj_check_keys (checker, node, keys);
    const VjNode *lessons = vj_check_child (checker, node, "lessons", VJ_NODE_SEQUENCE, "the sources of lessons");
    course->lessons = vj_check_entries (checker, lessons, VJ_ROLE_SOURCE, VJ_ENTRY_PLAIN, &course->n_lessons);
    const VjNode *train = vj_check_child (checker, node, "train", VJ_NODE_MAP, "the trainer");
    if (train != NULL)
      vj_check_entry (checker, train, VJ_ROLE_TRAINER, VJ_ENTRY_NO_MODEL, &course->train);
  }
}

static void
check_pretrain (VjChecker *checker, Recipe *recipe, const VjNode *node)
{
  static const char *const keys[] = {"init", "dtype", "courses", NULL};
  vj_check_keys (checker, node, keys);
  const VjNode *init = vj_check_child (checker, node, "init", VJ_NODE_STRING, "the directory with config.json and tokenizer.json to start from");
  if (init != NULL)
    recipe->init = g_canonicalize_filename (init->text, init->origin->directory);
  recipe->pub.pretrain_init = recipe->init;
  recipe->pub.pretrain_dtype = vj_check_choice (checker, node, "dtype", vj_dtype_choices);
  check_courses (checker, &recipe->pub, vj_check_child (checker, node, "courses", VJ_NODE_SEQUENCE, "the courses, in order"));
}

/* Evaluators that ask nothing themselves have their pairs judged. */
static void
check_evaluate (VjChecker *checker, VjRecipe *recipe)
{
  const VjNode *list = vj_check_child (checker, recipe->root, "evaluate", VJ_NODE_SEQUENCE, NULL);
  const VjNode *judge = vj_check_child (checker, recipe->root, "judge", VJ_NODE_MAP, NULL);
  if (judge != NULL && recipe->iterates)
    vj_problem_at_key (&checker->problems, judge, "the judge of this recipe is iteration.judge; remove this key");
  else if (judge != NULL)
    vj_check_entry (checker, judge, VJ_ROLE_JUDGE, VJ_ENTRY_PLAIN, &recipe->judge);
  recipe->evaluators = vj_check_entries (checker, list, VJ_ROLE_EVALUATOR, VJ_ENTRY_PLAIN, &recipe->n_evaluators);
  for (gsize i = 0; i < recipe->n_evaluators; i++) {
    const VjRecipePlugin *entry = &recipe->evaluators[i];
    if (entry->plugin != NULL && ((const VjEvaluatorOps *) entry->plugin->ops)->ask == NULL && judge == NULL && !recipe->iterates)
      vj_problem_at (&checker->problems, entry->node, "'%s' gives pairs to judge, but the recipe has no judge; add a section judge", entry->name);
  }
}

static void
check_all (VjChecker *checker, Recipe *recipe)
{
  static const char *const keys[] = {"recipe", "name",  "seed",   "models",   "compute", "iteration",
                                     "judge",  "evaluate", "repeat", "pretrain", NULL};
  VjRecipe *pub = &recipe->pub;
  vj_check_keys (checker, pub->root, keys);
  vj_check_secrets (checker, pub->root);
  check_head (checker, recipe);
  check_models (checker, pub);
  check_compute (checker, pub);
  const VjNode *iteration = vj_check_child (checker, pub->root, "iteration", VJ_NODE_MAP, NULL);
  const VjNode *pretrain = vj_check_child (checker, pub->root, "pretrain", VJ_NODE_MAP, NULL);
  if (iteration != NULL && pretrain != NULL)
    vj_problem_at_key (&checker->problems, pretrain, "a recipe has iteration or pretrain, not both; split it");
  else if (iteration != NULL)
    check_iteration (checker, pub, iteration);
  else if (pretrain != NULL)
    check_pretrain (checker, recipe, pretrain);
  else if (vj_node_get (pub->root, "evaluate") == NULL && vj_node_get (pub->root, "iteration") == NULL
           && vj_node_get (pub->root, "pretrain") == NULL)
    vj_problem_at (&checker->problems, pub->root, "the recipe does nothing; expected a section iteration, pretrain or evaluate");
  check_evaluate (checker, pub);
  vj_check_repeat (checker);
}

/* -- life ---------------------------------------------------------------------- */

/* Takes the tree. */
static VjRecipe *
build (VjTree *tree, const VjRecipeSource *source, GError **error)
{
  static const char *const not_in_digest[] = {"repeat", "compute", NULL};
  Recipe *recipe = g_new0 (Recipe, 1);
  recipe->tree = tree;
  recipe->file = g_strdup (source->file);
  recipe->pub.file = recipe->file;
  recipe->pub.root = vj_tree_root (tree);
  recipe->pub.digest = vj_node_digest (recipe->pub.root, not_in_digest);
  VjChecker checker = {.recipe = &recipe->pub, .plugins = &source->plugins, .directory = recipe->pub.root->origin->directory};
  check_all (&checker, recipe);
  if (vj_problems_done (&checker.problems, error))
    return &recipe->pub;
  vj_recipe_free (&recipe->pub);
  return NULL;
}

static gboolean
overlay (VjTree *tree, const VjRecipeSource *source, GError **error)
{
  if (!vj_tree_extend (tree, error))
    return FALSE;
  if (source->deploy != NULL && !vj_tree_deploy (tree, source->deploy, error))
    return FALSE;
  for (guint i = 0; source->sets != NULL && source->sets[i] != NULL; i++)
    if (!vj_tree_set (tree, source->sets[i], ".", error))
      return FALSE;
  return TRUE;
}

VjRecipe *
vj_recipe_load (const VjRecipeSource *source, GError **error)
{
  g_autoptr (VjTree) tree = vj_tree_load (source->file, error);
  if (tree == NULL || !overlay (tree, source, error))
    return NULL;
  return build (g_steal_pointer (&tree), source, error);
}

VjRecipe *
vj_recipe_parse (const char *bytes, gsize length, const char *directory, const VjRecipeSource *source, GError **error)
{
  g_autoptr (VjTree) tree = vj_tree_parse (bytes, length, source->file, directory, error);
  if (tree == NULL || !overlay (tree, source, error))
    return NULL;
  return build (g_steal_pointer (&tree), source, error);
}

void
vj_recipe_free (VjRecipe *pub)
{
  Recipe *recipe = (Recipe *) pub;
  if (recipe == NULL)
    return;
  for (gsize i = 0; i < pub->n_models; i++)
    vj_entry_done (&pub->models[i].backend);
  g_free (pub->models);
  vj_entries_free (pub->questions, pub->n_questions);
  vj_entries_free (pub->injectors, pub->n_injectors);
  vj_entries_free (pub->filters, pub->n_filters);
  vj_entries_free (pub->evaluators, pub->n_evaluators);
  vj_entries_free (pub->gate.questions, pub->gate.n_questions);
  vj_entry_done (&pub->sampler);
  vj_entry_done (&pub->judge);
  vj_entry_done (&pub->trainer);
  vj_audit_done (&pub->audit);
  g_free (pub->respond.digest);
  g_strfreev (pub->respond.sampling.stop);
  for (gsize i = 0; i < pub->n_courses; i++) {
    vj_entries_free (pub->courses[i].lessons, pub->courses[i].n_lessons);
    vj_entry_done (&pub->courses[i].train);
  }
  g_free (pub->courses);
  g_free (pub->digest);
  vj_tree_free (recipe->tree);
  g_free (recipe->file);
  g_free (recipe->init);
  g_free (recipe);
}

const VjRecipeModel *
vj_recipe_model (const VjRecipe *recipe, const char *name)
{
  for (gsize i = 0; i < recipe->n_models; i++)
    if (g_strcmp0 (recipe->models[i].name, name) == 0)
      return &recipe->models[i];
  return NULL;
}

char *
vj_recipe_model_path (const VjRecipe *recipe, const char *name)
{
  const VjRecipeModel *model = vj_recipe_model (recipe, name);
  const VjNode *node = model != NULL ? vj_node_get (model->backend.node, "path") : NULL;
  return node != NULL && node->text != NULL ? g_canonicalize_filename (node->text, node->origin->directory) : NULL;
}
