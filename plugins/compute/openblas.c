/* openblas: matrix products of the native engine by OpenBLAS; everything else is the host's. */
#include <vj/compute.h>
#include <vj/plugin.h>

#include <cblas.h>

/* The host splits products among its own workers, the same way on any number of them. */
static gboolean
prepare (G_GNUC_UNUSED GError **error)
{
  openblas_set_num_threads (1);
  return TRUE;
}

static void
sgemm (gboolean ta, gboolean tb, gsize m, gsize n, gsize k, const float *a, gsize lda, const float *b, gsize ldb, float beta, float *c, gsize ldc)
{
  cblas_sgemm (CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (blasint) m, (blasint) n, (blasint) k, 1,
               a, (blasint) lda, b, (blasint) ldb, beta, c, (blasint) ldc);
}

VJ_DEFINE_COMPUTE ((.name = "openblas", .sgemm = sgemm, .prepare = prepare),
                   .name = "openblas", .version = "1.0", .license = "Apache-2.0",
                   .summary = "Matrix products by OpenBLAS; threads and all other operations are the host's.")
