/* The models of a run. */
#include "pipeline/models.h"

#include <string.h>

/* An open backend under what makes it the same as another: entry digest and directory. */
typedef struct {
  VjModel model; /* first: a VjModel * handed out is an OpenModel * */
  char *key;
  VjInstance *instance;
} OpenModel;

/* One key of the recipe's `models`. */
typedef struct {
  const VjRecipeModel *entry;
  char *own;  /* the recipe's directory; NULL: the backend has none */
  char *path; /* the one that counts                                */
} NamedModel;

struct VjModels {
  VjRun *run;
  NamedModel *named; /* [n_named] */
  gsize n_named;
  GPtrArray *open; /* of OpenModel, owned, in order of opening */
};

static void
open_model_free (gpointer data)
{
  OpenModel *open = data;
  vj_instance_free (open->instance);
  g_free (open->key);
  g_free (open);
}

VjModels *
vj_models_new (const VjRecipe *recipe, VjRun *run)
{
  VjModels *models = g_new0 (VjModels, 1);
  models->run = run;
  models->open = g_ptr_array_new_with_free_func (open_model_free);
  models->n_named = recipe->n_models;
  models->named = g_new0 (NamedModel, recipe->n_models);
  for (gsize i = 0; i < recipe->n_models; i++) {
    models->named[i].entry = &recipe->models[i];
    models->named[i].own = vj_recipe_model_path (recipe, recipe->models[i].name);
    models->named[i].path = g_strdup (models->named[i].own);
  }
  return models;
}

void
vj_models_free (VjModels *models)
{
  if (models == NULL)
    return;
  g_ptr_array_unref (models->open);
  for (gsize i = 0; i < models->n_named; i++) {
    g_free (models->named[i].own);
    g_free (models->named[i].path);
  }
  g_free (models->named);
  g_free (models);
}

static NamedModel *
find_named (const VjModels *models, const char *name)
{
  for (gsize i = 0; i < models->n_named; i++)
    if (strcmp (models->named[i].entry->name, name) == 0)
      return &models->named[i];
  return NULL;
}

/* A model that a refused candidate has left again is the recipe's as before, and shared as before. */
static gboolean
is_replaced (const NamedModel *named)
{
  return g_strcmp0 (named->path, named->own) != 0;
}

static char *
key_of (const NamedModel *named)
{
  return g_strconcat (named->entry->backend.digest, " ", is_replaced (named) ? named->path : "", NULL);
}

static OpenModel *
find_open (const VjModels *models, const char *key)
{
  for (guint i = 0; i < models->open->len; i++) {
    OpenModel *open = models->open->pdata[i];
    if (strcmp (open->key, key) == 0)
      return open;
  }
  return NULL;
}

VjModel *
vj_models_open (VjModels *models, const char *name, GError **error)
{
  NamedModel *named = name != NULL ? find_named (models, name) : NULL;
  if (named == NULL) {
    vj_fail (error, VJ_EXIT_BUG, "models: '%s': no such model after the recipe was checked", name ? name : "(none)");
    return NULL;
  }
  g_autofree char *key = key_of (named);
  OpenModel *open = find_open (models, key);
  if (open != NULL)
    return &open->model;

  const char *overrides[] = {"path", named->path, NULL};
  const VjRecipePlugin *entry = &named->entry->backend;
  vj_run_aim (models->run, "models", name, 0, 0, 0);
  g_autoptr (VjInstance) instance
      = vj_instance_new (entry->plugin, entry->node, is_replaced (named) ? overrides : NULL, models->run, error);
  if (instance == NULL)
    return NULL;
  open = g_new0 (OpenModel, 1);
  open->model.self = vj_instance_self (instance);
  open->model.ops = VJ_INSTANCE_OPS (instance, VjBackendOps);
  open->model.plugin = entry->plugin;
  open->model.identity = VJ_VERB (entry->plugin, "identity", open->model.ops->identity (open->model.self));
  open->key = g_steal_pointer (&key);
  open->instance = g_steal_pointer (&instance);
  g_ptr_array_add (models->open, open);
  return &open->model;
}

const char *
vj_models_path (const VjModels *models, const char *name)
{
  const NamedModel *named = name != NULL ? find_named (models, name) : NULL;
  return named != NULL ? named->path : NULL;
}

void
vj_models_set_path (VjModels *models, const char *name, const char *path)
{
  NamedModel *named = find_named (models, name);
  if (named == NULL || g_strcmp0 (named->path, path) == 0)
    return;
  g_autofree char *old = key_of (named);
  g_free (named->path);
  named->path = g_strdup (path);

  OpenModel *open = find_open (models, old);
  for (gsize i = 0; open != NULL && i < models->n_named; i++) {
    g_autofree char *key = key_of (&models->named[i]);
    if (strcmp (key, old) == 0)
      open = NULL; /* another name still means it */
  }
  if (open != NULL)
    g_ptr_array_remove (models->open, open);
}

void
vj_models_close (VjModels *models)
{
  g_ptr_array_set_size (models->open, 0);
}

VjModel *
vj_models_at (const VjModels *models, gsize index)
{
  return index < models->open->len ? &((OpenModel *) models->open->pdata[index])->model : NULL;
}
