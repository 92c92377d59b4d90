/* Who made what. */
#include "report/lineage.h"

#include <string.h>

static char *
key_of (guint iteration, const char *stage)
{
  return g_strdup_printf ("lineage %u %s", iteration, stage);
}

/* Takes `lineage`. */
static gboolean
put (VjStore *store, guint iteration, const char *stage, json_t *lineage, char **ret_text, GError **error)
{
  g_autofree char *key = key_of (iteration, stage), *text = vj_json_canonical (lineage);
  json_decref (lineage);
  if (!vj_store_meta_set (store, key, text, error))
    return FALSE;
  if (ret_text != NULL)
    *ret_text = g_strconcat (text, "\n", NULL);
  return TRUE;
}

gboolean
vj_lineage_put_model (VjStore *store, guint iteration, const char *stage, const VjLineageModel *model, GError **error)
{
  return put (store, iteration, stage, json_pack ("{s:s, s:s}", "model", model->model, "identity", model->identity), NULL, error);
}

gboolean
vj_lineage_put_training (VjStore *store, guint iteration, const char *stage, const VjLineageTraining *training, char **ret_text,
                         GError **error)
{
  g_autofree char *title = g_strdup_printf ("iteration %u: %s", iteration, stage);
  json_t *ablation = NULL;
  if (!vj_store_ablation_get (store, &ablation, error))
    return FALSE;
  json_t *lineage
    = json_pack ("{s:s, s:{s:s, s:s}, s:[I, I], s:I}", "stage", title, "parent", "model", training->parent.model, "identity",
                 training->parent.identity, "iterations", (json_int_t) training->first, (json_int_t) training->last, "traces",
                 (json_int_t) training->traces);
  if (ablation != NULL)
    json_object_set_new (lineage, "ablation", ablation);
  return put (store, iteration, stage, lineage, ret_text, error);
}

gboolean
vj_lineage_get (VjStore *store, guint iteration, const char *stage, json_t **ret_lineage, GError **error)
{
  g_autofree char *key = key_of (iteration, stage), *text = NULL;
  json_t *lineage = NULL;

  if (!vj_store_meta_get (store, key, &text, error))
    return FALSE;
  if (text != NULL && (lineage = vj_json_parse (text, strlen (text), key, error)) == NULL)
    return FALSE;
  *ret_lineage = lineage;
  return TRUE;
}
