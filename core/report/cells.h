/* Cells of tables: foreign text in a fixed number of columns. */
#ifndef VJ_REPORT_CELLS_H
#define VJ_REPORT_CELLS_H

#include <glib.h>

/* Appends `text`, inert and on one line; what is longer than `width` (>= 3) characters ends in "...". */
void vj_cells_inert (GString *out, const char *text, guint width);

/* The same, filled with spaces to exactly `width` characters; the last one always is a space. */
void vj_cells_padded (GString *out, const char *text, guint width);

#endif
