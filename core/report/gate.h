/* The gate: whether a candidate becomes the judge. The decision is a pure function of two judges' counts over one set of
 * pairs; its record is one JSON object in the store, which the summary and the export show. */
#ifndef VJ_REPORT_GATE_H
#define VJ_REPORT_GATE_H

#include "report/statistics.h"
#include "store/store.h"

G_BEGIN_DECLS

typedef struct {
  gboolean accuracy;      /* compare the number of right orders of a pair; else whether both are right */
  gboolean better;        /* promote only what is significantly better; else what is not significantly worse */
  gboolean sampled;       /* both answered with the judge's sampling; else greedily                    */
  double alpha;           /* level of the two-sided exact test                                         */
  double min_consistency; /* least share of pairs whose orders agree                                   */
  double min_parsed;      /* least share of answers with a verdict                                     */
  gint64 patience;        /* refusals in a row that stop the run; 0: none do                           */
} VjGateRule;

/* One judge on the set. */
typedef struct {
  VjPairCounts counts;
  guint64 unanswered; /* answers that a backend never gave, of counts.unparsed               */
  char *model;        /* owned: "models.judge" of the recipe, or "models/iteration-1" of the run */
  char *identity;     /* owned                                                                */
} VjGateSide;

typedef struct {
  VjGateSide current, candidate; /* candidate.model NULL: there is none               */
  guint64 gained, lost;          /* pairs that the candidate judges better, and worse */
  guint64 first_gained, first_lost; /* the same against the first judge, where another has taken its place */
} VjGateFigures;

VJ_API void vj_gate_figures_clear (VjGateFigures *figures);

typedef enum {
  VJ_GATE_PROMOTED,
  VJ_GATE_ROLLED_BACK, /* the judge stays, the next iteration goes on from it */
  VJ_GATE_STOPPED      /* the judge stays, and patience is spent              */
} VjGateOutcome;

typedef struct {
  VjGateOutcome outcome;
  guint refused; /* iterations in a row without promotion, this one included */
  double p;      /* exact McNemar over the pairs gained and lost             */
  char *reason;  /* owned: in words, with the figures that decided           */
} VjGateDecision;

VJ_API void vj_gate_decision_clear (VjGateDecision *decision);

/* "promoted", "rolled back", "stopped". Static. */
VJ_API const char *vj_gate_outcome_name (VjGateOutcome outcome);

/* Adds one pair, as each judge answered it when the chosen one stood first and when it stood second. `first` is the first
 * judge's, or NULL: where that is `current` still. */
VJ_API void vj_gate_figures_add (VjGateFigures *figures, const VjGateRule *rule, const VjAnswer current[2],
                                 const VjAnswer candidate[2], const VjAnswer *first);

/* Whether the candidate is promoted: it is, or is not worse than, what the rule asks of it against the judge; it is not
 * significantly worse than the first judge, so that steps too small to be seen do not add up; and it keeps the floors.
 * `refused`: of the iterations before. Never fails; fills every member. */
VJ_API void vj_gate_decide (const VjGateRule *rule, const VjGateFigures *figures, guint refused, VjGateDecision *ret_decision);

/* Keeps the record of `iteration`; an earlier one is replaced. `judge` names the model that stands afterwards. */
VJ_API gboolean vj_gate_put (VjStore *store, guint iteration, const VjGateRule *rule, const VjGateFigures *figures,
                             const VjGateDecision *decision, const char *judge, GError **error);

/* The record of `iteration`, new reference; NULL in *ret_record when there is none. */
VJ_API gboolean vj_gate_get (VjStore *store, guint iteration, json_t **ret_record, GError **error);

/* What the record of `iteration` says: the outcome and the refusals in a row. *ret_known FALSE: there is none, and the
 * rest is untouched. */
VJ_API gboolean vj_gate_outcome (VjStore *store, guint iteration, gboolean *ret_known, VjGateOutcome *ret_outcome,
                                 guint *ret_refused, GError **error);

/* The records of all gate stages that are done, in order: a JSON array, new reference. NULL on error. */
VJ_API json_t *vj_gate_records (VjStore *store, GError **error);

/* The same as lines for people, of at most 100 columns; "" when no gate was passed. NULL on error. Owned. */
VJ_API char *vj_gate_text (VjStore *store, GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (VjGateFigures, vj_gate_figures_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (VjGateDecision, vj_gate_decision_clear)

G_END_DECLS
#endif
