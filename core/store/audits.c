/* Figures of audits: one JSON text a stage, kept among the named texts. */
#include "store/internal.h"

#define PREFIX "audit:" /* of the names of stages that audit */

gboolean
vj_store_audit_put (VjStore *store, guint iteration, const char *stage, const char *figures, GError **error)
{
  g_autofree char *key = g_strdup_printf ("figures %u %s", iteration, stage);
  return vj_store_meta_set (store, key, figures, error);
}

gboolean
vj_store_audits (VjStore *store, int iteration, GPtrArray **ret_figures, GError **error)
{
  g_autoptr (GPtrArray) stages = NULL, found = g_ptr_array_new_with_free_func (g_free);

  if (!vj_store_stages (store, &stages, error))
    return FALSE;
  for (guint i = 0; i < stages->len; i++) {
    const VjStage *stage = stages->pdata[i];
    g_autofree char *key = g_strdup_printf ("figures %u %s", stage->iteration, stage->name), *figures = NULL;
    if (!g_str_has_prefix (stage->name, PREFIX) || (iteration != VJ_ANY && stage->iteration != (guint) iteration))
      continue;
    if (!vj_store_meta_get (store, key, &figures, error))
      return FALSE;
    if (figures != NULL)
      g_ptr_array_add (found, g_steal_pointer (&figures));
  }
  *ret_figures = g_steal_pointer (&found);
  return TRUE;
}
