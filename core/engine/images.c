/* Images the engine has been shown: each is encoded once while it is worth its
 * memory, and shared by every sequence that shows it. */
#include "engine/engine-private.h"

/* Unused encodings kept where no memory limit is known; else half of it, so that a run encodes an image once if it can. */
#define IDLE_BYTES ((gsize) 1 << 30)
/* Images encoded in one call: bounds what the vision tower's activations take. */
#define ENCODE_AT_ONCE 16

static void
image_free (gpointer data)
{
  VjShownImage *image = data;
  g_clear_pointer (&image->vision, vj_mllama_vision_unref);
  g_free (image->digest);
  g_free (image->rgb);
  g_free (image);
}

void
vj_image_store_init (VjImageStore *store)
{
  *store = (VjImageStore){.by_digest = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, image_free)};
}

void
vj_image_store_done (VjImageStore *store)
{
  g_clear_pointer (&store->by_digest, g_hash_table_unref);
}

static char *
name_pixels (const VjPixels *pixels, gsize length)
{
  if (pixels->digest != NULL && *pixels->digest != '\0')
    return g_strdup (pixels->digest);
  g_autofree char *sum = g_compute_checksum_for_data (G_CHECKSUM_SHA256, pixels->rgb, length);
  return g_strdup_printf ("%ux%u:%s", pixels->width, pixels->height, sum);
}

VjShownImage *
vj_image_hold (VjEngine *engine, const VjPixels *pixels)
{
  gsize length = (gsize) pixels->width * pixels->height * 3;
  g_autofree char *digest = name_pixels (pixels, length);
  VjShownImage *image = g_hash_table_lookup (engine->images.by_digest, digest);
  if (image == NULL) {
    image = g_new0 (VjShownImage, 1);
    image->digest = g_steal_pointer (&digest);
    image->width = pixels->width;
    image->height = pixels->height;
    g_hash_table_insert (engine->images.by_digest, image->digest, image);
  }
  if (image->rgb == NULL)
    image->rgb = g_memdup2 (pixels->rgb, length);
  image->holders++;
  return image;
}

/* Drops the encoding of an image that is not in use. */
static void
drop_encoding (VjEngine *engine, VjShownImage *image)
{
  g_queue_unlink (&engine->images.idle, &image->idle);
  g_clear_pointer (&image->vision, vj_mllama_vision_unref);
  engine->memory_used -= vj_mllama_vision_bytes (engine->model);
  if (image->holders == 0)
    g_hash_table_remove (engine->images.by_digest, image->digest);
}

gboolean
vj_images_drop (VjEngine *engine)
{
  if (engine->images.idle.head == NULL)
    return FALSE;
  drop_encoding (engine, engine->images.idle.head->data);
  return TRUE;
}

void
vj_image_use (VjEngine *engine, VjShownImage *image)
{
  if (image->users++ > 0)
    return;
  if (image->vision != NULL)
    g_queue_unlink (&engine->images.idle, &image->idle);
  else
    engine->memory_used += vj_mllama_vision_bytes (engine->model);
}

void
vj_image_rest (VjEngine *engine, VjShownImage *image)
{
  if (--image->users > 0)
    return;
  if (image->vision == NULL) {
    engine->memory_used -= vj_mllama_vision_bytes (engine->model);
    return;
  }
  image->idle = (GList){.data = image};
  g_queue_push_tail_link (&engine->images.idle, &image->idle);
  gsize most = engine->cache_limit == G_MAXSIZE ? IDLE_BYTES : engine->cache_limit / 2;
  while (engine->images.idle.length > most / MAX (vj_mllama_vision_bytes (engine->model), 1))
    drop_encoding (engine, engine->images.idle.head->data);
}

void
vj_image_release (VjEngine *engine, VjShownImage *image)
{
  if (--image->holders > 0)
    return;
  g_clear_pointer (&image->rgb, g_free);
  if (image->vision == NULL)
    g_hash_table_remove (engine->images.by_digest, image->digest);
}

static gboolean
encode_some (VjEngine *engine, VjShownImage *const *images, gsize n, GError **error)
{
  VjTiles tiles[ENCODE_AT_ONCE] = {0};
  VjMllamaImage inputs[ENCODE_AT_ONCE];
  VjMllamaVision *visions[ENCODE_AT_ONCE];
  gboolean done = TRUE;
  for (gsize i = 0; i < n && done; i++) {
    VjPixels pixels = {images[i]->rgb, images[i]->width, images[i]->height, images[i]->digest};
    done = vj_preprocess_image (&engine->preprocess, &pixels, &tiles[i], error);
    inputs[i] = (VjMllamaImage){tiles[i].pixels, tiles[i].n_tiles, tiles[i].aspect_ratio_id};
  }
  done = done && vj_mllama_encode (engine->model, inputs, n, visions, error);
  for (gsize i = 0; i < n; i++) {
    vj_tiles_clear (&tiles[i]);
    if (!done)
      continue;
    images[i]->vision = visions[i];
    engine->work.images++;
  }
  return done;
}

gboolean
vj_images_encode (VjEngine *engine, VjShownImage *const *images, gsize n, GError **error)
{
  VjShownImage *batch[ENCODE_AT_ONCE];
  g_autoptr (GHashTable) taken = g_hash_table_new (NULL, NULL);
  gsize waiting = 0;
  for (gsize i = 0; i < n; i++) {
    if (images[i]->vision != NULL || !g_hash_table_add (taken, images[i]))
      continue;
    batch[waiting++] = images[i];
    if (waiting == ENCODE_AT_ONCE) {
      if (!encode_some (engine, batch, waiting, error))
        return FALSE;
      waiting = 0;
    }
  }
  return waiting == 0 || encode_some (engine, batch, waiting, error);
}
