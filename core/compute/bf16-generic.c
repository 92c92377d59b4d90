/* Products of bf16 numbers on any processor, as products of floats. Those of two bf16 numbers are exact, unless smaller than
 * 2^-134 or larger than any float, so that processors with and without fused multiply-add give the same bits. Panels are rows
 * as well, so nothing is turned.
 *
 * Order of a sum: of each BLOCK of l there are eight running sums over every eighth pair, added as ((0 + 2) + (1 + 3)) +
 * ((4 + 6) + (5 + 7)); the sums of the blocks are added one after the other. */
#include "compute/bf16.h"
#include "compute/vector.h"

#define BLOCK ((gsize) 512)     /* of l: a tile's rows and SIDE columns, as floats, stay in the first cache */
#define STEP ((gsize) 16)       /* numbers of l at a time: eight pairs */
#define HELD ((gsize) 96)       /* rows of BLOCK that stay in the second cache, as floats, while columns pass over them */
#define COLUMNS ((gsize) 4)     /* of a tile */
#define SIDE ((gsize) 8)        /* columns that meet the rows held together: whole tiles */
#define ROWS ((gsize) 3)        /* of a tile at most; with its columns as many sums as AVX2 has registers for */
#if defined (__x86_64__)
#define PLAIN_ROWS ((gsize) 1)  /* the same without AVX2 */
#else
#define PLAIN_ROWS ROWS
#endif
#define MOST_ROWS ((gsize) 8)   /* of a tile of one column */
#define FEW ((gsize) 8)         /* columns up to which nothing is held as floats, for each row is read just once or twice */
#define FEW_ROWS ((gsize) 4)    /* the same of rows */

/* -- rounding -------------------------------------------------------------- */

VJ_CLONES static void
round_row (const float *from, gsize n, guint16 *to)
{
  gsize l = 0;
  for (; l + LANES <= n; l += LANES)
    *(VHU *) (to + l) = __builtin_convertvector ((VIU) v_bf16 (v_load (from + l)) >> 16, VH);
  if (l < n) {
    VH last = __builtin_convertvector ((VIU) v_bf16 (v_load_part (from + l, n - l)) >> 16, VH);
    memcpy (to + l, &last, (n - l) * sizeof (guint16));
  }
}

void
vj_bf16_rows (const float *from, gsize step_row, gsize step_l, gsize rows, gsize k, guint16 *to, gsize ld)
{
  float turned[LANES * LANES] __attribute__ ((aligned (64)));
  gsize whole = MIN ((k + VJ_BF16_UNIT - 1) / VJ_BF16_UNIT * VJ_BF16_UNIT, ld);
  for (gsize r = 0; k < whole && r < rows; r++)
    memset (to + r * ld + k, 0, (whole - k) * sizeof (guint16));
  if (step_l == 1) {
    for (gsize r = 0; r < rows; r++)
      round_row (from + r * step_row, k, to + r * ld);
    return;
  }
  for (gsize r = 0; r < rows; r += LANES)
    for (gsize l = 0; l < k; l += LANES) {
      gsize n = MIN (LANES, rows - r), part = MIN (LANES, k - l);
      vj_cpu_transpose (from + l * step_l + r, step_l, part, n, turned, LANES);
      for (gsize i = 0; i < n; i++)
        round_row (turned + i * LANES, part, to + (r + i) * ld + l);
    }
}

static void
pack (const float *from, gsize step_j, gsize step_l, gsize n, gsize k, gsize depth, guint16 *panels)
{
  vj_bf16_rows (from, step_j, step_l, n, k, panels, depth);
}

/* -- multiplying ----------------------------------------------------------- */

typedef float F8 __attribute__ ((vector_size (32)));
typedef float F4 __attribute__ ((vector_size (16)));
typedef float F4U __attribute__ ((vector_size (16), aligned (4), may_alias));             /* in memory */
typedef guint32 Pairs __attribute__ ((vector_size (32)));                                 /* of bf16 numbers, eight */
typedef guint32 PairsU __attribute__ ((vector_size (32), aligned (2), may_alias));        /* in memory */

/* c = start (NULL: zeros; it may be c) + rows of a by rows of b, whose numbers lie together. */
typedef struct {
  gsize m, n, k;
  const guint16 *a, *b;
  gsize lda, ldb;
  const float *start;
  gsize ld_start;
  float *c;
  gsize ldc;
} Product;

/* The first n of sixteen numbers, zeros after them; what lies beyond is not touched. */
VJ_INLINE Pairs
load_pairs (const guint16 *from, gsize n)
{
  if (n >= STEP)
    return *(const PairsU *) (const void *) from;
  Pairs part = { 0 };
  memcpy (&part, from, n * sizeof *from);
  return part;
}

/* One number of each pair, the first or the second, as floats. */
VJ_INLINE F8 one_of (Pairs x) { return (F8) (x << 16); }
VJ_INLINE F8 other_of (Pairs x) { return (F8) (x & 0xffff0000); }

/* The sums of COLUMNS times eight running sums. */
VJ_INLINE F4
fold (F8 s0, F8 s1, F8 s2, F8 s3)
{
  F8 low = __builtin_shufflevector (s0, s1, 0, 8, 1, 9, 4, 12, 5, 13) + __builtin_shufflevector (s0, s1, 2, 10, 3, 11, 6, 14, 7, 15);
  F8 high = __builtin_shufflevector (s2, s3, 0, 8, 1, 9, 4, 12, 5, 13) + __builtin_shufflevector (s2, s3, 2, 10, 3, 11, 6, 14, 7, 15);
  F8 all = __builtin_shufflevector (low, high, 0, 1, 8, 9, 4, 5, 12, 13) + __builtin_shufflevector (low, high, 2, 3, 10, 11, 6, 7, 14, 15);
  return __builtin_shufflevector (all, all, 0, 1, 2, 3) + __builtin_shufflevector (all, all, 4, 5, 6, 7);
}

/* Up to COLUMNS sums of one row over a block of l join what was there before. */
VJ_INLINE void
put_sums (const Product *p, gsize row, gsize column, const gsize columns, gboolean first, F4 sums)
{
  const float *start = !first ? p->c + row * p->ldc + column : p->start == NULL ? NULL : p->start + row * p->ld_start + column;
  float *c = p->c + row * p->ldc + column;
  if (columns == COLUMNS && column + COLUMNS <= p->n) {
    *(F4U *) c = start == NULL ? sums : (F4) (*(const F4U *) start + sums);
    return;
  }
  for (gsize j = 0; j < columns && column + j < p->n; j++)
    c[j] = start == NULL ? sums[j] : start[j] + sums[j];
}

/* -- few rows or columns: read where they lie ------------------------------ */

VJ_INLINE void
add_step (const gsize rows, const gsize columns, F8 *sums, const guint16 *const *a, const guint16 *const *b, gsize l, gsize n)
{
  Pairs x[MOST_ROWS];
  _Pragma ("GCC unroll 8") for (gsize i = 0; i < rows; i++)
    x[i] = load_pairs (a[i] + l, n);
  _Pragma ("GCC unroll 4") for (gsize j = 0; j < columns; j++) {
    Pairs y = load_pairs (b[j] + l, n);
    _Pragma ("GCC unroll 8") for (gsize i = 0; i < rows; i++) {
      sums[i * COLUMNS + j] += one_of (x[i]) * one_of (y);
      sums[i * COLUMNS + j] += other_of (x[i]) * other_of (y);
    }
  }
}

/* A tile at the edge reads its last row or column again instead of those that are not there. */
VJ_INLINE void
few_tile (const gsize rows, const gsize columns, const Product *p, gsize row, gsize column)
{
  const guint16 *a[MOST_ROWS], *b[COLUMNS];
  _Pragma ("GCC unroll 8") for (gsize i = 0; i < rows; i++)
    a[i] = p->a + MIN (row + i, p->m - 1) * p->lda;
  _Pragma ("GCC unroll 4") for (gsize j = 0; j < columns; j++)
    b[j] = p->b + MIN (column + j, p->n - 1) * p->ldb;
  gsize l = 0;
  do {
    const gsize end = MIN (p->k, l + BLOCK);
    const gboolean first = l == 0;
    F8 sums[MOST_ROWS * COLUMNS];
    _Pragma ("GCC unroll 32") for (gsize i = 0; i < rows * COLUMNS; i++)
      sums[i] = (F8) { 0 };
    for (; l + STEP <= end; l += STEP)
      add_step (rows, columns, sums, a, b, l, STEP);
    if (l < end)
      add_step (rows, columns, sums, a, b, l, end - l);
    l = end;
    _Pragma ("GCC unroll 8") for (gsize i = 0; i < rows; i++)
      if (row + i < p->m)
        put_sums (p, row + i, column, columns, first, fold (sums[COLUMNS * i], sums[COLUMNS * i + 1], sums[COLUMNS * i + 2], sums[COLUMNS * i + 3]));
  } while (l < p->k);
}

VJ_INLINE void
few_tiles (const gsize rows, const gsize columns, const Product *p)
{
  for (gsize i = 0; i < p->m; i += rows)
    for (gsize j = 0; j < p->n; j += columns)
      few_tile (rows, columns, p, i, j);
}

VJ_INLINE void
multiply_few (const gsize rows, const Product *p)
{
  if (p->n == 1)
    few_tiles (MOST_ROWS, 1, p);
  else if (p->m == 1)
    few_tiles (1, COLUMNS, p);
  else if (p->n == 2 || p->m == 4)
    few_tiles (4, 2, p);
  else if (p->m == 2)
    few_tiles (2, COLUMNS, p);
  else
    few_tiles (rows, COLUMNS, p);
}

/* -- many: held as floats, a block of l at a time --------------------------- */

/* k numbers of a row as floats: eight of the first of each pair, then eight of the second, `apart` from each other. Memory is
 * asked for what stands `ahead` numbers further. */
VJ_INLINE void
hold (const guint16 *from, gsize k, gsize ahead, float *to, gsize apart)
{
  for (gsize l = 0; l < k; l += STEP, to += 2 * apart) {
    Pairs x = load_pairs (from + l, k - l);
    __builtin_prefetch (from + ahead + l, 0, 2);
    *(F8 *) (void *) to = one_of (x);
    *(F8 *) (void *) (to + apart) = other_of (x);
  }
}

VJ_INLINE void
held_tile (const gsize rows, const Product *p, gsize row, gsize column, gboolean first, gsize depth, const float *a, const float *b)
{
  F8 sums[ROWS * COLUMNS];
  _Pragma ("GCC unroll 12") for (gsize i = 0; i < rows * COLUMNS; i++)
    sums[i] = (F8) { 0 };
  for (gsize l = 0; l < depth; l += 8, a += 8 * rows, b += 8 * COLUMNS) {
    F8 x[ROWS];
    _Pragma ("GCC unroll 3") for (gsize i = 0; i < rows; i++)
      x[i] = *(const F8 *) (const void *) (a + 8 * i);
    _Pragma ("GCC unroll 4") for (gsize j = 0; j < COLUMNS; j++) {
      F8 y = *(const F8 *) (const void *) (b + 8 * j);
      _Pragma ("GCC unroll 3") for (gsize i = 0; i < rows; i++)
        sums[i * COLUMNS + j] += x[i] * y;
    }
  }
  _Pragma ("GCC unroll 3") for (gsize i = 0; i < rows; i++)
    if (row + i < p->m)
      put_sums (p, row + i, column, COLUMNS, first, fold (sums[COLUMNS * i], sums[COLUMNS * i + 1], sums[COLUMNS * i + 2], sums[COLUMNS * i + 3]));
}

/* `rows` of a tile. Tiles at the edge as in few_tile. */
VJ_INLINE void
multiply_held (const gsize rows, const Product *p)
{
  float a[HELD * BLOCK] __attribute__ ((aligned (64))), b[SIDE * BLOCK] __attribute__ ((aligned (64)));
  for (gsize l = 0; l < p->k; l += BLOCK) {
    const gsize k = MIN (BLOCK, p->k - l), depth = (k + STEP - 1) / STEP * STEP, held = HELD * BLOCK / depth / rows * rows;
    for (gsize top = 0; top < p->m; top += held) {
      const gsize end = MIN (top + held, p->m);
      for (gsize i = top; i < end || (i - top) % rows != 0; i++)
        hold (p->a + MIN (i, p->m - 1) * p->lda + l, k, 4 * p->lda, a + (i - top) / rows * rows * depth + (i - top) % rows * 8, 8 * rows);
      for (gsize side = 0; side < p->n; side += SIDE) {
        for (gsize j = 0; j < SIDE; j++)
          hold (p->b + MIN (side + j, p->n - 1) * p->ldb + l, k, SIDE * p->ldb, b + j / COLUMNS * COLUMNS * depth + j % COLUMNS * 8, 8 * COLUMNS);
        for (gsize i = top; i < end; i += rows)
          for (gsize j = 0; j < SIDE && side + j < p->n; j += COLUMNS)
            held_tile (rows, p, i, side + j, l == 0, depth, a + (i - top) * depth, b + j * depth);
      }
    }
  }
}

/* -- all of it --------------------------------------------------------------- */

static gboolean
is_few (const Product *p)
{
  return p->n <= FEW || p->m <= FEW_ROWS || p->k == 0;
}

/* Apart from one another, so that few numbers do not pay for the large frame of many. */
#define MULTIPLY(NAME, TARGET, TILE_ROWS)              \
  TARGET __attribute__ ((noinline)) static void        \
  NAME##_few (const Product *p)                        \
  {                                                    \
    multiply_few (TILE_ROWS, p);                       \
  }                                                    \
  TARGET __attribute__ ((noinline)) static void        \
  NAME##_held (const Product *p)                       \
  {                                                    \
    multiply_held (TILE_ROWS, p);                      \
  }

MULTIPLY (plain, , PLAIN_ROWS)
#if defined (__x86_64__)
MULTIPLY (avx2, __attribute__ ((target ("avx2,fma"))), ROWS)
#endif

void
vj_bf16_multiply_plain (gsize m, gsize n, gsize k, const guint16 *a, gsize lda, const guint16 *panels, gsize stride, const float *start,
                        gsize ld_start, float *c, gsize ldc)
{
  const Product p = { m, n, k, a, panels, lda, stride / VJ_BF16_PANEL, start, ld_start, c, ldc };
  (is_few (&p) ? plain_few : plain_held) (&p);
}

static void
multiply (gsize m, gsize n, gsize k, const guint16 *a, gsize lda, const guint16 *panels, gsize stride, const float *start, gsize ld_start,
          float *c, gsize ldc)
{
#if defined (__x86_64__)
  const Product p = { m, n, k, a, panels, lda, stride / VJ_BF16_PANEL, start, ld_start, c, ldc };
  if (vj_cpu_has_avx2 ()) {
    (is_few (&p) ? avx2_few : avx2_held) (&p);
    return;
  }
#endif
  vj_bf16_multiply_plain (m, n, k, a, lda, panels, stride, start, ld_start, c, ldc);
}

static gboolean
usable (void)
{
  return TRUE;
}

const VjBf16Kernel vj_bf16_generic = { .name = "generic", .usable = usable, .block = BLOCK, .rows = vj_bf16_rows, .pack = pack, .multiply = multiply };

const VjBf16Kernel *const *
vj_bf16_kernels (void)
{
  static const VjBf16Kernel *const all[] = {
#if defined (__x86_64__) && defined (__linux__)
    &vj_bf16_amx,
#endif
#if defined (__x86_64__)
    &vj_bf16_avx512,
#endif
    &vj_bf16_generic, NULL
  };
  return all;
}
