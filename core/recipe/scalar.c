/* Scalars: variables, then the core schema of YAML 1.2 (section 10.3.2): NO, on and 1_000 are text. */
#include "recipe/node-private.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define TEXT_MAX VJ_NODE_BYTES /* an expanded value may not grow past this either */

static gboolean
fail (const VjNode *node, GError **error, const char *format, ...) G_GNUC_PRINTF (3, 4);

/* The node hangs in no tree yet, so its place stands without a key path. */
static gboolean
fail (const VjNode *node, GError **error, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_autofree char *place = vj_place (node->origin, node->line, node->column);
  return vj_fail (error, VJ_EXIT_RECIPE, "%s: %s%s%s", place, node->key != NULL ? node->key : "",
                  node->key != NULL ? ": " : "", text);
}

/* Appends the value of the variable at `at` (just after "${"); gives where the text goes on, NULL on failure. */
static const char *
expand_one (const VjNode *node, const char *at, GString *out, GError **error)
{
  const char *close = strchr (at, '}');
  g_autofree char *name = close != NULL ? g_strndup (at, (gsize) (close - at)) : NULL;
  if (name == NULL || !(g_ascii_isalpha (*name) || *name == '_')
      || strspn (name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != strlen (name)) {
    fail (node, error, "'${' begins no variable; expected ${NAME}; write $${ for the two characters themselves");
    return NULL;
  }
  const char *value = g_getenv (name);
  if (value == NULL) {
    fail (node, error, "variable '%s' is not set; set it in the environment (export %s=...)", name, name);
    return NULL;
  }
  if (!g_utf8_validate (value, -1, NULL)) {
    fail (node, error, "variable '%s' is not UTF-8; set it to plain text", name);
    return NULL;
  }
  g_string_append (out, value);
  return close + 1;
}

static gboolean
expand (VjNode *node, GError **error)
{
  if (strstr (node->text, "${") == NULL)
    return TRUE;
  g_autoptr (GString) out = g_string_new (NULL);
  for (const char *at = node->text; *at != '\0';) {
    if (g_str_has_prefix (at, "$${")) {
      g_string_append (out, "${");
      at += 3;
    } else if (g_str_has_prefix (at, "${")) {
      at = expand_one (node, at + 2, out, error);
      if (at == NULL)
        return FALSE;
      node->expanded = TRUE;
    } else {
      g_string_append_c (out, *at++);
    }
    if (out->len > TEXT_MAX)
      return fail (node, error, "the text is longer than %d bytes once its variables are replaced; shorten it", TEXT_MAX);
  }
  g_free (node->text);
  node->text = g_strdup (out->str);
  return TRUE;
}

static gboolean
is_one_of (const char *text, const char *const *words)
{
  return g_strv_contains (words, text);
}

static gsize
digits (const char *text)
{
  return strspn (text, "0123456789");
}

static gboolean
is_decimal (const char *text)
{
  const char *at = text + (*text == '-' || *text == '+');
  gsize n = digits (at);
  return n > 0 && at[n] == '\0';
}

static gboolean
is_based (const char *text)
{
  const char *set = text[0] != '0' ? NULL : text[1] == 'o' ? "01234567" : text[1] == 'x' ? "0123456789abcdefABCDEF" : NULL;
  return set != NULL && text[2] != '\0' && strspn (text + 2, set) == strlen (text + 2);
}

/* [-+]? ( \.[0-9]+ | [0-9]+ (\.[0-9]*)? ) ([eE][-+]?[0-9]+)? */
static gboolean
is_real (const char *text)
{
  const char *at = text + (*text == '-' || *text == '+');
  gsize whole = digits (at), part = 0;
  at += whole;
  if (*at == '.') {
    part = digits (++at);
    at += part;
  }
  if (whole + part == 0)
    return FALSE;
  if (*at == 'e' || *at == 'E') {
    at += at[1] == '-' || at[1] == '+' ? 2 : 1;
    gsize n = digits (at);
    if (n == 0)
      return FALSE;
    at += n;
  }
  return *at == '\0';
}

static gboolean
resolve_integer (VjNode *node, GError **error)
{
  const char *text = node->text;
  char *end = NULL;
  errno = 0;
  if (is_based (text)) {
    guint64 value = g_ascii_strtoull (text + 2, &end, text[1] == 'o' ? 8 : 16);
    if (value > G_MAXINT64)
      errno = ERANGE;
    node->integer = (int64_t) value;
  } else {
    node->integer = g_ascii_strtoll (text, &end, 10);
  }
  if (errno != 0)
    return fail (node, error, "'%.40s' does not fit 64 bits; expected an integer from -9223372036854775808 to 9223372036854775807",
                 text);
  node->real = (double) node->integer;
  node->kind = VJ_NODE_INT;
  return TRUE;
}

static gboolean
resolve_plain (VjNode *node, GError **error)
{
  static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
  static const char *const yes[] = {"true", "True", "TRUE", NULL};
  static const char *const no[] = {"false", "False", "FALSE", NULL};
  static const char *const nans[] = {".nan", ".NaN", ".NAN", NULL};
  static const char *const infs[] = {".inf", ".Inf", ".INF", NULL};
  const char *text = node->text;
  if (is_one_of (text, nulls)) {
    node->kind = VJ_NODE_NULL;
  } else if (is_one_of (text, yes) || is_one_of (text, no)) {
    node->kind = VJ_NODE_BOOL;
    node->boolean = is_one_of (text, yes);
  } else if (is_decimal (text) || is_based (text)) {
    return resolve_integer (node, error);
  } else if (is_one_of (text, nans) || is_one_of (text + (*text == '-' || *text == '+'), infs)) {
    return fail (node, error, "'%s' is not a finite number; write a number, or quote it if it is text", text);
  } else if (is_real (text)) {
    node->kind = VJ_NODE_REAL;
    node->real = g_ascii_strtod (text, NULL);
    if (!isfinite (node->real))
      return fail (node, error, "'%.40s' is too large for a number; expected at most 1.7e308", text);
  }
  return TRUE;
}

gboolean
vj_scalar_resolve (VjNode *node, gboolean plain, GError **error)
{
  node->kind = VJ_NODE_STRING;
  return expand (node, error) && (!plain || resolve_plain (node, error));
}
