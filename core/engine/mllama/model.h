/* What the files of the generating model share; nobody else includes it. */
#ifndef VJ_ENGINE_MLLAMA_MODEL_H
#define VJ_ENGINE_MLLAMA_MODEL_H

#include "engine/mllama/net.h"

struct VjMllama {
  VjCompute *compute;
  VjMllamaPlan *plan;
  VjSafetensors *file;
  VjMllamaNet net;
  VjArena work;      /* activations of the current call; grows */
  char *digest;
};

/* kv: for each cross layer in order, keys then values, each [T N, KV]: real tiles first. */
struct VjMllamaVision {
  VjMllama *model;
  guint32 n_tiles;
  VjF32 *kv;
};

/* Empties the work arena and makes it hold `elements`. */
gboolean vj_mllama_reserve (VjMllama *model, gsize elements, GError **error);

float *vj_mllama_read_weight (const VjMllamaPlan *plan, const VjSafetensors *file, guint i, GError **error);

#endif
