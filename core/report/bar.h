/* One line of progress as text: a bar for terminals, a sentence for plain logs.
 * Pure: time is an argument. */
#ifndef VJ_REPORT_BAR_H
#define VJ_REPORT_BAR_H

#include "report/progress.h"
#include "vj/error.h"

G_BEGIN_DECLS

/* How fast a stage goes: what was done since it began in this process, over `seconds`. */
typedef struct {
  guint64 done_at_begin;
  double seconds; /* since the stage began in this process */
} VjBarClock;

/* "judge  [#####.....]  123/400 records  12.3/s  ETA 0:23  loss 1.2", cut to `width` columns (>= 20).
 * Foreign text is inert. Caller frees. */
VJ_API char *vj_bar_line (const VjProgressEvent *event, const VjBarClock *clock, guint width);

/* The same without a bar and of any length: "judge: 123/400 records, 12.3/s, ETA 0:23". Caller frees. */
VJ_API char *vj_bar_plain (const VjProgressEvent *event, const VjBarClock *clock);

/* Seconds as "0:07", "12:34" or "1:02:03". Caller frees. */
VJ_API char *vj_bar_duration (double seconds);

G_END_DECLS
#endif
