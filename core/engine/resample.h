/* Resample: Pillow's antialiased bilinear resize of 8-bit RGB, bit for bit. */
#ifndef VJ_ENGINE_RESAMPLE_H
#define VJ_ENGINE_RESAMPLE_H

#include <glib.h>

/* Resizes `rgb` [height, width, 3] to [new_height, new_width, 3]. All sides in [1, 65535]. Owned by the caller.
 *
 * Per axis, the output pixel at i is a weighted mean of the input pixels within `support` of the centre
 * c = (i + 1/2) * scale, scale = in / out, support = max (scale, 1), with the triangle weights
 * 1 - |x + 1/2 - c| / support, normalised, rounded to 22 fractional bits; first across, then down, each pass
 * rounded to 8 bits. An axis whose size does not change is left alone. (Pillow up to
 * 12, libImaging/Resample.c; Pillow 13 goes down first where that is cheaper, which moves some levels by one.) */
guint8 *vj_resample_bilinear (const guint8 *rgb, guint32 width, guint32 height, guint32 new_width, guint32 new_height);

#endif
