/* Products of two f32 operands rounded to bf16, as training has them: see bf16.h.
 *
 * One operand, activations, is shared by all items of work and rounded first. Of the other, a weight or what a gradient of
 * one is made of, each item rounds its own part just before it multiplies it, so that those numbers come from memory once
 * and meet the kernel in cache. */
#include "compute/bf16.h"

#define UNIT VJ_BF16_UNIT
#define PANEL VJ_BF16_PANEL
#define CHUNK ((gsize) 256)   /* rows or columns that an item rounds, about: they, their sums and a block of what is shared stay in cache */
#define OTHERS ((gsize) 1024) /* of the shared operand that an item meets, at most */
#define SHARED ((gsize) 2048) /* rows or columns of the shared operand rounded at a time */
#define LONG ((gsize) 8192)   /* of l at a time */
#define STREAM ((gsize) 2048) /* of l that an item rounds at a time, where l lies side by side: memory is read fast only at some length */

static gsize
up (gsize n, gsize unit)
{
  return (n + unit - 1) / unit * unit;
}

/* A matrix of floats: number (i, l) is at[i step + l step_l]. */
typedef struct {
  const float *at;
  gsize step, step_l;
} Operand;

static Operand
part (Operand o, gsize i, gsize l)
{
  o.at += i * o.step + l * o.step_l;
  return o;
}

/* c[i, j] (+)= bias[j] + the sum over l of rows (i, l) columns (j, l). */
typedef struct {
  VjCpu *cpu;
  Operand rows, columns;
  gsize m, n, k;         /* rows, columns, l of this call */
  gsize block;           /* of l, for the kernel */
  gboolean add;
  const float *bias;     /* NULL: none */
  float *c;
  gsize ldc;
  guint16 *shared;       /* rows, ld apart, or panels: block by block of l, all panels of a block side by side */
  gsize ld;
  gsize row_chunk, row_chunks, column_chunk, column_chunks;
} Product;

/* About CHUNK, and as many chunks for each thread. */
static gsize
chunk_of (const VjCpu *cpu, gsize n)
{
  gsize threads = vj_pool_threads (cpu->pool), chunks = threads * ((n + threads * CHUNK - 1) / (threads * CHUNK));
  return up ((n + chunks - 1) / chunks, 32);
}

/* Of the n of the shared operand, when the other one makes `others` chunks: OTHERS, or fewer where threads would have no work. */
static gsize
shared_chunk_of (const VjCpu *cpu, gsize n, gsize others)
{
  gsize chunks = MAX ((n + OTHERS - 1) / OTHERS, (vj_pool_threads (cpu->pool) + others - 1) / others);
  return up ((n + chunks - 1) / chunks, 32);
}

/* Even blocks of l, none larger than the kernel wants them. */
static gsize
block_of (const VjCpu *cpu, gsize k)
{
  gsize most = MIN (cpu->bf16->block, STREAM), blocks = (k + most - 1) / most;
  return up ((k + blocks - 1) / blocks, UNIT);
}

/* The first panel from column j on in the block at l, where panels of n columns are packed, k of l. */
static gsize
panel_at (gsize block, gsize n, gsize k, gsize j, gsize l)
{
  return l * up (n, PANEL) + j * up (MIN (block, k - l), UNIT);
}

static void
add_bias (const Product *p, gsize row, gsize rows, gsize column, gsize columns)
{
  for (gsize r = row; p->bias != NULL && r < row + rows; r++)
    for (gsize j = column; j < column + columns; j++)
      p->c[r * p->ldc + j] += p->bias[j];
}

/* -- the columns are shared ------------------------------------------------ */

static void
pack_item (void *data, gsize item, G_GNUC_UNUSED guint worker)
{
  const Product *p = data;
  gsize chunk = p->column_chunk, chunks = (p->n + chunk - 1) / chunk, first = item % chunks * chunk, l = item / chunks * p->block;
  gsize k = MIN (p->block, p->k - l);
  Operand from = part (p->columns, first, l);
  p->cpu->bf16->pack (from.at, from.step, from.step_l, MIN (chunk, p->n - first), k, up (k, UNIT), p->shared + panel_at (p->block, p->n, p->k, first, l));
}

static void
rows_item (void *data, gsize item, guint worker)
{
  const Product *p = data;
  gsize row = item % p->row_chunks * p->row_chunk, column = item / p->row_chunks * p->column_chunk;
  gsize rows = MIN (p->row_chunk, p->m - row), columns = MIN (p->column_chunk, p->n - column), ld = vj_bf16_apart (p->block);
  float *c = p->c + row * p->ldc + column;
  guint16 *rounded = (guint16 *) (void *) vj_cpu_scratch (p->cpu, worker, rows * ld / 2);
  for (gsize l = 0; l < p->k; l += p->block) {
    gsize k = MIN (p->block, p->k - l), depth = up (k, UNIT);
    Operand from = part (p->rows, row, l);
    p->cpu->bf16->rows (from.at, from.step, from.step_l, rows, k, rounded, ld);
    p->cpu->bf16->multiply (rows, columns, depth, rounded, ld, p->shared + panel_at (p->block, p->n, p->k, column, l), PANEL * depth,
                            p->add || l > 0 ? c : NULL, p->ldc, c, p->ldc);
  }
  add_bias (p, row, rows, column, columns);
}

static void
share_columns (Product *p)
{
  p->shared = (guint16 *) (void *) vj_cpu_shared (p->cpu, up (p->n, PANEL) * up (p->k, UNIT) / 2);
  p->column_chunk = p->columns.step == 1 ? 8 * PANEL : PANEL; /* columns side by side are best packed many at a time */
  vj_pool_run (p->cpu->pool, (p->n + p->column_chunk - 1) / p->column_chunk * ((p->k + p->block - 1) / p->block), pack_item, p);
  p->row_chunk = chunk_of (p->cpu, p->m);
  p->row_chunks = (p->m + p->row_chunk - 1) / p->row_chunk;
  p->column_chunk = shared_chunk_of (p->cpu, p->n, p->row_chunks);
  p->column_chunks = (p->n + p->column_chunk - 1) / p->column_chunk;
  vj_cpu_set_aside (p->cpu, MIN (p->row_chunk, p->m) * vj_bf16_apart (p->block) / 2);
  vj_pool_run (p->cpu->pool, p->row_chunks * p->column_chunks, rows_item, p);
}

/* -- the rows are shared --------------------------------------------------- */

static void
round_item (void *data, gsize item, G_GNUC_UNUSED guint worker)
{
  const Product *p = data;
  Operand from = part (p->rows, item * PANEL, 0);
  p->cpu->bf16->rows (from.at, from.step, from.step_l, MIN (PANEL, p->m - item * PANEL), p->k, p->shared + item * PANEL * p->ld, p->ld);
}

/* Of l that an item packs at a time. */
static gsize
stream_of (const Product *p)
{
  return p->columns.step_l == 1 ? MAX (STREAM / p->block, 1) * p->block : p->block;
}

/* Floats of scratch memory for an item of n columns. */
static gsize
columns_scratch (const Product *p, gsize n)
{
  return up (n, PANEL) * up (MIN (stream_of (p), p->k), UNIT) / 2;
}

static void
columns_item (void *data, gsize item, guint worker)
{
  const Product *p = data;
  gsize row = item % p->row_chunks * p->row_chunk, column = item / p->row_chunks * p->column_chunk;
  gsize rows = MIN (p->row_chunk, p->m - row), columns = MIN (p->column_chunk, p->n - column);
  gsize stream = stream_of (p);
  float *c = p->c + row * p->ldc + column;
  guint16 *panels = (guint16 *) (void *) vj_cpu_scratch (p->cpu, worker, columns_scratch (p, columns));
  for (gsize from = 0; from < p->k; from += stream) {
    gsize length = MIN (stream, p->k - from), depth = up (length, UNIT);
    Operand o = part (p->columns, column, from);
    p->cpu->bf16->pack (o.at, o.step, o.step_l, columns, length, depth, panels);
    for (gsize l = 0; l < length; l += p->block)
      p->cpu->bf16->multiply (rows, columns, MIN (p->block, depth - l), p->shared + row * p->ld + from + l, p->ld,
                              panels + vj_bf16_place (p->cpu->bf16, depth, 0, l), PANEL * depth, p->add || from + l > 0 ? c : NULL, p->ldc, c, p->ldc);
  }
  add_bias (p, row, rows, column, columns);
}

static void
share_rows (Product *p)
{
  p->ld = vj_bf16_apart (p->k);
  p->shared = (guint16 *) (void *) vj_cpu_shared (p->cpu, up (p->m, PANEL) * p->ld / 2);
  vj_pool_run (p->cpu->pool, (p->m + PANEL - 1) / PANEL, round_item, p);
  p->column_chunk = chunk_of (p->cpu, p->n);
  p->column_chunks = (p->n + p->column_chunk - 1) / p->column_chunk;
  p->row_chunk = shared_chunk_of (p->cpu, p->m, p->column_chunks);
  p->row_chunks = (p->m + p->row_chunk - 1) / p->row_chunk;
  vj_cpu_set_aside (p->cpu, columns_scratch (p, MIN (p->column_chunk, p->n)));
  vj_pool_run (p->cpu->pool, p->row_chunks * p->column_chunks, columns_item, p);
}

/* A part of the shared operand at a time, when it is large. Sums go on from where the l before left them. */
void
vj_bf16_gemm (VjCpu *cpu, const VjGemm *g)
{
  Product all = { .cpu = cpu, .rows = { CF (g->a), g->ta ? 1 : g->lda, g->ta ? g->lda : 1 }, .columns = { CF (g->b), g->tb ? g->ldb : 1, g->tb ? 1 : g->ldb },
                  .m = g->m, .n = g->n, .ldc = g->ldc };
  for (gsize l = 0; l < g->k; l += LONG)
    for (gsize i = 0; i < (g->ta ? g->n : g->m); i += SHARED) {
      Product p = all;
      gsize row = g->ta ? 0 : i, column = g->ta ? i : 0;
      p.k = MIN (LONG, g->k - l);
      p.block = block_of (cpu, p.k);
      p.rows = part (all.rows, row, l);
      p.columns = part (all.columns, column, l);
      p.add = g->beta != 0 || l > 0;
      p.c = F (g->c) + row * g->ldc + column;
      p.bias = g->bias == NULL || l + p.k < g->k ? NULL : CF (g->bias) + column;
      if (g->ta) {
        p.n = MIN (SHARED, g->n - i);
        share_columns (&p);
      } else {
        p.m = MIN (SHARED, g->m - i);
        share_rows (&p);
      }
    }
}
