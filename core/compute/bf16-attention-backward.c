/* Attention backward with bf16 numbers: the five products of a block of queries by the kernel of bf16.h, q, k, v, dout, the
 * softmax and its gradient rounded, sums in f32. Everything stands with keys down and queries across, so that what
 * multiplies dout and q lies in rows as it is made. Rows and columns are filled up with zeros: the kernel sees whole tiles. */
#include "compute/attention.h"
#include "compute/bf16.h"

#define QUERIES ((gsize) 64) /* of a block; a multiple of SIDE */
#define SIDE ((gsize) 32)
#define QUERY_LD ((gsize) 96) /* of rows of QUERIES numbers: an odd number of cache lines */

/* Memory of one item of work: one key/value head of one segment. */
typedef struct {
  const VjBf16Kernel *kernel;
  gsize dim, width, keys;        /* width, keys: up to whole sides */
  gsize ld, turned_ld;
  guint16 *k, *v;                /* [keys, ld] */
  guint16 *k_turned;             /* [width, turned_ld] */
  float *dk, *dv;                /* [keys, width] */
  /* of a block */
  guint16 *q, *dout;             /* panels whose columns are queries, width deep */
  guint16 *q_down, *dout_down;   /* panels whose columns are a head's, QUERIES deep */
  float *s, *t;                  /* [keys, QUERIES] scores; dout v, then the scores' gradient */
  guint16 *p, *ds;               /* [keys, QUERY_LD] softmax, the scores' gradient */
  guint16 *ds_down;              /* panels whose columns are queries, keys deep */
  float *dq;                     /* [width, QUERIES] */
  float *first, *last, *lse, *delta; /* [QUERIES] */
} Work;

static gsize
up (gsize n, gsize unit)
{
  return (n + unit - 1) / unit * unit;
}

/* A piece of `base`, or with base NULL its size counted. */
static void *
take (float *base, gsize *at, gsize floats)
{
  gsize begin = *at;
  *at += up (floats, 16);
  return base == NULL ? NULL : base + begin;
}

/* Lays the memory out; its size. With base NULL it only counts. */
static gsize
lay_out (Work *w, float *base)
{
  gsize at = 0;
  w->k = take (base, &at, w->keys * w->ld / 2);
  w->v = take (base, &at, w->keys * w->ld / 2);
  w->k_turned = take (base, &at, w->width * w->turned_ld / 2);
  w->dk = take (base, &at, w->keys * w->width);
  w->dv = take (base, &at, w->keys * w->width);
  w->q = take (base, &at, QUERIES * w->width / 2);
  w->dout = take (base, &at, QUERIES * w->width / 2);
  w->q_down = take (base, &at, QUERIES * w->width / 2);
  w->dout_down = take (base, &at, QUERIES * w->width / 2);
  w->s = take (base, &at, w->keys * QUERIES);
  w->t = take (base, &at, w->keys * QUERIES);
  w->p = take (base, &at, w->keys * QUERY_LD / 2);
  w->ds = take (base, &at, w->keys * QUERY_LD / 2);
  w->ds_down = take (base, &at, w->keys * QUERIES / 2);
  w->dq = take (base, &at, w->width * QUERIES);
  float **rows[] = { &w->first, &w->last, &w->lse, &w->delta };
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    *rows[i] = take (base, &at, QUERIES);
  return at;
}

/* The softmax of keys [from, to) and the scores' gradient, for whole vectors of the block's queries: 0 where a query does not
 * see a key. */
VJ_CLONES static void
soften (const Work *w, gsize from, gsize to, gsize queries, float scale)
{
  const V none = v_set (0), one = v_set (1);
  for (gsize i = 0; i < queries; i += LANES) {
    V first = v_load (w->first + i), last = v_load (w->last + i), lse = v_load (w->lse + i), delta = v_load (w->delta + i);
    for (gsize j = from; j < to; j++) {
      V key = v_set ((float) j), *t = (V *) (void *) (w->t + j * QUERIES + i);
      V seen = v_max (v_min (v_min (last - key, key - first + 1), one), none); /* by arithmetic: masks put together become scalars */
      V p = v_exp (v_load (w->s + j * QUERIES + i) * scale - lse) * seen, ds = p * (*t - delta) * scale;
      *t = ds;
      *(VHU *) (w->p + j * QUERY_LD + i) = __builtin_convertvector ((VIU) v_bf16 (p) >> 16, VH);
      *(VHU *) (w->ds + j * QUERY_LD + i) = __builtin_convertvector ((VIU) v_bf16 (ds) >> 16, VH);
    }
  }
}

/* What the block's rows see and how they are scaled; the keys any of them sees, as whole sides. */
static void
load_rows (const VjAttention *a, const VjAttentionSegment *s, gsize head, gsize row, gsize n, Work *w, gsize *ret_from, gsize *ret_to)
{
  gsize from = s->kv_count, to = 0;
  for (gsize i = 0; i < QUERIES; i++) {
    gsize first = 0, last = 0, at = (row + i) * a->heads + head;
    if (i < n)
      key_range (a, s, row + i, &first, &last);
    w->first[i] = (float) first;
    w->last[i] = (float) last;
    w->lse[i] = first < last ? CF (a->lse)[at] : 0;
    w->delta[i] = first < last ? vj_cpu_dot (CF (a->dout) + at * a->head_dim, CF (a->out) + at * a->head_dim, a->head_dim) : 0;
    from = first < last ? MIN (from, first) : from;
    to = first < last ? MAX (to, last) : to;
  }
  *ret_from = from / SIDE * SIDE;
  *ret_to = up (to, SIDE);
}

static void
backward_block (const VjAttention *a, const VjAttentionSegment *s, gsize head, gsize r, Work *w)
{
  const VjBf16Kernel *kernel = w->kernel;
  gsize dim = w->dim, n = MIN (QUERIES, s->q_count - r), whole = up (n, SIDE), row = s->q_row + r, ld = a->heads * dim, from, to;
  const float *q = CF (a->q) + row * a->ld_q + head * dim, *dout = CF (a->dout) + row * ld + head * dim;
  float *dq = F (a->dq) + row * a->ld_dq + head * dim;
  load_rows (a, s, head, row, n, w, &from, &to);
  for (gsize i = 0; from >= to && i < n; i++)
    memset (dq + i * a->ld_dq, 0, dim * sizeof (float));
  if (from >= to)
    return;
  gsize keys = to - from, stride = VJ_BF16_PANEL * w->width, down = VJ_BF16_PANEL * whole;
  float *dk = w->dk + from * w->width, *dv = w->dv + from * w->width;
  kernel->pack (q, a->ld_q, 1, n, dim, w->width, w->q);
  kernel->pack (dout, ld, 1, n, dim, w->width, w->dout);
  kernel->pack (q, 1, a->ld_q, dim, n, whole, w->q_down);
  kernel->pack (dout, 1, ld, dim, n, whole, w->dout_down);
  kernel->multiply (keys, whole, w->width, w->k + from * w->ld, w->ld, w->q, stride, NULL, 0, w->s + from * QUERIES, QUERIES);
  kernel->multiply (keys, whole, w->width, w->v + from * w->ld, w->ld, w->dout, stride, NULL, 0, w->t + from * QUERIES, QUERIES);
  soften (w, from, to, whole, a->scale);
  kernel->multiply (keys, w->width, whole, w->p + from * QUERY_LD, QUERY_LD, w->dout_down, down, dv, w->width, dv, w->width);
  kernel->multiply (keys, w->width, whole, w->ds + from * QUERY_LD, QUERY_LD, w->q_down, down, dk, w->width, dk, w->width);
  kernel->pack (w->t + from * QUERIES, 1, QUERIES, whole, keys, keys, w->ds_down);
  kernel->multiply (w->width, whole, keys, w->k_turned + from, w->turned_ld, w->ds_down, VJ_BF16_PANEL * keys, NULL, 0, w->dq, QUERIES);
  vj_cpu_transpose (w->dq, QUERIES, dim, n, dq, a->ld_dq);
}

static void
attend_backward (void *data, gsize item, guint worker)
{
  const Call *call = data;
  const VjAttention *a = call->a;
  const VjAttentionSegment *s = &a->segments[item / a->kv_heads];
  gsize g = item % a->kv_heads, group = a->heads / a->kv_heads, dim = a->head_dim, kv = s->kv_count;
  Work w = { .kernel = call->cpu->bf16, .dim = dim, .width = up (dim, SIDE), .keys = up (kv, SIDE) };
  w.ld = vj_bf16_apart (w.width);
  w.turned_ld = vj_bf16_apart (w.keys);
  float *at = vj_cpu_scratch (call->cpu, worker, lay_out (&w, NULL));
  lay_out (&w, at);
  memset (at, 0, (gsize) (w.s - at) * sizeof (float)); /* what is filled up, and the sums */
  w.kernel->rows (CF (s->k) + g * dim, a->ld_kv, 1, kv, dim, w.k, w.ld);
  w.kernel->rows (CF (s->v) + g * dim, a->ld_kv, 1, kv, dim, w.v, w.ld);
  w.kernel->rows (CF (s->k) + g * dim, 1, a->ld_kv, dim, kv, w.k_turned, w.turned_ld);
  for (gsize h = 0; h < group; h++)
    for (gsize r = 0; r < s->q_count; r += QUERIES)
      backward_block (a, s, g * group + h, r, &w);
  for (gsize j = 0; j < kv; j++) {
    memcpy (F (s->dk) + j * a->ld_dkv + g * dim, w.dk + j * w.width, dim * sizeof (float));
    memcpy (F (s->dv) + j * a->ld_dkv + g * dim, w.dv + j * w.width, dim * sizeof (float));
  }
}

void
vj_bf16_attention_backward (VjCpu *cpu, const VjAttention *attention)
{
  Call call = { .cpu = cpu, .a = attention };
  vj_pool_run (cpu->pool, attention->n_segments * attention->kv_heads, attend_backward, &call);
}
