/* Products of bf16 numbers by Intel's AMX tiles: 16 x 16 sums, 32 products deep, one instruction. Rows of a are read where
 * they lie; a panel holds pairs (l, l + 1) of its 16 columns side by side, [k / 2][16][2].
 *
 * Order of a sum: for each 32 of l, the even ones and the odd ones are summed apart, then together, then added to c. */
#define _GNU_SOURCE /* syscall */
#include "compute/bf16.h"

#if defined (__x86_64__) && defined (__linux__)
#include "compute/bf16-wide.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TARGET __attribute__ ((target ("amx-tile,amx-bf16," VJ_WIDE)))
#define SIDE 32   /* outputs of one step: 2 x 2 tiles */
#define BLOCK 512 /* of l: 32 rows of a of this depth stay in the first-level cache */

#define AHEAD 16   /* rows that packing asks memory for beforehand */
#define SPARSE 512 /* leading dimension of c from which on it is held to be large */
#define COPY_FROM 64 /* columns from which on it pays to copy rows of a */

#define ARCH_REQ_XCOMP_PERM 0x1023
#define XFEATURE_XTILEDATA 18

/* The kernel lets a process use tiles once it has asked; asking again changes nothing. */
static gboolean
usable (void)
{
  const guint bits = 1 << 22 | 1 << 24; /* AMX-BF16, AMX-TILE */
  guint a, b, c, d;
  return __builtin_cpu_supports ("avx512bw") && __builtin_cpu_supports ("avx512vl") && __builtin_cpu_supports ("avx512bf16") &&
         __get_cpuid_count (7, 0, &a, &b, &c, &d) &&
         (d & bits) == bits && syscall (SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

/* Rows of c and of a in tiles 0, 1, 4 and below them in 2, 3, 5, as many as there are; 6 and 7 hold b. Rows of a tile are 64
 * bytes. */
TARGET static void
set_tiles (gsize rows)
{
  gint64 above = (gint64) MIN (rows, 16), below = (gint64) MAX (rows, 16) - 16;
  gint64 line = 64, second = below > 0 ? 64 : 0; /* bytes of a row; a tile of no rows has none */
  /* Palette 1; sixteen lengths of 16 bits from byte 16 on; sixteen numbers of rows from byte 48 on. Stored at once: the
   * instruction would wait for pieces. */
  __m512i tiles = _mm512_set_epi64 (0, above * 0x100000101 + below * 0x10001010000 + 0x1010000000000000, 0, 0,
                                    line | second << 16 | line << 32 | line << 48, line | line << 16 | second << 32 | second << 48, 0, 1);
  _tile_loadconfig (&tiles);
}

/* Up to 32 rows of a as two tiles: where they lie, or copied tile by tile. */
typedef struct {
  gsize n;
  const guint16 *at;
  gsize row;    /* bytes from a row of a tile to the next */
  gsize second; /* numbers from the first tile to the one below */
  gsize next;   /* numbers from a tile to the one on its right */
} Rows;

/* Sums and what they begin with, NULL: zeros; its rows are ld_start apart. */
typedef struct {
  float *c;
  gsize ld;
  const float *start;
  gsize ld_start;
} Sums;

/* c[rows, 16 or 32] = start + rows of a by one panel or two, k a multiple of 32. `below`: there are more than 16 rows. */
TARGET VJ_INLINE void
step (const gboolean two, const gboolean below, gsize k, const Rows *a, const guint16 *b, gsize stride, const Sums *sums)
{
  gsize row = a->row, second = a->second, next = a->next, from_row = sums->ld_start * 4, c_row = sums->ld * 4;
  const guint16 *at = a->at;
  const float *from = sums->start;
  float *c = sums->c;
  _tile_zero (0);
  if (two)
    _tile_zero (1);
  if (below)
    _tile_zero (2);
  if (two && below)
    _tile_zero (3);
  if (from != NULL) {
    _tile_loadd (0, from, from_row);
    if (two)
      _tile_loadd (1, from + 16, from_row);
    if (below)
      _tile_loadd (2, from + 16 * sums->ld_start, from_row);
    if (two && below)
      _tile_loadd (3, from + 16 * sums->ld_start + 16, from_row);
  }
  /* Sums of a large c come from memory, which the processor does not foresee: the next step's are asked for meanwhile. */
  const char *ahead = (const char *) (c + SIDE);
  for (gsize l = 0, left = sums->ld > SPARSE ? a->n : 0; l < k; l += 32, at += next, b += 32 * VJ_BF16_PANEL) {
    if (left > 1) {
      _mm_prefetch (ahead, _MM_HINT_T0);
      _mm_prefetch (ahead + 64, _MM_HINT_T0);
      _mm_prefetch (ahead + c_row, _MM_HINT_T0);
      _mm_prefetch (ahead + c_row + 64, _MM_HINT_T0);
      ahead += 2 * c_row;
      left -= 2;
    }
    _tile_loadd (4, at, row);
    _tile_loadd (6, b, 64);
    _tile_dpbf16ps (0, 4, 6);
    if (below) {
      _tile_loadd (5, at + second, row);
      _tile_dpbf16ps (2, 5, 6);
    }
    if (two) {
      _tile_loadd (7, b + stride, 64);
      _tile_dpbf16ps (1, 4, 7);
    }
    if (two && below)
      _tile_dpbf16ps (3, 5, 7);
  }
  _tile_stored (0, c, c_row);
  if (two)
    _tile_stored (1, c + 16, c_row);
  if (below)
    _tile_stored (2, c + 16 * sums->ld, c_row);
  if (two && below)
    _tile_stored (3, c + 16 * sums->ld + 16, c_row);
}

TARGET static void
step_one (gsize k, const Rows *a, const guint16 *b, const Sums *sums)
{
  if (a->n > 16)
    step (FALSE, TRUE, k, a, b, 0, sums);
  else
    step (FALSE, FALSE, k, a, b, 0, sums);
}

TARGET static void
step_two (gsize k, const Rows *a, const guint16 *b, gsize stride, const Sums *sums)
{
  if (a->n > 16)
    step (TRUE, TRUE, k, a, b, stride, sums);
  else
    step (TRUE, FALSE, k, a, b, stride, sums);
}

/* A step of n < 32 columns, which c has no room beside: through a square. */
TARGET static void
edge_step (gsize n, gsize k, const Rows *a, const guint16 *b, gsize stride, const Sums *sums)
{
  float square[SIDE * SIDE] __attribute__ ((aligned (64)));
  Sums inner = { square, SIDE, sums->start == NULL ? NULL : square, SIDE };
  for (gsize i = 0; sums->start != NULL && i < a->n; i++)
    memcpy (square + i * SIDE, sums->start + i * sums->ld_start, n * sizeof (float));
  if (n > VJ_BF16_PANEL)
    step_two (k, a, b, stride, &inner);
  else
    step_one (k, a, b, &inner);
  for (gsize i = 0; i < a->n; i++)
    memcpy (sums->c + i * sums->ld, square + i * SIDE, n * sizeof (float));
}

/* The rows tile by tile: [2][whole / 32][16][32]. */
TARGET static Rows
copy_rows (gsize rows, gsize k, gsize whole, const guint16 *from, gsize lda, guint16 *tiles)
{
  gsize second = 16 * whole;
  for (gsize r = 0; r < rows; r++) {
    guint16 *to = tiles + r / 16 * second + r % 16 * 32;
    for (gsize l = 0; l < whole; l += 32)
      _mm512_store_si512 (to + l * 16, _mm512_maskz_loadu_epi16 (wide_first (k - l), from + r * lda + l));
  }
  return (Rows) { rows, tiles, 64, second, 16 * 32 };
}

/* All columns for up to 32 rows. */
TARGET static void
multiply_rows (gsize n, gsize k, const Rows *a, const guint16 *panels, gsize stride, const Sums *sums)
{
  for (gsize j = 0; j < n; j += SIDE) {
    const guint16 *b = panels + j / VJ_BF16_PANEL * stride;
    const Sums here = { sums->c + j, sums->ld, sums->start == NULL ? NULL : sums->start + j, sums->ld_start };
    if (n - j >= SIDE)
      step_two (k, a, b, stride, &here);
    else if (n - j == VJ_BF16_PANEL)
      step_one (k, a, b, &here);
    else
      edge_step (n - j, k, a, b, stride, &here);
  }
}

/* Whether 32 rows of a block stay in the first-level cache where they lie: in whole lines of it, which do not fall on each
 * other, as those of rows a power of two apart do. */
static gboolean
lies_well (const guint16 *a, gsize lda)
{
  return (guintptr) a % 64 == 0 && lda % 32 == 0 && lda / 32 % 32 != 0;
}

TARGET static void
multiply (gsize m, gsize n, gsize k, const guint16 *a, gsize lda, const guint16 *panels, gsize stride, const float *start, gsize ld_start,
          float *c, gsize ldc)
{
  guint16 tiles[SIDE * BLOCK] __attribute__ ((aligned (64)));
  gboolean in_place = k % VJ_BF16_UNIT == 0 && (n <= COPY_FROM || lies_well (a, lda));
  set_tiles (MIN (m, SIDE));
  for (gsize i = 0; i < m; i += SIDE) {
    gsize rows = MIN (SIDE, m - i);
    const guint16 *from = a + i * lda;
    Sums sums = { c + i * ldc, ldc, start == NULL ? NULL : start + i * ld_start, ld_start };
    if (rows < MIN (m, SIDE))
      set_tiles (rows);
    if (in_place) {
      const Rows at = { rows, from, 2 * lda, 16 * lda, 32 };
      multiply_rows (n, k, &at, panels, stride, &sums);
      continue;
    }
    /* A copy never reads beyond the last number of a row, and stays in cache whatever lda is. */
    for (gsize l = 0; l < k; l += BLOCK) {
      gsize part = MIN (BLOCK, k - l), whole = (part + VJ_BF16_UNIT - 1) / VJ_BF16_UNIT * VJ_BF16_UNIT;
      const Rows at = copy_rows (rows, part, whole, from + l, lda, tiles);
      multiply_rows (n, whole, &at, panels + l * VJ_BF16_PANEL, stride, &sums);
      sums = (Sums) { sums.c, ldc, sums.c, ldc };
    }
  }
  _tile_release ();
}

/* -- packing --------------------------------------------------------------- */

/* Panels of n columns that lie row by row, floats or (halves) bf16: l and l + 1 lie together, so that columns are turned as
 * 32-bit numbers. */
TARGET VJ_INLINE void
pack_rows (const gboolean halves, const void *from, gsize step, gsize n, gsize k, gsize depth, guint16 *panels)
{
  for (gsize j = 0; j < n; j += VJ_BF16_PANEL)
    for (gsize l = 0; l < k; l += VJ_BF16_UNIT) {
      V r[VJ_BF16_PANEL];
      for (gsize i = 0; i < VJ_BF16_PANEL; i++) {
        gsize at = (j + i) * step + l;
        if (j + i >= n)
          r[i] = (V) { 0 };
        else if (halves)
          r[i] = (V) _mm512_maskz_loadu_epi16 (wide_first (k - l), (const guint16 *) from + at);
        else
          r[i] = (V) wide_unit ((const float *) from + at, k - l);
      }
      V_TRANSPOSE (r);
      for (gsize i = 0; i < VJ_BF16_PANEL; i++)
        _mm512_store_ps (panels + j * depth + l * VJ_BF16_PANEL + i * VJ_BF16_UNIT, (__m512) r[i]);
    }
}

TARGET static void
pack_halves (const guint16 *from, gsize ld, gsize n, gsize k, gsize depth, guint16 *panels)
{
  pack_rows (TRUE, from, ld, n, k, depth, panels);
}

/* Panels of n columns that lie side by side, [l][n]. The rows are too short for the processor to see where the reading
 * goes. */
TARGET static void
pack_columns (const float *from, gsize step_l, gsize n, gsize k, gsize depth, guint16 *panels)
{
  gsize whole = (k + VJ_BF16_UNIT - 1) / VJ_BF16_UNIT * VJ_BF16_UNIT;
  for (gsize l = 0; l < whole; l += 2)
    for (gsize j = 0; j < n; j += VJ_BF16_PANEL) {
      const float *at = from + l * step_l + j;
      __m512 low = wide_load (at, l < k ? n - j : 0), high = wide_load (at + step_l, l + 1 < k ? n - j : 0);
      _mm_prefetch ((const char *) (at + AHEAD * step_l), _MM_HINT_T0);
      _mm_prefetch ((const char *) (at + (AHEAD + 1) * step_l), _MM_HINT_T0);
      _mm512_store_si512 (panels + j * depth + l * VJ_BF16_PANEL, wide_pairs (low, high));
    }
}

TARGET static void
pack (const float *from, gsize step_j, gsize step_l, gsize n, gsize k, gsize depth, guint16 *panels)
{
  if (step_l == 1)
    pack_rows (FALSE, from, step_j, n, k, depth, panels);
  else
    pack_columns (from, step_l, n, k, depth, panels);
}

const VjBf16Kernel vj_bf16_amx = { .name = "amx", .usable = usable, .chunk = 2, .block = BLOCK, .rows = vj_bf16_rows_wide, .pack = pack, .pack_halves = pack_halves,
                                   .multiply = multiply };
#endif
