/* The field table at work: the check of a record, and its JSON Schema. */
#include "base/file.h"
#include "record/fields.h"

#include <math.h>
#include <string.h>

static const VjField fields[] = {
#define VJ__FIELD_ROW(kind, name, type, required, choices, doc) \
  {VJ_RECORD_##kind, name, VJ_FIELD_##type, required, choices, doc},
  VJ_RECORD_FIELDS (VJ__FIELD_ROW)
#undef VJ__FIELD_ROW
};

const VjField *
vj_fields_next (VjRecordKind kind, const VjField *after)
{
  for (const VjField *f = after == NULL ? fields : after + 1; f < fields + G_N_ELEMENTS (fields); f++)
    if (f->kind == kind)
      return f;
  return NULL;
}

const VjField *
vj_fields_find (VjRecordKind kind, const char *name)
{
  for (const VjField *f = NULL; (f = vj_fields_next (kind, f)) != NULL;)
    if (strcmp (f->name, name) == 0)
      return f;
  return NULL;
}

gboolean
vj_fields_is_head (const char *key)
{
  static const char *const head[] = {"id", "kind", "iteration", "parents", NULL};
  return g_strv_contains (head, key);
}

/* -- the check --------------------------------------------------------------------- */

static gboolean
is_choice (const char *choices, const char *value)
{
  g_auto (GStrv) list = g_strsplit (choices, "|", -1);
  return value != NULL && g_strv_contains ((const char *const *) list, value);
}

static gboolean
is_images (const json_t *value)
{
  if (!json_is_array (value))
    return FALSE;
  for (size_t i = 0; i < json_array_size (value); i++)
    if (!vj_sha256_is (json_string_value (json_array_get (value, i))))
      return FALSE;
  return TRUE;
}

static gboolean
is_messages (const json_t *value)
{
  if (!json_is_array (value) || json_array_size (value) == 0)
    return FALSE;
  for (size_t i = 0; i < json_array_size (value); i++) {
    const json_t *message = json_array_get (value, i);
    if (!json_is_object (message) || json_object_size (message) != 3
        || !is_choice ("system|user|assistant", json_string_value (json_object_get (message, "speaker")))
        || !json_is_string (json_object_get (message, "text")) || !is_images (json_object_get (message, "images")))
      return FALSE;
  }
  return TRUE;
}

static gboolean
is_of_type (const VjField *field, const json_t *value)
{
  switch (field->type) {
  case VJ_FIELD_TEXT:
    return json_is_string (value);
  case VJ_FIELD_CHOICE:
    return is_choice (field->choices, json_string_value (value));
  case VJ_FIELD_INTEGER:
    return json_is_integer (value) && json_integer_value (value) >= 0
           && json_integer_value (value) <= ((gint64) 1 << 53);
  case VJ_FIELD_REAL:
    return json_is_number (value) && isfinite (json_number_value (value));
  case VJ_FIELD_FLAG:
    return json_is_boolean (value);
  case VJ_FIELD_IMAGES:
    return is_images (value);
  case VJ_FIELD_MESSAGES:
    return is_messages (value);
  case VJ_FIELD_CHANGES:
    return json_is_array (value) && json_array_size (value) > 0; /* the rest needs both answers: see changes_hold */
  }
  return FALSE;
}

static gboolean
is_id (const char *id)
{
  gsize length = strlen (id);
  if (length == 0 || length > 200 || !g_utf8_validate (id, (gssize) length, NULL))
    return FALSE;
  for (const char *p = id; *p != '\0'; p++)
    if ((guchar) *p < 0x20 || *p == 0x7f)
      return FALSE;
  return TRUE;
}

static const char *
type_words (VjFieldType type)
{
  static const char *const words[] = {"a text",        "one of the known words", "a whole number from 0 on",
                                      "a finite number", "true or false",        "a list of pixel digests",
                                      "a list of {speaker, text, images}", "a list of {chosen, before, rejected, after}"};
  return words[type];
}

static gboolean
check_ids (const VjRecord *record, GError **error)
{
  g_autofree char *shown = vj_quote (record->id, 0);
  if (record->id == NULL || !is_id (record->id))
    return vj_fail (error, VJ_EXIT_BUG, "record '%s': an id has 1 to 200 bytes without control characters", shown);
  for (guint i = 0; record->parents[i] != NULL; i++)
    if (!is_id (record->parents[i]))
      return vj_fail (error, VJ_EXIT_BUG, "record '%s': the id of parent %u is none", shown, i + 1);
  return TRUE;
}

/* A pair's changes turn its chosen answer into its rejected one. */
static gboolean
changes_hold (const VjRecord *record)
{
  const json_t *changes = vj_record_changes (record);
  return changes == NULL
         || vj_spans_json_hold (vj_record_text (record, "chosen"), vj_record_text (record, "rejected"), changes);
}

gboolean
vj_record_check (const VjRecord *record, GError **error)
{
  const char *kind = vj_record_kind_name (record->kind), *key;
  json_t *value;

  if (!check_ids (record, error))
    return FALSE;
  for (const VjField *f = NULL; (f = vj_fields_next (record->kind, f)) != NULL;) {
    value = json_object_get (record->fields, f->name);
    if (value == NULL && f->required)
      return vj_fail (error, VJ_EXIT_BUG, "%s '%s': no field '%s', which must be %s", kind, record->id, f->name,
                      type_words (f->type));
    if (value != NULL && !is_of_type (f, value))
      return vj_fail (error, VJ_EXIT_BUG, "%s '%s': field '%s' must be %s%s%s", kind, record->id, f->name,
                      type_words (f->type), f->choices[0] != '\0' ? ": " : "", f->choices);
  }
  json_object_foreach (record->fields, key, value)
    if (vj_fields_find (record->kind, key) == NULL) {
      g_autofree char *shown = vj_quote (key, 80);
      return vj_fail (error, VJ_EXIT_BUG, "%s '%s': a %s has no field '%s'", kind, record->id, kind, shown);
    }
  if (!changes_hold (record))
    return vj_fail (error, VJ_EXIT_BUG, "%s '%s': field 'changes' does not turn 'chosen' into 'rejected'", kind, record->id);
  return TRUE;
}

/* -- the schema ---------------------------------------------------------------------- */

static json_t *
choices_to_json (const char *choices)
{
  g_auto (GStrv) list = g_strsplit (choices, "|", -1);
  json_t *array = json_array ();
  for (guint i = 0; list[i] != NULL; i++)
    json_array_append_new (array, json_string (list[i]));
  return array;
}

static json_t *
type_to_json (const VjField *f)
{
  switch (f->type) {
  case VJ_FIELD_TEXT:
    return json_pack ("{s:s}", "type", "string");
  case VJ_FIELD_CHOICE:
    return json_pack ("{s:o}", "enum", choices_to_json (f->choices));
  case VJ_FIELD_INTEGER:
    return json_pack ("{s:s, s:i, s:I}", "type", "integer", "minimum", 0, "maximum", (json_int_t) 1 << 53);
  case VJ_FIELD_REAL:
    return json_pack ("{s:s}", "type", "number");
  case VJ_FIELD_FLAG:
    return json_pack ("{s:s}", "type", "boolean");
  case VJ_FIELD_IMAGES:
    return json_pack ("{s:s}", "$ref", "#/$defs/images");
  case VJ_FIELD_MESSAGES:
    return json_pack ("{s:s}", "$ref", "#/$defs/messages");
  case VJ_FIELD_CHANGES:
    return json_pack ("{s:s}", "$ref", "#/$defs/changes");
  }
  return NULL;
}

/* The schema of one kind. Heads come first, then the fields in the order of the table. */
static json_t *
kind_to_json (VjRecordKind kind, const char *doc)
{
  json_t *properties = json_pack (
    "{s:{s:s}, s:{s:s}, s:{s:s,s:i}, s:{s:s,s:{s:s}}}", "id", "$ref", "#/$defs/id", "kind", "const",
    vj_record_kind_name (kind), "iteration", "type", "integer", "minimum", 0, "parents", "type", "array", "items", "$ref",
    "#/$defs/id");
  json_t *required = json_pack ("[s, s, s, s]", "id", "kind", "iteration", "parents");

  for (const VjField *f = NULL; (f = vj_fields_next (kind, f)) != NULL;) {
    json_t *type = type_to_json (f);
    json_object_set_new (type, "description", json_string (f->doc));
    json_object_set_new (properties, f->name, type);
    if (f->required)
      json_array_append_new (required, json_string (f->name));
  }
  return json_pack ("{s:s, s:s, s:o, s:o, s:b}", "description", doc, "type", "object", "properties", properties,
                    "required", required, "additionalProperties", 0);
}

static json_t *
changes_def (void)
{
  json_t *offset = json_pack ("{s:s, s:i, s:I}", "type", "integer", "minimum", 0, "maximum", (json_int_t) G_MAXUINT32);
  return json_pack ("{s:s, s:i, s:{s:s, s:{s:O, s:{s:s}, s:o, s:{s:s}}, s:[s, s, s, s], s:b}}", "type", "array", "minItems", 1, "items", //
                    "type", "object", "properties", "chosen", offset, "before", "type", "string", "rejected", offset, "after",
                    "type", "string", "required", "chosen", "before", "rejected", "after", "additionalProperties", 0);
}

static json_t *
shared_defs (void)
{
  return json_pack (
    "{s:{s:s,s:i,s:i,s:s}, s:{s:s,s:{s:s,s:s}}, s:{s:s,s:i,s:{s:s,s:{s:{s:[s,s,s]},s:{s:s},s:{s:s}},s:[s,s,s],s:b}}}", //
    "id", "type", "string", "minLength", 1, "maxLength", 200, "pattern", "^[^\\u0000-\\u001f\\u007f]+$", //
    "images", "type", "array", "items", "type", "string", "pattern", "^[0-9a-f]{64}$",                   //
    "messages", "type", "array", "minItems", 1, "items", "type", "object", "properties",                 //
    "speaker", "enum", "system", "user", "assistant", "text", "type", "string", "images", "$ref", "#/$defs/images", //
    "required", "speaker", "text", "images", "additionalProperties", 0);
}

char *
vj_record_schema (void)
{
  json_t *defs = shared_defs (), *any = json_array (), *schema;
  char *own, *text;
  json_object_set_new (defs, "changes", changes_def ());
#define VJ__KIND_SCHEMA(name, text_, doc)                                                  \
  json_object_set_new (defs, text_, kind_to_json (VJ_RECORD_##name, doc));                 \
  json_array_append_new (any, json_pack ("{s:s}", "$ref", "#/$defs/" text_));
  VJ_RECORD_KIND_TABLE (VJ__KIND_SCHEMA)
#undef VJ__KIND_SCHEMA
  schema = json_pack ("{s:s, s:s, s:s, s:o, s:o}", "$schema", "https://json-schema.org/draft/2020-12/schema", "title",
                      "vjrun record", "description", "One line of a JSONL export. Made from core/record/record.h.", "oneOf",
                      any, "$defs", defs);
  own = json_dumps (schema, JSON_INDENT (2));
  text = g_strconcat (own, "\n", NULL);
  free (own);
  json_decref (schema);
  return text;
}
