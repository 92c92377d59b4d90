/* The little of CUDA and cuBLAS that the cublas compute uses, so that its host side can be tested without a GPU: gpu.c
 * is the real thing, tests/engine/emulated/ stands in for it. Everything is queued on one stream, in order; a call
 * gives 0 or the number of an error. */
#ifndef VJ_CUBLAS_GPU_H
#define VJ_CUBLAS_GPU_H

#include <vj/error.h>

/* Pinned host memory that uploads pass through: slots in turn. */
#define VJ_GPU_SLOTS 16
#define VJ_GPU_SLOT_BYTES ((gsize) 1 << 20)

typedef struct VjGpu VjGpu;

/* c[m, n] = op(a)[m, k] op(b)[k, n] + beta c, COLUMN-major as cuBLAS has it: a, b both float, or both bfloat16 with
 * every sum in float. Not transposed a is [m, k] with lda >= m, transposed [k, m] with lda >= k. */
typedef struct {
  gboolean ta, tb, half;
  gint64 m, n, k;
  const void *a;
  gint64 lda;
  const void *b;
  gint64 ldb;
  float beta;
  float *c;
  gint64 ldc;
} VjGpuGemm;

/* VJ_EXIT_PLUGIN with the reason and the remedy when this machine cannot run it. */
gboolean vj_gpu_usable (GError **error);
VjGpu *vj_gpu_open (guint threads, GError **error);
void vj_gpu_close (VjGpu *gpu);
void *vj_gpu_stream (VjGpu *gpu);

/* Static text for an error; whether it is want of memory. */
const char *vj_gpu_error_text (int code);
gboolean vj_gpu_error_is_memory (int code);

/* 256-byte aligned, contents undefined. Both take their turn on the stream: nothing waits. */
int vj_gpu_alloc (VjGpu *gpu, gsize bytes, void **ret_memory);
int vj_gpu_free (VjGpu *gpu, void *memory);
int vj_gpu_zero (VjGpu *gpu, void *memory, gsize bytes);

/* The memory of a slot once its last copy has been made; the copy of its first `bytes` to the device. */
int vj_gpu_slot_wait (VjGpu *gpu, guint slot, void **ret_memory);
int vj_gpu_slot_send (VjGpu *gpu, guint slot, void *to, gsize bytes);

/* Waits. */
int vj_gpu_download (VjGpu *gpu, void *to_host, const void *from, gsize bytes);
int vj_gpu_wait (VjGpu *gpu);

int vj_gpu_gemm (VjGpu *gpu, const VjGpuGemm *gemm);

#endif
