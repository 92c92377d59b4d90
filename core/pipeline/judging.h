/* Judging one pair in one or both orders: shared by the judge stage and by evaluation. Internal to core/pipeline.
 * Order 0 shows the chosen answer as A, order 1 as B. */
#ifndef VJ_PIPELINE_JUDGING_H
#define VJ_PIPELINE_JUDGING_H

#include "pipeline/context.h"

G_BEGIN_DECLS

/* How pairs are judged. */
typedef struct {
  VjInstance *judge;
  guint samples;   /* draws per order                                      */
  gboolean both;   /* both orders; else one, drawn per pair                */
  gboolean greedy; /* temperature 0 and one draw, whatever the judge asks  */
  guint64 seed;    /* of the run                                           */
  VjRecipeLabels labels; /* which verdict counts as right: by construction unless set */
} VjJudging;

/* One draw, read. */
typedef struct {
  guint order, sample;
  VjVerdict verdict;
  gboolean right;
  char *text;
  VjFinish finish;
} VjJudged;

/* A pair at work. */
typedef struct {
  VjUnit unit;
  VjLoaded question; /* of the pair, or the case itself */
  char *name;        /* of its judgments; NULL: unit.id */
  char *origin;      /* the pair that unit.id copies, which names its shuffled labels; NULL: unit.id */
  char *chosen, *rejected;
  VjMessage *messages[2]; /* what the judge is shown, by order; NULL: order not asked */
  gsize n_messages[2];
  GArray *judged; /* of VjJudged, by order, then sample */
  const char *picture; /* an audit's name of the images shown; NULL: no audit. Static */
  gsize first_request; /* number of its first request among those of the whole unit   */
} VjJudgingItem;

VjJudgingItem *vj_judging_item_new (const char *id);
/* Fills in the stored pair `unit.id`, with its question. */
gboolean vj_judging_item_load (VjJudgingItem *item, VjStore *store, GError **error);
void vj_judging_item_done (VjJudgingItem *item); /* frees the members, not the struct */

VjFlow vj_judging_ask (const VjJudging *judging, VjRun *run, VjJudgingItem *item, VjAsk *ask, GError **error);
VjFlow vj_judging_tell (const VjJudging *judging, VjRun *run, VjJudgingItem *item, const VjReplies *replies, GError **error);

/* The record of one draw; `messages`: with what the judge was shown. Owned. */
VjRecord *vj_judging_record (const VjJudgingItem *item, guint index, guint iteration, gboolean messages);

G_END_DECLS
#endif
