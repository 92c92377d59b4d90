/* JSON with the limits hostile text needs, and the canonical form. */
#include "base/file.h"
#include "record/record.h"

#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 64

char *
vj_json_canonical (const json_t *json)
{
  char *own = json_dumps (json, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY | JSON_REAL_PRECISION (17));
  char *text = g_strdup (own);
  free (own); /* jansson's allocator, not GLib's */
  return text;
}

#define REAL_MAX 64 /* bytes of a number written out */

static void
format_real (char *text, double value, int digits, char conversion)
{
  char format[] = {'%', '.', (char) ('0' + digits / 10), (char) ('0' + digits % 10), conversion, '\0'};
  g_ascii_formatd (text, REAL_MAX, format, value);
}

/* Numbers of usual size without an exponent; a point or an exponent keeps each a real for who reads it. */
static void
append_real (GString *out, double value)
{
  char text[REAL_MAX];
  int digits = 0, exponent;

  do
    format_real (text, value, digits, 'e');
  while (g_ascii_strtod (text, NULL) != value && ++digits <= 16);
  exponent = atoi (strchr (text, 'e') + 1);
  if (exponent >= -4 && exponent < 16)
    format_real (text, value, MAX (digits - exponent, 1), 'f');
  g_string_append (out, text);
}

static int
compare_keys (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

static void
append_plain (GString *out, const json_t *json)
{
  g_autofree char *text = vj_json_canonical (json);
  g_string_append (out, text);
}

static void append_readable (GString *out, const json_t *json);

static void
append_object (GString *out, const json_t *object)
{
  g_autoptr (GPtrArray) keys = g_ptr_array_new ();
  const char *key;
  json_t *value;

  json_object_foreach ((json_t *) object, key, value)
    g_ptr_array_add (keys, (gpointer) key);
  g_ptr_array_sort (keys, compare_keys);
  for (guint i = 0; i < keys->len; i++) {
    json_t *name = json_string (keys->pdata[i]);
    g_string_append_c (out, i == 0 ? '{' : ',');
    append_plain (out, name);
    g_string_append_c (out, ':');
    append_readable (out, json_object_get (object, keys->pdata[i]));
    json_decref (name);
  }
  g_string_append (out, keys->len == 0 ? "{}" : "}");
}

static void
append_readable (GString *out, const json_t *json)
{
  gsize i, n = json_array_size (json);

  if (json_is_object (json))
    append_object (out, json);
  else if (json_is_real (json))
    append_real (out, json_real_value (json));
  else if (!json_is_array (json))
    append_plain (out, json);
  else {
    for (i = 0; i < n; i++) {
      g_string_append_c (out, i == 0 ? '[' : ',');
      append_readable (out, json_array_get (json, i));
    }
    g_string_append (out, n == 0 ? "[]" : "]");
  }
}

char *
vj_json_readable (const json_t *json)
{
  GString *out = g_string_new (NULL);
  if (json == NULL)
    return g_string_free (out, TRUE);
  append_readable (out, json);
  return g_string_free (out, FALSE);
}

/* Depth of nesting, strings skipped; stops once it is too deep. jansson's own limit is far higher than a record needs. */
static guint
depth_of (const char *text, gsize length)
{
  guint depth = 0, deepest = 0;
  gboolean quoted = FALSE;

  for (gsize i = 0; i < length && deepest <= MAX_DEPTH; i++) {
    char c = text[i];
    if (quoted) {
      if (c == '\\')
        i++;
      else if (c == '"')
        quoted = FALSE;
    } else if (c == '"')
      quoted = TRUE;
    else if (c == '{' || c == '[')
      deepest = MAX (deepest, ++depth);
    else if ((c == '}' || c == ']') && depth > 0)
      depth--;
  }
  return deepest;
}

json_t *
vj_json_parse (const char *text, gsize length, const char *where, GError **error)
{
  g_autofree char *shown = vj_quote (where, 0);
  json_error_t cause;
  json_t *json;

  if (depth_of (text, length) > MAX_DEPTH) {
    vj_fail (error, VJ_EXIT_DATA, "%s: JSON nested deeper than %d; mend the line or leave it out", shown, MAX_DEPTH);
    return NULL;
  }
  json = json_loadb (text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &cause);
  if (json == NULL) {
    g_autofree char *words = vj_quote (cause.text, 120);
    vj_fail (error, VJ_EXIT_DATA, "%s: not JSON: column %d: %s; mend the line or leave it out", shown, cause.column, words);
  }
  return json;
}
