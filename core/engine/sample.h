/* Sample: the next token from logits. A pure function of the logits, the options
 * and the stream's state; nothing of batches or models. */
#ifndef VJ_ENGINE_SAMPLE_H
#define VJ_ENGINE_SAMPLE_H

#include "base/random.h"
#include "vj/engine.h"

/* Scratch that grows to the vocabulary once; starts zeroed. */
typedef struct {
  guint32 capacity;
  guint32 *heap;   /* [capacity] token ids */
  double *weights; /* [capacity]           */
} VjSampler;

/* Draws a token from `logits` [V] f32, V >= 1. temperature 0: the largest logit. Otherwise, in the order of
 * transformers' generation: divide by temperature; keep the top_k largest; of these keep the smallest set, largest
 * first, whose probability reaches top_p; draw from what is kept. Equal logits rank by lower id, and exactly top_k are
 * kept. Sums run in f64. Takes one number from `random`, none at temperature 0. A logit that is NaN, or none that is
 * finite, is VJ_EXIT_DATA. */
gboolean vj_sampler_draw (VjSampler *sampler, const float *logits, guint32 n, const VjGenerateOptions *options, VjRandom *random, guint32 *ret_token,
                          GError **error);

/* Frees the scratch and zeroes it. */
void vj_sampler_clear (VjSampler *sampler);

/* Whether options are in range: VJ_EXIT_DATA when not. */
gboolean vj_generate_options_check (const VjGenerateOptions *options, GError **error);

#endif
