/* The ask/tell scheduler: answers what plugins ask, for many records at once.
 *
 * For each unit (a record in the hands of a plugin) it calls `ask`, expands the requests into draws whose seeds come
 * from (run seed, stage, record, request, draw), looks every draw up in the ledger, claims and then sends the missing
 * ones, keeps each reply durably, and only then calls `tell`. Units are settled in the order they came, whatever the
 * order of the replies: records and their ids depend on nothing else.
 *
 * Laws: a draw is claimed durably before it is sent; `tell` sees durable replies only; a draw that is answered in the
 * ledger is never sent again. What it is not: it knows no roles and no stages, and opens no model. */
#ifndef VJ_PIPELINE_SCHEDULER_H
#define VJ_PIPELINE_SCHEDULER_H

#include "pipeline/models.h"
#include "report/progress.h"
#include "store/store.h"

G_BEGIN_DECLS

/* One record at work; a stage embeds it as the first member of its own struct. */
typedef struct {
  char *id;       /* owned: the record, in the ledger and in messages                                      */
  char *stream;   /* owned: names the random streams; NULL: `id`                                           */
  VjModel *model; /* borrowed: who answers; may be NULL when nothing is asked                              */
  char *reason;   /* owned: why it was dropped, set by `tell` with SKIP or by the scheduler                 */
  char *failure;  /* owned: the backend's words when a draw has no answer; the unit is then dropped         */
} VjUnit;

/* What a stage does with its units. Verbs run on the caller's thread; `self` is the stage's own. */
typedef struct {
  const char *stage; /* "judge": names streams and claims                                                  */
  const char *title; /* of its line of progress: "iteration 1: judge"                                      */
  const char *unit;  /* what is counted: "pairs"                                                           */
  guint64 done, total; /* of the progress: settled before, and in all; total 0: not known                 */
  gpointer self;
  /* The next unit, NULL in *ret_unit after the last. The scheduler owns it from then on. */
  gboolean (*next) (gpointer self, VjUnit **ret_unit, GError **error);
  /* As the verbs of vj/plugin.h; `so_far` is NULL in the first round. ask may be NULL: nothing is asked. */
  VjFlow (*ask) (gpointer self, VjRun *run, VjUnit *unit, const VjReplies *so_far, VjAsk *ask, GError **error);
  VjFlow (*tell) (gpointer self, VjRun *run, VjUnit *unit, const VjReplies *replies, GError **error);
  /* Writes the outcome (OK or SKIP with unit->reason) to the store; called in order, inside a group. */
  gboolean (*settle) (gpointer self, VjUnit *unit, VjFlow flow, GError **error);
  void (*unit_free) (VjUnit *unit); /* calls vj_unit_clear and frees the struct */
} VjWork;

typedef struct {
  VjStore *store;
  VjModels *models;
  VjRun *run;                 /* aimed anew before each verb                        */
  guint64 seed;               /* of the run                                         */
  const gint *stop;           /* nonzero: stop; its value is the signal's number    */
  const VjProgress *progress; /* may be NULL                                        */
  guint window;               /* draws in flight at most; 0: 256                    */
} VjScheduler;

/* Works until no unit is left. Errors: a verb's own, the store's, the backend's, or VJ_EXIT_INTERRUPTED and
 * VJ_EXIT_TERMINATED when a stop was asked for. Whatever was answered by then is durable. */
VJ_API gboolean vj_scheduler_run (const VjScheduler *scheduler, const VjWork *work, GError **error);

/* Fails with VJ_EXIT_INTERRUPTED or VJ_EXIT_TERMINATED when *stop is set. */
VJ_API gboolean vj_scheduler_go_on (const gint *stop, GError **error);

VJ_API void vj_unit_clear (VjUnit *unit); /* frees the members */

G_END_DECLS
#endif
