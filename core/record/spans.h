/* Where two texts differ, as spans of characters (VjSpan of vj/plugin.h), and how a pair's record tells it. */
#ifndef VJ_RECORD_SPANS_H
#define VJ_RECORD_SPANS_H

#include "vj/plugin.h"
#include <jansson.h>

/* The spans in which `rejected` differs from `chosen`, both UTF-8: GArray of VjSpan, in order, none when they are alike.
 * Words, spaces and other characters are compared as they are written, by a shortest edit script (Myers, "An O(ND)
 * difference algorithm", 1986); spans with nothing but space between them are joined. Texts that differ in more than
 * about a thousand words, or in more than 256 places, give one span from the first difference to the last. */
VJ_API GArray *vj_spans_find (const char *chosen, const char *rejected);

/* Whether the spans are in order, inside both texts, none of them empty on both sides, and both texts alike outside. */
VJ_API gboolean vj_spans_hold (const char *chosen, const char *rejected, const VjSpan *spans, gsize n);

/* [{"chosen": offset, "before": text, "rejected": offset, "after": text}] for spans that hold. New reference. */
VJ_API json_t *vj_spans_to_json (const char *chosen, const char *rejected, const VjSpan *spans, gsize n);

/* Whether `json` is such a list, not empty, and holds for these two texts. */
VJ_API gboolean vj_spans_json_hold (const char *chosen, const char *rejected, const json_t *json);

#endif
