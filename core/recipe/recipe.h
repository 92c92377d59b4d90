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
  double replay;          /* trainer: examples of the model's own answers per kept trace, >= 0, default 0 */
  double replay_closed;   /* trainer: share of closed questions in them, 0..1, default 0.5      */
  double replay_rewrites; /* trainer: share of injectors' requests, default 0; the rest is open questions */
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

/* repeat: how one iteration leads to the next. The members are those of vj_repeat_options (repeat.c). */
typedef enum { VJ_PAIRS_FRESH, VJ_PAIRS_REUSE } VjRepeatPairs;
typedef enum { VJ_TRAIN_FROM_PREVIOUS, VJ_TRAIN_FROM_BASE } VjRepeatTrainFrom;
typedef enum { VJ_TRACES_LATEST, VJ_TRACES_ALL } VjRepeatTraces;
typedef enum { VJ_GENERATOR_FIXED, VJ_GENERATOR_JUDGE } VjRepeatGenerator;
typedef struct {
  int64_t iterations; /* at most; default 1     */
  int64_t pairs;      /* VjRepeatPairs          */
  int64_t train_from; /* VjRepeatTrainFrom      */
  int64_t traces;     /* VjRepeatTraces         */
  int64_t generator;  /* VjRepeatGenerator      */
} VjRecipeRepeat;

/* repeat.gate: whether a candidate becomes the judge. The numbers are those of vj_gate_options (repeat.c). */
typedef enum { VJ_GATE_METRIC_STRICT, VJ_GATE_METRIC_ACCURACY } VjRecipeGateMetric;
typedef enum { VJ_PROMOTE_NOT_WORSE, VJ_PROMOTE_BETTER } VjRecipeGatePromote;
typedef enum { VJ_GATE_ANSWERS_GREEDY, VJ_GATE_ANSWERS_SAMPLED } VjRecipeGateAnswers;
typedef struct {
  gboolean present;          /* else each candidate becomes the judge                    */
  VjRecipePlugin *questions; /* [n_questions] sources; none: those of the iteration      */
  gsize n_questions;
  int64_t count;             /* questions of each source at most                         */
  int64_t metric;            /* VjRecipeGateMetric                                       */
  int64_t promote;           /* VjRecipeGatePromote                                      */
  int64_t answers;           /* VjRecipeGateAnswers                                      */
  double alpha;              /* level of the exact test, above 0                         */
  double min_consistency;    /* least share of pairs judged alike in both orders         */
  double min_parsed;         /* least share of answers with a verdict                    */
  int64_t patience;          /* iterations in a row without promotion that end the run; 0: none do */
} VjRecipeGate;

/* iteration.labels: which verdict counts as right. All but the first are controls, which teach nothing true. */
typedef enum { VJ_LABELS_CONSTRUCTION, VJ_LABELS_SHUFFLED_PRESENTATIONS, VJ_LABELS_SHUFFLED_PAIRS } VjRecipeLabels;

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
  gboolean gold_filter; /* closed_form.gold: filter. Pairs whose chosen answer is not gold are dropped: an ablation */
  VjRecipeAudit audit;
  VjRecipePlugin judge;
  VjRecipeLabels labels;
  VjRecipePlugin *filters; /* [n_filters] */
  gsize n_filters;
  VjRecipePlugin trainer;

  VjRecipePlugin *evaluators; /* [n_evaluators] */
  gsize n_evaluators;
  VjRecipeRepeat repeat;
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

/* The directory that the recipe gives the model of that key, made absolute. NULL: it has none, or there is no such model.
 * Owned. */
VJ_API char *vj_recipe_model_path (const VjRecipe *recipe, const char *name);

/* The model that a generating role (respond, injector, sampler) asks when its entry names `name`: with `generator: judge`
 * and one directory for both it is the model that is trained, which follows the judge; else `name`. Borrowed. */
VJ_API const char *vj_recipe_generator (const VjRecipe *recipe, const char *name);

/* "construction", "shuffled-presentations", "shuffled-pairs". Static. */
VJ_API const char *vj_recipe_labels_name (VjRecipeLabels labels);

/* The words of the options of repeat and repeat.gate that the recipe sets to something else than the default, as
 * "name: value" by `each`, in the order of the tables; of `gate` or of repeat itself. */
typedef void (*VjRecipeOptionFunc) (gpointer data, const char *name, const char *value);
VJ_API void vj_recipe_repeat_options (const VjRecipe *recipe, gboolean gate, VjRecipeOptionFunc each, gpointer data);

/* Keys of an entry that belong to the host, by role ("use", "model", ...). NULL-terminated, static. */
VJ_API const char *const *vj_recipe_host_keys (VjRole role);

/* "source", "sources"; "no role" outside the table. Static. */
VJ_API const char *vj_role_name (VjRole role);
VJ_API const char *vj_role_folder (VjRole role);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjRecipe, vj_recipe_free)

#endif
