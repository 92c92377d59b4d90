/* image/degrade: each way makes the image worse as much as it is told, the same for the same seed, within its size. */
#include "image/image.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

/* [height, width]: left half black, right half white. */
static VjImage *
halves (guint32 width, guint32 height)
{
  g_autofree guint8 *rgb = g_malloc ((gsize) width * height * 3);
  g_autoptr (GError) error = NULL;
  for (gsize i = 0; i < (gsize) width * height; i++)
    memset (rgb + 3 * i, i % width < width / 2 ? 0 : 255, 3);
  VjImage *image = vj_image_new_from_rgb (rgb, width, height, &error);
  g_assert_no_error (error);
  return image;
}

/* The pixels of the worse image; their digest is not kept. */
static void
degraded (const VjImage *image, VjDegrade how, double strength, double share, guint64 seed, VjPixels *ret_pixels)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VjImage) worse = vj_image_degrade (image, how, strength, share, seed, &error);
  g_assert_no_error (error);
  g_assert_true (vj_image_decode (worse, ret_pixels, &error)); /* held to its digest */
  g_assert_no_error (error);
  g_assert_cmpuint (ret_pixels->width, ==, vj_image_width (image));
  g_assert_cmpuint (ret_pixels->height, ==, vj_image_height (image));
  ret_pixels->digest = NULL;
}

static gdouble
mean_of (const VjPixels *pixels, guint from, guint to)
{
  gdouble sum = 0;
  for (guint y = 0; y < pixels->height; y++)
    for (guint x = from; x < to; x++)
      sum += pixels->rgb[3 * (y * pixels->width + x)];
  return sum / (pixels->height * (to - from));
}

/* Each seed its own image, and the same bytes for the same seed; what needs no chance does not follow the seed. */
static void
test_seeds (void)
{
  static const gboolean chance[] = {TRUE, FALSE, TRUE, FALSE, TRUE};
  g_autoptr (VjImage) image = halves (40, 30);
  for (VjDegrade how = VJ_DEGRADE_NOISE; how <= VJ_DEGRADE_ERASE; how++) {
    g_autoptr (VjImage) one = vj_image_degrade (image, how, 0.5, 0.5, 1, NULL), again = vj_image_degrade (image, how, 0.5, 0.5, 1, NULL);
    g_autoptr (VjImage) other = vj_image_degrade (image, how, 0.5, 0.5, 2, NULL);
    g_assert_cmpstr (vj_image_digest (one), ==, vj_image_digest (again));
    g_assert_true (g_bytes_equal (vj_image_bytes (one), vj_image_bytes (again)));
    g_assert_cmpint (strcmp (vj_image_digest (one), vj_image_digest (other)) != 0, ==, chance[how]);
    g_assert_cmpstr (vj_image_digest (one), !=, vj_image_digest (image));
  }
}

/* The same pixels on every machine. */
static void
test_pixels_are_pinned (void)
{
  static const char *const digests[] = {"ec7e59050e790937", "0f80c2abc3a17de1", "927cfce1318cd700", "3dee2c522edcd6e3", "b1f02a24c47acd42"};
  g_autoptr (VjImage) image = halves (40, 30);
  for (VjDegrade how = VJ_DEGRADE_NOISE; how <= VJ_DEGRADE_ERASE; how++) {
    g_autoptr (VjImage) worse = vj_image_degrade (image, how, 0.6, 0.5, 17, NULL);
    g_autofree char *head = g_strndup (vj_image_digest (worse), 16);
    g_assert_cmpstr (head, ==, digests[how]);
  }
}

/* A gray image, so that nothing is cut off at black and white: the deviation is that of the formula, of mean 0. */
static void
test_noise (void)
{
  g_autofree guint8 *gray = g_malloc (200 * 200 * 3);
  memset (gray, 128, 200 * 200 * 3);
  g_autoptr (VjImage) image = vj_image_new_from_rgb (gray, 200, 200, NULL);
  for (double strength = 0.1; strength < 0.35; strength += 0.1) {
    VjPixels pixels;
    double sum = 0, squares = 0, n = 200 * 200 * 3;
    degraded (image, VJ_DEGRADE_NOISE, strength, 0, 3, &pixels);
    for (guint i = 0; i < 200 * 200 * 3; i++) {
      double distance = pixels.rgb[i] - 127.5;
      sum += distance;
      squares += distance * distance;
    }
    g_assert_cmpfloat_with_epsilon (sum / n, 0.5, 0.5);
    g_assert_cmpfloat_with_epsilon (sqrt (squares / n) / (127.5 * strength), 1, 0.02);
    g_free ((void *) pixels.rgb);
  }
  /* At full strength nothing of the image is left. */
  g_autoptr (VjImage) image2 = halves (200, 200);
  VjPixels pixels;
  degraded (image2, VJ_DEGRADE_NOISE, 1, 0, 3, &pixels);
  g_assert_cmpfloat_with_epsilon (mean_of (&pixels, 0, 100), mean_of (&pixels, 100, 200), 3);
  g_free ((void *) pixels.rgb);
}

/* A large image's noise comes in squares, so that scaling it down does not take the noise away. */
static void
test_grains (void)
{
  g_autoptr (VjImage) image = halves (1600, 1537);
  VjPixels pixels;
  degraded (image, VJ_DEGRADE_NOISE, 0.5, 0, 3, &pixels);
  guint same = 0, other = 0;
  for (guint y = 0; y < 1536; y++)
    for (guint x = 0; x < 798; x++) {
      const guint8 *pixel = pixels.rgb + 3 * (y * 1600 + x), *corner = pixels.rgb + 3 * (y / 3 * 3 * 1600 + x / 3 * 3);
      g_assert_true (memcmp (pixel, corner, 3) == 0);
      same += memcmp (pixel, pixel + 3, 3) == 0;
      other++;
    }
  g_assert_cmpfloat_with_epsilon ((double) same / other, 2.0 / 3, 0.15); /* black is often cut off to black */
  g_free ((void *) pixels.rgb);
}

/* An edge becomes the integral of the Gaussian that is promised; far from it nothing changes. */
static void
test_blur (void)
{
  g_autoptr (VjImage) image = halves (160, 80);
  VjPixels pixels;
  degraded (image, VJ_DEGRADE_BLUR, 0.8, 0, 0, &pixels); /* 80 / 8 * 0.8 = 8 pixels */
  for (guint x = 0; x < 160; x++) {
    double expected = 127.5 * (1 + erf (((double) x - 79.5) / (sqrt (2) * 8.485)));
    if (fabs (pixels.rgb[3 * (40 * 160 + x)] - expected) > 4)
      g_error ("pixel %u is %u, not %g", x, pixels.rgb[3 * (40 * 160 + x)], expected);
  }
  g_free ((void *) pixels.rgb);
}

/* Pillow's box filters (tests/peers/make_pair_vectors.py) leave the same, but for how they round. */
static void
test_blur_of_others (void)
{
  g_autofree char *path = g_build_filename (g_getenv ("VJ_SRCDIR"), "tests", "vectors", "pairs", "vectors.json", NULL);
  json_t *vectors = json_load_file (path, 0, NULL), *blurs = json_object_get (vectors, "blurs"), *blur;
  gsize i;
  g_assert_cmpuint (json_array_size (blurs), >, 4);
  json_array_foreach (blurs, i, blur) {
    guint32 width = (guint32) json_integer_value (json_object_get (blur, "width"));
    guint32 height = (guint32) json_integer_value (json_object_get (blur, "height"));
    double radius = (double) json_integer_value (json_object_get (blur, "radius"));
    const char *sides[] = {json_string_value (json_object_get (blur, "pixels")), json_string_value (json_object_get (blur, "blurred"))};
    g_autofree guint8 *sharp = g_malloc (width * height * 3), *soft = g_malloc (width * height * 3);
    guint8 *rgb[2] = {sharp, soft};
    VjPixels pixels;
    for (guint at = 0; at < width * height * 3 * 2; at++)
      rgb[at % 2][at / 2] = (guint8) (g_ascii_xdigit_value (sides[at % 2][at / 2 * 2]) * 16 + g_ascii_xdigit_value (sides[at % 2][at / 2 * 2 + 1]));
    g_autoptr (VjImage) image = vj_image_new_from_rgb (rgb[0], width, height, NULL);
    double strength = MIN (1, (radius + 0.5) * 8 / MIN (width, height));
    degraded (image, VJ_DEGRADE_BLUR, strength, 0, 0, &pixels);
    for (guint at = 0; at < width * height * 3; at++)
      if (ABS (pixels.rgb[at] - rgb[1][at]) > 2)
        g_error ("%u x %u, radius %g: byte %u is %u, not %u", width, height, radius, at, pixels.rgb[at], rgb[1][at]);
    g_free ((void *) pixels.rgb);
  }
  json_decref (vectors);
}

/* At least the share is covered and not much more, by gray; the rest is as it was. */
static void
test_mask (void)
{
  g_autoptr (VjImage) image = halves (120, 90);
  for (guint64 seed = 0; seed < 20; seed++) {
    VjPixels pixels;
    guint covered = 0;
    double share = 0.05 * (double) seed;
    degraded (image, VJ_DEGRADE_MASK, 0, share, seed, &pixels);
    for (guint i = 0; i < 120 * 90; i++) {
      guint8 value = pixels.rgb[3 * i];
      covered += value == 128;
      g_assert_true (value == 128 || value == (i % 120 < 60 ? 0 : 255));
    }
    g_assert_cmpfloat (covered, >=, share * 120 * 90);
    g_assert_cmpfloat (covered, <=, (share + 0.25) * 120 * 90);
    g_free ((void *) pixels.rgb);
  }
}

/* A small thing on a plain ground goes away as if it had not been there; a ground of two colors keeps to them. */
static void
test_erase (void)
{
  enum { SIDE = 60 };
  g_autofree guint8 *rgb = g_malloc (SIDE * SIDE * 3);
  guint whole = 0, gone = 0;
  for (guint i = 0; i < SIDE * SIDE; i++) {
    gboolean on = i % SIDE >= 28 && i % SIDE < 32 && i / SIDE >= 28 && i / SIDE < 32;
    memcpy (rgb + 3 * i, on ? "\xff\x00\x00" : "\x10\xc0\xe0", 3);
  }
  g_autoptr (VjImage) thing = vj_image_new_from_rgb (rgb, SIDE, SIDE, NULL), ground = halves (120, 90);
  for (guint64 seed = 0; seed < 60; seed++) {
    VjPixels pixels;
    guint red = 0;
    degraded (thing, VJ_DEGRADE_ERASE, 0, 0.2, seed, &pixels);
    for (guint i = 0; i < SIDE * SIDE; i++) {
      gboolean is_red = pixels.rgb[3 * i] == 0xff;
      g_assert_true (is_red || memcmp (pixels.rgb + 3 * i, "\x10\xc0\xe0", 3) == 0);
      red += is_red;
    }
    whole += red == 16;
    gone += red == 0;
    g_free ((void *) pixels.rgb);
    degraded (ground, VJ_DEGRADE_ERASE, 0, 0.5, seed, &pixels);
    for (guint i = 0; i < 120 * 90; i++)
      g_assert_true (memcmp (pixels.rgb + 3 * i, "\0\0\0", 3) == 0 || memcmp (pixels.rgb + 3 * i, "\xff\xff\xff", 3) == 0);
    g_free ((void *) pixels.rgb);
  }
  g_assert_cmpuint (whole, >, 15);
  g_assert_cmpuint (gone, >, 5);
}

static void
test_small_and_wrong (void)
{
  static const guint32 sizes[][2] = {{1, 1}, {1, 50}, {50, 1}, {2, 3}};
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    for (VjDegrade how = VJ_DEGRADE_NOISE; how <= VJ_DEGRADE_ERASE; how++) {
      g_autoptr (VjImage) image = halves (sizes[i][0], sizes[i][1]);
      VjPixels pixels;
      degraded (image, how, 1, 1, 9, &pixels);
      for (gsize at = 0; how == VJ_DEGRADE_ERASE && at < 3 * (gsize) pixels.width * pixels.height; at++)
        g_assert_true (pixels.rgb[at] == 0 || pixels.rgb[at] == 255);
      for (gsize at = 0; (how == VJ_DEGRADE_MASK || how == VJ_DEGRADE_BLANK) && at < (gsize) pixels.width * pixels.height; at++)
        g_assert_cmpuint (pixels.rgb[3 * at], ==, 128);
      g_free ((void *) pixels.rgb);
    }
  static const double wrong[][2] = {{-0.1, 0}, {1.1, 0}, {0, -1}, {0, 2}, {NAN, 0}, {0, NAN}};
  g_autoptr (VjImage) image = halves (4, 4);
  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_null (vj_image_degrade (image, VJ_DEGRADE_NOISE, wrong[i][0], wrong[i][1], 0, &error));
    g_assert_error (error, VJ_ERROR, VJ_EXIT_PLUGIN);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/degrade/seeds", test_seeds);
  g_test_add_func ("/degrade/pixels-are-pinned", test_pixels_are_pinned);
  g_test_add_func ("/degrade/noise", test_noise);
  g_test_add_func ("/degrade/grains", test_grains);
  g_test_add_func ("/degrade/blur", test_blur);
  g_test_add_func ("/degrade/blur-of-others", test_blur_of_others);
  g_test_add_func ("/degrade/mask", test_mask);
  g_test_add_func ("/degrade/erase", test_erase);
  g_test_add_func ("/degrade/small-and-wrong", test_small_and_wrong);
  return g_test_run ();
}
