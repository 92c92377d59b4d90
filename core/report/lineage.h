/* Who made what: which model a stage asked, and what a training began with. One JSON object per stage, in the store. */
#ifndef VJ_REPORT_LINEAGE_H
#define VJ_REPORT_LINEAGE_H

#include "store/store.h"

G_BEGIN_DECLS

/* File in the directory of a model that a run has made: the JSON object of its training. */
#define VJ_LINEAGE_NAME "vj-lineage.json"

/* A model as a run names it: "models.judge" is the recipe's, "models/iteration-1" the directory of that name in the run's. */
typedef struct {
  const char *model;
  const char *identity; /* digest of weights and sampler, from its backend */
} VjLineageModel;

/* A training: the model it began with and its traces. */
typedef struct {
  VjLineageModel parent;
  guint first, last; /* iterations whose kept traces were trained on */
  gint64 traces;
} VjLineageTraining;

/* Notes which model the stage asked; replaces. */
VJ_API gboolean vj_lineage_put_model (VjStore *store, guint iteration, const char *stage, const VjLineageModel *model,
                                      GError **error);

/* Notes a training, and gives the same as text for a file of the model's directory (owned). */
VJ_API gboolean vj_lineage_put_training (VjStore *store, guint iteration, const char *stage, const VjLineageTraining *training,
                                         char **ret_text, GError **error);

/* What was noted of the stage: {"model", "identity"} or {"stage", "parent": {"model", "identity"}, "iterations": [first, last],
 * "traces"}, of an ablation also "ablation" (vj_store_ablation_get). New reference; NULL in *ret_lineage when nothing was. */
VJ_API gboolean vj_lineage_get (VjStore *store, guint iteration, const char *stage, json_t **ret_lineage, GError **error);

G_END_DECLS
#endif
