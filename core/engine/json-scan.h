/* Walking along JSON text without building it: for the two members of a tokenizer.json that hold nearly all of its
 * bytes. As strict as vj_json_object about what it reads (strings, whole numbers, the marks between them); what it skips
 * is only measured, and is for vj_json_object to check. */
#ifndef VJ_ENGINE_JSON_SCAN_H
#define VJ_ENGINE_JSON_SCAN_H

#include "vj/error.h"

typedef struct {
  const char *at, *end; /* what is left to read; the text need not be NUL-terminated */
  GString *scratch;     /* a string that had escapes, decoded                        */
} VjJsonScan;

/* Each skips blanks first, moves behind what it took and says whether it was there; if not, `at` stays somewhere before
 * the fault. */
gboolean vj_json_scan_mark (VjJsonScan *scan, char mark);         /* one of {}[]:, */
gboolean vj_json_scan_integer (VjJsonScan *scan, gint64 *ret_value);
gboolean vj_json_scan_skip (VjJsonScan *scan);                    /* any one value */

/* The next character that is no blank, borrowed; NULL at the end. */
const char *vj_json_scan_peek (VjJsonScan *scan);

/* UTF-8 without NUL, not NUL-terminated; borrowed until the next string is read. */
gboolean vj_json_scan_string (VjJsonScan *scan, const char **ret_text, gsize *ret_length);

/* After an item of an array or object that `close` ends: TRUE when another follows. *ret_broken: neither. */
gboolean vj_json_scan_more (VjJsonScan *scan, char close, gboolean *ret_broken);

#endif
