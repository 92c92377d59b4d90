/* A LoRA adapter in PEFT's file layout: adapter_config.json and adapter_model.safetensors, which name and change the model
 * directory they were trained on. Read here; trainer-save.c writes them.
 *
 * The base is `base_model_name_or_path`: an absolute path, or one relative to the adapter's own directory - never to the
 * place a command runs in. A name on a hub is not fetched. The base may not be an adapter itself. */
#ifndef VJ_ENGINE_MLLAMA_ADAPTER_H
#define VJ_ENGINE_MLLAMA_ADAPTER_H

#include "engine/mllama/weights.h"

#define VJ_ADAPTER_CONFIG "adapter_config.json"
#define VJ_ADAPTER_MODEL "adapter_model.safetensors"
#define VJ_ADAPTER_PREFIX "base_model.model." /* of every key */

typedef struct VjMllamaAdapter VjMllamaAdapter;

/* Factors of one weight [N, K], on the host; NULL: none. */
typedef struct {
  float *a, *b; /* [rank, K], [N, rank] */
} VjMllamaFactors;

/* The directory of config, tokenizer and weights of the model `dir`: `dir` itself, or an adapter's base. NULL: VJ_EXIT_DATA. */
VJ_API char *vj_mllama_base_dir (const char *dir, GError **error);

/* The adapter in `dir`; *ret_adapter is NULL when it holds none. Kinds and settings that are not plain LoRA are VJ_EXIT_DATA. */
VJ_API gboolean vj_mllama_adapter_open (const char *dir, VjMllamaAdapter **ret_adapter, GError **error);
VJ_API void vj_mllama_adapter_free (VjMllamaAdapter *adapter);

VJ_API const char *vj_mllama_adapter_peek_base (const VjMllamaAdapter *adapter);
VJ_API guint vj_mllama_adapter_rank (const VjMllamaAdapter *adapter);
VJ_API float vj_mllama_adapter_scale (const VjMllamaAdapter *adapter);

/* Reads the factors of every weight; once, before the rest. What is no factor of a weight of `plan`, lacks its partner, is
 * misshapen or not finite, and modules whose factors and target_modules disagree, are VJ_EXIT_DATA, up to ten named. */
VJ_API gboolean vj_mllama_adapter_load (VjMllamaAdapter *adapter, const VjMllamaPlan *plan, GError **error);

/* Of weight i, borrowed; NULL: it has none. */
VJ_API const VjMllamaFactors *vj_mllama_adapter_peek (const VjMllamaAdapter *adapter, guint i);

/* Adds scale B A to the values of weight i, if it has factors. */
VJ_API void vj_mllama_adapter_merge (const VjMllamaAdapter *adapter, const VjMllamaPlan *plan, guint i, float *values);

/* Everything that changes results: rank, scale and all factors. */
VJ_API void vj_mllama_adapter_digest (const VjMllamaAdapter *adapter, const VjMllamaPlan *plan, GChecksum *sum);

/* Whether weight i is a linear layer whose last name ("q_proj") is among `targets`, NULL-terminated; NULL: any name. */
VJ_API gboolean vj_mllama_is_target (const VjMllamaPlan *plan, guint i, const char *const *targets);

/* "model.language_model.layers.0.self_attn.q_proj": a weight's module as today's transformers names it. Owned by the caller. */
VJ_API char *vj_mllama_module (const VjMllamaPlan *plan, guint i);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjMllamaAdapter, vj_mllama_adapter_free)

#endif
