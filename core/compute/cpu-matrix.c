/* Weights on the CPU. bf16 ones are used where they lie, usually in a mapped file, or packed once by a plugin; f32 ones are
 * packed into panels once. */
#include "compute/bf16.h"

#include <string.h>

/* The least work worth waking a thread for, in multiply-adds. */
#define ITEM (1 << 18)

static float *
pack_panels (gsize n, gsize k, gsize panels, const float *host, GError **error)
{
  void *packed = NULL;
  if (posix_memalign (&packed, 64, MAX (panels * k * VJ_PANEL * sizeof (float), 64)) != 0) {
    vj_fail (error, VJ_EXIT_LIMIT, "compute: 'weights': %" G_GSIZE_FORMAT " x %" G_GSIZE_FORMAT " cannot be loaded: out of memory; use a smaller model", n, k);
    return NULL;
  }
  for (gsize p = 0; p < panels; p++)
    vj_cpu_pack (host, k, TRUE, p * VJ_PANEL, MIN (VJ_PANEL, n - p * VJ_PANEL), 0, k, (float *) packed + p * k * VJ_PANEL);
  return packed;
}

static void
free_matrix (VjMatrix *matrix)
{
  if (matrix == NULL)
    return;
  for (gsize i = 0; matrix->slices != NULL && i < VJ_SLICES (matrix->n); i++)
    matrix->owner->unpack (matrix->slices[i]);
  g_free (matrix->slices);
  free (matrix->packed);
  g_free (matrix);
}

static gboolean
pack_slices (const VjHalves *halves, VjMatrix *matrix, GError **error)
{
  matrix->owner = halves;
  matrix->slices = g_new0 (void *, VJ_SLICES (matrix->n));
  for (gsize i = 0; i < VJ_SLICES (matrix->n); i++) {
    gsize first = i * VJ_SLICE;
    matrix->slices[i] = halves->pack (MIN (VJ_SLICE, matrix->n - first), matrix->k, matrix->halves + first * matrix->k, error);
    if (matrix->slices[i] == NULL)
      return FALSE;
  }
  return TRUE;
}

VjMatrix *
vj_cpu_matrix_new (void *device, VjNumbers numbers, gsize n, gsize k, const void *host, GError **error)
{
  VjCpu *cpu = device;
  VjMatrix *matrix = g_new0 (VjMatrix, 1);
  *matrix = (VjMatrix) { .numbers = numbers, .n = n, .k = k, .panels = (n + VJ_PANEL - 1) / VJ_PANEL };
  gboolean done = TRUE;
  if (numbers == VJ_NUMBERS_F32) {
    done = (matrix->packed = pack_panels (n, k, matrix->panels, host, error)) != NULL;
  } else {
    matrix->halves = host;
    done = cpu->halves == NULL || pack_slices (cpu->halves, matrix, error);
  }
  if (!done)
    g_clear_pointer (&matrix, free_matrix);
  return matrix;
}

void
vj_cpu_matrix_free (G_GNUC_UNUSED void *device, VjMatrix *matrix)
{
  free_matrix (matrix);
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
    vj_cpu_kernel (l->rows, MIN (VJ_PANEL, w->n - first), w->k, l->x, w->k, 1, w->packed + p * w->k * VJ_PANEL, VJ_PANEL,
                   l->bias == NULL ? NULL : l->bias + first, FALSE, l->y + first, l->ldy);
  }
}

/* -- a plugin's bf16 products ------------------------------------------------ */

typedef struct {
  VjCpu *cpu;
  const VjMatrix *w;
  gsize rows, at, ldy; /* at: the first column of w in y */
  const guint16 *x;    /* [rows up to a multiple of the plugin's, K] */
  const float *bias;
  float *y;
} Halves;

static void
halves_item (void *data, gsize item, guint worker)
{
  const Halves *t = data;
  const VjHalves *halves = t->w->owner;
  gsize slice = item % VJ_SLICES (t->w->n), row = item / VJ_SLICES (t->w->n) * halves->rows, first = slice * VJ_SLICE, n = MIN (VJ_SLICE, t->w->n - first);
  float *out = vj_cpu_scratch (t->cpu, worker, halves->rows * n);
  if (!halves->product (t->w->slices[slice], t->x + row * t->w->k, out))
    g_atomic_int_set (&t->cpu->failed, TRUE);
  for (gsize r = row; r < MIN (row + halves->rows, t->rows); r++)
    for (gsize j = 0; j < n; j++)
      t->y[r * t->ldy + t->at + first + j] = out[(r - row) * n + j] + (t->bias == NULL ? 0 : t->bias[t->at + first + j]);
}

static void
round_rows (void *data, gsize first, gsize n, G_GNUC_UNUSED guint worker)
{
  const Linear *l = data;
  vj_bf16_rows (l->x + first * l->w->k, l->w->k, 1, n, l->w->k, (guint16 *) (void *) l->y + first * l->w->k, l->w->k);
}

static void
linear_halves (VjCpu *cpu, gsize rows, const float *x, const VjMatrix *const *w, gsize n_w, const float *bias, float *y, gsize ldy)
{
  gsize k = w[0]->k, unit = w[0]->owner->rows, all = (rows + unit - 1) / unit * unit;
  float *rounded = vj_cpu_shared (cpu, (all * k + 1) / 2);
  guint16 *halves = (guint16 *) (void *) rounded;
  Linear round = { .x = x, .w = w[0], .y = rounded };
  memset (halves + rows * k, 0, (all - rows) * k * sizeof (guint16));
  vj_cpu_rows (cpu, rows, 16, round_rows, &round);
  vj_cpu_set_aside (cpu, unit * VJ_SLICE);
  for (gsize i = 0, at = 0; i < n_w; at += w[i++]->n) {
    Halves t = { cpu, w[i], rows, at, ldy, halves, bias, y };
    vj_pool_run (cpu->pool, all / unit * VJ_SLICES (w[i]->n), halves_item, &t);
  }
}

void
vj_cpu_linear (void *device, gsize rows, const VjF32 *x, const VjMatrix *const *w, gsize n_w, const VjF32 *bias, VjF32 *y, gsize ldy)
{
  VjCpu *cpu = device;
  if (rows > 0 && w[0]->slices != NULL) {
    linear_halves (cpu, rows, CF (x), w, n_w, CF (bias), F (y), ldy);
    return;
  }
  if (rows > 0 && w[0]->numbers == VJ_NUMBERS_BF16) {
    vj_bf16_product (cpu, &(VjProduct) { .rows = rows, .input = { .x = x }, .w = w, .n_w = n_w, .bias = bias, .y = y, .ldy = ldy });
    return;
  }
  for (gsize i = 0, at = 0; rows > 0 && i < n_w; at += w[i++]->n) {
    Linear l = { rows, CF (x), bias == NULL ? NULL : CF (bias) + at, w[i], F (y) + at, ldy, 1 };
    while (l.per_item < w[i]->panels && l.per_item * VJ_PANEL * rows * w[i]->k < ITEM)
      l.per_item *= 2;
    vj_pool_run (cpu->pool, (w[i]->panels + l.per_item - 1) / l.per_item, linear_panels, &l);
  }
}
