/* Renders the progress of a run on stderr: bars updated in place on a terminal, plain lines otherwise, members of
 * log lines with --log json. */
#ifndef VJ_CLI_PROGRESS_H
#define VJ_CLI_PROGRESS_H

#include "base/log.h"
#include "report/progress.h"

typedef struct VjRenderer VjRenderer;

/* `log` (borrowed) says in which format to write. Free with vj_renderer_free. */
VjRenderer *vj_renderer_new (VjLog *log);
void vj_renderer_free (VjRenderer *renderer);

/* A log that shares the terminal with the bars: its lines do not run into them. NULL when no bar is drawn, and `log`
 * will do. Owned by the renderer. */
VjLog *vj_renderer_log (VjRenderer *renderer);

/* The listener for a run; borrowed. */
const VjProgress *vj_renderer_progress (VjRenderer *renderer);

#endif
