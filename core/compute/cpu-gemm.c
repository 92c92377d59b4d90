/* Products of f32 numbers on the CPU: a packed-panel kernel whose every output is one running sum over k, in order, started
 * from zero (or what was there) - so a row's result depends on nothing but the row. `linear` always uses it;
 * `gemm` hands large products to a plugin's sgemm when there is one. */
#include "compute/bf16.h"
#include "compute/vector.h"

#define K_BLOCK 256    /* rows of a packed panel: 32 KiB */
#define ROW_CHUNK 256  /* rows of one item of work */

/* Rows x (vectors of 16) outputs held in registers over the whole of k. */
#define KERNEL(NAME, TARGET, TYPE, WIDTH, ROWS, VECTORS)                                                              \
  typedef float TYPE __attribute__ ((vector_size (WIDTH * 4)));                                                       \
  typedef float TYPE##U __attribute__ ((vector_size (WIDTH * 4), aligned (4), may_alias));                            \
  TARGET static inline __attribute__ ((always_inline)) void                                                           \
  NAME##_tile (const gsize rows, gsize k, const float *a, gsize row_step, gsize k_step, const float *panel,           \
               gsize panel_step, const float *start, gsize start_step, float *out, gsize out_step)                                      \
  {                                                                                                                   \
    TYPE sum[ROWS][VECTORS];                                                                                          \
    _Pragma ("GCC unroll 16") for (gsize r = 0; r < rows; r++)                                                        \
      _Pragma ("GCC unroll 4") for (gsize v = 0; v < VECTORS; v++)                                                    \
        sum[r][v] = start == NULL ? (TYPE) { 0 } : (TYPE) * (const TYPE##U *) (start + r * start_step + v * WIDTH);   \
    for (gsize l = 0; l < k; l++) {                                                                                   \
      TYPE b[VECTORS];                                                                                                \
      _Pragma ("GCC unroll 4") for (gsize v = 0; v < VECTORS; v++)                                                    \
        b[v] = *(const TYPE##U *) (panel + l * panel_step + v * WIDTH);                                                 \
      _Pragma ("GCC unroll 16") for (gsize r = 0; r < rows; r++)                                                      \
        _Pragma ("GCC unroll 4") for (gsize v = 0; v < VECTORS; v++)                                                  \
          sum[r][v] += a[r * row_step + l * k_step] * b[v];                                                           \
    }                                                                                                                 \
    _Pragma ("GCC unroll 16") for (gsize r = 0; r < rows; r++)                                                        \
      _Pragma ("GCC unroll 4") for (gsize v = 0; v < VECTORS; v++)                                                    \
        *(TYPE##U *) (out + r * out_step + v * WIDTH) = sum[r][v];                                                    \
  }                                                                                                                   \
  TARGET static void                                                                                                  \
  NAME (gsize m, gsize k, const float *a, gsize row_step, gsize k_step, const float *panel, gsize panel_step,         \
        const float *start, gsize start_step, float *out, gsize out_step)                                                                 \
  {                                                                                                                   \
    for (gsize v = 0; v < VJ_PANEL; v += WIDTH * VECTORS) {                                                           \
      const float *s = start == NULL ? NULL : start + v;                                                              \
      gsize r = 0; /* the common case first, with nothing left to decide inside */                                    \
      for (; r + ROWS <= m; r += ROWS)                                                                                \
        NAME##_tile (ROWS, k, a + r * row_step, row_step, k_step, panel + v, panel_step, s == NULL ? NULL : s + r * start_step,   \
                     start_step, out + r * out_step + v, out_step);                                                   \
      for (; r + 4 <= m; r += 4)                                                                                      \
        NAME##_tile (4, k, a + r * row_step, row_step, k_step, panel + v, panel_step, s == NULL ? NULL : s + r * start_step,      \
                     start_step, out + r * out_step + v, out_step);                                                   \
      for (; r + 2 <= m; r += 2)                                                                                      \
        NAME##_tile (2, k, a + r * row_step, row_step, k_step, panel + v, panel_step, s == NULL ? NULL : s + r * start_step,      \
                     start_step, out + r * out_step + v, out_step);                                                   \
      for (; r + 1 <= m; r += 1)                                                                                      \
        NAME##_tile (1, k, a + r * row_step, row_step, k_step, panel + v, panel_step, s == NULL ? NULL : s + r * start_step,      \
                     start_step, out + r * out_step + v, out_step);                                                   \
    }                                                                                                                 \
  }

#if defined (__x86_64__)
KERNEL (kernel_avx512, __attribute__ ((target ("avx512f,avx512vl,fma"))), V512, 16, 8, 2)
KERNEL (kernel_avx2, __attribute__ ((target ("avx2,fma"))), V256, 8, 6, 2)
KERNEL (kernel_plain, , V128, 4, 4, 2)
#else
KERNEL (kernel_plain, , V128, 4, 6, 4)
#endif

typedef void (*Kernel) (gsize, gsize, const float *, gsize, gsize, const float *, gsize, const float *, gsize, float *, gsize);

gboolean
vj_cpu_is_wide (void)
{
#if defined (__x86_64__)
  return __builtin_cpu_supports ("avx512f") && __builtin_cpu_supports ("avx512vl");
#else
  return FALSE;
#endif
}

gboolean
vj_cpu_has_avx2 (void)
{
#if defined (__x86_64__)
  return __builtin_cpu_supports ("avx2") && __builtin_cpu_supports ("fma");
#else
  return FALSE;
#endif
}

/* The best kernel of this machine. */
static Kernel
choose_kernel (void)
{
#if defined (__x86_64__)
  if (vj_cpu_is_wide ())
    return kernel_avx512;
  if (vj_cpu_has_avx2 ())
    return kernel_avx2;
#endif
  return kernel_plain;
}

/* A whole panel goes straight to c; the last one, when it is narrower, through a buffer. Sums start from the bias,
 * or from what is in c. */
void
vj_cpu_kernel (gsize m, gsize n, gsize k, const float *a, gsize row_step, gsize k_step, const float *panel, gsize panel_step,
               const float *bias, gboolean add, float *c, gsize ldc)
{
  Kernel kernel = choose_kernel ();
  if (n == VJ_PANEL) {
    kernel (m, k, a, row_step, k_step, panel, panel_step, add ? c : bias, add ? ldc : 0, c, ldc);
    return;
  }
  float out[8 * VJ_PANEL] __attribute__ ((aligned (64)));
  float start[8 * VJ_PANEL] __attribute__ ((aligned (64))) = { 0 };
  for (gsize i = 0; bias != NULL && i < 8; i++)
    memcpy (start + i * VJ_PANEL, bias, n * sizeof (float));
  for (gsize r = 0; r < m; r += 8) {
    gsize part = MIN (8, m - r);
    for (gsize i = 0; add && i < part; i++)
      memcpy (start + i * VJ_PANEL, c + (r + i) * ldc, n * sizeof (float));
    kernel (part, k, a + r * row_step, row_step, k_step, panel, panel_step, add || bias != NULL ? start : NULL, VJ_PANEL, out, VJ_PANEL);
    for (gsize i = 0; i < part; i++)
      memcpy (c + (r + i) * ldc, out + i * VJ_PANEL, n * sizeof (float));
  }
}

VJ_CLONES static void
transpose_square (const float *from, gsize ld_from, float *to, gsize ld_to)
{
  V r[LANES];
  _Pragma ("GCC unroll 16") for (guint i = 0; i < LANES; i++)
    r[i] = v_load (from + i * ld_from);
  V_TRANSPOSE (r);
  _Pragma ("GCC unroll 16") for (guint i = 0; i < LANES; i++)
    v_store (to + i * ld_to, r[i]);
}

void
vj_cpu_transpose (const float *from, gsize ld_from, gsize rows, gsize cols, float *to, gsize ld_to)
{
  for (gsize i = 0; i < rows; i += LANES)
    for (gsize j = 0; j < cols; j += LANES)
      if (i + LANES <= rows && j + LANES <= cols)
        transpose_square (from + i * ld_from + j, ld_from, to + j * ld_to + i, ld_to);
      else
        for (gsize x = i; x < MIN (i + LANES, rows); x++)
          for (gsize y = j; y < MIN (j + LANES, cols); y++)
            to[y * ld_to + x] = from[x * ld_from + y];
}

void
vj_cpu_pack (const float *b, gsize ldb, gboolean transposed, gsize first, gsize n, gsize k0, gsize k, float *panel)
{
  if (n < VJ_PANEL)
    memset (panel, 0, k * VJ_PANEL * sizeof (float));
  if (transposed)
    vj_cpu_transpose (b + first * ldb + k0, ldb, n, k, panel, VJ_PANEL);
  else
    for (gsize l = 0; l < k; l++)
      memcpy (panel + l * VJ_PANEL, b + (k0 + l) * ldb + first, n * sizeof (float));
}

/* -- gemm ------------------------------------------------------------------ */

typedef struct {
  VjCpu *cpu;
  const VjGemm *g;
  gsize col_chunk, col_chunks;
} Product;

static void
gemm_panel (void *data, gsize item, guint worker)
{
  const Product *p = data;
  const VjGemm *g = p->g;
  gsize first = item * VJ_PANEL, n = MIN (VJ_PANEL, g->n - first);
  float *panel = vj_cpu_scratch (p->cpu, worker, K_BLOCK * VJ_PANEL);
  for (gsize k0 = 0; k0 < g->k || k0 == 0; k0 += K_BLOCK) {
    gsize k = MIN (K_BLOCK, g->k - k0);
    vj_cpu_pack (CF (g->b), g->ldb, g->tb, first, n, k0, k, panel);
    vj_cpu_kernel (g->m, n, k, CF (g->a) + (g->ta ? k0 * g->lda : k0), g->ta ? 1 : g->lda, g->ta ? g->lda : 1, panel, VJ_PANEL,
                   k0 == 0 && g->bias != NULL ? CF (g->bias) + first : NULL, g->beta != 0 || k0 > 0, F (g->c) + first, g->ldc);
  }
}

/* Chunks are cut by size alone, so that the calls, and the bits, are the same on any number of threads. */
static void
gemm_sgemm (void *data, gsize item, G_GNUC_UNUSED guint worker)
{
  const Product *p = data;
  const VjGemm *g = p->g;
  gsize row = item / p->col_chunks * ROW_CHUNK, col = item % p->col_chunks * p->col_chunk;
  gsize m = MIN (ROW_CHUNK, g->m - row), n = MIN (p->col_chunk, g->n - col);
  float *c = F (g->c) + row * g->ldc + col;
  p->cpu->sgemm (g->ta, g->tb, m, n, g->k, CF (g->a) + (g->ta ? row : row * g->lda), g->lda, CF (g->b) + (g->tb ? col * g->ldb : col), g->ldb,
                 g->beta, c, g->ldc);
  for (gsize r = 0; g->bias != NULL && r < m; r++)
    for (gsize j = 0; j < n; j++)
      c[r * g->ldc + j] += CF (g->bias)[col + j];
}

void
vj_cpu_gemm (void *device, const VjGemm *g)
{
  VjCpu *cpu = device;
  if (g->m == 0 || g->n == 0)
    return;
  if (g->numbers == VJ_NUMBERS_BF16 && g->k > 0) {
    vj_bf16_gemm (cpu, g);
    return;
  }
  Product p = { .cpu = cpu, .g = g };
  if (cpu->sgemm == NULL || g->k == 0) {
    vj_cpu_set_aside (cpu, K_BLOCK * VJ_PANEL);
    vj_pool_run (cpu->pool, (g->n + VJ_PANEL - 1) / VJ_PANEL, gemm_panel, &p);
    return;
  }
  p.col_chunk = g->m > ROW_CHUNK ? g->n : MAX ((gsize) 96, (g->n + 3) / 4);
  p.col_chunks = (g->n + p.col_chunk - 1) / p.col_chunk;
  vj_pool_run (cpu->pool, (g->m + ROW_CHUNK - 1) / ROW_CHUNK * p.col_chunks, gemm_sgemm, &p);
}
