/* Cells of tables. */
#include "report/cells.h"

#include "base/file.h"
#include "base/log.h"

#include <string.h>

#define LINE 98 /* columns of a table         */
#define LINES 3 /* of one text                */
#define SUM 8   /* digits of a text's SHA-256 */

static char *
one_line (const char *text)
{
  return g_strdelimit (vj_text_inert (text, -1), "\n\t", ' ');
}

void
vj_cells_inert (GString *out, const char *text)
{
  g_autofree char *inert = one_line (text);
  g_string_append (out, inert);
}

/* Where the next character of `out` will stand, from 0. */
static guint
column_of (const GString *out)
{
  const char *line = strrchr (out->str, '\n');
  return (guint) g_utf8_strlen (line != NULL ? line + 1 : out->str, -1);
}

static void
append_spaces (GString *out, guint n)
{
  g_string_append_printf (out, "%*s", (int) n, "");
}

/* How many characters of `text`, which is longer than `width`, go on this line: to its last space, else all that fit. */
static glong
break_at (const char *text, guint width)
{
  for (glong n = width; n > 0; n--)
    if (*g_utf8_offset_to_pointer (text, n) == ' ')
      return n;
  return width;
}

/* The text, or if it is longer than `most` characters, its beginning and a name for the whole. */
static char *
shorten (const char *text, glong most)
{
  if (g_utf8_strlen (text, -1) <= most)
    return g_strdup (text);
  g_autofree char *sum = vj_sha256 (text, strlen (text)), *head = g_utf8_substring (text, 0, most - SUM - 3);
  return g_strdup_printf ("%s...%.*s", head, SUM, sum);
}

void
vj_cells_wrapped (GString *out, const char *text, guint width)
{
  /* Lines broken at a space may be half empty: a text of so many characters fits in any case. */
  g_autofree char *inert = one_line (text), *whole = shorten (inert, LINES * (glong) width / 2);
  guint indent = column_of (out);
  const char *rest = g_utf8_strlen (inert, -1) <= (glong) width ? inert : whole;

  while ((guint) g_utf8_strlen (rest, -1) > width) {
    const char *end = g_utf8_offset_to_pointer (rest, break_at (rest, width));
    g_string_append_len (out, rest, end - rest);
    g_string_append_c (out, '\n');
    append_spaces (out, indent);
    rest = *end == ' ' ? end + 1 : end;
  }
  g_string_append (out, rest);
}

void
vj_cells_padded (GString *out, const char *text, guint width)
{
  guint indent = column_of (out);
  g_autofree char *inert = one_line (text);

  if ((guint) g_utf8_strlen (inert, -1) < width)
    g_string_append (out, inert);
  else {
    vj_cells_wrapped (out, text, LINE - indent);
    g_string_append_c (out, '\n');
    append_spaces (out, indent);
  }
  for (guint n = column_of (out); n < indent + width; n++)
    g_string_append_c (out, ' ');
}
