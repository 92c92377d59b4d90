#include "roles.h"

static void
test_keeps_one_pair (void)
{
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_FILTER, "dedup", NULL);
  /* "p" and "o" hold the same answers, "o" the other way round; "r" has another answer. */
  VjTrace traces[] = {TRACE ("1", "p", TRUE, A), TRACE ("2", "p", FALSE, B), TRACE ("3", "o", TRUE, A), TRACE ("4", "r", TRUE, A)};
  traces[2].chosen = "no", traces[2].rejected = "yes", traces[3].rejected = "noyes";
  const char *const *reasons = bench_filter (bench, traces, 4);
  g_assert_cmpstr (reasons[0], ==, "same as another pair");
  g_assert_cmpstr (reasons[1], ==, "same as another pair");
  g_assert_null (reasons[2]); /* the smaller id, though it came later */
  g_assert_null (reasons[3]);
}

static void
test_by_question (void)
{
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_FILTER, "dedup", "by", "question", NULL);
  VjTrace traces[] = {TRACE ("1", "p", TRUE, A), TRACE ("4", "r", TRUE, A)};
  traces[1].rejected = "other";
  const char *const *reasons = bench_filter (bench, traces, 2);
  g_assert_null (reasons[0]);
  g_assert_cmpstr (reasons[1], ==, "same question as another pair");
}

void
add_dedup_tests (void)
{
  g_test_add_func ("/plugins/dedup/keeps-one-pair", test_keeps_one_pair);
  g_test_add_func ("/plugins/dedup/by-question", test_by_question);
}
