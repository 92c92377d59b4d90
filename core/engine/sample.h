/* Sample: the next token from logits. A pure function of the logits, the options,
 * the tokens so far and the stream's state; nothing of batches or models. */
#ifndef VJ_ENGINE_SAMPLE_H
#define VJ_ENGINE_SAMPLE_H

#include "base/random.h"
#include "vj/engine.h"

/* Scratch that grows to what was asked of it; starts zeroed. */
typedef struct {
  guint32 capacity;
  guint32 *ranked; /* [capacity] token ids */
  double *weights; /* [capacity]           */
  gsize n_scores;
  float *scores;   /* [n_scores] logits of the penalised tokens as they were */
} VjSampler;

/* Makes the scratch hold a vocabulary of n and `past` tokens, so that later calls allocate nothing. */
void vj_sampler_reserve (VjSampler *sampler, guint32 n, gsize past);

/* What is left to draw from: token ids[i], or i where ids is NULL, with a probability proportional to weights[i].
 * Borrowed from the sampler until its next call. */
typedef struct {
  const guint32 *ids;
  const double *weights;
  guint32 n;
} VjKept;

/* What of `logits` [V] f32, V >= 1, the options keep. temperature 0: the largest logit. Otherwise, in the order of
 * transformers' generation: divide by temperature; keep the top_k largest; of these keep the smallest set, largest
 * first, whose probability reaches top_p; of these keep those at least min_p times as likely as the likeliest. Equal
 * logits rank by lower id, and exactly top_k are kept. Sums run in f64. A logit that is NaN, or none that is finite, is
 * VJ_EXIT_DATA. */
gboolean vj_sampler_keep (VjSampler *sampler, const float *logits, guint32 n, const VjGenerateOptions *options,
                          VjKept *ret_kept, GError **error);

/* Draws a token from what is kept. Takes one number from `random`, none at temperature 0. */
gboolean vj_sampler_draw (VjSampler *sampler, const float *logits, guint32 n, const VjGenerateOptions *options,
                          VjRandom *random, guint32 *ret_token,
                          GError **error);

/* Repetition penalty (Keskar et al., 2019), as transformers' RepetitionPenaltyLogitsProcessor: the logit of every token
 * that stands in past[n_past] is divided by `penalty` when above 0 and multiplied when below, once however often it
 * stands there. Before vj_sampler_draw. Ids without a logit (the image token) are passed over. */
void vj_sampler_penalise (VjSampler *sampler, float *logits, guint32 n, const guint32 *past, gsize n_past,
                          double penalty);

/* Undoes the last vj_sampler_penalise, of the same logits and tokens. */
void vj_sampler_forgive (const VjSampler *sampler, float *logits, guint32 n, const guint32 *past, gsize n_past);

/* log softmax (logits)[token] in f64; NaN when a logit is. */
double vj_log_probability (const float *logits, guint32 n, guint32 token);

/* Frees the scratch and zeroes it. */
void vj_sampler_clear (VjSampler *sampler);

/* Whether options are in range: VJ_EXIT_DATA when not. */
gboolean vj_generate_options_check (const VjGenerateOptions *options, GError **error);

/* Whether a repetition penalty changes anything. */
static inline gboolean
vj_generate_options_penalise (const VjGenerateOptions *options)
{
  return options->repetition_penalty != 0.0 && options->repetition_penalty != 1.0;
}

#endif
