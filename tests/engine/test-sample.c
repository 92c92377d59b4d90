/* Sampling: what is kept, how often each token is drawn, and that nothing else
 * than logits, options and seed decides. */
#include "engine/json.h"
#include "engine/sample.h"

#include <math.h>
#include <string.h>

#define N 8
static const float logits[N] = {0.5f, 2.0f, -1.0f, 2.0f, 1.0f, -INFINITY, 0.0f, 3.0f};

static guint32
draw_once (const float *values, guint32 n, VjGenerateOptions options, guint64 seed)
{
  g_autoptr (GError) error = NULL;
  VjSampler sampler = {0};
  VjRandom random;
  guint32 token = G_MAXUINT32;
  vj_random_init (&random, seed);
  g_assert_true (vj_sampler_draw (&sampler, values, n, &options, &random, &token, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (token, <, n);
  vj_sampler_clear (&sampler);
  return token;
}

/* Counts of `draws` draws from one stream. */
static void
count_draws (VjGenerateOptions options, guint draws, guint counts[N])
{
  VjSampler sampler = {0};
  VjRandom random;
  vj_random_init (&random, 7);
  memset (counts, 0, N * sizeof counts[0]);
  for (guint i = 0; i < draws; i++) {
    guint32 token;
    g_assert_true (vj_sampler_draw (&sampler, logits, N, &options, &random, &token, NULL));
    counts[token]++;
  }
  vj_sampler_clear (&sampler);
}

/* Counts follow the probabilities of the kept tokens within five standard errors; none else is drawn. */
static void
check_frequencies (VjGenerateOptions options, const gboolean kept[N])
{
  guint counts[N], draws = 40000;
  double total = 0.0;
  count_draws (options, draws, counts);
  for (int i = 0; i < N; i++)
    total += kept[i] ? exp (logits[i] / options.temperature) : 0.0;
  for (int i = 0; i < N; i++) {
    double p = kept[i] ? exp (logits[i] / options.temperature) / total : 0.0;
    g_test_message ("token %d: %u of %u, probability %.4f", i, counts[i], draws, p);
    g_assert_cmpfloat (fabs (counts[i] - p * draws), <=, 5 * sqrt (p * (1 - p) * draws));
  }
}

static void
test_greedy_takes_the_first_of_the_largest (void)
{
  static const float tied[4] = {1, 5, 5, 2};
  g_assert_cmpuint (draw_once (tied, 4, (VjGenerateOptions){.top_p = 1}, 1), ==, 1);
  g_assert_cmpuint (draw_once (logits, N, (VjGenerateOptions){.top_p = 1}, 1), ==, 7);
}

static void
test_all_tokens_by_their_probability (void)
{
  check_frequencies ((VjGenerateOptions){.temperature = 1, .top_p = 1}, (const gboolean[N]){1, 1, 1, 1, 1, 0, 1, 1});
  check_frequencies ((VjGenerateOptions){.temperature = 2.5, .top_p = 1}, (const gboolean[N]){1, 1, 1, 1, 1, 0, 1, 1});
}

/* Of two equal logits the lower id ranks first, and no more than k are kept. */
static void
test_top_k_keeps_k (void)
{
  check_frequencies ((VjGenerateOptions){.temperature = 1, .top_k = 2, .top_p = 1}, (const gboolean[N]){0, 1, 0, 0, 0, 0, 0, 1});
  check_frequencies ((VjGenerateOptions){.temperature = 0.7, .top_k = 4, .top_p = 1}, (const gboolean[N]){0, 1, 0, 1, 1, 0, 0, 1});
  check_frequencies ((VjGenerateOptions){.temperature = 1, .top_k = 1, .top_p = 1}, (const gboolean[N]){0, 0, 0, 0, 0, 0, 0, 1});
  check_frequencies ((VjGenerateOptions){.temperature = 1, .top_k = 100, .top_p = 1}, (const gboolean[N]){1, 1, 1, 1, 1, 0, 1, 1});
}

/* Probabilities at temperature 1: 7: .51, 1 and 3: .188, 4: .069, 0: .042, 6: .025, 2: .009. */
static void
test_top_p_keeps_the_smallest_set_that_reaches_it (void)
{
  check_frequencies ((VjGenerateOptions){.temperature = 1, .top_p = 0.1}, (const gboolean[N]){0, 0, 0, 0, 0, 0, 0, 1});
  check_frequencies ((VjGenerateOptions){.temperature = 1, .top_p = 0.6}, (const gboolean[N]){0, 1, 0, 0, 0, 0, 0, 1});
  check_frequencies ((VjGenerateOptions){.temperature = 1, .top_p = 0.9}, (const gboolean[N]){0, 1, 0, 1, 1, 0, 0, 1});
  check_frequencies ((VjGenerateOptions){.temperature = 1, .top_p = 0.9999999}, (const gboolean[N]){1, 1, 1, 1, 1, 0, 1, 1});
}

/* top_p speaks of what top_k left: of the three largest, 7 alone has .575, 7 and 1 have .787. */
static void
test_top_p_is_relative_to_top_k (void)
{
  check_frequencies ((VjGenerateOptions){.temperature = 1, .top_k = 3, .top_p = 0.57}, (const gboolean[N]){0, 0, 0, 0, 0, 0, 0, 1});
  check_frequencies ((VjGenerateOptions){.temperature = 1, .top_k = 3, .top_p = 0.7}, (const gboolean[N]){0, 1, 0, 0, 0, 0, 0, 1});
}

static void
test_extreme_values_stay_finite (void)
{
  static const float large[3] = {3e38f, -3e38f, 3e38f};
  static const float one[1] = {-5};
  for (guint64 seed = 0; seed < 50; seed++) {
    g_assert_cmpuint (draw_once (large, 3, (VjGenerateOptions){.temperature = 1e-6, .top_p = 1}, seed), !=, 1);
    g_assert_cmpuint (draw_once (large, 3, (VjGenerateOptions){.temperature = 1e-6, .top_k = 2, .top_p = 0.5}, seed), ==, 0);
    g_assert_cmpuint (draw_once (one, 1, (VjGenerateOptions){.temperature = 1, .top_k = 5, .top_p = 0.5}, seed), ==, 0);
  }
}

/* Scratch grown by another vocabulary, or by other options before, leaves no trace. */
static void
test_draws_leave_no_trace (void)
{
  VjSampler sampler = {0};
  VjRandom random;
  float wide[100];
  guint32 token;
  for (int i = 0; i < 100; i++)
    wide[i] = (float) (i % 13);
  for (guint64 seed = 0; seed < 100; seed++) {
    VjGenerateOptions options = {.temperature = 0.5 + seed % 3, .top_k = (guint) (seed % 5), .top_p = seed % 2 ? 0.8 : 1};
    vj_random_init (&random, seed + 1);
    g_assert_true (vj_sampler_draw (&sampler, wide, 100, &options, &random, &token, NULL));
    vj_random_init (&random, seed);
    g_assert_true (vj_sampler_draw (&sampler, logits, N, &options, &random, &token, NULL));
    g_assert_cmpuint (token, ==, draw_once (logits, N, options, seed));
    /* One number is taken, whatever was kept. */
    VjRandom other;
    vj_random_init (&other, seed);
    vj_random_real (&other);
    g_assert_cmpuint (vj_random_next (&other), ==, vj_random_next (&random));
  }
  vj_sampler_clear (&sampler);
}

/* -- vectors (tests/peers/make_sample_vectors.py) --------------------------------------- */

static double
option (const json_t *options, const char *name)
{
  return json_number_value (json_object_get (options, name));
}

/* Penalises, keeps, and returns the probability of each token. Owned. */
static double *
probabilities (const json_t *item, VjSampler *sampler)
{
  const json_t *options = json_object_get (item, "options"), *given = json_object_get (item, "logits64"), *so_far = json_object_get (item, "past");
  guint32 n = (guint32) json_array_size (given);
  gsize n_past = json_array_size (so_far);
  g_autofree float *values = g_new (float, n), *before = g_new (float, n);
  g_autofree guint32 *past = g_new (guint32, n_past + 1);
  VjGenerateOptions all = {.temperature = option (options, "temperature"), .top_k = (guint) option (options, "top_k"),
                           .top_p = option (options, "top_p"), .min_p = option (options, "min_p"), .max_tokens = 1,
                           .repetition_penalty = option (options, "repetition_penalty")};
  VjKept kept;
  double *probability = g_new0 (double, n), total = 0;
  for (guint32 i = 0; i < n; i++)
    before[i] = values[i] = (float) json_number_value (json_array_get (given, i)) / 64;
  for (gsize i = 0; i < n_past; i++)
    past[i] = (guint32) json_integer_value (json_array_get (so_far, i));
  past[n_past] = n + 5; /* as an image token: it has no logit */
  g_assert_true (vj_generate_options_check (&all, NULL));
  if (vj_generate_options_penalise (&all))
    vj_sampler_penalise (sampler, values, n, past, n_past + 1, all.repetition_penalty);
  g_assert_true (vj_sampler_keep (sampler, values, n, &all, &kept, NULL));
  for (guint32 i = 0; i < kept.n; i++)
    total += kept.weights[i];
  for (guint32 i = 0; i < kept.n; i++)
    probability[kept.ids != NULL ? kept.ids[i] : i] = kept.weights[i] / total;
  if (vj_generate_options_penalise (&all))
    vj_sampler_forgive (sampler, values, n, past, n_past + 1);
  g_assert_cmpmem (values, n * sizeof (float), before, n * sizeof (float));
  return probability;
}

/* The same tokens are left, each with its share. The penalty is made in f32 here and in f64 there. */
static void
test_equals_transformers (void)
{
  g_autofree char *file = g_build_filename (g_getenv ("VJ_SRCDIR"), "tests/vectors/sample/vectors.json", NULL);
  json_t *cases = json_load_file (file, 0, NULL), *item;
  VjSampler sampler = {0};
  gsize i;
  g_assert_cmpuint (json_array_size (cases), >=, 40);
  json_array_foreach (cases, i, item)
  {
    const json_t *kept = json_object_get (item, "kept");
    g_autofree double *probability = probabilities (item, &sampler);
    gsize n = json_array_size (json_object_get (item, "logits64")), left = 0;
    for (gsize t = 0; t < n; t++) {
      char id[16];
      g_snprintf (id, sizeof id, "%u", (guint) t);
      double expected = json_number_value (json_object_get (kept, id));
      left += probability[t] > 0;
      g_assert_cmpint (probability[t] > 0, ==, expected > 0);
      g_assert_cmpfloat (fabs (probability[t] - expected), <=, 1e-5 * expected);
    }
    g_test_message ("case %u: %u of %u tokens left", (guint) i, (guint) left, (guint) n);
  }
  vj_sampler_clear (&sampler);
  json_decref (cases);
}

/* A flat distribution over a long vocabulary: more is kept than the selections hold, and still in the order of ids. */
static void
test_flat_distributions_are_ranked_whole (void)
{
  enum { MANY = 30000 };
  g_autofree float *flat = g_new0 (float, MANY);
  VjSampler sampler = {0};
  VjKept kept;
  for (guint i = 0; i < MANY; i += 3)
    flat[i] = 1;
  g_assert_true (vj_sampler_keep (&sampler, flat, MANY, &(VjGenerateOptions){.temperature = 1, .top_p = 0.9}, &kept, NULL));
  double third = MANY / 3, total = third * G_E + 2 * third, enough = third + (0.9 * total - third * G_E);
  g_assert_cmpuint (kept.n, ==, (guint) ceil (enough));
  for (guint i = 0; i < kept.n; i++)
    g_assert_cmpuint (kept.ids[i], ==, i < MANY / 3 ? 3 * i : (i - MANY / 3) / 2 * 3 + 1 + i % 2);
  vj_sampler_clear (&sampler);
}

/* Over more than the sampler looks at together, with stretches that nothing is drawn from: every token by its weight, and the
 * last of any weight at the end. */
static void
test_long_vocabularies_are_drawn_by_weight (void)
{
  enum { MANY = 5003, DRAWS = 60000 };
  g_autofree float *values = g_new (float, MANY);
  g_autofree guint *counts = g_new0 (guint, MANY);
  VjSampler sampler = {0};
  VjRandom random;
  VjKept kept;
  VjGenerateOptions all = {.temperature = 1, .top_p = 1};
  double total = 0;
  for (guint i = 0; i < MANY; i++)
    values[i] = i < 600 || i > 4400 || i % 700 ? -INFINITY : (float) (i / 700) / 4;
  values[1031] = 0.7f;
  g_assert_true (vj_sampler_keep (&sampler, values, MANY, &all, &kept, NULL));
  g_assert_cmpuint (kept.n, ==, MANY);
  for (guint i = 0; i < MANY; i++) {
    double expected = exp ((double) values[i] - (double) values[4200]);
    g_assert_cmpfloat (fabs (kept.weights[i] - expected), <=, 1e-15 * expected);
    total += expected;
  }
  vj_random_init (&random, 3);
  for (guint i = 0; i < DRAWS; i++) {
    guint32 token;
    g_assert_true (vj_sampler_draw (&sampler, values, MANY, &all, &random, &token, NULL));
    counts[token]++;
  }
  for (guint i = 0; i < MANY; i++) {
    double p = exp ((double) values[i] - (double) values[4200]) / total;
    g_assert_cmpfloat (fabs (counts[i] - p * DRAWS), <=, 5 * sqrt (p * (1 - p) * DRAWS));
  }
  vj_sampler_clear (&sampler);
}

static void
test_broken_logits_are_refused (void)
{
  enum { LONG = 1000 };
  static const float broken[4][3] = {{1, NAN, 2}, {1, -NAN, 2}, {-INFINITY, -INFINITY, -INFINITY}, {1, INFINITY, 0}};
  for (int i = 0; i < 8; i++)
    for (int sampled = 0; sampled < 2; sampled++) {
      g_autofree float *values = g_new0 (float, LONG);
      guint32 n = i < 4 ? 3 : LONG; /* the same in the midst of many, or everywhere */
      for (guint k = 0; i == 6 && k < LONG; k++)
        values[k] = -INFINITY;
      memcpy (values + (i < 4 ? 0 : 700), broken[i % 4], sizeof broken[0]);
      g_autoptr (GError) error = NULL;
      VjSampler sampler = {0};
      VjRandom random;
      guint32 token = 77;
      VjGenerateOptions options = {.temperature = sampled, .top_p = 1};
      vj_random_init (&random, 1);
      g_assert_false (vj_sampler_draw (&sampler, values, n, &options, &random, &token, &error));
      g_assert_cmpint (vj_error_exit (error), ==, VJ_EXIT_DATA);
      g_assert_cmpuint (token, ==, 77);
      vj_sampler_clear (&sampler);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/sample/greedy-takes-the-first-of-the-largest", test_greedy_takes_the_first_of_the_largest);
  g_test_add_func ("/sample/all-tokens-by-their-probability", test_all_tokens_by_their_probability);
  g_test_add_func ("/sample/top-k-keeps-k", test_top_k_keeps_k);
  g_test_add_func ("/sample/top-p-keeps-the-smallest-set-that-reaches-it", test_top_p_keeps_the_smallest_set_that_reaches_it);
  g_test_add_func ("/sample/top-p-is-relative-to-top-k", test_top_p_is_relative_to_top_k);
  g_test_add_func ("/sample/extreme-values-stay-finite", test_extreme_values_stay_finite);
  g_test_add_func ("/sample/draws-leave-no-trace", test_draws_leave_no_trace);
  g_test_add_func ("/sample/equals-transformers", test_equals_transformers);
  g_test_add_func ("/sample/flat-distributions-are-ranked-whole", test_flat_distributions_are_ranked_whole);
  g_test_add_func ("/sample/long-vocabularies-are-drawn-by-weight", test_long_vocabularies_are_drawn_by_weight);
  g_test_add_func ("/sample/broken-logits-are-refused", test_broken_logits_are_refused);
  return g_test_run ();
}
