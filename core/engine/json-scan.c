/* Walking along JSON text: see json-scan.h. */
#include "engine/json-scan.h"

#include <string.h>

static void
skip_blanks (VjJsonScan *scan)
{
  while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\t' || *scan->at == '\r'))
    scan->at++;
}

gboolean
vj_json_scan_mark (VjJsonScan *scan, char mark)
{
  skip_blanks (scan);
  if (scan->at == scan->end || *scan->at != mark)
    return FALSE;
  scan->at++;
  return TRUE;
}

const char *
vj_json_scan_peek (VjJsonScan *scan)
{
  skip_blanks (scan);
  return scan->at < scan->end ? scan->at : NULL;
}

gboolean
vj_json_scan_more (VjJsonScan *scan, char close, gboolean *ret_broken)
{
  *ret_broken = FALSE;
  if (vj_json_scan_mark (scan, ','))
    return TRUE;
  *ret_broken = !vj_json_scan_mark (scan, close);
  return FALSE;
}

/* What may stand behind a number. */
static gboolean
is_over (const VjJsonScan *scan, const char *at)
{
  return at == scan->end || strchr (" \n\t\r,]}", *at) != NULL;
}

gboolean
vj_json_scan_integer (VjJsonScan *scan, gint64 *ret_value)
{
  skip_blanks (scan);
  const char *at = scan->at, *digits = at += at < scan->end && *at == '-';
  gboolean negative = digits > scan->at;
  gint64 value = 0;
  for (; at < scan->end && g_ascii_isdigit (*at); at++)
    if (__builtin_mul_overflow (value, 10, &value) || __builtin_add_overflow (value, *at - '0', &value))
      return FALSE;
  if (at == digits || (*digits == '0' && at > digits + 1) || !is_over (scan, at))
    return FALSE;
  scan->at = at;
  *ret_value = negative ? -value : value;
  return TRUE;
}

/* -- strings --------------------------------------------------------------------- */

static gboolean
read_hex (const char *at, const char *end, gunichar *ret_unit)
{
  if (end - at < 4)
    return FALSE;
  *ret_unit = 0;
  for (int i = 0; i < 4; i++) {
    if (!g_ascii_isxdigit (at[i]))
      return FALSE;
    *ret_unit = *ret_unit << 4 | (gunichar) g_ascii_xdigit_value (at[i]);
  }
  return TRUE;
}

/* The character of \uXXXX, or of two that are a pair of surrogates; NUL and a lone surrogate are none. */
static gboolean
read_unicode (VjJsonScan *scan, gunichar *ret_character)
{
  gunichar high, low;
  if (!read_hex (scan->at, scan->end, &high) || high == 0)
    return FALSE;
  scan->at += 4;
  *ret_character = high;
  if (high < 0xd800 || high > 0xdfff)
    return TRUE;
  if (high > 0xdbff || scan->end - scan->at < 6 || scan->at[0] != '\\' || scan->at[1] != 'u' ||
      !read_hex (scan->at + 2, scan->end, &low) || low < 0xdc00 || low > 0xdfff)
    return FALSE;
  scan->at += 6;
  *ret_character = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
  return TRUE;
}

/* One escape, behind its backslash. */
static gboolean
read_escape (VjJsonScan *scan)
{
  static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
  if (scan->at == scan->end)
    return FALSE;
  char name = *scan->at++;
  const char *plain = name != '\0' ? strchr (names, name) : NULL;
  gunichar character;
  if (plain != NULL) {
    g_string_append_c (scan->scratch, meanings[plain - names]);
    return TRUE;
  }
  if (name != 'u' || !read_unicode (scan, &character))
    return FALSE;
  g_string_append_unichar (scan->scratch, character);
  return TRUE;
}

/* Moves over what a string holds literally: to its quote, a backslash or something that cannot stand there. */
static const char *
literal_end (const VjJsonScan *scan, gboolean *ascii)
{
  const char *at = scan->at;
  guint8 all = 0;
  for (; at < scan->end && *at != '"' && *at != '\\' && (guint8) *at >= 0x20; at++)
    all |= (guint8) *at;
  *ascii = *ascii && all < 0x80;
  return at;
}

gboolean
vj_json_scan_string (VjJsonScan *scan, const char **ret_text, gsize *ret_length)
{
  gboolean ascii = TRUE;
  if (!vj_json_scan_mark (scan, '"'))
    return FALSE;
  const char *text = scan->at, *end = literal_end (scan, &ascii);
  gboolean plain = end < scan->end && *end == '"';
  gsize length = (gsize) (end - text);
  g_string_truncate (scan->scratch, 0);
  while (!plain && end < scan->end && *end == '\\') {
    g_string_append_len (scan->scratch, scan->at, end - scan->at);
    scan->at = end + 1;
    if (!read_escape (scan))
      return FALSE;
    end = literal_end (scan, &ascii);
  }
  if (end == scan->end || *end != '"')
    return FALSE;
  if (!plain) {
    g_string_append_len (scan->scratch, scan->at, end - scan->at);
    text = scan->scratch->str;
    length = scan->scratch->len;
  }
  if (!ascii && !g_utf8_validate_len (text, length, NULL))
    return FALSE;
  scan->at = end + 1;
  *ret_text = text;
  *ret_length = length;
  return TRUE;
}

/* -- skipping --------------------------------------------------------------------- */

/* Behind the quote that ends a string, `at` being behind the one that opens it. */
static const char *
skip_string (const char *at, const char *end)
{
  for (; at < end && *at != '"'; at++)
    if (*at == '\\' && ++at == end)
      return NULL;
  return at < end ? at + 1 : NULL;
}

gboolean
vj_json_scan_skip (VjJsonScan *scan)
{
  gsize depth = 0;
  skip_blanks (scan);
  const char *at = scan->at;
  while (at < scan->end) {
    char c = *at;
    if (depth == 0 && (c == ',' || c == '}' || c == ']'))
      break; /* the end of a bare word or number */
    at++;
    if (c == '"' && (at = skip_string (at, scan->end)) == NULL)
      return FALSE;
    depth += c == '{' || c == '[';
    depth -= c == '}' || c == ']';
    if (depth == 0 && (c == '"' || c == '}' || c == ']'))
      break;
  }
  gboolean something = depth == 0 && at > scan->at;
  scan->at = at;
  return something;
}
