/* Images: from hostile bytes to pixels. The format is found by our own look at the first bytes (PNG, JPEG, GIF, WebP,
 * BMP), the decoder is forced to it, and size is asked before pixels are made. Nothing depends on ImageMagick's policy.xml.
 *
 * Decoded pixels are 8-bit sRGB: transparency laid over white, EXIF orientation applied, the first frame of an animation.
 * An image is immutable and reference counted; all functions may be called from any thread. See also vj/plugin.h:
 * vj_image_digest, vj_image_decode, vj_image_degrade, vj_image_ref. */
#ifndef VJ_IMAGE_IMAGE_H
#define VJ_IMAGE_IMAGE_H

#include "vj/plugin.h"

#define VJ_IMAGE_MAX_BYTES (64u << 20)  /* encoded                  */
#define VJ_IMAGE_MAX_SIDE 16000u        /* width, height, in pixels */
#define VJ_IMAGE_MAX_PIXELS 50000000u   /* width * height           */

/* Starts ImageMagick with our resource limits; once per process, from any thread. Whoever uses MagickWand on its own
 * (drawing) calls this first and never MagickWandGenesis or MagickWandTerminus. */
VJ_API void vj_image_start (void);

/* Decodes `bytes` once, to know that they are an image and what its digest is; keeps only the encoded bytes.
 * `where` names the origin in messages ("photos/a.jpg", "data.jsonl:7"). NULL on error: VJ_EXIT_DATA when it is not an
 * image we read, VJ_EXIT_LIMIT when it is too large. */
VJ_API VjImage *vj_image_new_from_bytes (GBytes *bytes, const char *where, GError **error);
VJ_API VjImage *vj_image_new_from_data (gconstpointer data, gsize length, const char *where, GError **error); /* copied */

/* From the file `name` (untrusted) below `root`: see vj_file_open_beneath. */
VJ_API VjImage *vj_image_new_from_file (const char *root, const char *name, GError **error);

/* From pixels [height, width, 3], copied; encoded as PNG. */
VJ_API VjImage *vj_image_new_from_rgb (const guint8 *rgb, guint32 width, guint32 height, GError **error);

/* An image stored earlier, of which digest and size are known: decoded only when asked, and then held to `digest`. */
VJ_API VjImage *vj_image_new_known (GBytes *bytes, const char *digest, guint32 width, guint32 height, GError **error);

VJ_API guint32 vj_image_width (const VjImage *image);  /* pixels, after orientation */
VJ_API guint32 vj_image_height (const VjImage *image);

/* The encoded bytes as they came (borrowed), their MIME type ("image/png") and file suffix ("png"), both static. */
VJ_API GBytes *vj_image_bytes (const VjImage *image);
VJ_API const char *vj_image_mime (const VjImage *image);
VJ_API const char *vj_image_suffix (const VjImage *image);

/* The decoded pixels as a PNG file: no metadata, the same bytes for the same pixels. NULL on error. */
VJ_API GBytes *vj_image_to_png (const VjImage *image, GError **error);

/* SHA-256 over "vj-rgb8", width and height (32-bit little-endian), and the RGB bytes [height, width, 3]. Free with g_free. */
VJ_API char *vj_pixels_digest (const guint8 *rgb, guint32 width, guint32 height);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjImage, vj_image_unref)

#endif
