/* VjImage: encoded bytes, and the size and digest of the pixels they stand for. */
#include "image/image.h"
#include "base/file.h"
#include "image/codec.h"

#include <string.h>

struct VjImage {
  gint refs;
  VjImageFormat format;
  GBytes *bytes;
  guint32 width, height;
  char *digest;
};

char *
vj_pixels_digest (const guint8 *rgb, guint32 width, guint32 height)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  guint32 size[2] = {GUINT32_TO_LE (width), GUINT32_TO_LE (height)};
  gsize n = (gsize) width * height * 3;

  g_checksum_update (sum, (const guchar *) "vj-rgb8", 7);
  g_checksum_update (sum, (const guchar *) size, sizeof size);
  g_checksum_update (sum, rgb, (gssize) n);
  return g_strdup (g_checksum_get_string (sum));
}

/* Takes `digest`. */
static VjImage *
image_new (GBytes *bytes, VjImageFormat format, guint32 width, guint32 height, char *digest)
{
  VjImage *image = g_new (VjImage, 1);
  *image = (VjImage){1, format, g_bytes_ref (bytes), width, height, digest};
  return image;
}

static gboolean
sniff (GBytes *bytes, const char *where, VjImageFormat *ret_format, GError **error)
{
  gsize length;
  const guint8 *data = g_bytes_get_data (bytes, &length);

  if (length == 0)
    return vj_fail (error, VJ_EXIT_DATA, "%s: an empty file is no image; replace it or leave it out", where);
  if (length > VJ_IMAGE_MAX_BYTES)
    return vj_fail (error, VJ_EXIT_LIMIT, "%s: %" G_GSIZE_FORMAT " bytes: more than the %u an image may have; "
                    "scale it down or leave it out", where, length, VJ_IMAGE_MAX_BYTES);
  if (!vj_codec_sniff (data, length, ret_format))
    return vj_fail (error, VJ_EXIT_DATA, "%s: not an image we read: its first bytes are none of PNG, JPEG, GIF, WebP or "
                    "BMP; convert it to PNG or leave it out", where);
  return TRUE;
}

VjImage *
vj_image_new_from_bytes (GBytes *bytes, const char *where, GError **error)
{
  g_autofree char *shown = vj_quote (where != NULL ? where : "image", 0);
  g_autofree guint8 *rgb = NULL;
  VjImageFormat format;
  guint32 width, height;
  gsize length;
  const guint8 *data = g_bytes_get_data (bytes, &length);

  if (!sniff (bytes, shown, &format, error)
      || !vj_codec_decode (data, length, format, shown, &rgb, &width, &height, error))
    return NULL;
  return image_new (bytes, format, width, height, vj_pixels_digest (rgb, width, height));
}

VjImage *
vj_image_new_from_data (gconstpointer data, gsize length, const char *where, GError **error)
{
  g_autoptr (GBytes) bytes = g_bytes_new (data, length);
  return vj_image_new_from_bytes (bytes, where, error);
}

VjImage *
vj_image_new_from_file (const char *root, const char *name, GError **error)
{
  g_autoptr (GBytes) bytes = vj_file_read_beneath (root, name, VJ_IMAGE_MAX_BYTES, error);
  return bytes != NULL ? vj_image_new_from_bytes (bytes, name, error) : NULL;
}

VjImage *
vj_image_new_from_rgb (const guint8 *rgb, guint32 width, guint32 height, GError **error)
{
  g_autoptr (GBytes) bytes = vj_codec_encode_png (rgb, width, height, error);
  return bytes != NULL ? image_new (bytes, VJ_IMAGE_PNG, width, height, vj_pixels_digest (rgb, width, height)) : NULL;
}

VjImage *
vj_image_new_known (GBytes *bytes, const char *digest, guint32 width, guint32 height, GError **error)
{
  VjImageFormat format;

  if (!vj_sha256_is (digest)) {
    g_autofree char *shown = vj_quote (digest, 80);
    vj_fail (error, VJ_EXIT_DATA, "image '%s': not a pixel digest; the run directory is damaged", shown);
    return NULL;
  }
  if (!sniff (bytes, digest, &format, error))
    return NULL;
  return image_new (bytes, format, width, height, g_strdup (digest));
}

VjImage *
vj_image_ref (const VjImage *image)
{
  VjImage *own = (VjImage *) image; /* the count is no part of what an image is */
  g_atomic_int_inc (&own->refs);
  return own;
}

void
vj_image_unref (VjImage *image)
{
  if (image == NULL || !g_atomic_int_dec_and_test (&image->refs))
    return;
  g_bytes_unref (image->bytes);
  g_free (image->digest);
  g_free (image);
}

guint32
vj_image_width (const VjImage *image)
{
  return image->width;
}

guint32
vj_image_height (const VjImage *image)
{
  return image->height;
}

GBytes *
vj_image_bytes (const VjImage *image)
{
  return image->bytes;
}

const char *
vj_image_mime (const VjImage *image)
{
  return vj_codec_mime (image->format);
}

const char *
vj_image_suffix (const VjImage *image)
{
  return vj_codec_suffix (image->format);
}

const char *
vj_image_digest (const VjImage *image)
{
  return image->digest;
}

gboolean
vj_image_decode (const VjImage *image, VjPixels *ret_pixels, GError **error)
{
  g_autofree guint8 *rgb = NULL;
  g_autofree char *digest = NULL;
  guint32 width, height;
  gsize length;
  const guint8 *data = g_bytes_get_data (image->bytes, &length);

  if (!vj_codec_decode (data, length, image->format, image->digest, &rgb, &width, &height, error))
    return FALSE;
  digest = vj_pixels_digest (rgb, width, height);
  if (width != image->width || height != image->height || strcmp (digest, image->digest) != 0)
    return vj_fail (error, VJ_EXIT_DATA, "image %s: decodes to other pixels (%u x %u, %s); the stored bytes are damaged or "
                    "ImageMagick has changed: start a new run directory", image->digest, width, height, digest);
  *ret_pixels = (VjPixels){g_steal_pointer (&rgb), width, height, image->digest};
  return TRUE;
}

GBytes *
vj_image_to_png (const VjImage *image, GError **error)
{
  VjPixels pixels;
  GBytes *png;

  if (!vj_image_decode (image, &pixels, error))
    return NULL;
  png = vj_codec_encode_png (pixels.rgb, pixels.width, pixels.height, error);
  g_free ((void *) pixels.rgb);
  return png;
}
