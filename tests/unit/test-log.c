/* base/log: foreign text is inert, secrets are redacted, lines are whole. base/nearest: the hints. */
#include "base/log.h"
#include "base/nearest.h"

#include <string.h>

static void
collect (const char *line, gsize length, gpointer data)
{
  g_string_append_len (data, line, (gssize) length);
}

static void
test_foreign_text_is_inert (void)
{
  static const char *const cases[][2] = {
    {"\033[2Jx", "\\x1b[2Jx"},        {"a\rb", "a\\x0db"},       {"\xe2\x80\xaegnp.exe", "\\u{202e}gnp.exe"},
    {"\xe2\x81\xa6x", "\\u{2066}x"},  {"\xff", "\\xff"},         {"\xc2\x9b" "2J", "\\x9b2J"},
    {"caf\xc3\xa9\n", "caf\xc3\xa9\n"}, {"\xe2\x80\x8bx", "\\u{200b}x"}, {"\xe2\x80\xa8x", "\\u{2028}x"}};
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *inert = vj_text_inert (cases[i][0], -1);
    g_assert_cmpstr (inert, ==, cases[i][1]);
  }
  g_autofree char *nul = vj_text_inert ("a\0b", 3);
  g_assert_cmpstr (nul, ==, "a\\x00b");
}

static void
test_levels_and_human_lines (void)
{
  g_autoptr (GString) out = g_string_new (NULL);
  g_autoptr (VjLog) log = vj_log_new (VJ_LOG_HUMAN, VJ_LOG_INFO, collect, out);
  vj_log_write (log, VJ_LOG_DEBUG, "judge", "not seen");
  vj_log_write (log, VJ_LOG_INFO, "judge", "%d pairs", 3);
  vj_log_write (log, VJ_LOG_ERROR, NULL, "one\ntwo\033");
  g_assert_cmpstr (out->str, ==, "judge: 3 pairs\nerror: one\n  two\\x1b\n");
  vj_log_write (NULL, VJ_LOG_ERROR, NULL, "nobody hears");
}

static void
test_json_lines (void)
{
  const char *const names[] = {"rate", "stage", "odd", NULL}, *const values[] = {"1.5e3", "judge", "01", NULL};
  g_autoptr (GString) out = g_string_new (NULL);
  g_autoptr (VjLog) log = vj_log_new (VJ_LOG_JSON, VJ_LOG_INFO, collect, out);
  vj_log_event (log, VJ_LOG_WARNING, "run", names, values, "say \"hi\"\n\x01\xff");
  g_assert_nonnull (strstr (out->str, "\"level\":\"warning\",\"area\":\"run\",\"rate\":1.5e3,\"stage\":\"judge\",\"odd\":\"01\",\"text\":\"say \\\"hi\\\"\\u000a\\u0001\xef\xbf\xbd\"}\n"));
  g_assert_true (g_utf8_validate (out->str, -1, NULL));
}

static void
test_secrets_are_redacted (void)
{
  for (int format = 0; format < 2; format++) {
    const char *const names[] = {"key", NULL}, *const values[] = {"canary-1234", NULL};
    g_autoptr (GString) out = g_string_new (NULL);
    g_autoptr (VjLog) log = vj_log_new ((VjLogFormat) format, VJ_LOG_DEBUG, collect, out);
    vj_log_redact (log, "canary-1234");
    vj_log_event (log, VJ_LOG_ERROR, NULL, names, values, "401 for canary-1234: xcanary-1234x");
    g_assert_null (strstr (out->str, "canary"));
    g_assert_nonnull (strstr (out->str, "401 for [redacted]: x[redacted]x"));
  }
}

static void
test_nearest_names (void)
{
  static const char *const names[] = {"temperature", "top_k", "top_p", "count", NULL};
  g_assert_cmpuint (vj_nearest_distance ("count", "coutn"), ==, 1);
  g_assert_cmpuint (vj_nearest_distance ("", "abc"), ==, 3);
  g_assert_cmpstr (vj_nearest ("temprature", names), ==, "temperature");
  g_assert_cmpstr (vj_nearest ("COUNT", names), ==, "count");
  g_assert_null (vj_nearest ("seed", names));
  g_autofree char *hint = vj_nearest_hint ("topk", names);
  g_assert_cmpstr (hint, ==, "; did you mean 'top_k'? Expected one of temperature, top_k, top_p, count");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/log/foreign-text-is-inert", test_foreign_text_is_inert);
  g_test_add_func ("/base/log/levels-and-human-lines", test_levels_and_human_lines);
  g_test_add_func ("/base/log/json-lines", test_json_lines);
  g_test_add_func ("/base/log/secrets-are-redacted", test_secrets_are_redacted);
  g_test_add_func ("/base/nearest/names", test_nearest_names);
  return g_test_run ();
}
