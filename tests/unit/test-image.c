#define _GNU_SOURCE /* memmem */
/* image/: hostile bytes are refused with a message, good ones become the pixels everybody else sees. */
#include "base/file.h"
#include "image-kit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static VjImage *
load (GByteArray *bytes, GError **error)
{
  return vj_image_new_from_data (bytes->data, bytes->len, "here", error);
}

static void
refused (const char *what, gconstpointer data, gsize length, VjExit exit, const char *words)
{
  g_autoptr (GError) error = NULL;
  VjImage *image = vj_image_new_from_data (data, length, "here", &error);
  if (image != NULL)
    g_error ("%s was taken for an image", what);
  if (!g_error_matches (error, VJ_ERROR, (int) exit) || strstr (error->message, words) == NULL
      || !g_str_has_prefix (error->message, "here: "))
    g_error ("%s: code %d, message '%s'", what, error->code, error->message);
}

static void
pixel_is (const VjPixels *p, guint x, guint y, int r, int g, int b, int tolerance)
{
  const guint8 *rgb = p->rgb + 3 * (y * p->width + x);
  if (ABS (rgb[0] - r) > tolerance || ABS (rgb[1] - g) > tolerance || ABS (rgb[2] - b) > tolerance)
    g_error ("pixel (%u, %u) is %u %u %u, not %d %d %d", x, y, rgb[0], rgb[1], rgb[2], r, g, b);
}

/* Loads and decodes; free with pixels_done. Takes `bytes`. */
static VjImage *
decode (GByteArray *bytes, VjPixels *ret_pixels)
{
  g_autoptr (GError) error = NULL;
  VjImage *image = load (bytes, &error);
  g_assert_no_error (error);
  vj_image_decode (image, ret_pixels, &error);
  g_assert_no_error (error);
  g_byte_array_unref (bytes);
  return image;
}

static void
pixels_done (VjImage *image, VjPixels *pixels)
{
  g_free ((void *) pixels->rgb);
  vj_image_unref (image);
}

/* -- what is refused ------------------------------------------------------------------- */

static void
test_not_images (void)
{
  static const char *const texts[] = {"", "x", "BM", "GIF", "<svg xmlns='http://www.w3.org/2000/svg'/>",
                                      "push graphic-context\nviewbox 0 0 9 9\npop graphic-context", "<?xml version='1.0'?><image/>",
                                      "%!PS-Adobe-3.0\nshowpage\n", "%PDF-1.4\n", "text:/etc/passwd", "P6 1 1 255 abc",
                                      "P1 1 1 1", "8BPS", "#define x_width 8\n", "RIFF\4\0\0\0AVI "};
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    refused (texts[i], texts[i], strlen (texts[i]), VJ_EXIT_DATA, i == 0 ? "empty" : "not an image we read");
}

static void
test_broken_bodies (void)
{
  static const struct {
    const char *what, *bytes;
    gsize length;
  } rows[] = {{"a PNG signature alone", "\x89PNG\r\n\x1a\n", 8},
              {"a JPEG of two markers", "\xff\xd8\xff\xd9", 4},
              {"a GIF header alone", "GIF89a\1\0\1\0\0\0\0", 13},
              {"a WebP header alone", "RIFF\x04\0\0\0WEBP", 12},
              {"a BMP of zeros", "BM\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 30},
              {"SVG behind a PNG signature", "\x89PNG\r\n\x1a\n<svg xmlns='http://www.w3.org/2000/svg'/>", 48}};
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    refused (rows[i].what, rows[i].bytes, rows[i].length, VJ_EXIT_DATA, "not a readable");
}

static void
test_truncated (void)
{
  static const char *const coders[] = {"PNG24", "JPEG", "GIF", "WEBP", "BMP"};
  for (guint i = 0; i < G_N_ELEMENTS (coders); i++) {
    g_autoptr (GByteArray) whole = kit_two_halves (coders[i], UndefinedColorspace);
    g_autoptr (VjImage) good = load (whole, NULL);
    g_assert_nonnull (good);
    for (guint cut = 1; cut <= 3; cut++) {
      g_autofree char *what = g_strdup_printf ("%s cut to %u of 4 parts", coders[i], cut);
      refused (what, whole->data, whole->len * cut / 4, VJ_EXIT_DATA, "not a");
    }
  }
}

static void
test_wrong_crc (void)
{
  g_autoptr (GByteArray) png = kit_two_halves ("PNG24", UndefinedColorspace);
  guint8 *idat = memmem (png->data, png->len, "IDAT", 4);
  guint32 length;
  g_assert_nonnull (idat);
  memcpy (&length, idat - 4, 4);
  idat[4 + GUINT32_FROM_BE (length)] ^= 1;
  refused ("a PNG with a wrong checksum", png->data, png->len, VJ_EXIT_DATA, "not a readable PNG");
}

static void
test_bombs (void)
{
  g_autoptr (GByteArray) bomb = kit_png (15000, 15000, 8, 2, (const guint8 *) "\0\0\0\0", 4);
  g_autoptr (GByteArray) wide = kit_png (70000, 1, 8, 0, (const guint8 *) "\0\0", 2);
  g_autoptr (GByteArray) endless = kit_png (0x7fffffff, 0x7fffffff, 16, 6, (const guint8 *) "\0\0", 2);
  g_autoptr (GByteArray) none = kit_png (0, 1, 8, 0, (const guint8 *) "\0", 1);

  refused ("225 megapixels", bomb->data, bomb->len, VJ_EXIT_LIMIT, "15000 x 15000 pixels");
  /* The coder refuses these as well, without a word. */
  refused ("70,000 wide", wide->data, wide->len, VJ_EXIT_LIMIT, "70000 x 1 pixels: more than 16000 on a side");
  refused ("endless", endless->data, endless->len, VJ_EXIT_LIMIT, "2147483647 x 2147483647 pixels");
  refused ("no column", none->data, none->len, VJ_EXIT_DATA, "it has no pixels");
}

/* Only the first of 20,000 frames is made: a list of them all takes half a gigabyte. */
static void
test_many_frames (void)
{
  struct rusage before, after;
  VjPixels pixels;
  GByteArray *gif = kit_gif (20000);

  vj_image_start ();
  getrusage (RUSAGE_SELF, &before);
  VjImage *image = decode (gif, &pixels);
  getrusage (RUSAGE_SELF, &after);
  g_assert_cmpuint (pixels.width * pixels.height, ==, 1);
  pixel_is (&pixels, 0, 0, 255, 0, 0, 0);
  g_assert_cmpint (after.ru_maxrss - before.ru_maxrss, <, 64 << 10);
  pixels_done (image, &pixels);
}

/* -- what is read ------------------------------------------------------------------------- */

static void
test_formats (void)
{
  static const struct {
    const char *coder, *mime, *suffix;
    int tolerance;
  } rows[] = {{"PNG24", "image/png", "png", 0}, {"PNG8", "image/png", "png", 0}, {"JPEG", "image/jpeg", "jpg", 8},
              {"GIF", "image/gif", "gif", 0},   {"WEBP", "image/webp", "webp", 24}, {"BMP", "image/bmp", "bmp", 0}};
  g_autofree char *digest = NULL;
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    VjPixels pixels;
    VjImage *image = decode (kit_two_halves (rows[i].coder, UndefinedColorspace), &pixels);
    g_assert_cmpstr (vj_image_mime (image), ==, rows[i].mime);
    g_assert_cmpstr (vj_image_suffix (image), ==, rows[i].suffix);
    g_assert_cmpuint (pixels.width, ==, 32);
    g_assert_cmpuint (vj_image_height (image), ==, 16);
    pixel_is (&pixels, 3, 8, 255, 0, 0, rows[i].tolerance);
    pixel_is (&pixels, 28, 8, 0, 0, 255, rows[i].tolerance);
    /* The digest names pixels, whatever file they came in. */
    if (digest == NULL)
      digest = g_strdup (vj_image_digest (image));
    g_assert_true ((rows[i].tolerance == 0) == (strcmp (digest, vj_image_digest (image)) == 0));
    pixels_done (image, &pixels);
  }
}

static void
test_cmyk (void)
{
  VjPixels pixels;
  VjImage *image = decode (kit_two_halves ("JPEG", CMYKColorspace), &pixels);
  pixel_is (&pixels, 3, 8, 255, 0, 0, 8);
  pixel_is (&pixels, 28, 8, 0, 0, 255, 8);
  pixels_done (image, &pixels);
}

static void
test_depths (void)
{
  VjPixels pixels;
  VjImage *image;

  image = decode (kit_png (1, 1, 16, 2, (const guint8 *) "\0\x80\x80\x40\x40\xff\xff", 7), &pixels);
  pixel_is (&pixels, 0, 0, 0x80, 0x40, 0xff, 0);
  pixels_done (image, &pixels);
  image = decode (kit_png (1, 1, 8, 0, (const guint8 *) "\0\x64", 2), &pixels);
  pixel_is (&pixels, 0, 0, 100, 100, 100, 0);
  pixels_done (image, &pixels);
  image = decode (kit_png (8, 1, 1, 0, (const guint8 *) "\0\xaa", 2), &pixels);
  pixel_is (&pixels, 0, 0, 255, 255, 255, 0);
  pixel_is (&pixels, 1, 0, 0, 0, 0, 0);
  pixels_done (image, &pixels);
}

static void
test_alpha_over_white (void)
{
  static const guint8 rgba[16] = {255, 0, 0, 0, 255, 0, 0, 255, 0, 0, 0, 128, 0, 0, 255, 255};
  static const char *const coders[] = {"PNG32", "PNG8", "GIF", "WEBP"};
  VjPixels pixels;
  VjImage *image;

  image = decode (kit_encode ("PNG32", rgba, 4, 1, UndefinedColorspace, TRUE), &pixels);
  pixel_is (&pixels, 0, 0, 255, 255, 255, 0);
  pixel_is (&pixels, 1, 0, 255, 0, 0, 0);
  pixel_is (&pixels, 2, 0, 127, 127, 127, 0);
  pixels_done (image, &pixels);
  for (guint i = 0; i < G_N_ELEMENTS (coders); i++) {
    guint8 halves[8 * 8 * 4];
    for (guint k = 0; k < 64; k++)
      memcpy (halves + 4 * k, k % 8 < 4 ? "\0\0\0\0" : "\0\0\xff\xff", 4);
    image = decode (kit_encode (coders[i], halves, 8, 8, UndefinedColorspace, TRUE), &pixels);
    pixel_is (&pixels, 1, 4, 255, 255, 255, 2);
    pixel_is (&pixels, 6, 4, 0, 0, 255, 24);
    pixels_done (image, &pixels);
  }
  /* Gray with alpha, by hand. */
  image = decode (kit_png (2, 1, 8, 4, (const guint8 *) "\0\x20\0\x20\xff", 5), &pixels);
  pixel_is (&pixels, 0, 0, 255, 255, 255, 0);
  pixel_is (&pixels, 1, 0, 32, 32, 32, 0);
  pixels_done (image, &pixels);
}

/* Where the red half (left in the file) ends up. TIFF 6.0, tag 274. */
static void
test_orientation (void)
{
  static const struct {
    guint8 orientation;
    guint width, red_x, red_y, blue_x, blue_y;
  } rows[] = {{1, 32, 3, 8, 28, 8}, {2, 32, 28, 8, 3, 8}, {3, 32, 28, 8, 3, 8}, {4, 32, 3, 8, 28, 8},
              {5, 16, 8, 3, 8, 28}, {6, 16, 8, 3, 8, 28}, {7, 16, 8, 28, 8, 3}, {8, 16, 8, 28, 8, 3}};
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    GByteArray *jpeg = kit_two_halves ("JPEG", UndefinedColorspace);
    VjPixels pixels;
    VjImage *image;
    kit_orient (jpeg, rows[i].orientation);
    image = decode (jpeg, &pixels);
    g_assert_cmpuint (pixels.width, ==, rows[i].width);
    g_assert_cmpuint (vj_image_width (image), ==, rows[i].width);
    pixel_is (&pixels, rows[i].red_x, rows[i].red_y, 255, 0, 0, 8);
    pixel_is (&pixels, rows[i].blue_x, rows[i].blue_y, 0, 0, 255, 8);
    pixels_done (image, &pixels);
  }
}

static void
test_png_round_trip (void)
{
  g_autoptr (GByteArray) jpeg = kit_two_halves ("JPEG", UndefinedColorspace);
  g_autoptr (VjImage) image = load (jpeg, NULL);
  g_autoptr (GBytes) once = vj_image_to_png (image, NULL), twice = vj_image_to_png (image, NULL);
  g_autoptr (VjImage) again = vj_image_new_from_bytes (once, "png", NULL);

  g_assert_true (g_bytes_equal (once, twice));
  g_assert_cmpstr (vj_image_digest (again), ==, vj_image_digest (image));
  g_assert_null (memmem (g_bytes_get_data (once, NULL), g_bytes_get_size (once), "date:", 5));
}

/* The digest is a format of its own: other programs can compute it. */
static void
test_digest (void)
{
  static const guint8 rgb[3] = {1, 2, 3}, whole[18] = "vj-rgb8\1\0\0\0\1\0\0\0\1\2\3";
  g_autoptr (VjImage) image = vj_image_new_from_rgb (rgb, 1, 1, NULL);
  g_autofree char *expected = vj_sha256 (whole, sizeof whole);
  g_assert_cmpstr (vj_image_digest (image), ==, expected);
}

static void
test_known_is_held_to_its_digest (void)
{
  static const guint8 rgb[3] = {1, 2, 3}, other[3] = {1, 2, 4};
  g_autoptr (VjImage) image = vj_image_new_from_rgb (rgb, 1, 1, NULL), wrong = vj_image_new_from_rgb (other, 1, 1, NULL);
  g_autoptr (VjImage) known = vj_image_new_known (vj_image_bytes (wrong), vj_image_digest (image), 1, 1, NULL);
  g_autoptr (GError) error = NULL;
  VjPixels pixels;

  g_assert_false (vj_image_decode (known, &pixels, &error));
  g_assert_error (error, VJ_ERROR, VJ_EXIT_DATA);
  g_assert_null (vj_image_new_known (vj_image_bytes (image), "../../etc/passwd", 1, 1, NULL));
}

static gpointer
decode_often (gpointer data)
{
  GByteArray *bytes = data;
  g_autofree char *digest = NULL;
  for (int i = 0; i < 50; i++) {
    g_autoptr (VjImage) image = load (bytes, NULL);
    g_assert_nonnull (image);
    if (digest == NULL)
      digest = g_strdup (vj_image_digest (image));
    g_assert_cmpstr (digest, ==, vj_image_digest (image));
  }
  return NULL;
}

static void
test_threads (void)
{
  g_autoptr (GByteArray) bytes = kit_two_halves ("PNG24", UndefinedColorspace);
  GThread *threads[6];
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("decode", decode_often, bytes);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
}

/* -- files ---------------------------------------------------------------------------------- */

static void
file_refused (const char *root, const char *name, VjExit exit, const char *words)
{
  g_autoptr (GError) error = NULL;
  g_assert_null (vj_image_new_from_file (root, name, &error));
  if (!g_error_matches (error, VJ_ERROR, (int) exit) || strstr (error->message, words) == NULL)
    g_error ("'%s': code %d, message '%s'", name, error->code, error->message);
  for (const char *p = error->message; *p != '\0'; p++)
    g_assert_cmpuint ((guchar) *p, >=, 0x20);
}

static void
put (const char *root, const char *name, GByteArray *bytes)
{
  g_autofree char *path = g_build_filename (root, name, NULL);
  g_assert_true (g_file_set_contents (path, (const char *) bytes->data, bytes->len, NULL));
}

static void
named_refused (const char *path, VjExit exit, const char *words)
{
  g_autoptr (GError) error = NULL;
  g_assert_null (vj_file_read (path, VJ_IMAGE_MAX_BYTES, &error));
  g_assert_error (error, VJ_ERROR, (int) exit);
  g_assert_nonnull (strstr (error->message, words));
}

static void
test_files (void)
{
  g_autofree char *top = g_dir_make_tmp ("vj-image-XXXXXX", NULL), *root = g_build_filename (top, "data", NULL);
  g_autofree char *link = g_build_filename (root, "link.png", NULL), *fifo = g_build_filename (root, "fifo", NULL);
  g_autofree char *up = g_build_filename (root, "up", NULL), *huge = g_build_filename (root, "huge", NULL);
  g_autofree char *zero = g_build_filename (root, "zero", NULL), *sub = g_build_filename (root, "sub", NULL);
  g_autofree char *outside = g_build_filename (top, "secret.png", NULL);
  g_autoptr (GByteArray) png = kit_two_halves ("PNG24", UndefinedColorspace);
  static const char *const odd[] = {"text:x.png", "@x.png", "%d.png", "a\nb.png", "-x.png", "x.jpg", "sub/x.png", "./x.png"};

  g_assert_cmpint (g_mkdir_with_parents (sub, 0700), ==, 0);
  put (top, "secret.png", png);
  for (guint i = 0; i < G_N_ELEMENTS (odd); i++) {
    g_autoptr (VjImage) image = NULL;
    put (root, odd[i], png);
    image = vj_image_new_from_file (root, odd[i], NULL);
    g_assert_nonnull (image);
  }
  g_assert_cmpint (symlink ("../secret.png", link), ==, 0);
  g_assert_cmpint (symlink ("..", up), ==, 0);
  g_assert_cmpint (symlink ("/dev/zero", zero), ==, 0);
  g_assert_cmpint (mkfifo (fifo, 0600), ==, 0);
  int fd = open (huge, O_CREAT | O_WRONLY, 0600);
  g_assert_cmpint (ftruncate (fd, (off_t) VJ_IMAGE_MAX_BYTES + 1), ==, 0);
  close (fd);

  file_refused (root, "../secret.png", VJ_EXIT_DATA, "leads out");
  file_refused (root, "sub/../../secret.png", VJ_EXIT_DATA, "leads out");
  file_refused (root, outside, VJ_EXIT_DATA, "leads out");
  file_refused (root, "link.png", VJ_EXIT_DATA, "link.png");
  file_refused (root, "up/secret.png", VJ_EXIT_DATA, "up/secret.png");
  file_refused (root, "zero", VJ_EXIT_DATA, "zero");
  file_refused (root, "/proc/self/fd/0", VJ_EXIT_DATA, "leads out");
  file_refused (root, "fifo", VJ_EXIT_DATA, "regular file");
  file_refused (root, "sub", VJ_EXIT_DATA, "regular file");
  file_refused (root, "", VJ_EXIT_DATA, "no such file");
  file_refused (root, "huge", VJ_EXIT_LIMIT, "more than");
  file_refused (root, "none\n\x1b[31m\xe2\x80\xae.png", VJ_EXIT_DATA, "none\\x0a\\x1b[31m\\u{202e}.png");
  file_refused (outside, "x", VJ_EXIT_DATA, "cannot open the directory");

  /* Named by the user: links are fine, what would never end is not. */
  g_autoptr (GBytes) linked = vj_file_read (link, png->len, NULL);
  g_assert_cmpmem (g_bytes_get_data (linked, NULL), g_bytes_get_size (linked), png->data, png->len);
  named_refused (fifo, VJ_EXIT_DATA, "not a regular file");
  named_refused (zero, VJ_EXIT_DATA, "not a regular file");
  named_refused (sub, VJ_EXIT_DATA, "not a regular file");
  named_refused (huge, VJ_EXIT_LIMIT, "more than");
  named_refused ("/nonexistent/\x1b[2J", VJ_EXIT_DATA, "\\x1b[2J: cannot open: No such file");
  g_autoptr (GError) error = NULL;
  g_assert_null (vj_file_text (fifo, 100, &error)); /* as plugins read */
  g_assert_error (error, VJ_ERROR, VJ_EXIT_DATA);
  g_assert_true (g_file_set_contents (huge, "two\nlines", -1, NULL));
  g_autofree char *text = vj_file_text (huge, 100, NULL);
  g_assert_cmpstr (text, ==, "two\nlines");
  vj_dir_remove (top, NULL);
}

/* Real photographs and figures, where the folder is there. */
static void
test_real (void)
{
  static const char *const folders[] = {"photos", "nlvr/images"};
  guint n = 0;
  for (guint i = 0; i < G_N_ELEMENTS (folders); i++) {
    g_autofree char *root = g_build_filename (g_getenv ("VJ_SRCDIR"), "..", "shared", "data", folders[i], NULL);
    g_autoptr (GDir) dir = g_dir_open (root, 0, NULL);
    for (const char *name; dir != NULL && (name = g_dir_read_name (dir)) != NULL && n < 60 * (i + 1);) {
      g_autoptr (GError) error = NULL;
      g_autoptr (VjImage) image = NULL;
      if (!g_str_has_suffix (name, ".jpg") && !g_str_has_suffix (name, ".png"))
        continue;
      image = vj_image_new_from_file (root, name, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (vj_image_width (image), >, 50);
      n++;
    }
  }
  if (n == 0)
    g_test_skip ("no ../shared/data beside the source tree");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/image/refused/not-images", test_not_images);
  g_test_add_func ("/image/refused/broken-bodies", test_broken_bodies);
  g_test_add_func ("/image/refused/truncated", test_truncated);
  g_test_add_func ("/image/refused/wrong-crc", test_wrong_crc);
  g_test_add_func ("/image/refused/bombs", test_bombs);
  g_test_add_func ("/image/read/many-frames", test_many_frames);
  g_test_add_func ("/image/read/formats", test_formats);
  g_test_add_func ("/image/read/cmyk", test_cmyk);
  g_test_add_func ("/image/read/depths", test_depths);
  g_test_add_func ("/image/read/alpha-over-white", test_alpha_over_white);
  g_test_add_func ("/image/read/orientation", test_orientation);
  g_test_add_func ("/image/read/png-round-trip", test_png_round_trip);
  g_test_add_func ("/image/read/digest", test_digest);
  g_test_add_func ("/image/read/known-is-held-to-its-digest", test_known_is_held_to_its_digest);
  g_test_add_func ("/image/read/threads", test_threads);
  g_test_add_func ("/image/files", test_files);
  g_test_add_func ("/image/real", test_real);
  return g_test_run ();
}
