/* Attention on the CPU. An item of work is one key/value head of one segment: its keys and values are packed
 * once and serve every query head that reads them, in blocks of query rows. A row's scores, softmax and output
 * each run over its own keys in order, so nothing depends on the other rows of a block. */
#include "compute/cpu.h"
#include "compute/vector.h"

#define ROW_BLOCK 64

typedef struct {
  VjCpu *cpu;
  const VjAttention *a;
} Call;

static gsize
panels_of (gsize n)
{
  return (n + VJ_PANEL - 1) / VJ_PANEL;
}

/* [n keys, D] with leading dimension ld to panels of 32 keys, [panels][D][32]. */
static void
pack_transposed (const float *from, gsize ld, gsize n, gsize dim, float *to)
{
  for (gsize p = 0; p < panels_of (n); p++, to += dim * VJ_PANEL) {
    gsize part = MIN (VJ_PANEL, n - p * VJ_PANEL);
    if (part < VJ_PANEL)
      memset (to, 0, dim * VJ_PANEL * sizeof (float));
    vj_cpu_transpose (from + p * VJ_PANEL * ld, ld, part, dim, to, VJ_PANEL);
  }
}

/* [n rows, D] to panels of 32 columns, [panels][n][32]. */
static void
pack_plain (const float *from, gsize ld, gsize n, gsize dim, float *to)
{
  for (gsize p = 0; p < panels_of (dim); p++, to += n * VJ_PANEL) {
    gsize part = MIN (VJ_PANEL, dim - p * VJ_PANEL);
    for (gsize j = 0; j < n; j++) {
      memcpy (to + j * VJ_PANEL, from + j * ld + p * VJ_PANEL, part * sizeof (float));
      if (part < VJ_PANEL)
        memset (to + j * VJ_PANEL + part, 0, (VJ_PANEL - part) * sizeof (float));
    }
  }
}

static void
key_range (const VjAttention *a, const VjAttentionSegment *s, gsize row, gsize *ret_first, gsize *ret_last)
{
  *ret_first = a->first == NULL ? 0 : (gsize) CI (a->first)[row];
  *ret_last = a->last == NULL ? s->kv_count : MIN ((gsize) CI (a->last)[row], s->kv_count);
  if (*ret_first > *ret_last)
    *ret_first = *ret_last;
}

/* The keys that any of the rows sees end here. */
static gsize
block_end (const VjAttention *a, const VjAttentionSegment *s, gsize row, gsize n)
{
  gsize end = 0, first, last;
  for (gsize r = 0; r < n; r++) {
    key_range (a, s, row + r, &first, &last);
    end = MAX (end, last);
  }
  return end;
}

/* The lanes of the block at `j` that lie in [first, last). */
VJ_INLINE VI
seen_lanes (gsize j, gsize first, gsize last)
{
  return v_lanes (first > j ? (guint) (first - j) : 0, last - j < LANES ? (guint) (last - j) : LANES);
}

/* Scores of one row [0, width) become probabilities in place: zero outside [first, last). With `lse` given they
 * are exp (score - lse); else the softmax is taken and its lse returned. */
VJ_CLONES static float
softmax_row (float *x, gsize width, gsize first, gsize last, float scale, const float *lse)
{
  gsize begin = first / LANES * LANES, end = MIN (width, (last + LANES - 1) / LANES * LANES);
  VI lowest = (VI) v_set (-3e38f);
  V best = (V) lowest, total = v_set (0);
  if (first >= last) {
    memset (x, 0, width * sizeof (float));
    return 0;
  }
  for (gsize j = 0; j < begin; j += LANES)
    v_store (x + j, v_set (0));
  for (gsize j = end; j < width; j += LANES)
    v_store (x + j, v_set (0));
  for (gsize j = begin; lse == NULL && j < end; j += LANES) {
    VI in = seen_lanes (j, first, last);
    best = v_max (best, (V) (((VI) (v_load (x + j) * scale) & in) | (lowest & ~in)));
  }
  float top = lse == NULL ? v_largest (best) : *lse;
  for (gsize j = begin; j < end; j += LANES) {
    V p = (V) ((VI) v_exp (v_load (x + j) * scale - top) & seen_lanes (j, first, last));
    total += p;
    v_store (x + j, p);
  }
  if (lse != NULL)
    return top;
  float sum = v_sum (total), share = 1 / sum;
  for (gsize j = begin; j < end; j += LANES)
    v_store (x + j, v_load (x + j) * share);
  return top + logf (sum);
}

static void
attend_head (const Call *call, const VjAttentionSegment *s, gsize head, const float *keys, const float *values, float *scores)
{
  const VjAttention *a = call->a;
  gsize dim = a->head_dim;
  for (gsize r = 0; r < s->q_count; r += ROW_BLOCK) {
    gsize n = MIN (ROW_BLOCK, s->q_count - r), row = s->q_row + r, end = block_end (a, s, row, n), width = panels_of (end) * VJ_PANEL;
    for (gsize p = 0; p < panels_of (end); p++)
      vj_cpu_kernel (n, VJ_PANEL, dim, CF (a->q) + row * a->ld_q + head * dim, a->ld_q, 1, keys + p * dim * VJ_PANEL, NULL, FALSE,
                     scores + p * VJ_PANEL, width);
    for (gsize i = 0; i < n; i++) {
      gsize first, last;
      key_range (a, s, row + i, &first, &last);
      float lse = softmax_row (scores + i * width, width, first, last, a->scale, NULL);
      if (a->lse != NULL)
        F (a->lse)[(row + i) * a->heads + head] = lse;
    }
    for (gsize p = 0; p < panels_of (dim); p++)
      vj_cpu_kernel (n, MIN (VJ_PANEL, dim - p * VJ_PANEL), end, scores, width, 1, values + p * s->kv_count * VJ_PANEL, NULL, FALSE,
                     F (a->out) + (row * a->heads + head) * dim + p * VJ_PANEL, a->heads * dim);
  }
}

static void
attend (void *data, gsize item, guint worker)
{
  const Call *call = data;
  const VjAttention *a = call->a;
  const VjAttentionSegment *s = &a->segments[item / a->kv_heads];
  gsize g = item % a->kv_heads, group = a->heads / a->kv_heads, dim = a->head_dim, width = panels_of (s->kv_count) * VJ_PANEL;
  gsize key_size = width * dim, value_size = panels_of (dim) * VJ_PANEL * s->kv_count;
  float *keys = vj_cpu_scratch (call->cpu, worker, key_size + value_size + ROW_BLOCK * width);
  pack_transposed (CF (s->k) + g * dim, a->ld_kv, s->kv_count, dim, keys);
  pack_plain (CF (s->v) + g * dim, a->ld_kv, s->kv_count, dim, keys + key_size);
  for (gsize h = 0; h < group; h++)
    attend_head (call, s, g * group + h, keys, keys + key_size, keys + key_size + value_size);
}

void
vj_cpu_attention (void *device, const VjAttention *attention)
{
  Call call = { device, attention };
  vj_pool_run (call.cpu->pool, attention->n_segments * attention->kv_heads, attend, &call);
}

/* -- backward -------------------------------------------------------------- */

/* t [0, width) = dout . v_j  becomes  ds_j = scale p_j (t_j - delta). */
VJ_CLONES static void
score_gradient_row (float *t, const float *p, gsize width, float delta, float scale)
{
  for (gsize j = 0; j < width; j += LANES)
    v_store (t + j, v_load (p + j) * (v_load (t + j) - delta) * scale);
}

VJ_CLONES static float
dot_row (const float *x, const float *y, gsize n)
{
  V sum = v_set (0);
  gsize i = 0;
  for (; i + LANES <= n; i += LANES)
    sum += v_load (x + i) * v_load (y + i);
  if (i < n)
    sum += v_load_part (x + i, n - i) * v_load_part (y + i, n - i);
  return v_sum (sum);
}

typedef struct {
  float *keys, *values;             /* panels of keys transposed, of values transposed */
  float *key_rows;                  /* panels of key columns                            */
  float *p, *t;                     /* [ROW_BLOCK, width]                               */
  float *queries, *douts;           /* panels of the block's query and dout columns     */
} Packed;

/* c[kv, D] (+)= x[rows, kv]^T b, b packed. */
static void
add_transposed (gsize kv, gsize dim, gsize rows, const float *x, gsize width, const float *b, gboolean add, float *c, gsize ldc)
{
  for (gsize p = 0; p < panels_of (dim); p++)
    vj_cpu_kernel (kv, MIN (VJ_PANEL, dim - p * VJ_PANEL), rows, x, 1, width, b + p * rows * VJ_PANEL, NULL, add, c + p * VJ_PANEL, ldc);
}

static void
backward_block (const VjAttention *a, const VjAttentionSegment *s, gsize head, gsize r, gboolean add, const Packed *k)
{
  gsize dim = a->head_dim, kv = s->kv_count, width = panels_of (kv) * VJ_PANEL, n = MIN (ROW_BLOCK, s->q_count - r), row = s->q_row + r;
  gsize g = head / (a->heads / a->kv_heads) * dim, ld = a->heads * dim;
  const float *q = CF (a->q) + row * a->ld_q + head * dim, *dout = CF (a->dout) + row * ld + head * dim, *out = CF (a->out) + row * ld + head * dim;
  for (gsize p = 0; p < panels_of (kv); p++) {
    vj_cpu_kernel (n, VJ_PANEL, dim, q, a->ld_q, 1, k->keys + p * dim * VJ_PANEL, NULL, FALSE, k->p + p * VJ_PANEL, width);
    vj_cpu_kernel (n, VJ_PANEL, dim, dout, ld, 1, k->values + p * dim * VJ_PANEL, NULL, FALSE, k->t + p * VJ_PANEL, width);
  }
  for (gsize i = 0; i < n; i++) {
    gsize first, last;
    key_range (a, s, row + i, &first, &last);
    softmax_row (k->p + i * width, width, first, last, a->scale, &CF (a->lse)[(row + i) * a->heads + head]);
    score_gradient_row (k->t + i * width, k->p + i * width, width, dot_row (dout + i * ld, out + i * ld, dim), a->scale);
  }
  pack_plain (q, a->ld_q, n, dim, k->queries);
  pack_plain (dout, ld, n, dim, k->douts);
  add_transposed (kv, dim, n, k->p, width, k->douts, add, F (s->dv) + g, a->ld_dkv);
  add_transposed (kv, dim, n, k->t, width, k->queries, add, F (s->dk) + g, a->ld_dkv);
  for (gsize p = 0; p < panels_of (dim); p++)
    vj_cpu_kernel (n, MIN (VJ_PANEL, dim - p * VJ_PANEL), kv, k->t, width, 1, k->key_rows + p * kv * VJ_PANEL, NULL, FALSE,
                   F (a->dq) + row * a->ld_dq + head * dim + p * VJ_PANEL, a->ld_dq);
}

static void
attend_backward (void *data, gsize item, guint worker)
{
  const Call *call = data;
  const VjAttention *a = call->a;
  const VjAttentionSegment *s = &a->segments[item / a->kv_heads];
  gsize g = item % a->kv_heads, group = a->heads / a->kv_heads, dim = a->head_dim, width = panels_of (s->kv_count) * VJ_PANEL;
  gsize turned = width * dim, rows = panels_of (dim) * VJ_PANEL * s->kv_count, block = ROW_BLOCK * width, side = panels_of (dim) * VJ_PANEL * ROW_BLOCK;
  float *at = vj_cpu_scratch (call->cpu, worker, 2 * turned + rows + 2 * block + 2 * side);
  Packed k = { .keys = at, .values = at + turned, .key_rows = at + 2 * turned, .p = at + 2 * turned + rows, .t = at + 2 * turned + rows + block };
  k.queries = k.t + block;
  k.douts = k.queries + side;
  pack_transposed (CF (s->k) + g * dim, a->ld_kv, s->kv_count, dim, k.keys);
  pack_transposed (CF (s->v) + g * dim, a->ld_kv, s->kv_count, dim, k.values);
  pack_plain (CF (s->k) + g * dim, a->ld_kv, s->kv_count, dim, k.key_rows);
  for (gsize h = 0; h < group; h++)
    for (gsize r = 0; r < s->q_count; r += ROW_BLOCK)
      backward_block (a, s, g * group + h, r, h > 0 || r > 0, &k);
}

void
vj_cpu_attention_backward (void *device, const VjAttention *attention)
{
  Call call = { device, attention };
  vj_pool_run (call.cpu->pool, attention->n_segments * attention->kv_heads, attend_backward, &call);
}
