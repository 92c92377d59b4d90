/* How products of bf16 numbers are cut into work: see bf16.h. */
#include "compute/bf16.h"

#include <string.h>

#define CHUNK ((gsize) 256)        /* rows and columns of an item, at most: its sums and a block of its panels stay in cache */
#define CHUNK_LEAST ((gsize) 32)
#define ITEM ((gsize) 1 << 20)     /* multiply-adds worth an item */
#define PACKED ((gsize) 16 << 20)  /* numbers packed at a time */

static gsize
up (gsize n, gsize unit)
{
  return (n + unit - 1) / unit * unit;
}

/* Rows of an item out of n, so that there are enough items for the threads and each is worth one. */
static gsize
chunk_of (const VjCpu *cpu, gsize n, gsize work_per_row, gsize others)
{
  gsize wanted = 4 * vj_pool_threads (cpu->pool) / MAX (others, 1) + 1;
  gsize chunk = up (MAX (n / wanted, 1), CHUNK_LEAST);
  return CLAMP (MAX (chunk, up (ITEM / MAX (work_per_row, 1), CHUNK_LEAST)), CHUNK_LEAST, CHUNK);
}

/* -- packing --------------------------------------------------------------- */

typedef struct {
  const VjBf16Kernel *kernel;
  const float *from;
  gsize step_j, step_l, n, k, stride;
  guint16 *to;
} Pack;

static void
pack_panels (void *data, gsize first, gsize n, G_GNUC_UNUSED guint worker)
{
  const Pack *p = data;
  for (gsize i = first; i < first + n; i++)
    p->kernel->pack (p->from + i * VJ_BF16_PANEL * p->step_j, p->step_j, p->step_l, MIN (VJ_BF16_PANEL, p->n - i * VJ_BF16_PANEL), p->k,
                     p->to + i * p->stride);
}

static void
pack_rows (void *data, gsize first, gsize n, G_GNUC_UNUSED guint worker)
{
  const Pack *p = data;
  for (gsize i = first; i < first + n; i++)
    vj_bf16_rows (p->from + i * VJ_BF16_PANEL * p->step_j, p->step_j, p->step_l, MIN (VJ_BF16_PANEL, p->n - i * VJ_BF16_PANEL), p->k,
                  p->to + i * p->stride, p->stride / VJ_BF16_PANEL);
}

/* Sixteen of n to an item of packing or more; the work is set by `how`. */
static void
pack (VjCpu *cpu, const Pack *p, VjCpuRows how)
{
  gsize panels = (p->n + VJ_BF16_PANEL - 1) / VJ_BF16_PANEL;
  vj_cpu_rows (cpu, panels, 1 + (1 << 14) / MAX (p->stride, 1), how, (gpointer) p);
}

/* -- linear ---------------------------------------------------------------- */

typedef struct {
  const VjMatrix *w;
  gsize at;         /* its first column in y */
  gsize item;       /* its first item */
  gsize chunk, chunks;
} Part;

typedef struct {
  VjCpu *cpu;
  const Part *parts;
  gsize rows, row_chunk, row_chunks, k, stride, ldy;
  const guint16 *panels;
  const float *bias;
  float *y;
} Linear;

/* c holds the sums the other way round: weights' rows down, rows of x across. */
static void
give_out (const Linear *t, const float *c, gsize ldc, gsize row, gsize rows, gsize col, gsize cols)
{
  float *y = t->y + row * t->ldy + col;
  vj_cpu_transpose (c, ldc, cols, rows, y, t->ldy);
  for (gsize r = 0; t->bias != NULL && r < rows; r++)
    for (gsize j = 0; j < cols; j++)
      y[r * t->ldy + j] += t->bias[col + j];
}

static void
linear_item (void *data, gsize item, guint worker)
{
  const Linear *t = data;
  const VjBf16Kernel *kernel = t->cpu->bf16;
  const Part *part = t->parts;
  while (item >= part->item + part->chunks * t->row_chunks)
    part++;
  gsize col = (item - part->item) / t->row_chunks * part->chunk, row = (item - part->item) % t->row_chunks * t->row_chunk;
  gsize cols = MIN (part->chunk, part->w->n - col), rows = MIN (t->row_chunk, t->rows - row), ldc = up (rows, VJ_BF16_PANEL);
  float *c = vj_cpu_scratch (t->cpu, worker, cols * ldc);
  for (gsize l = 0; l < t->k; l += MIN (kernel->block, t->k - l))
    kernel->multiply (cols, rows, MIN (kernel->block, t->k - l), part->w->halves + col * t->k + l, t->k,
                      t->panels + row / VJ_BF16_PANEL * t->stride + l * VJ_BF16_PANEL, t->stride, l > 0, c, ldc);
  give_out (t, c, ldc, row, rows, part->at + col, cols);
}

void
vj_bf16_linear (VjCpu *cpu, gsize rows, const float *x, const VjMatrix *const *w, gsize n_w, const float *bias, float *y, gsize ldy)
{
  gsize k = w[0]->k, stride = up (k, VJ_BF16_UNIT) * VJ_BF16_PANEL, all = 0, items = 0, at = 0;
  g_assert (n_w <= 8);
  Part parts[8];
  guint16 *panels = (guint16 *) (void *) vj_cpu_shared (cpu, up (rows, VJ_BF16_PANEL) * up (k, VJ_BF16_UNIT) / 2);
  Pack x_panels = { cpu->bf16, x, k, 1, rows, k, stride, panels };
  pack (cpu, &x_panels, pack_panels);
  Linear t = { cpu, parts, rows, MIN (up (rows, VJ_BF16_PANEL), CHUNK), 0, k, stride, ldy, panels, bias, y };
  t.row_chunks = (rows + t.row_chunk - 1) / t.row_chunk;
  for (gsize i = 0; i < n_w; i++)
    all += w[i]->n;
  for (gsize i = 0; i < n_w; at += w[i++]->n) {
    gsize chunk = chunk_of (cpu, all, MIN (rows, CHUNK) * k, t.row_chunks), chunks = (w[i]->n + chunk - 1) / chunk;
    parts[i] = (Part) { w[i], at, items, chunk, chunks };
    items += chunks * t.row_chunks;
  }
  vj_pool_run (cpu->pool, items, linear_item, &t);
}

/* -- gemm ------------------------------------------------------------------ */

typedef struct {
  VjCpu *cpu;
  const VjGemm *g;
  gsize m0, m, n0, n, m_chunk, n_chunk, n_chunks, ld, stride;
  const guint16 *a, *b; /* rows [m, ld] of a; panels of b */
} Product;

static void
gemm_item (void *data, gsize item, G_GNUC_UNUSED guint worker)
{
  const Product *t = data;
  const VjGemm *g = t->g;
  const VjBf16Kernel *kernel = t->cpu->bf16;
  gsize row = item / t->n_chunks * t->m_chunk, col = item % t->n_chunks * t->n_chunk;
  gsize m = MIN (t->m_chunk, t->m - row), n = MIN (t->n_chunk, t->n - col);
  float *c = F (g->c) + (t->m0 + row) * g->ldc + t->n0 + col;
  for (gsize l = 0; l < g->k; l += MIN (kernel->block, g->k - l))
    kernel->multiply (m, n, MIN (kernel->block, g->k - l), t->a + row * t->ld + l, t->ld,
                      t->b + col / VJ_BF16_PANEL * t->stride + l * VJ_BF16_PANEL, t->stride, l > 0 || g->beta != 0, c, g->ldc);
  for (gsize r = 0; g->bias != NULL && r < m; r++)
    for (gsize j = 0; j < n; j++)
      c[r * g->ldc + j] += CF (g->bias)[t->n0 + col + j];
}

/* Both operands are rounded and packed, a part of them at a time when they are large. */
void
vj_bf16_gemm (VjCpu *cpu, const VjGemm *g)
{
  gsize ld = up (g->k, VJ_BF16_UNIT), most = MAX (PACKED / ld / CHUNK, 1) * CHUNK;
  gsize m = MIN (g->m, most), n = MIN (g->n, most), a_size = up (m, VJ_BF16_PANEL) * ld;
  guint16 *a = (guint16 *) (void *) vj_cpu_shared (cpu, (a_size + up (n, VJ_BF16_PANEL) * ld) / 2), *b = a + a_size;
  for (gsize n0 = 0; n0 < g->n; n0 += n) {
    Pack columns = { cpu->bf16, CF (g->b) + (g->tb ? n0 * g->ldb : n0), g->tb ? g->ldb : 1, g->tb ? 1 : g->ldb, MIN (n, g->n - n0), g->k,
                     ld * VJ_BF16_PANEL, b };
    pack (cpu, &columns, pack_panels);
    for (gsize m0 = 0; m0 < g->m; m0 += m) {
      Pack rows = { cpu->bf16, CF (g->a) + (g->ta ? m0 : m0 * g->lda), g->ta ? 1 : g->lda, g->ta ? g->lda : 1, MIN (m, g->m - m0), g->k,
                    ld * VJ_BF16_PANEL, a };
      if (n0 == 0 || m < g->m)
        pack (cpu, &rows, pack_rows);
      Product t = { .cpu = cpu, .g = g, .m0 = m0, .m = rows.n, .n0 = n0, .n = columns.n, .ld = ld, .stride = columns.stride, .a = a, .b = b };
      t.n_chunk = MIN (up (t.n, CHUNK_LEAST), CHUNK);
      t.n_chunks = (t.n + t.n_chunk - 1) / t.n_chunk;
      t.m_chunk = chunk_of (cpu, t.m, t.n_chunk * g->k, t.n_chunks);
      vj_pool_run (cpu->pool, (t.m + t.m_chunk - 1) / t.m_chunk * t.n_chunks, gemm_item, &t);
    }
  }
}
