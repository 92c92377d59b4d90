/* Helper of check_pictures.py: tile-images CONFIG.json OUTPUT.safetensors FILE... decodes each image file, prepares it
 * as CONFIG.json says and writes its tiles as "N" [tiles, 3, S, S] and its aspect ratio id as "N.id". */
#include "engine/preprocess.h"
#include "image/image.h"
#include "tensor/safetensors.h"

#include <stdio.h>

typedef struct {
  GArray *tensors; /* VjTensor */
  GPtrArray *owned;
} Output;

static void
put (Output *output, char *name, float *values, guint n_dims, const gsize *dims)
{
  VjTensor tensor = {.name = name, .n_dims = n_dims, .n_elements = 1, .data = values};
  for (guint i = 0; i < n_dims; i++)
    tensor.n_elements *= tensor.dims[i] = dims[i];
  g_array_append_val (output->tensors, tensor);
  g_ptr_array_add (output->owned, name);
  g_ptr_array_add (output->owned, values);
}

static gboolean
tile (const VjPreprocess *preprocess, const char *file, guint i, Output *output, GError **error)
{
  g_autofree char *data = NULL;
  gsize length;
  VjPixels pixels = {0};
  VjTiles tiles = {0};
  if (!g_file_get_contents (file, &data, &length, error))
    return FALSE;
  g_autoptr (VjImage) image = vj_image_new_from_data (data, length, file, error);
  if (image == NULL || !vj_image_decode (image, &pixels, error) ||
      !vj_preprocess_image (preprocess, &pixels, &tiles, error))
    return FALSE;
  gsize side = preprocess->tile_size, dims[] = {tiles.n_tiles, 3, side, side}, one = 1;
  float *id = g_new (float, 1);
  *id = (float) tiles.aspect_ratio_id;
  put (output, g_strdup_printf ("%u", i), tiles.pixels, 4, dims);
  put (output, g_strdup_printf ("%u.id", i), id, 1, &one);
  g_free ((gpointer) pixels.rgb);
  return TRUE;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  VjPreprocess preprocess;
  Output output = {g_array_new (FALSE, FALSE, sizeof (VjTensor)), g_ptr_array_new_with_free_func (g_free)};
  if (argc < 4)
    return 2;
  gboolean done = vj_preprocess_load (argv[1], &preprocess, &error);
  for (int i = 3; done && i < argc; i++)
    done = tile (&preprocess, argv[i], (guint) (i - 3), &output, &error);
  done = done && vj_safetensors_save (argv[2], (const VjTensor *) (gpointer) output.tensors->data, output.tensors->len,
                                      NULL, &error);
  if (!done)
    fprintf (stderr, "%s\n", error->message);
  g_array_unref (output.tensors);
  g_ptr_array_unref (output.owned);
  return done ? 0 : 1;
}
