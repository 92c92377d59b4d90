/* A recipe, checked and typed: every section, every plugin entry resolved.
 *
 * Lifetimes: everything a VjRecipe points to lives as long as it does; plugins
 * live as long as the process. */
#ifndef VJ_RECIPE_RECIPE_H
#define VJ_RECIPE_RECIPE_H

#include "recipe/options.h"

/* How the recipe finds plugins (the registry, one floor up, fills this in). */
typedef struct {
  gpointer self;
  /* Borrowed for ever. Failure: VJ_EXIT_RECIPE when there is none of that name (the message says which are near),
   * VJ_EXIT_PLUGIN when it was refused. */
  const VjPlugin *(*find) (gpointer self, VjRole role, const char *name, GError **error);
} VjRecipePlugins;

typedef enum { VJ_ORDERS_BOTH, VJ_ORDERS_ONE } VjOrders;

/* A plugin entry. Members a role does not use hold their defaults. */
typedef struct {
  VjRole role;
  const VjPlugin *plugin; /* NULL: this entry is absent                                         */
  const char *name;       /* of the plugin                                                      */
  const char *model;      /* injector, sampler, judge, trainer, evaluator: key of models; may be NULL */
  double weight;          /* injector: > 0, default 1                                           */
  int64_t count;          /* source, lesson, evaluator: at most this many; -1: until END        */
  VjOrders orders;        /* judge                                                              */
  int64_t samples;        /* judge: draws per order, default 1                                  */
  const char *dtype;      /* trainer: of the weights to write, "bf16" (default) or "f32"        */
  const VjNode *node;     /* the entry: options for vj_instance_new, place for messages         */
  char *path;             /* "iteration.filters.1"                                              */
  char *digest;           /* SHA-256 of plugin name, plugin version and all keys of the entry   */
} VjRecipePlugin;

typedef struct {
  const char *name; /* key of models: */
  VjRecipePlugin backend;
} VjRecipeModel;

/* iteration.open_ended.respond: the host asks the question's prompt itself. */
typedef struct {
  const char *model; /* NULL: absent */
  VjSampling sampling; /* n = 1; defaults: temperature 0.6, top_k 50, top_p 0.9, max_tokens 512 */
  const VjNode *node;
  char *digest;
} VjRecipeRespond;

typedef struct {
  VjRecipePlugin *lessons; /* [n_lessons], role source */
  gsize n_lessons;
  VjRecipePlugin train;
} VjRecipeCourse;

/* iteration.audit.images: a sample of pairs is judged again with other images. */
typedef struct {
  int64_t sample;   /* pairs at most                                                                */
  int64_t on_blind; /* VjRecipeOnFinding: what follows when the judge does as well with a blank image */
} VjRecipeAuditImages;

/* iteration.audit.shortcut: how well the text alone tells chosen from rejected. */
typedef struct {
  double max_auc;  /* in [0.5, 1]                                                    */
  int64_t on_leak; /* VjRecipeOnFinding: what follows when the text alone does better */
  int64_t folds;   /* of the cross-validation                                        */
  int64_t sample;  /* pairs at most                                                  */
} VjRecipeAuditShortcut;

typedef enum { VJ_ON_FINDING_WARN, VJ_ON_FINDING_FAIL } VjRecipeOnFinding;

/* iteration.audit. An audit whose digest is NULL is not asked for. */
typedef struct {
  VjRecipeAuditImages images;
  VjRecipeAuditShortcut shortcut;
  char *images_digest, *shortcut_digest; /* SHA-256 of the audit's keys, "presets" when there are none */
} VjRecipeAudit;

typedef struct {
  const char *metric; /* NULL: no gate; each candidate becomes the judge */
  int64_t patience;   /* iterations without a better metric before the run ends */
} VjRecipeGate;

typedef struct {
  const char *file; /* as given     */
  const char *name; /* [a-z0-9._-]+ */
  uint64_t seed;
  VjRecipeModel *models; /* [n_models], in the recipe's order */
  gsize n_models;

  gboolean iterates; /* the recipe has an `iteration` section; else it has `pretrain` or only `evaluate` */
  VjRecipePlugin *questions; /* [n_questions] sources */
  gsize n_questions;
  VjRecipeRespond respond;
  VjRecipePlugin *injectors; /* [n_injectors] */
  gsize n_injectors;
  VjRecipePlugin sampler;
  VjRecipeAudit audit;
  VjRecipePlugin judge;
  VjRecipePlugin *filters; /* [n_filters] */
  gsize n_filters;
  VjRecipePlugin trainer;

  VjRecipePlugin *evaluators; /* [n_evaluators] */
  gsize n_evaluators;
  int64_t iterations; /* repeat.iterations, default 1 */
  VjRecipeGate gate;

  const char *pretrain_init; /* absolute directory; NULL: no `pretrain` section */
  const char *pretrain_dtype; /* "bf16" (default) or "f32" */
  VjRecipeCourse *courses; /* [n_courses] */
  gsize n_courses;

  const VjNode *root;
  char *digest; /* SHA-256 of the whole recipe without places, `repeat` and `compute` */
} VjRecipe;

typedef struct {
  const char *file;        /* the recipe                               */
  const char *deploy;      /* overlay file; NULL: none                 */
  const char *const *sets; /* NULL-terminated assignments; NULL: none  */
  VjRecipePlugins plugins;
} VjRecipeSource;

/* Reads, overlays, checks. All faults found are in the message, one line each:
 * "recipe.yaml:12:7: iteration.judge.orders: 'bth': ...; expected ...; did you mean 'both'?". Free with vj_recipe_free. */
VJ_API VjRecipe *vj_recipe_load (const VjRecipeSource *source, GError **error);

/* The same from memory: `directory` is where relative paths start; `source->file` is only a name. */
VJ_API VjRecipe *vj_recipe_parse (const char *bytes, gsize length, const char *directory, const VjRecipeSource *source,
                                  GError **error);
VJ_API void vj_recipe_free (VjRecipe *recipe);

/* The model of that key; NULL when there is none. Borrowed. */
VJ_API const VjRecipeModel *vj_recipe_model (const VjRecipe *recipe, const char *name);

/* Keys of an entry that belong to the host, by role ("use", "model", ...). NULL-terminated, static. */
VJ_API const char *const *vj_recipe_host_keys (VjRole role);

/* "source", "sources"; "no role" outside the table. Static. */
VJ_API const char *vj_role_name (VjRole role);
VJ_API const char *vj_role_folder (VjRole role);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjRecipe, vj_recipe_free)

#endif
