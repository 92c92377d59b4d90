/* Plugin entries: `{ use: NAME, host keys, options }`. */
#include "base/nearest.h"
#include "recipe/recipe-private.h"
#include "vj/compute.h"

#include <string.h>

const char *const vj_dtype_choices[] = {"bf16", "f32", NULL};
const char *const vj_order_choices[] = {"both", "one", NULL};
const char *const vj_label_choices[] = {"construction", "shuffled-presentations", "shuffled-pairs", NULL}; /* as VjRecipeLabels */
const char *const vj_gold_choices[] = {"ignore", "filter", NULL};

const char *
vj_role_folder (VjRole role)
{
  static const char *const folders[] = {
#define FOLDER(name, folder) folder,
    VJ_ROLE_TABLE (FOLDER)
#undef FOLDER
  };
  return (guint) role < VJ_N_ROLES ? folders[role] : "no role";
}

const char *
vj_role_name (VjRole role)
{
  static const char *const names[] = {"source",  "injector",  "sampler", "judge",  "filter",
                                      "trainer", "evaluator", "backend", "compute"};
  G_STATIC_ASSERT (G_N_ELEMENTS (names) == VJ_N_ROLES);
  return (guint) role < VJ_N_ROLES ? names[role] : "no role";
}

const char *const *
vj_recipe_host_keys (VjRole role)
{
  static const char *const keys[VJ_N_ROLES][8] = {
    [VJ_ROLE_SOURCE] = {"use", "count", NULL},
    [VJ_ROLE_INJECTOR] = {"use", "model", "weight", NULL},
    [VJ_ROLE_SAMPLER] = {"use", "model", NULL},
    [VJ_ROLE_JUDGE] = {"use", "model", "orders", "samples", NULL},
    [VJ_ROLE_FILTER] = {"use", NULL},
    [VJ_ROLE_TRAINER] = {"use", "model", "dtype", "replay", "replay_closed", "replay_rewrites", NULL},
    [VJ_ROLE_EVALUATOR] = {"use", "model", "count", NULL},
    [VJ_ROLE_BACKEND] = {"use", NULL},
    [VJ_ROLE_COMPUTE] = {"use", NULL},
  };
  return keys[(guint) role < VJ_N_ROLES ? role : VJ_ROLE_FILTER];
}

/* -- small steps --------------------------------------------------------------- */

void
vj_check_keys (VjChecker *checker, const VjNode *map, const char *const *keys)
{
  for (guint i = 0; i < vj_node_length (map); i++) {
    const VjNode *child = vj_node_at (map, i);
    if (child->key == NULL || g_strv_contains (keys, child->key))
      continue;
    g_autofree char *hint = vj_nearest_hint (child->key, keys);
    vj_problem_at_key (&checker->problems, child, "this key is not known here%s", hint);
  }
}

static const char *
remedy (VjNodeKind wanted, const VjNode *node)
{
  if (wanted == VJ_NODE_SEQUENCE && node->kind == VJ_NODE_MAP)
    return "; begin the entry with '- '";
  if (wanted == VJ_NODE_MAP && node->kind == VJ_NODE_STRING)
    return "; write { use: NAME, ... }";
  if (wanted == VJ_NODE_STRING && node->children == NULL && node->kind != VJ_NODE_NULL)
    return "; quote it";
  return "";
}

const VjNode *
vj_check_child (VjChecker *checker, const VjNode *map, const char *key, VjNodeKind kind, const char *required)
{
  const VjNode *node = vj_node_get (map, key);
  if (node == NULL && required != NULL)
    vj_problem_missing (&checker->problems, map, key, "this key must be given: %s", required);
  if (node == NULL)
    return NULL;
  if (node->kind == kind)
    return node;
  g_autofree char *shown = vj_problem_value (node);
  vj_problem_at (&checker->problems, node, "%s; expected %s%s", shown, vj_node_kind_name (kind), remedy (kind, node));
  return NULL;
}

int64_t
vj_check_integer (VjChecker *checker, const VjNode *map, const char *key, int64_t least, int64_t most, int64_t preset)
{
  const VjNode *node = vj_check_child (checker, map, key, VJ_NODE_INT, NULL);
  if (node == NULL)
    return preset;
  if (node->integer >= least && node->integer <= most)
    return node->integer;
  vj_problem_at (&checker->problems, node, "%s is out of range; expected an integer from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT,
                 node->text, least, most);
  return preset;
}

const char *
vj_check_choice (VjChecker *checker, const VjNode *map, const char *key, const char *const *choices)
{
  const VjNode *node = vj_check_child (checker, map, key, VJ_NODE_STRING, NULL);
  if (node == NULL)
    return choices[0];
  for (guint i = 0; choices[i] != NULL; i++)
    if (strcmp (choices[i], node->text) == 0)
      return choices[i];
  g_autofree char *hint = vj_nearest_hint (node->text, choices);
  g_autofree char *shown = vj_problem_value (node);
  vj_problem_at (&checker->problems, node, "%s%s", shown, hint);
  return NULL;
}

const char *
vj_check_model (VjChecker *checker, const VjNode *map)
{
  const VjNode *node = vj_check_child (checker, map, "model", VJ_NODE_STRING, NULL);
  if (node == NULL)
    return NULL;
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  const VjNode *models = vj_node_get (checker->recipe->root, "models");
  for (guint i = 0; i < vj_node_length (models); i++)
    g_ptr_array_add (names, vj_node_at (models, i)->key);
  g_ptr_array_add (names, NULL);
  if (vj_node_get (models, node->text) != NULL)
    return node->text;
  g_autofree char *hint = vj_nearest_hint (node->text, (const char *const *) names->pdata);
  g_autofree char *shown = vj_problem_value (node);
  vj_problem_at (&checker->problems, node, "%s is no model of this recipe%s%s", shown, hint,
                 names->len == 1 ? "; add a section models" : "");
  return NULL;
}

/* -- entries ------------------------------------------------------------------- */

/* Whether the plugin itself asks a model. */
static gboolean
asks (const VjPlugin *plugin)
{
  switch (plugin->role) {
  case VJ_ROLE_INJECTOR:
    return ((const VjInjectorOps *) plugin->ops)->ask != NULL;
  case VJ_ROLE_EVALUATOR:
    return ((const VjEvaluatorOps *) plugin->ops)->ask != NULL;
  default:
    return plugin->role == VJ_ROLE_SAMPLER || plugin->role == VJ_ROLE_JUDGE;
  }
}

static void
check_entry_model (VjChecker *checker, const VjNode *node, VjEntryFlags flags, VjRecipePlugin *entry)
{
  const VjNode *given = vj_node_get (node, "model");
  gboolean needs = asks (entry->plugin) || (entry->role == VJ_ROLE_TRAINER && !(flags & VJ_ENTRY_NO_MODEL));
  if (given == NULL && needs)
    vj_problem_missing (&checker->problems, node, "model", "this key must be given: '%s' %s a model; name one of the section models",
                        entry->name, entry->role == VJ_ROLE_TRAINER ? "trains" : "asks");
  else if (given != NULL && entry->role == VJ_ROLE_TRAINER && (flags & VJ_ENTRY_NO_MODEL))
    vj_problem_at_key (&checker->problems, given, "a course trains what pretrain.init names; remove this key");
  else if (given != NULL && entry->role == VJ_ROLE_INJECTOR && !needs)
    vj_problem_at_key (&checker->problems, given, "'%s' asks no model; remove this key", entry->name);
  else if (given != NULL)
    entry->model = vj_check_model (checker, node);
}

static const VjOption *
option_named (const VjPlugin *plugin, const char *name)
{
  for (const VjOption *option = plugin->options; option != NULL && option->name != NULL; option++)
    if (strcmp (option->name, name) == 0)
      return option;
  return NULL;
}

static double
check_real (VjChecker *checker, const VjNode *map, const char *key, double most, double preset)
{
  const VjNode *node = vj_node_get (map, key);
  if (node == NULL)
    return preset;
  if ((node->kind == VJ_NODE_INT || node->kind == VJ_NODE_REAL) && node->real >= 0 && node->real <= most)
    return node->real;
  g_autofree char *shown = vj_problem_value (node);
  vj_problem_at (&checker->problems, node, "%s; expected a number from 0 to %g", shown, most);
  return preset;
}

static void
check_replay (VjChecker *checker, const VjNode *node, VjEntryFlags flags, VjRecipePlugin *entry)
{
  const VjNode *given = vj_node_get (node, "replay");
  entry->replay = check_real (checker, node, "replay", 100, 0);
  entry->replay_closed = check_real (checker, node, "replay_closed", 1, 0.5);
  entry->replay_rewrites = check_real (checker, node, "replay_rewrites", 1, 0);
  if (given != NULL && (flags & VJ_ENTRY_NO_MODEL))
    vj_problem_at_key (&checker->problems, given, "a course has no answers of its model's own to replay; remove this key");
  if (entry->replay_closed + entry->replay_rewrites > 1)
    vj_problem_at (&checker->problems, node, "replay_closed (%g) and replay_rewrites (%g) are shares of one whole, but make more than 1; "
                   "lower one", entry->replay_closed, entry->replay_rewrites);
}

static void
check_host_keys (VjChecker *checker, const VjNode *node, VjEntryFlags flags, VjRecipePlugin *entry)
{
  const char *const *keys = vj_recipe_host_keys (entry->role);
  if (g_strv_contains (keys, "model"))
    check_entry_model (checker, node, flags, entry);
  if (g_strv_contains (keys, "count") && option_named (entry->plugin, "count") == NULL) /* else it is the plugin's own */
    entry->count = vj_check_integer (checker, node, "count", 1, G_MAXINT32, -1);
  if (g_strv_contains (keys, "samples"))
    entry->samples = vj_check_integer (checker, node, "samples", 1, 1024, 1);
  if (g_strv_contains (keys, "orders"))
    entry->orders = g_strcmp0 (vj_check_choice (checker, node, "orders", vj_order_choices), "one") == 0 ? VJ_ORDERS_ONE
                                                                                                         : VJ_ORDERS_BOTH;
  if (g_strv_contains (keys, "dtype"))
    entry->dtype = vj_check_choice (checker, node, "dtype", vj_dtype_choices);
  if (g_strv_contains (keys, "replay"))
    check_replay (checker, node, flags, entry);
  const VjNode *weight = g_strv_contains (keys, "weight") ? vj_node_get (node, "weight") : NULL;
  if (weight == NULL)
    return;
  if ((weight->kind == VJ_NODE_INT || weight->kind == VJ_NODE_REAL) && weight->real > 0 && weight->real <= 1e6)
    entry->weight = weight->real;
  else {
    g_autofree char *shown = vj_problem_value (weight);
    vj_problem_at (&checker->problems, weight, "%s; expected a number above 0, at most 1000000; leave the entry out to switch it off",
                   shown);
  }
}

/* The section compute gives backends and trainers the options they have and the entry leaves out. Done after the
 * digest: where work is done does not change what it is. */
static void
inherit_compute (VjChecker *checker, VjNode *node, const VjPlugin *plugin)
{
  const VjNode *compute = vj_node_get (checker->recipe->root, "compute");
  if (plugin->role != VJ_ROLE_BACKEND && plugin->role != VJ_ROLE_TRAINER)
    return;
  for (guint i = 0; i < vj_node_length (compute); i++) {
    const VjNode *from = vj_node_at (compute, i);
    const char *name = g_strcmp0 (from->key, "use") == 0 ? "compute" : from->key;
    if (name == NULL || from->children != NULL || option_named (plugin, name) == NULL || vj_node_get (node, name) != NULL)
      continue;
    VjNode *copy = g_memdup2 (from, sizeof *from);
    copy->key = g_strdup (name);
    copy->text = g_strdup (from->text);
    g_ptr_array_add (node->children, copy);
    copy->parent = node;
    copy->index = node->children->len - 1;
  }
}

static char *
entry_digest (const VjChecker *checker, const VjNode *node, const VjPlugin *plugin)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autofree char *own = vj_node_digest (node, NULL);
  g_string_append_printf (text, "%s\n%s\n%s\n%s\n", vj_role_name (plugin->role), plugin->name, plugin->version, own);
  for (const VjOption *option = plugin->options; option != NULL && option->name != NULL; option++) {
    const VjNode *path = option->type == VJ_OPTION_PATH ? vj_node_get (node, option->name) : NULL;
    if (path != NULL && strcmp (path->origin->directory, checker->directory) != 0)
      g_string_append_printf (text, "%s\n", path->origin->directory);
  }
  return g_compute_checksum_for_string (G_CHECKSUM_SHA256, text->str, -1);
}

static const VjPlugin *
find_plugin (VjChecker *checker, const VjNode *use, VjRole role)
{
  GError *error = NULL;
  const VjPlugin *plugin = checker->plugins->find (checker->plugins->self, role, use->text, &error);
  if (plugin != NULL)
    return plugin;
  if (use->expanded) { /* the message would show the variable's value */
    vj_problem_at (&checker->problems, use, "the variable's value names no %s plugin that can be used", vj_role_name (role));
    g_error_free (error);
  } else if (vj_error_exit (error) == VJ_EXIT_RECIPE) {
    vj_problem_at (&checker->problems, use, "%s", error->message);
    g_error_free (error);
  } else {
    g_autofree char *where = vj_node_where (use);
    g_prefix_error (&error, "%s: ", where);
    vj_problem_error (&checker->problems, error);
  }
  return NULL;
}

void
vj_check_compute_name (VjChecker *checker, const VjNode *name)
{
  static const char *const built_in[] = {VJ_COMPUTE_BUILT_IN, NULL};
  g_autoptr (GError) error = NULL;
  if (g_strv_contains (built_in, name->text) ||
      checker->plugins->find (checker->plugins->self, VJ_ROLE_COMPUTE, name->text, &error) != NULL)
    return;
  g_autofree char *list = g_strjoinv (", ", (char **) built_in);
  vj_problem_at (&checker->problems, name, "%s; built in are %s", name->expanded ? "the variable's value names no compute" : error->message, list);
}

void
vj_check_entry (VjChecker *checker, const VjNode *node, VjRole role, VjEntryFlags flags, VjRecipePlugin *ret_entry)
{
  *ret_entry = (VjRecipePlugin) {.role = role, .weight = 1, .count = -1, .samples = 1, .dtype = vj_dtype_choices[0], .replay_closed = 0.5,
                                 .node = node};
  ret_entry->path = vj_node_path (node);
  if (node->kind != VJ_NODE_MAP) {
    g_autofree char *shown = vj_problem_value (node);
    vj_problem_at (&checker->problems, node, "%s; expected a map: write { use: NAME, ... }", shown);
    return;
  }
  g_autofree char *need = g_strdup_printf ("the name of a %s plugin", vj_role_name (role));
  const VjNode *use = vj_check_child (checker, node, "use", VJ_NODE_STRING, need);
  if (use == NULL)
    return;
  ret_entry->plugin = find_plugin (checker, use, role);
  if (ret_entry->plugin == NULL)
    return;
  ret_entry->name = ret_entry->plugin->name;
  check_host_keys (checker, node, flags, ret_entry);
  ret_entry->digest = entry_digest (checker, node, ret_entry->plugin);
  const VjNode *compute = option_named (ret_entry->plugin, "compute") != NULL ? vj_node_get (node, "compute") : NULL;
  if (compute != NULL && compute->kind == VJ_NODE_STRING)
    vj_check_compute_name (checker, compute);
  inherit_compute (checker, (VjNode *) node, ret_entry->plugin);

  g_autofree void *scratch = g_malloc0 (MAX (1, ret_entry->plugin->instance_size));
  GError *error = NULL;
  if (vj_options_fill (ret_entry->plugin->options, node, vj_recipe_host_keys (role), NULL, scratch, &error))
    vj_options_clear (ret_entry->plugin->options, scratch);
  else
    vj_problem_error (&checker->problems, error);
}

VjRecipePlugin *
vj_check_entries (VjChecker *checker, const VjNode *list, VjRole role, VjEntryFlags flags, gsize *ret_n)
{
  *ret_n = vj_node_length (list);
  VjRecipePlugin *entries = g_new0 (VjRecipePlugin, *ret_n);
  for (guint i = 0; i < *ret_n; i++)
    vj_check_entry (checker, vj_node_at (list, i), role, flags, &entries[i]);
  return entries;
}

void
vj_entry_done (VjRecipePlugin *entry)
{
  g_free (entry->path);
  g_free (entry->digest);
}

void
vj_entries_free (VjRecipePlugin *entries, gsize n)
{
  for (gsize i = 0; i < n; i++)
    vj_entry_done (&entries[i]);
  g_free (entries);
}
