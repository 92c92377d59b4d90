/* Messages for the operator: one line each, plain or JSON, to stderr or to a
 * sink. stdout is never touched: it belongs to results. Thread-safe, no static
 * state. Text from models, data and file names is made inert on its way out. */
#ifndef VJ_BASE_LOG_H
#define VJ_BASE_LOG_H

#include "vj/error.h"

typedef struct VjLog VjLog;

typedef enum { VJ_LOG_DEBUG, VJ_LOG_INFO, VJ_LOG_WARNING, VJ_LOG_ERROR } VjLogLevel;
typedef enum { VJ_LOG_HUMAN, VJ_LOG_JSON } VjLogFormat;

/* Takes one finished line, newline included; `line` is borrowed. Called under the log's lock. */
typedef void (*VjLogSink) (const char *line, gsize length, gpointer data);

/* Lines below `least` are dropped. `sink` NULL: stderr, one write per line. Free with vj_log_free. */
VJ_API VjLog *vj_log_new (VjLogFormat format, VjLogLevel least, VjLogSink sink, gpointer data);
VJ_API void vj_log_free (VjLog *log);
VJ_API VjLogFormat vj_log_format (const VjLog *log);

/* Any later occurrence of `secret` (at least 4 bytes) in a line is printed as "[redacted]". Copied. */
VJ_API void vj_log_redact (VjLog *log, const char *secret);

/* One message. `area` is a short static word ("judge", "store") or NULL. A NULL log is silent.
 * Human: "warning: area: text". JSON: {"time","level","area","text"}. */
VJ_API void vj_log_write (VjLog *log, VjLogLevel level, const char *area, const char *format, ...) G_GNUC_PRINTF (4, 5);

/* A message with figures: `names` and `values` are parallel, NULL-terminated; in JSON they are
 * members beside the text (a value that is a JSON number stays a number), in human lines they are left out. */
VJ_API void vj_log_event (VjLog *log, VjLogLevel level, const char *area, const char *const *names,
                          const char *const *values, const char *format, ...) G_GNUC_PRINTF (6, 7);

/* `text` with terminal escapes, control characters (but not '\n', '\t'), bidi overrides, invisible
 * characters and bad UTF-8 written as \xNN or \u{NNNN}: safe on a terminal. `length` -1: up to NUL. Owned. */
VJ_API char *vj_text_inert (const char *text, gssize length);

/* The first `most` characters of `text`, "..." after them when there are more, bad UTF-8 replaced. Owned. */
VJ_API char *vj_text_excerpt (const char *text, guint most);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjLog, vj_log_free)

#endif
