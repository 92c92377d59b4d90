/* ImageMagick, held by the collar: a forced coder on bytes, limits set in code, one thread, first frame only. */
#include "image/codec.h"
#include "base/checked.h"
#include "base/file.h"
#include "image/image.h"

#include <magick/MagickCore.h>
#include <string.h>
#include <wand/MagickWand.h>

static gpointer
start_once (gpointer unused G_GNUC_UNUSED)
{
  MagickWandGenesis ();
  /* Backstops for the process; sizes are checked by us before pixels are made. No time limit: ImageMagick's counts
   * from the start of the process. One thread: OpenMP costs more than it gives at our sizes, and the caller has its own. */
  SetMagickResourceLimit (ThreadResource, 1);
  SetMagickResourceLimit (WidthResource, VJ_IMAGE_MAX_SIDE);
  SetMagickResourceLimit (HeightResource, VJ_IMAGE_MAX_SIDE);
  SetMagickResourceLimit (ListLengthResource, 64);
  SetMagickResourceLimit (MemoryResource, (MagickSizeType) 1 << 30);
  SetMagickResourceLimit (MapResource, (MagickSizeType) 1 << 30);
  SetMagickResourceLimit (DiskResource, (MagickSizeType) 1 << 30);
  return NULL;
}

void
vj_image_start (void)
{
  static GOnce once = G_ONCE_INIT;
  g_once (&once, start_once, NULL);
}

/* -- formats --------------------------------------------------------------------- */

static const struct {
  const char *coder, *mime, *suffix;
} formats[] = {
#define VJ__FORMAT_ROW(name, coder, mime, suffix) {coder, mime, suffix},
  VJ_IMAGE_FORMAT_TABLE (VJ__FORMAT_ROW)
#undef VJ__FORMAT_ROW
};

const char *
vj_codec_mime (VjImageFormat format)
{
  return formats[format].mime;
}

const char *
vj_codec_suffix (VjImageFormat format)
{
  return formats[format].suffix;
}

static gboolean
starts (const guint8 *data, gsize length, gsize at, const char *magic, gsize n)
{
  return vj_checked_range (at, n, length) && memcmp (data + at, magic, n) == 0;
}

gboolean
vj_codec_sniff (const guint8 *data, gsize length, VjImageFormat *ret_format)
{
  if (starts (data, length, 0, "\x89PNG\r\n\x1a\n", 8))
    *ret_format = VJ_IMAGE_PNG;
  else if (starts (data, length, 0, "\xff\xd8\xff", 3))
    *ret_format = VJ_IMAGE_JPEG;
  else if (starts (data, length, 0, "GIF87a", 6) || starts (data, length, 0, "GIF89a", 6))
    *ret_format = VJ_IMAGE_GIF;
  else if (starts (data, length, 0, "RIFF", 4) && starts (data, length, 8, "WEBP", 4))
    *ret_format = VJ_IMAGE_WEBP;
  else if (starts (data, length, 0, "BM", 2) && length >= 26)
    *ret_format = VJ_IMAGE_BMP;
  else
    return FALSE;
  return TRUE;
}

/* -- decoding -------------------------------------------------------------------- */

/* ImageMagick's objects for one call. */
typedef struct {
  ImageInfo *info;
  ExceptionInfo *exception;
  Image *image;
} Magick;

static void
magick_init (Magick *magick, VjImageFormat format)
{
  vj_image_start ();
  magick->info = CloneImageInfo (NULL);
  magick->exception = AcquireExceptionInfo ();
  magick->image = NULL;
  g_strlcpy (magick->info->magick, formats[format].coder, sizeof magick->info->magick);
  magick->info->scene = 0;
  magick->info->number_scenes = 1;
}

static void
magick_done (Magick *magick)
{
  if (magick->image != NULL)
    DestroyImageList (magick->image);
  DestroyExceptionInfo (magick->exception);
  DestroyImageInfo (magick->info);
}

static void
magick_take (Magick *magick, Image *image)
{
  if (magick->image != NULL)
    DestroyImageList (magick->image);
  magick->image = image;
}

/* What went wrong: some coders tell the caller, others the image, as the JPEG one does when it leaves half of the pixels
 * unset and hands the image out all the same. The graver of the two. */
static const ExceptionInfo *
worst (const Magick *magick)
{
  const ExceptionInfo *own = magick->image != NULL ? &magick->image->exception : magick->exception;
  return own->severity > magick->exception->severity ? own : magick->exception;
}

/* ImageMagick's words, when it has any: some broken files fail in silence. */
static gboolean
fail_magick (Magick *magick, VjImageFormat format, const char *where, GError **error)
{
  const char *reason = worst (magick)->reason;
  g_autofree char *words = NULL;

  if (reason == NULL || reason[0] == '\0')
    words = g_strdup ("its data is broken or cut short");
  else
    words = vj_quote (reason, 120);
  return vj_fail (error, VJ_EXIT_DATA, "%s: not a readable %s image: %s; replace the file or leave it out", where,
                  formats[format].coder, words);
}

/* Whether what was raised means that pixels are missing or wrong. Other warnings are about metadata. */
static gboolean
pixels_are_wrong (Magick *magick)
{
  return magick->image == NULL || worst (magick)->severity >= ErrorException
         || worst (magick)->severity == CorruptImageWarning;
}

static gboolean
check_size (guint64 width, guint64 height, const char *where, GError **error)
{
  if (width == 0 || height == 0)
    return vj_fail (error, VJ_EXIT_DATA, "%s: not a readable image: it has no pixels, as when its header is cut short; "
                    "replace the file or leave it out", where);
  if (width > VJ_IMAGE_MAX_SIDE || height > VJ_IMAGE_MAX_SIDE || width * height > VJ_IMAGE_MAX_PIXELS)
    return vj_fail (error, VJ_EXIT_LIMIT,
                    "%s: %" G_GUINT64_FORMAT " x %" G_GUINT64_FORMAT
                    " pixels: more than %u on a side or %u in all; scale the image down or leave it out",
                    where, width, height, VJ_IMAGE_MAX_SIDE, VJ_IMAGE_MAX_PIXELS);
  return TRUE;
}

/* Size first, without pixels. A PNG tells it in its first bytes; the coder refuses one that is too wide without a word. */
static gboolean
ping (Magick *magick, const guint8 *data, gsize length, VjImageFormat format, const char *where, GError **error)
{
  if (format == VJ_IMAGE_PNG && starts (data, length, 12, "IHDR", 4) && length >= 24) {
    guint32 size[2];
    memcpy (size, data + 16, sizeof size);
    if (!check_size (GUINT32_FROM_BE (size[0]), GUINT32_FROM_BE (size[1]), where, error))
      return FALSE;
  }
  magick_take (magick, PingBlob (magick->info, data, length, magick->exception));
  if (magick->image == NULL)
    return fail_magick (magick, format, where, error);
  return check_size (magick->image->columns, magick->image->rows, where, error);
}

/* Colour and orientation, in place. */
static gboolean
normalise (Magick *magick)
{
  Image *turned;

  if (magick->image->colorspace != sRGBColorspace && magick->image->colorspace != GRAYColorspace
      && !TransformImageColorspace (magick->image, sRGBColorspace))
    return FALSE;
  if (magick->image->orientation <= TopLeftOrientation)
    return TRUE;
  turned = AutoOrientImage (magick->image, magick->image->orientation, magick->exception);
  if (turned == NULL)
    return FALSE;
  magick_take (magick, turned);
  return TRUE;
}

/* Lays RGBA over white, in place, giving RGB. */
static void
flatten (guint8 *pixels, gsize n)
{
  const guint8 *in = pixels;
  guint8 *out = pixels;
  for (gsize i = 0; i < n; i++, in += 4, out += 3) {
    guint alpha = in[3], white = (255 - alpha) * 255 + 127;
    for (int c = 0; c < 3; c++)
      out[c] = (guint8) ((in[c] * alpha + white) / 255);
  }
}

static guint8 *
export_rgb (Magick *magick, const char *where, GError **error)
{
  Image *image = magick->image;
  gboolean alpha = image->matte != MagickFalse;
  gsize n = image->columns * image->rows;
  g_autofree guint8 *pixels = g_try_malloc (n * (alpha ? 4 : 3));

  if (pixels == NULL) {
    vj_fail (error, VJ_EXIT_LIMIT, "%s: no memory for its pixels; run with more memory", where);
    return NULL;
  }
  if (!ExportImagePixels (image, 0, 0, image->columns, image->rows, alpha ? "RGBA" : "RGB", CharPixel, pixels,
                          magick->exception)) {
    vj_fail (error, VJ_EXIT_DATA, "%s: its pixels cannot be read; replace the file or leave it out", where);
    return NULL;
  }
  if (alpha) {
    flatten (pixels, n);
    return g_realloc (g_steal_pointer (&pixels), n * 3);
  }
  return g_steal_pointer (&pixels);
}

gboolean
vj_codec_decode (const guint8 *data, gsize length, VjImageFormat format, const char *where, guint8 **ret_rgb,
                 guint32 *ret_width, guint32 *ret_height, GError **error)
{
  Magick magick;
  guint8 *rgb = NULL;

  magick_init (&magick, format);
  if (ping (&magick, data, length, format, where, error)) {
    ClearMagickException (magick.exception);
    magick_take (&magick, BlobToImage (magick.info, data, length, magick.exception));
    if (pixels_are_wrong (&magick) || !normalise (&magick))
      fail_magick (&magick, format, where, error);
    else if (check_size (magick.image->columns, magick.image->rows, where, error))
      rgb = export_rgb (&magick, where, error);
  }
  if (rgb != NULL) {
    *ret_rgb = rgb;
    *ret_width = (guint32) magick.image->columns;
    *ret_height = (guint32) magick.image->rows;
  }
  magick_done (&magick);
  return rgb != NULL;
}

/* -- encoding --------------------------------------------------------------------- */

GBytes *
vj_codec_encode_png (const guint8 *rgb, guint32 width, guint32 height, GError **error)
{
  Magick magick;
  GBytes *bytes = NULL;
  size_t length = 0;
  unsigned char *blob = NULL;

  if (!check_size (width, height, "png", error))
    return NULL;
  magick_init (&magick, VJ_IMAGE_PNG);
  magick_take (&magick, ConstituteImage (width, height, "RGB", CharPixel, rgb, magick.exception));
  if (magick.image != NULL) {
    /* 8-bit RGB whatever the colours, and no chunk that tells when or by what it was written. */
    g_strlcpy (magick.info->magick, "PNG24", sizeof magick.info->magick);
    SetImageOption (magick.info, "png:exclude-chunks", "all");
    blob = ImageToBlob (magick.info, magick.image, &length, magick.exception);
  }
  if (blob != NULL) {
    bytes = g_bytes_new (blob, length);
    RelinquishMagickMemory (blob);
  } else
    vj_fail (error, VJ_EXIT_DATA, "png: %u x %u pixels cannot be encoded: %s; check the ImageMagick installation", width,
             height, magick.exception->reason ? magick.exception->reason : "out of memory");
  magick_done (&magick);
  return bytes;
}
