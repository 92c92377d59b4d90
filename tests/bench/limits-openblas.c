/* OpenBLAS for bench-limits: sgemm on its own threads. */
#include "bench-limits.h"

#include <cblas.h>
#include <stdlib.h>

struct BenchGemm {
  gsize n;
  float *a, *b, *c;
};

static void
gemm_close (BenchGemm *gemm)
{
  free (gemm->a);
  free (gemm->b);
  free (gemm->c);
  g_free (gemm);
}

static float *
fill (gsize n)
{
  float *values = aligned_alloc (64, n * n * sizeof *values);
  for (gsize i = 0; values != NULL && i < n * n; i++)
    values[i] = (float) (i % 15) - 7;
  return values;
}

static BenchGemm *
gemm_open (gsize n, guint threads)
{
  BenchGemm *gemm = g_new0 (BenchGemm, 1);
  *gemm = (BenchGemm) { n, fill (n), fill (n), fill (n) };
  openblas_set_num_threads ((int) threads);
  if (gemm->a != NULL && gemm->b != NULL && gemm->c != NULL)
    return gemm;
  gemm_close (gemm);
  return NULL;
}

static gboolean
gemm_run (BenchGemm *gemm)
{
  blasint n = (blasint) gemm->n;
  cblas_sgemm (CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, gemm->a, n, gemm->b, n, 0, gemm->c, n);
  return TRUE;
}

const BenchLibrary bench_openblas[] = { { "openblas", "f32", gemm_open, gemm_run, gemm_close }, { .name = NULL } };
