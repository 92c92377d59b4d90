/* Renders the progress of a run. */
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "report/bar.h"

#define TERMINAL_US (100 * 1000)
#define PLAIN_US (5 * G_USEC_PER_SEC)
#define JSON_US G_USEC_PER_SEC

struct VjRenderer {
  VjLog *log, *own; /* own: what a terminal's log lines go through */
  VjProgress progress;
  gboolean terminal, drawn; /* drawn: the cursor stands on a bar */
  char *stage;              /* at work */
  gint64 began, shown;
  guint64 done_at_begin;
};

static guint
columns (void)
{
  struct winsize size;
  return ioctl (STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20 ? size.ws_col : 80;
}

static void
erase (VjRenderer *renderer)
{
  if (renderer->drawn)
    fputs ("\r\033[K", stderr);
  renderer->drawn = FALSE;
}

/* A log line on a terminal with a bar: the bar gives way and comes back with its next step. */
static void
on_log_line (const char *line, gsize length, gpointer data)
{
  erase (data);
  fwrite (line, 1, length, stderr);
  fflush (stderr);
}

static void
draw_terminal (VjRenderer *renderer, const VjProgressEvent *event, const VjBarClock *clock)
{
  g_autofree char *line = vj_bar_line (event, clock, columns () - 1);
  erase (renderer);
  fprintf (stderr, "%s%s", line, event->kind == VJ_PROGRESS_END || event->kind == VJ_PROGRESS_LOG ? "\n" : "");
  renderer->drawn = event->kind == VJ_PROGRESS_BEGIN || event->kind == VJ_PROGRESS_STEP;
  fflush (stderr);
}

static void
write_log (VjRenderer *renderer, const VjProgressEvent *event, const VjBarClock *clock)
{
  static const char *const kinds[] = {"begin", "step", "end", "log"};
  g_autofree char *line = vj_bar_plain (event, clock);
  g_autofree char *done = g_strdup_printf ("%" G_GUINT64_FORMAT, event->done);
  g_autofree char *total = g_strdup_printf ("%" G_GUINT64_FORMAT, event->total);
  const char *const names[] = {"progress", "stage", "unit", "done", "total", NULL};
  const char *const values[] = {kinds[event->kind], event->stage ? event->stage : "", event->unit ? event->unit : "", done,
                                total, NULL};
  vj_log_event (renderer->log, VJ_LOG_INFO, NULL, names, values, "%s", line);
}

/* Whether this event is worth a line now. A stage's end always is. */
static gboolean
is_due (VjRenderer *renderer, const VjProgressEvent *event, gint64 now)
{
  gint64 pause = renderer->terminal ? TERMINAL_US : vj_log_format (renderer->log) == VJ_LOG_JSON ? JSON_US : PLAIN_US;
  if (event->kind == VJ_PROGRESS_END || event->kind == VJ_PROGRESS_LOG)
    return TRUE;
  if (event->kind == VJ_PROGRESS_BEGIN)
    return renderer->terminal || vj_log_format (renderer->log) == VJ_LOG_JSON;
  return now - renderer->shown >= pause;
}

static void
on_progress (gpointer data, const VjProgressEvent *event)
{
  VjRenderer *renderer = data;
  gint64 now = g_get_monotonic_time ();

  if (event->kind == VJ_PROGRESS_BEGIN || g_strcmp0 (renderer->stage, event->stage) != 0) {
    g_free (renderer->stage);
    renderer->stage = g_strdup (event->stage);
    renderer->began = renderer->shown = now;
    renderer->done_at_begin = event->kind == VJ_PROGRESS_BEGIN ? event->done : 0;
  }
  if (!is_due (renderer, event, now))
    return;
  renderer->shown = now;
  VjBarClock clock = {.done_at_begin = renderer->done_at_begin,
                      .seconds = (double) (now - renderer->began) / G_USEC_PER_SEC};
  if (renderer->terminal)
    draw_terminal (renderer, event, &clock);
  else
    write_log (renderer, event, &clock);
}

VjRenderer *
vj_renderer_new (VjLog *log)
{
  VjRenderer *renderer = g_new0 (VjRenderer, 1);
  renderer->log = log;
  renderer->terminal = vj_log_format (log) == VJ_LOG_HUMAN && isatty (STDERR_FILENO);
  if (renderer->terminal)
    renderer->own = vj_log_new (VJ_LOG_HUMAN, VJ_LOG_INFO, on_log_line, renderer);
  renderer->progress = (VjProgress){.report = on_progress, .user_data = renderer};
  return renderer;
}

void
vj_renderer_free (VjRenderer *renderer)
{
  if (renderer == NULL)
    return;
  erase (renderer);
  vj_log_free (renderer->own);
  g_free (renderer->stage);
  g_free (renderer);
}

VjLog *
vj_renderer_log (VjRenderer *renderer)
{
  return renderer->own;
}

const VjProgress *
vj_renderer_progress (VjRenderer *renderer)
{
  return &renderer->progress;
}
