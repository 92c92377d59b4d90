/* One line of progress as text. */
#include "report/bar.h"

#include "base/log.h"

#define BAR_CELLS 20

/* Inert, and on one line. NULL reads as "". */
static char *
inert_line (const char *text)
{
  return g_strdelimit (vj_text_inert (text ? text : "", -1), "\n\t", ' ');
}

char *
vj_bar_duration (double seconds)
{
  guint64 s = seconds > 0 ? (guint64) (seconds + 0.5) : 0;
  if (s >= 3600)
    return g_strdup_printf ("%" G_GUINT64_FORMAT ":%02u:%02u", s / 3600, (guint) (s / 60 % 60), (guint) (s % 60));
  return g_strdup_printf ("%u:%02u", (guint) (s / 60), (guint) (s % 60));
}

/* Per second since the stage began here; 0 while unknown. */
static double
rate_of (const VjProgressEvent *event, const VjBarClock *clock)
{
  guint64 done = event->done > clock->done_at_begin ? event->done - clock->done_at_begin : 0;
  return clock->seconds > 0.2 ? (double) done / clock->seconds : 0.0;
}

static void
append_numbers (GString *line, const VjProgressEvent *event, const VjBarClock *clock, const char *separator)
{
  double rate = rate_of (event, clock);
  g_string_append_printf (line, "%" G_GUINT64_FORMAT, event->done);
  if (event->total > 0)
    g_string_append_printf (line, "/%" G_GUINT64_FORMAT, event->total);
  g_string_append_printf (line, " %s", event->unit ? event->unit : "");
  if (rate > 0)
    g_string_append_printf (line, rate < 10 ? "%s%.1f/s" : "%s%.0f/s", separator, rate);
  if (rate > 0 && event->total > event->done && event->kind != VJ_PROGRESS_END) {
    g_autofree char *eta = vj_bar_duration ((double) (event->total - event->done) / rate);
    g_string_append_printf (line, "%sETA %s", separator, eta);
  } else if (event->kind == VJ_PROGRESS_END) {
    g_autofree char *took = vj_bar_duration (clock->seconds);
    g_string_append_printf (line, "%s%s", separator, took);
  }
}

/* Cuts to `width` characters: never in the middle of one. */
static char *
cut (GString *line, guint width)
{
  if ((guint) g_utf8_strlen (line->str, -1) > width)
    g_string_truncate (line, (gsize) (g_utf8_offset_to_pointer (line->str, (glong) width) - line->str));
  return g_string_free (line, FALSE);
}

char *
vj_bar_line (const VjProgressEvent *event, const VjBarClock *clock, guint width)
{
  GString *line = g_string_new (NULL);
  g_autofree char *stage = inert_line (event->stage), *note = inert_line (event->note);

  if (event->kind == VJ_PROGRESS_LOG) {
    g_string_append (line, note);
    return g_string_free (line, FALSE);
  }
  g_string_append_printf (line, "%-24s ", stage);
  if (event->total > 0) {
    guint full = (guint) (MIN (event->done, event->total) * BAR_CELLS / event->total);
    g_string_append_c (line, '[');
    for (guint i = 0; i < BAR_CELLS; i++)
      g_string_append_c (line, i < full ? '#' : '.');
    g_string_append (line, "] ");
  }
  append_numbers (line, event, clock, "  ");
  if (note[0] != '\0')
    g_string_append_printf (line, "  %s", note);
  return cut (line, MAX (width, 20));
}

char *
vj_bar_plain (const VjProgressEvent *event, const VjBarClock *clock)
{
  GString *line = g_string_new (NULL);
  g_autofree char *stage = inert_line (event->stage), *note = inert_line (event->note);

  if (event->kind == VJ_PROGRESS_LOG) {
    g_string_append (line, note);
    return g_string_free (line, FALSE);
  }
  g_string_append_printf (line, "%s: ", stage);
  append_numbers (line, event, clock, ", ");
  if (note[0] != '\0')
    g_string_append_printf (line, ", %s", note);
  return g_string_free (line, FALSE);
}
