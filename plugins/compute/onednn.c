/* onednn: matrix products of the native engine by oneDNN, f32 and, where the library has them on this processor, bf16;
 * everything else is the host's. bf16 weights are packed once, in the library's own layout, so they take their size once more
 * beside the file. */
#include <vj/compute.h>
#include <vj/plugin.h>

#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>

/* Rows of one bf16 product. One row takes as long as all of these where reading the weights is what takes the time. */
#define ROWS 16

typedef struct {
  dnnl_engine_t engine;
  dnnl_primitive_t matmul;
  dnnl_memory_t weights;
  dnnl_memory_desc_t x, y, scratch;
} Packed;

/* Of GCC's OpenMP runtime, which the library runs on; clang brings no header for it. */
void omp_set_num_threads (int n);

/* The host has threads of its own and calls from each of them. */
static void
use_one_thread (void)
{
  omp_set_num_threads (1);
}

static void
sgemm (gboolean ta, gboolean tb, gsize m, gsize n, gsize k, const float *a, gsize lda, const float *b, gsize ldb, float beta, float *c, gsize ldc)
{
  use_one_thread ();
  dnnl_sgemm (ta ? 'T' : 'N', tb ? 'T' : 'N', (dnnl_dim_t) m, (dnnl_dim_t) n, (dnnl_dim_t) k, 1, a, (dnnl_dim_t) lda, b, (dnnl_dim_t) ldb, beta, c,
              (dnnl_dim_t) ldc);
}

static void
unpack (void *data)
{
  Packed *packed = data;
  if (packed == NULL)
    return;
  if (packed->weights != NULL)
    dnnl_memory_destroy (packed->weights);
  if (packed->matmul != NULL)
    dnnl_primitive_destroy (packed->matmul);
  if (packed->engine != NULL)
    dnnl_engine_destroy (packed->engine);
  g_free (packed);
}

/* Scratch memory is the caller's, so that several threads can run one primitive. */
static dnnl_status_t
plan (Packed *packed, gsize n, gsize k, dnnl_memory_desc_t *ret_weights)
{
  const dnnl_dims_t x = {ROWS, (dnnl_dim_t) k}, w = {(dnnl_dim_t) k, (dnnl_dim_t) n}, y = {ROWS, (dnnl_dim_t) n};
  dnnl_matmul_desc_t matmul;
  dnnl_primitive_attr_t attributes = NULL;
  dnnl_primitive_desc_t description = NULL;
  dnnl_status_t status = dnnl_engine_create (&packed->engine, dnnl_cpu, 0); /* success is 0, and the next is done */
  status = status ?: dnnl_primitive_attr_create (&attributes);
  status = status ?: dnnl_primitive_attr_set_scratchpad_mode (attributes, dnnl_scratchpad_mode_user);
  status = status ?: dnnl_memory_desc_init_by_tag (&packed->x, 2, x, dnnl_bf16, dnnl_ab);
  status = status ?: dnnl_memory_desc_init_by_tag (ret_weights, 2, w, dnnl_bf16, dnnl_format_tag_any);
  status = status ?: dnnl_memory_desc_init_by_tag (&packed->y, 2, y, dnnl_f32, dnnl_ab);
  status = status ?: dnnl_matmul_desc_init (&matmul, &packed->x, ret_weights, NULL, &packed->y);
  status = status ?: dnnl_primitive_desc_create (&description, &matmul, attributes, packed->engine, NULL);
  status = status ?: dnnl_primitive_create (&packed->matmul, description);
  if (status == dnnl_success) {
    *ret_weights = *dnnl_primitive_desc_query_md (description, dnnl_query_weights_md, 0);
    packed->scratch = *dnnl_primitive_desc_query_md (description, dnnl_query_scratchpad_md, 0);
  }
  if (description != NULL)
    dnnl_primitive_desc_destroy (description);
  if (attributes != NULL)
    dnnl_primitive_attr_destroy (attributes);
  return status;
}

static gboolean
execute (dnnl_engine_t engine, const_dnnl_primitive_t primitive, const dnnl_exec_arg_t *arguments, int n)
{
  dnnl_stream_t stream = NULL;
  gboolean ok = dnnl_stream_create (&stream, engine, dnnl_stream_default_flags) == dnnl_success &&
                dnnl_primitive_execute (primitive, stream, n, arguments) == dnnl_success && dnnl_stream_wait (stream) == dnnl_success;
  if (stream != NULL)
    dnnl_stream_destroy (stream);
  return ok;
}

/* [N, K] as it lies becomes [K, N] in the library's layout. */
static gboolean
fill (Packed *packed, gsize n, gsize k, const guint16 *w, const dnnl_memory_desc_t *layout)
{
  const dnnl_dims_t dims = {(dnnl_dim_t) k, (dnnl_dim_t) n};
  dnnl_memory_desc_t plain;
  dnnl_memory_t from = NULL;
  dnnl_primitive_desc_t description = NULL;
  dnnl_primitive_t reorder = NULL;
  gboolean ok = dnnl_memory_desc_init_by_tag (&plain, 2, dims, dnnl_bf16, dnnl_ba) == dnnl_success &&
                dnnl_memory_create (&from, &plain, packed->engine, (void *) w) == dnnl_success &&
                dnnl_memory_create (&packed->weights, layout, packed->engine, DNNL_MEMORY_ALLOCATE) == dnnl_success &&
                dnnl_reorder_primitive_desc_create (&description, &plain, packed->engine, layout, packed->engine, NULL) == dnnl_success &&
                dnnl_primitive_create (&reorder, description) == dnnl_success;
  if (ok) {
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, packed->weights}};
    ok = execute (packed->engine, reorder, arguments, G_N_ELEMENTS (arguments));
  }
  if (reorder != NULL)
    dnnl_primitive_destroy (reorder);
  if (description != NULL)
    dnnl_primitive_desc_destroy (description);
  if (from != NULL)
    dnnl_memory_destroy (from);
  return ok;
}

/* Before version 3 the library multiplies bf16 numbers on AVX-512 alone. Whatever else is wrong shows when weights are packed. */
static gboolean
usable (void)
{
  Packed *packed = g_new0 (Packed, 1);
  dnnl_memory_desc_t layout;
  use_one_thread ();
  dnnl_status_t status = plan (packed, ROWS, ROWS, &layout);
  unpack (packed);
  return status != dnnl_unimplemented;
}

static void *
pack (gsize n, gsize k, const guint16 *w, GError **error)
{
  Packed *packed = g_new0 (Packed, 1);
  dnnl_memory_desc_t layout;
  use_one_thread ();
  if (plan (packed, n, k, &layout) == dnnl_success && fill (packed, n, k, w, &layout))
    return packed;
  unpack (packed);
  vj_fail (error, VJ_EXIT_LIMIT, "onednn: 'weights': %" G_GSIZE_FORMAT " x %" G_GSIZE_FORMAT " cannot be packed: out of memory; use the compute 'cpu'", n, k);
  return NULL;
}

static gboolean
product (void *data, const guint16 *x, float *y)
{
  const Packed *packed = data;
  enum { X, Y, SCRATCH, ALL };
  const dnnl_memory_desc_t *const forms[ALL] = {&packed->x, &packed->y, &packed->scratch};
  gsize size = dnnl_memory_desc_get_size (&packed->scratch);
  void *scratch = size == 0 ? NULL : aligned_alloc (64, (size + 63) / 64 * 64), *const bytes[ALL] = {(void *) x, y, scratch};
  dnnl_memory_t memory[ALL] = {NULL};
  gboolean ok = size == 0 || scratch != NULL;
  use_one_thread ();
  for (int i = 0; i < ALL; i++)
    ok = ok && dnnl_memory_create (&memory[i], forms[i], packed->engine, bytes[i]) == dnnl_success;
  if (ok) {
    const dnnl_exec_arg_t arguments[] = {
      {DNNL_ARG_SRC, memory[X]}, {DNNL_ARG_WEIGHTS, packed->weights}, {DNNL_ARG_DST, memory[Y]}, {DNNL_ARG_SCRATCHPAD, memory[SCRATCH]}};
    ok = execute (packed->engine, packed->matmul, arguments, G_N_ELEMENTS (arguments));
  }
  for (int i = 0; i < ALL; i++)
    if (memory[i] != NULL)
      dnnl_memory_destroy (memory[i]);
  free (scratch);
  return ok;
}

static const VjHalves halves = {.rows = ROWS, .usable = usable, .pack = pack, .unpack = unpack, .product = product};

VJ_DEFINE_COMPUTE ((.name = "onednn", .sgemm = sgemm, .halves = &halves),
                   .name = "onednn", .version = "1.0", .license = "Apache-2.0",
                   .summary = "Matrix products by oneDNN, f32 and, where it has them on this processor, bf16; threads and all other operations are the host's.")
