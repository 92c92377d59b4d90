/* How products of bf16 numbers are cut into work: see bf16.h. */
#include "compute/bf16.h"

#include <string.h>

#define CHUNK ((gsize) 256)        /* rows and columns of an item, at most: its sums and a block of its panels stay in cache */
#define ROW_CHUNK ((gsize) 640)    /* the same for rows of x, which weights meet but once */
#define MOST_PARTS 8               /* matrices of one call */
#define CHUNK_LEAST ((gsize) 32)
#define ITEM ((gsize) 1 << 20)     /* multiply-adds worth an item */
#define UNBLOCKED ((gsize) 32)     /* columns up to which all of l is done at once: rows are then read from end to end */
#define PIECE ((gsize) 512)        /* of l that one item packs, of sixteen rows of x */
#define ROUNDED ((gsize) 4)        /* rows of x made at a time */
#define MANY ((gsize) 96)          /* rows of x from which on they are a, and weights b */

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

/* Rows of x packed as columns: block by block of l, all panels of a block side by side, so that a block of them stays in
 * cache. */
typedef struct {
  VjCpu *cpu;
  const VjInput *x;
  gsize n, k;
  gsize panels, block;
  gsize piece; /* of l that one item packs */
  guint16 *to;
} Columns;

static Columns
columns (VjCpu *cpu, const VjInput *x, gsize n, gsize k, guint16 *to)
{
  gsize whole = up (k, VJ_BF16_UNIT), block = n <= UNBLOCKED ? whole : MIN (cpu->bf16->block, whole);
  return (Columns) { cpu, x, n, k, (n + VJ_BF16_PANEL - 1) / VJ_BF16_PANEL, block, MIN (block, PIECE), to };
}

/* From one panel to the next in the block at l. */
static gsize
stride_at (const Columns *c, gsize l)
{
  return VJ_BF16_PANEL * up (MIN (c->block, c->k - l), VJ_BF16_UNIT);
}

/* Column `first`, a multiple of 16, of the block at l. */
static guint16 *
panels_at (const Columns *c, gsize first, gsize l)
{
  return c->to + l * VJ_BF16_PANEL * c->panels + first / VJ_BF16_PANEL * stride_at (c, l);
}

static void
pack_item (void *data, gsize item, guint worker)
{
  const Columns *c = data;
  const VjBf16Kernel *kernel = c->cpu->bf16;
  gsize first = item % c->panels * VJ_BF16_PANEL, n = MIN (VJ_BF16_PANEL, c->n - first), at = item / c->panels * c->piece;
  gsize l = at / c->block * c->block, inside = at - l, count = MIN (MIN (c->piece, c->block - inside), c->k - at), ld;
  const float *x = vj_cpu_input (c->x, c->k, first, n, at, count, vj_cpu_scratch (c->cpu, worker, VJ_BF16_PANEL * count), &ld);
  gsize depth = stride_at (c, l) / VJ_BF16_PANEL;
  kernel->pack (x, ld, 1, n, count, depth, panels_at (c, first, l) + vj_bf16_place (kernel, depth, 0, inside));
}

static void
pack_columns (VjCpu *cpu, const Columns *c)
{
  vj_cpu_set_aside (cpu, VJ_BF16_PANEL * MIN (c->piece, c->k));
  vj_pool_run (cpu->pool, c->panels * ((c->k + c->piece - 1) / c->piece), pack_item, (gpointer) c);
}

/* c = rows by columns [first, first + n), over all of l. */
static void
multiply (const VjBf16Kernel *kernel, gsize m, gsize n, const guint16 *rows, gsize ld, const Columns *columns, gsize first, float *c, gsize ldc)
{
  for (gsize l = 0; l < columns->k; l += columns->block)
    kernel->multiply (m, n, MIN (columns->block, columns->k - l), rows + l, ld, panels_at (columns, first, l), stride_at (columns, l), l > 0 ? c : NULL,
                      ldc, c, ldc);
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
  const Columns *x;     /* few rows */
  const guint16 *x_rows; /* many rows, ld apart */
  gsize ld;
  gsize rows, k, row_chunk, row_chunks;
  VjCpuJoin join;        /* with y */
} Linear;

/* What one item multiplies: rows [row, row + rows) of x by rows [col, col + cols) of the part's weights. */
typedef struct {
  const Part *part;
  gsize col, cols, row, rows;
} LinearItem;

static LinearItem
find_item (const Linear *t, gsize item)
{
  const Part *part = t->parts;
  while (item >= part->item + part->chunks * t->row_chunks)
    part++;
  gsize col = (item - part->item) / t->row_chunks * part->chunk, row = (item - part->item) % t->row_chunks * t->row_chunk;
  return (LinearItem) { part, col, MIN (part->chunk, part->w->n - col), row, MIN (t->row_chunk, t->rows - row) };
}

static float *
sums_at (const Linear *t, const LinearItem *i)
{
  return t->join.y + i->row * t->join.ldy + i->part->at + i->col;
}

static void
join (const Linear *t, const LinearItem *i)
{
  if (t->join.bias != NULL || t->join.add != NULL)
    vj_cpu_join_part (&t->join, i->row, i->rows, i->part->at + i->col, i->cols);
}

/* Floats from a row of an item's sums to the next: never a power of two. */
static gsize
ld_sums (gsize cols)
{
  return up (cols, VJ_BF16_PANEL) + 16;
}

/* Floats of scratch memory for an item. */
static gsize
few_scratch (gsize cols, gsize rows)
{
  return cols * ld_sums (rows);
}

static gsize
many_scratch (const VjBf16Kernel *kernel, gsize cols, gsize rows)
{
  return kernel->chunk == 0 ? 0 : rows * ld_sums (cols) + up (cols, VJ_BF16_PANEL) * kernel->block / 2;
}

/* Few rows: weights are read where they lie, from end to end, and the sums turned: weights' rows down, rows of x across. */
static void
few_item (void *data, gsize item, guint worker)
{
  const Linear *t = data;
  const LinearItem i = find_item (t, item);
  gsize ldc = ld_sums (i.rows);
  float *c = vj_cpu_scratch (t->cpu, worker, few_scratch (i.cols, i.rows));
  multiply (t->cpu->bf16, i.cols, i.rows, i.part->w->halves + i.col * t->k, t->k, t->x, i.row, c, ldc);
  vj_cpu_transpose (c, ldc, i.cols, i.rows, sums_at (t, &i), t->join.ldy);
  join (t, &i);
}

/* Many rows: weights are packed, block by block of l, and the last block's sums go to y. Where panels are rows, weights are
 * panels as they lie. */
static void
many_item (void *data, gsize item, guint worker)
{
  const Linear *t = data;
  const VjBf16Kernel *kernel = t->cpu->bf16;
  const LinearItem i = find_item (t, item);
  if (kernel->chunk == 0) {
    kernel->multiply (i.rows, i.cols, t->k, t->x_rows + i.row * t->ld, t->ld, i.part->w->halves + i.col * t->k, VJ_BF16_PANEL * t->k, NULL, 0, sums_at (t, &i),
                      t->join.ldy);
    join (t, &i);
    return;
  }
  gsize ldc = ld_sums (i.cols);
  float *c = vj_cpu_scratch (t->cpu, worker, many_scratch (kernel, i.cols, i.rows)), *y = sums_at (t, &i);
  guint16 *packed = (guint16 *) (void *) (c + i.rows * ldc);
  for (gsize l = 0; l < t->k; l += kernel->block) {
    gsize k = MIN (kernel->block, t->k - l), depth = up (k, VJ_BF16_UNIT);
    gboolean last = l + k == t->k;
    kernel->pack_halves (i.part->w->halves + i.col * t->k + l, t->k, i.cols, k, depth, packed);
    kernel->multiply (i.rows, i.cols, depth, t->x_rows + i.row * t->ld + l, t->ld, packed, VJ_BF16_PANEL * depth, l > 0 ? c : NULL, ldc,
                      last ? y : c, last ? t->join.ldy : ldc);
  }
  join (t, &i);
}

typedef struct {
  VjCpu *cpu;
  const VjInput *x;
  gsize k, ld;
  guint16 *to;
} Round;

static void
round_rows (void *data, gsize first, gsize n, guint worker)
{
  const Round *t = data;
  float *scratch = vj_cpu_scratch (t->cpu, worker, ROUNDED * t->k);
  for (gsize r = first, part, ld; r < first + n; r += part) {
    part = MIN (ROUNDED, first + n - r);
    const float *x = vj_cpu_input (t->x, t->k, r, part, 0, t->k, scratch, &ld);
    t->cpu->bf16->rows (x, ld, 1, part, t->k, t->to + r * t->ld, t->ld);
  }
}

/* x as the kernel wants it. */
static void
take_input (VjCpu *cpu, const VjInput *x, gsize rows, gsize k, gboolean many, guint16 *to, Columns *ret_columns)
{
  *ret_columns = columns (cpu, x, rows, k, to);
  if (!many) {
    pack_columns (cpu, ret_columns);
    return;
  }
  vj_cpu_set_aside (cpu, ROUNDED * k);
  vj_cpu_rows (cpu, rows, 16, round_rows, &(Round) { cpu, x, k, vj_bf16_apart (k), to });
}

void
vj_bf16_product (VjCpu *cpu, const VjProduct *p)
{
  gsize rows = p->rows, k = p->w[0]->k, all = 0, items = 0, at = 0, ld = vj_bf16_apart (k), most = 0;
  gboolean many = rows >= MANY;
  g_assert (p->n_w <= MOST_PARTS);
  Part parts[MOST_PARTS];
  guint16 *packed = (guint16 *) (void *) vj_cpu_shared (cpu, up (rows, VJ_BF16_PANEL) * ld / 2);
  Columns x_columns;
  take_input (cpu, &p->input, rows, k, many, packed, &x_columns);
  /* Chunks of rows alike: a small rest would read all of the weights for little. */
  gsize row_chunks = (rows + ROW_CHUNK - 1) / ROW_CHUNK, row_chunk = up ((rows + row_chunks - 1) / row_chunks, VJ_BF16_PANEL);
  Linear t = { cpu, parts, &x_columns, packed, ld, rows, k, row_chunk, row_chunks,
               { CF (p->bias), CF (p->add), CI (p->only), vj_cpu_gate_value (p->mode, p->gate), F (p->y), p->ldy } };
  for (gsize i = 0; i < p->n_w; i++)
    all += p->w[i]->n;
  for (gsize i = 0; i < p->n_w; at += p->w[i++]->n) {
    gsize chunk = chunk_of (cpu, all, t.row_chunk * k, t.row_chunks), chunks = (p->w[i]->n + chunk - 1) / chunk;
    parts[i] = (Part) { p->w[i], at, items, chunk, chunks };
    items += chunks * t.row_chunks;
    most = MAX (most, MIN (chunk, p->w[i]->n));
  }
  vj_cpu_set_aside (cpu, many ? many_scratch (cpu->bf16, most, row_chunk) : few_scratch (most, row_chunk));
  vj_pool_run (cpu->pool, items, many ? many_item : few_item, &t);
}
