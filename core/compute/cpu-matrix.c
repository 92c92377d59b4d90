/* Weights on the CPU. bf16 ones are used where they lie, usually in a mapped file; f32 ones are packed into panels once. */
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

VjMatrix *
vj_cpu_matrix_new (G_GNUC_UNUSED void *device, VjNumbers numbers, gsize n, gsize k, const void *host, GError **error)
{
  gsize panels = (n + VJ_PANEL - 1) / VJ_PANEL;
  float *packed = numbers == VJ_NUMBERS_F32 ? pack_panels (n, k, panels, host, error) : NULL;
  if (numbers == VJ_NUMBERS_F32 && packed == NULL)
    return NULL;
  VjMatrix *matrix = g_new (VjMatrix, 1);
  *matrix = (VjMatrix) { numbers, n, k, panels, numbers == VJ_NUMBERS_BF16 ? host : NULL, packed };
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
    vj_cpu_kernel (l->rows, MIN (VJ_PANEL, w->n - first), w->k, l->x, w->k, 1, w->packed + p * w->k * VJ_PANEL, VJ_PANEL,
                   l->bias == NULL ? NULL : l->bias + first, FALSE, l->y + first, l->ldy);
  }
}

void
vj_cpu_linear (void *device, gsize rows, const VjF32 *x, const VjMatrix *const *w, gsize n_w, const VjF32 *bias, VjF32 *y, gsize ldy)
{
  VjCpu *cpu = device;
  if (rows > 0 && w[0]->numbers == VJ_NUMBERS_BF16) {
    vj_bf16_linear (cpu, rows, CF (x), w, n_w, CF (bias), F (y), ldy);
    return;
  }
  for (gsize i = 0, at = 0; rows > 0 && i < n_w; at += w[i++]->n) {
    Linear l = { rows, CF (x), bias == NULL ? NULL : CF (bias) + at, w[i], F (y) + at, ldy, 1 };
    while (l.per_item < w[i]->panels && l.per_item * VJ_PANEL * rows * w[i]->k < ITEM)
      l.per_item *= 2;
    vj_pool_run (cpu->pool, (w[i]->panels + l.per_item - 1) / l.per_item, linear_panels, &l);
  }
}
