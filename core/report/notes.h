/* What a summary tells beside stages and scores: whether gold took part, and what each training was shown. */
#ifndef VJ_REPORT_NOTES_H
#define VJ_REPORT_NOTES_H

#include "store/store.h"
#include <jansson.h>

/* What one training was shown, counted in examples. */
typedef struct {
  gint64 traces;
  gint64 open, closed, rewrites; /* replay: open and closed questions, injectors' requests */
} VjNotesCourse;

/* Notes what a training with replay was shown; NULL: it is one without. */
VJ_API gboolean vj_notes_put_course (VjStore *store, guint iteration, const VjNotesCourse *course, GError **error);

/* Adds a paragraph to the summary for what was noted about the iterations of `stages` (VjStage *); nothing: no change. */
VJ_API gboolean vj_notes_text (VjStore *store, const GPtrArray *stages, GString *out, GError **error);
/* Adds the keys "gold" (true) and "courses" to an object; nothing noted: neither. */
VJ_API gboolean vj_notes_json (VjStore *store, const GPtrArray *stages, json_t *object, GError **error);

#endif
