/* Records: building, reading and JSON. What is checked is in record-check.c. */
#include "record/record.h"
#include "base/file.h"
#include "record/fields.h"

#include <string.h>

VjRecord *
vj_record_new (VjRecordKind kind, guint iteration, const char *id)
{
  VjRecord *record = g_new (VjRecord, 1);
  *record = (VjRecord){g_strdup (id), kind, iteration, g_new0 (char *, 1), json_object ()};
  /* Required even when there is none. */
  if (vj_fields_find (kind, "images") != NULL)
    json_object_set_new (record->fields, "images", json_array ());
  return record;
}

void
vj_record_free (VjRecord *record)
{
  if (record == NULL)
    return;
  g_free ((char *) record->id);
  g_strfreev (record->parents);
  json_decref (record->fields);
  g_free (record);
}

void
vj_record_add_parent (VjRecord *record, const char *id)
{
  guint n = g_strv_length (record->parents);
  record->parents = g_renew (char *, record->parents, n + 2);
  record->parents[n] = g_strdup (id);
  record->parents[n + 1] = NULL;
}

static const char *const kinds[] = {
#define VJ__KIND_NAME(name, text, doc) text,
  VJ_RECORD_KIND_TABLE (VJ__KIND_NAME)
#undef VJ__KIND_NAME
};

const char *
vj_record_kind_name (VjRecordKind kind)
{
  return kinds[kind];
}

gboolean
vj_record_kind_from_name (const char *name, VjRecordKind *ret_kind)
{
  for (guint i = 0; name != NULL && i < VJ_RECORD_N_KINDS; i++)
    if (strcmp (name, kinds[i]) == 0) {
      *ret_kind = (VjRecordKind) i;
      return TRUE;
    }
  return FALSE;
}

/* -- setting ---------------------------------------------------------------------- */

/* Model text may hold anything; a record holds UTF-8 without NUL. */
static json_t *
text_to_json (const char *text)
{
  g_autofree char *valid = NULL;
  if (!g_utf8_validate (text, -1, NULL))
    text = valid = g_utf8_make_valid (text, -1);
  return json_string (text);
}

void
vj_record_set_text (VjRecord *record, const char *field, const char *text)
{
  if (text != NULL)
    json_object_set_new (record->fields, field, text_to_json (text));
}

void
vj_record_set_integer (VjRecord *record, const char *field, gint64 value)
{
  json_object_set_new (record->fields, field, json_integer (value));
}

void
vj_record_set_real (VjRecord *record, const char *field, double value)
{
  json_t *json = json_real (value);
  if (json != NULL) /* NULL: not finite; the check then misses the field or has no cause to */
    json_object_set_new (record->fields, field, json);
}

void
vj_record_set_flag (VjRecord *record, const char *field, gboolean value)
{
  json_object_set_new (record->fields, field, json_boolean (value));
}

static json_t *
array_of (VjRecord *record, const char *field)
{
  json_t *array = json_object_get (record->fields, field);
  if (!json_is_array (array)) {
    array = json_array ();
    json_object_set_new (record->fields, field, array);
  }
  return array;
}

void
vj_record_add_image (VjRecord *record, const char *digest)
{
  json_array_append_new (array_of (record, "images"), json_string (digest));
}

void
vj_record_add_degraded (VjRecord *record, const char *digest)
{
  json_array_append_new (array_of (record, "degraded"), json_string (digest));
}

void
vj_record_set_changes (VjRecord *record, const VjSpan *spans, gsize n)
{
  json_object_set_new (record->fields, "changes",
                       vj_spans_to_json (vj_record_text (record, "chosen"), vj_record_text (record, "rejected"), spans, n));
}

void
vj_record_add_message (VjRecord *record, const char *speaker, const char *text, const char *const *digests)
{
  json_t *images = json_array ();
  for (guint i = 0; digests != NULL && digests[i] != NULL; i++)
    json_array_append_new (images, json_string (digests[i]));
  json_array_append_new (array_of (record, "messages"),
                         json_pack ("{s:s, s:o, s:o}", "speaker", speaker, "text", text_to_json (text), "images", images));
}

/* -- reading ---------------------------------------------------------------------- */

const char *
vj_record_text (const VjRecord *record, const char *field)
{
  return json_string_value (json_object_get (record->fields, field));
}

gint64
vj_record_integer (const VjRecord *record, const char *field)
{
  return json_integer_value (json_object_get (record->fields, field));
}

double
vj_record_real (const VjRecord *record, const char *field)
{
  return json_number_value (json_object_get (record->fields, field));
}

gboolean
vj_record_flag (const VjRecord *record, const char *field)
{
  return json_is_true (json_object_get (record->fields, field));
}

gsize
vj_record_n_images (const VjRecord *record)
{
  return json_array_size (json_object_get (record->fields, "images"));
}

const char *
vj_record_image (const VjRecord *record, gsize index)
{
  return json_string_value (json_array_get (json_object_get (record->fields, "images"), index));
}

const json_t *
vj_record_changes (const VjRecord *record)
{
  return json_object_get (record->fields, "changes");
}

const char *
vj_record_digest (const VjRecord *record, gsize index)
{
  for (const VjField *f = NULL; (f = vj_fields_next (record->kind, f)) != NULL;) {
    const json_t *list = f->type == VJ_FIELD_IMAGES ? json_object_get (record->fields, f->name) : NULL;
    if (index < json_array_size (list))
      return json_string_value (json_array_get (list, index));
    index -= json_array_size (list);
  }
  return NULL;
}

/* -- JSON ------------------------------------------------------------------------- */

json_t *
vj_record_to_json (const VjRecord *record)
{
  json_t *json = json_object (), *parents = json_array ();
  for (guint i = 0; record->parents[i] != NULL; i++)
    json_array_append_new (parents, json_string (record->parents[i]));
  json_object_update (json, record->fields);
  json_object_set_new (json, "id", json_string (record->id));
  json_object_set_new (json, "kind", json_string (kinds[record->kind]));
  json_object_set_new (json, "iteration", json_integer (record->iteration));
  json_object_set_new (json, "parents", parents);
  return json;
}

char *
vj_record_to_text (const VjRecord *record)
{
  json_t *json = vj_record_to_json (record);
  char *text = vj_json_canonical (json);
  json_decref (json);
  return text;
}

static gboolean
fail_read (GError **error, const char *where, const char *what)
{
  g_autofree char *shown = vj_quote (where, 0);
  return vj_fail (error, VJ_EXIT_DATA, "%s: not a record: %s; it must follow schemas/record.schema.json", shown, what);
}

/* The four members every record has. */
static VjRecord *
read_head (const json_t *json, const char *where, GError **error)
{
  const json_t *id = json_object_get (json, "id"), *iteration = json_object_get (json, "iteration");
  const json_t *parents = json_object_get (json, "parents");
  VjRecordKind kind;
  VjRecord *record;

  if (!json_is_string (id)) {
    fail_read (error, where, "no text 'id'");
    return NULL;
  }
  if (!vj_record_kind_from_name (json_string_value (json_object_get (json, "kind")), &kind)) {
    fail_read (error, where, "no 'kind' that we know");
    return NULL;
  }
  if (!json_is_integer (iteration) || json_integer_value (iteration) < 0 || json_integer_value (iteration) > G_MAXINT) {
    fail_read (error, where, "no 'iteration' from 0 on");
    return NULL;
  }
  if (!json_is_array (parents)) {
    fail_read (error, where, "no list 'parents'");
    return NULL;
  }
  record = vj_record_new (kind, (guint) json_integer_value (iteration), json_string_value (id));
  for (size_t i = 0; i < json_array_size (parents); i++) {
    const char *parent = json_string_value (json_array_get (parents, i));
    if (parent == NULL) {
      fail_read (error, where, "a parent is not a text");
      vj_record_free (record);
      return NULL;
    }
    vj_record_add_parent (record, parent);
  }
  return record;
}

VjRecord *
vj_record_from_json (const json_t *json, const char *where, GError **error)
{
  g_autoptr (VjRecord) record = NULL;
  g_autoptr (GError) cause = NULL;
  const char *key;
  json_t *value;

  if (!json_is_object (json)) {
    fail_read (error, where, "not an object");
    return NULL;
  }
  record = read_head (json, where, error);
  if (record == NULL)
    return NULL;
  json_decref (record->fields);
  record->fields = json_deep_copy (json);
  json_object_foreach ((json_t *) json, key, value)
    if (vj_fields_is_head (key))
      json_object_del (record->fields, key);
  if (!vj_record_check (record, &cause)) {
    g_autofree char *shown = vj_quote (where, 0);
    vj_fail (error, VJ_EXIT_DATA, "%s: %s", shown, cause->message);
    return NULL;
  }
  return g_steal_pointer (&record);
}

VjRecord *
vj_record_from_text (const char *text, gsize length, const char *where, GError **error)
{
  json_t *json = vj_json_parse (text, length, where, error);
  VjRecord *record = json != NULL ? vj_record_from_json (json, where, error) : NULL;
  json_decref (json);
  return record;
}
