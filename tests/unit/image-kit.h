/* Images for tests: made by MagickWand, or byte by byte where a good encoder would refuse. */
#ifndef IMAGE_KIT_H
#define IMAGE_KIT_H

#include "image/image.h"

#include <string.h>
#include <wand/MagickWand.h>

/* `rgba` [height, width, 4] encoded by `coder` ("PNG", "JPEG", "GIF", ...). */
static inline GByteArray *
kit_encode (const char *coder, const guint8 *rgba, guint width, guint height, ColorspaceType colorspace, gboolean alpha)
{
  vj_image_start ();
  MagickWand *wand = NewMagickWand ();
  g_assert_true (MagickConstituteImage (wand, width, height, "RGBA", CharPixel, rgba));
  if (!alpha)
    MagickSetImageAlphaChannel (wand, DeactivateAlphaChannel);
  if (colorspace != UndefinedColorspace)
    g_assert_true (MagickTransformImageColorspace (wand, colorspace));
  g_assert_true (MagickSetImageFormat (wand, coder));
  MagickSetImageCompressionQuality (wand, 95);
  size_t length;
  unsigned char *blob = MagickGetImageBlob (wand, &length);
  g_assert_nonnull (blob);
  GByteArray *bytes = g_byte_array_new ();
  g_byte_array_append (bytes, blob, (guint) length);
  MagickRelinquishMemory (blob);
  DestroyMagickWand (wand);
  return bytes;
}

/* [16, 32]: left half red, right half blue. */
static inline GByteArray *
kit_two_halves (const char *coder, ColorspaceType colorspace)
{
  guint8 rgba[16 * 32 * 4];
  for (guint i = 0; i < 16 * 32; i++)
    memcpy (rgba + 4 * i, i % 32 < 16 ? "\xff\0\0\xff" : "\0\0\xff\xff", 4);
  return kit_encode (coder, rgba, 32, 16, colorspace, FALSE);
}

static inline guint32
kit_crc (const guint8 *data, gsize n)
{
  guint32 crc = 0xffffffffu;
  while (n-- > 0) {
    crc ^= *data++;
    for (int k = 0; k < 8; k++)
      crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

static inline void
kit_chunk (GByteArray *png, const char *type, const guint8 *data, guint length)
{
  guint32 word = GUINT32_TO_BE (length);
  guint at = png->len + 4;
  g_byte_array_append (png, (const guint8 *) &word, 4);
  g_byte_array_append (png, (const guint8 *) type, 4);
  g_byte_array_append (png, data, length);
  word = GUINT32_TO_BE (kit_crc (png->data + at, length + 4));
  g_byte_array_append (png, (const guint8 *) &word, 4);
}

/* A PNG of one stored deflate block: `rows` is filter byte and samples of each row, at most 65535 bytes in all. */
static inline GByteArray *
kit_png (guint32 width, guint32 height, guint8 depth, guint8 colour, const guint8 *rows, guint16 length)
{
  GByteArray *png = g_byte_array_new (), *idat = g_byte_array_new ();
  guint8 head[13] = {0}, stored[7] = {0x78, 0x01, 1, length & 0xff, length >> 8, ~length & 0xff, (guint8) (~length >> 8)};
  guint32 a = 1, b = 0, word;

  g_byte_array_append (png, (const guint8 *) "\x89PNG\r\n\x1a\n", 8);
  word = GUINT32_TO_BE (width);
  memcpy (head, &word, 4);
  word = GUINT32_TO_BE (height);
  memcpy (head + 4, &word, 4);
  head[8] = depth;
  head[9] = colour;
  kit_chunk (png, "IHDR", head, 13);
  for (guint i = 0; i < length; i++) { /* Adler-32 */
    a = (a + rows[i]) % 65521;
    b = (b + a) % 65521;
  }
  word = GUINT32_TO_BE (b << 16 | a);
  g_byte_array_append (idat, stored, 7);
  g_byte_array_append (idat, rows, length);
  g_byte_array_append (idat, (const guint8 *) &word, 4);
  kit_chunk (png, "IDAT", idat->data, idat->len);
  kit_chunk (png, "IEND", (const guint8 *) "", 0);
  g_byte_array_unref (idat);
  return png;
}

/* A GIF of `frames` frames of one pixel, all colour 1 of the palette (red). */
static inline GByteArray *
kit_gif (guint frames)
{
  static const guint8 head[] = {'G', 'I', 'F', '8', '9', 'a', 1, 0, 1, 0, 0x80, 0, 0, 0, 0, 0, 255, 0, 0};
  static const guint8 frame[] = {0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x4c, 0x01, 0};
  GByteArray *gif = g_byte_array_new ();
  g_byte_array_append (gif, head, sizeof head);
  for (guint i = 0; i < frames; i++)
    g_byte_array_append (gif, frame, sizeof frame);
  g_byte_array_append (gif, (const guint8 *) ";", 1);
  return gif;
}

/* Puts an EXIF block with this orientation into a JPEG. */
static inline void
kit_orient (GByteArray *jpeg, guint8 orientation)
{
  guint8 app1[] = {0xff, 0xe1, 0, 34,  'E', 'x', 'i', 'f', 0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8,
                   0,    1,    1, 0x12, 0,  3,   0,   0,   0, 1, 0,   0,   0, 0,  0, 0, 0, 0};
  guint8 *old = g_memdup2 (jpeg->data + 2, jpeg->len - 2);
  guint rest = jpeg->len - 2;
  app1[29] = orientation;
  g_byte_array_set_size (jpeg, 2);
  g_byte_array_append (jpeg, app1, sizeof app1);
  g_byte_array_append (jpeg, old, rest);
  g_free (old);
}

#endif
