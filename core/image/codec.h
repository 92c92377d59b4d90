/* The one place that speaks to ImageMagick: bytes of a known format to RGB, and RGB to PNG. */
#ifndef VJ_IMAGE_CODEC_H
#define VJ_IMAGE_CODEC_H

#include "vj/error.h"

/* X (NAME, ImageMagick's coder, MIME type, file suffix): the formats we read. */
#define VJ_IMAGE_FORMAT_TABLE(X)          \
  X (PNG, "PNG", "image/png", "png")      \
  X (JPEG, "JPEG", "image/jpeg", "jpg")   \
  X (GIF, "GIF", "image/gif", "gif")      \
  X (WEBP, "WEBP", "image/webp", "webp")  \
  X (BMP, "BMP", "image/bmp", "bmp")

typedef enum {
#define VJ__FORMAT_ENUM(name, coder, mime, suffix) VJ_IMAGE_##name,
  VJ_IMAGE_FORMAT_TABLE (VJ__FORMAT_ENUM)
#undef VJ__FORMAT_ENUM
  VJ_IMAGE_N_FORMATS
} VjImageFormat;

/* What the first bytes say. FALSE: none of ours. */
gboolean vj_codec_sniff (const guint8 *data, gsize length, VjImageFormat *ret_format);

const char *vj_codec_mime (VjImageFormat format);
const char *vj_codec_suffix (VjImageFormat format);

/* *ret_rgb: [height, width, 3], sRGB, free with g_free. VJ_EXIT_DATA, or VJ_EXIT_LIMIT when too large. */
gboolean vj_codec_decode (const guint8 *data, gsize length, VjImageFormat format, const char *where, guint8 **ret_rgb,
                          guint32 *ret_width, guint32 *ret_height, GError **error);

/* A PNG without metadata. NULL on error (VJ_EXIT_DATA). */
GBytes *vj_codec_encode_png (const guint8 *rgb, guint32 width, guint32 height, GError **error);

#endif
