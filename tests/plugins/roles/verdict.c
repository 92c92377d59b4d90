#include "roles.h"

static void
test_keeps_right_verdicts_only (void)
{
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_FILTER, "verdict", NULL);
  VjTrace traces[] = {TRACE ("1", "p", TRUE, A), TRACE ("2", "p", TRUE, B), TRACE ("3", "p", FALSE, B), TRACE ("4", "p", TRUE, UNPARSED)};
  traces[3].right = TRUE; /* a host that calls an unparsed verdict right gets nowhere */
  const char *const *reasons = bench_filter (bench, traces, 4);
  g_assert_cmpstr (reasons[0], ==, NULL);
  g_assert_cmpstr (reasons[1], ==, "wrong verdict");
  g_assert_cmpstr (reasons[2], ==, NULL);
  g_assert_cmpstr (reasons[3], ==, "unparsed verdict");
}

void
add_verdict_tests (void)
{
  g_test_add_func ("/plugins/verdict/keeps-right-verdicts-only", test_keeps_right_verdicts_only);
}
