/* Where a score comes from: the judge that answered, the training that made it, the traces it was trained on. */
#ifndef VJ_CLI_LINEAGE_H
#define VJ_CLI_LINEAGE_H

#include "store/store.h"

/* Prints the model that stage `name` of `iteration` asked ("judged by"); nothing where none was noted. */
gboolean vj_lineage_print_model (VjStore *store, guint iteration, const char *name, GError **error);

/* Prints which trainings are behind that model, the last first, each with traces that it saw, down to their pixels. */
gboolean vj_lineage_print_trainings (VjStore *store, guint iteration, const char *name, GError **error);

/* Prints what a judgment, which has no children, went into: trainings, a gate's decision, scores, an audit's figures. Adds
 * how many lines that were to *uses; other records have none. */
gboolean vj_lineage_print_uses (VjStore *store, const VjStored *stored, guint *uses, GError **error);

/* Whether `what` names an evaluation: "evaluate:NAME" (its last), "before: evaluate:NAME", "iteration 2: evaluate:NAME". */
gboolean vj_lineage_is_evaluation (const char *what);

/* Prints that evaluation's scores and what is behind them. VJ_EXIT_USAGE names the evaluations there are. */
gboolean vj_lineage_print_evaluation (VjStore *store, const char *what, GError **error);

#endif
