/* vjrun check: is the recipe valid, and what would it do? */
#include "cli/cli.h"
#include "pipeline/run.h"

#include <string.h>

static void
print_head (const char *label)
{
  g_print ("%-12s", label);
}

/* A row under a label, which only the first row carries. */
static void
print_row (const char **label, const char *name, const char *text)
{
  print_head (*label);
  *label = "";
  g_print (*text != '\0' ? "%-18s %s\n" : "%s\n", name, text);
}

static char *
describe_entry (const VjRecipePlugin *entry, double weights)
{
  g_autoptr (GPtrArray) parts = g_ptr_array_new_with_free_func (g_free);
  if (entry->model != NULL)
    g_ptr_array_add (parts, g_strdup_printf ("model %s", entry->model));
  if (entry->role == VJ_ROLE_INJECTOR && weights > 0)
    g_ptr_array_add (parts, g_strdup_printf ("%.0f%% of the answers", 100 * entry->weight / weights));
  if (entry->count >= 0)
    g_ptr_array_add (parts, g_strdup_printf ("at most %" G_GINT64_FORMAT, entry->count));
  if (entry->role == VJ_ROLE_JUDGE)
    g_ptr_array_add (parts, g_strdup_printf ("%s, %" G_GINT64_FORMAT " sample%s each", entry->orders == VJ_ORDERS_BOTH ? "both orders" : "one order",
                                             entry->samples, entry->samples == 1 ? "" : "s"));
  if (entry->role == VJ_ROLE_TRAINER)
    g_ptr_array_add (parts, g_strdup_printf ("weights written as %s", entry->dtype));
  if (entry->replay > 0)
    g_ptr_array_add (parts, g_strdup_printf ("replay of %g own answers for each trace, %.0f%% closed, %.0f%% rewrites", entry->replay,
                                             100 * entry->replay_closed, 100 * entry->replay_rewrites));
  g_ptr_array_add (parts, NULL);
  return g_strjoinv (", ", (char **) parts->pdata);
}

static void
print_entries (const char *label, const VjRecipePlugin *entries, gsize n)
{
  double weights = 0;
  for (gsize i = 0; i < n; i++)
    weights += entries[i].weight;
  for (gsize i = 0; i < n; i++) {
    if (entries[i].plugin == NULL)
      continue;
    g_autofree char *text = describe_entry (&entries[i], weights);
    print_row (&label, entries[i].name, text);
  }
}

static const char *
on_finding (int64_t what)
{
  return what == VJ_ON_FINDING_FAIL ? "the run ends" : "a warning";
}

static void
print_audits (const VjRecipeAudit *audit)
{
  const char *label = "audit";
  if (audit->shortcut_digest != NULL) {
    const VjRecipeAuditShortcut *s = &audit->shortcut;
    g_autofree char *text = g_strdup_printf ("at most %" G_GINT64_FORMAT " pairs in %" G_GINT64_FORMAT " folds; where the text alone has an AUC above %g: %s",
                                             s->sample, s->folds, s->max_auc, on_finding (s->on_leak));
    print_row (&label, "shortcut", text);
  }
  if (audit->images_digest != NULL) {
    g_autofree char *text = g_strdup_printf ("at most %" G_GINT64_FORMAT " pairs with their own, a blank and another image; where they need none: %s",
                                             audit->images.sample, on_finding (audit->images.on_blind));
    print_row (&label, "images", text);
  }
}

static void
print_iteration (const VjRecipe *recipe)
{
  print_entries ("questions", recipe->questions, recipe->n_questions);
  if (recipe->respond.model != NULL) {
    const VjSampling *s = &recipe->respond.sampling;
    print_head ("respond");
    g_print ("%-18s temperature %g, top_k %" G_GINT64_FORMAT ", top_p %g, at most %" G_GINT64_FORMAT " tokens\n", recipe->respond.model,
             s->temperature, s->top_k, s->top_p, s->max_tokens);
  }
  print_entries ("inject", recipe->injectors, recipe->n_injectors);
  print_entries ("sample", &recipe->sampler, 1);
  if (recipe->gold_filter) {
    print_head ("gold");
    g_print ("filter: an ABLATION, gold answers decide which pairs of closed questions are kept\n");
  }
  print_audits (&recipe->audit);
  print_entries ("judge", &recipe->judge, 1);
  if (recipe->labels != VJ_LABELS_CONSTRUCTION) {
    print_head ("labels");
    g_print ("%s: an ABLATION, no judge worth having comes of it\n", vj_recipe_labels_name (recipe->labels));
  }
  print_entries ("filters", recipe->filters, recipe->n_filters);
  print_entries ("train", &recipe->trainer, 1);
}

static void
print_option (gpointer data, const char *name, const char *value)
{
  (void) data;
  if (strcmp (name, "iterations") != 0)
    g_print (", %s: %s", name, value);
}

/* What a candidate must show, on which pairs, and what follows when it does not. */
static void
print_gate (const VjRecipeGate *gate)
{
  print_head ("gate");
  g_print ("a candidate becomes the judge %s by an exact test at %g\n",
           gate->promote == VJ_PROMOTE_BETTER ? "if it is better" : "unless it is worse", gate->alpha);
  print_head ("");
  g_print ("compared: %s, %s answers", gate->metric == VJ_GATE_METRIC_STRICT ? "pairs right in both orders" : "orders right of each pair",
           gate->answers == VJ_GATE_ANSWERS_SAMPLED ? "sampled" : "greedy");
  if (gate->min_consistency > 0)
    g_print (", consistency at least %g", gate->min_consistency);
  if (gate->min_parsed > 0)
    g_print (", parsed at least %g", gate->min_parsed);
  g_print ("\n");
  print_head ("");
  if (gate->patience > 0)
    g_print ("the run stops after %" G_GINT64_FORMAT " refusal%s in a row\n", gate->patience, gate->patience == 1 ? "" : "s");
  else
    g_print ("refusals never stop the run\n");
  print_head ("");
  g_print ("pairs of at most %" G_GINT64_FORMAT " questions of each source%s, held out of training\n", gate->count,
           gate->n_questions > 0 ? " below" : " of the iteration");
}

static void
print_repeat (const VjRecipe *recipe)
{
  const VjRecipeGate *gate = &recipe->gate;

  print_head ("repeat");
  g_print ("%" G_GINT64_FORMAT " iteration%s", recipe->repeat.iterations, recipe->repeat.iterations == 1 ? "" : "s");
  vj_recipe_repeat_options (recipe, FALSE, print_option, NULL);
  g_print ("\n");
  if (!gate->present)
    return;
  print_gate (gate);
  print_entries ("", gate->questions, gate->n_questions);
}

static void
print_plan (const VjRecipe *recipe)
{
  print_head ("recipe");
  g_print ("%s (%s), seed %" G_GUINT64_FORMAT "\n", recipe->name, recipe->file, recipe->seed);
  for (gsize i = 0; i < recipe->n_models; i++) {
    print_head (i == 0 ? "models" : "");
    g_print ("%-18s %s\n", recipe->models[i].name, recipe->models[i].backend.name);
  }
  if (recipe->pretrain_init != NULL) {
    print_head ("pretrain");
    g_print ("%s, weights written as %s\n", recipe->pretrain_init, recipe->pretrain_dtype);
  }
  for (gsize i = 0; i < recipe->n_courses; i++) {
    g_autofree char *label = g_strdup_printf ("course %zu", i + 1);
    print_entries (label, recipe->courses[i].lessons, recipe->courses[i].n_lessons);
    print_entries ("train", &recipe->courses[i].train, 1);
  }
  if (recipe->iterates)
    print_iteration (recipe);
  print_entries ("evaluate", recipe->evaluators, recipe->n_evaluators);
  if (recipe->iterates)
    print_repeat (recipe);
}

/* -- what the run will need ---------------------------------------------------- */

/* Paths that are not there and need not be: a file to write, a folder of images. What a run cannot do without is a fault,
 * told by vj_pipeline_try. */
static void
warn_of_paths (VjCli *cli, const VjRecipePlugin *entries, gsize n)
{
  for (gsize i = 0; i < n; i++) {
    for (const VjOption *option = entries[i].plugin != NULL ? entries[i].plugin->options : NULL; option != NULL && option->name != NULL; option++) {
      const VjNode *node = option->type == VJ_OPTION_PATH && option->optional ? vj_node_get (entries[i].node, option->name) : NULL;
      if (node == NULL || node->text == NULL)
        continue;
      g_autofree char *path = g_canonicalize_filename (node->text, node->origin->directory), *where = vj_node_where (node);
      if (!g_file_test (path, G_FILE_TEST_EXISTS))
        vj_log_write (cli->log, VJ_LOG_WARNING, NULL, "%s: '%s' is not there; the run may need it", where, path);
    }
  }
}

static void
warn_of_all_paths (VjCli *cli, const VjRecipe *recipe)
{
  for (gsize i = 0; i < recipe->n_models; i++)
    warn_of_paths (cli, &recipe->models[i].backend, 1);
  for (gsize i = 0; i < recipe->n_courses; i++)
    warn_of_paths (cli, recipe->courses[i].lessons, recipe->courses[i].n_lessons);
  warn_of_paths (cli, recipe->questions, recipe->n_questions);
  warn_of_paths (cli, recipe->gate.questions, recipe->gate.n_questions);
  warn_of_paths (cli, recipe->injectors, recipe->n_injectors);
  warn_of_paths (cli, recipe->filters, recipe->n_filters);
  warn_of_paths (cli, recipe->evaluators, recipe->n_evaluators);
}

int
vj_cli_check (VjCli *cli, int argc, char **argv)
{
  int code = VJ_EXIT_DONE;
  GError *error = NULL;
  if (!vj_cli_options (cli, NULL, "RECIPE", "Checks a recipe and prints the plan, without work.", &argc, &argv, &code))
    return code;
  if (argc != 2)
    return vj_cli_usage (cli, "check", argc < 2 ? "a recipe is missing" : "one recipe at a time");
  g_autoptr (VjRegistry) registry = vj_cli_registry (cli, &error);
  g_autoptr (VjRecipe) recipe = registry != NULL ? vj_cli_recipe (cli, registry, argv[1], &error) : NULL;
  if (recipe == NULL || !vj_pipeline_try (recipe, cli->log, &error))
    return vj_cli_fail (cli, error);
  warn_of_all_paths (cli, recipe);
  print_plan (recipe);
  return VJ_EXIT_DONE;
}
