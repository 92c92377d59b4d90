/* The cublas compute's operations: what vj/compute.h asks, as kernels (kernels.h) and products (gpu.h) on one stream.
 * They are declared here, and the table is in plugins/compute/cublas.c. */
#ifndef VJ_CUBLAS_OPS_H
#define VJ_CUBLAS_OPS_H

#include <vj/compute.h>
#include "plugins/compute/cublas/gpu.h"
#include "plugins/compute/cublas/kernels.h"

/* Device memory that an operation needs for itself; the next operation may use it again, since the stream is in order. */
typedef enum { VJ_SCRATCH_A, VJ_SCRATCH_B, VJ_SCRATCH_PARTS, VJ_N_SCRATCH } VjScratch;

typedef struct {
  VjGpu *gpu;
  guint next_slot;
  struct {
    void *memory;
    gsize bytes;
  } scratch[VJ_N_SCRATCH];
  int error;          /* the first since the last finish; 0: none */
  const char *place;  /* the operation that met it                */
  const char *last;   /* the operation asked for last             */
} VjCublas;

struct VjMatrix {
  VjNumbers numbers;
  gsize n, k;
  void *values; /* [N, K] float or bfloat16, on the device */
};

#define F(p) ((float *) (void *) (p))
#define CF(p) ((const float *) (const void *) (p))
#define CI(p) ((const gint32 *) (const void *) (p))

/* Errors of our own, besides CUDA's numbers. */
enum { VJ_CUBLAS_TOO_MANY = -1, VJ_CUBLAS_HEAD = -2 };

/* Remembers the first error. TRUE when there is none now. */
gboolean vj_cublas_check (VjCublas *device, const char *place, int error);

/* At least `bytes`, contents undefined; NULL when there are none, which is remembered. */
void *vj_cublas_scratch (VjCublas *device, VjScratch which, gsize bytes, const char *place);

/* A grid of x blocks; more than a GPU takes is remembered as an error, and the grid is empty. */
VjGrid vj_cublas_grid (VjCublas *device, const char *place, gsize x);

static inline gsize
vj_cublas_parts (gsize n, gsize part)
{
  return (n + part - 1) / part;
}

/* Starts `kernel` on x blocks, none for none; arguments are a struct of its type. `place` is the slot of the table. */
#define VJ_START(device, place, kernel, blocks, shared, args)                                                              \
  G_STMT_START {                                                                                                           \
    VjGrid grid__ = vj_cublas_grid (device, place, blocks);                                                                \
    if (grid__.x > 0)                                                                                                      \
      vj_cublas_check (device, place, vj_launch_##kernel (vj_gpu_stream ((device)->gpu), grid__, shared, args));           \
  } G_STMT_END

/* -- memory: memory.c -- */
void *vj_cublas_open (guint threads, GError **error);
void vj_cublas_close (void *device);
void *vj_cublas_alloc (void *device, gsize bytes, GError **error);
void vj_cublas_release (void *device, void *memory);
void vj_cublas_upload (void *device, void *to, const void *from_host, gsize bytes);
void vj_cublas_download (void *device, void *to_host, const void *from, gsize bytes);
void vj_cublas_zero (void *device, void *memory, gsize bytes);
gboolean vj_cublas_finish (void *device, GError **error);

/* -- products: product.c -- */
void vj_cublas_gemm (void *device, const VjGemm *gemm);
VjMatrix *vj_cublas_matrix_new (void *device, VjNumbers numbers, gsize n, gsize k, const void *host, GError **error);
void vj_cublas_matrix_free (void *device, VjMatrix *matrix);
void vj_cublas_linear (void *device, gsize rows, const VjF32 *x, const VjMatrix *const *w, gsize n_w, const VjF32 *bias, VjF32 *y,
                       gsize ldy);

/* -- rows and elements: rows.c -- */
void vj_cublas_rope (void *device, gsize rows, gsize heads, gsize head_dim, VjF32 *x, gsize ldx, const VjI32 *positions,
                     const VjF32 *table, gboolean inverse);
void vj_cublas_activation (void *device, VjAct act, gsize n, const VjF32 *x, VjF32 *y);
void vj_cublas_activation_backward (void *device, VjAct act, gsize n, const VjF32 *x, const VjF32 *dy, VjF32 *dx);
void vj_cublas_swiglu (void *device, gsize rows, gsize cols, const VjF32 *x, VjF32 *y);
void vj_cublas_swiglu_backward (void *device, gsize rows, gsize cols, const VjF32 *x, const VjF32 *dy, VjF32 *dx);
void vj_cublas_add_rows (void *device, gsize rows, gsize cols, const VjF32 *table, const VjI32 *index, VjGate mode,
                         const VjF32 *gate, VjF32 *y);
void vj_cublas_add_matrix_rows (void *device, gsize rows, const VjMatrix *w, const VjI32 *index, VjGate mode, const VjF32 *gate,
                                VjF32 *y);
void vj_cublas_add_rows_backward (void *device, gsize rows, gsize cols, const VjF32 *table, const VjI32 *index, VjGate mode,
                                  const VjF32 *gate, const VjF32 *dy, VjF32 *dtable, VjF32 *dgate);
void vj_cublas_copy_2d (void *device, gsize rows, gsize cols, const VjF32 *from, gsize ld_from, gsize step_from, VjF32 *to,
                        gsize ld_to, gsize step_to, gboolean add);
void vj_cublas_dropout (void *device, gsize rows, gsize cols, float rate, float scale, const VjI32 *seeds, guint32 salt, const VjF32 *x,
                        VjF32 *y, gboolean add);

/* -- norms, sums, loss, optimizer: train.c -- */
void vj_cublas_layer_norm (void *device, gsize rows, gsize cols, float eps, const VjF32 *x, const VjF32 *w, const VjF32 *b, VjF32 *y,
                           VjF32 *stats);
void vj_cublas_layer_norm_backward (void *device, gsize rows, gsize cols, const VjF32 *x, const VjF32 *w, const VjF32 *stats,
                                    const VjF32 *dy, VjF32 *dx, VjF32 *dw, VjF32 *db);
void vj_cublas_rms_norm (void *device, gsize rows, gsize cols, float eps, const VjF32 *x, const VjF32 *w, VjF32 *y, VjF32 *stats);
void vj_cublas_rms_norm_backward (void *device, gsize rows, gsize cols, const VjF32 *x, const VjF32 *w, const VjF32 *stats,
                                  const VjF32 *dy, VjF32 *dx, VjF32 *dw);
void vj_cublas_sum_rows (void *device, gsize rows, gsize cols, const VjF32 *x, VjF32 *sum);
void vj_cublas_cross_entropy (void *device, gsize rows, gsize cols, VjF32 *logits, const VjI32 *target, const VjF32 *weight,
                              VjF32 *loss);
double vj_cublas_sum_squares (void *device, gsize n, const VjF32 *x);
void vj_cublas_adamw (void *device, gsize n, const VjAdamw *adamw, VjF32 *param, const VjF32 *grad, VjF32 *m, VjF32 *v);

/* -- attention: attention.c -- */
void vj_cublas_attention (void *device, const VjAttention *attention);
void vj_cublas_attention_backward (void *device, const VjAttention *attention);

#endif
