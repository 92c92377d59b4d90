/* JSON with the limits hostile text needs, and the canonical form. */
#include "base/file.h"
#include "record/record.h"

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
