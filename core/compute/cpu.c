/* The CPU compute: memory, workers and the table. Plugins for CPUs take this table and bring a product. */
#define _GNU_SOURCE /* madvise */
#include "compute/bf16.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LARGE ((gsize) 4 << 20) /* bytes from which on memory is held in large pages */

static void
cpu_close (void *device)
{
  VjCpu *cpu = device;
  for (guint i = 0; cpu->pool != NULL && i < vj_pool_threads (cpu->pool); i++)
    free (cpu->scratch[i]);
  g_free (cpu->scratch);
  g_free (cpu->scratch_size);
  free (cpu->shared);
  free (cpu->inputs);
  vj_pool_free (cpu->pool);
  g_free (cpu);
}

static void *
cpu_open (guint threads, GError **error)
{
  VjPool *pool = vj_pool_new (threads, error);
  if (pool == NULL)
    return NULL;
  VjCpu *cpu = g_new0 (VjCpu, 1);
  cpu->pool = pool;
  vj_cpu_set_kernel (cpu, NULL, NULL);
  cpu->scratch = g_new0 (float *, vj_pool_threads (pool));
  cpu->scratch_size = g_new0 (gsize, vj_pool_threads (pool));
  return cpu;
}

gboolean
vj_cpu_set_kernel (void *device, const char *name, GError **error)
{
  VjCpu *cpu = device;
  for (const VjBf16Kernel *const *kernel = vj_bf16_kernels (); *kernel != NULL; kernel++)
    if ((name == NULL || strcmp ((*kernel)->name, name) == 0) && (*kernel)->usable ()) {
      cpu->bf16 = *kernel;
      return TRUE;
    }
  return vj_fail (error, VJ_EXIT_PLUGIN, "compute: 'cpu:%s': this processor has no such kernel; use 'cpu', which takes the best there is", name);
}

gboolean
vj_cpu_has_bf16 (void *device)
{
  return ((VjCpu *) device)->bf16 != &vj_bf16_generic;
}

const char *
vj_cpu_peek_kernel (void *device)
{
  const VjCpu *cpu = device;
  return cpu->halves != NULL ? NULL : cpu->bf16->name;
}

void
vj_cpu_set_products (void *device, VjSgemm sgemm, const VjHalves *halves)
{
  VjCpu *cpu = device;
  cpu->sgemm = sgemm;
  cpu->halves = halves == NULL || (halves->usable != NULL && !halves->usable ()) ? NULL : halves;
}

/* Large memory is best held in large pages, which the processor finds sooner; where the system has none to give, nothing
 * changes. */
static void
prefer_large_pages (G_GNUC_UNUSED void *memory, G_GNUC_UNUSED gsize bytes)
{
#ifdef MADV_HUGEPAGE
  guintptr page = (guintptr) sysconf (_SC_PAGESIZE), from = ((guintptr) memory + page - 1) & ~(page - 1), to = ((guintptr) memory + bytes) & ~(page - 1);
  if (bytes >= LARGE)
    (void) madvise ((void *) from, to - from, MADV_HUGEPAGE);
#endif
}

static float *
grow (float **memory, gsize *size, gsize n)
{
  if (n > *size) {
    void *bigger = NULL;
    gsize room = n + n / 4;
    free (*memory);
    if (posix_memalign (&bigger, 64, room * sizeof (float)) != 0)
      g_error ("compute: %" G_GSIZE_FORMAT " bytes of scratch memory cannot be allocated", n * sizeof (float));
    prefer_large_pages (bigger, room * sizeof (float));
    *memory = bigger;
    *size = room;
  }
  return *memory;
}

float *
vj_cpu_scratch (VjCpu *cpu, guint worker, gsize n)
{
  return grow (&cpu->scratch[worker], &cpu->scratch_size[worker], n);
}

void
vj_cpu_set_aside (VjCpu *cpu, gsize n)
{
  for (guint i = 0; i < vj_pool_threads (cpu->pool); i++)
    vj_cpu_scratch (cpu, i, n);
}

float *
vj_cpu_shared (VjCpu *cpu, gsize n)
{
  return grow (&cpu->shared, &cpu->shared_size, n);
}

float *
vj_cpu_inputs (VjCpu *cpu, gsize n)
{
  return grow (&cpu->inputs, &cpu->inputs_size, n);
}

typedef struct {
  gsize rows, chunk;
  VjCpuRows work;
  void *data;
} Rows;

static void
run_chunk (void *data, gsize item, guint worker)
{
  const Rows *r = data;
  gsize first = item * r->chunk;
  r->work (r->data, first, MIN (r->chunk, r->rows - first), worker);
}

void
vj_cpu_rows (VjCpu *cpu, gsize rows, gsize chunk, VjCpuRows work, void *data)
{
  Rows r = { rows, chunk, work, data };
  vj_pool_run (cpu->pool, (rows + chunk - 1) / chunk, run_chunk, &r);
}

/* -- memory ---------------------------------------------------------------- */

/* Untouched memory of the system is zero already, and takes no place until something is written to it, or to its neighbours in
 * a large page. Before what is handed out stands the address that free wants. */
static void *
cpu_alloc (G_GNUC_UNUSED void *device, gsize bytes, GError **error)
{
  void *memory = bytes > G_MAXSSIZE ? NULL : calloc (1, bytes + 128);
  if (memory == NULL) {
    vj_fail (error, VJ_EXIT_LIMIT, "compute: 'memory': %" G_GSIZE_FORMAT " bytes cannot be allocated: out of memory; lower the batch or use a smaller model", bytes);
    return NULL;
  }
  prefer_large_pages (memory, bytes + 128);
  void **aligned = (void **) (((guintptr) memory + 127) & ~(guintptr) 63);
  aligned[-1] = memory;
  return aligned;
}

static void
cpu_release (G_GNUC_UNUSED void *device, void *memory)
{
  if (memory != NULL)
    free (((void **) memory)[-1]);
}

static void
cpu_copy (G_GNUC_UNUSED void *device, void *to, const void *from, gsize bytes)
{
  if (bytes > 0)
    memcpy (to, from, bytes);
}

static void
zero_part (void *data, gsize first, gsize n, G_GNUC_UNUSED guint worker)
{
  memset ((char *) data + first, 0, n);
}

static void
cpu_zero (void *device, void *memory, gsize bytes)
{
  vj_cpu_rows (device, bytes, 1 << 18, zero_part, memory);
}

static gboolean
cpu_finish (void *device, GError **error)
{
  VjCpu *cpu = device;
  if (!g_atomic_int_compare_and_exchange (&cpu->failed, TRUE, FALSE))
    return TRUE;
  return vj_fail (error, VJ_EXIT_BACKEND, "compute: 'product': the plugin's library could not compute one: out of memory, perhaps; use the compute 'cpu'");
}

const VjComputeOps vj_compute_cpu = {
  .abi = VJ_COMPUTE_ABI,
  .size = sizeof (VjComputeOps),
  .name = "cpu",
  .caches = &vj_cpu_caches,
  .open = cpu_open,
  .close = cpu_close,
  .alloc = cpu_alloc,
  .release = cpu_release,
  .upload = cpu_copy,
  .download = cpu_copy,
  .zero = cpu_zero,
  .finish = cpu_finish,
  .gemm = vj_cpu_gemm,
  .matrix_new = vj_cpu_matrix_new,
  .matrix_free = vj_cpu_matrix_free,
  .linear = vj_cpu_linear,
  .product = vj_cpu_product,
  .layer_norm = vj_cpu_layer_norm,
  .layer_norm_backward = vj_cpu_layer_norm_backward,
  .rms_norm = vj_cpu_rms_norm,
  .rms_norm_backward = vj_cpu_rms_norm_backward,
  .rope = vj_cpu_rope,
  .activation = vj_cpu_activation,
  .activation_backward = vj_cpu_activation_backward,
  .swiglu = vj_cpu_swiglu,
  .swiglu_backward = vj_cpu_swiglu_backward,
  .attention = vj_cpu_attention,
  .attention_backward = vj_cpu_attention_backward,
  .add_rows = vj_cpu_add_rows,
  .add_matrix_rows = vj_cpu_add_matrix_rows,
  .add_rows_backward = vj_cpu_add_rows_backward,
  .copy_2d = vj_cpu_copy_2d,
  .dropout = vj_cpu_dropout,
  .sum_rows = vj_cpu_sum_rows,
  .cross_entropy = vj_cpu_cross_entropy,
  .sum_squares = vj_cpu_sum_squares,
  .adamw = vj_cpu_adamw,
};
