/* Cells of tables. */
#include "report/cells.h"

#include "base/log.h"

void
vj_cells_inert (GString *out, const char *text, guint width)
{
  g_autofree char *inert = g_strdelimit (vj_text_inert (text, -1), "\n\t", ' ');
  if ((guint) g_utf8_strlen (inert, -1) > width) {
    g_autofree char *cut = g_utf8_substring (inert, 0, (glong) width - 3);
    g_string_append_printf (out, "%s...", cut);
  } else
    g_string_append (out, inert);
}

void
vj_cells_padded (GString *out, const char *text, guint width)
{
  gsize before = out->len;
  vj_cells_inert (out, text, width - 1);
  for (glong n = g_utf8_strlen (out->str + before, -1); n < (glong) width; n++)
    g_string_append_c (out, ' ');
}
