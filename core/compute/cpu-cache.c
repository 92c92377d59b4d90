/* Caches of keys and values for attention of bf16 numbers: head by head, and of a head block by block of KEY_BLOCK tokens, the
 * last one as short as it may be. A block is what attention would pack of its keys and values: panels whose columns are
 * tokens, then panels whose columns are the head's numbers. Values are zeros from the last token to the end of its unit,
 * because their weights are: what was there before might be no number. */
#include "compute/attention.h"
#include "compute/bf16.h"

#define PANEL VJ_BF16_PANEL
#define UNIT VJ_BF16_UNIT

static gsize
up (gsize n, gsize unit)
{
  return (n + unit - 1) / unit * unit;
}

/* Numbers of a token in one head. */
static gsize
token_size (gsize head_dim)
{
  return up (head_dim, UNIT) + up (head_dim, PANEL);
}

static gsize
cache_bytes (G_GNUC_UNUSED void *device, gsize tokens, gsize kv_heads, gsize head_dim)
{
  return up (tokens, UNIT) * kv_heads * token_size (head_dim) * sizeof (guint16);
}

VjCpuCacheBlock
vj_cpu_cache_block (VjF32 *cache, gsize tokens, gsize head_dim, gsize g, gsize first)
{
  gsize all = up (tokens, UNIT), size = token_size (head_dim), depth = up (head_dim, UNIT), here = MIN (KEY_BLOCK, all - first);
  guint16 *keys = (guint16 *) (void *) cache + (g * all + first) * size;
  return (VjCpuCacheBlock) { keys, keys + here * depth, depth, here };
}

/* -- numbers in panels ----------------------------------------------------- */

/* One unit of a column: chunk by chunk, or its numbers in a row. */
static inline void
put_key (const VjBf16Kernel *kernel, const guint16 *row, guint16 *to)
{
  gsize chunk = kernel->chunk > 0 ? kernel->chunk : UNIT;
  for (gsize l = 0; l < UNIT; l += chunk)
    memcpy (to + l * PANEL, row + l, chunk * sizeof *row);
}

/* The l-th number of n columns of a panel, `apart` numbers apart. */
static inline void
put_values (gsize apart, const guint16 *row, gsize n, guint16 *to)
{
  for (gsize column = 0; column < n; column++)
    to[column * apart] = row[column];
}

/* One token's key or value, rounded. */
static void
store_one (const VjBf16Kernel *kernel, const VjCpuCacheBlock *b, gsize dim, gsize token, const float *k, const float *v)
{
  guint16 row[UNIT] __attribute__ ((aligned (64)));
  for (gsize from = 0; from < dim; from += UNIT) {
    gsize n = MIN (UNIT, dim - from);
    if (k != NULL) {
      kernel->rows (k + from, n, 1, 1, n, row, UNIT); /* zeros to the unit's end */
      put_key (kernel, row, b->keys + vj_bf16_place (kernel, b->depth, token, from));
    }
    if (v != NULL)
      kernel->rows (v + from, n, 1, 1, n, row, UNIT);
    for (gsize l = 0; v != NULL && l < n; l += PANEL)
      put_values (vj_bf16_place (kernel, b->tokens, 1, 0), row + l, MIN (PANEL, n - l), b->values + vj_bf16_place (kernel, b->tokens, from + l, token));
  }
}

/* Tokens from `token` to the next multiple of `unit`, n at most. */
static gsize
to_edge (gsize token, gsize unit, gsize n)
{
  return MIN (n, (unit - token % unit) % unit);
}

/* Whole panels and units are packed, what stands before them is put in place one by one. */
static void
store_run (const VjBf16Kernel *kernel, const VjCpuCacheBlock *b, gsize dim, gsize token, gsize n, const float *k, const float *v, gsize ld)
{
  gsize keys = to_edge (token, PANEL, n), values = to_edge (token, UNIT, n);
  for (gsize i = 0; i < MAX (keys, values); i++)
    store_one (kernel, b, dim, token + i, i < keys ? k + i * ld : NULL, i < values ? v + i * ld : NULL);
  if (keys < n)
    kernel->pack (k + keys * ld, ld, 1, n - keys, dim, b->depth, b->keys + (token + keys) * b->depth);
  if (values < n)
    kernel->pack (v + values * ld, 1, ld, dim, n - values, b->tokens, b->values + vj_bf16_place (kernel, b->tokens, 0, token + values));
}

void
vj_cpu_cache_store (const VjCpu *cpu, VjF32 *cache, gsize tokens, gsize head_dim, gsize g, gsize at, gsize count, const float *k, const float *v,
                    gsize ld)
{
  for (gsize done = 0, part; done < count; done += part) {
    gsize token = (at + done) % KEY_BLOCK;
    const VjCpuCacheBlock block = vj_cpu_cache_block (cache, tokens, head_dim, g, at + done - token);
    part = MIN (KEY_BLOCK - token, count - done);
    store_run (cpu->bf16, &block, head_dim, token, part, k + done * ld, v + done * ld, ld);
  }
}

typedef struct {
  const VjCpu *cpu;
  VjF32 *cache;
  gsize tokens, head_dim, at, count;
  const float *k, *v;
  gsize ld;
} Store;

static void
store_head (void *data, gsize g, G_GNUC_UNUSED guint worker)
{
  const Store *s = data;
  vj_cpu_cache_store (s->cpu, s->cache, s->tokens, s->head_dim, g, s->at, s->count, s->k + g * s->head_dim, s->v + g * s->head_dim, s->ld);
}

static void
cache_store (void *device, VjF32 *cache, gsize tokens, gsize kv_heads, gsize head_dim, gsize at, gsize count, const VjF32 *k, const VjF32 *v, gsize ld)
{
  VjCpu *cpu = device;
  Store store = { cpu, cache, tokens, head_dim, at, count, CF (k), CF (v), ld };
  vj_pool_run (cpu->pool, kv_heads, store_head, &store);
}

/* -- from one cache to another --------------------------------------------- */

typedef struct {
  const VjBf16Kernel *kernel;
  gsize head_dim, count;
  const VjF32 *from;
  gsize from_tokens, from_at;
  VjF32 *to;
  gsize to_tokens, to_at;
} Copy;

static void
copy_token (const Copy *c, const VjCpuCacheBlock *from, gsize i, const VjCpuCacheBlock *to, gsize j)
{
  for (gsize l = 0; l < from->depth; l++)
    to->keys[vj_bf16_place (c->kernel, to->depth, j, l)] = from->keys[vj_bf16_place (c->kernel, from->depth, i, l)];
  for (gsize l = 0; l < c->head_dim; l++)
    to->values[vj_bf16_place (c->kernel, to->tokens, l, j)] = from->values[vj_bf16_place (c->kernel, from->tokens, l, i)];
}

/* n tokens, whole units on both sides. */
static void
copy_units (const Copy *c, const VjCpuCacheBlock *from, gsize i, const VjCpuCacheBlock *to, gsize j, gsize n)
{
  gsize step = c->kernel->chunk > 0 ? PANEL : 1; /* columns whose numbers lie together */
  memcpy (to->keys + j * to->depth, from->keys + i * from->depth, n * from->depth * sizeof (guint16));
  for (gsize l = 0; l < up (c->head_dim, PANEL); l += step)
    memcpy (to->values + vj_bf16_place (c->kernel, to->tokens, l, j), from->values + vj_bf16_place (c->kernel, from->tokens, l, i), n * step * sizeof (guint16));
}

static void
clear_values (const Copy *c, const VjCpuCacheBlock *to, gsize begin, gsize end)
{
  for (gsize j = begin; j < end; j++)
    for (gsize l = 0; l < c->head_dim; l++)
      to->values[vj_bf16_place (c->kernel, to->tokens, l, j)] = 0;
}

static void
copy_head (void *data, gsize g, G_GNUC_UNUSED guint worker)
{
  const Copy *c = data;
  for (gsize done = 0, part; done < c->count; done += part) {
    gsize i = (c->from_at + done) % KEY_BLOCK, j = (c->to_at + done) % KEY_BLOCK;
    VjCpuCacheBlock from = vj_cpu_cache_block ((VjF32 *) c->from, c->from_tokens, c->head_dim, g, c->from_at + done - i);
    VjCpuCacheBlock to = vj_cpu_cache_block (c->to, c->to_tokens, c->head_dim, g, c->to_at + done - j);
    part = MIN (c->count - done, KEY_BLOCK - MAX (i, j));
    if (i % UNIT == 0 && j % UNIT == 0)
      copy_units (c, &from, i, &to, j, up (part, UNIT));
    else
      for (gsize t = 0; t < part; t++)
        copy_token (c, &from, i + t, &to, j + t);
    clear_values (c, &to, j + part, up (j + part, UNIT));
  }
}

static void
cache_copy (void *device, gsize kv_heads, gsize head_dim, gsize count, const VjF32 *from, gsize from_tokens, gsize from_at, VjF32 *to, gsize to_tokens,
            gsize to_at)
{
  VjCpu *cpu = device;
  Copy copy = { cpu->bf16, head_dim, count, from, from_tokens, from_at, to, to_tokens, to_at };
  vj_pool_run (cpu->pool, kv_heads, copy_head, &copy);
}

const VjCaches vj_cpu_caches = { .bytes = cache_bytes, .store = cache_store, .copy = cache_copy };
