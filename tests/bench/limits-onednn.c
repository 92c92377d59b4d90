/* oneDNN for bench-limits: matmul over weights laid out as the library likes them best, f32 and bf16 (accumulated in
 * f32; on AMX tiles where the processor has them). Its threads are OpenMP's: OMP_NUM_THREADS says how many. */
#include "bench-limits.h"

#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>
#include <string.h>

enum { SRC, WEIGHTS, DST, N_MEMORIES };

struct BenchGemm {
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  dnnl_primitive_desc_t plan;
  dnnl_primitive_t primitive;
  void *bytes[N_MEMORIES];
  dnnl_memory_t memory[N_MEMORIES];
};

static void
gemm_close (BenchGemm *gemm)
{
  for (int i = 0; i < N_MEMORIES; i++) {
    if (gemm->memory[i] != NULL)
      dnnl_memory_destroy (gemm->memory[i]);
    free (gemm->bytes[i]);
  }
  if (gemm->primitive != NULL)
    dnnl_primitive_destroy (gemm->primitive);
  if (gemm->plan != NULL)
    dnnl_primitive_desc_destroy (gemm->plan);
  if (gemm->stream != NULL)
    dnnl_stream_destroy (gemm->stream);
  if (gemm->engine != NULL)
    dnnl_engine_destroy (gemm->engine);
  g_free (gemm);
}

static gboolean
make_plan (BenchGemm *gemm, gsize n, dnnl_data_type_t type)
{
  const dnnl_dims_t dims = { (dnnl_dim_t) n, (dnnl_dim_t) n };
  dnnl_memory_desc_t plain, packed, out;
  dnnl_matmul_desc_t matmul;
  return dnnl_memory_desc_init_by_tag (&plain, 2, dims, type, dnnl_ab) == dnnl_success
         && dnnl_memory_desc_init_by_tag (&packed, 2, dims, type, dnnl_format_tag_any) == dnnl_success
         && dnnl_memory_desc_init_by_tag (&out, 2, dims, type, dnnl_ab) == dnnl_success
         && dnnl_matmul_desc_init (&matmul, &plain, &packed, NULL, &out) == dnnl_success
         && dnnl_primitive_desc_create (&gemm->plan, &matmul, NULL, gemm->engine, NULL) == dnnl_success
         && dnnl_primitive_create (&gemm->primitive, gemm->plan) == dnnl_success;
}

/* Any finite numbers do, in whatever layout: 1.0 is the same pattern of bytes all over. */
static gboolean
make_memory (BenchGemm *gemm, int i, dnnl_query_t what, dnnl_data_type_t type)
{
  const dnnl_memory_desc_t *desc = dnnl_primitive_desc_query_md (gemm->plan, what, 0);
  gsize size = dnnl_memory_desc_get_size (desc);
  const float one = 1;
  const guint8 *pattern = (const guint8 *) &one + (type == dnnl_bf16 ? 2 : 0);
  gsize width = type == dnnl_bf16 ? 2 : 4;
  guint8 *bytes = gemm->bytes[i] = aligned_alloc (64, (size + 63) & ~(gsize) 63);
  if (bytes == NULL)
    return FALSE;
  for (gsize at = 0; at < size; at++)
    bytes[at] = pattern[at % width];
  return dnnl_memory_create (&gemm->memory[i], desc, gemm->engine, bytes) == dnnl_success;
}

static BenchGemm *
gemm_open (gsize n, dnnl_data_type_t type)
{
  BenchGemm *gemm = g_new0 (BenchGemm, 1);
  if (dnnl_engine_create (&gemm->engine, dnnl_cpu, 0) == dnnl_success
      && dnnl_stream_create (&gemm->stream, gemm->engine, dnnl_stream_default_flags) == dnnl_success
      && make_plan (gemm, n, type)
      && make_memory (gemm, SRC, dnnl_query_src_md, type) && make_memory (gemm, WEIGHTS, dnnl_query_weights_md, type)
      && make_memory (gemm, DST, dnnl_query_dst_md, type))
    return gemm;
  gemm_close (gemm);
  return NULL;
}

static BenchGemm *
open_f32 (gsize n, G_GNUC_UNUSED guint threads)
{
  return gemm_open (n, dnnl_f32);
}

static BenchGemm *
open_bf16 (gsize n, G_GNUC_UNUSED guint threads)
{
  return gemm_open (n, dnnl_bf16);
}

static gboolean
gemm_run (BenchGemm *gemm)
{
  const dnnl_exec_arg_t args[] = { { DNNL_ARG_SRC, gemm->memory[SRC] },
                                   { DNNL_ARG_WEIGHTS, gemm->memory[WEIGHTS] },
                                   { DNNL_ARG_DST, gemm->memory[DST] } };
  return dnnl_primitive_execute (gemm->primitive, gemm->stream, G_N_ELEMENTS (args), args) == dnnl_success
         && dnnl_stream_wait (gemm->stream) == dnnl_success;
}

const BenchLibrary bench_onednn[] = { { "onednn", "f32", open_f32, gemm_run, gemm_close },
                                      { "onednn", "bf16", open_bf16, gemm_run, gemm_close },
                                      { .name = NULL } };
