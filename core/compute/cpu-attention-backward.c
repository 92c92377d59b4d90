/* Attention backward on the CPU. An item of work is one key/value head of one segment; the scores of a block of query rows
 * are made again from the forward pass's lse, over all keys. */
#include "compute/attention.h"
#include "compute/bf16.h"

/* Scores of one row [0, width) become probabilities exp (score - lse): zero outside [first, last). */
VJ_CLONES static void
probability_row (float *x, gsize width, gsize first, gsize last, float scale, float lse)
{
  gsize begin = MIN (width, first / LANES * LANES), end = first < last ? MIN (width, (last + LANES - 1) / LANES * LANES) : begin;
  for (gsize j = 0; j < begin; j += LANES)
    v_store (x + j, v_set (0));
  for (gsize j = end; j < width; j += LANES)
    v_store (x + j, v_set (0));
  for (gsize j = begin; j < end; j += LANES)
    v_store (x + j, (V) ((VI) v_exp (v_load (x + j) * scale - lse) & seen_lanes (j, first, last)));
}

/* t [0, width) = dout . v_j  becomes  ds_j = scale p_j (t_j - delta). */
VJ_CLONES static void
score_gradient_row (float *t, const float *p, gsize width, float delta, float scale)
{
  for (gsize j = 0; j < width; j += LANES)
    v_store (t + j, v_load (p + j) * (v_load (t + j) - delta) * scale);
}

VJ_CLONES float
vj_cpu_dot (const float *x, const float *y, gsize n)
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
    vj_cpu_kernel (kv, MIN (VJ_PANEL, dim - p * VJ_PANEL), rows, x, 1, width, b + p * rows * VJ_PANEL, VJ_PANEL, NULL, add, c + p * VJ_PANEL, ldc);
}

static void
backward_block (const VjAttention *a, const VjAttentionSegment *s, gsize head, gsize r, gboolean add, const Packed *k)
{
  gsize dim = a->head_dim, kv = s->kv_count, width = panels_of (kv) * VJ_PANEL, n = MIN (ROW_BLOCK, s->q_count - r), row = s->q_row + r;
  gsize g = head / (a->heads / a->kv_heads) * dim, ld = a->heads * dim;
  const float *q = CF (a->q) + row * a->ld_q + head * dim, *dout = CF (a->dout) + row * ld + head * dim, *out = CF (a->out) + row * ld + head * dim;
  for (gsize p = 0; p < panels_of (kv); p++) {
    vj_cpu_kernel (n, VJ_PANEL, dim, q, a->ld_q, 1, k->keys + p * dim * VJ_PANEL, VJ_PANEL, NULL, FALSE, k->p + p * VJ_PANEL, width);
    vj_cpu_kernel (n, VJ_PANEL, dim, dout, ld, 1, k->values + p * dim * VJ_PANEL, VJ_PANEL, NULL, FALSE, k->t + p * VJ_PANEL, width);
  }
  for (gsize i = 0; i < n; i++) {
    gsize first, last;
    key_range (a, s, row + i, &first, &last);
    probability_row (k->p + i * width, width, first, last, a->scale, CF (a->lse)[(row + i) * a->heads + head]);
    score_gradient_row (k->t + i * width, k->p + i * width, width, vj_cpu_dot (dout + i * ld, out + i * ld, dim), a->scale);
  }
  pack_plain (q, a->ld_q, n, dim, k->queries);
  pack_plain (dout, ld, n, dim, k->douts);
  add_transposed (kv, dim, n, k->p, width, k->douts, add, F (s->dv) + g, a->ld_dkv);
  add_transposed (kv, dim, n, k->t, width, k->queries, add, F (s->dk) + g, a->ld_dkv);
  for (gsize p = 0; p < panels_of (dim); p++)
    vj_cpu_kernel (n, MIN (VJ_PANEL, dim - p * VJ_PANEL), kv, k->t, width, 1, k->key_rows + p * kv * VJ_PANEL, VJ_PANEL, NULL, FALSE,
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
  Call call = { .cpu = device, .a = attention };
  if (attention->numbers == VJ_NUMBERS_BF16) {
    vj_bf16_attention_backward (call.cpu, attention);
    return;
  }
  vj_pool_run (call.cpu->pool, attention->n_segments * attention->kv_heads, attend_backward, &call);
}
