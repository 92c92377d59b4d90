/* The run directory: one SQLite database that remembers everything a run has done.
 *
 * Laws: a call that reports success inside a group is durable when vj_store_commit has returned TRUE; outside a group,
 * when the call itself has. One process writes (a kernel lock, which dies with it); any number read. After a write that
 * failed the store refuses every further call with that error: what the disk holds is only known by opening it anew, so
 * nothing is retried. All errors are VJ_EXIT_STORE unless said, name the file, and say what to do. A store is driven by
 * one thread at a time.
 *
 * Files: ledger.sqlite (with -wal and -shm while open), lock. Checkpoints and exports are directories beside them.
 * Image bytes live in the database: they commit with the records that show them, and thousands of small images cost
 * one fsync a group instead of two each. */
#ifndef VJ_STORE_STORE_H
#define VJ_STORE_STORE_H

#include "image/image.h"
#include "record/record.h"

typedef struct VjStore VjStore;
typedef struct VjStoreCursor VjStoreCursor;

typedef enum {
  VJ_STORE_WRITE, /* make the directory if need be, take the lock; VJ_EXIT_BUSY names the holder */
  VJ_STORE_READ   /* no lock, also beside a running writer; the directory must hold a ledger     */
} VjStoreMode;

VJ_API VjStore *vj_store_open (const char *dir, VjStoreMode mode, GError **error);
/* Rolls an open group back. NULL is fine. */
VJ_API void vj_store_close (VjStore *store);
VJ_API const char *vj_store_dir (const VjStore *store); /* absolute; borrowed */

/* -- groups: many writes, one fsync; they do not nest --------------------------- */

VJ_API gboolean vj_store_begin (VjStore *store, GError **error);
VJ_API gboolean vj_store_commit (VjStore *store, GError **error);
VJ_API void vj_store_rollback (VjStore *store); /* no group: nothing */
VJ_API gboolean vj_store_in_group (const VjStore *store);

/* -- meta: named texts (recipe, seed, version of the run) ------------------------ */

VJ_API gboolean vj_store_meta_set (VjStore *store, const char *key, const char *value, GError **error); /* NULL removes */
VJ_API gboolean vj_store_meta_get (VjStore *store, const char *key, char **ret_value, GError **error); /* NULL if absent */

/* Names that the pipeline gives and an export knows: stages, and the meta key of a gate's record (its iteration). */
#define VJ_STORE_STAGE_COURSE "course"  /* trains in pretraining                             */
#define VJ_STORE_STAGE_GATE "gate"      /* compares a candidate with the judge               */
#define VJ_STORE_STAGE_GATE_SET "gate:" /* prefix: makes the gate's held-out pairs           */
#define VJ_STORE_STAGE_REUSE "reuse"    /* copies the first iteration's pairs to judge again */
#define VJ_STORE_META_GATE "gate %u"

/* -- iterations ------------------------------------------------------------------- */

/* The last iteration (of pretraining: course) that the run has. What an earlier recipe did beyond it stays in the store, but
 * is no part of the run: what asks for all iterations (VJ_ANY, stages, scores, counts of faults) does not see it. */
VJ_API gboolean vj_store_last_set (VjStore *store, guint last, GError **error);
VJ_API guint vj_store_last (const VjStore *store); /* G_MAXUINT: none was set */

/* -- stages ----------------------------------------------------------------------- */

typedef enum { VJ_STAGE_RUNNING, VJ_STAGE_DONE } VjStageState;

typedef struct {
  guint iteration;
  char *name;
  char *digest; /* of everything that decides the stage's result; the pipeline's own */
  VjStageState state;
  gint64 n_in, n_kept;
} VjStage;

VJ_API gboolean vj_store_stage_put (VjStore *store, const VjStage *stage, GError **error); /* replaces */
/* *ret_stage is NULL when there is none. Free with vj_stage_free. */
VJ_API gboolean vj_store_stage_get (VjStore *store, guint iteration, const char *name, VjStage **ret_stage, GError **error);
/* All of the run, VjStage *, by iteration, then in the order first put. */
VJ_API gboolean vj_store_stages (VjStore *store, GPtrArray **ret_stages, GError **error);
/* Those of later iterations than this, also beyond the run's last. */
VJ_API gboolean vj_store_stages_beyond (VjStore *store, guint iteration, GPtrArray **ret_stages, GError **error);
/* Undoes a stage: its row, the records it made (their children must be forgotten first or be of the same stage: whatever
 * descends from a removed record goes too), their gold, the fates it decided, an evaluation's scores and a training's steps.
 * Replies and images stay. */
VJ_API gboolean vj_store_stage_forget (VjStore *store, guint iteration, const char *name, GError **error);
VJ_API void vj_stage_free (VjStage *stage);

/* -- records ------------------------------------------------------------------------- */

typedef enum { VJ_FATE_OPEN, VJ_FATE_KEPT, VJ_FATE_DROPPED } VjFate; /* "open", "kept", "dropped" */
VJ_API const char *vj_fate_name (VjFate fate);

typedef struct {
  VjRecord *record;
  char *stage;      /* that made it                       */
  VjFate fate;
  char *fate_stage; /* that decided the fate; NULL: open   */
  char *reason;     /* why it was dropped; NULL: it was not */
} VjStored;

VJ_API void vj_stored_free (VjStored *stored);

/* Adds a checked record, with fate open. The same record again is no error and changes nothing; another content under
 * the same id is VJ_EXIT_BUG. Parents must be stored before. */
VJ_API gboolean vj_store_record_put (VjStore *store, const char *stage, const VjRecord *record, GError **error);
/* *ret_stored is NULL when there is none. */
VJ_API gboolean vj_store_record_get (VjStore *store, const char *id, VjStored **ret_stored, GError **error);
/* Replaces the content of a stored record; fate and stage stay. */
VJ_API gboolean vj_store_record_update (VjStore *store, const VjRecord *record, GError **error);
/* Decides (or, with VJ_FATE_OPEN, reopens) a fate. `reason` goes with VJ_FATE_DROPPED alone. */
VJ_API gboolean vj_store_record_fate (VjStore *store, const char *id, VjFate fate, const char *stage, const char *reason,
                                      GError **error);

/* What to walk over; VJ_ANY or NULL leaves a condition out. */
#define VJ_ANY (-1)
typedef struct {
  int iteration, kind, fate; /* VjRecordKind, VjFate                    */
  const char *stage;         /* that made the record                    */
  const char *parent;        /* children of this record                 */
} VjStoreQuery;
#define VJ_STORE_QUERY_ALL ((VjStoreQuery){VJ_ANY, VJ_ANY, VJ_ANY, NULL, NULL})

/* Records in byte order of their ids. The cursor reads in small pages, so records met may be changed on the way. */
VJ_API VjStoreCursor *vj_store_walk (VjStore *store, const VjStoreQuery *query);
/* *ret_stored is the next one, NULL after the last. */
VJ_API gboolean vj_store_walk_next (VjStoreCursor *cursor, VjStored **ret_stored, GError **error);
VJ_API void vj_store_walk_free (VjStoreCursor *cursor);
VJ_API gboolean vj_store_count (VjStore *store, const VjStoreQuery *query, gint64 *ret_count, GError **error);

/* -- the funnel ------------------------------------------------------------------------- */

typedef struct {
  guint iteration;
  char *stage, *reason; /* stage: that dropped them */
  VjRecordKind kind;
  gint64 count;
} VjDrop;

/* VjDrop *, by iteration, stage, kind, falling count, reason. */
VJ_API gboolean vj_store_drops (VjStore *store, int iteration, GPtrArray **ret_drops, GError **error);
VJ_API void vj_drop_free (VjDrop *drop);

/* -- quarantine: records that failed ------------------------------------------------------- */

/* What is particular to one failed record; each may be NULL. Never counted by. */
typedef struct {
  char *place;  /* "data.jsonl:12", "iteration 1: judge"       */
  char *detail; /* "id 'x' is already that of data.jsonl:3"    */
} VjFault;

/* Drops a record for `reason` (the same for the same cause) and keeps what is known of its fault. */
VJ_API gboolean vj_store_quarantine (VjStore *store, const char *id, const char *stage, const char *reason, const char *place,
                                     const char *detail, GError **error);
/* *ret_fault is NULL when the record is not in quarantine. Free with vj_fault_free. */
VJ_API gboolean vj_store_quarantine_get (VjStore *store, const char *id, VjFault **ret_fault, GError **error);
VJ_API gboolean vj_store_quarantine_count (VjStore *store, gint64 *ret_count, GError **error);
VJ_API void vj_fault_free (VjFault *fault);

/* Whether n_in = n_kept + dropped holds for each stage that is done, dropped counted from the records. The first that
 * does not is VJ_EXIT_BUG, with its figures. */
VJ_API gboolean vj_store_balance (VjStore *store, int iteration, GError **error);

/* -- gold: apart from the records, for measuring only -------------------------------------- */

VJ_API gboolean vj_store_gold_put (VjStore *store, const char *record, const char *gold, GError **error);
VJ_API gboolean vj_store_gold_get (VjStore *store, const char *record, char **ret_gold, GError **error); /* NULL if none */

/* -- replies -------------------------------------------------------------------------------- */

typedef struct {
  char *text, *error; /* exactly one is set                       */
  VjFinish finish;
  guint32 prompt_tokens, completion_tokens;
} VjStoredReply;

VJ_API void vj_stored_reply_clear (VjStoredReply *reply);

typedef enum { VJ_REPLY_UNKNOWN, VJ_REPLY_CLAIMED, VJ_REPLY_ANSWERED } VjReplyState;

/* Says that the draw `key` (vj_request_key) is about to be sent for `record` at `stage`; to be committed before it is.
 * Again for a key claimed before and not answered (its run was killed) counts one repeat. An answered key is no error
 * and stays answered. */
VJ_API gboolean vj_store_reply_claim (VjStore *store, const char *key, const char *record, const char *stage, GError **error);
/* Keeps the answer of a claimed key. A key never claimed, or answered differently before, is VJ_EXIT_BUG. */
VJ_API gboolean vj_store_reply_answer (VjStore *store, const char *key, const VjStoredReply *reply, GError **error);
/* *ret_reply is filled only when *ret_state is VJ_REPLY_ANSWERED; clear it afterwards. */
VJ_API gboolean vj_store_reply_lookup (VjStore *store, const char *key, VjReplyState *ret_state, VjStoredReply *ret_reply,
                                       GError **error);

typedef struct {
  gint64 answered, claimed; /* claimed: and not answered                       */
  gint64 repeats;           /* claims made again: sent twice at most this often */
  gint64 prompt_tokens, completion_tokens;
} VjReplyCounts;
VJ_API gboolean vj_store_reply_counts (VjStore *store, VjReplyCounts *ret_counts, GError **error);

/* One draw that a record asked for. */
typedef struct {
  char *key, *stage;
  gint64 claims; /* times it was sent, at most                   */
  gboolean answered;
  VjStoredReply reply; /* when answered */
} VjStoredDraw;

VJ_API void vj_stored_draw_free (VjStoredDraw *draw);
/* VjStoredDraw *, in the order claimed: what was asked for this record. */
VJ_API gboolean vj_store_draws_of (VjStore *store, const char *record, GPtrArray **ret_draws, GError **error);

/* -- images -------------------------------------------------------------------------------------- */

/* Keeps the image's encoded bytes under its digest, once. */
VJ_API gboolean vj_store_image_put (VjStore *store, const VjImage *image, GError **error);
/* *ret_image is NULL when there is none. */
VJ_API gboolean vj_store_image_get (VjStore *store, const char *digest, VjImage **ret_image, GError **error);

/* -- audits: what was found out about an iteration's pairs --------------------------------------------- */

/* Keeps the figures (JSON, one line) of a stage "audit:..."; NULL: there are none yet. */
VJ_API gboolean vj_store_audit_put (VjStore *store, guint iteration, const char *stage, const char *figures, GError **error);
/* char *, in the order of their stages; of stages that are not there any more none. `iteration` VJ_ANY: of all. */
VJ_API gboolean vj_store_audits (VjStore *store, int iteration, GPtrArray **ret_figures, GError **error);

/* -- ablations: a run that is a control must be known as one wherever its data and models go -------------- */

/* Notes that a coin decides which verdict counts as right (the name of iteration.labels); NULL: the construction does. */
VJ_API gboolean vj_store_ablation_labels (VjStore *store, const char *labels, GError **error);
/* Notes, for this iteration, that gold decided which pairs were kept; FALSE takes such a note back. */
VJ_API gboolean vj_store_ablation_gold (VjStore *store, guint iteration, gboolean used, GError **error);
/* {"labels": "shuffled-pairs", "gold": "filter"}, each where it is so. New reference; NULL in *ret_marks: no ablation. */
VJ_API gboolean vj_store_ablation_get (VjStore *store, json_t **ret_marks, GError **error);

/* -- scores and training steps ---------------------------------------------------------------------- */

typedef struct {
  char *label;            /* "before", "iteration 1", ... */
  char *evaluator, *metric;
  double right, total;
} VjStoredScore;

VJ_API gboolean vj_store_score_put (VjStore *store, const VjStoredScore *score, GError **error); /* replaces */
/* VjStoredScore *, in the order first put. `label` NULL: all. */
VJ_API gboolean vj_store_scores (VjStore *store, const char *label, GPtrArray **ret_scores, GError **error);
VJ_API void vj_stored_score_free (VjStoredScore *score);

typedef struct {
  gint64 step, steps;
  double loss, learning_rate, grad_norm;
} VjTrainStep;

/* A step of the named course ("iteration 1"); the same step again replaces. */
VJ_API gboolean vj_store_step_put (VjStore *store, const char *course, const VjTrainStep *step, GError **error);
/* GArray of VjTrainStep, by step. */
VJ_API gboolean vj_store_steps (VjStore *store, const char *course, GArray **ret_steps, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjStore, vj_store_close)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjStored, vj_stored_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjFault, vj_fault_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjStage, vj_stage_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjStoreCursor, vj_store_walk_free)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (VjStoredReply, vj_stored_reply_clear)

#endif
