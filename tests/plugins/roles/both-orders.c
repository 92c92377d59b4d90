#include "roles.h"

#define ROWS                                                                                        \
  TRACE ("1", "p", TRUE, A), TRACE ("2", "p", TRUE, A), TRACE ("3", "p", FALSE, B), TRACE ("4", "p", FALSE, A), \
  TRACE ("5", "q", TRUE, A), TRACE ("6", "q", FALSE, A), TRACE ("7", "r", TRUE, A), TRACE ("8", "p", TRUE, UNPARSED)

static void
test_needs_both (void)
{
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_FILTER, "both-orders", "keep", "all", NULL);
  VjTrace traces[] = {ROWS};
  const char *const *reasons = bench_filter (bench, traces, G_N_ELEMENTS (traces));
  const char *const expected[] = {NULL, NULL, NULL, "wrong verdict", "not right in both orders", "wrong verdict",
                                  "not right in both orders", "unparsed verdict"};
  for (size_t i = 0; i < G_N_ELEMENTS (expected); i++)
    g_assert_cmpstr (reasons[i], ==, expected[i]);
}

/* One of "1" and "2" stays, the same one in whatever order they come. */
static void
test_keeps_one (void)
{
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_FILTER, "both-orders", NULL), other = bench_new (VJ_ROLE_FILTER, "both-orders", NULL);
  VjTrace traces[] = {ROWS}, swapped[] = {ROWS};
  swapped[0] = traces[1], swapped[1] = traces[0];
  const char *const *reasons = bench_filter (bench, traces, G_N_ELEMENTS (traces));
  const char *const *again = bench_filter (other, swapped, G_N_ELEMENTS (swapped));
  g_assert_true (!reasons[0] != !reasons[1]);
  g_assert_cmpstr (reasons[0] ? reasons[0] : reasons[1], ==, "another sample of this order was kept");
  g_assert_cmpstr (reasons[0], ==, again[1]);
  g_assert_null (reasons[2]);
}

static void
test_at_least (void)
{
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_FILTER, "both-orders", "keep", "all", "at_least", "2", NULL);
  VjTrace traces[] = {ROWS};
  const char *const *reasons = bench_filter (bench, traces, G_N_ELEMENTS (traces));
  g_assert_cmpstr (reasons[0], ==, "not right in both orders");
  g_assert_cmpstr (reasons[2], ==, "not right in both orders");
}

void
add_both_orders_tests (void)
{
  g_test_add_func ("/plugins/both-orders/needs-both", test_needs_both);
  g_test_add_func ("/plugins/both-orders/keeps-one", test_keeps_one);
  g_test_add_func ("/plugins/both-orders/at-least", test_at_least);
}
