/* Products on the CPU: a packed-panel kernel whose every output is one running sum over k, in order, started
 * from zero (or what was there) - so a row's result depends on nothing but the row. `linear` always uses it;
 * `gemm` hands large products to a plugin's sgemm when there is one. */
#include "compute/cpu.h"
#include "compute/vector.h"

#define K_BLOCK 512    /* rows of a packed panel: 64 KiB */
#define ROW_CHUNK 256  /* rows of one item of work */

struct VjMatrix {
  gsize n, k, panels;
  float *packed; /* [panels][k][VJ_PANEL], zeros beyond n */
};

/* Rows x (vectors of 16) outputs held in registers over the whole of k. */
#define KERNEL(NAME, TARGET, TYPE, WIDTH, ROWS, VECTORS)                                                              \
  typedef float TYPE __attribute__ ((vector_size (WIDTH * 4)));                                                       \
  typedef float TYPE##U __attribute__ ((vector_size (WIDTH * 4), aligned (4), may_alias));                            \
  TARGET static inline __attribute__ ((always_inline)) void                                                           \
  NAME##_tile (const gsize rows, gsize k, const float *a, gsize row_step, gsize k_step, const float *panel,           \
               const float *start, gsize start_step, float *out)                                                      \
  {                                                                                                                   \
    TYPE sum[ROWS][VECTORS];                                                                                          \
    _Pragma ("GCC unroll 16") for (gsize r = 0; r < rows; r++)                                                        \
      _Pragma ("GCC unroll 4") for (gsize v = 0; v < VECTORS; v++)                                                    \
        sum[r][v] = start == NULL ? (TYPE) { 0 } : (TYPE) * (const TYPE##U *) (start + r * start_step + v * WIDTH);   \
    for (gsize l = 0; l < k; l++) {                                                                                   \
      TYPE b[VECTORS];                                                                                                \
      _Pragma ("GCC unroll 4") for (gsize v = 0; v < VECTORS; v++)                                                    \
        b[v] = *(const TYPE##U *) (panel + l * VJ_PANEL + v * WIDTH);                                                 \
      _Pragma ("GCC unroll 16") for (gsize r = 0; r < rows; r++)                                                      \
        _Pragma ("GCC unroll 4") for (gsize v = 0; v < VECTORS; v++)                                                  \
          sum[r][v] += a[r * row_step + l * k_step] * b[v];                                                           \
    }                                                                                                                 \
    _Pragma ("GCC unroll 16") for (gsize r = 0; r < rows; r++)                                                        \
      _Pragma ("GCC unroll 4") for (gsize v = 0; v < VECTORS; v++)                                                    \
        *(TYPE##U *) (out + r * VJ_PANEL + v * WIDTH) = sum[r][v];                                                    \
  }                                                                                                                   \
  TARGET static void                                                                                                  \
  NAME (gsize m, gsize k, const float *a, gsize row_step, gsize k_step, const float *panel, const float *start,       \
        gsize start_step, float *out)                                                                                 \
  {                                                                                                                   \
    for (gsize v = 0; v < VJ_PANEL; v += WIDTH * VECTORS) {                                                           \
      const float *s = start == NULL ? NULL : start + v;                                                              \
      gsize r = 0; /* the common case first, with nothing left to decide inside */                                    \
      for (; r + ROWS <= m; r += ROWS)                                                                                \
        NAME##_tile (ROWS, k, a + r * row_step, row_step, k_step, panel + v, s, start_step, out + r * VJ_PANEL + v);  \
      for (; r + 4 <= m; r += 4)                                                                                      \
        NAME##_tile (4, k, a + r * row_step, row_step, k_step, panel + v, s == NULL ? NULL : s + r * start_step,      \
                     start_step, out + r * VJ_PANEL + v);                                                             \
      for (; r + 2 <= m; r += 2)                                                                                      \
        NAME##_tile (2, k, a + r * row_step, row_step, k_step, panel + v, s == NULL ? NULL : s + r * start_step,      \
                     start_step, out + r * VJ_PANEL + v);                                                             \
      for (; r < m; r++)                                                                                              \
        NAME##_tile (1, k, a + r * row_step, row_step, k_step, panel + v, s == NULL ? NULL : s + r * start_step,      \
                     start_step, out + r * VJ_PANEL + v);                                                             \
    }                                                                                                                 \
  }

#if defined (__x86_64__)
KERNEL (kernel_avx512, __attribute__ ((target ("avx512f,avx512vl,fma"))), V512, 16, 8, 2)
KERNEL (kernel_avx2, __attribute__ ((target ("avx2,fma"))), V256, 8, 6, 2)
KERNEL (kernel_plain, , V128, 4, 4, 2)
#else
KERNEL (kernel_plain, , V128, 4, 6, 4)
#endif

typedef void (*Kernel) (gsize, gsize, const float *, gsize, gsize, const float *, const float *, gsize, float *);

/* The best kernel of this machine, and its rows. */
static Kernel
choose_kernel (gsize *ret_rows)
{
#if defined (__x86_64__)
  *ret_rows = 8;
  if (__builtin_cpu_supports ("avx512f") && __builtin_cpu_supports ("avx512vl"))
    return kernel_avx512;
  *ret_rows = 6;
  if (__builtin_cpu_supports ("avx2") && __builtin_cpu_supports ("fma"))
    return kernel_avx2;
  *ret_rows = 4;
#else
  *ret_rows = 6;
#endif
  return kernel_plain;
}

void
vj_cpu_kernel (gsize m, gsize n, gsize k, const float *a, gsize row_step, gsize k_step, const float *panel, const float *bias,
               gboolean add, float *c, gsize ldc)
{
  gsize rows;
  Kernel kernel = choose_kernel (&rows);
  float out[8 * VJ_PANEL] __attribute__ ((aligned (64)));
  float start[8 * VJ_PANEL] __attribute__ ((aligned (64)));
  for (gsize r = 0; r < m; r += rows) {
    gsize part = MIN (rows, m - r);
    for (gsize i = 0; add && i < part; i++)
      memcpy (start + i * VJ_PANEL, c + (r + i) * ldc, n * sizeof (float));
    kernel (part, k, a + r * row_step, row_step, k_step, panel, add ? start : NULL, VJ_PANEL, out);
    for (gsize i = 0; i < part; i++) {
      float *to = c + (r + i) * ldc;
      const float *from = out + i * VJ_PANEL;
      if (bias != NULL)
        for (gsize j = 0; j < n; j++)
          to[j] = from[j] + bias[j];
      else
        memcpy (to, from, n * sizeof (float));
    }
  }
}

/* Columns [first, first + n) of op(b), rows [k0, k0 + k), as a panel. */
static void
pack (const float *b, gsize ldb, gboolean transposed, gsize first, gsize n, gsize k0, gsize k, float *panel)
{
  if (n < VJ_PANEL)
    memset (panel, 0, k * VJ_PANEL * sizeof (float));
  if (transposed)
    for (gsize j = 0; j < n; j++) {
      const float *from = b + (first + j) * ldb + k0;
      for (gsize l = 0; l < k; l++)
        panel[l * VJ_PANEL + j] = from[l];
    }
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
    gboolean last = k0 + k == g->k;
    pack (CF (g->b), g->ldb, g->tb, first, n, k0, k, panel);
    vj_cpu_kernel (g->m, n, k, CF (g->a) + (g->ta ? k0 * g->lda : k0), g->ta ? 1 : g->lda, g->ta ? g->lda : 1, panel,
                   last && g->bias != NULL ? CF (g->bias) + first : NULL, g->beta != 0 || k0 > 0, F (g->c) + first, g->ldc);
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
  Product p = { .cpu = cpu, .g = g };
  if (cpu->sgemm == NULL || g->k == 0) {
    vj_pool_run (cpu->pool, (g->n + VJ_PANEL - 1) / VJ_PANEL, gemm_panel, &p);
    return;
  }
  p.col_chunk = g->m > ROW_CHUNK ? g->n : MAX ((gsize) 96, (g->n + 3) / 4);
  p.col_chunks = (g->n + p.col_chunk - 1) / p.col_chunk;
  vj_pool_run (cpu->pool, (g->m + ROW_CHUNK - 1) / ROW_CHUNK * p.col_chunks, gemm_sgemm, &p);
}

/* -- linear ---------------------------------------------------------------- */

VjMatrix *
vj_cpu_matrix_new (G_GNUC_UNUSED void *device, gsize n, gsize k, const float *host, GError **error)
{
  gsize panels = (n + VJ_PANEL - 1) / VJ_PANEL;
  void *packed = NULL;
  if (posix_memalign (&packed, 64, MAX (panels * k * VJ_PANEL * sizeof (float), 64)) != 0) {
    vj_fail (error, VJ_EXIT_LIMIT, "compute: 'weights': %" G_GSIZE_FORMAT " x %" G_GSIZE_FORMAT " cannot be loaded: out of memory; use a smaller model", n, k);
    return NULL;
  }
  VjMatrix *matrix = g_new (VjMatrix, 1);
  *matrix = (VjMatrix) { n, k, panels, packed };
  for (gsize p = 0; p < panels; p++)
    pack (host, k, TRUE, p * VJ_PANEL, MIN (VJ_PANEL, n - p * VJ_PANEL), 0, k, matrix->packed + p * k * VJ_PANEL);
  return matrix;
}

void
vj_cpu_matrix_free (G_GNUC_UNUSED void *device, VjMatrix *matrix)
{
  if (matrix != NULL)
    free (matrix->packed);
  g_free (matrix);
}

typedef struct {
  gsize rows;
  const float *x, *bias;
  const VjMatrix *w;
  float *y;
  gsize ldy, per_item; /* panels of one item */
} Linear;

static void
linear_panels (void *data, gsize item, G_GNUC_UNUSED guint worker)
{
  const Linear *l = data;
  const VjMatrix *w = l->w;
  for (gsize p = item * l->per_item; p < MIN ((item + 1) * l->per_item, w->panels); p++) {
    gsize first = p * VJ_PANEL;
    vj_cpu_kernel (l->rows, MIN (VJ_PANEL, w->n - first), w->k, l->x, w->k, 1, w->packed + p * w->k * VJ_PANEL,
                   l->bias == NULL ? NULL : l->bias + first, FALSE, l->y + first, l->ldy);
  }
}

void
vj_cpu_linear (void *device, gsize rows, const VjF32 *x, const VjMatrix *w, const VjF32 *bias, VjF32 *y, gsize ldy)
{
  VjCpu *cpu = device;
  Linear l = { rows, CF (x), CF (bias), w, F (y), ldy, 1 };
  /* A little work is not worth waking threads for; an item is at least 1/4 million multiply-adds. */
  while (l.per_item < w->panels && l.per_item * VJ_PANEL * rows * w->k < 1 << 18)
    l.per_item *= 2;
  vj_pool_run (cpu->pool, (w->panels + l.per_item - 1) / l.per_item, linear_panels, &l);
}
