/* Log lines: formatted, redacted, made inert, then handed to the sink whole. */
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct VjLog {
  VjLogFormat format;
  VjLogLevel least;
  VjLogSink sink;
  gpointer data;
  GMutex lock;
  GPtrArray *secrets; /* of char * */
};

static void
sink_stderr (const char *line, gsize length, gpointer data)
{
  (void) data;
  while (length > 0) {
    ssize_t wrote = write (STDERR_FILENO, line, length);
    if (wrote < 0 && errno == EINTR)
      continue;
    if (wrote <= 0)
      return; /* nobody listens any more; a log must not end the run */
    line += wrote;
    length -= (gsize) wrote;
  }
}

VjLog *
vj_log_new (VjLogFormat format, VjLogLevel least, VjLogSink sink, gpointer data)
{
  VjLog *log = g_new0 (VjLog, 1);
  log->format = format;
  log->least = least;
  log->sink = sink != NULL ? sink : sink_stderr;
  log->data = data;
  log->secrets = g_ptr_array_new_with_free_func (g_free);
  g_mutex_init (&log->lock);
  return log;
}

void
vj_log_free (VjLog *log)
{
  if (log == NULL)
    return;
  g_mutex_clear (&log->lock);
  g_ptr_array_unref (log->secrets);
  g_free (log);
}

VjLogFormat
vj_log_format (const VjLog *log)
{
  return log != NULL ? log->format : VJ_LOG_HUMAN;
}

void
vj_log_redact (VjLog *log, const char *secret)
{
  if (log == NULL || secret == NULL || strlen (secret) < 4)
    return;
  g_mutex_lock (&log->lock);
  g_ptr_array_add (log->secrets, g_strdup (secret));
  g_mutex_unlock (&log->lock);
}

/* Characters that move the cursor, reorder text or show nothing. */
static gboolean
is_active (gunichar c)
{
  if (c == '\n' || c == '\t')
    return FALSE;
  if (c < 0x20 || (c >= 0x7f && c <= 0x9f))
    return TRUE;
  switch (g_unichar_type (c)) {
  case G_UNICODE_CONTROL:
  case G_UNICODE_FORMAT: /* bidi overrides and isolates, zero-width joiners, tags */
  case G_UNICODE_SURROGATE:
  case G_UNICODE_LINE_SEPARATOR:
  case G_UNICODE_PARAGRAPH_SEPARATOR:
    return TRUE;
  default:
    return FALSE;
  }
}

char *
vj_text_inert (const char *text, gssize length)
{
  const char *at = text, *end = text + (length < 0 ? strlen (text) : (gsize) length);
  GString *out = g_string_sized_new ((gsize) (end - at) + 1);
  while (at < end) {
    gunichar c = g_utf8_get_char_validated (at, end - at);
    if (c == (gunichar) -1 || c == (gunichar) -2) {
      g_string_append_printf (out, "\\x%02x", (guchar) *at++);
      continue;
    }
    const char *next = g_utf8_next_char (at);
    if (!is_active (c))
      g_string_append_len (out, at, next - at);
    else if (c < 0x100)
      g_string_append_printf (out, "\\x%02x", c);
    else
      g_string_append_printf (out, "\\u{%04x}", c);
    /* the table of g_utf8_next_char knows nothing of NUL: it advances by one, as wanted */
    at = next;
  }
  return g_string_free (out, FALSE);
}

char *
vj_text_excerpt (const char *text, guint most)
{
  g_autofree char *valid = g_utf8_make_valid (text, (gssize) strnlen (text, 4 * (gsize) most + 4));
  if (g_utf8_strlen (valid, -1) <= (glong) most)
    return g_steal_pointer (&valid);
  g_autofree char *head = g_utf8_substring (valid, 0, most);
  return g_strconcat (head, "...", NULL);
}

static void
append_json_string (GString *out, const char *text)
{
  g_string_append_c (out, '"');
  for (const char *at = text; *at != '\0'; at++) {
    guchar c = (guchar) *at;
    if (c == '"' || c == '\\')
      g_string_append_printf (out, "\\%c", c);
    else if (c < 0x20)
      g_string_append_printf (out, "\\u%04x", c);
    else
      g_string_append_c (out, (char) c);
  }
  g_string_append_c (out, '"');
}

/* Whether `text` is a number as JSON (RFC 8259) writes it. */
static gboolean
is_json_number (const char *text)
{
  const char *at = text + (*text == '-');
  if (!g_ascii_isdigit (*at) || (at[0] == '0' && g_ascii_isdigit (at[1])))
    return FALSE;
  at += strspn (at, "0123456789");
  if (*at == '.') {
    gsize n = strspn (++at, "0123456789");
    if (n == 0)
      return FALSE;
    at += n;
  }
  if (*at == 'e' || *at == 'E') {
    at += at[1] == '+' || at[1] == '-' ? 2 : 1;
    gsize n = strspn (at, "0123456789");
    if (n == 0)
      return FALSE;
    at += n;
  }
  return *at == '\0';
}

static const char *
level_name (VjLogLevel level)
{
  static const char *const names[] = {"debug", "info", "warning", "error"};
  return names[CLAMP ((int) level, 0, 3)];
}

/* Human lines keep a message's line breaks, indented, so that a list of faults stays readable. */
static char *
format_human (VjLogLevel level, const char *area, const char *text)
{
  g_autofree char *inert = vj_text_inert (text, -1);
  g_auto (GStrv) lines = g_strsplit (inert, "\n", -1);
  g_autofree char *joined = g_strjoinv ("\n  ", lines);
  const char *mark = level == VJ_LOG_INFO ? "" : level_name (level);
  return g_strdup_printf ("%s%s%s%s%s\n", mark, *mark != '\0' ? ": " : "", area != NULL ? area : "",
                          area != NULL ? ": " : "", joined);
}

static char *
format_json (VjLogLevel level, const char *area, const char *const *names, const char *const *values, const char *text)
{
  g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
  g_autofree char *time = g_date_time_format (now, "%Y-%m-%dT%H:%M:%S.%fZ");
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  GString *out = g_string_new (NULL);
  g_string_append_printf (out, "{\"time\":\"%s\",\"level\":\"%s\"", time, level_name (level));
  if (area != NULL) {
    g_string_append (out, ",\"area\":");
    append_json_string (out, area);
  }
  for (guint i = 0; names != NULL && names[i] != NULL; i++) {
    g_autofree char *value = g_utf8_make_valid (values[i], -1);
    g_string_append_c (out, ',');
    append_json_string (out, names[i]);
    g_string_append_c (out, ':');
    if (is_json_number (value))
      g_string_append (out, value);
    else
      append_json_string (out, value);
  }
  g_string_append (out, ",\"text\":");
  append_json_string (out, valid);
  g_string_append (out, "}\n");
  return g_string_free (out, FALSE);
}

static char *
redact (VjLog *log, char *line)
{
  for (guint i = 0; i < log->secrets->len; i++) {
    const char *secret = log->secrets->pdata[i];
    if (strstr (line, secret) == NULL)
      continue;
    GString *text = g_string_new (line);
    g_string_replace (text, secret, "[redacted]", 0);
    g_free (line);
    line = g_string_free (text, FALSE);
  }
  return line;
}

static void
write_line (VjLog *log, VjLogLevel level, const char *area, const char *const *names, const char *const *values,
            char *text)
{
  g_mutex_lock (&log->lock);
  text = redact (log, text); /* before escaping, which could split a secret */
  char *line = log->format == VJ_LOG_JSON ? format_json (level, area, names, values, text) : format_human (level, area, text);
  line = redact (log, line);
  log->sink (line, strlen (line), log->data);
  g_mutex_unlock (&log->lock);
  g_free (line);
  g_free (text);
}

void
vj_log_write (VjLog *log, VjLogLevel level, const char *area, const char *format, ...)
{
  if (log == NULL || level < log->least)
    return;
  va_list args;
  va_start (args, format);
  char *text = g_strdup_vprintf (format, args);
  va_end (args);
  write_line (log, level, area, NULL, NULL, text);
}

void
vj_log_event (VjLog *log, VjLogLevel level, const char *area, const char *const *names, const char *const *values,
              const char *format, ...)
{
  if (log == NULL || level < log->least)
    return;
  va_list args;
  va_start (args, format);
  char *text = g_strdup_vprintf (format, args);
  va_end (args);
  write_line (log, level, area, names, values, text);
}
