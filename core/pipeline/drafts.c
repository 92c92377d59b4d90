/* What sources and evaluators yield: drafts, named and stored. */
#include "pipeline/context.h"

#include <string.h>
#include "base/file.h"

#define KEY_BYTES 64

/* A source's own key as part of an id: letters, digits, '-' and '_' stay; any other key is named by its digest, so
 * that no key can look like another record's id. */
static char *
id_part (const char *key, guint64 index)
{
  if (key == NULL || key[0] == '\0')
    return g_strdup_printf ("%06" G_GUINT64_FORMAT, index);
  gsize length = strlen (key);
  gboolean plain = length <= KEY_BYTES;
  for (gsize i = 0; plain && i < length; i++)
    plain = g_ascii_isalnum (key[i]) || key[i] == '-' || key[i] == '_';
  if (plain)
    return g_strconcat ("k", key, NULL);
  g_autofree char *digest = g_compute_checksum_for_string (G_CHECKSUM_SHA256, key, (gssize) length);
  return g_strdup_printf ("x%.16s", digest);
}

/* The first record that a run takes from a data file fixes the file's content: a later stage that found another would
 * number other records alike. A file that yielded nothing may still be mended. `fix` FALSE: only compare. Files are the
 * plugin's path options that name one; folders of images are held to by the images' digests. */
static gboolean
pin_file (VjContext *context, const VjRecipePlugin *entry, const VjOption *option, const char *path, gboolean fix,
          GError **error)
{
  g_autofree char *key = g_strconcat ("data ", path, NULL), *known = NULL, *digest = NULL;

  if (!g_file_test (path, G_FILE_TEST_IS_REGULAR))
    return TRUE;
  if (!vj_store_meta_get (context->store, key, &known, error))
    return FALSE;
  if (known == NULL && !fix)
    return TRUE;
  if (!(digest = vj_sha256_file (path, error)))
    return FALSE;
  if (known == NULL)
    return vj_store_meta_set (context->store, key, digest, error);
  return strcmp (known, digest) == 0
         || vj_fail (error, VJ_EXIT_DATA, "%s.%s: '%s': the data set changed since this run began with it; put the old one back, "
                     "or start a new run with --run-dir", entry->path, option->name, path);
}

static gboolean
pin_files (VjContext *context, const VjRecipePlugin *entry, VjInstance *instance, gboolean fix, GError **error)
{
  const char *self = vj_instance_self (instance);
  for (const VjOption *option = entry->plugin->options; option != NULL && option->name != NULL; option++) {
    const char *path = option->type == VJ_OPTION_PATH ? *(char *const *) (gconstpointer) (self + option->offset) : NULL;
    if (path != NULL && !pin_file (context, entry, option, path, fix, error))
      return FALSE;
  }
  return TRUE;
}

gboolean
vj_drafter_init (VjDrafter *drafter, VjContext *context, const VjRecipePlugin *entry, const char *stream, const char *prefix,
                 GError **error)
{
  vj_run_aim (context->run, stream, "start", 0, 0, 0);
  VjInstance *instance = vj_instance_new (entry->plugin, entry->node, NULL, context->run, error);
  if (instance == NULL)
    return FALSE;
  if (!pin_files (context, entry, instance, FALSE, error)) {
    vj_instance_free (instance);
    return FALSE;
  }
  *drafter = (VjDrafter){.entry = entry,
                         .instance = instance,
                         .draft = vj_draft_new (),
                         .keys = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL),
                         .stream = g_strdup (stream),
                         .prefix = g_strdup (prefix),
                         .limit = entry->count,
                         .evaluator = entry->role == VJ_ROLE_EVALUATOR};
  return TRUE;
}

void
vj_drafter_clear (VjDrafter *drafter)
{
  g_clear_pointer (&drafter->instance, vj_instance_free);
  g_clear_pointer (&drafter->draft, vj_draft_free);
  g_clear_pointer (&drafter->keys, g_hash_table_unref);
  g_clear_pointer (&drafter->stream, g_free);
  g_clear_pointer (&drafter->prefix, g_free);
}

/* Two records of one key: both are in the data, but only one can have the id. */
static void
quarantine_double (VjDrafter *drafter)
{
  g_autofree char *detail = g_strdup_printf ("key '%s'", drafter->draft->key != NULL ? drafter->draft->key : "");
  vj_draft_reason (drafter->draft, "its key is that of an earlier record");
  vj_draft_detail (drafter->draft, detail);
}

VjFlow
vj_drafter_next (VjDrafter *drafter, VjContext *context, char **ret_id, GError **error)
{
  const VjPlugin *plugin = vj_instance_plugin (drafter->instance);
  VjFlow flow;

  if (drafter->limit >= 0 && drafter->index >= (guint64) drafter->limit)
    return VJ_FLOW_END;
  vj_draft_clear (drafter->draft);
  vj_run_aim (context->run, drafter->stream, "", drafter->index, drafter->index, 0);
  if (drafter->evaluator)
    flow = VJ_INSTANCE_FLOW (drafter->instance, VjEvaluatorOps, next, VJ_FLOWS_NEXT, error, context->run,
                             drafter->draft);
  else
    flow = VJ_INSTANCE_FLOW (drafter->instance, VjSourceOps, next, VJ_FLOWS_NEXT, error, context->run, drafter->draft);
  if (flow == VJ_FLOW_ERROR || flow == VJ_FLOW_END)
    return flow;
  if (drafter->index == 0 && !pin_files (context, drafter->entry, drafter->instance, TRUE, error))
    return VJ_FLOW_ERROR;
  if (flow == VJ_FLOW_OK && !vj_draft_check (drafter->draft, plugin->name, error))
    return VJ_FLOW_ERROR;

  g_autofree char *part = id_part (drafter->draft->key, drafter->index);
  if (!g_hash_table_add (drafter->keys, g_strdup (part))) {
    quarantine_double (drafter);
    flow = VJ_FLOW_SKIP;
  }
  if (flow != VJ_FLOW_OK && drafter->draft->place == NULL) {
    g_autofree char *place = g_strdup_printf ("record %" G_GUINT64_FORMAT, drafter->index);
    vj_draft_place (drafter->draft, place);
  }
  /* A quarantined record gets a name that no key can have: its own key may be missing or taken. */
  *ret_id = flow == VJ_FLOW_OK ? g_strconcat (drafter->prefix, part, NULL)
                               : g_strdup_printf ("%s!%06" G_GUINT64_FORMAT, drafter->prefix, drafter->index);
  drafter->index++;
  return flow == VJ_FLOW_OK ? VJ_FLOW_OK : VJ_FLOW_SKIP;
}

static gboolean
store_images (VjDraft *draft, VjStore *store, VjRecord *record, GError **error)
{
  for (guint i = 0; i < draft->images->len; i++) {
    const VjImage *image = draft->images->pdata[i];
    if (!vj_store_image_put (store, image, error))
      return FALSE;
    vj_record_add_image (record, vj_image_digest (image));
  }
  return TRUE;
}

gboolean
vj_draft_store (VjDraft *draft, VjContext *context, const VjStep *step, VjRecordKind kind, const char *id,
                const char *plugin, VjFlow flow, GError **error)
{
  g_autoptr (VjRecord) record = vj_record_new (kind, step->iteration, id);

  vj_record_set_text (record, "prompt", draft->prompt ? draft->prompt : "");
  vj_record_set_text (record, "form", draft->form == VJ_FORM_CLOSED ? "closed" : "open");
  vj_record_set_text (record, "category", draft->category);
  vj_record_set_text (record, kind == VJ_RECORD_CASE ? "evaluator" : "source", plugin);
  vj_record_set_text (record, "key", draft->key);
  if (kind == VJ_RECORD_CASE) {
    vj_record_set_text (record, "chosen", draft->chosen);
    vj_record_set_text (record, "rejected", draft->rejected);
    vj_record_set_text (record, "how", draft->how);
  }
  if (!store_images (draft, context->store, record, error)
      || !vj_store_record_put (context->store, step->name, record, error))
    return FALSE;
  if (draft->gold != NULL && !vj_store_gold_put (context->store, id, draft->gold, error))
    return FALSE;
  return flow == VJ_FLOW_OK
         || vj_store_quarantine (context->store, id, step->name, draft->reason ? draft->reason : "no reason given",
                                 draft->place, draft->detail, error);
}
