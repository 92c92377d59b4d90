/* What sequence.c and forward.c share; nobody else includes it. */
#ifndef VJ_ENGINE_MLLAMA_SEQUENCE_H
#define VJ_ENGINE_MLLAMA_SEQUENCE_H

#include "engine/mllama/model.h"

/* A prompt and what it shows: shared by forks. */
typedef struct {
  VjMllama *model;
  gsize n;
  guint32 *tokens; /* [n] */
  gint32 *cross_first, *cross_last, *seen; /* [n]; seen 0 or 1. A later token sees what the last one did. */
  gsize n_visions; /* 0: no image */
  VjMllamaVision **visions;
  VjF32 *joined;   /* several images: for each cross layer the cache of all states, real tiles of all images first; else NULL */
  gsize n_states;
} VjMllamaPrompt;

struct VjMllamaSequence {
  VjMllama *model;
  VjMllamaPrompt *prompt; /* NULL: retired */
  gsize capacity, length; /* tokens */
  gsize stride, bytes;    /* of the cache: tokens it has room for, and its size */
  VjF32 *kv;              /* for each self layer the cache of `stride` tokens   */
};

#endif
