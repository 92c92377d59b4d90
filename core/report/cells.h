/* Cells of tables: foreign text in a fixed number of columns. What does not fit goes on below, for two names of which each
 * is cut would look alike. */
#ifndef VJ_REPORT_CELLS_H
#define VJ_REPORT_CELLS_H

#include <glib.h>

/* Appends `text`, inert and on one line. */
void vj_cells_inert (GString *out, const char *text);

/* The same in lines of at most `width` (>= 16) characters, each beginning in the column where the first does; broken at
 * spaces, where there are any. Three lines at most: a longer text ends in "..." and the first digits of its SHA-256. */
void vj_cells_wrapped (GString *out, const char *text, guint width);

/* A cell of a row: filled with spaces to exactly `width` characters, the last one always a space. A text that is too long
 * stands above the rest of its row, in lines that end at column 98. */
void vj_cells_padded (GString *out, const char *text, guint width);

#endif
