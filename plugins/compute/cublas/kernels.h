/* The kernels of the cublas compute: what each is given, and how the host starts it. Included by the host's C and by
 * the .cu files alike. Pointers are device memory; matrices are row-major, contiguous unless a leading dimension is
 * given. Letters as in vj/compute.h.
 *
 * Three idioms, no others:
 *   flat     one element per thread and turn, striding by the whole grid           grid: any
 *   spread   a block takes VJ_SPREAD columns of one row                            grid: rows * chunks
 *   block    a block takes one row, one column stripe or one tile, and joins its threads in shared memory by a tree
 *            that is always the same, so the same call gives the same bits         grid: as said at each
 * No atomics; blocks have VJ_BLOCK threads. */
#ifndef VJ_CUBLAS_KERNELS_H
#define VJ_CUBLAS_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VJ_BLOCK 256
#define VJ_LIMBS 16    /* of the tree over a block       */
#define VJ_TREE (VJ_BLOCK + VJ_LIMBS)
#define VJ_SPREAD 1024 /* columns of a row in one block  */
#define VJ_FLAT 8192   /* most blocks of a flat kernel   */
#define VJ_STRIPE 32   /* columns of a stripe            */
#define VJ_PARTS 1024  /* partial sums of a whole buffer */

#define VJ_TILE 64         /* keys in a tile, and query rows in a wide one */
#define VJ_NARROW 16       /* query rows in a narrow tile                  */
#define VJ_HEAD_MAX 128    /* largest head_dim                             */
#define VJ_SEGMENTS 32     /* segments that one start takes                */

typedef struct {
  unsigned x, y, z;
} VjGrid;

/* -- spread ---------------------------------------------------------------- */

/* y[r, c] = bias[c] (+ y[r, c], when add). */
typedef struct {
  int64_t cols, chunks, ld;
  const float *bias;
  float *y;
  int add;
} VjBiasArgs;

/* to[r, c] = bfloat16 of from[r, c], to nearest, ties to even; `to` is contiguous. */
typedef struct {
  int64_t cols, chunks, ld;
  const float *from;
  uint16_t *to;
} VjRoundArgs;

/* to[r ld_to + c step_to] = from[r ld_from + c step_from] (+ what was there, when add). */
typedef struct {
  int64_t cols, chunks, ld_from, step_from, ld_to, step_to;
  const float *from;
  float *to;
  int add;
} VjCopyArgs;

/* y = scale x (+ y, when add), contiguous; with seeds an element is 0 instead when its draw is below `bound`: dropout. */
typedef struct {
  int64_t cols, chunks;
  float scale;
  uint32_t bound, salt;
  const int32_t *seeds;
  const float *x;
  float *y;
  int add;
} VjDropoutArgs;

/* `mode` is a VjGate of vj/compute.h. */
typedef struct {
  int mode;
  const float *gate;
} VjGateArgs;

/* y[r] += c(gate) table[index[r]]; half: the table holds bfloat16. */
typedef struct {
  int64_t cols, chunks;
  const void *table;
  const int32_t *index;
  VjGateArgs gate;
  float *y;
  int half;
} VjAddArgs;

/* table[index[r]] += c(gate) dy[r]. With an index, links[2 r] says whether r is the first row of its index value and
 * links[2 r + 1] which row has it next (-1: none): the block of the first row adds up all of them, in order. */
typedef struct {
  int64_t cols, chunks;
  const int32_t *index, *links;
  VjGateArgs gate;
  const float *dy;
  float *table;
} VjScatterArgs;

/* y[r, c] = silu (x[r, c]) x[r, C + c]; backward: dx of dy. */
typedef struct {
  int64_t cols, chunks;
  const float *x, *dy;
  float *y, *dx;
} VjSwigluArgs;

/* -- flat ------------------------------------------------------------------ */

/* `act` is a VjAct; dy NULL: y = act (x), else y = dy act' (x). */
typedef struct {
  int64_t n;
  int act;
  const float *x, *dy;
  float *y;
} VjActivationArgs;

typedef struct {
  int64_t n;
  float decay, beta1, rest1, beta2, rest2, epsilon, grad_scale, rate, correction2; /* rest = 1 - beta; rate = lr / c1 */
  const float *grad;
  float *param, *m, *v;
} VjAdamwArgs;

/* -- block: one row -------------------------------------------------------- */

/* layer: (x - mean) rstd w + b, stats [R, 2]; else x rstd w, stats [R]. stats may be NULL. */
typedef struct {
  int64_t cols;
  int layer;
  float eps;
  const float *x, *w, *b;
  float *y, *stats;
} VjNormArgs;

/* dx += the norm's backward. */
typedef struct {
  int64_t cols;
  int layer;
  const float *x, *w, *stats, *dy;
  float *dx;
} VjNormBackArgs;

typedef struct {
  int64_t heads, half, ld; /* half: D / 2 */
  int inverse;
  const int32_t *positions;
  const float *table;
  float *x;
} VjRopeArgs;

/* Fills links for VjScatterArgs. */
typedef struct {
  int64_t rows;
  const int32_t *index;
  int32_t *links;
} VjLinkArgs;

/* parts[r] = dy[r] . table[index[r]]. */
typedef struct {
  int64_t cols;
  const float *table, *dy;
  const int32_t *index;
  double *parts;
} VjDotArgs;

typedef struct {
  int64_t cols;
  const int32_t *target;
  const float *weight;
  float *logits, *loss;
} VjEntropyArgs;

/* -- block: one column stripe; grid: stripes ------------------------------- */

typedef enum { VJ_COLUMN_PLAIN, VJ_COLUMN_LAYER, VJ_COLUMN_RMS } VjColumn;

/* sum[c] += sum over r of dy[r, c] n[r, c], n = 1, (x - mean) rstd or x rstd. */
typedef struct {
  int64_t rows, cols;
  int column;
  const float *x, *stats, *dy;
  float *sum;
} VjColumnArgs;

/* -- block: a whole buffer ------------------------------------------------- */

/* parts[block] = sum of the squares the block strides over; grid: VJ_PARTS, whatever the GPU. */
typedef struct {
  int64_t n;
  const float *x;
  double *parts;
} VjSquaresArgs;

/* One block: total = sum of parts. `dgate` NULL: *sum = total; else *dgate += dc/dg total. */
typedef struct {
  int64_t n;
  const double *parts;
  double *sum;
  float *dgate;
  VjGateArgs gate;
} VjTotalArgs;

/* -- attention ------------------------------------------------------------- */

typedef struct {
  int64_t q_row, q_count, kv_count;
  const float *k, *v;
  float *dk, *dv;
} VjSegmentArgs;

/* A virtual row is a query row under one of the `group` heads that share a key/value head: number
 * r * group + h % group. Grid: x tiles (of virtual rows, or of keys for attention_keys), y segments, z key/value heads;
 * for attention_delta x are blocks of 16 (row, head). */
typedef struct {
  VjSegmentArgs segment[VJ_SEGMENTS];
  int heads, kv_heads, group, dim;
  float scale;
  int64_t ld_q, ld_kv, ld_dq, ld_dkv;
  const int32_t *first, *last;
  const float *q, *dout, *delta; /* delta[R, H] = dout . out */
  float *out, *lse, *dq;
} VjAttentionArgs;

/* X (kernel, arguments) */
#define VJ_KERNELS(X)                       \
  X (add_bias, VjBiasArgs)                  \
  X (round_bf16, VjRoundArgs)               \
  X (copy_rows, VjCopyArgs)                 \
  X (drop_rows, VjDropoutArgs)              \
  X (gather_rows, VjAddArgs)                \
  X (link_rows, VjLinkArgs)                 \
  X (scatter_rows, VjScatterArgs)           \
  X (dot_rows, VjDotArgs)                   \
  X (swiglu_rows, VjSwigluArgs)             \
  X (swiglu_rows_back, VjSwigluArgs)        \
  X (activate, VjActivationArgs)            \
  X (rotate_rows, VjRopeArgs)               \
  X (norm_rows, VjNormArgs)                 \
  X (norm_rows_back, VjNormBackArgs)        \
  X (sum_columns, VjColumnArgs)             \
  X (sum_squares, VjSquaresArgs)            \
  X (sum_parts, VjTotalArgs)                \
  X (cross_entropy_rows, VjEntropyArgs)     \
  X (step_adamw, VjAdamwArgs)               \
  X (attention_narrow, VjAttentionArgs)     \
  X (attention_wide, VjAttentionArgs)       \
  X (attention_delta, VjAttentionArgs)      \
  X (attention_queries, VjAttentionArgs)    \
  X (attention_keys, VjAttentionArgs)

/* int vj_launch_KERNEL (stream, grid, bytes of shared memory, arguments): queued; 0, or the error's number. */
#define VJ_DECLARE_LAUNCH(name, Args) int vj_launch_##name (void *stream, VjGrid grid, size_t shared, const Args *args);
VJ_KERNELS (VJ_DECLARE_LAUNCH)
#undef VJ_DECLARE_LAUNCH

/* Bytes of shared memory: a tree over a block; a tile of attention with `rows` query rows. */
#define VJ_TREE_BYTES (VJ_TREE * sizeof (double))
#define VJ_ATTENTION_BYTES(rows, dim) \
  (sizeof (float) * (((rows) + VJ_TILE) * ((dim) + 1) + (rows) * (VJ_TILE + 1) + (rows) * 17 + (rows) * 2))

#ifdef __cplusplus
}
#endif
#endif
