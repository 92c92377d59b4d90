/* Exports: a run's results as files for other tools. Deterministic bytes: records by id, canonical JSON. The directory
 * appears whole (see checkpoint.h). Gold is never part of it. */
#ifndef VJ_STORE_EXPORT_H
#define VJ_STORE_EXPORT_H

#include "store/store.h"

/* X (NAME, name, what it holds) */
#define VJ_EXPORT_TABLE(X)                                                                                    \
  X (JSONL, "jsonl", "our records: traces.jsonl (kept judgments), pairs.jsonl, judgments.jsonl, questions.jsonl; "      \
     "quarantine.jsonl (what failed, and why); gate.jsonl (what each gate decided, and why); audits.jsonl (figures of "  \
     "the audits)")                                                                                                     \
  X (LLAMAFACTORY, "llama-factory", "dataset_info.json, sft.json and preference.json (sharegpt)")             \
  X (TRL, "trl", "sft.jsonl (messages) and preference.jsonl (prompt, chosen, rejected)")

typedef enum {
#define VJ__EXPORT_ENUM(name, text, doc) VJ_EXPORT_##name,
  VJ_EXPORT_TABLE (VJ__EXPORT_ENUM)
#undef VJ__EXPORT_ENUM
  VJ_N_EXPORTS
} VjExport;

/* Beside them, whatever the layout, in the export of an ablation alone: vj_store_ablation_get, and a note for who finds it. */
#define VJ_EXPORT_ABLATION "ABLATION.json"

VJ_API const char *vj_export_name (VjExport layout);
VJ_API gboolean vj_export_from_name (const char *name, VjExport *ret_layout);

typedef struct {
  gint64 traces, pairs, images, quarantined; /* written */
  gboolean ablation;                         /* and it says that it is one */
} VjExportCounts;

/* Writes the records of `iteration` (VJ_ANY: all) to the directory `out`, images below out/images. An `out` that an
 * earlier export made is replaced; anything else in its place is VJ_EXIT_STORE. An iteration that the run does not have is
 * VJ_EXIT_USAGE, and replaces nothing; 0, before the first, is none. ret_counts may be NULL. */
VJ_API gboolean vj_export (VjStore *store, VjExport layout, int iteration, const char *out, VjExportCounts *ret_counts,
                           GError **error);

#endif
