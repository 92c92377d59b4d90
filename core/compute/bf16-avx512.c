/* Products of bf16 numbers by AVX-512 BF16: one instruction adds a pair of products to each of sixteen sums. A panel holds
 * eight numbers of each of its 16 columns side by side, [k / 8][16][8], so that a vector is four columns by four pairs.
 *
 * Order of a sum: of each BLOCK of l there are four running sums over every fourth pair, added as (0 + 2) + (1 + 3); the sums
 * of the blocks are added one after the other. A tile holds those of some rows by one panel; with few columns a vector is four
 * rows by four pairs instead, and rows are read from end to end. */
#include "compute/bf16.h"

#if defined (__x86_64__)
#include "compute/bf16-wide.h"

#define WIDE __attribute__ ((target (VJ_WIDE)))
#define WIDE_INLINE VJ_WIDE_INLINE

#define PANEL VJ_BF16_PANEL
#define UNIT VJ_BF16_UNIT
#define CHUNK ((gsize) 8)      /* numbers of a column that lie side by side */
#define ROWS ((gsize) 6)       /* of a tile */
#define FEW ((gsize) 8)        /* columns of a panel up to which rows are read from end to end */
#define FEW_ROWS ((gsize) 8)   /* so many of them at once */
#define BLOCK ((gsize) 1024)   /* of l: a panel stays in the first cache */
#define STREAM ((gsize) 32)    /* columns up to which rows are held to come from memory */
#define AHEAD 16               /* rows that packing asks memory for beforehand */
#define TOGETHER ((gsize) 24)  /* rows: whole tiles of either kind */
#define HELD ((gsize) 1 << 17) /* numbers of a that stay in the second cache while columns pass over them */

/* Rows of a, one panel, and sums that start from others (NULL: zeros). */
typedef struct {
  gsize k, n;      /* of l; columns that are wanted */
  gboolean stream; /* rows meet few columns */
  const guint16 *a;
  gsize lda;
  const guint16 *b;
  const float *start;
  gsize ld_start;
  float *c;
  gsize ldc;
} Tile;

WIDE_INLINE __m512
add_pairs (__m512 sum, __m512i x, __m512i y)
{
  return _mm512_dpbf16_ps (sum, (__m512bh) x, (__m512bh) y);
}

/* The first n of eight numbers, four times. */
WIDE_INLINE __m512i
spread (const guint16 *from, gsize n)
{
  return _mm512_broadcast_i32x4 (n >= CHUNK ? _mm_loadu_si128 ((const __m128i *) (const void *) from)
                                            : _mm_maskz_loadu_epi16 ((__mmask8) wide_first (n), from));
}

/* Four vectors of four sums by four columns (or rows) each: the sums of all sixteen, vector by vector. */
WIDE_INLINE __m512
fold (__m512 s0, __m512 s1, __m512 s2, __m512 s3)
{
  const __m512i turn = _mm512_set_epi32 (15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
  __m512 low = _mm512_add_ps (_mm512_unpacklo_ps (s0, s1), _mm512_unpackhi_ps (s0, s1));
  __m512 high = _mm512_add_ps (_mm512_unpacklo_ps (s2, s3), _mm512_unpackhi_ps (s2, s3));
  __m512 all = _mm512_add_ps (_mm512_shuffle_ps (low, high, 0x44), _mm512_shuffle_ps (low, high, 0xee));
  return _mm512_permutexvar_ps (turn, all);
}

/* -- packing ------------------------------------------------------------------ */

/* Of four rows of 32 numbers, a vector each, the vectors of their first, second, third and fourth eight. */
WIDE_INLINE void
turn_four (__m512i r[4])
{
  __m512i low = _mm512_shuffle_i64x2 (r[0], r[1], 0x44), high = _mm512_shuffle_i64x2 (r[0], r[1], 0xee);
  __m512i low2 = _mm512_shuffle_i64x2 (r[2], r[3], 0x44), high2 = _mm512_shuffle_i64x2 (r[2], r[3], 0xee);
  r[0] = _mm512_shuffle_i64x2 (low, low2, 0x88);
  r[1] = _mm512_shuffle_i64x2 (low, low2, 0xdd);
  r[2] = _mm512_shuffle_i64x2 (high, high2, 0x88);
  r[3] = _mm512_shuffle_i64x2 (high, high2, 0xdd);
}

/* One unit of l of up to sixteen rows that lie side by side: turned as 32-bit numbers, pair by pair. Memory is asked for the
 * rows of the next unit: they are too short for the processor to see where the reading goes. */
WIDE_INLINE void
turn_unit (const float *from, gsize step_l, gsize rows, gsize k, guint16 *to, gsize ld, __mmask32 room)
{
  V r[LANES];
  for (gsize p = 0; p < LANES; p++) {
    const float *pair = from + 2 * p * step_l;
    r[p] = (V) wide_pairs (wide_load (pair, 2 * p < k ? rows : 0), wide_load (pair + step_l, 2 * p + 1 < k ? rows : 0));
    _mm_prefetch ((const char *) (pair + VJ_BF16_UNIT * step_l), _MM_HINT_T0);
    _mm_prefetch ((const char *) (pair + (VJ_BF16_UNIT + 1) * step_l), _MM_HINT_T0);
  }
  V_TRANSPOSE (r);
  for (gsize i = 0; i < rows; i++)
    _mm512_mask_storeu_epi16 (to + i * ld, room, (__m512i) r[i]);
}

WIDE void
vj_bf16_rows_wide (const float *from, gsize step_row, gsize step_l, gsize rows, gsize k, guint16 *to, gsize ld)
{
  for (gsize l = 0; step_l != 1 && l < k; l += VJ_BF16_UNIT)
    for (gsize r = 0; r < rows; r += LANES)
      turn_unit (from + l * step_l + r, step_l, MIN (LANES, rows - r), k - l, to + r * ld + l, ld, wide_first (ld - l));
  for (gsize r = 0; step_l == 1 && r < rows; r++)
    for (gsize l = 0; l < k; l += VJ_BF16_UNIT)
      _mm512_mask_storeu_epi16 (to + r * ld + l, wide_first (ld - l), wide_unit (from + r * step_row + l, k - l));
}

/* Panels of n columns that lie row by row, floats or (halves) bf16. Memory is asked for the next four rows. */
WIDE_INLINE void
pack_rows (const gboolean halves, const void *from, gsize step, gsize n, gsize k, gsize depth, guint16 *panels)
{
  const gsize size = halves ? sizeof (guint16) : sizeof (float);
  for (gsize j = 0; j < n; j += 4)
    for (gsize l = 0; l < k; l += UNIT) {
      __m512i r[4];
      for (gsize i = 0; i < 4; i++) {
        const char *at = (const char *) from + ((j + i) * step + l) * size;
        for (gsize line = 0; line < UNIT * size; line += 64)
          __builtin_prefetch (at + 4 * step * size + line);
        if (j + i >= n)
          r[i] = _mm512_setzero_si512 ();
        else if (halves)
          r[i] = _mm512_maskz_loadu_epi16 (wide_first (k - l), at);
        else
          r[i] = wide_unit ((const float *) (const void *) at, k - l);
      }
      turn_four (r);
      for (gsize i = 0; i < 4; i++)
        _mm512_store_si512 (panels + j / PANEL * PANEL * depth + (l + i * CHUNK) * PANEL + j % PANEL * CHUNK, r[i]);
    }
}

WIDE static void
pack_halves (const guint16 *from, gsize ld, gsize n, gsize k, gsize depth, guint16 *panels)
{
  pack_rows (TRUE, from, ld, n, k, depth, panels);
}

/* Eight numbers of the first n <= 16 columns that lie side by side, [CHUNK][n], k of them. */
WIDE_INLINE void
pack_chunk (const float *from, gsize step_l, gsize n, gsize k, guint16 *to)
{
  __m512i p[4], r[4];
  for (gsize i = 0; i < 4; i++) {
    const float *at = from + 2 * i * step_l;
    p[i] = wide_pairs (wide_load (at, 2 * i < k ? n : 0), wide_load (at + step_l, 2 * i + 1 < k ? n : 0));
    _mm_prefetch ((const char *) (at + AHEAD * step_l), _MM_HINT_T0);
    _mm_prefetch ((const char *) (at + (AHEAD + 1) * step_l), _MM_HINT_T0);
  }
  __m512i first = _mm512_unpacklo_epi32 (p[0], p[1]), second = _mm512_unpackhi_epi32 (p[0], p[1]);
  __m512i first2 = _mm512_unpacklo_epi32 (p[2], p[3]), second2 = _mm512_unpackhi_epi32 (p[2], p[3]);
  r[0] = _mm512_unpacklo_epi64 (first, first2);
  r[1] = _mm512_unpackhi_epi64 (first, first2);
  r[2] = _mm512_unpacklo_epi64 (second, second2);
  r[3] = _mm512_unpackhi_epi64 (second, second2);
  turn_four (r);
  for (gsize i = 0; i < 4; i++)
    _mm512_store_si512 (to + i * 4 * CHUNK, r[i]);
}

WIDE static void
pack (const float *from, gsize step_j, gsize step_l, gsize n, gsize k, gsize depth, guint16 *panels)
{
  if (step_l == 1)
    pack_rows (FALSE, from, step_j, n, k, depth, panels);
  for (gsize l = 0; step_l != 1 && l < (k + UNIT - 1) / UNIT * UNIT; l += CHUNK)
    for (gsize j = 0; j < n; j += PANEL)
      pack_chunk (from + l * step_l + j, step_l, MIN (PANEL, n - j), l < k ? k - l : 0, panels + j * depth + l * PANEL);
}

/* -- many columns ------------------------------------------------------------ */

/* Adds the products of n <= 8 of l to the sums of `rows` rows by sixteen columns. */
WIDE_INLINE void
add_chunk (const gsize rows, __m512 *sum, const guint16 *a, gsize lda, const guint16 *b, gsize n)
{
  __m512i y[4];
  _Pragma ("GCC unroll 4") for (gsize j = 0; j < 4; j++)
    y[j] = _mm512_loadu_si512 (b + j * 4 * CHUNK);
  _Pragma ("GCC unroll 6") for (gsize i = 0; i < rows; i++) {
    __m512i x = spread (a + i * lda, n);
    _Pragma ("GCC unroll 4") for (gsize j = 0; j < 4; j++)
      sum[4 * i + j] = add_pairs (sum[4 * i + j], x, y[j]);
  }
}

/* `stream`: rows come from memory, which is asked for those that follow: they are many at once, too short for the processor to
 * see where the reading goes. It is always asked for the next sums. */
WIDE_INLINE void
multiply_rows (const gboolean stream, const gsize rows, Tile t)
{
  const __mmask16 wanted = (__mmask16) wide_first (t.n);
  gsize l = 0;
  _Pragma ("GCC unroll 6") for (gsize i = 0; i < rows; i++)
    __builtin_prefetch (t.c + (rows + i) * t.ldc, 1);
  do {
    const gsize end = MIN (t.k, l + BLOCK);
    __m512 sum[4 * ROWS];
    _Pragma ("GCC unroll 24") for (gsize i = 0; i < 4 * rows; i++)
      sum[i] = _mm512_setzero_ps ();
    for (; l + CHUNK <= end; l += CHUNK, t.b += PANEL * CHUNK) {
      if (stream && l % UNIT == 0)
        _Pragma ("GCC unroll 6") for (gsize i = 0; i < rows; i++)
          __builtin_prefetch (t.a + (rows + i) * t.lda + l);
      add_chunk (rows, sum, t.a + l, t.lda, t.b, CHUNK);
    }
    if (l < end)
      add_chunk (rows, sum, t.a + l, t.lda, t.b, end - l);
    _Pragma ("GCC unroll 6") for (gsize i = 0; i < rows; i++) {
      __m512 from = t.start == NULL ? _mm512_setzero_ps () : _mm512_maskz_loadu_ps (wanted, t.start + i * t.ld_start);
      _mm512_mask_storeu_ps (t.c + i * t.ldc, wanted, _mm512_add_ps (from, fold (sum[4 * i], sum[4 * i + 1], sum[4 * i + 2], sum[4 * i + 3])));
    }
    l = end;
    t.start = t.c;
    t.ld_start = t.ldc;
  } while (l < t.k);
}

#define TILE_ROWS(N)                         \
  WIDE static void                           \
  rows_##N (const Tile *t)                   \
  {                                          \
    if (t->stream)                           \
      multiply_rows (TRUE, N, *t);           \
    else                                     \
      multiply_rows (FALSE, N, *t);          \
  }
TILE_ROWS (1) TILE_ROWS (2) TILE_ROWS (3) TILE_ROWS (4) TILE_ROWS (5) TILE_ROWS (6)
static void (*const rows_tile[ROWS]) (const Tile *t) = { rows_1, rows_2, rows_3, rows_4, rows_5, rows_6 };

/* -- few columns ------------------------------------------------------------- */

/* FEW_ROWS rows, or where not `whole` up to so many, by `columns` of the panel. */
WIDE_INLINE void
multiply_columns (const gboolean whole, const gsize columns, Tile t, gsize rows)
{
  const gsize groups = FEW_ROWS / 4;
  gsize l = 0;
  do {
    const gsize end = MIN (t.k, l + BLOCK);
    __m512 sum[FEW * FEW_ROWS / 4];
    _Pragma ("GCC unroll 16") for (gsize i = 0; i < columns * groups; i++)
      sum[i] = _mm512_setzero_ps ();
    const guint16 *ahead = t.a + 2 * FEW_ROWS * t.lda + l * FEW_ROWS;
    for (; l < end; l += UNIT, t.b += PANEL * UNIT) {
      __m512i r[FEW_ROWS];
      _Pragma ("GCC unroll 8") for (gsize i = 0; i < FEW_ROWS; i++, ahead += UNIT) {
        const guint16 *a = t.a + i * t.lda + l;
        r[i] = whole ? _mm512_loadu_si512 (a) : _mm512_maskz_loadu_epi16 (i < rows ? wide_first (end - l) : 0, a);
        __builtin_prefetch (ahead);
      }
      _Pragma ("GCC unroll 2") for (gsize g = 0; g < groups; g++)
        turn_four (r + 4 * g);
      _Pragma ("GCC unroll 4") for (gsize i = 0; i < 4; i++)
        _Pragma ("GCC unroll 8") for (gsize j = 0; j < columns; j++) {
          __m512i y = spread (t.b + i * PANEL * CHUNK + j * CHUNK, CHUNK);
          _Pragma ("GCC unroll 2") for (gsize g = 0; g < groups; g++)
            sum[columns * g + j] = add_pairs (sum[columns * g + j], y, r[4 * g + i]);
        }
    }
    float out[FEW][FEW_ROWS] __attribute__ ((aligned (64)));
    const __m512 none = _mm512_setzero_ps ();
    _Pragma ("GCC unroll 8") for (gsize j = 0; j < columns; j++)
      _mm256_store_ps (out[j], _mm512_castps512_ps256 (fold (sum[j], sum[columns + j], none, none)));
    for (gsize i = 0; i < rows; i++)
      for (gsize j = 0; j < t.n; j++)
        t.c[i * t.ldc + j] = (t.start == NULL ? 0 : t.start[i * t.ld_start + j]) + out[j][i];
    l = end;
    t.start = t.c;
    t.ld_start = t.ldc;
  } while (l < t.k);
}

#define COLUMNS(N)                              \
  WIDE static void                              \
  columns_##N (const Tile *t, gsize rows)       \
  {                                             \
    if (rows == FEW_ROWS && t->k % UNIT == 0)   \
      multiply_columns (TRUE, N, *t, rows);     \
    else                                        \
      multiply_columns (FALSE, N, *t, rows);    \
  }
COLUMNS (1) COLUMNS (2) COLUMNS (4) COLUMNS (8)

/* -- all of it --------------------------------------------------------------- */

static void
step_down (Tile *t, gsize rows)
{
  t->a += rows * t->lda;
  t->start = t->start == NULL ? NULL : t->start + rows * t->ld_start;
  t->c += rows * t->ldc;
}

/* m rows by one panel, many columns: in tiles of rows alike, for one of few sums waits for each. */
WIDE static void
multiply_many (Tile t, gsize m)
{
  for (gsize left = (m + ROWS - 1) / ROWS, rows; m > 0; m -= rows, left--) {
    rows = (m + left - 1) / left;
    rows_tile[rows - 1](&t);
    step_down (&t, rows);
  }
}

WIDE static void
multiply_few (Tile t, gsize m)
{
  for (gsize rows; m > 0; m -= rows) {
    rows = MIN (m, FEW_ROWS);
    (t.n == 1 ? columns_1 : t.n == 2 ? columns_2 : t.n <= 4 ? columns_4 : columns_8) (&t, rows);
    step_down (&t, rows);
  }
}

WIDE static void
multiply (gsize m, gsize n, gsize k, const guint16 *a, gsize lda, const guint16 *panels, gsize stride, const float *start, gsize ld_start,
          float *c, gsize ldc)
{
  gsize held = MAX (HELD / MAX (k, 1) / TOGETHER, 1) * TOGETHER;
  for (gsize i = 0; i < m; i += held)
    for (gsize j = 0; j < n; j += PANEL) {
      const float *from = start == NULL ? NULL : start + i * ld_start + j;
      const Tile t = { k, MIN (PANEL, n - j), n <= STREAM, a + i * lda, lda, panels + j / PANEL * stride, from, ld_start, c + i * ldc + j, ldc };
      if (t.n <= FEW && m >= FEW_ROWS)
        multiply_few (t, MIN (held, m - i));
      else
        multiply_many (t, MIN (held, m - i));
    }
}

static gboolean
usable (void)
{
  return __builtin_cpu_supports ("avx512bf16") && __builtin_cpu_supports ("avx512bw") && __builtin_cpu_supports ("avx512vl");
}

const VjBf16Kernel vj_bf16_avx512 = { .name = "avx512", .usable = usable, .chunk = CHUNK, .block = BLOCK, .rows = vj_bf16_rows_wide, .pack = pack,
                                      .pack_halves = pack_halves, .multiply = multiply };
#endif
