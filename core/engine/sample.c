/* Sample: see sample.h. */
#include "engine/sample.h"

#include <math.h>

gboolean
vj_generate_options_check (const VjGenerateOptions *options, GError **error)
{
  if (!(options->temperature >= 0.0 && isfinite (options->temperature)))
    return vj_fail (error, VJ_EXIT_DATA, "generate: 'temperature': %g is not a number from 0; mend the request", options->temperature);
  if (!(options->top_p > 0.0 && options->top_p <= 1.0))
    return vj_fail (error, VJ_EXIT_DATA, "generate: 'top_p': %g is not above 0 and at most 1; mend the request", options->top_p);
  if (options->max_tokens < 1)
    return vj_fail (error, VJ_EXIT_DATA, "generate: 'max_tokens': 0; ask for at least one token");
  return TRUE;
}

/* The first of the largest. */
static gboolean
find_largest (const float *logits, guint32 n, guint32 *ret_token, GError **error)
{
  guint32 best = 0;
  for (guint32 i = 0; i < n; i++) {
    if (isnan (logits[i]))
      return vj_fail (error, VJ_EXIT_DATA, "generate: the model's output for token %u is not a number; its weights are broken", i);
    if (logits[i] > logits[best])
      best = i;
  }
  if (!isfinite (logits[best]))
    return vj_fail (error, VJ_EXIT_DATA, "generate: no output of the model is finite; its weights are broken");
  *ret_token = best;
  return TRUE;
}

/* -- ranking: a heap of ids, the likeliest on top ------------------------------- */

static gboolean
likelier (const float *logits, guint32 a, guint32 b)
{
  return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
}

static void
sift_down (guint32 *heap, guint32 n, guint32 i, const float *logits)
{
  guint32 item = heap[i];
  for (guint32 child; (child = 2 * i + 1) < n; i = child) {
    if (child + 1 < n && likelier (logits, heap[child + 1], heap[child]))
      child++;
    if (!likelier (logits, heap[child], item))
      break;
    heap[i] = heap[child];
  }
  heap[i] = item;
}

/* Moves the `keep` likeliest ids to the end of the heap's array, likeliest last, stopping early once their weight
 * reaches `enough`. Returns how many. */
static guint32
rank (VjSampler *sampler, const float *logits, guint32 n, guint32 keep, double enough)
{
  guint32 *heap = sampler->heap, kept = 0;
  double sum = 0.0;
  for (guint32 i = 0; i < n; i++)
    heap[i] = i;
  for (guint32 i = n / 2; i-- > 0;)
    sift_down (heap, n, i, logits);
  while (kept < keep && sum < enough) {
    guint32 top = heap[0], last = n - 1 - kept;
    heap[0] = heap[last];
    heap[last] = top;
    sift_down (heap, last, 0, logits);
    sum += sampler->weights[top];
    kept++;
  }
  return kept;
}

static void
grow (VjSampler *sampler, guint32 n)
{
  if (sampler->capacity >= n)
    return;
  sampler->heap = g_renew (guint32, sampler->heap, n);
  sampler->weights = g_renew (double, sampler->weights, n);
  sampler->capacity = n;
}

/* How many of the `kept` ids at last[0], last[-1], ... it takes to reach top_p; at least one. */
static guint32
cut_nucleus (const double *weights, const guint32 *last, guint32 kept, double top_p)
{
  double total = 0.0, sum = 0.0;
  guint32 n = 0;
  for (guint32 i = 0; i < kept; i++)
    total += weights[last[-(gint64) i]];
  while (n < kept && sum < top_p * total)
    sum += weights[last[-(gint64) n++]];
  return MAX (n, 1);
}

static guint32
draw_ranked (const double *weights, const guint32 *last, guint32 kept, double u)
{
  double total = 0.0, sum = 0.0;
  for (guint32 i = 0; i < kept; i++)
    total += weights[last[-(gint64) i]];
  for (guint32 i = 0; i < kept; i++) {
    sum += weights[last[-(gint64) i]];
    if (sum > u * total)
      return last[-(gint64) i];
  }
  return last[0]; /* only by rounding: u * total is the whole sum */
}

static guint32
draw_any (const double *weights, guint32 n, double total, double u, guint32 fallback)
{
  double sum = 0.0;
  for (guint32 i = 0; i < n; i++) {
    sum += weights[i];
    if (sum > u * total)
      return i;
  }
  return fallback;
}

gboolean
vj_sampler_draw (VjSampler *sampler, const float *logits, guint32 n, const VjGenerateOptions *options, VjRandom *random, guint32 *ret_token,
                 GError **error)
{
  guint32 largest = 0;
  if (!find_largest (logits, n, &largest, error))
    return FALSE;
  if (options->temperature == 0.0) {
    *ret_token = largest;
    return TRUE;
  }
  grow (sampler, n);
  double total = 0.0, u = vj_random_real (random);
  for (guint32 i = 0; i < n; i++) {
    sampler->weights[i] = exp (((double) logits[i] - (double) logits[largest]) / options->temperature);
    total += sampler->weights[i];
  }
  gboolean some = options->top_k > 0 && options->top_k < n;
  if (!some && options->top_p >= 1.0) {
    *ret_token = draw_any (sampler->weights, n, total, u, largest);
    return TRUE;
  }
  /* With top_k the probability that top_p speaks of is relative to the k, known once they are ranked. */
  guint32 kept = rank (sampler, logits, n, some ? options->top_k : n, some ? HUGE_VAL : options->top_p * total);
  const guint32 *last = sampler->heap + n - 1;
  if (some && options->top_p < 1.0)
    kept = cut_nucleus (sampler->weights, last, kept, options->top_p);
  *ret_token = draw_ranked (sampler->weights, last, kept, u);
  return TRUE;
}

void
vj_sampler_clear (VjSampler *sampler)
{
  g_clear_pointer (&sampler->heap, g_free);
  g_clear_pointer (&sampler->weights, g_free);
  sampler->capacity = 0;
}
