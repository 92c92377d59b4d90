/* Products of bf16 numbers on the CPU: what the kernels share. Nobody outside core/compute includes it.
 *
 * A product is c[i, j] = sum over l of a[i, l] b[j, l]: a lies in memory row by row as bf16 (a weight in a mapped file, or
 * many rows of x), b is packed into panels of 16 columns in the form its kernel wants, or lies as a does where that is the
 * form. Every output is one sum in the
 * kernel's own order over l, so it does not depend on the tiles around it, on m and n, or on how the work was cut. */
#ifndef VJ_COMPUTE_BF16_H
#define VJ_COMPUTE_BF16_H

#include "compute/cpu.h"

#define VJ_BF16_PANEL 16 /* columns of a panel */
#define VJ_BF16_UNIT 32  /* a packed panel holds l up to the next multiple of this, zeros beyond */

typedef struct VjBf16Kernel {
  const char *name;
  gboolean (*usable) (void); /* whether this processor and kernel run it */
  gsize chunk;               /* a panel is [depth / chunk][16 columns][chunk]; 0: a column's numbers all lie together */
  gsize block;               /* how much of l is best done in one call of multiply; the next one adds to c */

  /* Panels of n columns: b[j, l] = from[j step_j + l step_l] rounded to bf16; one of the steps is 1. A panel has room for
   * `depth` >= k numbers a column, a multiple of VJ_BF16_UNIT, and the next one follows. */
  void (*pack) (const float *from, gsize step_j, gsize step_l, gsize n, gsize k, gsize depth, guint16 *panels);

  /* Rows of bf16: the form of a. As vj_bf16_rows. */
  void (*rows) (const float *from, gsize step_row, gsize step_l, gsize rows, gsize k, guint16 *to, gsize ld);

  /* Panels of n columns of bf16 numbers that lie row by row, `ld` apart. NULL where chunk is 0: such rows are panels as they
   * are, and multiply touches no more of them than n columns of k numbers. */
  void (*pack_halves) (const guint16 *from, gsize ld, gsize n, gsize k, gsize depth, guint16 *panels);

  /* c[i, j] = start[i, j] + the sum over k numbers. a: m rows, `lda` apart. The panels of n columns lie `stride`, 16 times
   * their depth or the distance of rows that lie as they are, apart. start NULL: zeros; it may be c. */
  void (*multiply) (gsize m, gsize n, gsize k, const guint16 *a, gsize lda, const guint16 *panels, gsize stride, const float *start,
                    gsize ld_start, float *c, gsize ldc);
} VjBf16Kernel;

/* Where number l of column j stands in panels with room for `depth` numbers a column. */
static inline gsize
vj_bf16_place (const VjBf16Kernel *kernel, gsize depth, gsize j, gsize l)
{
  gsize chunk = kernel->chunk > 0 ? kernel->chunk : depth, panel = j / VJ_BF16_PANEL * VJ_BF16_PANEL * depth;
  return panel + (l / chunk * VJ_BF16_PANEL + j % VJ_BF16_PANEL) * chunk + l % chunk;
}

/* Best first; the last one runs everywhere. NULL ends the list. */
const VjBf16Kernel *const *vj_bf16_kernels (void);

extern const VjBf16Kernel vj_bf16_amx, vj_bf16_avx512, vj_bf16_generic;

/* Rows of bf16, `ld` apart, zeros from k to ld or the next multiple of VJ_BF16_UNIT: the form of a, and of panels in kernels
 * that multiply row by row. */
void vj_bf16_rows (const float *from, gsize step_row, gsize step_l, gsize rows, gsize k, guint16 *to, gsize ld);

/* What vj_bf16_generic multiplies by where there is no AVX2. The same bits, but for products
 * below 2^-134 or above the largest float. */
void vj_bf16_multiply_plain (gsize m, gsize n, gsize k, const guint16 *a, gsize lda, const guint16 *panels, gsize stride, const float *start,
                             gsize ld_start, float *c, gsize ldc);

/* vj_bf16_rows by AVX-512 BF16: subnormals become 0. x86-64 only. */
void vj_bf16_rows_wide (const float *from, gsize step_row, gsize step_l, gsize rows, gsize k, guint16 *to, gsize ld);

/* From a row of a to the next, at k numbers: whole lines of the cache, in an odd number, so that rows do not fall on each
 * other. */
static inline gsize
vj_bf16_apart (gsize k)
{
  return ((k + VJ_BF16_UNIT - 1) / VJ_BF16_UNIT | 1) * VJ_BF16_UNIT;
}

/* As vj_cpu_product, vj_cpu_gemm and vj_cpu_attention_backward, for bf16 numbers. */
void vj_bf16_product (VjCpu *cpu, const VjProduct *product);
void vj_bf16_gemm (VjCpu *cpu, const VjGemm *gemm);
void vj_bf16_attention_backward (VjCpu *cpu, const VjAttention *attention);

#endif
