/* The models of a run: backends opened when first asked for, shared by entries that are equal,
 * and pointed at a new directory when training has made one. */
#ifndef VJ_PIPELINE_MODELS_H
#define VJ_PIPELINE_MODELS_H

#include "plugin/instance.h"
#include "recipe/recipe.h"

G_BEGIN_DECLS

typedef struct VjModels VjModels;

/* An open backend. Borrowed from the VjModels, valid until the model is replaced or closed. */
typedef struct {
  void *self;
  const VjBackendOps *ops;
  const VjPlugin *plugin;
  const char *identity; /* digest of weights and sampler: part of every request's key */
  guint64 in_flight;    /* draws submitted and not yet polled; kept by the scheduler   */
} VjModel;

/* `recipe` and `run` (for the backends' start) are borrowed and must outlive it. Opens nothing. */
VJ_API VjModels *vj_models_new (const VjRecipe *recipe, VjRun *run);
/* Closes every model. NULL is fine. */
VJ_API void vj_models_free (VjModels *models);

/* The model of key `name`, opened when it is not. Two names with the same backend and options get the same
 * one. Errors are the backend's own: VJ_EXIT_DATA for a missing or broken model. */
VJ_API VjModel *vj_models_open (VjModels *models, const char *name, GError **error);

/* Directory of `name`: the one set last, else the recipe's `path` made absolute. NULL: its backend has none.
 * Borrowed until the next call of vj_models_set_path. */
VJ_API const char *vj_models_path (const VjModels *models, const char *name);

/* From now on `name` is the model in `path`. An instance that nobody else names is closed, which frees its memory. */
VJ_API void vj_models_set_path (VjModels *models, const char *name, const char *path);

/* Closes every instance, before something else needs the memory; vj_models_open opens them again. */
VJ_API void vj_models_close (VjModels *models);

/* Open models, to wait on: the `index`-th, NULL past the end. */
VJ_API VjModel *vj_models_at (const VjModels *models, gsize index);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjModels, vj_models_free)

G_END_DECLS
#endif
