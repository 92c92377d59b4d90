/* The kernels of bf16 products, each alone: sums against f64, over shapes with and without tails. What they read ends where
 * memory does, and what they do not write stays. */
#include "compute/bf16.h"
#include "base/random.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SHAPES 150
#define APART 5        /* columns of c that do not belong to the product */
#define UNTOUCHED 1234 /* stands there */

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

/* Sizes small and large, whole and with tails. */
static gsize
draw_size (VjRandom *random, gsize most)
{
  gsize n = 1 + vj_random_below (random, vj_random_below (random, 2) ? 20 : most);
  return vj_random_below (random, 3) ? n : (n + 31) / 32 * 32;
}

typedef struct {
  gsize m, n, k;
  Edge a;             /* [m, k] */
  float *b_values;    /* [n, k], rounded */
  float *start;       /* [m, n + APART]; NULL: from nothing */
} Case;

static void
case_draw (VjRandom *random, Case *c)
{
  *c = (Case) { draw_size (random, 210), draw_size (random, 150), draw_size (random, 2100) };
  c->a = edge_new (c->m * c->k * sizeof (guint16));
  c->b_values = g_new (float, c->n * c->k);
  guint16 *a = c->a.at;
  for (gsize i = 0; i < c->m * c->k; i++) {
    float value = (float) vj_random_normal (random);
    vj_bf16_rows (&value, 1, 1, 1, 1, a + i, 1);
  }
  for (gsize i = 0; i < c->n * c->k; i++) {
    guint16 half;
    float value = (float) vj_random_normal (random);
    vj_bf16_rows (&value, 1, 1, 1, 1, &half, 1);
    c->b_values[i] = widen (half);
  }
  if (vj_random_below (random, 2) == 0)
    return;
  c->start = g_new (float, c->m * (c->n + APART));
  for (gsize i = 0; i < c->m * (c->n + APART); i++)
    c->start[i] = (float) vj_random_normal (random);
}

static void
case_free (Case *c)
{
  edge_free (&c->a);
  g_free (c->b_values);
  g_free (c->start);
}

/* c of the case by `kernel`, whose panels lie `stride` apart; owned. Sums that start from others are done in place. */
static float *
multiply (const VjBf16Kernel *kernel, const Case *c, const guint16 *panels, gsize stride)
{
  gsize ldc = c->n + APART;
  float *out = g_new (float, c->m * ldc);
  for (gsize i = 0; i < c->m * ldc; i++)
    out[i] = c->start == NULL || i % ldc >= c->n ? UNTOUCHED : c->start[i];
  kernel->multiply (c->m, c->n, c->k, c->a.at, c->k, panels, stride, c->start == NULL ? NULL : out, ldc, out, ldc);
  return out;
}

/* Panels as the kernel packs them. The last page of memory is not theirs to the last number: a panel is whole. */
static float *
multiply_packed (const VjBf16Kernel *kernel, const Case *c)
{
  gsize depth = (c->k + VJ_BF16_UNIT - 1) / VJ_BF16_UNIT * VJ_BF16_UNIT, panels = (c->n + VJ_BF16_PANEL - 1) / VJ_BF16_PANEL;
  void *memory = NULL;
  gsize bytes = panels * VJ_BF16_PANEL * depth * sizeof (guint16);
  g_assert_cmpint (posix_memalign (&memory, 64, bytes), ==, 0);
  memset (memory, 0xff, bytes); /* no numbers: whatever pack leaves as it was must not be added */
  kernel->pack (c->b_values, c->k, 1, c->n, c->k, depth, memory);
  float *out = multiply (kernel, c, memory, VJ_BF16_PANEL * depth);
  free (memory);
  return out;
}

static void
check_sums (const char *name, const Case *c, const float *out)
{
  const guint16 *a = c->a.at;
  gsize ldc = c->n + APART;
  for (gsize i = 0; i < c->m; i++)
    for (gsize j = 0; j < ldc; j++) {
      double sum = c->start == NULL || j >= c->n ? 0 : c->start[i * ldc + j], size = fabs (sum) + 1;
      for (gsize l = 0; j < c->n && l < c->k; l++) {
        double product = (double) widen (a[i * c->k + l]) * c->b_values[j * c->k + l];
        sum += product;
        size += fabs (product);
      }
      double want = j < c->n ? sum : UNTOUCHED;
      if (!(fabs (out[i * ldc + j] - want) <= 1e-6 * size))
        g_error ("%s, %zu x %zu x %zu, from %s: row %zu, column %zu is %g and should be %g", name, c->m, c->n, c->k,
                 c->start == NULL ? "nothing" : "sums", i, j, out[i * ldc + j], want);
    }
}

/* Rows as they lie are panels of a kernel without chunks: weights in a file, which ends where they do. */
static void
check_as_they_lie (const VjBf16Kernel *kernel, const Case *c, const float *want)
{
  Edge b = edge_new (c->n * c->k * sizeof (guint16));
  kernel->rows (c->b_values, c->k, 1, c->n, c->k, b.at, c->k);
  g_autofree float *out = multiply (kernel, c, b.at, VJ_BF16_PANEL * c->k);
  g_assert_cmpmem (out, c->m * (c->n + APART) * sizeof *out, want, c->m * (c->n + APART) * sizeof *out);
  edge_free (&b);
}

static void
test_kernel (gconstpointer data)
{
  const VjBf16Kernel *kernel = data;
  VjRandom random;
  vj_random_init (&random, 11);
  if (!kernel->usable ()) {
    g_test_skip ("this processor does not run it");
    return;
  }
  for (guint i = 0; i < SHAPES; i++) {
    Case c;
    case_draw (&random, &c);
    g_autofree float *out = multiply_packed (kernel, &c);
    check_sums (kernel->name, &c, out);
    if (kernel->chunk == 0)
      check_as_they_lie (kernel, &c, out);
    case_free (&c);
  }
}

/* `generic` is the one that gives the same everywhere: without AVX2, too. */
static void
test_plain (void)
{
  VjRandom random;
  vj_random_init (&random, 12);
  for (guint i = 0; i < SHAPES; i++) {
    Case c;
    case_draw (&random, &c);
    VjBf16Kernel plain = vj_bf16_generic;
    plain.multiply = vj_bf16_multiply_plain;
    g_autofree float *have = multiply_packed (&vj_bf16_generic, &c), *want = multiply_packed (&plain, &c);
    g_assert_cmpmem (have, c.m * (c.n + APART) * sizeof *have, want, c.m * (c.n + APART) * sizeof *want);
    case_free (&c);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (const VjBf16Kernel *const *kernel = vj_bf16_kernels (); *kernel != NULL; kernel++) {
    g_autofree char *path = g_strdup_printf ("/kernels/%s", (*kernel)->name);
    g_test_add_data_func (path, *kernel, test_kernel);
  }
  g_test_add_func ("/kernels/generic-same-everywhere", test_plain);
  return g_test_run ();
}
