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

/* Two of three samples are right in the first order, the third is unparsed or was dropped before; one of one in the other. */
static void
test_min_agreement (void)
{
  static const struct {
    const char *least;
    gboolean shown, kept;
  } cases[] = {{"0", TRUE, TRUE}, {"0.6", TRUE, TRUE}, {"0.7", TRUE, FALSE}, {"0.6", FALSE, TRUE}, {"0.7", FALSE, FALSE}};
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Bench) bench = bench_new (VJ_ROLE_FILTER, "both-orders", "keep", "all", "min_agreement", cases[i].least, NULL);
    VjTrace traces[] = {TRACE ("1", "p", TRUE, A), TRACE ("2", "p", TRUE, A), TRACE ("3", "p", FALSE, B), TRACE ("4", "p", FALSE, B),
                        TRACE ("5", "p", FALSE, B), TRACE ("6", "p", TRUE, UNPARSED)};
    for (size_t j = 0; j < G_N_ELEMENTS (traces); j++)
      traces[j].samples = 3;
    const char *const *reasons = bench_filter (bench, traces, cases[i].shown ? 6 : 5);
    for (size_t j = 0; j < 5; j++)
      g_assert_cmpstr (reasons[j], ==, cases[i].kept ? NULL : "too few samples agree with the label");
  }
}

/* 3 of 5 is 0.6, though no double is. */
static void
test_exact_share (void)
{
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_FILTER, "both-orders", "keep", "all", "min_agreement", "0.6", NULL);
  VjTrace traces[] = {TRACE ("1", "p", TRUE, A), TRACE ("2", "p", TRUE, A), TRACE ("3", "p", TRUE, A),
                      TRACE ("4", "p", FALSE, B), TRACE ("5", "p", FALSE, B), TRACE ("6", "p", FALSE, B)};
  for (size_t j = 0; j < G_N_ELEMENTS (traces); j++)
    traces[j].samples = 5;
  g_assert_null (bench_filter (bench, traces, G_N_ELEMENTS (traces))[0]);
}

/* What the judge's own settings keep from ever passing is refused at once; what can pass is not. */
static void
test_fits_the_judge (void)
{
  bench_refuse_in (&(VjRunPlan){.orders = 1, .samples = 4}, VJ_ROLE_FILTER, "both-orders", VJ_EXIT_RECIPE, "orders: one", NULL);
  bench_refuse_in (&(VjRunPlan){.orders = 2, .samples = 4}, VJ_ROLE_FILTER, "both-orders", VJ_EXIT_RECIPE, "the judge gives 4 (samples: 4)",
                   "at_least", "5", NULL);
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_FILTER, "both-orders", "at_least", "4", NULL);
  const char *const options[] = {"at_least", "4", NULL};
  g_autoptr (GError) error = NULL;
  vj_run_set_plan (bench->run, &(VjRunPlan){.orders = 2, .samples = 4});
  g_autoptr (VjInstance) fits = vj_instance_new (bench->plugin, NULL, options, bench->run, &error);
  g_assert_no_error (error);
  g_assert_nonnull (fits);
}

void
add_both_orders_tests (void)
{
  g_test_add_func ("/plugins/both-orders/needs-both", test_needs_both);
  g_test_add_func ("/plugins/both-orders/keeps-one", test_keeps_one);
  g_test_add_func ("/plugins/both-orders/at-least", test_at_least);
  g_test_add_func ("/plugins/both-orders/min-agreement", test_min_agreement);
  g_test_add_func ("/plugins/both-orders/exact-share", test_exact_share);
  g_test_add_func ("/plugins/both-orders/fits-the-judge", test_fits_the_judge);
}
