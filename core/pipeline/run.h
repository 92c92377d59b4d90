/* A run: the stages of a recipe, one after the other, each where it was left. */
#ifndef VJ_PIPELINE_RUN_H
#define VJ_PIPELINE_RUN_H

#include "base/log.h"
#include "recipe/recipe.h"
#include "report/progress.h"
#include "store/store.h"

G_BEGIN_DECLS

typedef struct {
  const VjRecipe *recipe;
  VjStore *store;             /* open for writing                                        */
  VjLog *log;                 /* may be NULL                                             */
  const gint *stop;           /* nonzero: a signal's number; read atomically; may be NULL */
  const VjProgress *progress; /* may be NULL                                             */
} VjRunConfig;

typedef struct {
  guint stages, done_before; /* of the plan; of them finished by runs before                            */
  guint stopped, not_run;    /* iteration at which the gate stopped the run, 0: it did not; stages behind it */
  gint64 failed;             /* records quarantined by a source or left without an answer by a backend  */
  char *model;               /* owned: directory of the judge as it stands; NULL: it is the recipe's    */
} VjRunResult;

/* The store's meta key whose presence says that the run's export is of the run as it stands. Whoever exports sets it; the
 * pipeline removes it before it changes anything. */
#define VJ_RUN_EXPORTED "exported"

VJ_API void vj_run_result_clear (VjRunResult *result);

/* What `vj_pipeline_run` would be refused for before its first stage: plugins that do not start, models that are not there.
 * All of it is in the message, one line each. Does no work and loads no model. */
VJ_API gboolean vj_pipeline_try (const VjRecipe *recipe, VjLog *log, GError **error);

/* Runs, or goes on with, the recipe in the store's directory. Stages whose part of the recipe changed are undone first,
 * with all that depends on them; replies stay, so nothing already answered is asked again. Errors carry the exit code;
 * everything done is durable. */
VJ_API gboolean vj_pipeline_run (const VjRunConfig *config, VjRunResult *ret_result, GError **error);

/* One stage of the plan beside what the store knows of it. */
typedef struct {
  char *title;
  gboolean done, stale; /* stale: it was done, or begun, under another recipe */
  gboolean stopped;     /* lies behind the iteration at which the gate stopped: it is not run */
} VjRunStage;

/* What is done and what is left: VjRunStage *, in order. Works on a store open for reading. */
VJ_API gboolean vj_pipeline_stages (const VjRecipe *recipe, VjStore *store, GPtrArray **ret_stages, GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (VjRunResult, vj_run_result_clear)

G_END_DECLS
#endif
