/* What the files of the generating model share; nobody else includes it. */
#ifndef VJ_ENGINE_MLLAMA_MODEL_H
#define VJ_ENGINE_MLLAMA_MODEL_H

#include "engine/mllama/adapter.h"
#include "engine/mllama/net.h"

struct VjMllama {
  VjCompute *compute;
  VjMllamaPlan *plan;
  VjSafetensors *file;
  VjMllamaAdapter *adapter; /* merged into the weights as they are loaded; NULL: none */
  VjNumbers numbers; /* of products */
  GPtrArray *copies; /* bf16 weights that cannot be used where they lie in the file; g_free */
  VjMllamaNet net;
  VjArena work;      /* activations of the current call; grows */
  void *host;        /* index arrays of the current call; grows */
  gsize host_size;
  GArray *spares;    /* caches of sequences that are gone, for the next ones: see sequence.c */
  gsize spare_bytes;
  gboolean check_values;
  char *dir, *products, *digest;
};

/* kv: for each cross layer in order the cache of T N states, real tiles first. */
struct VjMllamaVision {
  VjMllama *model;
  guint32 n_tiles;
  VjF32 *kv;
};

/* Empties the work arena and makes it hold `elements`. */
gboolean vj_mllama_reserve (VjMllama *model, gsize elements, GError **error);

/* Keys and values of one layer: where the compute has caches (VjCaches) for these numbers, one of them; else f32, keys
 * [tokens, KV], then values. */
const VjCaches *vj_mllama_caches (const VjMllama *model); /* NULL: f32 */
gsize vj_mllama_cache_bytes (const VjMllama *model, gsize tokens);
/* The n-th layer's of caches that lie one after the other. */
VjF32 *vj_mllama_cache_at (const VjMllama *model, VjF32 *caches, gsize tokens, gsize n);
/* Points the segment at a cache. */
void vj_mllama_cache_show (const VjMllama *model, VjF32 *cache, gsize tokens, VjAttentionSegment *segment);
void vj_mllama_cache_copy (const VjMllama *model, gsize count, const VjF32 *from, gsize from_tokens, gsize from_at, VjF32 *to, gsize to_tokens, gsize to_at);

/* FALSE: a file was cut short since it was mapped, and reading on would raise SIGBUS. */
gboolean vj_mllama_check_file (const VjMllama *model, GError **error);

/* What products multiply, from "f32", "bf16", "auto" or NULL, and the file (may be NULL). */
gboolean vj_mllama_choose_numbers (const VjMllamaPlan *plan, const VjSafetensors *file, const char *dtype, VjNumbers *ret_numbers, GError **error);

/* Frees the spare caches and the host memory. */
void vj_mllama_forget (VjMllama *model);

/* Weight i of the file as f32 on the host: a buffer of its n_elements. Free with g_free. */
float *vj_mllama_read_weight (const VjMllamaPlan *plan, const VjSafetensors *file, guint i, GError **error);

#endif
