/* The host's side of the objects that vj/plugin.h hands to plugins. Plugins see these types by name
 * only; the pipeline makes them, reads what a verb left in them and frees them. None is thread-safe. */
#ifndef VJ_PLUGIN_HOST_H
#define VJ_PLUGIN_HOST_H

#include "base/log.h"
#include "base/random.h"
#include "vj/plugin.h"

/* -- VjRun -------------------------------------------------------------------- */

/* One per worker, aimed anew before each verb. `log` (may be NULL) and `stop` (may be NULL; read atomically,
 * nonzero: a stop was asked for) are borrowed and must outlive it. */
VJ_API VjRun *vj_run_new (uint64_t seed, VjLog *log, const gint *stop);
VJ_API void vj_run_free (VjRun *run);
/* Starts the stream named by (seed, stage, record, draw); sets what vj_run_index and vj_run_round say. Strings are copied. */
VJ_API void vj_run_aim (VjRun *run, const char *stage, const char *record, uint64_t draw, uint64_t index, guint round);
/* What vj_run_plan says from now on; copied. */
VJ_API void vj_run_set_plan (VjRun *run, const VjRunPlan *plan);

/* -- VjDraft ------------------------------------------------------------------ */

/* Read freely; strings are owned by the draft. Steal one by g_steal_pointer. */
struct VjDraft {
  gboolean asked;             /* vj_draft_question was called       */
  VjForm form;
  char *prompt, *category;    /* category "" if none                */
  char *key;                  /* NULL: none given                   */
  char *gold;                 /* NULL: none given                   */
  char *chosen, *rejected, *how; /* evaluators; NULL: none given    */
  char *reason;               /* of a SKIP; NULL: none given        */
  char *place, *detail;       /* goes with it; NULL: none given     */
  GPtrArray *images;          /* of VjImage *, each holds a reference */
};
VJ_API VjDraft *vj_draft_new (void);
VJ_API void vj_draft_clear (VjDraft *draft); /* for the next record */
VJ_API void vj_draft_free (VjDraft *draft);
/* Place, reason and detail in one line, as far as they are given: of a SKIP, for messages. Owned. */
VJ_API char *vj_draft_problem (const VjDraft *draft);
/* What a source or evaluator that returned OK must have left: a prompt, all strings valid UTF-8, chosen and rejected
 * together. `what` names the plugin; the fault is the plugin's (VJ_EXIT_PLUGIN). */
VJ_API gboolean vj_draft_check (const VjDraft *draft, const char *what, GError **error);

/* -- VjAsk -------------------------------------------------------------------- */

/* requests: of VjRequest *, owned, deep copies that hold references to their images; `seeds` is NULL until the host
 * sets it to memory of g_malloc, which vj_request_free frees. */
struct VjAsk {
  GPtrArray *requests;
};
VJ_API VjAsk *vj_ask_new (void);
VJ_API void vj_ask_free (VjAsk *ask);
/* An owned deep copy; `seeds` may be NULL. */
VJ_API VjRequest *vj_request_new (const VjMessage *messages, gsize n_messages, const VjSampling *sampling,
                                  const uint64_t *seeds);
VJ_API void vj_request_free (VjRequest *request);
/* Owned deep copies of messages, freed by vj_messages_free (messages, n). */
VJ_API VjMessage *vj_messages_copy (const VjMessage *messages, gsize n_messages);
VJ_API void vj_messages_free (VjMessage *messages, gsize n_messages);

/* -- VjReplies ---------------------------------------------------------------- */

VJ_API VjReplies *vj_replies_new (void);
VJ_API void vj_replies_free (VjReplies *replies);
/* The next request, with room for `draws` draws; gives its number. */
VJ_API gsize vj_replies_add (VjReplies *replies, gsize draws);
/* Fills one draw; the text is copied. Every draw must be filled before a plugin sees them. */
VJ_API void vj_replies_set (VjReplies *replies, gsize request, gsize draw, const char *text, VjFinish finish);

/* -- VjScores ----------------------------------------------------------------- */

typedef struct {
  const char *metric;
  double right, total;
} VjScore;
VJ_API VjScores *vj_scores_new (void);
VJ_API void vj_scores_free (VjScores *scores);
VJ_API gsize vj_scores_count (const VjScores *scores);
VJ_API const VjScore *vj_scores_peek (const VjScores *scores, gsize index); /* in order of first mention */

/* -- VjCourse ----------------------------------------------------------------- */

typedef struct {
  const char *model; /* directory to start from                                    */
  gboolean fresh;    /* TRUE: weights are drawn anew from `seed`                   */
  uint64_t seed;
  const char *state;      /* NULL: none */
  const char *output, *checkpoint, *dtype;
  void (*step) (gpointer data, size_t step, size_t steps, double loss, double learning_rate, double grad_norm);
  gpointer data;
} VjCourseConfig;
/* Strings are copied; `step` may be NULL. */
VJ_API VjCourse *vj_course_new (const VjCourseConfig *config);
VJ_API void vj_course_free (VjCourse *course);
/* One more example; deep copy that holds references to its images. */
VJ_API void vj_course_add (VjCourse *course, const VjMessage *messages, gsize n_messages);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjRun, vj_run_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjDraft, vj_draft_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjAsk, vj_ask_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjReplies, vj_replies_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjScores, vj_scores_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjCourse, vj_course_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjRequest, vj_request_free)

#endif
