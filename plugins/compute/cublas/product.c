/* Products by cuBLAS. It thinks in columns: a row-major [M, N] is its [N, M], so c = a b is asked for as c^T = b^T a^T. */
#include "plugins/compute/cublas/ops.h"

typedef struct {
  gboolean transposed, half;
  const void *values;
  gsize ld;
} Operand;

/* `c` becomes, or gains, the bias on each of its rows. */
static void
add_bias (VjCublas *device, const char *place, gsize rows, gsize cols, const VjF32 *bias, gboolean add, VjF32 *c, gsize ldc)
{
  VjBiasArgs args = { .cols = (gint64) cols, .chunks = (gint64) vj_cublas_parts (cols, VJ_SPREAD), .ld = (gint64) ldc, .bias = CF (bias),
                      .y = F (c), .add = add };
  VJ_START (device, place, add_bias, rows * (gsize) args.chunks, 0, &args);
}

/* [rows, cols] as bfloat16 in a scratch; its values are NULL when there is no memory, which is remembered. */
static Operand
rounded (VjCublas *device, const char *place, VjScratch scratch, gsize rows, gsize cols, const VjF32 *from, gsize ld, gboolean transposed)
{
  VjRoundArgs args = { .cols = (gint64) cols, .chunks = (gint64) vj_cublas_parts (cols, VJ_SPREAD), .ld = (gint64) ld, .from = CF (from) };
  args.to = vj_cublas_scratch (device, scratch, rows * cols * sizeof (guint16), place);
  if (args.to != NULL)
    VJ_START (device, place, round_bf16, rows * (gsize) args.chunks, 0, &args);
  return (Operand) { transposed, TRUE, args.to, cols };
}

/* c[m, n] = op(a) op(b) + beta c, row-major. */
static void
multiply (VjCublas *device, const char *place, gsize m, gsize n, gsize k, const Operand *a, const Operand *b, float beta, VjF32 *c, gsize ldc)
{
  VjGpuGemm gemm = { .ta = b->transposed, .tb = a->transposed, .half = a->half, .m = (gint64) n, .n = (gint64) m, .k = (gint64) k,
                     .a = b->values, .lda = (gint64) b->ld, .b = a->values, .ldb = (gint64) a->ld, .beta = beta, .c = F (c), .ldc = (gint64) ldc };
  vj_cublas_check (device, place, vj_gpu_gemm (device->gpu, &gemm));
}

void
vj_cublas_gemm (void *device_, const VjGemm *g)
{
  VjCublas *device = device_;
  Operand a = { g->ta, FALSE, g->a, g->lda }, b = { g->tb, FALSE, g->b, g->ldb };
  if (g->m == 0 || g->n == 0)
    return;
  if (g->numbers == VJ_NUMBERS_BF16 && g->k > 0) {
    a = rounded (device, "gemm", VJ_SCRATCH_A, g->ta ? g->k : g->m, g->ta ? g->m : g->k, g->a, g->lda, g->ta);
    if (a.values != NULL)
      b = rounded (device, "gemm", VJ_SCRATCH_B, g->tb ? g->n : g->k, g->tb ? g->k : g->n, g->b, g->ldb, g->tb);
    if (a.values == NULL || b.values == NULL)
      return;
  }
  if (g->bias != NULL)
    add_bias (device, "gemm", g->m, g->n, g->bias, g->beta != 0, g->c, g->ldc);
  multiply (device, "gemm", g->m, g->n, g->k, &a, &b, g->bias != NULL ? 1 : g->beta, g->c, g->ldc);
}

VjMatrix *
vj_cublas_matrix_new (void *device, VjNumbers numbers, gsize n, gsize k, const void *host, GError **error)
{
  gsize bytes = n * k * (numbers == VJ_NUMBERS_BF16 ? sizeof (guint16) : sizeof (float));
  void *values = vj_cublas_alloc (device, bytes, error);
  if (values == NULL)
    return NULL;
  vj_cublas_upload (device, values, host, bytes);
  VjMatrix *matrix = g_new (VjMatrix, 1);
  *matrix = (VjMatrix) { numbers, n, k, values };
  return matrix;
}

void
vj_cublas_matrix_free (void *device, VjMatrix *matrix)
{
  if (matrix == NULL)
    return;
  vj_cublas_release (device, matrix->values);
  g_free (matrix);
}

void
vj_cublas_linear (void *device_, gsize rows, const VjF32 *x, const VjMatrix *const *w, gsize n_w, const VjF32 *bias, VjF32 *y, gsize ldy)
{
  VjCublas *device = device_;
  gboolean half = w[0]->numbers == VJ_NUMBERS_BF16;
  gsize k = w[0]->k, n = 0;
  Operand a = { FALSE, FALSE, x, k };
  for (gsize i = 0; i < n_w; i++)
    n += w[i]->n;
  if (rows == 0 || n == 0)
    return;
  if (half)
    a = rounded (device, "linear", VJ_SCRATCH_A, rows, k, x, k, FALSE);
  if (a.values == NULL)
    return;
  if (bias != NULL)
    add_bias (device, "linear", rows, n, bias, FALSE, y, ldy);
  for (gsize i = 0; i < n_w; y = vj_f32_at (y, w[i++]->n)) {
    Operand b = { TRUE, half, w[i]->values, k };
    multiply (device, "linear", rows, w[i]->n, k, &a, &b, bias != NULL ? 1 : 0, y, ldy);
  }
}
