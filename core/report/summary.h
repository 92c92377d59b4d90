/* What a run has done, as text: the funnel of each iteration and the accuracies before and after. Read from the
 * store alone, at any time, also while a run writes it. */
#ifndef VJ_REPORT_SUMMARY_H
#define VJ_REPORT_SUMMARY_H

#include "report/statistics.h"
#include "store/store.h"

G_BEGIN_DECLS

/* Funnel, gates and accuracies; lines of at most 100 columns, foreign text inert. NULL on error. Caller frees. */
VJ_API char *vj_summary_text (VjStore *store, GError **error);

/* The same as one JSON object: {"ablation": null, "funnel": [...], "audits": [...], "gates": [...], "scores": [...],
 * "tests": [...]}, and what notes.h adds. NULL on error. Caller frees. */
VJ_API char *vj_summary_json (VjStore *store, GError **error);

/* Pairs right in both orders, before and after, case by case. */
typedef struct {
  guint64 cases;             /* judged in both evaluations                                    */
  guint64 lost, gained;      /* right only before, right only after                           */
  double p;                  /* exact McNemar                                                 */
} VjComparison;

/* Compares the strict answers of the pair evaluator `evaluator` ("scene-pairs") before the first iteration and after
 * `iteration`. cases is 0 when either is missing or the evaluator asks itself. */
VJ_API gboolean vj_summary_compare (VjStore *store, const char *evaluator, guint iteration, VjComparison *ret_comparison,
                                    GError **error);

G_END_DECLS
#endif
