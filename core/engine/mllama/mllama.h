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

/* `dir`: a model, or an adapter (adapter.h), which is merged into copies of the weights it changes as they are loaded: a
 * token costs what it did, memory grows by those weights in the numbers that products multiply.
 * `compute`: name of a compute plugin, "auto" or NULL; `threads`: 0 = all processors; `dtype` as in VjEngineConfig.
 * bf16 weights stay in the mapped files. Every fault of the directory is VJ_EXIT_DATA. Free with vj_mllama_free. */
VJ_API VjMllama *vj_mllama_open (const char *dir, const char *compute, guint threads, const char *dtype, GError **error);
VJ_API void vj_mllama_free (VjMllama *model);

VJ_API const VjMllamaConfig *vj_mllama_peek_config (const VjMllama *model);
VJ_API const char *vj_mllama_peek_compute (const VjMllama *model); /* name of the compute in use, "cpu" */
VJ_API const char *vj_mllama_peek_products (const VjMllama *model);/* what its products multiply and by what, "bf16 by amx" */
VJ_API const char *vj_mllama_peek_dtype (const VjMllama *model);   /* storage dtype of the weights, "BF16" */
VJ_API guint64 vj_mllama_parameters (const VjMllama *model);
VJ_API gsize vj_mllama_mapped_bytes (const VjMllama *model);       /* weights that are used where they lie in the files */

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

/* Gives a new sequence the first `count` tokens of another's cache, as if it had run them itself. Its images and
 * first `count` tokens must be the other's; the caller sees to that. */
VJ_API void vj_mllama_sequence_adopt (VjMllamaSequence *sequence, const VjMllamaSequence *from, gsize count);

/* Gives prompt and images back. What stays is a cache to adopt from. */
VJ_API void vj_mllama_sequence_retire (VjMllamaSequence *sequence);

/* Tokens for one sequence in one call. Those at places of the prompt are the prompt's. */
typedef struct {
  VjMllamaSequence *sequence;
  const guint32 *tokens; /* [count], borrowed for the call                       */
  gsize count;           /* at least 1                                           */
  gsize wanted;          /* of the last so many the next token's logits are wanted */
} VjMllamaStretch;

/* Appends n stretches, each to a sequence of its own, in one forward pass (several when they are long);
 * ret_logits [sum of wanted, V] f32 in the order of the stretches. A full sequence is VJ_EXIT_LIMIT, and then
 * nothing was appended anywhere. A call no larger than an earlier one allocates nothing. */
VJ_API gboolean vj_mllama_extend (VjMllama *model, const VjMllamaStretch *stretches, gsize n, float *ret_logits,
                                  GError **error);

/* vj_mllama_extend by the whole prompts of n new sequences; ret_logits [n, V]. */
VJ_API gboolean vj_mllama_prefill (VjMllama *model, VjMllamaSequence *const *sequences, gsize n,
                                   float *ret_logits, GError **error);

/* vj_mllama_extend by tokens[i] to sequences[i], all prefilled; ret_logits [n, V]. */
VJ_API gboolean vj_mllama_decode (VjMllama *model, VjMllamaSequence *const *sequences, const guint32 *tokens,
                                  gsize n, float *ret_logits, GError **error);

/* -- memory ---------------------------------------------------------------- */

/* What the machine has left; G_MAXSIZE: not known, as on a device with memory of its own. */
VJ_API gsize vj_mllama_memory_left (const VjMllama *model);
VJ_API gsize vj_mllama_sequence_bytes (const VjMllama *model, gsize capacity);  /* cache of one sequence */
/* What a prompt with several images adds. */
VJ_API gsize vj_mllama_joined_bytes (const VjMllama *model, gsize n_visions);
/* Activations of a call, or of an image. */
VJ_API gsize vj_mllama_work_bytes (const VjMllama *model, gsize rows, gsize wanted);
/* Takes that memory now. Later calls of no more tokens and wanted logits, and images, take none. */
VJ_API gboolean vj_mllama_set_aside (VjMllama *model, gsize rows, gsize wanted, GError **error);
/* Caches of freed sequences are kept for the next ones of their size, until trimmed. */
VJ_API gsize vj_mllama_spare_bytes (const VjMllama *model);
VJ_API void vj_mllama_trim (VjMllama *model);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjMllama, vj_mllama_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjMllamaVision, vj_mllama_vision_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjMllamaSequence, vj_mllama_sequence_free)

#endif
