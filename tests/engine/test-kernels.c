/* The kernels of bf16 products, each alone: sums against f64, over shapes with and without tails; of `generic` to the bit, in
 * the order it says. Those of other processors run on emulated instructions as well. What they read ends where memory does,
 * and what they do not write stays. */
#include "compute/bf16.h"
#include "base/random.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define APART 5        /* columns of c and of what it starts from that do not belong to the product */
#define UNTOUCHED 1234 /* stands there */

static const gsize rows_tried[] = { 1, 2, 3, 4, 5, 8, 13, 97, 193 }, columns_tried[] = { 1, 2, 3, 5, 7, 8, 9, 17, 33, 130 },
                   depths_tried[] = { 1, 2, 15, 16, 17, 33, 511, 512, 513, 1041, 2081 };

/* Memory whose last byte is followed by a page that must not be touched. */
typedef struct {
  char *pages;
  gsize size;
  void *at;
} Edge;

static Edge
edge_new (gsize bytes)
{
  gsize page = (gsize) sysconf (_SC_PAGESIZE), size = (bytes + page - 1) / page * page + page;
  char *pages = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  g_assert_true (pages != MAP_FAILED);
  g_assert_cmpint (mprotect (pages + size - page, page, PROT_NONE), ==, 0);
  return (Edge) { pages, size, pages + size - page - bytes };
}

static void
edge_free (Edge *edge)
{
  munmap (edge->pages, edge->size);
}

static float
widen (guint16 half)
{
  guint32 bits = (guint32) half << 16;
  float value;
  memcpy (&value, &bits, sizeof value);
  return value;
}

/* -- a product ------------------------------------------------------------- */

typedef enum { FROM_NOTHING, FROM_ITSELF, FROM_OTHERS, N_STARTS } Start;

typedef struct {
  gsize m, n, k, ldc;
  Start from;
  Edge a;        /* [m, k] */
  float *b;      /* [n, k], floats that bf16 has */
  float *start;  /* [m, ldc] */
  Edge c;        /* [m, ldc], but not the last APART */
} Case;

static void
case_new (VjRandom *random, gsize m, gsize n, gsize k, Start from, Case *c)
{
  *c = (Case) { m, n, k, n + APART, from, edge_new (m * k * sizeof (guint16)), g_new (float, n * k), g_new (float, m * (n + APART)),
                edge_new ((m * (n + APART) - APART) * sizeof (float)) };
  float *values = g_new (float, m * k);
  for (gsize i = 0; i < m * k; i++)
    values[i] = (float) vj_random_normal (random);
  vj_bf16_rows (values, k, 1, m, k, c->a.at, k);
  g_free (values);
  for (gsize i = 0; i < n * k; i++) {
    guint16 half;
    float value = (float) vj_random_normal (random);
    vj_bf16_rows (&value, 1, 1, 1, 1, &half, 1);
    c->b[i] = widen (half);
  }
  for (gsize i = 0; i < m * c->ldc; i++)
    c->start[i] = (float) vj_random_normal (random);
}

static void
case_free (Case *c)
{
  edge_free (&c->a);
  edge_free (&c->c);
  g_free (c->b);
  g_free (c->start);
}

static float
start_at (const Case *c, gsize i, gsize j)
{
  return c->from == FROM_NOTHING ? 0 : c->start[i * c->ldc + j];
}

static void
clear (const Case *c)
{
  float *out = c->c.at;
  for (gsize i = 0; i < c->m * c->ldc - APART; i++)
    out[i] = i % c->ldc < c->n && c->from == FROM_ITSELF ? c->start[i] : UNTOUCHED;
}

/* l of it, from l on, of panels that lie `stride` apart. */
static void
multiply_part (const VjBf16Kernel *kernel, const Case *c, gsize l, gsize count, const guint16 *panels, gsize stride)
{
  const float *start = l > 0 || c->from == FROM_ITSELF ? c->c.at : c->from == FROM_OTHERS ? c->start : NULL;
  kernel->multiply (c->m, c->n, count, (const guint16 *) c->a.at + l, c->k, panels, stride, start, c->ldc, c->c.at, c->ldc);
}

/* Panels as the kernel packs them; owned, free with free. What pack leaves as it was must not be added, so it is no number. */
static guint16 *
pack (const VjBf16Kernel *kernel, const Case *c, gsize depth)
{
  gsize bytes = (c->n + VJ_BF16_PANEL - 1) / VJ_BF16_PANEL * VJ_BF16_PANEL * depth * sizeof (guint16);
  void *panels = NULL;
  g_assert_cmpint (posix_memalign (&panels, 64, bytes), ==, 0);
  memset (panels, 0xff, bytes);
  kernel->pack (c->b, c->k, 1, c->n, c->k, depth, panels);
  return panels;
}

/* -- what it should be ------------------------------------------------------- */

static void
check_sums (const VjBf16Kernel *kernel, const Case *c)
{
  const guint16 *a = c->a.at;
  const float *out = c->c.at;
  for (gsize i = 0; i < c->m; i++)
    for (gsize j = 0; j < (i + 1 < c->m ? c->ldc : c->n); j++) {
      double sum = j < c->n ? start_at (c, i, j) : UNTOUCHED, size = fabs (sum) + 1;
      for (gsize l = 0; j < c->n && l < c->k; l++) {
        double product = (double) widen (a[i * c->k + l]) * c->b[j * c->k + l];
        sum += product;
        size += fabs (product);
      }
      if (!(fabs (out[i * c->ldc + j] - sum) <= 1e-6 * size))
        g_error ("%s, %zu x %zu x %zu, start %d: row %zu, column %zu is %g and should be %g", kernel->name, c->m, c->n, c->k, c->from, i, j,
                 out[i * c->ldc + j], sum);
    }
}

/* What bf16-generic.c says of the order of a sum, number by number. */
static float
sum_in_order (const Case *c, gsize i, gsize j)
{
  const guint16 *a = (const guint16 *) c->a.at + i * c->k;
  float sum = start_at (c, i, j);
  gboolean first = c->from == FROM_NOTHING;
  for (gsize block = 0; block < c->k; block += 512, first = FALSE) {
    float s[8] = { 0 };
    for (gsize l = block; l < MIN (c->k, block + 512); l++)
      s[(l - block) / 2 % 8] += widen (a[l]) * c->b[j * c->k + l];
    float all = ((s[0] + s[2]) + (s[1] + s[3])) + ((s[4] + s[6]) + (s[5] + s[7]));
    sum = first ? all : sum + all;
  }
  return sum;
}

static void
check_order (const Case *c)
{
  const float *out = c->c.at;
  for (gsize i = 0; i < c->m; i++)
    for (gsize j = 0; j < c->n; j++) {
      float want = sum_in_order (c, i, j);
      g_assert_cmpmem (&out[i * c->ldc + j], sizeof want, &want, sizeof want);
    }
}

/* -- tests --------------------------------------------------------------------- */

/* The same bits when l comes in several calls, and, of a kernel without chunks, when b is rows as they lie: weights in a file,
 * which ends where they do. */
static void
check_cuts (const VjBf16Kernel *kernel, const Case *c, const guint16 *panels, gsize depth)
{
  gsize bytes = (c->m * c->ldc - APART) * sizeof (float);
  g_autofree char *want = g_memdup2 (c->c.at, bytes);
  clear (c);
  for (gsize l = 0; l < c->k; l += kernel->block)
    multiply_part (kernel, c, l, MIN (kernel->block, c->k - l), panels + vj_bf16_place (kernel, depth, 0, l), VJ_BF16_PANEL * depth);
  g_assert_cmpmem (c->c.at, bytes, want, bytes);
  if (kernel->chunk > 0)
    return;
  Edge b = edge_new (c->n * c->k * sizeof (guint16));
  kernel->rows (c->b, c->k, 1, c->n, c->k, b.at, c->k);
  clear (c);
  multiply_part (kernel, c, 0, c->k, b.at, VJ_BF16_PANEL * c->k);
  g_assert_cmpmem (c->c.at, bytes, want, bytes);
  edge_free (&b);
}

/* A row of no numbers is its own affair. */
static void
check_broken_row (const VjBf16Kernel *kernel, const Case *c, const guint16 *panels, gsize depth)
{
  const float *out = c->c.at;
  gsize whole = (c->m - 1) * c->ldc;
  g_autofree float *want = g_memdup2 (out, whole * sizeof *out);
  memset ((guint16 *) c->a.at + (c->m - 1) * c->k, 0xff, c->k * sizeof (guint16));
  clear (c);
  multiply_part (kernel, c, 0, c->k, panels, VJ_BF16_PANEL * depth);
  g_assert_cmpmem (out, whole * sizeof *out, want, whole * sizeof *out);
  for (gsize j = 0; j < c->n; j++)
    g_assert_true (isnan (out[whole + j]));
}

static void
for_all_cases (const VjBf16Kernel *kernel, gboolean in_order)
{
  VjRandom random;
  guint number = 0;
  vj_random_init (&random, 11);
  for (gsize i = 0; i < G_N_ELEMENTS (rows_tried); i++)
    for (gsize j = 0; j < G_N_ELEMENTS (columns_tried); j++)
      for (gsize l = 0; l < G_N_ELEMENTS (depths_tried); l++, number++) {
        Case c;
        case_new (&random, rows_tried[i], columns_tried[j], depths_tried[l], number % N_STARTS, &c);
        gsize depth = (c.k + VJ_BF16_UNIT - 1) / VJ_BF16_UNIT * VJ_BF16_UNIT;
        guint16 *panels = pack (kernel, &c, depth);
        clear (&c);
        multiply_part (kernel, &c, 0, c.k, panels, VJ_BF16_PANEL * depth);
        check_sums (kernel, &c);
        if (in_order)
          check_order (&c);
        check_cuts (kernel, &c, panels, depth);
        check_broken_row (kernel, &c, panels, depth);
        free (panels);
        case_free (&c);
      }
}

#if defined (__x86_64__) && defined (__linux__)
extern const VjBf16Kernel emulated_avx512, emulated_amx; /* tests/engine/emulated/wide */
#endif

static void
test_kernel (gconstpointer data)
{
  const VjBf16Kernel *kernel = data;
  if (!kernel->usable ()) {
    g_test_skip ("this processor does not run it");
    return;
  }
  for_all_cases (kernel, kernel == &vj_bf16_generic);
}

/* `generic` without AVX2. */
static void
test_plain (void)
{
  VjBf16Kernel plain = vj_bf16_generic;
  plain.multiply = vj_bf16_multiply_plain;
  for_all_cases (&plain, TRUE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (const VjBf16Kernel *const *kernel = vj_bf16_kernels (); *kernel != NULL; kernel++) {
    g_autofree char *path = g_strdup_printf ("/kernels/%s", (*kernel)->name);
    g_test_add_data_func (path, *kernel, test_kernel);
  }
#if defined (__x86_64__) && defined (__linux__)
  g_test_add_data_func ("/kernels/avx512-emulated", &emulated_avx512, test_kernel);
  g_test_add_data_func ("/kernels/amx-emulated", &emulated_amx, test_kernel);
#endif
  g_test_add_func ("/kernels/generic-without-avx2", test_plain);
  return g_test_run ();
}
