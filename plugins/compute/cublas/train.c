/* Norms, sums, loss and optimizer of the cublas compute: see train.cu. */
#include "plugins/compute/cublas/ops.h"

#include <math.h>

static void
norm (VjCublas *device, const char *place, gsize rows, const VjNormArgs *args)
{
  VJ_START (device, place, norm_rows, rows, VJ_TREE_BYTES, args);
}

void
vj_cublas_layer_norm (void *device, gsize rows, gsize cols, float eps, const VjF32 *x, const VjF32 *w, const VjF32 *b, VjF32 *y, VjF32 *stats)
{
  norm (device, "layer_norm", rows, &(VjNormArgs) { .cols = (gint64) cols, .layer = TRUE, .eps = eps, .x = CF (x), .w = CF (w), .b = CF (b),
                                                    .y = F (y), .stats = F (stats) });
}

void
vj_cublas_rms_norm (void *device, gsize rows, gsize cols, float eps, const VjF32 *x, const VjF32 *w, VjF32 *y, VjF32 *stats)
{
  norm (device, "rms_norm", rows, &(VjNormArgs) { .cols = (gint64) cols, .eps = eps, .x = CF (x), .w = CF (w), .y = F (y), .stats = F (stats) });
}

/* sum += sum over rows of dy n. */
static void
columns (VjCublas *device, const char *place, gsize rows, gsize cols, VjColumn column, const VjF32 *x, const VjF32 *stats, const VjF32 *dy,
         VjF32 *sum)
{
  VjColumnArgs args = { .rows = (gint64) rows, .cols = (gint64) cols, .column = (int) column, .x = CF (x), .stats = CF (stats), .dy = CF (dy),
                        .sum = F (sum) };
  if (sum != NULL && rows > 0)
    VJ_START (device, place, sum_columns, vj_cublas_parts (cols, VJ_STRIPE), VJ_TREE_BYTES, &args);
}

static void
norm_backward (VjCublas *device, const char *place, gsize rows, gsize cols, gboolean layer, const VjF32 *x, const VjF32 *w,
               const VjF32 *stats, const VjF32 *dy, VjF32 *dx)
{
  VjNormBackArgs args = { .cols = (gint64) cols, .layer = layer, .x = CF (x), .w = CF (w), .stats = CF (stats), .dy = CF (dy), .dx = F (dx) };
  if (dx != NULL)
    VJ_START (device, place, norm_rows_back, rows, VJ_TREE_BYTES, &args);
}

void
vj_cublas_layer_norm_backward (void *device, gsize rows, gsize cols, const VjF32 *x, const VjF32 *w, const VjF32 *stats, const VjF32 *dy,
                               VjF32 *dx, VjF32 *dw, VjF32 *db)
{
  columns (device, "layer_norm_backward", rows, cols, VJ_COLUMN_LAYER, x, stats, dy, dw);
  columns (device, "layer_norm_backward", rows, cols, VJ_COLUMN_PLAIN, NULL, NULL, dy, db);
  norm_backward (device, "layer_norm_backward", rows, cols, TRUE, x, w, stats, dy, dx);
}

void
vj_cublas_rms_norm_backward (void *device, gsize rows, gsize cols, const VjF32 *x, const VjF32 *w, const VjF32 *stats, const VjF32 *dy,
                             VjF32 *dx, VjF32 *dw)
{
  columns (device, "rms_norm_backward", rows, cols, VJ_COLUMN_RMS, x, stats, dy, dw);
  norm_backward (device, "rms_norm_backward", rows, cols, FALSE, x, w, stats, dy, dx);
}

void
vj_cublas_sum_rows (void *device, gsize rows, gsize cols, const VjF32 *x, VjF32 *sum)
{
  columns (device, "sum_rows", rows, cols, VJ_COLUMN_PLAIN, NULL, NULL, x, sum);
}

void
vj_cublas_cross_entropy (void *device, gsize rows, gsize cols, VjF32 *logits, const VjI32 *target, const VjF32 *weight, VjF32 *loss)
{
  VjEntropyArgs args = { .cols = (gint64) cols, .target = CI (target), .weight = CF (weight), .logits = F (logits), .loss = F (loss) };
  VJ_START ((VjCublas *) device, "cross_entropy", cross_entropy_rows, rows, VJ_TREE_BYTES, &args);
}

double
vj_cublas_sum_squares (void *device_, gsize n, const VjF32 *x)
{
  VjCublas *device = device_;
  double *parts = vj_cublas_scratch (device, VJ_SCRATCH_PARTS, (VJ_PARTS + 1) * sizeof (double), "sum_squares"), sum = NAN;
  if (parts == NULL)
    return NAN;
  VjSquaresArgs squares = { .n = (gint64) n, .x = CF (x), .parts = parts };
  VjTotalArgs total = { .n = VJ_PARTS, .parts = parts, .sum = parts + VJ_PARTS };
  VJ_START (device, "sum_squares", sum_squares, VJ_PARTS, VJ_TREE_BYTES, &squares);
  VJ_START (device, "sum_squares", sum_parts, 1, VJ_TREE_BYTES, &total);
  vj_cublas_download (device, &sum, parts + VJ_PARTS, sizeof sum);
  return sum;
}

void
vj_cublas_adamw (void *device, gsize n, const VjAdamw *o, VjF32 *param, const VjF32 *grad, VjF32 *m, VjF32 *v)
{
  VjAdamwArgs args = { .n = (gint64) n, .decay = o->learning_rate * o->weight_decay, .beta1 = o->beta1, .rest1 = 1 - o->beta1, .beta2 = o->beta2,
                       .rest2 = 1 - o->beta2, .epsilon = o->epsilon, .grad_scale = o->grad_scale, .rate = o->learning_rate / o->correction1,
                       .correction2 = o->correction2, .grad = CF (grad), .param = F (param), .m = F (m), .v = F (v) };
  VJ_START ((VjCublas *) device, "adamw", step_adamw, MIN (vj_cublas_parts (n, VJ_BLOCK), VJ_FLAT), 0, &args);
}
