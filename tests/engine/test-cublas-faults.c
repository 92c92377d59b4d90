/* What the cublas compute says when something goes wrong, its uploads, and that the emulated GPU notices wrong kernels. */
#include "compute/compute.h"
#include "tests/engine/emulated/emulated.h"
#include "tests/engine/plugins.h"

#include <math.h>

/* Uploads of more than the whole ring, from memory that changes as soon as each call has returned. */
static void
test_uploads (void)
{
  const gsize n = VJ_GPU_SLOTS * VJ_GPU_SLOT_BYTES + 12345;
  g_autoptr (VjCompute) compute = vj_compute_open ("cublas-emulated", 1, NULL);
  g_autofree guint8 *host = g_malloc (n), *back = g_malloc (n);
  guint8 *memory = compute->ops->alloc (compute->device, n, NULL);
  for (gsize i = 0; i < n; i++)
    host[i] = (guint8) (i * 31 + i / 251);
  compute->ops->upload (compute->device, memory, host, n);
  for (guint i = 0; i < 100; i++) {
    guint32 word = i;
    compute->ops->upload (compute->device, memory + 4 * i, &word, 4);
    word = 0xdead;
  }
  compute->ops->upload (compute->device, memory, host, 0);
  compute->ops->download (compute->device, back, memory, n);
  for (guint32 i = 0; i < 100; i++)
    g_assert_cmpuint (((const guint32 *) (const void *) back)[i], ==, i);
  g_assert_cmpmem (back + 400, n - 400, host + 400, n - 400);
  compute->ops->release (compute->device, memory);
}

/* -- what goes wrong ------------------------------------------------------------- */

static void
check_finish (const VjCompute *compute, VjExit exit, const char *text)
{
  g_autoptr (GError) error = NULL;
  g_assert_false (compute->ops->finish (compute->device, &error));
  g_test_message ("%s", error->message);
  g_assert_error (error, VJ_ERROR, (gint) exit);
  g_assert_nonnull (strstr (error->message, text));
}

static void
test_errors (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VjCompute) compute = vj_compute_open ("cublas-emulated", 1, NULL);
  const VjComputeOps *ops = compute->ops;
  g_assert_null (ops->alloc (compute->device, (gsize) 1 << 40, &error));
  g_test_message ("%s", error->message);
  g_assert_error (error, VJ_ERROR, VJ_EXIT_LIMIT);
  g_assert_true (ops->finish (compute->device, NULL)); /* said once, not twice */
  VjF32 *x = ops->alloc (compute->device, 4096, NULL);
  VjAttention a = { .heads = 1, .kv_heads = 1, .head_dim = VJ_HEAD_MAX + 1 };
  ops->attention (compute->device, &a);
  ops->zero (compute->device, x, 4096);
  check_finish (compute, VJ_EXIT_LIMIT, "attention: head_dim is larger than 128");
  g_assert_true (ops->finish (compute->device, NULL));
  ops->copy_2d (compute->device, (gsize) 1 << 40, 1, x, 1, 1, x, 1, 1, FALSE);
  check_finish (compute, VJ_EXIT_LIMIT, "copy_2d");
  VjGemm huge = { .numbers = VJ_NUMBERS_BF16, .m = (gsize) 1 << 20, .n = 1, .k = 1 << 20, .a = x, .lda = 1 << 20, .b = x, .ldb = 1, .c = x, .ldc = 1 };
  ops->gemm (compute->device, &huge);
  check_finish (compute, VJ_EXIT_LIMIT, "gemm: the GPU's memory is used up");
  VjGemm wrong = { .m = 4, .n = 4, .k = 4, .a = x, .lda = 2, .b = x, .ldb = 4, .c = x, .ldc = 4 };
  ops->gemm (compute->device, &wrong);
  check_finish (compute, VJ_EXIT_BACKEND, "gemm");
  ops->release (compute->device, x);
  ops->release (compute->device, NULL);
  ops->matrix_free (compute->device, NULL);
}

/* A kernel that dies is told with the next finish, and numbers read from then on are none. */
static void
test_lost (void)
{
  g_autoptr (VjCompute) compute = vj_compute_open ("cublas-emulated", 1, NULL);
  const VjComputeOps *ops = compute->ops;
  VjF32 *x = ops->alloc (compute->device, 4096, NULL);
  float value = 1;
  g_setenv ("VJ_EMULATED_FAULT", "activate", TRUE);
  ops->activation (compute->device, VJ_ACT_GELU, 1024, x, x);
  g_unsetenv ("VJ_EMULATED_FAULT");
  ops->download (compute->device, &value, x, 4);
  g_assert_true (isnan (value));
  g_assert_true (isnan (ops->sum_squares (compute->device, 1024, x)));
  check_finish (compute, VJ_EXIT_BACKEND, "noticed in or after download");
  check_finish (compute, VJ_EXIT_BACKEND, "the same command resumes");
  ops->release (compute->device, x);
}

/* The built plugin where there is no GPU: loads, and says in one line what is missing. */
static void
test_refusal (void)
{
  g_autoptr (GError) error = NULL;
  const VjComputeOps *ops = plugins_find (NULL, "cublas", NULL);
  if (ops == NULL) {
    g_test_skip ("built without CUDA");
    return;
  }
  if (ops->prepare (NULL)) {
    g_test_skip ("this machine has a GPU");
    return;
  }
  g_assert_false (ops->prepare (&error));
  g_assert_error (error, VJ_ERROR, VJ_EXIT_PLUGIN);
  g_test_message ("%s", error->message);
  g_assert_true (g_str_has_prefix (error->message, "compute: 'cublas': "));
  g_assert_nonnull (strstr (error->message, "use compute 'auto' or 'cpu'"));
  g_clear_error (&error);
  g_assert_null (ops->open (0, &error));
  g_assert_error (error, VJ_ERROR, VJ_EXIT_PLUGIN);
  g_clear_error (&error);
  g_assert_null (vj_compute_open ("cublas", 0, &error));
  g_assert_error (error, VJ_ERROR, VJ_EXIT_PLUGIN);
}

/* -- the emulation ------------------------------------------------------------------ */

typedef struct {
  int *values; /* [VJ_BLOCK] */
} Shift;

/* Every thread takes its neighbour's number, with and without waiting until all have read. */
KERNEL (shift_right, Shift)
{
  int value = a.values[(THREAD + 1) % VJ_BLOCK];
  SYNC ();
  a.values[THREAD] = value;
}

KERNEL (shift_racing, Shift)
{
  SYNC ();
  a.values[THREAD] = a.values[(THREAD + 1) % VJ_BLOCK];
}

KERNEL (half_waits, Shift)
{
  if (THREAD < VJ_BLOCK / 2)
    SYNC ();
  a.values[THREAD] = 0;
}

static void
fill_and_run (int *values, VjOrder order, gboolean syncs, void (*kernel) (const void *))
{
  VjFibers *fibers = vj_fibers_new ();
  VjEmulated block = { 0, 0, 0, 0, 1, NULL };
  Shift args = { values };
  for (int i = 0; i < VJ_BLOCK; i++)
    values[i] = i;
  vj_fibers_run (fibers, order, syncs, "a kernel of the test", &block, kernel, &args);
  vj_fibers_free (fibers);
}

static void
test_races_show (void)
{
  int up[VJ_BLOCK], down[VJ_BLOCK], mixed[VJ_BLOCK];
  fill_and_run (up, VJ_ORDER_UP, TRUE, shift_right);
  fill_and_run (mixed, VJ_ORDER_MIXED, TRUE, shift_right);
  fill_and_run (down, VJ_ORDER_DOWN, TRUE, shift_right);
  for (int i = 0; i < VJ_BLOCK; i++)
    g_assert_cmpint (up[i], ==, (i + 1) % VJ_BLOCK);
  g_assert_cmpmem (up, sizeof up, down, sizeof down);
  g_assert_cmpmem (up, sizeof up, mixed, sizeof mixed);
  fill_and_run (up, VJ_ORDER_UP, TRUE, shift_racing);
  fill_and_run (down, VJ_ORDER_DOWN, TRUE, shift_racing);
  g_assert_true (memcmp (up, down, sizeof up) != 0);
}

static void
test_barriers_show (void)
{
  int values[VJ_BLOCK];
  if (g_test_subprocess ()) {
    fill_and_run (values, VJ_ORDER_UP, TRUE, half_waits);
    return;
  }
  g_test_trap_subprocess (NULL, 0, 0);
  g_test_trap_assert_failed ();
  g_test_trap_assert_stderr ("*did not come to the barrier*");
}

static void
test_undeclared_barriers_show (void)
{
  int values[VJ_BLOCK];
  if (g_test_subprocess ()) {
    fill_and_run (values, VJ_ORDER_UP, FALSE, shift_right);
    return;
  }
  g_test_trap_subprocess (NULL, 0, 0);
  g_test_trap_assert_failed ();
  g_test_trap_assert_stderr ("*declared to have none*");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  plugins_offer ();
  g_test_add_func ("/cublas/uploads", test_uploads);
  g_test_add_func ("/cublas/errors", test_errors);
  g_test_add_func ("/cublas/lost", test_lost);
  g_test_add_func ("/cublas/refused-without-gpu", test_refusal);
  g_test_add_func ("/cublas/emulation/races-show", test_races_show);
  g_test_add_func ("/cublas/emulation/barriers-show", test_barriers_show);
  g_test_add_func ("/cublas/emulation/undeclared-barriers-show", test_undeclared_barriers_show);
  return g_test_run ();
}
