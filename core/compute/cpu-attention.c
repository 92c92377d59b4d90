/* Attention on the CPU, without ever holding all scores of a row: keys come in blocks, and each row carries the largest
 * score so far, the sum of exponentials and the weighted values along (online softmax: Milakov and Gimelshein, 2018; Dao et
 * al., 2022). Blocks begin at fixed keys and a row passes over those it sees nothing of, so nothing depends on the other rows.
 * With bf16 numbers the products are those of bf16.h. */
#include "compute/attention.h"
#include "compute/bf16.h"

#define ROW_CHUNK 256 /* query rows of one item of work */

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
  guint16 *halves;         /* bf16 numbers: q rounded, [n, depth of the block]; else NULL */
} Rows;

/* Keys [first, last) of one block, packed. */
typedef struct {
  gsize first, last;
  float *scores;           /* [ROW_BLOCK, KEY_BLOCK] */
  /* f32 */
  float *keys;             /* panels of 32 keys */
  float *packed_values;    /* panels of 32 columns, where a head is not made of whole ones */
  const float *values;     /* [.., dim] with rows value_step apart, panels value_panel apart */
  gsize value_step, value_panel;
  /* bf16: panels of the kernel's; weights [ROW_BLOCK, KEY_BLOCK] */
  const VjBf16Kernel *kernel; /* NULL: f32 */
  guint16 *key_halves, *value_halves, *weights;
  gsize depth;             /* of keys: dim up to VJ_BF16_UNIT */
  gsize value_depth;       /* of values: the keys there is room for */
} Block;

/* Scores of n rows against the first `end` keys of the block. */
static void
score (const Block *block, const Rows *rows, gsize from, gsize n, gsize dim, gsize end)
{
  if (block->kernel != NULL) {
    block->kernel->multiply (n, end, block->depth, rows->halves + from * block->depth, block->depth, block->key_halves, VJ_BF16_PANEL * block->depth,
                             NULL, 0, block->scores, KEY_BLOCK);
    return;
  }
  for (gsize p = 0; p < panels_of (end); p++)
    vj_cpu_kernel (n, VJ_PANEL, dim, rows->q + from * rows->q_step, rows->q_step, 1, block->keys + p * dim * VJ_PANEL, VJ_PANEL, NULL, FALSE,
                   block->scores + p * VJ_PANEL, KEY_BLOCK);
}

/* out += weights values, for the first `end` keys. */
static void
add_values (const Block *block, const Rows *rows, gsize from, gsize n, gsize dim, gsize end)
{
  float *out = rows->out + from * rows->out_step;
  if (block->kernel != NULL) {
    gsize k = (end + VJ_BF16_UNIT - 1) / VJ_BF16_UNIT * VJ_BF16_UNIT;
    block->kernel->rows (block->scores, KEY_BLOCK, 1, n, k, block->weights, KEY_BLOCK);
    block->kernel->multiply (n, dim, k, block->weights, KEY_BLOCK, block->value_halves, VJ_BF16_PANEL * block->value_depth, out, rows->out_step, out, rows->out_step);
    return;
  }
  for (gsize p = 0; p < panels_of (dim); p++)
    vj_cpu_kernel (n, MIN (VJ_PANEL, dim - p * VJ_PANEL), end, block->scores, KEY_BLOCK, 1, block->values + p * block->value_panel, block->value_step,
                   NULL, TRUE, out + p * VJ_PANEL, rows->out_step);
}

static void
row_range (const VjAttention *a, const VjAttentionSegment *s, const Rows *rows, gsize i, gsize *ret_first, gsize *ret_last)
{
  key_range (a, s, rows->row + (rows->one_query ? 0 : i), ret_first, ret_last);
}

VJ_INLINE void
scale_row (float *row, gsize n, float factor)
{
  gsize d = 0;
  for (; d + LANES <= n; d += LANES)
    v_store (row + d, v_load (row + d) * factor);
  for (; d < n; d++)
    row[d] *= factor;
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
  if (top > *most)
    scale_row (out, dim, shrink);
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
  if (end == 0)
    return;
  gsize width = panels_of (end) * VJ_PANEL;
  score (block, rows, from, n, dim, end);
  for (gsize i = 0; i < n; i++) {
    float *scores = block->scores + i * KEY_BLOCK;
    row_range (a, s, rows, from + i, &first, &last);
    if (first < block->last && last > block->first)
      take_scores (scores, width, MAX (first, block->first) - block->first, MIN (last, block->last) - block->first, a->scale, &rows->most[from + i],
                   &rows->total[from + i], rows->out + (from + i) * rows->out_step, dim);
    else
      memset (scores, 0, width * sizeof (float));
  }
  add_values (block, rows, from, n, dim, end);
}

static void
begin_rows (const Rows *rows, const VjBf16Kernel *kernel, gsize dim, gsize depth)
{
  if (kernel != NULL)
    kernel->rows (rows->q, rows->q_step, 1, rows->n, dim, rows->halves, depth);
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
    float *out = rows->out + i * rows->out_step;
    gsize d = 0;
    for (; d + LANES <= dim; d += LANES)
      v_store (out + d, v_load (out + d) / total);
    for (; d < dim; d++)
      out[d] /= total;
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

static gsize
chunks_of (const VjAttentionSegment *s)
{
  return (s->q_count + ROW_CHUNK - 1) / ROW_CHUNK;
}

static Item
find_item (const Call *call, gsize item)
{
  const VjAttention *a = call->a;
  const VjAttentionSegment *s = a->segments;
  if (call->whole)
    return (Item) { s + item / a->kv_heads, item % a->kv_heads, s[item / a->kv_heads].q_row, s[item / a->kv_heads].q_count };
  gsize chunks = chunks_of (s);
  for (; item >= chunks * a->kv_heads; s++, chunks = chunks_of (s))
    item -= chunks * a->kv_heads;
  gsize first = item % chunks * ROW_CHUNK;
  return (Item) { s, item / chunks, s->q_row + first, MIN (ROW_CHUNK, s->q_count - first) };
}

/* Packs the keys and values of the block's range, or finds them packed. */
static void
pack_block (const VjAttention *a, const VjAttentionSegment *s, gsize g, Block *block)
{
  gsize n = block->last - block->first, dim = a->head_dim;
  if (s->cache != NULL) {
    const VjCpuCacheBlock cached = vj_cpu_cache_block (s->cache, s->cache_tokens, dim, g, block->first);
    block->key_halves = cached.keys;
    block->value_halves = cached.values;
    block->value_depth = cached.tokens;
    return;
  }
  const float *k = CF (s->k) + block->first * a->ld_kv + g * dim, *v = CF (s->v) + block->first * a->ld_kv + g * dim;
  if (block->kernel != NULL) {
    block->kernel->pack (k, a->ld_kv, 1, n, dim, block->depth, block->key_halves);
    block->kernel->pack (v, 1, a->ld_kv, dim, n, block->value_depth, block->value_halves);
    return;
  }
  pack_transposed (k, a->ld_kv, n, dim, block->keys);
  if (dim % VJ_PANEL == 0) { /* rows of values are whole panels as they lie */
    block->values = v;
    block->value_step = a->ld_kv;
    block->value_panel = VJ_PANEL;
  } else {
    pack_plain (v, a->ld_kv, n, dim, block->packed_values);
    block->values = block->packed_values;
    block->value_step = VJ_PANEL;
    block->value_panel = n * VJ_PANEL;
  }
}

/* What an item needs of scratch memory; `at` NULL: only its size, in floats. */
static gsize
lay_out (const Call *call, gsize rows, gsize sets, float *at, Block *block, float **ret_states, guint16 **ret_q)
{
  const VjBf16Kernel *kernel = call->a->numbers == VJ_NUMBERS_BF16 ? call->cpu->bf16 : NULL;
  gsize dim = call->a->head_dim, depth = (dim + VJ_BF16_UNIT - 1) / VJ_BF16_UNIT * VJ_BF16_UNIT, whole = panels_of (dim) * VJ_PANEL;
  gsize keys = KEY_BLOCK * (kernel ? depth / 2 : dim), values = KEY_BLOCK * (kernel ? whole / 2 : whole);
  gsize weights = kernel ? ROW_BLOCK * KEY_BLOCK / 2 : 0, scores = ROW_BLOCK * KEY_BLOCK, q = kernel ? sets * rows * depth / 2 : 0;
  if (at == NULL)
    return scores + keys + values + weights + q + 2 * sets * rows;
  float *values_at = at + scores + keys, *weights_at = values_at + values, *q_at = weights_at + weights;
  *block = (Block) { .scores = at, .kernel = kernel, .depth = depth, .value_depth = KEY_BLOCK, .keys = at + scores, .packed_values = values_at,
                     .key_halves = (guint16 *) (void *) (at + scores), .value_halves = (guint16 *) (void *) values_at,
                     .weights = (guint16 *) (void *) weights_at };
  *ret_q = kernel == NULL ? NULL : (guint16 *) (void *) q_at;
  *ret_states = q_at + q;
  return 0;
}

/* A segment's new keys and values of head g go to its cache. */
static void
store_new (const VjCpu *cpu, const VjAttention *a, const VjAttentionSegment *s, gsize g)
{
  gsize from = s->new_row * a->ld_new + g * a->head_dim;
  vj_cpu_cache_store (cpu, s->cache, s->cache_tokens, a->head_dim, g, s->kv_count - s->new_count, s->new_count, CF (a->new_k) + from,
                      CF (a->new_v) + from, a->ld_new);
}

static void
store_item (void *data, gsize item, G_GNUC_UNUSED guint worker)
{
  const Call *call = data;
  store_new (call->cpu, call->a, &call->a->segments[item / call->a->kv_heads], item % call->a->kv_heads);
}

static void
attend (void *data, gsize number, guint worker)
{
  const Call *call = data;
  const VjAttention *a = call->a;
  const Item item = find_item (call, number);
  const VjAttentionSegment *s = item.s;
  gsize group = a->heads / a->kv_heads, sets = item.n == 1 ? 1 : group, n = item.n == 1 ? group : item.n, begin = s->kv_count, end = 0, first, last;
  Block block;
  float *states;
  guint16 *q;
  if (call->store)
    store_new (call->cpu, a, s, item.g);
  lay_out (call, n, sets, vj_cpu_scratch (call->cpu, worker, lay_out (call, n, sets, NULL, NULL, NULL, NULL)), &block, &states, &q);
  for (gsize r = 0; r < item.n; r++) {
    key_range (a, s, item.row + r, &first, &last);
    begin = first < last ? MIN (begin, first) : begin;
    end = first < last ? MAX (end, last) : end;
  }
  Rows *rows = g_newa (Rows, sets);
  for (gsize h = 0; h < sets; h++) {
    rows[h] = rows_of_queries (a, item.g * group + h, group, item.row, item.n, states + 2 * h * n);
    rows[h].halves = q == NULL ? NULL : q + h * n * block.depth;
    begin_rows (&rows[h], block.kernel, a->head_dim, block.depth);
  }
  for (block.first = begin / KEY_BLOCK * KEY_BLOCK; block.first < end; block.first += KEY_BLOCK) {
    block.last = MIN (block.first + KEY_BLOCK, end);
    pack_block (a, s, item.g, &block);
    for (gsize h = 0; h < sets; h++)
      for (gsize r = 0; r < rows[h].n; r += ROW_BLOCK)
        attend_block (a, s, &rows[h], r, &block);
  }
  for (gsize h = 0; h < sets; h++)
    end_rows (&rows[h], a->head_dim);
}

void
vj_cpu_attention (void *device, const VjAttention *attention)
{
  const VjAttentionSegment *s = attention->segments;
  Call call = { .cpu = device, .a = attention, .whole = TRUE };
  gsize items = 0, group = attention->heads / attention->kv_heads, most = group;
  for (gsize i = 0; i < attention->n_segments; i++) {
    items += chunks_of (&s[i]) * attention->kv_heads;
    most = MAX (most, group * MIN (s[i].q_count, ROW_CHUNK));
    call.whole = call.whole && chunks_of (&s[i]) == 1;
  }
  vj_cpu_set_aside (call.cpu, lay_out (&call, most, 1, NULL, NULL, NULL, NULL));
  /* Who attends stores first, unless others need the same keys. */
  call.store = attention->new_k != NULL && call.whole;
  if (attention->new_k != NULL && !call.whole)
    vj_pool_run (call.cpu->pool, attention->n_segments * attention->kv_heads, store_item, &call);
  vj_pool_run (call.cpu->pool, items, attend, &call);
}
