/* Images made worse, by whole-number arithmetic on decoded pixels: the same input gives the same bytes on every machine,
 * which neither ImageMagick's own noise (one generator for the process) nor its filters (which follow its build) promise. */
#include "image/image.h"
#include "base/random.h"

#include <math.h>
#include <string.h>

#define GRAY 128
#define GRAINS 512           /* of noise, along the shorter side of an image that has as many pixels   */
#define UNIT (1 << 16)        /* of fixed point                                                        */
#define BLUR_PASSES 3         /* box filters one after the other, which come close to a Gaussian       */
#define RECTANGLES_MAX 4096   /* far more than cover any share                                         */

typedef struct {
  guint8 *rgb; /* [height, width, 3] */
  guint32 width, height;
} Picture;

/* The sum of a word's eight bytes has mean 1020 and deviation 209.02, and comes close to a normal distribution. */
static gint64
roll_bytes (VjRandom *random)
{
  guint64 word = vj_random_next (random);
  gint64 sum = -1020;
  for (guint i = 0; i < 8; i++, word >>= 8)
    sum += (gint64) (word & 255);
  return sum;
}

/* Noise of single pixels would be averaged away where a model scales a large image down: its grains grow with the image. */
static void
add_noise (Picture *picture, double strength, VjRandom *random)
{
  gint64 keep = (gint64) (sqrt ((1 - strength) * (1 + strength)) * UNIT);
  gint64 scale = (gint64) (strength * 127.5 / 209.02 * UNIT);
  gsize width = picture->width, grain = MAX (1, MIN (picture->width, picture->height) / GRAINS);
  gsize n_grains = (width + grain - 1) / grain;
  g_autofree gint64 *grains = g_new (gint64, n_grains * 3);
  for (gsize y = 0; y < picture->height; y++) {
    guint8 *row = picture->rgb + y * width * 3;
    for (gsize i = 0; y % grain == 0 && i < n_grains * 3; i++)
      grains[i] = roll_bytes (random) * scale;
    for (gsize i = 0; i < width * 3; i++) {
      /* Twice the distance from 127.5, so that it is whole. */
      gint64 twice = (2 * (gint64) row[i] - 255) * keep + 2 * grains[i / 3 / grain * 3 + i % 3];
      gint64 value = (twice + 255 * UNIT + UNIT) / (2 * UNIT);
      row[i] = (guint8) CLAMP (value, 0, 255);
    }
  }
}

/* One box filter along a line of `n` pixels that lie `step` bytes apart; beyond the ends the last pixel goes on. */
static void
blur_line (guint8 *first, gsize n, gsize step, guint radius, guint8 *line)
{
  guint width = 2 * radius + 1;
  guint64 sum = 0;
  for (gsize i = 0; i < n; i++)
    line[i] = first[i * step];
  for (guint i = 0; i < width; i++)
    sum += line[i <= radius ? 0 : MIN ((gsize) (i - radius), n - 1)];
  for (gsize i = 0; i < n; i++) {
    first[i * step] = (guint8) ((sum + width / 2) / width);
    sum += line[MIN (i + radius + 1, n - 1)];
    sum -= line[i >= radius ? i - radius : 0];
  }
}

static void
blur (Picture *picture, double strength)
{
  gsize width = picture->width, height = picture->height;
  guint radius = MAX (1, (guint) (strength * MIN (picture->width, picture->height) / 8));
  g_autofree guint8 *line = g_malloc (MAX (width, height));
  for (guint pass = 0; pass < BLUR_PASSES; pass++)
    for (guint c = 0; c < 3; c++) {
      for (gsize y = 0; y < height; y++)
        blur_line (picture->rgb + y * width * 3 + c, width, 3, radius, line);
      for (gsize x = 0; x < width; x++)
        blur_line (picture->rgb + x * 3 + c, height, width * 3, radius, line);
    }
}

/* A length between a sixth and a half of `side`. */
static guint32
roll_length (VjRandom *random, guint32 side)
{
  guint32 least = MAX (1, side / 6), most = MAX (least, side / 2);
  return least + vj_random_below (random, most - least + 1);
}

typedef struct {
  gsize left, top, width, height;
} Rectangle;

/* The median of one channel along the outermost pixels of a rectangle, the lower of two. */
static guint8
rim_median (const Picture *picture, const Rectangle *r, guint channel)
{
  gsize count[256] = {0}, n = 0, seen = 0;
  guint value = 0;

  for (gsize y = 0; y < r->height; y++) {
    gboolean whole = y == 0 || y == r->height - 1;
    for (gsize x = 0; x < r->width; x += whole || r->width == 1 ? 1 : r->width - 1, n++)
      count[picture->rgb[((r->top + y) * picture->width + r->left + x) * 3 + channel]]++;
  }
  while ((seen += count[value]) * 2 < n)
    value++;
  return (guint8) value;
}

/* Random rectangles over at least `share` of the pixels: gray, or each in the median color of its rim. */
static void
cover (Picture *picture, double share, gboolean gray, VjRandom *random)
{
  gsize n = (gsize) picture->width * picture->height, wanted = (gsize) ceil (share * (double) n), covered = 0;
  g_autofree guint8 *is_covered = g_malloc0 (n);
  for (guint i = 0; i < RECTANGLES_MAX && covered < wanted; i++) {
    guint8 color[3] = {GRAY, GRAY, GRAY};
    Rectangle r;
    r.width = roll_length (random, picture->width);
    r.height = roll_length (random, picture->height);
    r.left = vj_random_below (random, picture->width - (guint32) r.width + 1);
    r.top = vj_random_below (random, picture->height - (guint32) r.height + 1);
    for (guint c = 0; c < 3 && !gray; c++)
      color[c] = rim_median (picture, &r, c);
    for (gsize y = r.top; y < r.top + r.height; y++)
      for (gsize x = r.left; x < r.left + r.width; x++) {
        gsize at = y * picture->width + x;
        covered += !is_covered[at];
        is_covered[at] = 1;
        memcpy (picture->rgb + at * 3, color, 3);
      }
  }
}

VjImage *
vj_image_degrade (const VjImage *image, VjDegrade how, double strength, double share, uint64_t seed, GError **error)
{
  VjPixels pixels;
  VjRandom random;
  VjImage *worse;

  if (!(strength >= 0 && strength <= 1) || !(share >= 0 && share <= 1)) {
    vj_fail (error, VJ_EXIT_PLUGIN, "image %s: degrading: strength %g and share %g must lie between 0 and 1; mend the plugin",
             vj_image_digest (image), strength, share);
    return NULL;
  }
  if (!vj_image_decode (image, &pixels, error))
    return NULL;
  Picture picture = {(guint8 *) pixels.rgb, pixels.width, pixels.height};
  vj_random_init (&random, seed);
  switch (how) {
  case VJ_DEGRADE_NOISE: add_noise (&picture, strength, &random); break;
  case VJ_DEGRADE_BLUR: blur (&picture, strength); break;
  case VJ_DEGRADE_MASK:
  case VJ_DEGRADE_ERASE: cover (&picture, share, how == VJ_DEGRADE_MASK, &random); break;
  default: memset (picture.rgb, GRAY, (gsize) picture.width * picture.height * 3); break;
  }
  worse = vj_image_new_from_rgb (picture.rgb, picture.width, picture.height, error);
  g_free (picture.rgb);
  return worse;
}
