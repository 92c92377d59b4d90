/* Laws that computes keep beyond agreeing with the reference (test-compute): a row's bits do not depend on its company, sums
 * of squares not on threads, and dropout draws as it says. */
#include "compute/compute.h"
#include "base/random.h"
#include "tests/engine/plugins.h"

#include <math.h>
#include <string.h>

static void
test_sum_squares (void)
{
  g_autoptr (VjCompute) one = vj_compute_open ("cpu", 1, NULL), three = vj_compute_open ("cpu", 3, NULL), ref = vj_compute_open ("ref", 1, NULL);
  gsize n = 100003;
  g_autofree float *values = g_new (float, n);
  VjRandom random;
  vj_random_init (&random, 4);
  for (gsize i = 0; i < n; i++)
    values[i] = (float) vj_random_normal (&random);
  const VjF32 *x = (const VjF32 *) (const void *) values; /* all three keep device memory on the host */
  double a = one->ops->sum_squares (one->device, n, x), b = three->ops->sum_squares (three->device, n, x), c = ref->ops->sum_squares (ref->device, n, x);
  g_assert_true (a == b);
  g_assert_cmpfloat_with_epsilon (a, c, c * 1e-12);
  values[70001] = NAN;
  g_assert_true (isnan (three->ops->sum_squares (three->device, n, x)));
  values[70001] = INFINITY;
  g_assert_true (isinf (three->ops->sum_squares (three->device, n, x)));
}

/* Cut off, as a weight is here. */
static double
bf16 (float value)
{
  guint32 bits;
  memcpy (&bits, &value, 4);
  bits &= 0xffff0000;
  memcpy (&value, &bits, 4);
  return value;
}

/* The law that batches rest on: a row of `linear` has the same bits among any other rows. Sizes with tails and without. */
static void
rows_alone (const VjCompute *compute, VjNumbers numbers, gsize n, gsize k)
{
  const gsize rows = 300, counts[] = { 1, 2, 3, 8, 15, 17, 33, 64, 300 };
  g_autofree float *x = g_new (float, rows * k), *w = g_new (float, n * k), *all = g_new (float, rows * n), *some = g_new (float, rows * n);
  g_autofree guint16 *halves = g_new (guint16, n * k);
  VjRandom random;
  vj_random_init (&random, n + k);
  for (gsize i = 0; i < rows * k; i++)
    x[i] = (float) vj_random_normal (&random);
  for (gsize i = 0; i < n * k; i++) {
    guint32 bits;
    w[i] = (float) vj_random_normal (&random);
    memcpy (&bits, &w[i], 4);
    halves[i] = (guint16) (bits >> 16);
  }
  VjMatrix *matrix = compute->ops->matrix_new (compute->device, numbers, n, k, numbers == VJ_NUMBERS_BF16 ? (void *) halves : w, NULL);
  const VjMatrix *const list[] = { matrix };
  VjF32 *in = compute->ops->alloc (compute->device, rows * k * 4, NULL), *out = compute->ops->alloc (compute->device, rows * n * 4, NULL);
  compute->ops->upload (compute->device, in, x, rows * k * 4);
  compute->ops->linear (compute->device, rows, in, list, 1, NULL, out, n);
  compute->ops->download (compute->device, all, out, rows * n * 4);
  for (gsize r = 0; r < rows; r += 7)
    for (gsize j = r % 5; j < n; j += 5) {
      double sum = 0;
      for (gsize l = 0; l < k; l++)
        sum += (double) x[r * k + l] * (numbers == VJ_NUMBERS_BF16 ? bf16 (w[j * k + l]) : w[j * k + l]);
      g_assert_cmpfloat_with_epsilon (all[r * n + j], sum, (numbers == VJ_NUMBERS_BF16 ? 0.02 : 1e-4) * sqrt ((double) k));
    }
  for (guint i = 0; i < G_N_ELEMENTS (counts); i++)
    for (gsize first = 0; first + counts[i] <= rows; first += 37) {
      compute->ops->linear (compute->device, counts[i], vj_f32_at (in, first * k), list, 1, NULL, out, n);
      compute->ops->download (compute->device, some, out, counts[i] * n * 4);
      g_assert_cmpmem (some, counts[i] * n * 4, all + first * n, counts[i] * n * 4);
    }
  compute->ops->release (compute->device, in);
  compute->ops->release (compute->device, out);
  compute->ops->matrix_free (compute->device, matrix);
}

static void
test_rows_alone (gconstpointer data)
{
  for (guint threads = 1; threads <= 3; threads++) {
    g_autoptr (VjCompute) compute = open_or_skip (data, threads);
    if (compute == NULL)
      return;
    for (VjNumbers numbers = VJ_NUMBERS_F32; numbers <= VJ_NUMBERS_BF16; numbers++) {
      rows_alone (compute, numbers, 71, 53);
      rows_alone (compute, numbers, 192, 192);
      rows_alone (compute, numbers, 300, 1100);
      rows_alone (compute, numbers, 37, 2081);
    }
  }
}

static void
test_unknown (void)
{
  g_autoptr (GError) error = NULL;
  g_assert_null (vj_compute_open ("no-such-compute", 1, &error));
  g_assert_error (error, VJ_ERROR, VJ_EXIT_PLUGIN);
}

/* -- a library without bf16 products on this processor ----------------------- */

static gboolean
has_none (void)
{
  return FALSE;
}

static void *
never_pack (G_GNUC_UNUSED gsize n, G_GNUC_UNUSED gsize k, G_GNUC_UNUSED const guint16 *w, G_GNUC_UNUSED GError **error)
{
  g_assert_not_reached ();
}

static void
never_multiply (G_GNUC_UNUSED gboolean ta, G_GNUC_UNUSED gboolean tb, G_GNUC_UNUSED gsize m, G_GNUC_UNUSED gsize n, G_GNUC_UNUSED gsize k,
                G_GNUC_UNUSED const float *a, G_GNUC_UNUSED gsize lda, G_GNUC_UNUSED const float *b, G_GNUC_UNUSED gsize ldb,
                G_GNUC_UNUSED float beta, G_GNUC_UNUSED float *c, G_GNUC_UNUSED gsize ldc)
{
  g_assert_not_reached ();
}

static const VjComputeOps *
find_without (G_GNUC_UNUSED void *data, G_GNUC_UNUSED const char *name, G_GNUC_UNUSED GError **error)
{
  static const VjHalves none = { .rows = 16, .usable = has_none, .pack = never_pack };
  static const VjComputeOps without = VJ__COMPUTE_OPS (.name = "without", .sgemm = never_multiply, .halves = &none);
  return &without;
}

static void
test_library_without_bf16 (void)
{
  const guint16 one_to_three[] = { 0x3f80, 0x4000, 0x4040 };
  const float x[] = { 1, 10, 100 };
  float y = 0;
  vj_compute_set_find (find_without, NULL);
  g_autoptr (VjCompute) compute = vj_compute_open ("without", 1, NULL), own = vj_compute_open ("cpu", 1, NULL);
  g_assert_cmpstr (compute->name, ==, "without");
  g_assert_cmpstr (compute->kernel, ==, own->kernel);
  VjMatrix *w = compute->ops->matrix_new (compute->device, VJ_NUMBERS_BF16, 1, 3, one_to_three, NULL);
  const VjMatrix *const list[] = { w };
  compute->ops->linear (compute->device, 1, (const VjF32 *) (const void *) x, list, 1, NULL, (VjF32 *) (void *) &y, 1);
  g_assert_cmpfloat (y, ==, 321);
  compute->ops->matrix_free (compute->device, w);
  plugins_offer ();
}

/* ---------------------------------------------------------------------------- */

/* A logit that is no number makes a loss that is none, whatever its sign and wherever it stands. */
static void
test_broken_loss (void)
{
  enum { N = 40 };
  g_autoptr (VjCompute) compute = vj_compute_open ("cpu", 1, NULL);
  for (guint at = 0; at < N; at++)
    for (guint negative = 0; negative < 2; negative++) {
      float logits[N] = { 0 }, weight = 1, loss = 0;
      gint32 target = 7;
      logits[at] = negative ? -NAN : NAN;
      compute->ops->cross_entropy (compute->device, 1, N, (VjF32 *) (void *) logits, (const VjI32 *) (const void *) &target,
                                   (const VjF32 *) (const void *) &weight, (VjF32 *) (void *) &loss);
      g_assert_true (isnan (loss));
    }
}

/* The share that is dropped, and that neither rows, columns nor salts share their draws. */
static void
test_dropout (void)
{
  const guint n = 400;
  guint dropped = 0, like_row = 0, like_column = 0, like_salt = 0;
  const guint32 bound = (guint32) (0.25f * 0x1p24f);
  for (guint32 r = 0; r < n; r++)
    for (guint32 c = 0; c < n; c++) {
      gboolean now = vj_dropout_bits (r, 5, c) >> 8 < bound;
      dropped += now;
      like_row += now && vj_dropout_bits (r + 1, 5, c) >> 8 < bound;
      like_column += now && vj_dropout_bits (r, 5, c + 1) >> 8 < bound;
      like_salt += now && vj_dropout_bits (r, 6, c) >> 8 < bound;
    }
  double all = (double) n * n;
  g_assert_cmpfloat (fabs (dropped / all - 0.25), <, 0.005);
  g_assert_cmpfloat (fabs (like_row / all - 0.0625), <, 0.003);
  g_assert_cmpfloat (fabs (like_column / all - 0.0625), <, 0.003);
  g_assert_cmpfloat (fabs (like_salt / all - 0.0625), <, 0.003);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  plugins_offer ();
  add_for_cpus ("/compute/rows-alone", test_rows_alone);
  g_test_add_func ("/compute/sum-squares", test_sum_squares);
  g_test_add_func ("/compute/dropout", test_dropout);
  g_test_add_func ("/compute/unknown", test_unknown);
  g_test_add_func ("/compute/library-without-bf16", test_library_without_bf16);
  g_test_add_func ("/compute/broken-loss", test_broken_loss);
  return g_test_run ();
}
