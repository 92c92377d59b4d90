/* What the files of the CPU computes share; nobody else includes it. Device memory is host memory here. */
#ifndef VJ_COMPUTE_CPU_H
#define VJ_COMPUTE_CPU_H

#include "compute/compute.h"
#include "compute/pool.h"

#define F(p) ((float *) (void *) (p))
#define CF(p) ((const float *) (const void *) (p))
#define CI(p) ((const gint32 *) (const void *) (p))

typedef struct {
  VjPool *pool;
  VjSgemm sgemm;     /* of a plugin; NULL: the own product */
  const struct VjBf16Kernel *bf16;
  const VjHalves *halves; /* of a plugin; NULL: bf16 weights are multiplied where they lie, by `bf16` */
  gint failed;            /* atomic: a plugin's product was; told by finish */
  float **scratch;   /* per worker; grows */
  gsize *scratch_size;
  float *shared;
  gsize shared_size;
  float *inputs;     /* of a product, where they are made before it */
  gsize inputs_size;
} VjCpu;

/* Weights of a plugin's form are packed in slices of this many rows, so that there is work for all threads. */
#define VJ_SLICE 512
#define VJ_SLICES(n) (((n) + VJ_SLICE - 1) / VJ_SLICE)

/* How weights lie on the CPU: bf16 in place, unless a plugin packs them; f32 in panels, [panels][k][VJ_PANEL], zeros beyond n. */
struct VjMatrix {
  VjNumbers numbers;
  gsize n, k, panels;
  const guint16 *halves; /* bf16 only; borrowed */
  float *packed;         /* f32 only */
  void **slices;         /* of a plugin's halves: [VJ_SLICES (n)] */
  const VjHalves *owner; /* of the slices */
};

/* The kernel of bf16 products by its name, NULL for the best; VJ_EXIT_PLUGIN when this machine does not run it. */
gboolean vj_cpu_set_kernel (void *device, const char *name, GError **error);
const char *vj_cpu_peek_kernel (void *device); /* NULL: a plugin's products */
gboolean vj_cpu_has_bf16 (void *device);       /* the kernel multiplies bf16 faster than f32 */

/* Products of a device that vj_compute_cpu opened go to the plugin's from now on; those of bf16 numbers where its
 * library has them on this processor. */
void vj_cpu_set_products (void *device, VjSgemm sgemm, const VjHalves *halves);

/* Whether this processor has AVX-512, where the own product beats OpenBLAS's. */
gboolean vj_cpu_is_wide (void);
gboolean vj_cpu_has_avx2 (void); /* and fused multiply-add */

/* At least n floats for this worker, 64-byte aligned; contents undefined. Aborts on no memory, as GLib does. */
float *vj_cpu_scratch (VjCpu *cpu, guint worker, gsize n);

/* Grows every worker's before the items run, so that the same call again allocates nothing, whoever does which item. */
void vj_cpu_set_aside (VjCpu *cpu, gsize n);

/* Memory shared by the items of one operation: at least n floats, until the next call. */
float *vj_cpu_shared (VjCpu *cpu, gsize n);
float *vj_cpu_inputs (VjCpu *cpu, gsize n); /* the same, for another purpose */

/* Splits `rows` into chunks of `chunk` and runs work (data, first row, rows, worker) on each. */
typedef void (*VjCpuRows) (void *data, gsize first, gsize n, guint worker);
void vj_cpu_rows (VjCpu *cpu, gsize rows, gsize chunk, VjCpuRows work, void *data);

/* -- products: cpu-gemm.c -- */

#define VJ_PANEL 32 /* columns of a packed panel */

/* to[cols, rows] = from[rows, cols]^T. */
void vj_cpu_transpose (const float *from, gsize ld_from, gsize rows, gsize cols, float *to, gsize ld_to);

/* c[m, n] = (add: c, else bias or 0) + a[m, k] panel[k, PANEL], a by (row step, k step), n <= PANEL; rows of the panel
 * stand panel_step apart and are PANEL wide whatever n is. */
void vj_cpu_kernel (gsize m, gsize n, gsize k, const float *a, gsize row_step, gsize k_step, const float *panel, gsize panel_step,
                    const float *bias, gboolean add, float *c, gsize ldc);
void vj_cpu_gemm (void *device, const VjGemm *gemm);

/* Columns [first, first + n) of op(b), rows [k0, k0 + k), as a panel; transposed: b is stored [N, K]. */
void vj_cpu_pack (const float *b, gsize ldb, gboolean transposed, gsize first, gsize n, gsize k0, gsize k, float *panel);

/* -- weights: cpu-matrix.c -- */
VjMatrix *vj_cpu_matrix_new (void *device, VjNumbers numbers, gsize n, gsize k, const void *host, GError **error);
void vj_cpu_matrix_free (void *device, VjMatrix *matrix);
void vj_cpu_linear (void *device, gsize rows, const VjF32 *x, const VjMatrix *const *w, gsize n_w, const VjF32 *bias, VjF32 *y, gsize ldy);

void vj_cpu_product (void *device, const VjProduct *product);

/* What a product multiplies: cpu-product.c. Numbers [first, first + count), first a multiple of 16, of rows [row, row + n), where
 * they lie or made in `scratch` [n, count]; *ret_ld apart. */
const float *vj_cpu_input (const VjInput *input, gsize k, gsize row, gsize n, gsize first, gsize count, float *scratch, gsize *ret_ld);

/* -- attention: cpu-attention.c, cpu-attention-backward.c -- */
void vj_cpu_attention (void *device, const VjAttention *attention);
void vj_cpu_attention_backward (void *device, const VjAttention *attention);

/* -- caches: cpu-cache.c -- */
extern const VjCaches vj_cpu_caches;

/* A block of a head's keys and values in a cache: panels of the kernel's (bf16.h). */
typedef struct {
  guint16 *keys;   /* columns are tokens, `depth` deep         */
  guint16 *values; /* columns are a head's numbers, `tokens` deep */
  gsize depth, tokens;
} VjCpuCacheBlock;

/* That of head g which begins at token `first`, a multiple of KEY_BLOCK. */
VjCpuCacheBlock vj_cpu_cache_block (VjF32 *cache, gsize tokens, gsize head_dim, gsize g, gsize first);

/* As VjCaches.store, of head g alone, on the calling thread; k and v begin at that head. */
void vj_cpu_cache_store (const VjCpu *cpu, VjF32 *cache, gsize tokens, gsize head_dim, gsize g, gsize at, gsize count, const float *k, const float *v,
                         gsize ld);

/* -- norms: cpu-norm.c -- */
typedef struct {
  gsize cols;
  float eps;
  const float *w, *b;
} VjCpuNorm;

/* Columns [first, first + count) of the norm of n rows that begin at x; stats as the operation's, or NULL. */
void vj_cpu_layer_norm_part (const VjCpuNorm *norm, const float *x, gsize n, gsize first, gsize count, float *y, gsize ldy, float *stats);
void vj_cpu_rms_norm_part (const VjCpuNorm *norm, const float *x, gsize n, gsize first, gsize count, float *y, gsize ldy, float *stats);

void vj_cpu_layer_norm (void *device, gsize rows, gsize cols, float eps, const VjF32 *x, const VjF32 *w, const VjF32 *b, VjF32 *y, VjF32 *stats);
void vj_cpu_layer_norm_backward (void *device, gsize rows, gsize cols, const VjF32 *x, const VjF32 *w, const VjF32 *stats,
                                 const VjF32 *dy, VjF32 *dx, VjF32 *dw, VjF32 *db);
void vj_cpu_rms_norm (void *device, gsize rows, gsize cols, float eps, const VjF32 *x, const VjF32 *w, VjF32 *y, VjF32 *stats);
void vj_cpu_rms_norm_backward (void *device, gsize rows, gsize cols, const VjF32 *x, const VjF32 *w, const VjF32 *stats,
                               const VjF32 *dy, VjF32 *dx, VjF32 *dw);

/* -- elementwise and rows: cpu-rows.c -- */
float vj_cpu_gate_value (VjGate mode, const VjF32 *gate);

/* Columns [first, first + count) of n rows that begin at x [n, cols], swiglu: [n, 2 cols]. */
void vj_cpu_swiglu_part (gsize cols, const float *x, gsize n, gsize first, gsize count, float *y, gsize ldy);
void vj_cpu_act_part (VjAct act, gsize cols, const float *x, gsize n, gsize first, gsize count, float *y, gsize ldy);

/* What a product's sums y are joined with: see VjProduct. */
typedef struct {
  const float *bias, *add;
  const gint32 *only;
  float scale, *y;
  gsize ldy;
} VjCpuJoin;

void vj_cpu_join_part (const VjCpuJoin *join, gsize row, gsize n, gsize first, gsize count);

void vj_cpu_rope (void *device, gsize rows, gsize heads, gsize head_dim, VjF32 *x, gsize ldx, const VjI32 *positions,
                  const VjF32 *table, gboolean inverse);
void vj_cpu_activation (void *device, VjAct act, gsize n, const VjF32 *x, VjF32 *y);
void vj_cpu_activation_backward (void *device, VjAct act, gsize n, const VjF32 *x, const VjF32 *dy, VjF32 *dx);
void vj_cpu_swiglu (void *device, gsize rows, gsize cols, const VjF32 *x, VjF32 *y);
void vj_cpu_swiglu_backward (void *device, gsize rows, gsize cols, const VjF32 *x, const VjF32 *dy, VjF32 *dx);
void vj_cpu_add_rows (void *device, gsize rows, gsize cols, const VjF32 *table, const VjI32 *index, VjGate mode,
                      const VjF32 *gate, VjF32 *y);
void vj_cpu_add_matrix_rows (void *device, gsize rows, const VjMatrix *w, const VjI32 *index, VjGate mode, const VjF32 *gate, VjF32 *y);
void vj_cpu_add_rows_backward (void *device, gsize rows, gsize cols, const VjF32 *table, const VjI32 *index, VjGate mode,
                               const VjF32 *gate, const VjF32 *dy, VjF32 *dtable, VjF32 *dgate);
void vj_cpu_copy_2d (void *device, gsize rows, gsize cols, const VjF32 *from, gsize ld_from, gsize step_from, VjF32 *to,
                     gsize ld_to, gsize step_to, gboolean add);
void vj_cpu_dropout (void *device, gsize rows, gsize cols, float rate, float scale, const VjI32 *seeds, guint32 salt, const VjF32 *x,
                     VjF32 *y, gboolean add);
void vj_cpu_sum_rows (void *device, gsize rows, gsize cols, const VjF32 *x, VjF32 *sum);

/* -- loss and optimizer: cpu-train.c -- */
void vj_cpu_cross_entropy (void *device, gsize rows, gsize cols, VjF32 *logits, const VjI32 *target, const VjF32 *weight, VjF32 *loss);
double vj_cpu_sum_squares (void *device, gsize n, const VjF32 *x);
void vj_cpu_adamw (void *device, gsize n, const VjAdamw *adamw, VjF32 *param, const VjF32 *grad, VjF32 *m, VjF32 *v);

#endif
