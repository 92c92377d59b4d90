/* Sample: see sample.h. A vocabulary is long and what is kept of it short, so the likeliest are selected in one pass
 * rather than ranked all. What looks at all of it does so many tokens at a time. */
#include "engine/sample.h"

#include "compute/vector.h"

/* What top_p keeps is looked for among so many likeliest, then so many more, then among all. */
#define FEW 64u
#define MANY 512u
#define BLOCK 512u /* tokens whose weights are summed together */

gboolean
vj_generate_options_check (const VjGenerateOptions *options, GError **error)
{
  double penalty = options->repetition_penalty;
  if (!(options->temperature >= 0.0 && isfinite (options->temperature)))
    return vj_fail (error, VJ_EXIT_DATA, "generate: 'temperature': %g is not a number from 0; mend the request",
                    options->temperature);
  if (!(options->top_p > 0.0 && options->top_p <= 1.0))
    return vj_fail (error, VJ_EXIT_DATA, "generate: 'top_p': %g is not above 0 and at most 1; mend the request",
                    options->top_p);
  if (!(options->min_p >= 0.0 && options->min_p <= 1.0))
    return vj_fail (error, VJ_EXIT_DATA, "generate: 'min_p': %g is not from 0 to 1; mend the request", options->min_p);
  if (!(penalty >= 0.0 && isfinite (penalty)))
    return vj_fail (error, VJ_EXIT_DATA, "generate: 'repetition_penalty': %g is not a number from 0; mend the request",
                    penalty);
  if (options->max_tokens < 1)
    return vj_fail (error, VJ_EXIT_DATA, "generate: 'max_tokens': 0; ask for at least one token");
  return TRUE;
}

/* -- before sampling ------------------------------------------------------------ */

static void
grow_scores (VjSampler *sampler, gsize n)
{
  if (sampler->n_scores >= n)
    return;
  sampler->scores = g_renew (float, sampler->scores, n);
  sampler->n_scores = n;
}

void
vj_sampler_penalise (VjSampler *sampler, float *logits, guint32 n, const guint32 *past, gsize n_past, double penalty)
{
  float factor = (float) penalty;
  grow_scores (sampler, n_past);
  /* All are read before any is written: a token that stands there twice is penalised once. */
  for (gsize i = 0; i < n_past; i++)
    sampler->scores[i] = past[i] < n ? logits[past[i]] : 0;
  for (gsize i = 0; i < n_past; i++)
    if (past[i] < n)
      logits[past[i]] = sampler->scores[i] < 0 ? sampler->scores[i] * factor : sampler->scores[i] / factor;
}

void
vj_sampler_forgive (const VjSampler *sampler, float *logits, guint32 n, const guint32 *past, gsize n_past)
{
  for (gsize i = 0; i < n_past; i++)
    if (past[i] < n)
      logits[past[i]] = sampler->scores[i];
}

/* NaN when one is. */
VJ_CLONES static float
largest_of (const float *logits, guint32 n)
{
  V best = v_set (-HUGE_VALF);
  VI nan = { 0 };
  float largest = -HUGE_VALF;
  guint32 i = 0;
  for (; i + LANES <= n; i += LANES) {
    V x = v_load (logits + i);
    best = v_max (best, x);
    nan |= v_nan (x);
  }
  for (guint32 l = 0; l < LANES; l++)
    largest = nan[l] ? NAN : best[l] > largest ? best[l] : largest; /* NaN stays */
  for (; i < n; i++)
    largest = logits[i] > largest || isnan (logits[i]) ? logits[i] : largest;
  return largest;
}

/* The first of the largest. */
static gboolean
find_largest (const float *logits, guint32 n, guint32 *ret_token, GError **error)
{
  float largest = -HUGE_VALF;
  guint32 begin = 0;
  for (guint32 i = 0; i < n; i += BLOCK) {
    float here = largest_of (logits + i, MIN (BLOCK, n - i));
    if (here <= largest) /* NaN goes on */
      continue;
    begin = i;
    largest = here;
    if (isnan (here))
      break;
  }
  while (isnan (largest) ? !isnan (logits[begin]) : logits[begin] != largest)
    begin++;
  if (isnan (largest))
    return vj_fail (error, VJ_EXIT_DATA,
                    "generate: the model's output for token %u is not a number; its weights are broken", begin);
  if (!isfinite (largest))
    return vj_fail (error, VJ_EXIT_DATA, "generate: no output of the model is finite; its weights are broken");
  *ret_token = begin;
  return TRUE;
}

double
vj_log_probability (const float *logits, guint32 n, guint32 token)
{
  double largest = -HUGE_VAL, sum = 0.0;
  for (guint32 i = 0; i < n; i++)
    largest = logits[i] > largest ? logits[i] : largest;
  for (guint32 i = 0; i < n; i++)
    sum += exp (logits[i] - largest);
  return logits[token] - largest - log (sum);
}

/* -- ranking: heaps of ids ----------------------------------------------------------- */

static G_ALWAYS_INLINE inline gboolean
likelier (const float *logits, guint32 a, guint32 b)
{
  return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
}

/* `least`: the least likely is on top; else the likeliest. */
static G_ALWAYS_INLINE inline void
sift_down (guint32 *heap, guint32 n, guint32 i, const float *logits, gboolean least)
{
  guint32 item = heap[i];
  for (guint32 child; (child = 2 * i + 1) < n; i = child) {
    if (child + 1 < n && likelier (logits, heap[child + 1], heap[child]) != least)
      child++;
    if (likelier (logits, heap[child], item) == least)
      break;
    heap[i] = heap[child];
  }
  heap[i] = item;
}

/* ranked[0 .. k) = the k likeliest of n ids, likeliest first; k >= 1. */
static void
select_likeliest (const float *logits, guint32 n, guint32 k, guint32 *ranked)
{
  for (guint32 i = 0; i < k; i++)
    ranked[i] = i;
  for (guint32 i = k / 2; i-- > 0;)
    sift_down (ranked, k, i, logits, TRUE);
  for (guint32 i = k; i < n; i++)
    if (logits[i] > logits[ranked[0]]) { /* an equal one has the higher id */
      ranked[0] = i;
      sift_down (ranked, k, 0, logits, TRUE);
    }
  for (guint32 left = k; left-- > 1;) {
    guint32 least = ranked[0];
    ranked[0] = ranked[left];
    ranked[left] = least;
    sift_down (ranked, left, 0, logits, TRUE);
  }
}

/* -- what is kept ------------------------------------------------------------------ */

static double
weight_of (float logit, float largest, double temperature)
{
  return exp (((double) logit - (double) largest) / temperature);
}

/* weights[i] of the i-th ranked. */
static void
weigh_ranked (VjSampler *sampler, const float *logits, guint32 k, double temperature)
{
  for (guint32 i = 0; i < k; i++)
    sampler->weights[i] = weight_of (logits[sampler->ranked[i]], logits[sampler->ranked[0]], temperature);
}

/* How many of k ranked it takes to reach `enough`, at least one; k + 1: they do not. */
static guint32
reach (const double *weights, guint32 k, double enough)
{
  double sum = 0.0;
  guint32 n = 0;
  while (n < k && sum < enough)
    sum += weights[n++];
  return sum < enough ? k + 1 : MAX (n, 1);
}

VJ_CLONES static double
block_total (const double *weights, guint32 n)
{
  VE sum = { 0 };
  guint32 i = 0;
  double total = 0.0;
  for (; i + 8 <= n; i += 8)
    sum += *(const VEU *) (weights + i);
  for (guint32 l = 0; l < 8; l++)
    total += sum[l];
  for (; i < n; i++)
    total += weights[i];
  return total;
}

static double
total_of (const double *weights, guint32 n)
{
  double total = 0.0;
  for (guint32 i = 0; i < n; i += BLOCK)
    total += block_total (weights + i, MIN (BLOCK, n - i));
  return total;
}

/* weights[i] of token i; 0 for those below min_p. */
VJ_CLONES static void
weigh_all (double *weights, const float *logits, guint32 n, float largest, double temperature, double min_p)
{
  for (guint32 i = 0; i < n; i += 8) {
    gboolean whole = i + 8 <= n;
    VEF x = { 0 };
    memcpy (&x, logits + i, whole ? sizeof x : (n - i) * sizeof (float));
    VE weight = ve_exp ((__builtin_convertvector (x, VE) - (double) largest) / temperature);
    weight = (VE) ((VEI) weight & ~((VEI) (weight - min_p) >> 63));
    memcpy (weights + i, &weight, whole ? sizeof weight : (n - i) * sizeof (double));
  }
}

/* Ranks, likeliest first, until top_p of `total` is reached; returns how many. For what is too much to select. Tokens so
 * unlikely that all of them together would lie beyond top_p twice over are not looked at. */
static guint32
rank_nucleus (VjSampler *sampler, const float *logits, guint32 n, float largest, const VjGenerateOptions *options,
              double total)
{
  guint32 *heap = sampler->ranked, kept = 0, m = 0;
  double sum = 0.0, lowest = largest + options->temperature * log (0.5 * (1.0 - options->top_p) * total / n);
  for (guint32 i = 0; i < n; i++)
    if (logits[i] >= lowest)
      heap[m++] = i;
  for (guint32 i = m / 2; i-- > 0;)
    sift_down (heap, m, i, logits, FALSE);
  while (kept < m && sum < options->top_p * total) {
    guint32 top = heap[0], last = m - 1 - kept;
    heap[0] = heap[last];
    heap[last] = top;
    sift_down (heap, last, 0, logits, FALSE);
    sampler->weights[kept] = weight_of (logits[top], largest, options->temperature);
    sum += sampler->weights[kept++];
  }
  for (guint32 i = 0; i < m / 2; i++) {
    guint32 other = heap[i];
    heap[i] = heap[m - 1 - i];
    heap[m - 1 - i] = other;
  }
  return kept;
}

/* The ranked that reach top_p of the whole vocabulary's weight, or all of it by rounding. */
static guint32
keep_nucleus (VjSampler *sampler, const float *logits, guint32 n, float largest, const VjGenerateOptions *options)
{
  weigh_all (sampler->weights, logits, n, largest, options->temperature, 0.0);
  double total = total_of (sampler->weights, n);
  for (guint32 k = FEW; k <= MANY && k < n; k = k == FEW ? MANY : n) {
    select_likeliest (logits, n, k, sampler->ranked);
    weigh_ranked (sampler, logits, k, options->temperature);
    guint32 kept = reach (sampler->weights, k, options->top_p * total);
    if (kept <= k)
      return kept;
  }
  return MAX (rank_nucleus (sampler, logits, n, largest, options, total), 1);
}

/* Ranks what top_k and top_p keep and returns how many. With top_k the probability that top_p speaks of is relative
 * to the k. */
static guint32
keep_ranked (VjSampler *sampler, const float *logits, guint32 n, float largest, const VjGenerateOptions *options)
{
  if (options->top_k == 0 || options->top_k >= n)
    return keep_nucleus (sampler, logits, n, largest, options);
  select_likeliest (logits, n, options->top_k, sampler->ranked);
  weigh_ranked (sampler, logits, options->top_k, options->temperature);
  if (options->top_p >= 1.0)
    return options->top_k;
  return MIN (reach (sampler->weights, options->top_k, options->top_p * total_of (sampler->weights, options->top_k)),
              options->top_k);
}

static guint32
cut_unlikely (const double *weights, guint32 kept, double min_p)
{
  while (kept > 1 && weights[kept - 1] < min_p)
    kept--;
  return kept;
}

/* The place that `u` of the whole weight falls into; the last with any weight when by rounding it is the whole. */
static guint32
find_place (const double *weights, guint32 n, double u)
{
  double wanted = u * total_of (weights, n), sum = 0.0, before = 0.0;
  guint32 block = 0, last;
  for (guint32 i = 0; i < n && sum <= wanted; i += BLOCK) {
    double more = block_total (weights + i, MIN (BLOCK, n - i));
    if (more > 0.0) {
      block = i;
      before = sum;
    }
    sum += more;
  }
  last = block;
  for (guint32 i = block; i < MIN (block + BLOCK, n) && before <= wanted; i++)
    if (weights[i] > 0.0) {
      before += weights[i];
      last = i;
    }
  return last;
}

void
vj_sampler_reserve (VjSampler *sampler, guint32 n, gsize past)
{
  grow_scores (sampler, past);
  if (sampler->capacity >= n)
    return;
  sampler->ranked = g_renew (guint32, sampler->ranked, n);
  sampler->weights = g_renew (double, sampler->weights, n);
  sampler->capacity = n;
}

gboolean
vj_sampler_keep (VjSampler *sampler, const float *logits, guint32 n, const VjGenerateOptions *options,
                 VjKept *ret_kept, GError **error)
{
  guint32 largest = 0;
  if (!find_largest (logits, n, &largest, error))
    return FALSE;
  vj_sampler_reserve (sampler, n, 0);
  *ret_kept = (VjKept){sampler->ranked, sampler->weights, 1};
  if (options->temperature == 0.0) {
    sampler->ranked[0] = largest;
    sampler->weights[0] = 1.0;
  } else if ((options->top_k == 0 || options->top_k >= n) && options->top_p >= 1.0) {
    weigh_all (sampler->weights, logits, n, logits[largest], options->temperature, options->min_p);
    *ret_kept = (VjKept){NULL, sampler->weights, n};
  } else
    ret_kept->n = cut_unlikely (sampler->weights, keep_ranked (sampler, logits, n, logits[largest], options),
                                options->min_p);
  return TRUE;
}

gboolean
vj_sampler_draw (VjSampler *sampler, const float *logits, guint32 n, const VjGenerateOptions *options,
                 VjRandom *random, guint32 *ret_token,
                 GError **error)
{
  VjKept kept;
  if (!vj_sampler_keep (sampler, logits, n, options, &kept, error))
    return FALSE;
  guint32 place = options->temperature == 0.0 ? 0 : find_place (kept.weights, kept.n, vj_random_real (random));
  *ret_token = kept.ids != NULL ? kept.ids[place] : place;
  return TRUE;
}

void
vj_sampler_clear (VjSampler *sampler)
{
  g_clear_pointer (&sampler->ranked, g_free);
  g_clear_pointer (&sampler->weights, g_free);
  g_clear_pointer (&sampler->scores, g_free);
  sampler->capacity = 0;
  sampler->n_scores = 0;
}
