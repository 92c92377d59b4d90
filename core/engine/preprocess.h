/* Preprocess: decoded pixels -> the tiles of the vision tower, as transformers'
 * MllamaImageProcessorPil does it, bit for bit: choose a canvas of tiles, resize
 * with Pillow's antialiased bilinear filter in 8-bit fixed point (resample.h), pad
 * with black, split, rescale, normalise.
 *
 * Letters: S tile side in pixels, N tiles at most per image. */
#ifndef VJ_ENGINE_PREPROCESS_H
#define VJ_ENGINE_PREPROCESS_H

#include "vj/engine.h"

#define VJ_PREPROCESS_MAX_SIDE 65535u /* pixels: larger images are refused */

/* What preprocessor_config.json, or the `image_processor` of processor_config.json, says. */
typedef struct {
  guint32 tile_size;      /* S, [1, 4096]                                      */
  guint32 max_tiles;      /* N, [1, 64]                                        */
  gboolean rescale;       /* multiply 8-bit values by rescale_factor           */
  double rescale_factor;  /* 1/255 unless the file says otherwise              */
  gboolean normalize;     /* subtract mean, divide by std, per channel R, G, B */
  double mean[3], std[3];
} VjPreprocess;

/* One image, ready for the vision tower. */
typedef struct {
  float *pixels;           /* [n_tiles, 3, S, S], tiles row by row. Owned                             */
  guint32 rows, columns;   /* tiles down and across                                                   */
  guint32 n_tiles;         /* rows * columns, in [1, N]                                               */
  guint32 aspect_ratio_id; /* from 1: place of (rows, columns) in the list of supported ratios        */
} VjTiles;

/* The file of model directory `dir` that describes its images: processor_config.json where that has an `image_processor`
 * (newer exports, and it goes first in transformers), else preprocessor_config.json, there or not. Owned by the caller. */
char *vj_preprocess_file (const char *dir);

/* Reads either; faults are VJ_EXIT_DATA. */
gboolean vj_preprocess_load (const char *file, VjPreprocess *ret_preprocess, GError **error);
gboolean vj_preprocess_parse (const char *where, const char *bytes, gsize length, VjPreprocess *ret_preprocess, GError **error);

/* Number of supported aspect ratios for N tiles (ids are 1 to this number; 0 is for "no image"). */
guint32 vj_preprocess_ratios (guint32 max_tiles);

/* Makes the tiles of one image. VJ_EXIT_DATA on an empty or absurd size (a side above 65,535).
 * Release with vj_tiles_clear. */
gboolean vj_preprocess_image (const VjPreprocess *preprocess, const VjPixels *pixels, VjTiles *ret_tiles, GError **error);

/* Frees what tiles hold and zeroes them. Takes zeroed tiles. */
void vj_tiles_clear (VjTiles *tiles);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (VjTiles, vj_tiles_clear)

#endif
