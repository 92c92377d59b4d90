/* What the stages that audit an iteration's pairs share. Internal to core/pipeline.
 *
 * Audits hang off the chain of stages, between the pairs and the judge: they decide no pair's fate and nothing depends
 * on them, but one that is told to fail ends the run before anything is judged or trained. */
#ifndef VJ_PIPELINE_AUDIT_H
#define VJ_PIPELINE_AUDIT_H

#include "pipeline/context.h"
#include "report/audit.h"

G_BEGIN_DECLS

/* Ids (char *, in byte order) of at most `most` of the iteration's pairs, drawn by the run's seed. Each pair counts
 * that was handed to the judge, whatever became of it there. */
gboolean vj_audit_pairs (VjContext *context, const VjStep *step, gint64 most, GPtrArray **ret_ids, GError **error);

/* "rewrite / count" for injected pairs; of a sampler, which votes on each anew, its name alone. Owned. */
char *vj_audit_kind (const VjRecipe *recipe, const VjRecord *pair);

/* Says that the audit runs; figures of an earlier one are forgotten. */
gboolean vj_audit_begin (VjContext *context, const VjStep *step, gint64 n_in, GError **error);

/* Keeps the figures; then warns, or with `fail` ends the run by VJ_EXIT_AUDIT when the whole set is at fault: the stage
 * stays unfinished, so that the same command comes to the same end. `remedy`: what to do; `more`: where nothing can be told. */
gboolean vj_audit_end (VjContext *context, const VjStep *step, gint64 n_in, gint64 n_kept, const char *figures,
                       VjAuditOutcome outcome, const char *finding, gboolean fail, const char *remedy, const char *more,
                       GError **error);

G_END_DECLS
#endif
