/* config.json of a Llama-3.2-Vision ("mllama") directory, read and checked. Sizes are refused before
 * anything is allocated from them. Field names are config.json's. */
#ifndef VJ_ENGINE_MLLAMA_CONFIG_H
#define VJ_ENGINE_MLLAMA_CONFIG_H

#include <vj/error.h>

#define VJ_MLLAMA_MAX_LAYERS 256      /* decoder layers, and vision layers each */
#define VJ_MLLAMA_MAX_TILES 64
#define VJ_MLLAMA_MAX_ASPECT_RATIOS 128
#define VJ_MLLAMA_EXTRA_EMBEDDINGS 8  /* rows of embed_tokens beyond vocab_size: the image token lives there */

typedef enum { VJ_ACTIVATION_GELU, VJ_ACTIVATION_QUICK_GELU, VJ_ACTIVATION_SILU } VjMllamaActivation;
typedef enum { VJ_ROPE_DEFAULT, VJ_ROPE_LINEAR, VJ_ROPE_LLAMA3 } VjMllamaRope;

typedef struct {
  /* text_config */
  guint32 vocab_size;             /* logits; embed_tokens has 8 rows more */
  guint32 hidden_size;
  guint32 intermediate_size;
  guint32 num_hidden_layers;      /* self- and cross-attention layers together */
  guint32 num_attention_heads;
  guint32 num_key_value_heads;
  guint32 head_dim;               /* hidden_size / num_attention_heads */
  guint32 max_position_embeddings;
  guint32 n_cross;                /* cross-attention layers */
  gboolean is_cross[VJ_MLLAMA_MAX_LAYERS];
  guint32 last_self;              /* the last layer of self-attention; num_hidden_layers: there is none */
  float rms_norm_eps;
  float rope_theta;
  VjMllamaRope rope_type;
  float rope_factor, rope_low_freq_factor, rope_high_freq_factor;
  guint32 rope_original_max_position_embeddings;
  gboolean tie_word_embeddings;
  guint32 bos_token_id, eos_token_ids[8], n_eos_token_ids;
  guint32 pad_token_id;           /* G_MAXUINT32: none */

  /* vision_config */
  guint32 image_size, patch_size; /* pixels; square */
  guint32 num_channels;           /* 3 */
  guint32 vision_hidden_size, vision_intermediate_size, vision_heads;
  guint32 vision_layers, vision_global_layers;
  guint32 max_num_tiles;
  guint32 n_aspect_ratios;        /* ids run from 1; 0 is padding */
  guint32 aspect_ratios[VJ_MLLAMA_MAX_ASPECT_RATIOS][2]; /* tiles {down (rows), across (columns)} of id i + 1 */
  guint32 n_intermediate;
  guint32 intermediate_layers[VJ_MLLAMA_MAX_LAYERS];
  float vision_norm_eps;
  VjMllamaActivation vision_activation;

  guint32 image_token_index;
  guint32 n_patches;              /* per tile, class token included: (image_size / patch_size)^2 + 1 */
} VjMllamaConfig;

/* KV: numbers of a token's keys, or values. */
static inline gsize
vj_mllama_kv_width (const VjMllamaConfig *config)
{
  return (gsize) config->num_key_value_heads * config->head_dim;
}

/* Reads `dir`/config.json. Another model_type, absurd or contradicting sizes: VJ_EXIT_DATA. */
VJ_API gboolean vj_mllama_config_load (const char *dir, VjMllamaConfig *ret_config, GError **error);

#endif
