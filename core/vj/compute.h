/* vj/compute.h - what a compute plugin gives the native engine: tensor operations on memory that only
 * the plugin can read. A backend is correct when it agrees with the plain-C reference (`ref`) on every
 * operation: tests/engine/test-compute holds each to it by normalised mean squared error, and the
 * reference to finite differences.
 *
 * Laws of every backend:
 *  - An operation reads its inputs and writes its outputs as if finished before the next one begins.
 *  - The same call on the same data gives the same bits, whatever the number of threads.
 *  - `linear` and `attention` (forward): a row's result does not depend on the other rows or their number
 *    (CPU backends; a GPU's library may choose another kernel for another number of rows).
 *  - Nothing fails silently: a lost device or failed launch is remembered and reported by `finish`.
 *
 * Letters: M, N, K sizes of a product; R rows; C columns; H heads; G key/value heads (H is a multiple of
 * G, head h reads key/value head h / (H / G)); D head size. Matrices are row-major; a leading dimension
 * (`ld...`) is the distance of two rows in elements. */
#ifndef VJ_COMPUTE_H
#define VJ_COMPUTE_H

#include <vj/error.h>

G_BEGIN_DECLS

#define VJ_COMPUTE_ABI 6

/* Names of computes that need no plugin: the fastest there is; the host's own, with its best kernel of bf16 products or a
 * named one; the plain-C reference. */
#define VJ_COMPUTE_BUILT_IN "auto", "cpu", "cpu:amx", "cpu:avx512", "cpu:generic", "ref"

/* Device memory, f32 and i32. Incomplete types: the engine moves these addresses about (vj_f32_at), but
 * only upload and download carry numbers across. */
typedef struct VjF32 VjF32;
typedef struct VjI32 VjI32;

/* The address `elements` further on; NULL stays NULL. */
static inline VjF32 *
vj_f32_at (const VjF32 *base, gsize elements)
{
  return base == NULL ? NULL : (VjF32 *) ((guintptr) base + elements * 4);
}

static inline VjI32 *
vj_i32_at (const VjI32 *base, gsize elements)
{
  return base == NULL ? NULL : (VjI32 *) ((guintptr) base + elements * 4);
}

/* 32 random bits for one element of `dropout`: the finalizer of MurmurHash3 (Appleby), over the row's seed and the
 * product's salt, then over the column. */
static inline guint32
vj_dropout_mix (guint32 x)
{
  x = (x ^ x >> 16) * 0x85ebca6bu;
  x = (x ^ x >> 13) * 0xc2b2ae35u;
  return x ^ x >> 16;
}

static inline guint32
vj_dropout_bits (guint32 seed, guint32 salt, guint32 column)
{
  return vj_dropout_mix (vj_dropout_mix (seed ^ salt * 0x9e3779b9u) ^ column * 0x27d4eb2fu);
}

/* A weight matrix prepared for `linear`, in whatever form the backend likes best. */
typedef struct VjMatrix VjMatrix;

/* What numbers a product multiplies. VJ_NUMBERS_BF16: both operands rounded to bfloat16 (to nearest, ties to even;
 * subnormals may become 0), every sum in f32, in whatever order. */
typedef enum { VJ_NUMBERS_F32, VJ_NUMBERS_BF16 } VjNumbers;

/* c[M, N] = op(a)[M, K] op(b)[K, N] + beta c, plus bias[N] on every row. beta is 0 (c is only written)
 * or 1. ta: a is stored [K, M]; tb: b is stored [N, K]. */
typedef struct {
  gboolean ta, tb;
  VjNumbers numbers;
  gsize m, n, k;
  const VjF32 *a;
  gsize lda;
  const VjF32 *b;
  gsize ldb;
  const VjF32 *bias; /* NULL: none */
  float beta;
  VjF32 *c;
  gsize ldc;
} VjGemm;

/* One stretch of query rows and the keys they may look at. */
typedef struct {
  gsize q_row, q_count;  /* rows of q, out, first, last; none: only stores       */
  gsize kv_count;        /* rows of k and v                                     */
  const VjF32 *k, *v;    /* [kv_count, G D] each, leading dimension ld_kv       */
  VjF32 *dk, *dv;        /* backward only: written, leading dimension ld_dkv    */
  VjF32 *cache;          /* forward, in place of k and v: of VjCaches; or NULL  */
  gsize cache_tokens;    /* what it was made for                                */
  gsize new_row, new_count; /* rows of new_k and new_v                          */
} VjAttentionSegment;

/* out[r, h] = sum_j softmax_j (scale q[r, h] . k[j, g]) v[j, g] over keys first[r] <= j < last[r]. */
typedef struct {
  gsize n_segments;
  const VjAttentionSegment *segments; /* host memory, read during the call; no row in two segments */
  gsize heads, kv_heads, head_dim;
  float scale;
  VjNumbers numbers;          /* VJ_NUMBERS_BF16 lets what products multiply be rounded to bf16: q, k, v, dout, the softmax, its gradient */
  const VjF32 *q;             /* [R, H D], leading dimension ld_q */
  gsize ld_q, ld_kv;
  const VjI32 *first, *last;  /* [R]; first NULL: 0, last NULL: kv_count. An empty range gives zeros. */
  const VjF32 *new_k, *new_v; /* [.., G D], leading dimension ld_new: when all segments have caches: a segment's new rows are first
                                 stored as the last new_count of its kv_count keys and values. NULL: nothing is new. */
  gsize ld_new;
  VjF32 *out;                 /* [R, H D] contiguous */
  VjF32 *lse;                 /* [R, H] log of the softmax's denominator, for backward; NULL: not wanted */
  /* backward: out and lse as forward left them */
  const VjF32 *dout;          /* [R, H D] contiguous */
  VjF32 *dq;                  /* written, leading dimension ld_dq */
  gsize ld_dq, ld_dkv;
} VjAttention;

/* How a scalar parameter scales what is added: g = *gate. */
typedef enum {
  VJ_GATE_NONE,            /* 1            */
  VJ_GATE_TANH,            /* tanh (g)     */
  VJ_GATE_ONE_MINUS_TANH   /* 1 - tanh (g) */
} VjGate;

typedef enum {
  VJ_ACT_GELU,        /* x (1 + erf (x / sqrt 2)) / 2 */
  VJ_ACT_QUICK_GELU,  /* x / (1 + exp (-1.702 x))     */
  VJ_ACT_SILU         /* x / (1 + exp (-x))           */
} VjAct;

/* What a product is made of, when it is not x itself. */
typedef enum { VJ_INPUT_PLAIN, VJ_INPUT_RMS_NORM, VJ_INPUT_LAYER_NORM, VJ_INPUT_SWIGLU, VJ_INPUT_ACTIVATION } VjInputKind;

typedef struct {
  VjInputKind kind;
  const VjF32 *x;      /* [R, K] contiguous; swiglu: [R, 2 K] */
  const VjF32 *w, *b;  /* norms: [K]; b of the layer norm     */
  float eps;           /* norms                               */
  VjAct act;           /* activation                          */
} VjInput;

/* y[R, N of all] = input w^T + bias, as `linear`. With `add` (rows ldy apart, not y): y[r] = add[r] + c(gate) of that, and
 * add[r] alone where only[r] < 0. */
typedef struct {
  gsize rows;
  VjInput input;
  const VjMatrix *const *w;
  gsize n_w;
  const VjF32 *bias;   /* NULL: none */
  const VjF32 *add;    /* NULL: none */
  VjGate mode;
  const VjF32 *gate;
  const VjI32 *only;   /* [R]; NULL: all rows */
  VjF32 *y;
  gsize ldy;
} VjProduct;

typedef struct {
  float learning_rate, beta1, beta2, epsilon, weight_decay;
  float grad_scale;                      /* the gradient is multiplied by this first (clipping) */
  float correction1, correction2;        /* 1 - beta1^t, 1 - beta2^t */
} VjAdamw;

/* c[M, N] = op(a) op(b) + beta c in host memory, on the calling thread alone, beta 0 or 1; as VjGemm. */
typedef void (*VjSgemm) (gboolean ta, gboolean tb, gsize m, gsize n, gsize k, const float *a, gsize lda, const float *b,
                         gsize ldb, float beta, float *c, gsize ldc);

/* Products of bf16 weights by a CPU backend's library, in place of the host's kernels. One call takes `rows` rows of x,
 * always as many, so that what a row gives cannot depend on how many there are. Called from several threads at once. */
typedef struct {
  gsize rows;
  gboolean (*usable) (void); /* (optional) FALSE: the library has none on this processor; the host's kernels are used */
  /* [N, K] into the form it likes best (copied). VJ_EXIT_LIMIT: out of memory. */
  void *(*pack) (gsize n, gsize k, const guint16 *w, GError **error);
  void (*unpack) (void *packed); /* frees it; takes NULL */
  /* y[rows, N] = x[rows, K] w^T, both contiguous. FALSE: the library failed. */
  gboolean (*product) (void *packed, const guint16 *x, float *y);
} VjHalves;

/* Caches: keys and values in the form that the backend's own attention of bf16 numbers reads, so that a key is rounded and
 * put in place once, not at each of the queries that meet it. What attention gives is the same, to the bit. A cache is device
 * memory of `alloc`, made for a number of tokens; what was not stored is not to be seen by a query. */
typedef struct {
  gsize (*bytes) (void *device, gsize tokens, gsize kv_heads, gsize head_dim); /* a multiple of 64 */
  /* Filled from 0 on, without gaps: keys and values [at, at + count) from rows of k and v [count, G D], leading dimension ld. */
  void (*store) (void *device, VjF32 *cache, gsize tokens, gsize kv_heads, gsize head_dim, gsize at, gsize count, const VjF32 *k,
                 const VjF32 *v, gsize ld);
  /* Those of one cache to another place of another one. What stood there up to the end of that place, and after it, is lost. */
  void (*copy) (void *device, gsize kv_heads, gsize head_dim, gsize count, const VjF32 *from, gsize from_tokens, gsize from_at,
                VjF32 *to, gsize to_tokens, gsize to_at);
} VjCaches;

/* The table. `device` is what `open` returned. A table with `sgemm` and without `open` is a CPU backend: the
 * host's threads, memory and kernels with that product in them, and it needs no other slot. In any other table
 * no slot is optional but caches and product, and sgemm and halves, which must be NULL. */
typedef struct {
  guint32 size;      /* sizeof (VjComputeOps) */
  guint32 abi;       /* VJ_COMPUTE_ABI */
  const char *name;
  VjSgemm sgemm;     /* (optional) called from several threads at once */
  const VjHalves *halves; /* (optional, with sgemm) */
  const VjCaches *caches; /* (optional) NULL: attention reads keys and values as f32 */
  gboolean (*prepare) (GError **error); /* (optional) before each open; VJ_EXIT_PLUGIN: this machine cannot run it */

  /* threads: 0 = all processors of the process. VJ_EXIT_PLUGIN when this machine cannot run it. */
  void *(*open) (guint threads, GError **error);
  void (*close) (void *device);

  /* Memory, 64-byte aligned and zeroed; NULL is VJ_EXIT_LIMIT. `release` takes NULL. */
  void *(*alloc) (void *device, gsize bytes, GError **error);
  void (*release) (void *device, void *memory);
  void (*upload) (void *device, void *to, const void *from_host, gsize bytes);
  void (*download) (void *device, void *to_host, const void *from, gsize bytes);
  void (*zero) (void *device, void *memory, gsize bytes);

  /* Waits for everything asked so far; what went wrong in it since the last call. */
  gboolean (*finish) (void *device, GError **error);

  /* -- products -- */
  void (*gemm) (void *device, const VjGemm *gemm);

  /* A weight [N, K], row-major in host memory. Products with it are of its numbers. VJ_NUMBERS_F32: floats, which are
   * copied. VJ_NUMBERS_BF16: the upper halves of floats (guint16); they stay readable and unchanged until matrix_free, so
   * that a backend may use them where they are: usually in a mapped file, too large to be kept twice. */
  VjMatrix *(*matrix_new) (void *device, VjNumbers numbers, gsize n, gsize k, const void *host, GError **error);
  void (*matrix_free) (void *device, VjMatrix *matrix);
  /* Products of the same x[R, K] (contiguous) with `n_w` >= 1 matrices of the same numbers and K, side by side in y
   * (leading dimension ldy): y[:, N of all before + j] = x w^T. bias [N of all], or NULL, is added to every row. */
  void (*linear) (void *device, gsize rows, const VjF32 *x, const VjMatrix *const *w, gsize n_w, const VjF32 *bias, VjF32 *y,
                  gsize ldy);

  /* (optional) `linear` with the operations before and after it, to the bit as they are one by one. NULL: the engine asks for
   * them one by one. */
  void (*product) (void *device, const VjProduct *product);

  /* -- norms over the C columns of contiguous rows; eps inside the root -- */
  /* y = (x - mean) rstd w + b; stats [R, 2] = mean, rstd for backward, NULL: not wanted. */
  void (*layer_norm) (void *device, gsize rows, gsize cols, float eps, const VjF32 *x, const VjF32 *w, const VjF32 *b,
                      VjF32 *y, VjF32 *stats);
  /* dx is added to; dw, db are added to; dx or (dw and db) may be NULL. */
  void (*layer_norm_backward) (void *device, gsize rows, gsize cols, const VjF32 *x, const VjF32 *w,
                               const VjF32 *stats, const VjF32 *dy, VjF32 *dx, VjF32 *dw, VjF32 *db);
  /* y = x rstd w, rstd = 1 / sqrt (mean x^2 + eps); stats [R] = rstd. */
  void (*rms_norm) (void *device, gsize rows, gsize cols, float eps, const VjF32 *x, const VjF32 *w, VjF32 *y, VjF32 *stats);
  void (*rms_norm_backward) (void *device, gsize rows, gsize cols, const VjF32 *x, const VjF32 *w, const VjF32 *stats,
                             const VjF32 *dy, VjF32 *dx, VjF32 *dw);

  /* -- rotary positions (Su et al., 2021; half-split form) --
   * In place on the first `heads` heads of each row of x (leading dimension ldx): for i < D / 2,
   * (a, b) = (x[i], x[i + D/2]) becomes (a cos - b sin, b cos + a sin) with cos, sin = table[position, i],
   * table [P, D] = D/2 cosines, then D/2 sines. `inverse` turns back (the backward pass). */
  void (*rope) (void *device, gsize rows, gsize heads, gsize head_dim, VjF32 *x, gsize ldx, const VjI32 *positions,
                const VjF32 *table, gboolean inverse);

  /* -- activations -- */
  void (*activation) (void *device, VjAct act, gsize n, const VjF32 *x, VjF32 *y);
  void (*activation_backward) (void *device, VjAct act, gsize n, const VjF32 *x, const VjF32 *dy, VjF32 *dx); /* written */
  /* y[R, C] = silu (x[:, :C]) x[:, C:], x [R, 2 C]. */
  void (*swiglu) (void *device, gsize rows, gsize cols, const VjF32 *x, VjF32 *y);
  void (*swiglu_backward) (void *device, gsize rows, gsize cols, const VjF32 *x, const VjF32 *dy, VjF32 *dx); /* written */

  /* -- attention -- */
  void (*attention) (void *device, const VjAttention *attention);
  void (*attention_backward) (void *device, const VjAttention *attention);

  /* -- adding rows: embeddings, residuals, gated branches, gathers and scatters --
   * y[r] += c(gate) table[index[r]]; index NULL: table[r]; index[r] < 0: nothing. */
  void (*add_rows) (void *device, gsize rows, gsize cols, const VjF32 *table, const VjI32 *index, VjGate mode,
                    const VjF32 *gate, VjF32 *y);
  /* The same with the rows of a weight matrix as the table, exactly as stored: y[R, K] (contiguous). */
  void (*add_matrix_rows) (void *device, gsize rows, const VjMatrix *w, const VjI32 *index, VjGate mode, const VjF32 *gate,
                           VjF32 *y);
  /* dtable[index[r]] += c(gate) dy[r]; dgate += dc/dg sum_r dy[r] . table[index[r]]. dtable or dgate may be NULL. */
  void (*add_rows_backward) (void *device, gsize rows, gsize cols, const VjF32 *table, const VjI32 *index, VjGate mode,
                             const VjF32 *gate, const VjF32 *dy, VjF32 *dtable, VjF32 *dgate);
  /* to[r ld_to + c step_to] = from[r ld_from + c step_from] (+ what was there, when `add`). */
  void (*copy_2d) (void *device, gsize rows, gsize cols, const VjF32 *from, gsize ld_from, gsize step_from, VjF32 *to,
                   gsize ld_to, gsize step_to, gboolean add);
  /* y[r, c] = scale x[r, c] (+ what was there, when `add`), contiguous; x may be y. With `seeds` [R] an element is 0
   * instead when the upper 24 bits of vj_dropout_bits (seeds[r], salt, c) are below rate 2^24 (rate in [0, 1)). */
  void (*dropout) (void *device, gsize rows, gsize cols, float rate, float scale, const VjI32 *seeds, guint32 salt, const VjF32 *x,
                   VjF32 *y, gboolean add);
  /* sum[C] += sum over rows of x[R, C] (contiguous). */
  void (*sum_rows) (void *device, gsize rows, gsize cols, const VjF32 *x, VjF32 *sum);

  /* -- loss and optimizer --
   * loss[r] = weight[r] (lse (logits[r]) - logits[r, target[r]]); logits become their gradient. */
  void (*cross_entropy) (void *device, gsize rows, gsize cols, VjF32 *logits, const VjI32 *target, const VjF32 *weight,
                         VjF32 *loss);
  /* Sum of squares in f64, in a fixed order; waits. NaN or infinity when an element is. */
  double (*sum_squares) (void *device, gsize n, const VjF32 *x);
  /* p -= lr decay p; m, v moments; p -= lr (m / c1) / (sqrt (v / c2) + eps) (Loshchilov and Hutter, 2019). */
  void (*adamw) (void *device, gsize n, const VjAdamw *adamw, VjF32 *param, const VjF32 *grad, VjF32 *m, VjF32 *v);
} VjComputeOps;

/* For plugins, after <vj/plugin.h>: VJ_DEFINE_COMPUTE ((.name = "x", .sgemm = ...), .name = "x", .version = ...). */
#define VJ__COMPUTE_OPS(...) { .size = sizeof (VjComputeOps), .abi = VJ_COMPUTE_ABI, __VA_ARGS__ }
#define VJ_DEFINE_COMPUTE(ops_, ...) VJ__DEFINE (VJ_ROLE_COMPUTE, char, VjComputeOps, VJ__COMPUTE_OPS ops_, __VA_ARGS__)

G_END_DECLS
#endif
