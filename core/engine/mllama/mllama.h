/* The mllama model for generation: image encoding, prefill, batched decoding with a key/value cache.
 * Token ids and pixels in, logits out; no text here (see engine/tokenizer.h) and no sampling.
 *
 * Laws: a sequence's logits are bit-identical whatever else is in the call, however the calls are
 * split, and whatever the number of threads. Driven by one thread. The model outlives everything
 * made from it. Spec: doc/mllama.md. Shapes: T tiles, S image_size, V vocab_size. */
#ifndef VJ_ENGINE_MLLAMA_MLLAMA_H
#define VJ_ENGINE_MLLAMA_MLLAMA_H

#include "engine/mllama/config.h"

typedef struct VjMllama VjMllama;
typedef struct VjMllamaVision VjMllamaVision;     /* one encoded image: cross-attention keys and values */
typedef struct VjMllamaSequence VjMllamaSequence; /* one sequence with its cache */

/* `compute`: name of a compute plugin, "auto" or NULL; `threads`: 0 = all processors; `dtype` as in VjEngineConfig.
 * bf16 weights stay in the mapped files. Every fault of the directory is VJ_EXIT_DATA. Free with vj_mllama_free. */
VJ_API VjMllama *vj_mllama_open (const char *dir, const char *compute, guint threads, const char *dtype, GError **error);
VJ_API void vj_mllama_free (VjMllama *model);

VJ_API const VjMllamaConfig *vj_mllama_peek_config (const VjMllama *model);
VJ_API const char *vj_mllama_peek_compute (const VjMllama *model); /* name of the compute in use, "cpu" */
VJ_API const char *vj_mllama_peek_products (const VjMllama *model);/* what its products multiply and by what, "bf16 by amx" */
VJ_API const char *vj_mllama_peek_dtype (const VjMllama *model);   /* storage dtype of the weights, "BF16" */
VJ_API guint64 vj_mllama_parameters (const VjMllama *model);

/* Lower-case SHA-256 over names, dtypes, shapes and bytes of all weights, the numbers of products and the
 * numerical version of this code. Computed at the first call. Borrowed. */
VJ_API const char *vj_mllama_peek_digest (VjMllama *model);

/* -- images ---------------------------------------------------------------- */

/* A preprocessed image. Only the real tiles are given; padding tiles are the model's own affair. */
typedef struct {
  const float *tiles;      /* [n_tiles, 3, S, S] f32, resized, padded and normalised; borrowed */
  guint32 n_tiles;         /* 1 .. max_num_tiles, = product of the aspect ratio */
  guint32 aspect_ratio_id; /* 1 .. n_aspect_ratios */
} VjMllamaImage;

/* Encodes n images. ret_visions[n] receives one reference each. VJ_EXIT_DATA when tiles and ratio disagree. */
VJ_API gboolean vj_mllama_encode (VjMllama *model, const VjMllamaImage *images, gsize n,
                                  VjMllamaVision **ret_visions, GError **error);
VJ_API VjMllamaVision *vj_mllama_vision_ref (VjMllamaVision *vision);
VJ_API void vj_mllama_vision_unref (VjMllamaVision *vision);
VJ_API gsize vj_mllama_vision_bytes (const VjMllama *model); /* memory of one encoded image */

/* -- sequences ------------------------------------------------------------- */

/* A sequence over a prompt of n_tokens >= 1 tokens in which image_token_index stands once per image, in
 * order; which tokens see which image follows from those places as in transformers' processor. `capacity`
 * (>= n_tokens): tokens it can ever hold; at most max_position_embeddings. Nothing runs yet. The images
 * are referenced. VJ_EXIT_DATA: token out of range, image count and image tokens disagree, capacity. */
VJ_API VjMllamaSequence *vj_mllama_sequence_new (VjMllama *model, const guint32 *tokens, gsize n_tokens,
                                                 VjMllamaVision *const *visions, gsize n_visions,
                                                 gsize capacity, GError **error);

/* Another sequence with the same past (prefilled or not) and its own future. */
VJ_API VjMllamaSequence *vj_mllama_sequence_fork (const VjMllamaSequence *sequence, gsize capacity, GError **error);
VJ_API void vj_mllama_sequence_free (VjMllamaSequence *sequence);
VJ_API gsize vj_mllama_sequence_length (const VjMllamaSequence *sequence);                  /* tokens in the cache */
VJ_API gsize vj_mllama_sequence_bytes (const VjMllama *model, gsize capacity);              /* memory of one */

/* Runs the prompts of n new sequences; ret_logits [n, V] f32 = the logits after each prompt's last token. */
VJ_API gboolean vj_mllama_prefill (VjMllama *model, VjMllamaSequence *const *sequences, gsize n,
                                   float *ret_logits, GError **error);

/* Appends tokens[i] to sequences[i] (all prefilled, each at most once in a call) and returns the next
 * logits, [n, V] f32. A full sequence is VJ_EXIT_LIMIT, and then nothing was appended anywhere. */
VJ_API gboolean vj_mllama_decode (VjMllama *model, VjMllamaSequence *const *sequences, const guint32 *tokens,
                                  gsize n, float *ret_logits, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjMllama, vj_mllama_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjMllamaVision, vj_mllama_vision_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjMllamaSequence, vj_mllama_sequence_free)

#endif
