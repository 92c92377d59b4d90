/* The cublas compute beyond the conformance table of test-compute: shapes of several tiles, chunks and blocks, many
 * segments, special values. Every case runs on the reference, on the emulated GPU with its threads in three orders (other
 * bits in another order mean a race), and on a real GPU when there is one. */
#include "compute/compute.h"
#include "base/random.h"
#include "tests/engine/plugins.h"

#include <math.h>

#define NMSE 1e-11

/* -- one case on one compute -------------------------------------------------- */

/* Buffers come in the same order with the same contents on every compute. */
typedef struct {
  VjCompute *compute;
  GPtrArray *memory;
  GPtrArray *results; /* of Result */
  VjRandom random;
} Bench;

typedef struct {
  gsize n;
  float values[];
} Result;

#define CALL(op, ...) b->compute->ops->op (b->compute->device, __VA_ARGS__)

static void *
place (Bench *b, const void *values, gsize n)
{
  void *memory = b->compute->ops->alloc (b->compute->device, n * 4, NULL);
  g_assert_nonnull (memory);
  CALL (upload, memory, values, n * 4);
  g_ptr_array_add (b->memory, memory);
  return memory;
}

static VjF32 *
real (Bench *b, gsize n)
{
  g_autofree float *values = g_new (float, n);
  for (gsize i = 0; i < n; i++)
    values[i] = (float) vj_random_normal (&b->random);
  return place (b, values, n);
}

/* In [from, below). */
static VjI32 *
whole (Bench *b, gsize n, gint32 from, gint32 below)
{
  g_autofree gint32 *values = g_new (gint32, n);
  for (gsize i = 0; i < n; i++)
    values[i] = from + (gint32) vj_random_below (&b->random, (guint32) (below - from));
  return place (b, values, n);
}

static void
result (Bench *b, const VjF32 *from, gsize n)
{
  Result *r = g_malloc (sizeof (Result) + n * sizeof (float));
  r->n = n;
  CALL (download, r->values, from, n * 4);
  g_ptr_array_add (b->results, r);
}

/* -- cases ---------------------------------------------------------------------- */

enum { ROWS = 35, COLS = 1100 }; /* several chunks and stripes with tails */

static void
norms (Bench *b)
{
  VjF32 *x = real (b, ROWS * COLS), *w = real (b, COLS), *bias = real (b, COLS), *y = real (b, ROWS * COLS), *stats = real (b, ROWS * 2);
  VjF32 *dy = real (b, ROWS * COLS), *dx = real (b, ROWS * COLS), *dw = real (b, COLS), *db = real (b, COLS);
  CALL (layer_norm, ROWS, COLS, 1e-5f, x, w, bias, y, stats);
  CALL (layer_norm_backward, ROWS, COLS, x, w, stats, dy, dx, dw, db);
  CALL (layer_norm_backward, ROWS, COLS, x, w, stats, dy, dx, NULL, NULL);
  CALL (layer_norm_backward, ROWS, COLS, x, w, stats, dy, NULL, dw, db);
  result (b, y, ROWS * COLS);
  CALL (rms_norm, ROWS, COLS, 1e-5f, x, w, y, stats);
  CALL (rms_norm_backward, ROWS, COLS, x, w, stats, dy, dx, dw);
  CALL (rms_norm_backward, ROWS, COLS, x, w, stats, dy, dx, NULL);
  CALL (rms_norm_backward, ROWS, COLS, x, w, stats, dy, NULL, dw);
  CALL (sum_rows, ROWS, COLS, dy, db);
  result (b, y, ROWS * COLS);
  CALL (rms_norm, ROWS * 11, 100, 1e-5f, x, w, y, NULL);
  result (b, y, ROWS * COLS);
  result (b, dx, ROWS * COLS);
  result (b, dw, COLS);
  result (b, db, COLS);
}

static void
rows_and_elements (Bench *b)
{
  VjF32 *x = real (b, 2 * ROWS * COLS), *y = real (b, ROWS * COLS), *dy = real (b, ROWS * COLS), *dx = real (b, 2 * ROWS * COLS);
  VjF32 *table = real (b, 90 * 60), *wide = real (b, 6 * ROWS * COLS);
  CALL (swiglu, ROWS, COLS, x, y);
  result (b, y, ROWS * COLS);
  CALL (swiglu_backward, ROWS, COLS, x, dy, dx);
  result (b, dx, 2 * ROWS * COLS);
  CALL (rope, ROWS, 18, 60, x, COLS, whole (b, ROWS, 0, 90), table, FALSE);
  CALL (rope, ROWS, 17, 60, x, COLS, whole (b, ROWS, 0, 90), table, TRUE);
  result (b, x, ROWS * COLS);
  CALL (copy_2d, ROWS, COLS, x, COLS, 1, wide, 6 * COLS, 6, FALSE);
  CALL (copy_2d, ROWS, COLS, wide, 6 * COLS, 6, y, COLS, 1, TRUE);
  CALL (copy_2d, 1, ROWS * COLS, y, ROWS * COLS, 1, dy, ROWS * COLS, 1, FALSE);
  result (b, dy, ROWS * COLS);
  CALL (dropout, ROWS, COLS, 0.4f, 1.5f, whole (b, ROWS, 0, 1 << 30), 3, y, dy, TRUE);
  CALL (dropout, ROWS, COLS, 0, 0.5f, NULL, 0, dy, dy, FALSE);
  result (b, dy, ROWS * COLS);
}

/* More elements than one turn of the largest grid takes. */
static void
long_buffers (Bench *b)
{
  const gsize n = 8192 * 256 + 77;
  VjAdamw o = { .learning_rate = 0.01f, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f, .weight_decay = 0.1f, .grad_scale = 0.5f,
                .correction1 = 0.19f, .correction2 = 0.002f };
  VjF32 *x = real (b, n), *y = real (b, n), *m = real (b, n), *v = real (b, n);
  CALL (activation, VJ_ACT_QUICK_GELU, n, x, y);
  result (b, vj_f32_at (y, n - 5000), 5000);
  CALL (activation_backward, VJ_ACT_QUICK_GELU, n, x, x, v); /* v: not below zero */
  CALL (activation, VJ_ACT_GELU, n, x, v);
  CALL (copy_2d, 1, n, v, n, 1, m, n, 1, FALSE);
  CALL (zero, v, n * 4);
  CALL (adamw, n, &o, y, x, m, v);
  result (b, vj_f32_at (y, n - 5000), 5000);
  result (b, vj_f32_at (m, n - 5000), 5000);
  result (b, vj_f32_at (v, n - 5000), 5000);
  float square = (float) CALL (sum_squares, n, x);
  result (b, place (b, &square, 1), 1);
}

static void
scatters (Bench *b)
{
  VjF32 *table = real (b, 40 * COLS), *gate = real (b, 1), *y = real (b, 300 * COLS), *dy = real (b, 300 * COLS);
  VjF32 *d_table = real (b, 40 * COLS), *d_gate = real (b, 1);
  VjI32 *index = whole (b, 300, -1, 40), *same = whole (b, 300, 7, 8), *none = whole (b, 300, -1, 0);
  CALL (add_rows, 300, COLS, table, index, VJ_GATE_ONE_MINUS_TANH, gate, y);
  CALL (add_rows, 300, COLS, table, none, VJ_GATE_NONE, NULL, y);
  CALL (add_rows_backward, 300, COLS, table, index, VJ_GATE_ONE_MINUS_TANH, gate, dy, d_table, d_gate);
  CALL (add_rows_backward, 300, COLS, table, same, VJ_GATE_TANH, gate, dy, d_table, d_gate);
  CALL (add_rows_backward, 300, COLS, table, none, VJ_GATE_TANH, gate, dy, d_table, d_gate);
  CALL (add_rows_backward, 300, COLS, table, index, VJ_GATE_TANH, gate, dy, NULL, d_gate);
  CALL (add_rows_backward, 300, COLS, NULL, index, VJ_GATE_NONE, NULL, dy, d_table, NULL);
  result (b, y, 300 * COLS);
  result (b, d_table, 40 * COLS);
  result (b, d_gate, 1);
}

static void
losses (Bench *b)
{
  VjF32 *logits = real (b, ROWS * COLS), *loss = real (b, ROWS), *weight = real (b, ROWS);
  CALL (cross_entropy, ROWS, COLS, logits, whole (b, ROWS, 0, COLS), weight, loss);
  result (b, logits, ROWS * COLS);
  result (b, loss, ROWS);
}

/* Values where rounding to bfloat16 is decided by a bit, and those that are no numbers. */
static void
roundings (Bench *b)
{
  static const guint32 bits[] = { 0x3f808000, 0x3f818000, 0x3f808001, 0x3f807fff, 0xbf808000, 0x7f7fffff, 0xff7f8000, 0x00000000, 0x80000000, 0x3fffffff };
  const gsize n = G_N_ELEMENTS (bits);
  const float one = 1;
  VjF32 *x = place (b, bits, n), *unit = place (b, &one, 1), *y = real (b, n);
  VjGemm gemm = { .numbers = VJ_NUMBERS_BF16, .m = n, .n = 1, .k = 1, .a = x, .lda = 1, .b = unit, .ldb = 1, .c = y, .ldc = 1 };
  CALL (gemm, &gemm);
  g_autofree guint32 *have = g_new (guint32, n);
  CALL (download, have, y, n * 4);
  static const guint32 want[] = { 0x3f800000, 0x3f820000, 0x3f810000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x00000000, 0x00000000, 0x40000000 };
  for (gsize i = 0; i < n; i++)
    g_assert_cmphex (have[i] & (i == 8 ? 0x7fffffff : 0xffffffff), ==, want[i]);
  static const guint32 not_numbers[] = { 0x7f800001, 0xffffffff, 0x7fc00000 };
  gemm.m = G_N_ELEMENTS (not_numbers);
  gemm.a = place (b, not_numbers, gemm.m);
  CALL (gemm, &gemm);
  float none[G_N_ELEMENTS (not_numbers)];
  CALL (download, none, y, sizeof none);
  for (gsize i = 0; i < gemm.m; i++)
    g_assert_true (isnan (none[i]));
}

static void
products (Bench *b)
{
  g_autofree float *host = g_new (float, 61 * 90);
  VjF32 *x = real (b, 90 * 90), *bias = real (b, 61), *y = real (b, 90 * 150);
  for (gsize i = 0; i < 61 * 90; i++)
    host[i] = (float) vj_random_normal (&b->random);
  for (VjNumbers numbers = VJ_NUMBERS_F32; numbers <= VJ_NUMBERS_BF16; numbers++) {
    g_autofree guint16 *halves = g_new (guint16, 61 * 90);
    for (gsize i = 0; i < 61 * 90; i++)
      halves[i] = (guint16) (((const guint32 *) (const void *) host)[i] >> 16);
    const guint8 *from = numbers == VJ_NUMBERS_F32 ? (const void *) host : halves;
    gsize row = 90 * (numbers == VJ_NUMBERS_F32 ? 4 : 2);
    VjMatrix *w[3] = { b->compute->ops->matrix_new (b->compute->device, numbers, 40, 90, from, NULL),
                       b->compute->ops->matrix_new (b->compute->device, numbers, 1, 90, from + 40 * row, NULL),
                       b->compute->ops->matrix_new (b->compute->device, numbers, 20, 90, from + 41 * row, NULL) };
    CALL (linear, 90, x, (const VjMatrix *const *) w, 3, bias, y, 150);
    CALL (linear, 1, x, (const VjMatrix *const *) w, 3, NULL, vj_f32_at (y, 70), 61);
    CALL (linear, 0, x, (const VjMatrix *const *) w, 3, bias, y, 150);
    /* c has wider lines than it has columns, gains the product, and has a bias. */
    VjGemm gemm = { .ta = TRUE, .numbers = numbers, .m = 30, .n = 50, .k = 80, .a = x, .lda = 90, .b = vj_f32_at (x, 7), .ldb = 90, .bias = bias,
                    .beta = 1, .c = vj_f32_at (y, 80), .ldc = 150 };
    CALL (gemm, &gemm);
    gemm.k = 0;
    gemm.beta = 0;
    gemm.m = 3;
    gemm.c = vj_f32_at (y, 50 * 150);
    CALL (gemm, &gemm);
    result (b, y, 90 * 150);
    for (guint i = 0; i < 3; i++)
      CALL (matrix_free, w[i]);
  }
}

/* -- attention --------------------------------------------------------------------- */

typedef struct {
  gsize heads, kv_heads, dim, n_segments;
  gsize q_count[3], kv_count[3]; /* segment i has those of i modulo 3 */
  gint32 first_below, last_from; /* ranges: first in [0, first_below), last from last_from; 0: none given */
  gboolean causal;               /* a row sees the keys up to its own number */
} Shape;

static VjI32 *
causal_last (Bench *b, const VjAttentionSegment *segments, gsize n, gsize rows)
{
  g_autofree gint32 *last = g_new (gint32, rows);
  for (gsize i = 0, at = 0; i < n; i++)
    for (gsize r = 0; r < segments[i].q_count; r++)
      last[at++] = (gint32) r + 1;
  return place (b, last, rows);
}

static void
attend (Bench *b, const Shape *s)
{
  gsize rows = 0, keys = 0, width = s->heads * s->dim + 3, kv_width = s->kv_heads * s->dim * 2;
  g_autofree VjAttentionSegment *segments = g_new0 (VjAttentionSegment, s->n_segments);
  for (gsize i = 0; i < s->n_segments; i++) {
    segments[i] = (VjAttentionSegment) { .q_row = rows, .q_count = s->q_count[i % 3], .kv_count = s->kv_count[i % 3] };
    rows += segments[i].q_count;
    keys += segments[i].kv_count;
  }
  VjF32 *q = real (b, rows * width), *kv = real (b, keys * kv_width), *d_kv = real (b, keys * kv_width), *dq = real (b, rows * width);
  VjF32 *out = real (b, rows * s->heads * s->dim), *lse = real (b, rows * s->heads), *dout = real (b, rows * s->heads * s->dim);
  keys = 0;
  for (gsize i = 0; i < s->n_segments; keys += segments[i++].kv_count) {
    segments[i].k = vj_f32_at (kv, keys * kv_width);
    segments[i].v = vj_f32_at (segments[i].k, s->kv_heads * s->dim);
    segments[i].dk = vj_f32_at (d_kv, keys * kv_width);
    segments[i].dv = vj_f32_at (segments[i].dk, s->kv_heads * s->dim);
  }
  VjAttention a = { .n_segments = s->n_segments, .segments = segments, .heads = s->heads, .kv_heads = s->kv_heads, .head_dim = s->dim,
                    .scale = 1 / sqrtf ((float) s->dim), .q = q, .ld_q = width, .ld_kv = kv_width, .out = out, .lse = lse, .dout = dout, .dq = dq,
                    .ld_dq = width, .ld_dkv = kv_width };
  if (s->first_below > 0)
    a.first = whole (b, rows, 0, s->first_below);
  if (s->last_from > 0)
    a.last = whole (b, rows, s->last_from, (gint32) (s->kv_count[0] + 20));
  if (s->causal)
    a.last = causal_last (b, segments, s->n_segments, rows);
  CALL (attention, &a);
  CALL (attention_backward, &a);
  result (b, out, rows * s->heads * s->dim);
  result (b, lse, rows * s->heads);
  result (b, dq, rows * width);
  result (b, d_kv, keys * kv_width);
  a.lse = NULL;
  CALL (attention, &a);
}

static void attention_long (Bench *b) { attend (b, &(Shape) { 4, 2, 80, 1, { 150 }, { 200 }, 130, 64, FALSE }); }
static void attention_full (Bench *b) { attend (b, &(Shape) { 2, 2, 128, 2, { 70, 20 }, { 129, 64 }, 0, 0, FALSE }); }
static void attention_odd (Bench *b) { attend (b, &(Shape) { 3, 1, 7, 3, { 65, 64, 1 }, { 63, 65, 1 }, 70, 1, FALSE }); }
/* Tiles of rows that see nothing of a tile of keys come before those that do. */
static void attention_causal (Bench *b) { attend (b, &(Shape) { 2, 1, 20, 1, { 150 }, { 150 }, 0, 0, TRUE }); }
/* More segments than one start takes; some without rows, some without keys; narrow and wide ones mixed. */
static void attention_many (Bench *b) { attend (b, &(Shape) { 4, 1, 16, 70, { 1, 20, 0 }, { 70, 0, 5 }, 3, 5, FALSE }); }

/* -- running -------------------------------------------------------------------- */

static const struct {
  const char *name;
  void (*run) (Bench *b);
} cases[] = {
  { "norms", norms }, { "rows-and-elements", rows_and_elements }, { "long-buffers", long_buffers }, { "scatters", scatters }, { "losses", losses },
  { "roundings", roundings }, { "products", products }, { "attention-long", attention_long }, { "attention-full", attention_full },
  { "attention-odd", attention_odd }, { "attention-causal", attention_causal }, { "attention-many", attention_many },
};

static GPtrArray *
run (guint which, const char *name, guint threads)
{
  g_autoptr (GError) error = NULL;
  Bench b = { vj_compute_open (name, threads, &error), g_ptr_array_new (), g_ptr_array_new_with_free_func (g_free), { { 0 } } };
  g_assert_no_error (error);
  vj_random_init_named (&b.random, 5, cases[which].name, "", 0);
  cases[which].run (&b);
  b.compute->ops->finish (b.compute->device, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < b.memory->len; i++)
    b.compute->ops->release (b.compute->device, b.memory->pdata[i]);
  g_ptr_array_unref (b.memory);
  vj_compute_close (b.compute);
  return b.results;
}

/* The worst of all results. */
static double
worst_nmse (const GPtrArray *have, const GPtrArray *want)
{
  double worst = 0;
  g_assert_cmpuint (have->len, ==, want->len);
  for (guint k = 0; k < have->len; k++) {
    const Result *h = have->pdata[k], *w = want->pdata[k];
    double error = 0, power = 1e-30;
    for (gsize i = 0; i < w->n; i++) {
      error += ((double) h->values[i] - w->values[i]) * ((double) h->values[i] - w->values[i]);
      power += (double) w->values[i] * w->values[i];
    }
    worst = MAX (worst, isfinite (error) ? error / power : HUGE_VAL);
  }
  return worst;
}

static void
check_case (guint which, const char *compute)
{
  g_autoptr (GPtrArray) want = run (which, "ref", 1), first = NULL;
  for (guint threads = 1; threads <= 3; threads++) {
    g_autoptr (GPtrArray) have = run (which, compute, threads);
    double worst = worst_nmse (have, want);
    g_test_message ("%s on %s, order %u: normalised mean squared error %.1e", cases[which].name, compute, threads, worst);
    g_assert_cmpfloat (worst, <=, NMSE);
    if (first == NULL)
      first = g_ptr_array_ref (have);
    for (guint k = 0; k < have->len; k++) {
      const Result *h = have->pdata[k], *f = first->pdata[k];
      g_assert_cmpmem (h->values, h->n * 4, f->values, f->n * 4);
    }
  }
}

static void
test_emulated (gconstpointer data)
{
  check_case (GPOINTER_TO_UINT (data), "cublas-emulated");
}

static void
test_real (gconstpointer data)
{
  g_autofree char *missing = compute_missing ("cublas");
  if (missing != NULL)
    g_test_skip (missing);
  else
    check_case (GPOINTER_TO_UINT (data), "cublas");
}

/* A query row's output has the same bits in a narrow tile and in a wide one, whatever else the tile holds. */
static void
test_rows_alone (void)
{
  enum { Q = 100, KEYS = 150, H = 2, D = 24 };
  Bench bench = { vj_compute_open ("cublas-emulated", 1, NULL), g_ptr_array_new (), NULL, { { 0 } } }, *b = &bench;
  vj_random_init (&b->random, 8);
  VjF32 *q = real (b, Q * H * D), *k = real (b, KEYS * D), *v = real (b, KEYS * D), *out = real (b, Q * H * D);
  VjI32 *first = whole (b, Q, 0, 90), *last = whole (b, Q, 60, KEYS + 1);
  VjAttentionSegment segment = { .q_count = Q, .kv_count = KEYS, .k = k, .v = v };
  VjAttention a = { .n_segments = 1, .segments = &segment, .heads = H, .kv_heads = 1, .head_dim = D, .scale = 0.4f, .q = q, .ld_q = H * D, .ld_kv = D,
                    .first = first, .last = last, .out = out };
  g_autofree float *all = g_new (float, Q * H * D), *some = g_new (float, Q * H * D);
  CALL (attention, &a);
  CALL (download, all, out, Q * H * D * 4);
  for (gsize n = 1; n <= 65; n = n * 2 + 1)
    for (gsize from = 0; from + n <= Q; from += 13) {
      segment.q_row = from;
      segment.q_count = n;
      CALL (attention, &a);
      CALL (download, some, vj_f32_at (out, from * H * D), n * H * D * 4);
      g_assert_cmpmem (some, n * H * D * 4, all + from * H * D, n * H * D * 4);
    }
  for (guint i = 0; i < b->memory->len; i++)
    CALL (release, b->memory->pdata[i]);
  g_ptr_array_unref (b->memory);
  vj_compute_close (b->compute);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  plugins_offer ();
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *emulated = g_strconcat ("/cublas/equals-reference/emulated/", cases[i].name, NULL);
    g_autofree char *on_gpu = g_strconcat ("/cublas/equals-reference/gpu/", cases[i].name, NULL);
    g_test_add_data_func (emulated, GUINT_TO_POINTER (i), test_emulated);
    g_test_add_data_func (on_gpu, GUINT_TO_POINTER (i), test_real);
  }
  g_test_add_func ("/cublas/attention-rows-alone", test_rows_alone);
  return g_test_run ();
}
