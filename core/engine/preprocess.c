/* Preprocess: see preprocess.h. */
#include "engine/preprocess.h"

#include <math.h>
#include <string.h>

#include "engine/json.h"
#include "engine/resample.h"

#define FILE_LIMIT ((gsize) 1 << 20)
#define MAX_TILE_SIZE 4096u
#define MAX_TILES 64u
#define PILLOW_BILINEAR 2

/* -- preprocessor_config.json ------------------------------------------------- */

static gboolean
read_size (const char *where, const json_t *root, VjPreprocess *p, GError **error)
{
  const json_t *size = json_object_get (root, "size");
  guint64 height = p->tile_size, width = p->tile_size;
  if (size == NULL)
    return TRUE;
  if (!json_is_object (size))
    return vj_fail (error, VJ_EXIT_DATA, "%s: 'size': not {\"height\", \"width\"}; mend the file", where);
  if (!vj_json_get_uint (where, size, "height", 1, MAX_TILE_SIZE, &height, error) ||
      !vj_json_get_uint (where, size, "width", 1, MAX_TILE_SIZE, &width, error))
    return FALSE;
  if (height != width || json_object_get (size, "height") == NULL || json_object_get (size, "width") == NULL)
    return vj_fail (error, VJ_EXIT_DATA, "%s: 'size': height and width are not both given and equal; mend the file", where);
  p->tile_size = (guint32) height;
  return TRUE;
}

/* Three channels, or one number for all. `least` keeps a divisor away from zero. */
static gboolean
read_channels (const char *where, const json_t *root, const char *key, double least, double ret_values[3], GError **error)
{
  const json_t *list = json_object_get (root, key);
  if (list == NULL || json_is_null (list))
    return TRUE;
  if (!json_is_number (list) && json_array_size (list) != 3)
    return vj_fail (error, VJ_EXIT_DATA, "%s: '%s': not three numbers; mend the file", where, key);
  for (gsize i = 0; i < 3; i++) {
    const json_t *value = json_is_number (list) ? list : json_array_get (list, i);
    if (!json_is_number (value) || !(json_number_value (value) >= least && json_number_value (value) <= 1e6))
      return vj_fail (error, VJ_EXIT_DATA, "%s: '%s': channel %" G_GSIZE_FORMAT " is not a number from %g to 1e6; mend the file", where, key, i, least);
    ret_values[i] = json_number_value (value);
  }
  return TRUE;
}

/* Steps that this reader always does, as the reference does: a file that switches them off is refused. */
static gboolean
check_fixed_steps (const char *where, const json_t *root, GError **error)
{
  static const char *const always[] = {"do_resize", "do_pad"};
  const char *type = vj_json_peek_string (root, "image_processor_type");
  guint64 resample = PILLOW_BILINEAR;
  if (type != NULL && !g_str_has_prefix (type, "MllamaImageProcessor"))
    return vj_fail (error, VJ_EXIT_DATA, "%s: 'image_processor_type': '%s' is not known; use a Llama 3.2 Vision model", where, type);
  for (gsize i = 0; i < G_N_ELEMENTS (always); i++) {
    gboolean on = TRUE;
    if (!vj_json_get_bool (where, root, always[i], &on, error))
      return FALSE;
    if (!on)
      return vj_fail (error, VJ_EXIT_DATA, "%s: '%s': false, which mllama does not know; set it to true", where, always[i]);
  }
  if (!vj_json_get_uint (where, root, "resample", 0, 5, &resample, error))
    return FALSE;
  if (resample != PILLOW_BILINEAR)
    return vj_fail (error, VJ_EXIT_DATA, "%s: 'resample': %u is not bilinear (2), the only filter known here; use a Llama 3.2 Vision model", where,
                    (guint) resample);
  return TRUE;
}

static gboolean
read_config (const char *where, const json_t *root, VjPreprocess *p, GError **error)
{
  guint64 max_tiles = p->max_tiles;
  if (!check_fixed_steps (where, root, error) || !read_size (where, root, p, error) ||
      !vj_json_get_uint (where, root, "max_image_tiles", 1, MAX_TILES, &max_tiles, error) ||
      !vj_json_get_bool (where, root, "do_rescale", &p->rescale, error) ||
      !vj_json_get_real (where, root, "rescale_factor", 0.0, 1e6, &p->rescale_factor, error) ||
      !vj_json_get_bool (where, root, "do_normalize", &p->normalize, error) ||
      !read_channels (where, root, "image_mean", -1e6, p->mean, error) || !read_channels (where, root, "image_std", 1e-6, p->std, error))
    return FALSE;
  p->max_tiles = (guint32) max_tiles;
  return TRUE;
}

gboolean
vj_preprocess_parse (const char *where, const char *bytes, gsize length, VjPreprocess *ret_preprocess, GError **error)
{
  /* What the reference assumes where the file is silent. */
  VjPreprocess p = {.tile_size = 224, .max_tiles = 4, .rescale = TRUE, .rescale_factor = 1.0 / 255.0, .normalize = TRUE,
                    .mean = {0.5, 0.5, 0.5}, .std = {0.5, 0.5, 0.5}};
  json_t *root = vj_json_object (where, bytes, length, error);
  if (root == NULL)
    return FALSE;
  const json_t *inner = json_object_get (root, "image_processor"); /* in a processor_config.json */
  gboolean read = read_config (where, json_is_object (inner) ? inner : root, &p, error);
  json_decref (root);
  if (read)
    *ret_preprocess = p;
  return read;
}

gboolean
vj_preprocess_load (const char *file, VjPreprocess *ret_preprocess, GError **error)
{
  gsize length;
  g_autofree char *bytes = vj_json_bytes (file, FILE_LIMIT, &length, error);
  return bytes != NULL && vj_preprocess_parse (file, bytes, length, ret_preprocess, error);
}

char *
vj_preprocess_file (const char *dir)
{
  g_autofree char *newer = g_build_filename (dir, "processor_config.json", NULL);
  gsize length;
  g_autofree char *bytes = vj_json_bytes (newer, FILE_LIMIT, &length, NULL);
  json_t *root = bytes == NULL ? NULL : vj_json_object (newer, bytes, length, NULL);
  gboolean speaks = json_is_object (json_object_get (root, "image_processor"));
  json_decref (root);
  return speaks ? g_steal_pointer (&newer) : g_build_filename (dir, "preprocessor_config.json", NULL);
}

/* -- canvas --------------------------------------------------------------------- */

/* Ratios are numbered from 1: rows slowest, columns fastest, products up to max_tiles. */
guint32
vj_preprocess_ratios (guint32 max_tiles)
{
  guint32 n = 0;
  for (guint32 rows = 1; rows <= max_tiles; rows++)
    n += max_tiles / rows;
  return n;
}

/* The canvas that enlarges the image least, or else shrinks it least; of equals the smallest, of these the first. */
static void
choose_canvas (const VjPreprocess *p, guint32 width, guint32 height, VjTiles *tiles)
{
  double best = 0.0;
  guint32 id = 0;
  for (guint32 rows = 1; rows <= p->max_tiles; rows++)
    for (guint32 columns = 1; columns <= p->max_tiles / rows; columns++) {
      double across = (double) (columns * p->tile_size) / width, down = (double) (rows * p->tile_size) / height;
      double scale = MIN (across, down);
      gboolean better = best >= 1.0 ? scale >= 1.0 && scale < best : scale > best;
      id++;
      if (!better && !(scale == best && rows * columns < tiles->n_tiles))
        continue;
      best = scale;
      tiles->rows = rows;
      tiles->columns = columns;
      tiles->n_tiles = rows * columns;
      tiles->aspect_ratio_id = id;
    }
}

static guint32
scaled_side (guint32 side, double scale, guint32 most)
{
  double scaled = floor (side * scale);
  return scaled < 1.0 ? 1 : MIN ((guint32) scaled, most);
}

/* The size of the picture on its canvas: as large as fits, but never enlarged beyond one tile. */
static void
fit_canvas (const VjPreprocess *p, const VjTiles *tiles, guint32 width, guint32 height, guint32 *ret_width, guint32 *ret_height)
{
  guint32 target_width = CLAMP (width, p->tile_size, tiles->columns * p->tile_size);
  guint32 target_height = CLAMP (height, p->tile_size, tiles->rows * p->tile_size);
  double across = (double) target_width / width, down = (double) target_height / height;
  if (across < down) {
    *ret_width = target_width;
    *ret_height = scaled_side (height, across, target_height);
  } else {
    *ret_height = target_height;
    *ret_width = scaled_side (width, down, target_width);
  }
}

/* -- tiles ------------------------------------------------------------------------ */

/* What each 8-bit value becomes; in the reference's order of roundings: f64 product, then f32. */
static void
fill_levels (const VjPreprocess *p, float levels[3][256])
{
  for (int c = 0; c < 3; c++)
    for (int v = 0; v < 256; v++) {
      float level = p->rescale ? (float) (v * p->rescale_factor) : (float) v;
      levels[c][v] = p->normalize ? (level - (float) p->mean[c]) / (float) p->std[c] : level;
    }
}

/* Tile (row, column) of the picture, which ends before the canvas does: black beyond, then normalised like the rest. */
static void
fill_tile (const VjPreprocess *p, const guint8 *rgb, guint32 width, guint32 height, guint32 row, guint32 column, float (*levels)[256], float *out)
{
  guint32 side = p->tile_size;
  for (int c = 0; c < 3; c++)
    for (guint32 y = 0; y < side; y++)
      for (guint32 x = 0; x < side; x++) {
        gsize py = (gsize) row * side + y, px = (gsize) column * side + x;
        *out++ = levels[c][py < height && px < width ? rgb[(py * width + px) * 3 + c] : 0];
      }
}

gboolean
vj_preprocess_image (const VjPreprocess *preprocess, const VjPixels *pixels, VjTiles *ret_tiles, GError **error)
{
  VjTiles tiles = {0};
  guint32 width = 0, height = 0;
  float levels[3][256];
  if (pixels->rgb == NULL || pixels->width < 1 || pixels->height < 1 || pixels->width > VJ_PREPROCESS_MAX_SIDE || pixels->height > VJ_PREPROCESS_MAX_SIDE)
    return vj_fail (error, VJ_EXIT_DATA, "image %s: %u x %u pixels: expected sides from 1 to %u; drop or scale it", pixels->digest ? pixels->digest : "",
                    pixels->width, pixels->height, VJ_PREPROCESS_MAX_SIDE);
  choose_canvas (preprocess, pixels->width, pixels->height, &tiles);
  fit_canvas (preprocess, &tiles, pixels->width, pixels->height, &width, &height);
  gsize tile = (gsize) 3 * preprocess->tile_size * preprocess->tile_size;
  tiles.pixels = g_try_new (float, tile * tiles.n_tiles);
  if (tiles.pixels == NULL)
    return vj_fail (error, VJ_EXIT_LIMIT, "image %s: no memory for %u tiles; free some", pixels->digest ? pixels->digest : "", tiles.n_tiles);
  g_autofree guint8 *rgb = vj_resample_bilinear (pixels->rgb, pixels->width, pixels->height, width, height);
  fill_levels (preprocess, levels);
  for (guint32 i = 0; i < tiles.n_tiles; i++)
    fill_tile (preprocess, rgb, width, height, i / tiles.columns, i % tiles.columns, levels, tiles.pixels + i * tile);
  *ret_tiles = tiles;
  return TRUE;
}

void
vj_tiles_clear (VjTiles *tiles)
{
  g_free (tiles->pixels);
  *tiles = (VjTiles){0};
}
