/* The functions of gpu.h and the start of kernels on the processor: see emulated.h. */
#include "tests/engine/emulated/emulated.h"

#include <stdlib.h>
#include <string.h>

#define NO_MEMORY 2
#define BAD_PRODUCT 7
#define LAUNCH_FAILED 719
#define SHARED_MAX (99 << 10)           /* the least that a GPU of compute capability 8 or later gives a block */
#define MEMORY_MAX ((gsize) 1 << 34)

typedef struct {
  guint slot;
  void *to;
  gsize bytes;
} Copy;

struct VjGpu {
  VjOrder order;
  VjFibers *fibers;
  char *slots[VJ_GPU_SLOTS];
  GArray *late; /* of Copy: asked for, not yet made */
  int lost;     /* the error of a failed kernel, which a GPU only tells later */
};

gboolean
vj_gpu_usable (G_GNUC_UNUSED GError **error)
{
  return TRUE;
}

/* 1, 2 or 3 threads: the order things run in. */
VjGpu *
vj_gpu_open (guint threads, G_GNUC_UNUSED GError **error)
{
  VjGpu *gpu = g_new0 (VjGpu, 1);
  gpu->order = threads == 3 ? VJ_ORDER_DOWN : threads == 2 ? VJ_ORDER_MIXED : VJ_ORDER_UP;
  gpu->fibers = vj_fibers_new ();
  gpu->late = g_array_new (FALSE, FALSE, sizeof (Copy));
  for (guint i = 0; i < VJ_GPU_SLOTS; i++)
    gpu->slots[i] = g_malloc (VJ_GPU_SLOT_BYTES);
  return gpu;
}

void
vj_gpu_close (VjGpu *gpu)
{
  for (guint i = 0; i < VJ_GPU_SLOTS; i++)
    g_free (gpu->slots[i]);
  g_array_unref (gpu->late);
  vj_fibers_free (gpu->fibers);
  g_free (gpu);
}

void *
vj_gpu_stream (VjGpu *gpu)
{
  return gpu;
}

const char *
vj_gpu_error_text (int code)
{
  return code == NO_MEMORY ? "out of memory" : code == BAD_PRODUCT ? "bad product" : "launch failed";
}

gboolean
vj_gpu_error_is_memory (int code)
{
  return code == NO_MEMORY;
}

static void
make_copies (VjGpu *gpu)
{
  for (guint i = 0; i < gpu->late->len; i++) {
    const Copy *copy = &g_array_index (gpu->late, Copy, i);
    memcpy (copy->to, gpu->slots[copy->slot], copy->bytes);
  }
  g_array_set_size (gpu->late, 0);
}

int
vj_gpu_alloc (G_GNUC_UNUSED VjGpu *gpu, gsize bytes, void **ret_memory)
{
  if (bytes > MEMORY_MAX || posix_memalign (ret_memory, 256, bytes) != 0)
    return NO_MEMORY;
  memset (*ret_memory, 0xff, bytes);
  return 0;
}

int
vj_gpu_free (VjGpu *gpu, void *memory)
{
  make_copies (gpu);
  free (memory);
  return 0;
}

int
vj_gpu_zero (VjGpu *gpu, void *memory, gsize bytes)
{
  make_copies (gpu);
  memset (memory, 0, bytes);
  return 0;
}

int
vj_gpu_slot_wait (VjGpu *gpu, guint slot, void **ret_memory)
{
  for (guint i = 0; i < gpu->late->len; i++)
    if (g_array_index (gpu->late, Copy, i).slot == slot) {
      make_copies (gpu);
      break;
    }
  *ret_memory = gpu->slots[slot];
  return 0;
}

int
vj_gpu_slot_send (VjGpu *gpu, guint slot, void *to, gsize bytes)
{
  Copy copy = { slot, to, bytes };
  g_array_append_val (gpu->late, copy);
  return 0;
}

int
vj_gpu_download (VjGpu *gpu, void *to_host, const void *from, gsize bytes)
{
  make_copies (gpu);
  memcpy (to_host, from, bytes);
  return gpu->lost;
}

int
vj_gpu_wait (VjGpu *gpu)
{
  make_copies (gpu);
  return gpu->lost;
}

/* -- products ---------------------------------------------------------------- */

static float
element (const VjGpuGemm *g, const void *values, gint64 at)
{
  return g->half ? from_bf16 (((const guint16 *) values)[at]) : ((const float *) values)[at];
}

int
vj_gpu_gemm (VjGpu *gpu, const VjGpuGemm *g)
{
  if (g->lda < MAX (1, g->ta ? g->k : g->m) || g->ldb < MAX (1, g->tb ? g->n : g->k) || g->ldc < MAX (1, g->m))
    return BAD_PRODUCT;
  make_copies (gpu);
  for (gint64 j = 0; j < g->n; j++)
    for (gint64 i = 0; i < g->m; i++) {
      double sum = 0;
      float *c = &g->c[i + j * g->ldc];
      for (gint64 l = 0; l < g->k; l++)
        sum += (double) element (g, g->a, g->ta ? l + i * g->lda : i + l * g->lda) * element (g, g->b, g->tb ? j + l * g->ldb : l + j * g->ldb);
      *c = (float) (g->beta == 0 ? sum : sum + (double) g->beta * *c);
    }
  return 0;
}

/* -- kernels ----------------------------------------------------------------- */

/* VJ_EMULATED_FAULT names a kernel that fails as a GPU's does: noticed at the next wait, and for good. */
int
vj_emulated_launch (void *stream, VjGrid grid, size_t shared, int syncs, const char *name, void (*kernel) (const void *), const void *args)
{
  VjGpu *gpu = stream;
  guint64 blocks = (guint64) grid.x * grid.y * grid.z;
  if (grid.x > G_MAXINT32 || grid.y > 65535 || grid.z > 65535 || blocks == 0 || shared > SHARED_MAX)
    return LAUNCH_FAILED;
  make_copies (gpu);
  if (g_strcmp0 (g_getenv ("VJ_EMULATED_FAULT"), name) == 0)
    gpu->lost = LAUNCH_FAILED;
  if (gpu->lost != 0)
    return 0;
  void *memory = g_malloc (shared);
  for (guint64 i = 0; i < blocks; i++) {
    guint64 at = gpu->order == VJ_ORDER_UP ? i : blocks - 1 - i;
    VjEmulated block = { 0, (unsigned) (at % grid.x), (unsigned) (at / grid.x % grid.y), (unsigned) (at / grid.x / grid.y), grid.x, memory };
    if (shared > 0)
      memset (memory, 0xff, shared);
    vj_fibers_run (gpu->fibers, gpu->order, syncs, name, &block, kernel, args);
  }
  g_free (memory);
  return 0;
}
