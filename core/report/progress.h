/* Where a run tells how far it is. The pipeline calls, the command line renders
 * (or a test listens); nothing here prints. */
#ifndef VJ_REPORT_PROGRESS_H
#define VJ_REPORT_PROGRESS_H

#include <glib.h>

G_BEGIN_DECLS

typedef enum {
  VJ_PROGRESS_BEGIN, /* a stage starts, or goes on where a run before stopped: done may be above 0 */
  VJ_PROGRESS_STEP,
  VJ_PROGRESS_END,   /* `note` is the stage's outcome: "kept 120, dropped 12" */
  VJ_PROGRESS_LOG    /* `note` is a line for the operator; the numbers mean nothing */
} VjProgressKind;

/* Strings are borrowed for the length of the call. `note` may hold text from models or files: a renderer
 * makes it inert (vj_text_inert) before it reaches a terminal. */
typedef struct {
  VjProgressKind kind;
  const char *stage;   /* "iteration 1: judge" */
  const char *unit;    /* what is counted: "records", "steps" */
  guint64 done, total; /* total 0: not known */
  const char *note;    /* NULL: none */
} VjProgressEvent;

typedef struct {
  void (*report) (gpointer user_data, const VjProgressEvent *event); /* NULL: nobody listens */
  gpointer user_data;
} VjProgress;

/* Calls the listener, if there is one. `progress` may be NULL. */
static inline void
vj_progress_report (const VjProgress *progress, const VjProgressEvent *event)
{
  if (progress != NULL && progress->report != NULL)
    progress->report (progress->user_data, event);
}

G_END_DECLS
#endif
