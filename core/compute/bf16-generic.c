/* Products of bf16 numbers on any processor, row by row: of each BLOCK of l an output has sixteen running sums over every
 * sixteenth number, which are added up pairwise; the sums of the blocks are added one after the other. Panels are rows as
 * well, so nothing is turned. */
#include "compute/bf16.h"
#include "compute/vector.h"

#define BLOCK ((gsize) 1024)    /* of l: a tile's rows and columns stay in the first cache */
#define HELD ((gsize) 1 << 17)  /* numbers of a that stay in the second cache while columns pass over them */
#define COLUMNS ((gsize) 128)   /* so many of them; a multiple of a panel's */
#define SIDE ((gsize) 2)        /* rows and columns of a tile, whose sums are held in registers */

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

/* Rows and columns that lie `lda` and `ldb` apart, over k of l; sums and what they start from (NULL: zeros). */
typedef struct {
  gsize k;
  const guint16 *a, *b;
  gsize lda, ldb;
  const float *start;
  gsize ld_start;
  float *c;
  gsize ldc;
} Tile;

/* c[rows, cols]. Sums are held over BLOCK of l, then added to what they start from: so they are cut the same whether l comes in
 * one call or in blocks. */
VJ_INLINE void
multiply_tile (const gsize rows, const gsize cols, Tile t)
{
  gsize l = 0;
  do {
    const gsize end = MIN (t.k, l + BLOCK);
    V sum[SIDE * SIDE];
    _Pragma ("GCC unroll 4") for (gsize i = 0; i < rows * cols; i++)
      sum[i] = (V) { 0 };
    for (; l + LANES <= end; l += LANES)
      _Pragma ("GCC unroll 2") for (gsize i = 0; i < rows; i++)
        _Pragma ("GCC unroll 2") for (gsize j = 0; j < cols; j++)
          sum[i * cols + j] += v_widen (t.a + i * t.lda + l) * v_widen (t.b + j * t.ldb + l);
    for (gsize i = 0; l < end && i < rows; i++)
      for (gsize j = 0; j < cols; j++)
        sum[i * cols + j] += v_widen_part (t.a + i * t.lda + l, end - l) * v_widen (t.b + j * t.ldb + l);
    _Pragma ("GCC unroll 2") for (gsize i = 0; i < rows; i++)
      _Pragma ("GCC unroll 2") for (gsize j = 0; j < cols; j++)
        t.c[i * t.ldc + j] = (t.start != NULL ? t.start[i * t.ld_start + j] : 0) + V_SUM (sum[i * cols + j]);
    l = end;
    t.start = t.c;
    t.ld_start = t.ldc;
  } while (l < t.k);
}

/* Rows of HELD numbers meet COLUMNS before the next rows come, so that a large a is read from memory once for so many. */
VJ_CLONES static void
multiply (gsize m, gsize n, gsize k, const guint16 *a, gsize lda, const guint16 *panels, gsize stride, const float *start, gsize ld_start,
          float *c, gsize ldc)
{
  gsize ldb = stride / VJ_BF16_PANEL, held = MAX (HELD / MAX (k, 1) / SIDE * SIDE, SIDE);
  for (gsize first = 0; first < n; first += COLUMNS)
    for (gsize top = 0; top < m; top += held)
      for (gsize j = first; j < MIN (n, first + COLUMNS); j += SIDE)
        for (gsize i = top; i < MIN (m, top + held); i += SIDE) {
          const Tile t = { k, a + i * lda, panels + j / VJ_BF16_PANEL * stride + j % VJ_BF16_PANEL * ldb, lda, ldb,
                           start == NULL ? NULL : start + i * ld_start + j, ld_start, c + i * ldc + j, ldc };
          if (i + SIDE <= m && j + SIDE <= n)
            multiply_tile (SIDE, SIDE, t);
          else if (i + SIDE <= m)
            multiply_tile (SIDE, 1, t);
          else if (j + SIDE <= n)
            multiply_tile (1, SIDE, t);
          else
            multiply_tile (1, 1, t);
        }
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
