/* Resample: see resample.h. */
#include "engine/resample.h"

#include <math.h>
#include <string.h>

#define FRACTION_BITS 22

/* Which inputs make each output of one axis, and how much each counts. */
typedef struct {
  guint32 n;        /* outputs                                      */
  guint32 most;     /* room for weights per output                  */
  guint32 *first;   /* [n] first input                              */
  guint32 *count;   /* [n] inputs                                   */
  gint32 *weights;  /* [n, most] fixed point, FRACTION_BITS         */
} Axis;

static void
axis_done (Axis *axis)
{
  g_free (axis->first);
  g_free (axis->count);
  g_free (axis->weights);
}

static void
axis_fill (Axis *axis, guint32 i, guint32 in, double scale, double support, double *real)
{
  double centre = (i + 0.5) * scale, sum = 0.0;
  /* Truncation towards zero after adding a half, as in the original: it decides which edge pixels count. */
  gint64 low = (gint64) (centre - support + 0.5), high = (gint64) (centre + support + 0.5);
  low = MAX (low, 0);
  high = MIN (high, (gint64) in);
  guint32 count = (guint32) (high - low);
  for (guint32 k = 0; k < count; k++) {
    double distance = fabs (((double) (k + low) - centre + 0.5) * (1.0 / support));
    real[k] = distance < 1.0 ? 1.0 - distance : 0.0;
    sum += real[k];
  }
  for (guint32 k = 0; k < count; k++) {
    double weight = sum != 0.0 ? real[k] / sum : real[k];
    axis->weights[(gsize) i * axis->most + k] = (gint32) (0.5 + weight * (1 << FRACTION_BITS)); /* never negative */
  }
  axis->first[i] = (guint32) low;
  axis->count[i] = count;
}

static void
axis_init (Axis *axis, guint32 in, guint32 out)
{
  double scale = (double) in / out, support = MAX (scale, 1.0);
  axis->n = out;
  axis->most = (guint32) ceil (support) * 2 + 1;
  axis->first = g_new (guint32, out);
  axis->count = g_new (guint32, out);
  axis->weights = g_new0 (gint32, (gsize) out * axis->most);
  g_autofree double *real = g_new (double, axis->most);
  for (guint32 i = 0; i < out; i++)
    axis_fill (axis, i, in, scale, support, real);
}

static guint8
round_pixel (gint32 sum)
{
  gint32 value = sum >> FRACTION_BITS;
  return (guint8) CLAMP (value, 0, 255);
}

static guint8 *
resample_across (const guint8 *rgb, guint32 width, guint32 height, guint32 new_width)
{
  guint8 *out = g_malloc ((gsize) new_width * height * 3);
  Axis axis;
  axis_init (&axis, width, new_width);
  for (guint32 y = 0; y < height; y++)
    for (guint32 x = 0; x < new_width; x++) {
      const guint8 *in = rgb + ((gsize) y * width + axis.first[x]) * 3;
      const gint32 *weights = axis.weights + (gsize) x * axis.most;
      gint32 sum[3] = {1 << (FRACTION_BITS - 1), 1 << (FRACTION_BITS - 1), 1 << (FRACTION_BITS - 1)};
      for (guint32 k = 0; k < axis.count[x]; k++)
        for (int c = 0; c < 3; c++)
          sum[c] += in[3 * k + c] * weights[k];
      for (int c = 0; c < 3; c++)
        out[((gsize) y * new_width + x) * 3 + c] = round_pixel (sum[c]);
    }
  axis_done (&axis);
  return out;
}

static guint8 *
resample_down (const guint8 *rgb, guint32 width, guint32 height, guint32 new_height)
{
  gsize row = (gsize) width * 3;
  guint8 *out = g_malloc (row * new_height);
  g_autofree gint32 *sums = g_new (gint32, row);
  Axis axis;
  axis_init (&axis, height, new_height);
  for (guint32 y = 0; y < new_height; y++) {
    const guint8 *in = rgb + axis.first[y] * row;
    const gint32 *weights = axis.weights + (gsize) y * axis.most;
    for (gsize i = 0; i < row; i++)
      sums[i] = 1 << (FRACTION_BITS - 1);
    for (guint32 k = 0; k < axis.count[y]; k++)
      for (gsize i = 0; i < row; i++)
        sums[i] += in[k * row + i] * weights[k];
    for (gsize i = 0; i < row; i++)
      out[y * row + i] = round_pixel (sums[i]);
  }
  axis_done (&axis);
  return out;
}

guint8 *
vj_resample_bilinear (const guint8 *rgb, guint32 width, guint32 height, guint32 new_width, guint32 new_height)
{
  g_autofree guint8 *across = width != new_width ? resample_across (rgb, width, height, new_width) : NULL;
  const guint8 *now = across != NULL ? across : rgb;
  if (height != new_height)
    return resample_down (now, new_width, height, new_height);
  return across != NULL ? g_steal_pointer (&across) : g_memdup2 (rgb, (gsize) width * height * 3);
}
