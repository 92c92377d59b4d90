/* Conformance of computes: every operation of every backend against the plain-C reference by normalised mean
 * squared error, with the same bits on one and on three threads; every gradient of the reference against finite
 * differences. The table below is the list of operations; a backend is one name more in `add_for_cpus` of plugins.h, or in main. */
#include "compute/compute.h"
#include "base/random.h"
#include "tests/engine/plugins.h"

#include <math.h>
#include <string.h>

#define MAX_BUFFERS 10
#define NMSE 1e-11

/* Sizes with tails: nothing is a multiple of 16. */
#define R 37
#define C 83
#define M 45
#define N 71
#define K 53
#define H 6
#define G 3
#define D 10
#define KV 41

typedef struct {
  const VjCompute *compute;
  void *b[MAX_BUFFERS];   /* device */
  gsize n[MAX_BUFFERS];   /* 32-bit elements */
} Buffers;

#define OPS(x) (x)->compute->ops
#define DEV(x) (x)->compute->device
#define B(i) ((VjF32 *) x->b[i])
#define I(i) ((VjI32 *) x->b[i])

typedef void (*Run) (const Buffers *x);

/* What a buffer starts with. */
typedef enum { NONE, REAL, ZERO, POSITIVE, INDEX, POSITION, FIRST, LAST, TARGET } Fill;

typedef struct {
  const char *name;
  Run forward, backward;
  struct { gsize n; Fill fill; gint32 below; } buffers[MAX_BUFFERS];
  guint outputs;                           /* bits: buffers compared with the reference */
  gint out, dout;                          /* forward's output and its gradient; -1: no gradient check */
  struct { gint of, to; } gradients[4];    /* input and the buffer of its gradient; ends with to 0 */
} Op;

static void
gemm (const Buffers *x, VjNumbers numbers, gboolean ta, gboolean tb, float beta)
{
  VjGemm g = { .ta = ta, .tb = tb, .numbers = numbers, .m = M, .n = N, .k = K, .a = B (0), .lda = ta ? M : K, .b = B (1), .ldb = tb ? K : N, .bias = beta == 0 ? B (2) : NULL,
               .beta = beta, .c = B (3), .ldc = N };
  OPS (x)->gemm (DEV (x), &g);
}
static void gemm_nn (const Buffers *x) { gemm (x, VJ_NUMBERS_F32, FALSE, FALSE, 0); }
static void gemm16_nn (const Buffers *x) { gemm (x, VJ_NUMBERS_BF16, FALSE, FALSE, 0); }
static void gemm_nt (const Buffers *x) { gemm (x, VJ_NUMBERS_F32, FALSE, TRUE, 0); }
static void gemm16_nt (const Buffers *x) { gemm (x, VJ_NUMBERS_BF16, FALSE, TRUE, 0); }
static void gemm_tn (const Buffers *x) { gemm (x, VJ_NUMBERS_F32, TRUE, FALSE, 1); }
static void gemm16_tn (const Buffers *x) { gemm (x, VJ_NUMBERS_BF16, TRUE, FALSE, 1); }
static void gemm_tt (const Buffers *x) { gemm (x, VJ_NUMBERS_F32, TRUE, TRUE, 1); }
static void gemm16_tt (const Buffers *x) { gemm (x, VJ_NUMBERS_BF16, TRUE, TRUE, 1); }

static void
large (const Buffers *x, VjNumbers numbers)
{
  VjGemm g = { .ta = TRUE, .numbers = numbers, .m = 300, .n = 130, .k = 700, .a = B (0), .lda = 300, .b = B (1), .ldb = 130, .beta = 1, .c = B (3), .ldc = 130 };
  OPS (x)->gemm (DEV (x), &g);
}
static void gemm_large (const Buffers *x) { large (x, VJ_NUMBERS_F32); }
static void gemm16_large (const Buffers *x) { large (x, VJ_NUMBERS_BF16); }

/* More of l than a kernel takes in one call, and than an item packs at a time. */
static void
lengthy (const Buffers *x, gboolean ta, gboolean tb)
{
  VjGemm g = { .ta = ta, .tb = tb, .numbers = VJ_NUMBERS_BF16, .m = 20, .n = 37, .k = 2081, .a = B (0), .lda = ta ? 20 : 2081, .b = B (1), .ldb = tb ? 2081 : 37,
               .c = B (3), .ldc = 37 };
  OPS (x)->gemm (DEV (x), &g);
}
static void gemm16_long_nn (const Buffers *x) { lengthy (x, FALSE, FALSE); }
static void gemm16_long_nt (const Buffers *x) { lengthy (x, FALSE, TRUE); }
static void gemm16_long_tn (const Buffers *x) { lengthy (x, TRUE, FALSE); }

/* [N, K] of buffer 1 as host memory of the numbers, cut off where bf16 ends. Free with g_free. */
static void *
host_weight (const Buffers *x, VjNumbers numbers)
{
  float *host = g_new (float, N * K);
  guint16 *halves = (guint16 *) (void *) host;
  OPS (x)->download (DEV (x), host, B (1), N * K * 4);
  for (gsize i = 0; numbers == VJ_NUMBERS_BF16 && i < N * K; i++) {
    guint32 bits;
    memcpy (&bits, &host[i], 4);
    halves[i] = (guint16) (bits >> 16);
  }
  return host;
}

/* Two matrices side by side: the first N - 20 rows and the other 20. */
static void
product (const Buffers *x, VjNumbers numbers)
{
  g_autofree char *host = host_weight (x, numbers);
  gsize size = numbers == VJ_NUMBERS_BF16 ? 2 : 4;
  VjMatrix *w[2] = { OPS (x)->matrix_new (DEV (x), numbers, N - 20, K, host, NULL),
                     OPS (x)->matrix_new (DEV (x), numbers, 20, K, host + (N - 20) * K * size, NULL) };
  OPS (x)->linear (DEV (x), M, B (0), (const VjMatrix *const *) w, 2, B (2), B (3), N + 3);
  OPS (x)->linear (DEV (x), M, B (0), (const VjMatrix *const *) w, 1, NULL, B (4), N - 20);
  OPS (x)->finish (DEV (x), NULL);
  for (guint i = 0; i < 2; i++)
    OPS (x)->matrix_free (DEV (x), w[i]);
}
static void linear (const Buffers *x) { product (x, VJ_NUMBERS_F32); }
static void linear16 (const Buffers *x) { product (x, VJ_NUMBERS_BF16); }

static void
gather (const Buffers *x, VjNumbers numbers)
{
  g_autofree void *host = host_weight (x, numbers);
  VjMatrix *w = OPS (x)->matrix_new (DEV (x), numbers, N, K, host, NULL);
  OPS (x)->add_matrix_rows (DEV (x), M, w, I (0), VJ_GATE_NONE, NULL, B (3));
  OPS (x)->add_matrix_rows (DEV (x), M, w, NULL, VJ_GATE_TANH, B (2), B (3));
  OPS (x)->finish (DEV (x), NULL);
  OPS (x)->matrix_free (DEV (x), w);
}
static void matrix_rows (const Buffers *x) { gather (x, VJ_NUMBERS_F32); }
static void matrix_rows16 (const Buffers *x) { gather (x, VJ_NUMBERS_BF16); }

static void layer_norm (const Buffers *x) { OPS (x)->layer_norm (DEV (x), R, C, 1e-5f, B (0), B (1), B (2), B (3), B (4)); }
static void layer_norm_backward (const Buffers *x) { OPS (x)->layer_norm_backward (DEV (x), R, C, B (0), B (1), B (4), B (5), B (6), B (7), B (8)); }
static void rms_norm (const Buffers *x) { OPS (x)->rms_norm (DEV (x), R, C, 1e-5f, B (0), B (1), B (3), B (4)); }
static void rms_norm_backward (const Buffers *x) { OPS (x)->rms_norm_backward (DEV (x), R, C, B (0), B (1), B (4), B (5), B (6), B (7)); }
static void rope (const Buffers *x)
{
  OPS (x)->copy_2d (DEV (x), R, C, B (0), C, 1, B (3), C, 1, FALSE);
  OPS (x)->rope (DEV (x), R, 8, D, B (3), C, I (1), B (2), FALSE);
}
static void rope_backward (const Buffers *x)
{
  OPS (x)->copy_2d (DEV (x), R, C, B (4), C, 1, B (5), C, 1, FALSE);
  OPS (x)->rope (DEV (x), R, 8, D, B (5), C, I (1), B (2), TRUE);
}
static void gelu (const Buffers *x) { OPS (x)->activation (DEV (x), VJ_ACT_GELU, R * C, B (0), B (1)); }
static void gelu_backward (const Buffers *x) { OPS (x)->activation_backward (DEV (x), VJ_ACT_GELU, R * C, B (0), B (2), B (3)); }
static void quick (const Buffers *x) { OPS (x)->activation (DEV (x), VJ_ACT_QUICK_GELU, R * C, B (0), B (1)); }
static void quick_backward (const Buffers *x) { OPS (x)->activation_backward (DEV (x), VJ_ACT_QUICK_GELU, R * C, B (0), B (2), B (3)); }
static void silu (const Buffers *x) { OPS (x)->activation (DEV (x), VJ_ACT_SILU, R * C, B (0), B (1)); }
static void silu_backward (const Buffers *x) { OPS (x)->activation_backward (DEV (x), VJ_ACT_SILU, R * C, B (0), B (2), B (3)); }
static void swiglu (const Buffers *x) { OPS (x)->swiglu (DEV (x), R, C, B (0), B (1)); }
static void swiglu_backward (const Buffers *x) { OPS (x)->swiglu_backward (DEV (x), R, C, B (0), B (2), B (3)); }

/* q, k, v; ranges; out, lse; dout, dq, dk, dv. Two segments share the rows, of different lengths. */
static void
attention_call (const Buffers *x, VjNumbers numbers, gboolean backward)
{
  const gsize half = R / 2, kv = KV / 3;
  VjAttentionSegment segments[2] = {
    { .q_row = 0, .q_count = half, .kv_count = kv, .k = B (1), .v = vj_f32_at (B (1), G * D), .dk = B (8), .dv = vj_f32_at (B (8), G * D) },
    { .q_row = half, .q_count = R - half, .kv_count = KV - kv, .k = vj_f32_at (B (1), kv * 2 * G * D), .v = vj_f32_at (B (1), kv * 2 * G * D + G * D),
      .dk = vj_f32_at (B (8), kv * 2 * G * D), .dv = vj_f32_at (B (8), kv * 2 * G * D + G * D) } };
  VjAttention a = { .numbers = numbers, .n_segments = 2, .segments = segments, .heads = H, .kv_heads = G, .head_dim = D, .scale = 0.3f, .q = B (0), .ld_q = H * D + 5,
                    .ld_kv = 2 * G * D, .first = I (2), .last = I (3), .out = B (4), .lse = B (5), .dout = B (6), .dq = B (7), .ld_dq = H * D + 5, .ld_dkv = 2 * G * D };
  (backward ? OPS (x)->attention_backward : OPS (x)->attention) (DEV (x), &a);
}
static void attention (const Buffers *x) { attention_call (x, VJ_NUMBERS_F32, FALSE); }
static void attention16 (const Buffers *x) { attention_call (x, VJ_NUMBERS_BF16, FALSE); }
static void attention_backward (const Buffers *x) { attention_call (x, VJ_NUMBERS_F32, TRUE); }
static void attention16_backward (const Buffers *x) { attention_call (x, VJ_NUMBERS_BF16, TRUE); }

/* More keys than a block of any backend, a query alone among them, heads that are whole panels; last in I (2). */
#define LONG_R 300
#define LONG_KV 700
static void
attend_long (const Buffers *x, VjNumbers numbers)
{
  VjAttentionSegment segments[2] = { { .q_count = 1, .kv_count = LONG_KV, .k = B (1), .v = vj_f32_at (B (1), 64) },
                                     { .q_row = 1, .q_count = LONG_R - 1, .kv_count = LONG_KV, .k = B (1), .v = vj_f32_at (B (1), 64) } };
  VjAttention a = { .numbers = numbers, .n_segments = 2, .segments = segments, .heads = 4, .kv_heads = 2, .head_dim = 32, .scale = 0.2f, .q = B (0), .ld_q = 128,
                    .ld_kv = 128, .last = I (2), .out = B (3), .lse = B (4) };
  OPS (x)->attention (DEV (x), &a);
}

static void attention_long (const Buffers *x) { attend_long (x, VJ_NUMBERS_F32); }
static void attention16_long (const Buffers *x) { attend_long (x, VJ_NUMBERS_BF16); }

/* More queries and keys than a block of any backend; a query sees the keys up to I (2), dk and dv of all are wanted. */
static void
attend_blocks (const Buffers *x, VjNumbers numbers, gboolean backward)
{
  VjAttentionSegment segment = { .q_count = LONG_R, .kv_count = LONG_KV, .k = B (1), .v = vj_f32_at (B (1), 64), .dk = B (7), .dv = vj_f32_at (B (7), 64) };
  VjAttention a = { .numbers = numbers, .n_segments = 1, .segments = &segment, .heads = 4, .kv_heads = 2, .head_dim = 32, .scale = 0.2f, .q = B (0), .ld_q = 128,
                    .ld_kv = 128, .last = I (2), .out = B (3), .lse = B (4), .dout = B (5), .dq = B (6), .ld_dq = 128, .ld_dkv = 128 };
  (backward ? OPS (x)->attention_backward : OPS (x)->attention) (DEV (x), &a);
}
static void attention_blocks (const Buffers *x) { attend_blocks (x, VJ_NUMBERS_F32, FALSE); }
static void attention_blocks_backward (const Buffers *x) { attend_blocks (x, VJ_NUMBERS_F32, TRUE); }
static void attention16_blocks (const Buffers *x) { attend_blocks (x, VJ_NUMBERS_BF16, FALSE); }
static void attention16_blocks_backward (const Buffers *x) { attend_blocks (x, VJ_NUMBERS_BF16, TRUE); }

static void
add (const Buffers *x, VjGate mode, gboolean backward)
{
  VjF32 *gate = mode == VJ_GATE_NONE ? NULL : B (2);
  if (backward)
    OPS (x)->add_rows_backward (DEV (x), R, C, B (0), I (1), mode, gate, B (4), B (5), mode == VJ_GATE_NONE ? NULL : B (6));
  else
    OPS (x)->add_rows (DEV (x), R, C, B (0), I (1), mode, gate, B (3));
}
static void add_plain (const Buffers *x) { add (x, VJ_GATE_NONE, FALSE); }
static void add_plain_backward (const Buffers *x) { add (x, VJ_GATE_NONE, TRUE); }
static void add_tanh (const Buffers *x) { add (x, VJ_GATE_TANH, FALSE); }
static void add_tanh_backward (const Buffers *x) { add (x, VJ_GATE_TANH, TRUE); }
static void add_rest (const Buffers *x) { add (x, VJ_GATE_ONE_MINUS_TANH, FALSE); }
static void add_rest_backward (const Buffers *x) { add (x, VJ_GATE_ONE_MINUS_TANH, TRUE); }
static void add_direct (const Buffers *x) { OPS (x)->add_rows (DEV (x), R, C, B (0), NULL, VJ_GATE_TANH, B (2), B (3)); }
static void add_direct_backward (const Buffers *x) { OPS (x)->add_rows_backward (DEV (x), R, C, B (0), NULL, VJ_GATE_TANH, B (2), B (4), B (5), B (6)); }
static void copy (const Buffers *x) { OPS (x)->copy_2d (DEV (x), R, C / 2, B (0), C, 2, B (1), C, 1, TRUE); }
static void drop (const Buffers *x) { OPS (x)->dropout (DEV (x), R, C, 0.3f, 1.25f, I (1), 7, B (0), B (2), FALSE); }
static void drop_backward (const Buffers *x) { OPS (x)->dropout (DEV (x), R, C, 0.3f, 1.25f, I (1), 7, B (3), B (4), TRUE); }
static void scale (const Buffers *x) { OPS (x)->dropout (DEV (x), R, C, 0, 0.7f, NULL, 0, B (0), B (0), FALSE); }
static void sum_rows (const Buffers *x) { OPS (x)->sum_rows (DEV (x), R, C, B (0), B (1)); }
/* The logits are turned into their gradient: forward keeps them, backward is that gradient. */
static void cross_entropy (const Buffers *x)
{
  OPS (x)->copy_2d (DEV (x), R, C, B (0), C, 1, B (4), C, 1, FALSE);
  OPS (x)->cross_entropy (DEV (x), R, C, B (4), I (1), B (2), B (3));
}
static void nothing (G_GNUC_UNUSED const Buffers *x) { }
static void adamw (const Buffers *x)
{
  VjAdamw o = { .learning_rate = 0.01f, .beta1 = 0.9f, .beta2 = 0.98f, .epsilon = 1e-8f, .weight_decay = 0.1f, .grad_scale = 0.7f, .correction1 = 0.19f, .correction2 = 0.04f };
  OPS (x)->adamw (DEV (x), R * C, &o, B (0), B (1), B (2), B (3));
}

static const Op ops[] = {
  { "gemm", gemm_nn, NULL, { { M * K, REAL, 0 }, { K * N, REAL, 0 }, { N, REAL, 0 }, { M * N, REAL, 0 } }, 1 << 3, -1, 0, { { 0 } } },
  { "gemm16", gemm16_nn, NULL, { { M * K, REAL, 0 }, { K * N, REAL, 0 }, { N, REAL, 0 }, { M * N, REAL, 0 } }, 1 << 3, -1, 0, { { 0 } } },
  { "gemm-nt", gemm_nt, NULL, { { M * K, REAL, 0 }, { K * N, REAL, 0 }, { N, REAL, 0 }, { M * N, REAL, 0 } }, 1 << 3, -1, 0, { { 0 } } },
  { "gemm16-nt", gemm16_nt, NULL, { { M * K, REAL, 0 }, { K * N, REAL, 0 }, { N, REAL, 0 }, { M * N, REAL, 0 } }, 1 << 3, -1, 0, { { 0 } } },
  { "gemm-tn", gemm_tn, NULL, { { M * K, REAL, 0 }, { K * N, REAL, 0 }, { N, REAL, 0 }, { M * N, REAL, 0 } }, 1 << 3, -1, 0, { { 0 } } },
  { "gemm16-tn", gemm16_tn, NULL, { { M * K, REAL, 0 }, { K * N, REAL, 0 }, { N, REAL, 0 }, { M * N, REAL, 0 } }, 1 << 3, -1, 0, { { 0 } } },
  { "gemm-tt", gemm_tt, NULL, { { M * K, REAL, 0 }, { K * N, REAL, 0 }, { N, REAL, 0 }, { M * N, REAL, 0 } }, 1 << 3, -1, 0, { { 0 } } },
  { "gemm16-tt", gemm16_tt, NULL, { { M * K, REAL, 0 }, { K * N, REAL, 0 }, { N, REAL, 0 }, { M * N, REAL, 0 } }, 1 << 3, -1, 0, { { 0 } } },
  { "gemm-large", gemm_large, NULL, { { 300 * 700, REAL, 0 }, { 700 * 130, REAL, 0 }, { 1, REAL, 0 }, { 300 * 130, REAL, 0 } }, 1 << 3, -1, 0, { { 0 } } },
  { "gemm16-large", gemm16_large, NULL, { { 300 * 700, REAL, 0 }, { 700 * 130, REAL, 0 }, { 1, REAL, 0 }, { 300 * 130, REAL, 0 } }, 1 << 3, -1, 0, { { 0 } } },
  { "gemm16-long-nn", gemm16_long_nn, NULL, { { 20 * 2081, REAL, 0 }, { 2081 * 37, REAL, 0 }, { 1, REAL, 0 }, { 20 * 37, REAL, 0 } }, 1 << 3, -1, 0, { { 0 } } },
  { "gemm16-long-nt", gemm16_long_nt, NULL, { { 20 * 2081, REAL, 0 }, { 2081 * 37, REAL, 0 }, { 1, REAL, 0 }, { 20 * 37, REAL, 0 } }, 1 << 3, -1, 0, { { 0 } } },
  { "gemm16-long-tn", gemm16_long_tn, NULL, { { 20 * 2081, REAL, 0 }, { 2081 * 37, REAL, 0 }, { 1, REAL, 0 }, { 20 * 37, REAL, 0 } }, 1 << 3, -1, 0, { { 0 } } },
  { "linear", linear, NULL, { { M * K, REAL, 0 }, { N * K, REAL, 0 }, { N, REAL, 0 }, { M * (N + 3), ZERO, 0 }, { M * (N - 20), ZERO, 0 } }, 1 << 3 | 1 << 4, -1, 0, { { 0 } } },
  { "linear16", linear16, NULL, { { M * K, REAL, 0 }, { N * K, REAL, 0 }, { N, REAL, 0 }, { M * (N + 3), ZERO, 0 }, { M * (N - 20), ZERO, 0 } }, 1 << 3 | 1 << 4, -1, 0, { { 0 } } },
  { "matrix_rows", matrix_rows, NULL, { { M, INDEX, 20 }, { N * K, REAL, 0 }, { 1, REAL, 0 }, { M * K, REAL, 0 } }, 1 << 3, -1, 0, { { 0 } } },
  { "matrix_rows16", matrix_rows16, NULL, { { M, INDEX, 20 }, { N * K, REAL, 0 }, { 1, REAL, 0 }, { M * K, REAL, 0 } }, 1 << 3, -1, 0, { { 0 } } },
  { "layer_norm", layer_norm, layer_norm_backward,
    { { R * C, REAL, 0 }, { C, REAL, 0 }, { C, REAL, 0 }, { R * C, ZERO, 0 }, { R * 2, ZERO, 0 }, { R * C, REAL, 0 }, { R * C, ZERO, 0 }, { C, ZERO, 0 }, { C, ZERO, 0 } },
    1 << 3 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 8, 3, 5, { { 0, 6 }, { 1, 7 }, { 2, 8 } } },
  { "rms_norm", rms_norm, rms_norm_backward,
    { { R * C, REAL, 0 }, { C, REAL, 0 }, { 1, ZERO, 0 }, { R * C, ZERO, 0 }, { R, ZERO, 0 }, { R * C, REAL, 0 }, { R * C, ZERO, 0 }, { C, ZERO, 0 } },
    1 << 3 | 1 << 4 | 1 << 6 | 1 << 7, 3, 5, { { 0, 6 }, { 1, 7 } } },
  { "rope", rope, rope_backward, { { R * C, REAL, 0 }, { R, INDEX, 50 }, { 50 * D, POSITION, 0 }, { R * C, ZERO, 0 }, { R * C, REAL, 0 }, { R * C, ZERO, 0 } },
    1 << 3 | 1 << 5, 3, 4, { { 0, 5 } } },
  { "gelu", gelu, gelu_backward, { { R * C, REAL, 0 }, { R * C, ZERO, 0 }, { R * C, REAL, 0 }, { R * C, ZERO, 0 } }, 1 << 1 | 1 << 3, 1, 2, { { 0, 3 } } },
  { "quick-gelu", quick, quick_backward, { { R * C, REAL, 0 }, { R * C, ZERO, 0 }, { R * C, REAL, 0 }, { R * C, ZERO, 0 } }, 1 << 1 | 1 << 3, 1, 2, { { 0, 3 } } },
  { "silu", silu, silu_backward, { { R * C, REAL, 0 }, { R * C, ZERO, 0 }, { R * C, REAL, 0 }, { R * C, ZERO, 0 } }, 1 << 1 | 1 << 3, 1, 2, { { 0, 3 } } },
  { "swiglu", swiglu, swiglu_backward, { { 2 * R * C, REAL, 0 }, { R * C, ZERO, 0 }, { R * C, REAL, 0 }, { 2 * R * C, ZERO, 0 } }, 1 << 1 | 1 << 3, 1, 2, { { 0, 3 } } },
  { "attention", attention, attention_backward,
    { { R * (H * D + 5), REAL, 0 }, { KV * 2 * G * D, REAL, 0 }, { R, FIRST, 0 }, { R, LAST, 0 }, { R * H * D, ZERO, 0 }, { R * H, ZERO, 0 }, { R * H * D, REAL, 0 },
      { R * (H * D + 5), ZERO, 0 }, { KV * 2 * G * D, ZERO, 0 } },
    1 << 4 | 1 << 5 | 1 << 7 | 1 << 8, 4, 6, { { 0, 7 }, { 1, 8 } } },
  { "attention-long", attention_long, NULL,
    { { LONG_R * 128, REAL, 0 }, { LONG_KV * 128, REAL, 0 }, { LONG_R, TARGET, LONG_KV }, { LONG_R * 128, ZERO, 0 }, { LONG_R * 4, ZERO, 0 } }, 1 << 3 | 1 << 4, -1, 0, { { 0 } } },
  { "attention16-long", attention16_long, NULL,
    { { LONG_R * 128, REAL, 0 }, { LONG_KV * 128, REAL, 0 }, { LONG_R, TARGET, LONG_KV }, { LONG_R * 128, ZERO, 0 }, { LONG_R * 4, ZERO, 0 } }, 1 << 3 | 1 << 4, -1, 0, { { 0 } } },
  { "attention-blocks", attention_blocks, attention_blocks_backward,
    { { LONG_R * 128, REAL, 0 }, { LONG_KV * 128, REAL, 0 }, { LONG_R, TARGET, LONG_KV }, { LONG_R * 128, ZERO, 0 }, { LONG_R * 4, ZERO, 0 }, { LONG_R * 128, REAL, 0 },
      { LONG_R * 128, ZERO, 0 }, { LONG_KV * 128, ZERO, 0 } },
    1 << 6 | 1 << 7, -1, 0, { { 0 } } },
  { "attention16-blocks", attention16_blocks, attention16_blocks_backward,
    { { LONG_R * 128, REAL, 0 }, { LONG_KV * 128, REAL, 0 }, { LONG_R, TARGET, LONG_KV }, { LONG_R * 128, ZERO, 0 }, { LONG_R * 4, ZERO, 0 }, { LONG_R * 128, REAL, 0 },
      { LONG_R * 128, ZERO, 0 }, { LONG_KV * 128, ZERO, 0 } },
    1 << 6 | 1 << 7, -1, 0, { { 0 } } },
  { "attention16", attention16, attention16_backward,
    { { R * (H * D + 5), REAL, 0 }, { KV * 2 * G * D, REAL, 0 }, { R, FIRST, 0 }, { R, LAST, 0 }, { R * H * D, ZERO, 0 }, { R * H, ZERO, 0 }, { R * H * D, REAL, 0 },
      { R * (H * D + 5), ZERO, 0 }, { KV * 2 * G * D, ZERO, 0 } },
    1 << 4 | 1 << 5 | 1 << 7 | 1 << 8, -1, 0, { { 0 } } },
  { "add_rows", add_plain, add_plain_backward, { { 20 * C, REAL, 0 }, { R, INDEX, 20 }, { 1, REAL, 0 }, { R * C, REAL, 0 }, { R * C, REAL, 0 }, { 20 * C, ZERO, 0 } },
    1 << 3 | 1 << 5, 3, 4, { { 0, 5 } } },
  { "add_rows-tanh", add_tanh, add_tanh_backward,
    { { 20 * C, REAL, 0 }, { R, INDEX, 20 }, { 1, REAL, 0 }, { R * C, ZERO, 0 }, { R * C, REAL, 0 }, { 20 * C, ZERO, 0 }, { 1, ZERO, 0 } },
    1 << 3 | 1 << 5 | 1 << 6, 3, 4, { { 0, 5 }, { 2, 6 } } },
  { "add_rows-rest", add_rest, add_rest_backward,
    { { 20 * C, REAL, 0 }, { R, INDEX, 20 }, { 1, REAL, 0 }, { R * C, ZERO, 0 }, { R * C, REAL, 0 }, { 20 * C, ZERO, 0 }, { 1, ZERO, 0 } },
    1 << 3 | 1 << 5 | 1 << 6, 3, 4, { { 0, 5 }, { 2, 6 } } },
  { "add_rows-direct", add_direct, add_direct_backward,
    { { R * C, REAL, 0 }, { 1, INDEX, 1 }, { 1, REAL, 0 }, { R * C, ZERO, 0 }, { R * C, REAL, 0 }, { R * C, ZERO, 0 }, { 1, ZERO, 0 } },
    1 << 3 | 1 << 5 | 1 << 6, 3, 4, { { 0, 5 }, { 2, 6 } } },
  { "copy_2d", copy, NULL, { { R * C, REAL, 0 }, { R * C, REAL, 0 } }, 1 << 1, -1, 0, { { 0 } } },
  { "dropout", drop, drop_backward, { { R * C, REAL, 0 }, { R, INDEX, 1 << 30 }, { R * C, ZERO, 0 }, { R * C, REAL, 0 }, { R * C, ZERO, 0 } },
    1 << 2 | 1 << 4, 2, 3, { { 0, 4 } } },
  { "dropout-none", scale, NULL, { { R * C, REAL, 0 } }, 1 << 0, -1, 0, { { 0 } } },
  { "sum_rows", sum_rows, NULL, { { R * C, REAL, 0 }, { C, REAL, 0 } }, 1 << 1, -1, 0, { { 0 } } },
  /* d of the sum of losses: its dout is 1 for every row, which is what buffer 4 holds already. */
  { "cross_entropy", cross_entropy, nothing, { { R * C, REAL, 0 }, { R, TARGET, C }, { R, POSITIVE, 0 }, { R, ZERO, 0 }, { R * C, ZERO, 0 } }, 1 << 3 | 1 << 4, 3, -1, { { 0, 4 } } },
  { "adamw", adamw, NULL, { { R * C, REAL, 0 }, { R * C, REAL, 0 }, { R * C, REAL, 0 }, { R * C, POSITIVE, 0 } }, 1 << 0 | 1 << 2 | 1 << 3, -1, 0, { { 0 } } },
};

/* -- running --------------------------------------------------------------- */

static void
fill (const Op *op, guint i, float *values)
{
  VjRandom random;
  vj_random_init_named (&random, 3, op->name, "", i);
  gint32 *ints = (gint32 *) (void *) values;
  gsize n = op->buffers[i].n;
  for (gsize e = 0; e < n; e++)
    switch (op->buffers[i].fill) {
    case REAL: values[e] = (float) vj_random_normal (&random); break;
    case POSITIVE: values[e] = (float) vj_random_real (&random) + 0.1f; break;
    case POSITION: { /* half cosines, half sines, as a rotary table has them */
      double angle = (double) (e / D) * pow (0.5, (double) (e % (D / 2)));
      values[e] = (float) (e % D < D / 2 ? cos (angle) : sin (angle));
      break;
    }
    case INDEX: ints[e] = (gint32) vj_random_below (&random, (guint32) op->buffers[i].below + 1) - (op->buffers[i].below == 20 ? 1 : 0);
      ints[e] = MIN (ints[e], op->buffers[i].below - 1); break;
    case TARGET: ints[e] = (gint32) vj_random_below (&random, (guint32) op->buffers[i].below); break;
    case FIRST: ints[e] = (gint32) vj_random_below (&random, 6); break;
    case LAST: ints[e] = e % 7 == 3 ? 0 : (gint32) (6 + vj_random_below (&random, KV)); break; /* some see nothing */
    default: values[e] = 0;
    }
}

static void
open_buffers (const Op *op, const VjCompute *compute, Buffers *x)
{
  *x = (Buffers) { .compute = compute };
  for (guint i = 0; i < MAX_BUFFERS && op->buffers[i].n > 0; i++) {
    g_autofree float *values = g_new (float, op->buffers[i].n);
    x->n[i] = op->buffers[i].n;
    x->b[i] = compute->ops->alloc (compute->device, x->n[i] * 4, NULL);
    fill (op, i, values);
    compute->ops->upload (compute->device, x->b[i], values, x->n[i] * 4);
  }
}

static void
close_buffers (Buffers *x)
{
  for (guint i = 0; i < MAX_BUFFERS; i++)
    x->compute->ops->release (x->compute->device, x->b[i]);
}

static float *
get (const Buffers *x, guint i)
{
  float *values = g_new (float, x->n[i]);
  x->compute->ops->download (x->compute->device, values, x->b[i], x->n[i] * 4);
  return values;
}

static double
nmse (const float *have, const float *want, gsize n)
{
  double error = 0, power = 1e-30;
  for (gsize i = 0; i < n; i++) {
    error += ((double) have[i] - want[i]) * ((double) have[i] - want[i]);
    power += (double) want[i] * want[i];
  }
  return isfinite (error) ? error / power : HUGE_VAL;
}

static VjCompute *
open_compute (const char *name, guint threads)
{
  g_autoptr (GError) error = NULL;
  VjCompute *compute = vj_compute_open (name, threads, &error);
  g_assert_no_error (error);
  return compute;
}

/* One operation on a backend, with one and with three threads, against the reference. */
static double
worst_nmse (const Op *op, const char *backend)
{
  double worst = 0;
  g_autoptr (VjCompute) ref = open_compute ("ref", 1);
  Buffers want;
  open_buffers (op, ref, &want);
  op->forward (&want);
  if (op->backward != NULL)
    op->backward (&want);
  float *first[MAX_BUFFERS] = { NULL };
  for (guint threads = 1; threads <= 3; threads += 2) {
    g_autoptr (VjCompute) compute = open_compute (backend, threads);
    Buffers have;
    open_buffers (op, compute, &have);
    op->forward (&have);
    if (op->backward != NULL)
      op->backward (&have);
    for (guint i = 0; i < MAX_BUFFERS; i++)
      if (op->outputs >> i & 1) {
        g_autofree float *w = get (&want, i);
        float *h = get (&have, i);
        worst = MAX (worst, nmse (h, w, want.n[i]));
        if (threads == 1)
          first[i] = h;
        else {
          g_assert_cmpmem (h, have.n[i] * 4, first[i], have.n[i] * 4);
          g_free (h);
          g_free (first[i]);
        }
      }
    close_buffers (&have);
  }
  close_buffers (&want);
  return worst;
}

static void
test_backend (gconstpointer data)
{
  const char *backend = data;
  g_autoptr (VjCompute) present = open_or_skip (backend, 1);
  if (present == NULL)
    return;
  for (guint i = 0; i < G_N_ELEMENTS (ops); i++) {
    double worst = worst_nmse (&ops[i], backend);
    g_test_message ("%s on %s: normalised mean squared error %.1e", ops[i].name, backend, worst);
    /* Operands rounded to 8 bits: an error of 2^-9 / sqrt 3 each, in q, k, v and weights, is 4e-6 as a mean square.
     * Backward has twice as many: dout, the weights again, their gradient, and what forward made of it. */
    double most = !g_str_has_prefix (ops[i].name, "attention16") ? NMSE : ops[i].backward == NULL ? 2e-5 : 4e-5;
    g_assert_cmpfloat (worst, <=, most);
  }
}

/* sum over elements of dout x out, after forward with element e of buffer `of` set to `value`. */
static double
probe (const Op *op, Buffers *x, gint of, gsize e, float value, const float *dout)
{
  float old;
  VjF32 *at = vj_f32_at (x->b[of], e);
  x->compute->ops->download (x->compute->device, &old, at, 4);
  x->compute->ops->upload (x->compute->device, at, &value, 4);
  g_autofree float *start = g_new (float, x->n[op->out]);
  fill (op, (guint) op->out, start);
  x->compute->ops->upload (x->compute->device, x->b[op->out], start, x->n[op->out] * 4);
  op->forward (x);
  g_autofree float *out = get (x, (guint) op->out);
  double sum = 0;
  for (gsize i = 0; i < x->n[op->out]; i++)
    sum += (double) out[i] * (dout == NULL ? 1 : dout[i]);
  x->compute->ops->upload (x->compute->device, at, &old, 4);
  return sum;
}

static double
worst_difference (const Op *op, const VjCompute *ref, guint g)
{
  Buffers x;
  gint of = op->gradients[g].of;
  double error = 0, power = 0;
  VjRandom random;
  vj_random_init (&random, 9);
  open_buffers (op, ref, &x);
  op->forward (&x);
  op->backward (&x);
  g_autofree float *gradient = get (&x, (guint) op->gradients[g].to), *values = get (&x, (guint) of);
  g_autofree float *dout = op->dout < 0 ? NULL : get (&x, (guint) op->dout);
  for (guint i = 0; i < 60; i++) {
    gsize e = x.n[of] == 1 ? 0 : vj_random_below (&random, (guint32) x.n[of]);
    double step = 4e-3, up = probe (op, &x, of, e, values[e] + (float) step, dout), down = probe (op, &x, of, e, values[e] - (float) step, dout);
    double want = (up - down) / (double) ((values[e] + (float) step) - (values[e] - (float) step));
    error += (want - gradient[e]) * (want - gradient[e]);
    power += want * want;
  }
  close_buffers (&x);
  return sqrt (error / (power + 1e-12));
}

static void
test_gradients (void)
{
  g_autoptr (VjCompute) ref = open_compute ("ref", 1);
  for (guint i = 0; i < G_N_ELEMENTS (ops); i++)
    for (guint g = 0; ops[i].out >= 0 && g < 4 && ops[i].gradients[g].to > 0; g++) {
      double worst = worst_difference (&ops[i], ref, g);
      g_test_message ("%s: gradient of input %d against finite differences: %.1e", ops[i].name, ops[i].gradients[g].of, worst);
      g_assert_cmpfloat (worst, <=, 2e-3);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  plugins_offer ();
  add_for_cpus ("/compute/equals-reference", test_backend);
  g_test_add_data_func ("/compute/equals-reference/cublas-emulated", "cublas-emulated", test_backend);
  g_test_add_data_func ("/compute/equals-reference/cublas", "cublas", test_backend);
  g_test_add_func ("/compute/reference-gradients", test_gradients);
  return g_test_run ();
}
