/* Attention on the CPU, without ever holding all scores of a row: keys come in blocks, and each row carries the largest
 * score so far, the sum of exponentials and the weighted values along (online softmax: Milakov and Gimelshein, 2018; Dao et
 * al., 2022). Blocks begin at fixed keys and a row passes over those it sees nothing of, so nothing depends on the other rows.
 * Backward keeps the scores of a block of rows. */
#include "compute/cpu.h"
#include "compute/vector.h"

#define ROW_BLOCK 64
#define ROW_CHUNK 256 /* query rows of one item of work */
#define KEY_BLOCK 256

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

/* The lanes of the block at `j` that lie in [first, last). */
VJ_INLINE VI
seen_lanes (gsize j, gsize first, gsize last)
{
  return v_lanes (first > j ? (guint) (first - j) : 0, last - j < LANES ? (guint) (last - j) : LANES);
}

/* Query rows that read the same key/value head: consecutive queries of one head, or all heads of one query. */
typedef struct {
  gsize n, row;            /* rows; the first query                                */
  gboolean one_query;      /* the rows are heads of it                             */
  const float *q;          /* [n, dim], q_step apart                               */
  gsize q_step;
  float *out;              /* [n, dim], out_step apart: the weighted values so far */
  gsize out_step;
  float *lse;              /* [n], lse_step apart; NULL: not wanted                */
  gsize lse_step;
  float *most, *total;     /* [n] */
} Rows;

/* Keys [first, last) of one block, packed. */
typedef struct {
  gsize first, last;
  const float *keys;       /* panels of 32 keys */
  const float *values;     /* [.., dim] with rows value_step apart, panels value_panel apart */
  gsize value_step, value_panel;
  float *scores;           /* [ROW_BLOCK, KEY_BLOCK] */
} Block;

static void
row_range (const VjAttention *a, const VjAttentionSegment *s, const Rows *rows, gsize i, gsize *ret_first, gsize *ret_last)
{
  key_range (a, s, rows->row + (rows->one_query ? 0 : i), ret_first, ret_last);
}

/* A row's scores x [0, width) of keys [low, high) of the block become weights; what was summed before is scaled to the new
 * largest score. */
VJ_CLONES static void
take_scores (float *x, gsize width, gsize low, gsize high, float scale, float *most, float *total, float *out, gsize dim)
{
  gsize begin = low / LANES * LANES, end = (high + LANES - 1) / LANES * LANES;
  const VI lowest = (VI) v_set (-3e38f);
  V best = (V) lowest, sum = v_set (0);
  for (gsize j = 0; j < begin; j += LANES)
    v_store (x + j, v_set (0));
  for (gsize j = end; j < width; j += LANES)
    v_store (x + j, v_set (0));
  for (gsize j = begin; j < end; j += LANES) {
    VI in = seen_lanes (j, low, high);
    best = v_max (best, (V) (((VI) (v_load (x + j) * scale) & in) | (lowest & ~in)));
  }
  float top = v_largest (best);
  top = top > *most ? top : *most;
  for (gsize j = begin; j < end; j += LANES) {
    V p = (V) ((VI) v_exp (v_load (x + j) * scale - top) & seen_lanes (j, low, high));
    sum += p;
    v_store (x + j, p);
  }
  float shrink = v_exp (v_set (*most - top))[0];
  *total = *total * shrink + v_sum (sum);
  for (gsize d = 0; top > *most && d < dim; d++)
    out[d] *= shrink;
  *most = top;
}

/* One block of keys for up to ROW_BLOCK rows from `from` on. */
static void
attend_block (const VjAttention *a, const VjAttentionSegment *s, const Rows *rows, gsize from, const Block *block)
{
  gsize n = MIN (ROW_BLOCK, rows->n - from), dim = a->head_dim, end = 0, first, last;
  for (gsize i = 0; i < n; i++) {
    row_range (a, s, rows, from + i, &first, &last);
    if (first < block->last && last > block->first)
      end = MAX (end, MIN (last, block->last) - block->first);
  }
  gsize width = panels_of (end) * VJ_PANEL;
  for (gsize p = 0; p < panels_of (end); p++)
    vj_cpu_kernel (n, VJ_PANEL, dim, rows->q + from * rows->q_step, rows->q_step, 1, block->keys + p * dim * VJ_PANEL, VJ_PANEL, NULL, FALSE,
                   block->scores + p * VJ_PANEL, KEY_BLOCK);
  for (gsize i = 0; end > 0 && i < n; i++) {
    float *scores = block->scores + i * KEY_BLOCK;
    row_range (a, s, rows, from + i, &first, &last);
    if (first < block->last && last > block->first)
      take_scores (scores, width, MAX (first, block->first) - block->first, MIN (last, block->last) - block->first, a->scale, &rows->most[from + i],
                   &rows->total[from + i], rows->out + (from + i) * rows->out_step, dim);
    else
      memset (scores, 0, width * sizeof (float));
  }
  for (gsize p = 0; end > 0 && p < panels_of (dim); p++)
    vj_cpu_kernel (n, MIN (VJ_PANEL, dim - p * VJ_PANEL), end, block->scores, KEY_BLOCK, 1, block->values + p * block->value_panel, block->value_step,
                   NULL, TRUE, rows->out + from * rows->out_step + p * VJ_PANEL, rows->out_step);
}

static void
begin_rows (const Rows *rows, gsize dim)
{
  for (gsize i = 0; i < rows->n; i++) {
    memset (rows->out + i * rows->out_step, 0, dim * sizeof (float));
    rows->most[i] = -3e38f;
    rows->total[i] = 0;
  }
}

VJ_CLONES static void
end_rows (const Rows *rows, gsize dim)
{
  for (gsize i = 0; i < rows->n; i++) {
    float total = rows->total[i] == 0 ? 1 : rows->total[i]; /* nothing seen: zeros; NaN stays */
    for (gsize d = 0; d < dim; d++)
      rows->out[i * rows->out_step + d] /= total;
    if (rows->lse != NULL)
      rows->lse[i * rows->lse_step] = rows->total[i] > 0 ? rows->most[i] + logf (rows->total[i]) : 0;
  }
}

/* The rows of query heads [head, head + heads) for queries [row, row + n): one head of many, or all of one. */
static Rows
rows_of_queries (const VjAttention *a, gsize head, gsize heads, gsize row, gsize n, float *state)
{
  gsize dim = a->head_dim;
  gboolean one = n == 1;
  return (Rows) { .n = one ? heads : n, .row = row, .one_query = one, .q = CF (a->q) + row * a->ld_q + head * dim, .q_step = one ? dim : a->ld_q,
                  .out = F (a->out) + (row * a->heads + head) * dim, .out_step = one ? dim : a->heads * dim,
                  .lse = a->lse == NULL ? NULL : F (a->lse) + row * a->heads + head, .lse_step = one ? 1 : a->heads,
                  .most = state, .total = state + (one ? heads : n) };
}

/* Item: one chunk of queries of one key/value head of one segment. */
typedef struct {
  const VjAttentionSegment *s;
  gsize g, row, n;
} Item;

static Item
find_item (const VjAttention *a, gsize item)
{
  const VjAttentionSegment *s = a->segments;
  gsize chunks = (s->q_count + ROW_CHUNK - 1) / ROW_CHUNK;
  for (; item >= chunks * a->kv_heads; s++, chunks = (s->q_count + ROW_CHUNK - 1) / ROW_CHUNK)
    item -= chunks * a->kv_heads;
  gsize first = item % chunks * ROW_CHUNK;
  return (Item) { s, item / chunks, s->q_row + first, MIN (ROW_CHUNK, s->q_count - first) };
}

static void
attend (void *data, gsize number, guint worker)
{
  const Call *call = data;
  const VjAttention *a = call->a;
  const Item item = find_item (a, number);
  const VjAttentionSegment *s = item.s;
  gsize group = a->heads / a->kv_heads, dim = a->head_dim, sets = item.n == 1 ? 1 : group, begin = s->kv_count, end = 0, first, last;
  gsize value_size = dim % VJ_PANEL == 0 ? 0 : panels_of (dim) * VJ_PANEL * KEY_BLOCK, state = 2 * MAX (item.n, group);
  float *keys = vj_cpu_scratch (call->cpu, worker, KEY_BLOCK * (dim + ROW_BLOCK) + value_size + sets * state);
  float *values = keys + KEY_BLOCK * (dim + ROW_BLOCK), *states = values + value_size;
  Block block = { .keys = keys, .scores = keys + KEY_BLOCK * dim, .values = values, .value_step = VJ_PANEL };
  for (gsize r = 0; r < item.n; r++) {
    key_range (a, s, item.row + r, &first, &last);
    begin = first < last ? MIN (begin, first) : begin;
    end = first < last ? MAX (end, last) : end;
  }
  for (gsize h = 0; h < sets; h++) {
    Rows rows = rows_of_queries (a, item.g * group + h, group, item.row, item.n, states + h * state);
    begin_rows (&rows, dim);
  }
  for (gsize at = begin / KEY_BLOCK * KEY_BLOCK; at < end; at += KEY_BLOCK) {
    gsize n = MIN (KEY_BLOCK, end - at);
    const float *v = CF (s->v) + at * a->ld_kv + item.g * dim;
    block.first = at;
    block.last = at + n;
    pack_transposed (CF (s->k) + at * a->ld_kv + item.g * dim, a->ld_kv, n, dim, keys);
    if (value_size > 0) {
      pack_plain (v, a->ld_kv, n, dim, values);
      block.value_panel = n * VJ_PANEL;
    } else { /* rows of values are whole panels as they lie */
      block.values = v;
      block.value_step = a->ld_kv;
      block.value_panel = VJ_PANEL;
    }
    for (gsize h = 0; h < sets; h++) {
      Rows rows = rows_of_queries (a, item.g * group + h, group, item.row, item.n, states + h * state);
      for (gsize r = 0; r < rows.n; r += ROW_BLOCK)
        attend_block (a, s, &rows, r, &block);
    }
  }
  for (gsize h = 0; h < sets; h++) {
    Rows rows = rows_of_queries (a, item.g * group + h, group, item.row, item.n, states + h * state);
    end_rows (&rows, dim);
  }
}

void
vj_cpu_attention (void *device, const VjAttention *attention)
{
  Call call = { device, attention };
  gsize items = 0;
  for (gsize i = 0; i < attention->n_segments; i++)
    items += (attention->segments[i].q_count + ROW_CHUNK - 1) / ROW_CHUNK * attention->kv_heads;
  vj_pool_run (call.cpu->pool, items, attend, &call);
}

/* -- backward -------------------------------------------------------------- */

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
    score_gradient_row (k->t + i * width, k->p + i * width, width, dot_row (dout + i * ld, out + i * ld, dim), a->scale);
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
  Call call = { device, attention };
  vj_pool_run (call.cpu->pool, attention->n_segments * attention->kv_heads, attend_backward, &call);
}
