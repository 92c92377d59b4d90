/* Products of bf16 numbers row by row: of each BLOCK of l an output has sixteen running sums over every sixteenth (AVX-512
 * BF16: pair), which are added up pairwise; the sums of the blocks are added one after the other. Panels are rows as well, so
 * nothing is turned. */
#include "compute/bf16.h"
#include "compute/vector.h"

#define BLOCK ((gsize) 1024)    /* of l: a tile's rows and columns stay in the first cache */
#define HELD ((gsize) 1 << 17)  /* numbers of a that stay in the second cache while columns pass over them */
#define COLUMNS ((gsize) 128)   /* so many of them; a multiple of a panel's */

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

/* -- kernels --------------------------------------------------------------- */

typedef float Four __attribute__ ((vector_size (16), aligned (4), may_alias));

/* Calls TILE (rows, columns, ...) over all of c, ROWS x COLS at a time where there is room. Rows of HELD numbers meet COLUMNS
 * before the next rows come, so that a large a is read from memory once for so many. */
#define MULTIPLY(TILE, ROWS, COLS)                                                                                             \
  gsize ldb = stride / VJ_BF16_PANEL, some = MAX (HELD / MAX (k, 1) / ROWS * ROWS, ROWS);                                      \
  for (gsize first = 0, last; first < n; first = last) {                                                                       \
    last = MIN (n, first + COLUMNS);                                                                                           \
    for (gsize from_row = 0, to_row; from_row < m; from_row = to_row) {                                                        \
      to_row = MIN (m, from_row + some);                                                                                       \
      for (gsize j = first; j < last;) {                                                                                       \
        gsize cols = j + COLS <= n && j % VJ_BF16_PANEL + COLS <= VJ_BF16_PANEL ? COLS : 1;                                    \
        const guint16 *b = panels + j / VJ_BF16_PANEL * stride + j % VJ_BF16_PANEL * ldb;                                      \
        for (gsize i = from_row; i < to_row;) {                                                                                \
          gsize rows = i + ROWS <= to_row ? ROWS : 1;                                                                          \
          const float *from = start == NULL ? NULL : start + i * ld_start + j;                                                 \
          if (rows == ROWS && cols == COLS)                                                                                    \
            TILE (ROWS, COLS, k, a + i * lda, lda, b, ldb, from, ld_start, c + i * ldc + j, ldc);                              \
          else if (rows == ROWS)                                                                                               \
            TILE (ROWS, 1, k, a + i * lda, lda, b, ldb, from, ld_start, c + i * ldc + j, ldc);                                 \
          else if (cols == COLS)                                                                                               \
            TILE (1, COLS, k, a + i * lda, lda, b, ldb, from, ld_start, c + i * ldc + j, ldc);                                 \
          else                                                                                                                 \
            TILE (1, 1, k, a + i * lda, lda, b, ldb, from, ld_start, c + i * ldc + j, ldc);                                    \
          i += rows;                                                                                                           \
        }                                                                                                                      \
        j += cols;                                                                                                             \
      }                                                                                                                        \
    }                                                                                                                          \
  }

/* A tile of sums is held in registers over BLOCK of l, then added to what it starts from: so it is cut the same whether l comes
 * in one call or in blocks. LOAD (p) and LOAD_PART (p, n) give a vector of WIDTH numbers, ADD (sum, x, y) adds their products. */
#define TILE(NAME, TARGET, OPERAND, WIDTH, LOAD, LOAD_PART, ADD)                                                               \
  TARGET VJ_INLINE void                                                                                                        \
  NAME (const gsize rows, const gsize cols, gsize k, const guint16 *a, gsize lda, const guint16 *b, gsize ldb,                 \
        const float *start, gsize ld_start, float *c, gsize ldc)                                                               \
  {                                                                                                                            \
    gsize l = 0;                                                                                                               \
    do {                                                                                                                       \
      const gsize end = MIN (k, l + BLOCK);                                                                                    \
      V sum[16];                                                                                                               \
      _Pragma ("GCC unroll 16") for (gsize i = 0; i < rows * cols; i++)                                                        \
        sum[i] = (V) { 0 };                                                                                                    \
      for (; l + WIDTH <= end; l += WIDTH) {                                                                                   \
        OPERAND y[4];                                                                                                          \
        _Pragma ("GCC unroll 4") for (gsize j = 0; j < cols; j++)                                                              \
          y[j] = LOAD (b + j * ldb + l);                                                                                       \
        _Pragma ("GCC unroll 4") for (gsize i = 0; i < rows; i++) {                                                            \
          OPERAND x = LOAD (a + i * lda + l);                                                                                  \
          _Pragma ("GCC unroll 4") for (gsize j = 0; j < cols; j++)                                                            \
            sum[i * cols + j] = ADD (sum[i * cols + j], x, y[j]);                                                              \
        }                                                                                                                      \
      }                                                                                                                        \
      for (gsize i = 0; l < end && i < rows; i++) {                                                                            \
        OPERAND x = LOAD_PART (a + i * lda + l, end - l);                                                                      \
        for (gsize j = 0; j < cols; j++)                                                                                       \
          sum[i * cols + j] = ADD (sum[i * cols + j], x, LOAD (b + j * ldb + l));                                              \
      }                                                                                                                        \
      if (rows == 4 && cols == 4) {                                                                                             \
        V sums = V_SUMS (sum);                                                                                                 \
        _Pragma ("GCC unroll 4") for (gsize i = 0; i < rows; i++) {                                                            \
          Four four, begun = { 0 }; /* zeros are added too: -0 becomes 0 in every tile */                                      \
          memcpy (&four, (const float *) &sums + 4 * i, sizeof four);                                                          \
          if (start != NULL)                                                                                                   \
            begun = *(const Four *) (start + i * ld_start);                                                                    \
          *(Four *) (c + i * ldc) = begun + four;                                                                              \
        }                                                                                                                      \
      } else {                                                                                                                 \
        _Pragma ("GCC unroll 4") for (gsize i = 0; i < rows; i++)                                                              \
          _Pragma ("GCC unroll 4") for (gsize j = 0; j < cols; j++)                                                            \
            c[i * ldc + j] = (start != NULL ? start[i * ld_start + j] : 0) + V_SUM (sum[i * cols + j]);                        \
      }                                                                                                                        \
      l = end;                                                                                                                 \
      start = c;                                                                                                               \
      ld_start = ldc;                                                                                                          \
    } while (l < k);                                                                                                           \
  }

#define MULTIPLY_ADD(sum, x, y) ((sum) + (x) * (y))
TILE (generic_tile, , V, LANES, v_widen, v_widen_part, MULTIPLY_ADD)

VJ_CLONES static void
generic_multiply (gsize m, gsize n, gsize k, const guint16 *a, gsize lda, const guint16 *panels, gsize stride, const float *start, gsize ld_start,
                  float *c, gsize ldc)
{
  MULTIPLY (generic_tile, 2, 2)
}

static gboolean
always (void)
{
  return TRUE;
}

const VjBf16Kernel vj_bf16_generic = { .name = "generic", .usable = always, .block = BLOCK, .rows = vj_bf16_rows, .pack = pack, .multiply = generic_multiply };

#if defined (__x86_64__)
#include "compute/bf16-wide.h"

#define WIDE __attribute__ ((target (VJ_WIDE ",fma")))
#define WIDE_LOAD(p) ((__m512bh) _mm512_loadu_si512 (p))
#define WIDE_LOAD_PART(p, n) ((__m512bh) _mm512_maskz_loadu_epi16 ((__mmask32) ((1ull << (n)) - 1), p))
#define WIDE_ADD(sum, x, y) ((V) _mm512_dpbf16_ps ((__m512) (sum), x, y))
TILE (wide_tile, WIDE, __m512bh, 2 * LANES, WIDE_LOAD, WIDE_LOAD_PART, WIDE_ADD)

/* Up to sixteen rows that lie side by side are turned as 32-bit numbers, pair by pair of l. */
WIDE static void
wide_turned (const float *from, gsize step_l, gsize rows, gsize k, guint16 *to, gsize ld)
{
  for (gsize l = 0; l < k; l += VJ_BF16_UNIT) {
    V r[LANES];
    for (gsize p = 0; p < LANES; p++) {
      gsize at = l + 2 * p;
      const float *pair = from + at * step_l;
      r[p] = (V) wide_pairs (wide_load (pair, at < k ? rows : 0), wide_load (pair + step_l, at + 1 < k ? rows : 0));
    }
    V_TRANSPOSE (r);
    for (gsize i = 0; i < rows; i++)
      _mm512_mask_storeu_epi16 (to + i * ld + l, wide_first (ld - l), (__m512i) r[i]);
  }
}

WIDE void
vj_bf16_rows_wide (const float *from, gsize step_row, gsize step_l, gsize rows, gsize k, guint16 *to, gsize ld)
{
  for (gsize r = 0; step_l != 1 && r < rows; r += LANES)
    wide_turned (from + r, step_l, MIN (LANES, rows - r), k, to + r * ld, ld);
  for (gsize r = 0; step_l == 1 && r < rows; r++)
    for (gsize l = 0; l < k; l += VJ_BF16_UNIT)
      _mm512_mask_storeu_epi16 (to + r * ld + l, wide_first (ld - l), wide_unit (from + r * step_row + l, k - l));
}

static void
wide_pack (const float *from, gsize step_j, gsize step_l, gsize n, gsize k, gsize depth, guint16 *panels)
{
  vj_bf16_rows_wide (from, step_j, step_l, n, k, panels, depth);
}

static void
wide_pack_halves (const guint16 *from, gsize ld, gsize n, gsize k, gsize depth, guint16 *panels)
{
  for (gsize j = 0; j < n; j++) {
    memcpy (panels + j * depth, from + j * ld, k * sizeof (guint16));
    memset (panels + j * depth + k, 0, (depth - k) * sizeof (guint16));
  }
}

WIDE static void
wide_multiply (gsize m, gsize n, gsize k, const guint16 *a, gsize lda, const guint16 *panels, gsize stride, const float *start, gsize ld_start,
               float *c, gsize ldc)
{
  MULTIPLY (wide_tile, 4, 4)
}

static gboolean
wide_usable (void)
{
  return __builtin_cpu_supports ("avx512bf16") && __builtin_cpu_supports ("avx512bw") && __builtin_cpu_supports ("avx512vl");
}

const VjBf16Kernel vj_bf16_avx512 = { .name = "avx512", .usable = wide_usable, .block = BLOCK, .rows = vj_bf16_rows_wide, .pack = wide_pack,
                                      .pack_halves = wide_pack_halves, .multiply = wide_multiply };
#endif

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
