/* Operations that stand for several: caches of keys and values, and products with what stands around them, give the bits that
 * the plain operations give, on every compute of a CPU and any number of threads. */
#include "compute/compute.h"
#include "base/random.h"
#include "tests/engine/plugins.h"

#include <math.h>
#include <string.h>

/* n random numbers on the device. */
static VjF32 *
numbers (const VjCompute *compute, const char *name, gsize n)
{
  VjRandom random;
  vj_random_init_named (&random, 5, name, "", 0);
  g_autofree float *values = g_new (float, n);
  for (gsize i = 0; i < n; i++)
    values[i] = (float) vj_random_normal (&random);
  VjF32 *memory = compute->ops->alloc (compute->device, n * 4, NULL);
  compute->ops->upload (compute->device, memory, values, n * 4);
  return memory;
}

static VjI32 *
indices (const VjCompute *compute, const gint32 *values, gsize n)
{
  VjI32 *memory = compute->ops->alloc (compute->device, n * 4, NULL);
  compute->ops->upload (compute->device, memory, values, n * 4);
  return memory;
}

static void
assert_same (const VjCompute *compute, const VjF32 *have, const VjF32 *want, gsize n)
{
  g_autofree float *h = g_new (float, n), *w = g_new (float, n);
  compute->ops->download (compute->device, h, have, n * 4);
  compute->ops->download (compute->device, w, want, n * 4);
  for (gsize i = 0; i < n; i++)
    g_assert_true (isfinite (w[i]));
  g_assert_cmpmem (h, n * 4, w, n * 4);
}

/* -- caches ------------------------------------------------------------------ */

#define HEADS 4
#define KV_HEADS 2
#define SEGMENTS 3

/* What was in a cache before is no number. */
static VjF32 *
new_cache (const VjCompute *compute, gsize tokens, gsize dim)
{
  gsize bytes = compute->ops->caches->bytes (compute->device, tokens, KV_HEADS, dim);
  g_assert_cmpuint (bytes % 64, ==, 0);
  g_autofree guint8 *waste = g_malloc (bytes);
  memset (waste, 0xff, bytes);
  VjF32 *cache = compute->ops->alloc (compute->device, bytes, NULL);
  compute->ops->upload (compute->device, cache, waste, bytes);
  return cache;
}

#define BEFORE 30 /* keys in front of those that are copied */

/* `count` keys and values into a cache, piece by piece, then to another one in two pieces, the second of which begins anywhere,
 * then there and back in whole units, as forks are copied. */
static VjF32 *
fill_cache (const VjCompute *compute, gsize dim, gsize count, gsize tokens, const VjF32 *k, const VjF32 *v, gsize ld, VjRandom *random)
{
  const VjCaches *caches = compute->ops->caches;
  gsize first_tokens = BEFORE + count, cut = count / 3;
  VjF32 *first = new_cache (compute, first_tokens, dim), *second = new_cache (compute, tokens, dim), *third = new_cache (compute, count + 1, dim);
  caches->store (compute->device, first, first_tokens, KV_HEADS, dim, 0, BEFORE, k, v, ld);
  for (gsize at = 0, n; at < count; at += n) {
    n = 1 + vj_random_below (random, at % 2 == 0 ? 3 : 300);
    n = MIN (n, count - at);
    caches->store (compute->device, first, first_tokens, KV_HEADS, dim, BEFORE + at, n, vj_f32_at (k, at * ld), vj_f32_at (v, at * ld), ld);
  }
  caches->copy (compute->device, KV_HEADS, dim, cut, first, first_tokens, BEFORE, second, tokens, 0);
  caches->copy (compute->device, KV_HEADS, dim, count - cut, first, first_tokens, BEFORE + cut, second, tokens, cut);
  caches->copy (compute->device, KV_HEADS, dim, count, second, tokens, 0, third, count + 1, 0);
  caches->copy (compute->device, KV_HEADS, dim, count, third, count + 1, 0, second, tokens, 0);
  compute->ops->release (compute->device, first);
  compute->ops->release (compute->device, third);
  return second;
}

/* Segment i has counts[i] queries, as many new keys and up to `unasked` more; the last `silent` segments have no queries. */
static void
check_caches (const VjCompute *compute, gsize dim, const gsize counts[SEGMENTS], const gsize kv_counts[SEGMENTS], gsize unasked, guint silent)
{
  gsize rows = 0, keys = 0, new_rows = 0, ld = 2 * KV_HEADS * dim + 3, width = HEADS * dim, q_counts[SEGMENTS], new_counts[SEGMENTS];
  VjAttentionSegment plain[SEGMENTS], cached[SEGMENTS];
  VjRandom random;
  vj_random_init (&random, dim);
  for (guint i = 0; i < SEGMENTS; i++) {
    new_counts[i] = MIN (counts[i] + unasked, kv_counts[i]);
    q_counts[i] = i + silent >= SEGMENTS ? 0 : counts[i];
    rows += q_counts[i];
    new_rows += new_counts[i];
    keys += kv_counts[i];
  }
  VjF32 *kv = numbers (compute, "kv", (keys + BEFORE) * ld), *q = numbers (compute, "q", (rows + SEGMENTS) * width), *fresh = numbers (compute, "new", new_rows * ld);
  VjF32 *want = numbers (compute, "out", (rows + SEGMENTS) * width), *have = numbers (compute, "out", (rows + SEGMENTS) * width);
  g_autofree gint32 *last = g_new0 (gint32, rows + 1);
  for (gsize i = 0, row = 0, key = 0, new_row = 0; i < SEGMENTS; row += q_counts[i], key += kv_counts[i], new_row += new_counts[i++]) {
    gsize past = kv_counts[i] - new_counts[i], tokens = kv_counts[i] + i * 37;
    VjF32 *k = vj_f32_at (kv, key * ld), *v = vj_f32_at (k, KV_HEADS * dim);
    cached[i] = (VjAttentionSegment) { .q_row = row, .q_count = q_counts[i], .kv_count = kv_counts[i], .cache_tokens = tokens, .new_row = new_row,
                                       .new_count = new_counts[i] };
    cached[i].cache = fill_cache (compute, dim, past, tokens, k, v, ld, &random);
    plain[i] = (VjAttentionSegment) { .q_row = row, .q_count = q_counts[i], .kv_count = kv_counts[i], .k = k, .v = v };
    compute->ops->copy_2d (compute->device, new_counts[i], 2 * KV_HEADS * dim, vj_f32_at (fresh, new_row * ld), ld, 1, vj_f32_at (k, past * ld), ld, 1, FALSE);
    for (gsize r = 0; r < q_counts[i]; r++)
      last[row + r] = (gint32) (kv_counts[i] - q_counts[i] + r + 1);
  }
  VjI32 *seen = indices (compute, last, rows + 1);
  VjAttention a = { .numbers = VJ_NUMBERS_BF16, .n_segments = SEGMENTS, .segments = plain, .heads = HEADS, .kv_heads = KV_HEADS, .head_dim = dim, .scale = 0.3f,
                    .q = q, .ld_q = width, .ld_kv = ld, .last = seen, .out = want };
  compute->ops->attention (compute->device, &a);
  a.segments = cached;
  a.new_k = fresh;
  a.new_v = vj_f32_at (fresh, KV_HEADS * dim);
  a.ld_new = ld;
  a.out = have;
  compute->ops->attention (compute->device, &a);
  assert_same (compute, have, want, rows * width);
  /* The new ones stay, those of segments that had no queries, too: now each has one that sees all. */
  for (guint i = 0; i < SEGMENTS; i++) {
    plain[i].q_row = cached[i].q_row = i;
    plain[i].q_count = cached[i].q_count = 1;
  }
  a.new_k = a.new_v = NULL;
  a.last = NULL;
  compute->ops->attention (compute->device, &a);
  a.segments = plain;
  a.out = want;
  compute->ops->attention (compute->device, &a);
  assert_same (compute, have, want, SEGMENTS * width);
  void *const memory[] = { kv, q, fresh, want, have, seen, cached[0].cache, cached[1].cache, cached[2].cache };
  for (guint i = 0; i < G_N_ELEMENTS (memory); i++)
    compute->ops->release (compute->device, memory[i]);
}

static void
test_caches (gconstpointer data)
{
  static const gsize dims[] = { 10, 16, 32, 40, 64 };
  static const gsize q_counts[][SEGMENTS] = { { 1, 1, 1 }, { 1, 20, 7 }, { 300, 1, 40 } };
  static const gsize kv_counts[][SEGMENTS] = { { 1, 75, 700 }, { 33, 20, 300 }, { 520, 257, 512 } };
  for (guint threads = 1; threads <= 3; threads += 2) {
    g_autoptr (VjCompute) compute = open_or_skip (data, threads);
    if (compute == NULL)
      return;
    for (guint d = 0; d < G_N_ELEMENTS (dims); d++)
      for (guint i = 0; i < G_N_ELEMENTS (q_counts); i++)
        for (guint silent = 0; silent <= SEGMENTS; silent++)
          for (gsize unasked = 0; unasked <= 40; unasked += unasked == 0 ? 1 : 39)
            check_caches (compute, dims[d], q_counts[i], kv_counts[i], unasked, silent);
  }
}

/* -- products ---------------------------------------------------------------- */

static const VjF32 *
made (const VjCompute *compute, const VjInput *x, gsize rows, gsize k, VjF32 *to)
{
  const VjComputeOps *ops = compute->ops;
  switch (x->kind) {
  case VJ_INPUT_RMS_NORM: ops->rms_norm (compute->device, rows, k, x->eps, x->x, x->w, to, NULL); break;
  case VJ_INPUT_LAYER_NORM: ops->layer_norm (compute->device, rows, k, x->eps, x->x, x->w, x->b, to, NULL); break;
  case VJ_INPUT_SWIGLU: ops->swiglu (compute->device, rows, k, x->x, to); break;
  case VJ_INPUT_ACTIVATION: ops->activation (compute->device, x->act, rows * k, x->x, to); break;
  default: return x->x;
  }
  return to;
}

/* By the plain operations. */
static void
product_apart (const VjCompute *compute, const VjProduct *p, gsize k, gsize n, VjF32 *y)
{
  const VjComputeOps *ops = compute->ops;
  VjF32 *input = ops->alloc (compute->device, p->rows * k * 4, NULL), *branch = ops->alloc (compute->device, p->rows * n * 4, NULL);
  ops->linear (compute->device, p->rows, made (compute, &p->input, p->rows, k, input), p->w, p->n_w, p->bias, branch, n);
  ops->zero (compute->device, y, p->rows * n * 4);
  if (p->add != NULL)
    ops->copy_2d (compute->device, p->rows, n, p->add, n, 1, y, n, 1, FALSE);
  ops->add_rows (compute->device, p->rows, n, branch, p->only, p->mode, p->gate, y);
  ops->release (compute->device, input);
  ops->release (compute->device, branch);
}

static void
check_product (const VjCompute *compute, VjNumbers of, gsize rows, gsize k, const gsize parts[2])
{
  const VjComputeOps *ops = compute->ops;
  gsize n = parts[0] + parts[1];
  VjF32 *x = numbers (compute, "x", rows * 2 * k), *norm = numbers (compute, "norm", k), *shift = numbers (compute, "shift", k);
  VjF32 *bias = numbers (compute, "bias", n), *add = numbers (compute, "add", rows * n), *gate = numbers (compute, "gate", 1);
  VjF32 *want = numbers (compute, "y", rows * n), *have = numbers (compute, "y", rows * n);
  g_autofree float *weights = g_new (float, n * k);
  VjRandom random;
  vj_random_init (&random, 8);
  for (gsize i = 0; i < n * k; i++)
    weights[i] = (float) vj_random_normal (&random);
  g_autofree guint16 *halves = g_new (guint16, n * k);
  for (gsize i = 0; i < n * k; i++)
    halves[i] = (guint16) (((const guint32 *) (gconstpointer) weights)[i] >> 16);
  VjMatrix *w[2];
  for (gsize i = 0, at = 0; i < 2; at += parts[i++] * k)
    w[i] = ops->matrix_new (compute->device, of, parts[i], k, of == VJ_NUMBERS_F32 ? (const void *) (weights + at) : halves + at, NULL);
  g_autofree gint32 *only = g_new (gint32, rows);
  for (gsize r = 0; r < rows; r++)
    only[r] = r % 3 == 1 ? -1 : (gint32) r;
  VjI32 *rows_only = indices (compute, only, rows);
  for (guint kind = VJ_INPUT_PLAIN; kind <= VJ_INPUT_ACTIVATION; kind++)
    for (guint around = 0; around < 4; around++) {
      VjProduct p = { .rows = rows, .input = { (VjInputKind) kind, x, norm, shift, 1e-5f, VJ_ACT_GELU }, .w = (const VjMatrix *const *) w, .n_w = 2, .bias = around % 2 ? bias : NULL,
                      .add = around > 0 ? add : NULL, .mode = around > 1 ? VJ_GATE_TANH : VJ_GATE_NONE, .gate = gate, .only = around == 3 ? rows_only : NULL, .y = have, .ldy = n };
      product_apart (compute, &p, k, n, want);
      ops->product (compute->device, &p);
      assert_same (compute, have, want, rows * n);
    }
  ops->finish (compute->device, NULL);
  void *const memory[] = { x, norm, shift, bias, add, gate, want, have, rows_only };
  for (guint i = 0; i < G_N_ELEMENTS (memory); i++)
    ops->release (compute->device, memory[i]);
  for (guint i = 0; i < 2; i++)
    ops->matrix_free (compute->device, w[i]);
}

static void
test_products (gconstpointer data)
{
  static const gsize rows[] = { 1, 16, 45, 100 }, depths[] = { 53, 64, 1100 }, parts[2] = { 70, 37 };
  for (guint threads = 1; threads <= 3; threads += 2) {
    g_autoptr (VjCompute) compute = open_or_skip (data, threads);
    if (compute == NULL)
      return;
    for (guint r = 0; r < G_N_ELEMENTS (rows); r++)
      for (guint d = 0; d < G_N_ELEMENTS (depths); d++) {
        check_product (compute, VJ_NUMBERS_BF16, rows[r], depths[d], parts);
        check_product (compute, VJ_NUMBERS_F32, rows[r], depths[d], parts);
      }
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  plugins_offer ();
  add_for_cpus ("/fused/caches", test_caches);
  add_for_cpus ("/fused/products", test_products);
  return g_test_run ();
}
