/* Which modules an adapter_config.json says that its factors are of: `target_modules`, as PEFT reads it. */
#ifndef VJ_ENGINE_MLLAMA_ADAPTER_TARGETS_H
#define VJ_ENGINE_MLLAMA_ADAPTER_TARGETS_H

#include "vj/error.h"
#include <jansson.h>

typedef struct VjAdapterTargets VjAdapterTargets;

/* Reads `target_modules` of the object `config`, a list of names or one regular expression; the file's name opens messages.
 * VJ_EXIT_DATA when it is neither. Free with vj_adapter_targets_free. */
VJ_API VjAdapterTargets *vj_adapter_targets_new (const char *file, const json_t *config, GError **error);
VJ_API void vj_adapter_targets_free (VjAdapterTargets *targets);

/* Whether a module is meant ("model.language_model.layers.0.self_attn.q_proj"): its name, or its end behind a dot, is in the
 * list, or the expression matches all of it. TRUE for every module where nothing is said, or "all-linear". */
VJ_API gboolean vj_adapter_targets_have (const VjAdapterTargets *targets, const char *module);

/* Whether every module that is meant must have factors: not where other keys (exclude_modules, layers_to_transform) take some
 * of them out again, nor where all are meant. */
VJ_API gboolean vj_adapter_targets_complete (const VjAdapterTargets *targets);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjAdapterTargets, vj_adapter_targets_free)

#endif
