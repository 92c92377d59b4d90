/* Records as plugins see them. */
#include "pipeline/context.h"

#include <string.h>

VjStored *
vj_load_stored (VjStore *store, const char *id, GError **error)
{
  VjStored *stored = NULL;
  if (!vj_store_record_get (store, id, &stored, error))
    return NULL;
  if (stored == NULL)
    vj_fail (error, VJ_EXIT_BUG, "store: '%s': record is missing; another record names it", id);
  return stored;
}

gboolean
vj_load_ids (VjStore *store, const VjStoreQuery *query, VjStoredFits fits, gpointer data, GPtrArray *ids, GError **error)
{
  g_autoptr (VjStoreCursor) cursor = vj_store_walk (store, query);
  for (;;) {
    g_autoptr (VjStored) stored = NULL;
    if (!vj_store_walk_next (cursor, &stored, error))
      return FALSE;
    if (stored == NULL)
      return TRUE;
    if (fits == NULL || fits (data, stored))
      g_ptr_array_add (ids, g_strdup (stored->record->id));
  }
}

static void
unref_image (gpointer image)
{
  vj_image_unref (image);
}

gboolean
vj_loaded_init (VjLoaded *loaded, VjStore *store, const char *id, GError **error)
{
  g_autoptr (VjStored) stored = vj_load_stored (store, id, error);
  g_autoptr (GPtrArray) images = g_ptr_array_new_with_free_func (unref_image);

  if (stored == NULL)
    return FALSE;
  const VjRecord *record = stored->record;
  for (gsize i = 0; i < vj_record_n_images (record); i++) {
    VjImage *image = NULL;
    if (!vj_store_image_get (store, vj_record_image (record, i), &image, error))
      return FALSE;
    if (image == NULL)
      return vj_fail (error, VJ_EXIT_BUG, "store: '%s': image %s is missing", id, vj_record_image (record, i));
    g_ptr_array_add (images, image);
  }
  const char *category = vj_record_text (record, "category");
  loaded->question = (VjQuestion){.id = record->id,
                                  .prompt = vj_record_text (record, "prompt"),
                                  .category = category ? category : "",
                                  .form = g_strcmp0 (vj_record_text (record, "form"), "closed") == 0 ? VJ_FORM_CLOSED
                                                                                                       : VJ_FORM_OPEN,
                                  .images = (const VjImage *const *) images->pdata,
                                  .n_images = images->len};
  loaded->stored = g_steal_pointer (&stored);
  loaded->images = g_steal_pointer (&images);
  return TRUE;
}

void
vj_loaded_clear (VjLoaded *loaded)
{
  g_clear_pointer (&loaded->stored, vj_stored_free);
  g_clear_pointer (&loaded->images, g_ptr_array_unref);
  loaded->question = (VjQuestion){0};
}
