/* Attention and its backward in tiles (after Dao et al., 2022): the scores of a tile live in registers and shared
 * memory, never the whole matrix. Formulas stand in vj/compute.h; VjAttentionArgs and "virtual row" in kernels.h.
 *
 * A block's threads are a square of 16 x 16, thread (v, u). Of a tile of scores [query rows, VJ_TILE keys] a thread
 * has the rows v + 16 i and the keys u + 16 j; of a product with D columns the columns u + 16 c. Tiles of keys begin at
 * multiples of VJ_TILE, and every sum of a row runs over its own keys in order: its result depends neither on the other
 * rows of its tile nor on whether the tile is narrow or wide. */
#include "plugins/compute/cublas/kernel.h"

#define SIDE 16
#define KEYS (VJ_TILE / SIDE)          /* keys of a thread    */
#define WIDE (VJ_TILE / SIDE)          /* rows of a thread    */
#define COLUMNS (VJ_HEAD_MAX / SIDE)   /* columns of a thread */
#define U (THREAD % SIDE)
#define V (THREAD / SIDE)
#define LINE (VJ_TILE + 1) /* a row of scores in shared memory */

/* Shared memory of a block whose tile has `rows` query rows: VJ_ATTENTION_BYTES. */
typedef struct {
  float *x;       /* [rows, D + 1] of q or dout      */
  float *y;       /* [VJ_TILE, D + 1] of k or v      */
  float *p;       /* [rows, LINE]                    */
  float *join;    /* [rows, 17]                      */
  int *lo, *hi;   /* [rows]: keys lo <= j < hi       */
} Tiles;

BODY Tiles
lay_out (float *shared, int rows, int dim)
{
  Tiles t;
  t.x = shared;
  t.y = t.x + rows * (dim + 1);
  t.p = t.y + VJ_TILE * (dim + 1);
  t.join = t.p + rows * LINE;
  t.lo = (int *) (void *) (t.join + rows * 17);
  t.hi = t.lo + rows;
  return t;
}

BODY int64_t
n_virtual (const VjAttentionArgs *a, const VjSegmentArgs *s)
{
  return s->q_count * a->group;
}

/* Row of q and head of a virtual row. */
BODY int64_t
row_of (const VjAttentionArgs *a, const VjSegmentArgs *s, int64_t virtual_row)
{
  return s->q_row + virtual_row / a->group;
}

BODY int64_t
head_of (const VjAttentionArgs *a, int64_t virtual_row)
{
  return (int64_t) BLOCK_Z * a->group + virtual_row % a->group;
}

/* Virtual rows first, first + 1, ... of `from` (leading dimension ld), zeros past the last; a warp a row. */
BODY void
load_rows (const VjAttentionArgs *a, const VjSegmentArgs *s, int64_t first, int rows, const float *from, int64_t ld, float *to)
{
  for (int r = THREAD / 32; r < rows; r += VJ_BLOCK / 32) {
    int64_t at = first + r;
    int there = at < n_virtual (a, s);
    const float *line = there ? from + row_of (a, s, at) * ld + head_of (a, at) * a->dim : from;
    for (int d = THREAD % 32; d < a->dim; d += 32)
      to[r * (a->dim + 1) + d] = there ? line[d] : 0.0f;
  }
}

/* Keys first, first + 1, ... of k or v, zeros past the last. */
BODY void
load_keys (const VjAttentionArgs *a, const VjSegmentArgs *s, int64_t first, const float *from, float *to)
{
  for (int r = THREAD / 32; r < VJ_TILE; r += VJ_BLOCK / 32) {
    int there = first + r < s->kv_count;
    const float *line = there ? from + (first + r) * a->ld_kv + (int64_t) BLOCK_Z * a->dim : from;
    for (int d = THREAD % 32; d < a->dim; d += 32)
      to[r * (a->dim + 1) + d] = there ? line[d] : 0.0f;
  }
}

/* What keys the virtual rows of the tile see; none for rows past the last. The caller syncs. */
BODY void
load_ranges (const VjAttentionArgs *a, const VjSegmentArgs *s, int64_t first, int rows, Tiles t)
{
  if (THREAD < rows) {
    int64_t lo = 0, hi = 0, at = first + THREAD;
    if (at < n_virtual (a, s)) {
      int64_t row = row_of (a, s, at);
      hi = a->last == NULL || a->last[row] > s->kv_count ? s->kv_count : a->last[row];
      lo = a->first == NULL ? 0 : a->first[row];
    }
    t.lo[THREAD] = lo < hi ? (int) lo : 0;
    t.hi[THREAD] = lo < hi ? (int) hi : 0;
  }
}

/* The keys that any row of the tile sees lie in [begin, end). */
BODY void
reach (int rows, Tiles t, int *begin, int *end)
{
  *begin = INT32_MAX;
  *end = 0;
  for (int r = 0; r < rows; r++)
    if (t.lo[r] < t.hi[r]) {
      *begin = t.lo[r] < *begin ? t.lo[r] : *begin;
      *end = t.hi[r] > *end ? t.hi[r] : *end;
    }
}

/* s[i][j] = x[v + 16 i] . y[u + 16 j]. */
BODY void
multiply (const float *x, const float *y, int dim, int n, float s[WIDE][KEYS])
{
  const int u = U, v = V;
  UNROLL
  for (int i = 0; i < n; i++)
    UNROLL
    for (int j = 0; j < KEYS; j++)
      s[i][j] = 0;
  for (int d = 0; d < dim; d++) {
    float at[KEYS];
    UNROLL
    for (int j = 0; j < KEYS; j++)
      at[j] = y[(u + SIDE * j) * (dim + 1) + d];
    UNROLL
    for (int i = 0; i < n; i++) {
      float line = x[(v + SIDE * i) * (dim + 1) + d];
      UNROLL
      for (int j = 0; j < KEYS; j++)
        s[i][j] = fmaf (line, at[j], s[i][j]);
    }
  }
}

/* sum[i][c] += sum over `count` of p y: weights p[(v + 16 i) by_row + key by_key], columns u + 16 c of y[key]. */
BODY void
gather (const float *p, int by_row, int by_key, const float *y, int dim, int count, int n, float sum[WIDE][COLUMNS])
{
  const int u = U, v = V;
  for (int key = 0; key < count; key++) {
    float share[WIDE];
    UNROLL
    for (int i = 0; i < n; i++)
      share[i] = p[(v + SIDE * i) * by_row + key * by_key];
    UNROLL
    for (int c = 0; c < COLUMNS; c++)
      if (u + SIDE * c < dim) {
        float at = y[key * (dim + 1) + u + SIDE * c];
        UNROLL
        for (int i = 0; i < n; i++)
          sum[i][c] = fmaf (share[i], at, sum[i][c]);
      }
  }
}

BODY void
clear (int n, float sum[WIDE][COLUMNS])
{
  UNROLL
  for (int i = 0; i < n; i++)
    UNROLL
    for (int c = 0; c < COLUMNS; c++)
      sum[i][c] = 0;
}

/* -- forward ---------------------------------------------------------------- */

/* What a thread knows of its rows: the largest score so far, its own share of the denominator, the output. */
typedef struct {
  float best[WIDE], total[WIDE], sum[WIDE][COLUMNS];
} State;

/* Scores of one tile of keys become weights in t.p; the state is brought to the new largest score. */
BODY void
soften (const VjAttentionArgs *a, Tiles t, int key, int n, float s[WIDE][KEYS], State *state)
{
  const int u = U, v = V;
  UNROLL
  for (int i = 0; i < n; i++) {
    int row = v + SIDE * i;
    float best = -INFINITY;
    UNROLL
    for (int j = 0; j < KEYS; j++) {
      int at = key + u + SIDE * j;
      if (at >= t.lo[row] && at < t.hi[row])
        best = fmaxf (best, s[i][j] * a->scale);
      else
        s[i][j] = -INFINITY;
    }
    t.join[row * 17 + u] = best;
  }
  SYNC ();
  UNROLL
  for (int i = 0; i < n; i++) {
    int row = v + SIDE * i;
    float best = state->best[i], share = 0;
    for (int k = 0; k < SIDE; k++)
      best = fmaxf (best, t.join[row * 17 + k]);
    float fade = best == state->best[i] ? 1.0f : expf (state->best[i] - best);
    UNROLL
    for (int j = 0; j < KEYS; j++) {
      float p = s[i][j] == -INFINITY ? 0.0f : expf (fmaf (s[i][j], a->scale, -best));
      t.p[row * LINE + u + SIDE * j] = p;
      share += p;
    }
    state->best[i] = best;
    state->total[i] = fmaf (state->total[i], fade, share);
    UNROLL
    for (int c = 0; c < COLUMNS; c++)
      state->sum[i][c] *= fade;
  }
}

BODY void
write_rows (const VjAttentionArgs *a, const VjSegmentArgs *s, Tiles t, int64_t first, int n, const State *state)
{
  const int u = U, v = V;
  UNROLL
  for (int i = 0; i < n; i++)
    t.join[(v + SIDE * i) * 17 + u] = state->total[i];
  SYNC ();
  UNROLL
  for (int i = 0; i < n; i++) {
    int row = v + SIDE * i, seen = t.lo[row] < t.hi[row];
    int64_t at = first + row;
    if (at < n_virtual (a, s)) {
      int64_t line = row_of (a, s, at) * a->heads + head_of (a, at);
      float total = 0;
      for (int k = 0; k < SIDE; k++)
        total += t.join[row * 17 + k];
      UNROLL
      for (int c = 0; c < COLUMNS; c++)
        if (u + SIDE * c < a->dim)
          a->out[line * a->dim + u + SIDE * c] = seen ? state->sum[i][c] / total : 0.0f;
      if (u == 0 && a->lse != NULL)
        a->lse[line] = seen ? state->best[i] + logf (total) : 0.0f;
    }
  }
}

/* n: rows of a thread, known when compiled. */
BODY void
attend (const VjAttentionArgs *a, float *shared, int n)
{
  const VjSegmentArgs *s = &a->segment[BLOCK_Y];
  int rows = n * SIDE, begin, end;
  int64_t first = (int64_t) BLOCK_X * rows;
  Tiles t = lay_out (shared, rows, a->dim);
  float scores[WIDE][KEYS];
  State state;
  if (first >= n_virtual (a, s))
    return;
  load_ranges (a, s, first, rows, t);
  load_rows (a, s, first, rows, a->q, a->ld_q, t.x);
  SYNC ();
  reach (rows, t, &begin, &end);
  clear (n, state.sum);
  UNROLL
  for (int i = 0; i < n; i++) {
    state.best[i] = -INFINITY;
    state.total[i] = 0;
  }
  for (int key = begin / VJ_TILE * VJ_TILE; key < end; key += VJ_TILE) {
    load_keys (a, s, key, s->k, t.y);
    SYNC ();
    multiply (t.x, t.y, a->dim, n, scores);
    soften (a, t, key, n, scores, &state); /* has a SYNC in it: all are done with the keys after it */
    load_keys (a, s, key, s->v, t.y);
    SYNC ();
    gather (t.p, LINE, 1, t.y, a->dim, end - key < VJ_TILE ? end - key : VJ_TILE, n, state.sum);
    SYNC ();
  }
  write_rows (a, s, t, first, n, &state);
}

KERNEL (attention_narrow, VjAttentionArgs)
{
  SHARED (float, shared);
  attend (&a, shared, 1);
}

KERNEL (attention_wide, VjAttentionArgs)
{
  SHARED (float, shared);
  attend (&a, shared, WIDE);
}

/* -- backward ---------------------------------------------------------------- */

/* delta[r, h] = dout . out; 16 threads a pair of row and head, in order of rows. */
KERNEL (attention_delta, VjAttentionArgs)
{
  SHARED (float, part);
  const VjSegmentArgs *s = &a.segment[BLOCK_Y];
  int64_t pair = (int64_t) BLOCK_X * SIDE + V, line = s->q_row * a.heads + pair;
  int there = pair < s->q_count * a.heads;
  float sum = 0;
  for (int d = U; there && d < a.dim; d += SIDE)
    sum = fmaf (a.dout[line * a.dim + d], a.out[line * a.dim + d], sum);
  part[THREAD] = sum;
  SYNC ();
  if (U == 0 && there) {
    for (int k = 1; k < SIDE; k++)
      sum += part[THREAD + k];
    ((float *) a.delta)[line] = sum;
  }
}

/* Probabilities p and gradients ds of the scores of a tile, from q . k in `scores` and dout . v in `slopes`, both
 * overwritten. */
BODY void
differ (const VjAttentionArgs *a, const VjSegmentArgs *s, Tiles t, int64_t first, int key, float scores[WIDE][KEYS], float slopes[WIDE][KEYS])
{
  const int u = U, v = V;
  UNROLL
  for (int i = 0; i < WIDE; i++) {
    int row = v + SIDE * i;
    int64_t at = first + row;
    float lse = 0, delta = 0;
    if (at < n_virtual (a, s)) {
      int64_t line = row_of (a, s, at) * a->heads + head_of (a, at);
      lse = a->lse[line];
      delta = a->delta[line];
    }
    UNROLL
    for (int j = 0; j < KEYS; j++) {
      int k = key + u + SIDE * j;
      float p = k >= t.lo[row] && k < t.hi[row] ? expf (fmaf (scores[i][j], a->scale, -lse)) : 0.0f;
      slopes[i][j] = p == 0.0f ? 0.0f : a->scale * p * (slopes[i][j] - delta);
      scores[i][j] = p;
    }
  }
}

BODY void
store_scores (Tiles t, float s[WIDE][KEYS])
{
  const int u = U, v = V;
  UNROLL
  for (int i = 0; i < WIDE; i++)
    UNROLL
    for (int j = 0; j < KEYS; j++)
      t.p[(v + SIDE * i) * LINE + u + SIDE * j] = s[i][j];
}

/* p and ds of the tile of virtual rows from `first` and keys from `key`; leaves dout in t.x and v in t.y. Begins and
 * ends with every thread done reading them. */
BODY void
tile_back (const VjAttentionArgs *a, const VjSegmentArgs *s, Tiles t, int64_t first, int key, float p[WIDE][KEYS], float ds[WIDE][KEYS])
{
  load_rows (a, s, first, VJ_TILE, a->q, a->ld_q, t.x);
  load_keys (a, s, key, s->k, t.y);
  SYNC ();
  multiply (t.x, t.y, a->dim, WIDE, p);
  SYNC ();
  load_rows (a, s, first, VJ_TILE, a->dout, (int64_t) a->heads * a->dim, t.x);
  load_keys (a, s, key, s->v, t.y);
  SYNC ();
  multiply (t.x, t.y, a->dim, WIDE, ds);
  differ (a, s, t, first, key, p, ds);
  SYNC ();
}

/* dq of a tile of virtual rows, over its keys. */
KERNEL (attention_queries, VjAttentionArgs)
{
  SHARED (float, shared);
  const VjSegmentArgs *s = &a.segment[BLOCK_Y];
  const int u = U, v = V;
  int64_t first = (int64_t) BLOCK_X * VJ_TILE;
  int begin, end;
  Tiles t = lay_out (shared, VJ_TILE, a.dim);
  float p[WIDE][KEYS], ds[WIDE][KEYS], dq[WIDE][COLUMNS];
  if (first >= n_virtual (&a, s))
    return;
  load_ranges (&a, s, first, VJ_TILE, t);
  SYNC ();
  reach (VJ_TILE, t, &begin, &end);
  clear (WIDE, dq);
  for (int key = begin / VJ_TILE * VJ_TILE; key < end; key += VJ_TILE) {
    tile_back (&a, s, t, first, key, p, ds);
    store_scores (t, ds);
    load_keys (&a, s, key, s->k, t.y);
    SYNC ();
    gather (t.p, LINE, 1, t.y, a.dim, VJ_TILE, WIDE, dq);
    SYNC ();
  }
  UNROLL
  for (int i = 0; i < WIDE; i++) {
    int64_t at = first + v + SIDE * i;
    if (at < n_virtual (&a, s))
      UNROLL
      for (int c = 0; c < COLUMNS; c++)
        if (u + SIDE * c < a.dim)
          a.dq[row_of (&a, s, at) * a.ld_dq + head_of (&a, at) * a.dim + u + SIDE * c] = dq[i][c];
  }
}

/* dk and dv of a tile of keys, over all virtual rows that see any of them: here v + 16 i number the keys. */
KERNEL (attention_keys, VjAttentionArgs)
{
  SHARED (float, shared);
  const VjSegmentArgs *s = &a.segment[BLOCK_Y];
  const int u = U, v = V;
  int64_t key = (int64_t) BLOCK_X * VJ_TILE;
  Tiles t = lay_out (shared, VJ_TILE, a.dim);
  float p[WIDE][KEYS], ds[WIDE][KEYS], dk[WIDE][COLUMNS], dv[WIDE][COLUMNS];
  if (key >= s->kv_count)
    return;
  clear (WIDE, dk);
  clear (WIDE, dv);
  for (int64_t first = 0; first < n_virtual (&a, s); first += VJ_TILE) {
    int begin, end;
    load_ranges (&a, s, first, VJ_TILE, t);
    SYNC ();
    reach (VJ_TILE, t, &begin, &end);
    if (begin < key + VJ_TILE && end > key) { /* the same answer in every thread */
      tile_back (&a, s, t, first, (int) key, p, ds);
      store_scores (t, p);
      SYNC ();
      gather (t.p, 1, LINE, t.x, a.dim, VJ_TILE, WIDE, dv);
      SYNC ();
      store_scores (t, ds);
      load_rows (&a, s, first, VJ_TILE, a.q, a.ld_q, t.x);
      SYNC ();
      gather (t.p, 1, LINE, t.x, a.dim, VJ_TILE, WIDE, dk);
    }
    SYNC ();
  }
  UNROLL
  for (int i = 0; i < WIDE; i++) {
    int64_t at = key + v + SIDE * i;
    if (at < s->kv_count)
      UNROLL
      for (int c = 0; c < COLUMNS; c++)
        if (u + SIDE * c < a.dim) {
          int64_t to = at * a.ld_dkv + (int64_t) BLOCK_Z * a.dim + u + SIDE * c;
          s->dk[to] = dk[i][c];
          s->dv[to] = dv[i][c];
        }
  }
}

LAUNCH (attention_narrow, VjAttentionArgs, SYNCS)
LAUNCH (attention_wide, VjAttentionArgs, SYNCS)
LAUNCH (attention_delta, VjAttentionArgs, SYNCS)
LAUNCH (attention_queries, VjAttentionArgs, SYNCS)
LAUNCH (attention_keys, VjAttentionArgs, SYNCS)
