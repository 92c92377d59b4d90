/* What makes a run an ablation, among the named texts. */
#include "store/store.h"

#include <string.h>

#define META_LABELS "ablation"      /* as iteration.labels is called                 */
#define META_GOLD "gold filter %u"  /* its iteration; the text itself says nothing   */
#define STAGE_GOLD "sample"         /* a note of before it was undone counts no more */

gboolean
vj_store_ablation_labels (VjStore *store, const char *labels, GError **error)
{
  return vj_store_meta_set (store, META_LABELS, labels, error);
}

gboolean
vj_store_ablation_gold (VjStore *store, guint iteration, gboolean used, GError **error)
{
  g_autofree char *key = g_strdup_printf (META_GOLD, iteration);
  return vj_store_meta_set (store, key, used ? "used" : NULL, error);
}

static gboolean
gold_was_used (VjStore *store, gboolean *ret_used, GError **error)
{
  g_autoptr (GPtrArray) stages = NULL;
  gboolean used = FALSE;

  if (!vj_store_stages (store, &stages, error))
    return FALSE;
  for (guint i = 0; !used && i < stages->len; i++) {
    const VjStage *stage = stages->pdata[i];
    g_autofree char *key = g_strdup_printf (META_GOLD, stage->iteration), *text = NULL;
    if (strcmp (stage->name, STAGE_GOLD) != 0)
      continue;
    if (!vj_store_meta_get (store, key, &text, error))
      return FALSE;
    used = text != NULL;
  }
  *ret_used = used;
  return TRUE;
}

gboolean
vj_store_ablation_get (VjStore *store, json_t **ret_marks, GError **error)
{
  g_autofree char *labels = NULL;
  gboolean gold;

  if (!vj_store_meta_get (store, META_LABELS, &labels, error) || !gold_was_used (store, &gold, error))
    return FALSE;
  json_t *marks = labels != NULL || gold ? json_object () : NULL;
  if (labels != NULL)
    json_object_set_new (marks, "labels", json_string (labels));
  if (gold)
    json_object_set_new (marks, "gold", json_string ("filter"));
  *ret_marks = marks;
  return TRUE;
}
