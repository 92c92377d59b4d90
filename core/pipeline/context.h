/* What the stages of a run share. Internal to core/pipeline: nobody else includes it. */
#ifndef VJ_PIPELINE_CONTEXT_H
#define VJ_PIPELINE_CONTEXT_H

#include "pipeline/models.h"
#include "pipeline/scheduler.h"
#include "plugin/host.h"
#include "plugin/instance.h"
#include "recipe/recipe.h"
#include "store/store.h"

G_BEGIN_DECLS

typedef struct {
  const VjRecipe *recipe;
  VjStore *store;
  VjModels *models;
  VjRun *run;
  VjLog *log;
  const gint *stop;
  const VjProgress *progress;
} VjContext;

/* One stage of the run, as planned. */
typedef struct VjStep VjStep;
struct VjStep {
  guint iteration;  /* 0: before the first; pretraining: number of the course, from 1 */
  char *name;       /* unique in its iteration: "judge", "filter:balance"              */
  char *title;      /* "iteration 1: judge"                                            */
  char *digest;     /* of all that decides the result, earlier stages included         */
  char *parts;      /* canonical JSON: key path -> digest, of what this stage reads itself */
  guint index;      /* of its entry: filter, evaluator, course                         */
  gboolean last_filter;
  gboolean held_out; /* makes the gate's held-out pairs: its records are of iteration 0 */
  gboolean (*work) (VjContext *context, const VjStep *step, GError **error);
};

/* -- stages.c: bookkeeping of one stage ------------------------------------------ */

/* The inputs of a stage. */
typedef struct {
  GPtrArray *open;  /* ids (char *, owned) still to be decided, in byte order */
  gint64 in, kept;  /* inputs in all; of them this stage has kept before      */
} VjInputs;

/* Records of this kind and of the step's iteration, made by stage `made_by` (NULL: any), that are open or whose fate this
 * stage has decided. `fits` (may be NULL) leaves others out. */
gboolean vj_inputs_init (VjInputs *inputs, VjContext *context, const VjStep *step, VjRecordKind kind, const char *made_by,
                         gboolean (*fits) (const VjRecord *), GError **error);
void vj_inputs_clear (VjInputs *inputs);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (VjInputs, vj_inputs_clear)

/* What vj_run_plan tells the plugins that this stage starts. */
void vj_step_aim (VjContext *context, const VjStep *step);
/* Says that the stage runs. */
gboolean vj_step_begin (VjContext *context, const VjStep *step, gint64 n_in, GError **error);
/* Says that it is done, with `n_kept`, and checks the books. Ends the open group, if any. */
gboolean vj_step_end (VjContext *context, const VjStep *step, gint64 n_in, gint64 n_kept, GError **error);

/* Drops a unit's record for unit->reason. `failed`: as a fault, not as a choice; so is every unit without an answer. */
gboolean vj_step_drop (VjContext *context, const VjStep *step, const VjUnit *unit, gboolean failed, GError **error);

/* A scheduler over the context's store, models and stop flag. */
VjScheduler vj_context_scheduler (const VjContext *context);
void vj_context_progress (const VjContext *context, const VjStep *step, VjProgressKind kind, const char *unit, guint64 done,
                          guint64 total, const char *note);

/* Whether `path` is `dir` or lies below it. */
gboolean vj_path_lies_in (const char *path, const char *dir);

/* The model of that name, opened. One whose identity is another than when this run first opened that directory with that
 * entry of the recipe is refused (VJ_EXIT_DATA): half a run on one model and half on another would look like one result. So
 * is one that the run has trained itself and that was changed since (vj_made_check). */
VjModel *vj_context_model (VjContext *context, const char *name, GError **error);

/* -- load.c: records as plugins see them -------------------------------------------- */

/* A question or case with its images. `question` borrows from the rest. */
typedef struct {
  VjQuestion question;
  VjStored *stored;
  GPtrArray *images; /* of VjImage */
} VjLoaded;

gboolean vj_loaded_init (VjLoaded *loaded, VjStore *store, const char *id, GError **error);
void vj_loaded_clear (VjLoaded *loaded);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (VjLoaded, vj_loaded_clear)

/* A stored record that must be there; NULL with VJ_EXIT_BUG when it is not. */
VjStored *vj_load_stored (VjStore *store, const char *id, GError **error);

/* Adds the ids (char *, owned by the array) of the records that a query finds, in its order; with `fits` of those it takes. */
typedef gboolean (*VjStoredFits) (gpointer data, const VjStored *stored);
gboolean vj_load_ids (VjStore *store, const VjStoreQuery *query, VjStoredFits fits, gpointer data, GPtrArray *ids, GError **error);

/* -- drafts.c: what sources and evaluators yield --------------------------------------- */

/* A source or evaluator at work: draws its records one by one, in order. */
typedef struct {
  const VjRecipePlugin *entry;
  VjInstance *instance;
  VjDraft *draft;
  GHashTable *keys;   /* seen within this one */
  char *stream;       /* stage part of its random streams */
  char *prefix;       /* of ids: "q1.0."                  */
  guint64 index;      /* of the next call                 */
  gint64 limit;       /* calls at most; -1: until END     */
  gboolean evaluator;
} VjDrafter;

/* `limit` -1: until END. Strings are copied. */
gboolean vj_drafter_init (VjDrafter *drafter, VjContext *context, const VjRecipePlugin *entry, const char *stream,
                          const char *prefix, GError **error);
void vj_drafter_clear (VjDrafter *drafter);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (VjDrafter, vj_drafter_clear)

/* The next draft is in drafter->draft. OK: a sound record; SKIP: quarantined, draft->reason says why; END; ERROR.
 * *ret_id (owned) is set with OK and SKIP. */
VjFlow vj_drafter_next (VjDrafter *drafter, VjContext *context, char **ret_id, GError **error);

/* Stores the draft as a question or case of that id, with its images and gold; a quarantined one (`flow` SKIP) is
 * stored with what it has and dropped by the step. `plugin` is the source's or evaluator's name. In a group. */
gboolean vj_draft_store (VjDraft *draft, VjContext *context, const VjStep *step, VjRecordKind kind, const char *id,
                         const char *plugin, VjFlow flow, GError **error);

/* -- the stages ------------------------------------------------------------------------- */

gboolean vj_work_questions (VjContext *context, const VjStep *step, GError **error);
gboolean vj_work_respond (VjContext *context, const VjStep *step, GError **error);
gboolean vj_work_inject (VjContext *context, const VjStep *step, GError **error);
gboolean vj_work_sample (VjContext *context, const VjStep *step, GError **error);
gboolean vj_work_reuse (VjContext *context, const VjStep *step, GError **error);
gboolean vj_work_audit_shortcut (VjContext *context, const VjStep *step, GError **error);
gboolean vj_work_audit_images (VjContext *context, const VjStep *step, GError **error);
gboolean vj_work_judge (VjContext *context, const VjStep *step, GError **error);
gboolean vj_work_filter (VjContext *context, const VjStep *step, GError **error);
gboolean vj_work_train (VjContext *context, const VjStep *step, GError **error);
gboolean vj_work_gate (VjContext *context, const VjStep *step, GError **error);
gboolean vj_work_evaluate (VjContext *context, const VjStep *step, GError **error);
gboolean vj_work_course (VjContext *context, const VjStep *step, GError **error);

/* pairs.c: which of the recipe's injectors the response of that id gets, drawn by weight from a stream of its own. */
gsize vj_pairs_injector (const VjRecipe *recipe, const char *response);

/* -- gold.c: the gold filter, an ablation. With `ignore` vj_gold_check is never called. -- */

/* Whether `answer`, chosen for the closed question `id`, is its gold answer: *ret_reason is NULL, or why the pair is dropped
 * (static). Case, outer punctuation, articles and the form of an option's letter ("(B)", "B. blue") make no difference. */
gboolean vj_gold_check (VjStore *store, const char *id, const char *answer, const char **ret_reason, GError **error);

/* Warns of the filter and notes it for the summary, or takes the note of an earlier recipe back. */
gboolean vj_gold_note (VjContext *context, const VjStep *step, GError **error);

/* -- replay.c: the model's own answers as examples, against forgetting ---------------------- */

typedef enum { VJ_REPLAY_OPEN, VJ_REPLAY_CLOSED, VJ_REPLAY_REWRITE, VJ_REPLAY_N_KINDS } VjReplayKind;

/* What one example shows, and what is learned from it. */
typedef struct {
  VjMessage *messages; /* [n_messages], owned; vj_messages_free */
  gsize n_messages;
  char *answer; /* owned */
} VjReplay;

typedef struct {
  GPtrArray *examples; /* of VjReplay */
  guint wanted[VJ_REPLAY_N_KINDS], found[VJ_REPLAY_N_KINDS];
} VjReplays;

/* Draws, by the run's seed, the examples that the recipe's trainer wants beside `n_traces` kept traces, from what the models
 * answered in the step's iteration: open questions and their responses; closed questions and the answer that their draws
 * settled on, also where all agree and no pair came of it; injectors' requests and the reply that was accepted. Answers are
 * read from the ledger, by asking the plugins again; gold is never read. With fewer records than wanted `found` is less.
 * replay 0: none, and nothing is done. */
gboolean vj_replays_init (VjReplays *replays, VjContext *context, const VjStep *step, guint n_traces, GError **error);
void vj_replays_clear (VjReplays *replays);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (VjReplays, vj_replays_clear)

/* Directory of what iteration or course `number` trains (owned); `last`: the last course of pretraining. */
char *vj_context_model_dir (const VjContext *context, guint number, gboolean last);
/* File for the exact resume of that training, in a directory of its own. Owned. */
char *vj_context_state_file (const VjContext *context, guint number);
/* Removes that directory. */
gboolean vj_context_forget_training (const VjContext *context, guint number, GError **error);

/* "before", "iteration 2", "pretrained": the label of an evaluation's scores. Owned. */
char *vj_step_label (const VjContext *context, const VjStep *step);

/* Adds the examples of a course. */
typedef gboolean (*VjCourseFill) (VjContext *context, const VjStep *step, gpointer data, VjCourse *course, GError **error);

/* Trains: closes the models, removes what an interrupted training left of `config->output`, fills the course, runs the
 * trainer `entry`, keeps its steps in the store. The course's `step` is set here. */
gboolean vj_context_train (VjContext *context, const VjStep *step, const VjRecipePlugin *entry, const VjCourseConfig *config,
                           VjCourseFill fill, gpointer data, GError **error);

/* Points the models at what the done stages have trained, as the run goes past them; with a gate, at what it promoted. */
gboolean vj_step_adopt (VjContext *context, const VjStep *step, GError **error);

/* -- gate.c -------------------------------------------------------------------------------- */

/* Of a gate stage that is done: whether its candidate became the judge; whether the run stops behind this iteration. */
gboolean vj_step_promoted (VjStore *store, const VjStep *step, gboolean *ret_promoted, GError **error);
gboolean vj_step_stops (VjStore *store, const VjStep *step, gboolean *ret_stops, GError **error);

/* -- made.c: models that the run itself has trained ------------------------------------------ */

/* Notes the files of a model just trained, each with its SHA-256. */
gboolean vj_made_note (VjContext *context, const char *dir, GError **error);
/* Whether the model in `dir`, trained by this run, is as it was made; VJ_EXIT_DATA names the files that are not. *ret_digest
 * (owned; may be NULL) names their content. Files whose name begins with a dot do not count. */
gboolean vj_made_check (VjContext *context, const char *dir, char **ret_digest, GError **error);
/* Whether the training of that iteration, if it is done, made a model: with no trace kept it made none. */
gboolean vj_made_any (VjStore *store, guint iteration, gboolean *ret_made, GError **error);

/* -- lineage.c ----------------------------------------------------------------------------- */

/* A path below the run directory without that directory, "models/iteration-1": it may be moved. Owned. */
char *vj_context_label (const VjContext *context, const char *path);
/* The model of that name as it stands: "models.judge" of the recipe, "models/iteration-1" of the run. Owned. */
char *vj_context_model_label (const VjContext *context, const char *name);
/* Notes that the stage asks this model. */
gboolean vj_step_note_model (VjContext *context, const VjStep *step, const char *name, const VjModel *model, GError **error);

/* -- trial.c ----------------------------------------------------------------------------- */

/* Starts and stops the plugins of the stages that are not done, and looks for their models, as vj_pipeline_try. */
gboolean vj_context_try (VjContext *context, const GPtrArray *plan, GError **error);

/* -- plan.c ------------------------------------------------------------------------------- */

/* The stages of the recipe, VjStep *, in order. */
GPtrArray *vj_plan_new (const VjRecipe *recipe);

G_END_DECLS
#endif
