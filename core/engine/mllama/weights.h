/* The one list of an mllama's weights. Struct, loader, saver, gradients, initialisation, tests and
 * doc/mllama.md follow from it. Within a layer the order matters: q, k, v and gate, up stand together so
 * that training multiplies them as one matrix. */
#ifndef VJ_ENGINE_MLLAMA_WEIGHTS_H
#define VJ_ENGINE_MLLAMA_WEIGHTS_H

#include "engine/mllama/config.h"
#include "tensor/safetensors.h"
#include "compute/compute.h"

/* Size letters: H hidden_size, Q heads x head_dim (= H), KV num_key_value_heads x head_dim, D head_dim,
 * F intermediate_size, V vocab_size, E V + 8; vision: W hidden_size, M intermediate_size, S patch_size,
 * N patches of a tile with the class token, T max_num_tiles, A aspect ratios + 1, O W (1 + intermediate).
 *
 * X (member, key after the prefix, dims, part, how it starts). */
#define VJ_MLLAMA_TEXT_WEIGHTS(X)                                  \
  X (embed, "embed_tokens.weight", DIMS (E, H), TEXT, NORMAL)      \
  X (norm, "norm.weight", DIMS (H), TEXT, ONE)

#define VJ_MLLAMA_SELF_WEIGHTS(X)                                             \
  X (input_norm, "input_layernorm.weight", DIMS (H), TEXT, ONE)               \
  X (q, "self_attn.q_proj.weight", DIMS (Q, H), TEXT, NORMAL)                 \
  X (k, "self_attn.k_proj.weight", DIMS (KV, H), TEXT, NORMAL)                \
  X (v, "self_attn.v_proj.weight", DIMS (KV, H), TEXT, NORMAL)                \
  X (o, "self_attn.o_proj.weight", DIMS (H, Q), TEXT, NORMAL)                 \
  X (post_norm, "post_attention_layernorm.weight", DIMS (H), TEXT, ONE)       \
  X (gate, "mlp.gate_proj.weight", DIMS (F, H), TEXT, NORMAL)                 \
  X (up, "mlp.up_proj.weight", DIMS (F, H), TEXT, NORMAL)                     \
  X (down, "mlp.down_proj.weight", DIMS (H, F), TEXT, NORMAL)

#define VJ_MLLAMA_CROSS_WEIGHTS(X)                                            \
  X (input_norm, "input_layernorm.weight", DIMS (H), CROSS, ONE)              \
  X (q, "cross_attn.q_proj.weight", DIMS (Q, H), CROSS, NORMAL)               \
  X (k, "cross_attn.k_proj.weight", DIMS (KV, H), CROSS, NORMAL)              \
  X (v, "cross_attn.v_proj.weight", DIMS (KV, H), CROSS, NORMAL)              \
  X (o, "cross_attn.o_proj.weight", DIMS (H, Q), CROSS, NORMAL)               \
  X (q_norm, "cross_attn.q_norm.weight", DIMS (D), CROSS, ONE)                \
  X (k_norm, "cross_attn.k_norm.weight", DIMS (D), CROSS, ONE)                \
  X (attn_gate, "cross_attn_attn_gate", DIMS (1), CROSS, OPEN_GATE)           \
  X (post_norm, "post_attention_layernorm.weight", DIMS (H), CROSS, ONE)      \
  X (gate, "mlp.gate_proj.weight", DIMS (F, H), CROSS, NORMAL)                \
  X (up, "mlp.up_proj.weight", DIMS (F, H), CROSS, NORMAL)                    \
  X (down, "mlp.down_proj.weight", DIMS (H, F), CROSS, NORMAL)                \
  X (mlp_gate, "cross_attn_mlp_gate", DIMS (1), CROSS, OPEN_GATE)

/* The head is a text weight with a prefix of its own. */
#define VJ_MLLAMA_HEAD_WEIGHTS(X) X (head, "lm_head.weight", DIMS (V, H), TEXT, NORMAL)

#define VJ_MLLAMA_VISION_WEIGHTS(X)                                                                     \
  X (patch, "patch_embedding.weight", DIMS (W, 3, S, S), VISION, PATCH)                                 \
  X (class_token, "class_embedding", DIMS (W), VISION, CLASS)                                           \
  X (position_gate, "gated_positional_embedding.gate", DIMS (1), VISION, ZERO)                          \
  X (position, "gated_positional_embedding.embedding", DIMS (N, W), VISION, POSITION)                   \
  X (tile_position, "gated_positional_embedding.tile_embedding.weight", DIMS (A, T * N * W), VISION, NORMAL) \
  X (pre_tile, "pre_tile_positional_embedding.embedding.weight", DIMS (A, T * W), VISION, NORMAL)       \
  X (pre_tile_gate, "pre_tile_positional_embedding.gate", DIMS (1), VISION, ZERO)                       \
  X (post_tile, "post_tile_positional_embedding.embedding.weight", DIMS (A, T * W), VISION, NORMAL)     \
  X (post_tile_gate, "post_tile_positional_embedding.gate", DIMS (1), VISION, ZERO)                     \
  X (pre_norm, "layernorm_pre.weight", DIMS (W), VISION, ONE)                                           \
  X (pre_norm_bias, "layernorm_pre.bias", DIMS (W), VISION, ZERO)                                       \
  X (post_norm, "layernorm_post.weight", DIMS (W), VISION, ONE)                                         \
  X (post_norm_bias, "layernorm_post.bias", DIMS (W), VISION, ZERO)

#define VJ_MLLAMA_LOCAL_WEIGHTS(X)                                             \
  X (input_norm, "input_layernorm.weight", DIMS (W), VISION, ONE)              \
  X (input_norm_bias, "input_layernorm.bias", DIMS (W), VISION, ZERO)          \
  X (q, "self_attn.q_proj.weight", DIMS (W, W), VISION, NORMAL)                \
  X (k, "self_attn.k_proj.weight", DIMS (W, W), VISION, NORMAL)                \
  X (v, "self_attn.v_proj.weight", DIMS (W, W), VISION, NORMAL)                \
  X (o, "self_attn.o_proj.weight", DIMS (W, W), VISION, NORMAL)                \
  X (post_norm, "post_attention_layernorm.weight", DIMS (W), VISION, ONE)      \
  X (post_norm_bias, "post_attention_layernorm.bias", DIMS (W), VISION, ZERO)  \
  X (fc1, "mlp.fc1.weight", DIMS (M, W), VISION, NORMAL)                       \
  X (fc1_bias, "mlp.fc1.bias", DIMS (M), VISION, ZERO)                         \
  X (fc2, "mlp.fc2.weight", DIMS (W, M), VISION, NORMAL)                       \
  X (fc2_bias, "mlp.fc2.bias", DIMS (W), VISION, ZERO)

/* What a global layer has beyond a local one. */
#define VJ_MLLAMA_GLOBAL_WEIGHTS(X)                           \
  X (attn_gate, "gate_attn", DIMS (1), VISION, QUARTER_PI)    \
  X (ffn_gate, "gate_ffn", DIMS (1), VISION, QUARTER_PI)

#define VJ_MLLAMA_PROJECTOR_WEIGHTS(X)                        \
  X (projector, "weight", DIMS (H, O), VISION, NORMAL)        \
  X (projector_bias, "bias", DIMS (H), VISION, ZERO)

/* Indices into VjMllamaPlan.weights. */
#define VJ_MLLAMA_MEMBER(member, key, dims, part, start) guint member;
typedef struct { VJ_MLLAMA_SELF_WEIGHTS (VJ_MLLAMA_MEMBER) } VjMllamaSelf;
typedef struct { VJ_MLLAMA_CROSS_WEIGHTS (VJ_MLLAMA_MEMBER) } VjMllamaCross;
typedef struct { VJ_MLLAMA_LOCAL_WEIGHTS (VJ_MLLAMA_MEMBER) VJ_MLLAMA_GLOBAL_WEIGHTS (VJ_MLLAMA_MEMBER) } VjMllamaEncoder;

typedef enum { VJ_PART_VISION, VJ_PART_CROSS, VJ_PART_TEXT } VjMllamaPart; /* bit = 1 << part, as VjFreeze */

typedef enum {
  VJ_START_NORMAL, VJ_START_ONE, VJ_START_ZERO, VJ_START_OPEN_GATE, VJ_START_QUARTER_PI, VJ_START_PATCH,
  VJ_START_CLASS, VJ_START_POSITION
} VjMllamaStart;

typedef struct {
  char *key;          /* checkpoint key, as published checkpoints spell it */
  guint n_dims;
  gsize dims[4];
  gsize n_elements;
  gsize offset;       /* elements, in the flat f32 parameter buffer of training */
  VjMllamaPart part;
  VjMllamaStart start;
  gboolean is_product;/* used as a matrix of `linear` in generation */
} VjMllamaWeight;

typedef struct {
  VjMllamaConfig config;
  GArray *weights;    /* VjMllamaWeight */
  gsize n_elements;   /* of all weights; the head is not counted (its offset is embed's) when tied */
  gboolean tied;
  VJ_MLLAMA_TEXT_WEIGHTS (VJ_MLLAMA_MEMBER)
  VJ_MLLAMA_HEAD_WEIGHTS (VJ_MLLAMA_MEMBER)
  VJ_MLLAMA_VISION_WEIGHTS (VJ_MLLAMA_MEMBER)
  VJ_MLLAMA_PROJECTOR_WEIGHTS (VJ_MLLAMA_MEMBER)
  union { VjMllamaSelf self; VjMllamaCross cross; } layers[VJ_MLLAMA_MAX_LAYERS];
  VjMllamaEncoder local[VJ_MLLAMA_MAX_LAYERS], global[VJ_MLLAMA_MAX_LAYERS];
} VjMllamaPlan;

/* Lists the weights of `config`. `file` (may be NULL) decides whether the head is tied: it is when the
 * configuration says so and the file has no head of its own that differs. VJ_EXIT_DATA: sizes overflow. */
VJ_API VjMllamaPlan *vj_mllama_plan_new (const VjMllamaConfig *config, const VjSafetensors *file, GError **error);
VJ_API void vj_mllama_plan_free (VjMllamaPlan *plan);

static inline const VjMllamaWeight *
vj_mllama_plan_at (const VjMllamaPlan *plan, guint i)
{
  return &g_array_index (plan->weights, VjMllamaWeight, i);
}

/* The tensor of weight i under any of the names transformers has used; NULL when there is none. */
VJ_API const VjTensor *vj_mllama_plan_find (const VjMllamaPlan *plan, const VjSafetensors *file, guint i);

/* The name a key has had since transformers 4.52. Owned by the caller. */
char *vj_mllama_newer_key (const char *key);

/* Every weight is there with its shape and nothing else is; else VJ_EXIT_DATA naming `dir` and what does not fit, up to ten that are
 * missing or misshapen and ten that are unknown. */
VJ_API gboolean vj_mllama_plan_check (const VjMllamaPlan *plan, const VjSafetensors *file, const char *dir, GError **error);

/* Fresh values of weight i from `seed`; the rules stand in doc/mllama.md. */
VJ_API void vj_mllama_plan_start (const VjMllamaPlan *plan, guint i, guint64 seed, float *ret_values);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjMllamaPlan, vj_mllama_plan_free)

#endif
