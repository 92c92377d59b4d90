#include "roles.h"

/* A is "at left red circle at right blue square" (chosen), B has green for red. */
static void
test_reasons_must_fit (void)
{
  static const struct {
    const char *text, *reason;
    VjVerdict verdict;
  } cases[] = {
    {"at left red A green B ; image shows red A so [[A]]", NULL, VJ_VERDICT_A},
    {"at left red A green B ; image shows red A so [[B]]", "the trace's reason contradicts its verdict", VJ_VERDICT_B},
    {"at left red A green B ; image shows red B so [[B]]", "the trace gives the wrong answer what it saw", VJ_VERDICT_B},
    {"at left red A green B ; image shows blue A so [[A]]", "the trace gives the wrong answer what it saw", VJ_VERDICT_A},
    {"at right blue A green B ; image shows blue A so [[A]]", "the trace names a difference that is none", VJ_VERDICT_A},
    {"at left green A red B ; image shows green A so [[A]]", "the trace names a difference that is none", VJ_VERDICT_A},
    {"image shows red A so [[A]]", "the trace names no difference", VJ_VERDICT_A},
    {"at left red A green B so [[A]]", "the trace does not say what the image shows", VJ_VERDICT_A},
    {"at left red A green B ; image shows red A", "the trace's reason contradicts its verdict", VJ_VERDICT_UNPARSED},
    {"", "the trace names no difference", VJ_VERDICT_A},
  };
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_FILTER, "quote", NULL);
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    VjTrace trace = TRACE ("1", "p", TRUE, A);
    trace.chosen = "at left red circle at right blue square";
    trace.rejected = "at left green circle at right blue square";
    trace.text = cases[i].text;
    trace.verdict = cases[i].verdict;
    g_assert_cmpstr (bench_filter (bench, &trace, 1)[0], ==, cases[i].reason);
  }
}

static void
test_every_difference (void)
{
  VjTrace trace = TRACE ("1", "p", FALSE, B);
  trace.chosen = "two red cups", trace.rejected = "six red cans";
  trace.text = "six A two B ; image shows two B so [[B]]";
  g_autoptr (Bench) all = bench_new (VJ_ROLE_FILTER, "quote", NULL), some = bench_new (VJ_ROLE_FILTER, "quote", "all", "false", NULL);
  g_assert_cmpstr (bench_filter (all, &trace, 1)[0], ==, "the trace misses a difference");
  g_assert_null (bench_filter (some, &trace, 1)[0]);
}

static void
test_bad_options (void)
{
  bench_refuse (VJ_ROLE_FILTER, "quote", VJ_EXIT_RECIPE, "not a regular expression", "differ", "(", NULL);
  bench_refuse (VJ_ROLE_FILTER, "quote", VJ_EXIT_RECIPE, "(?<letter>...)", "seen", "(?<word>x)", NULL);
}

void
add_quote_tests (void)
{
  g_test_add_func ("/plugins/quote/reasons-must-fit", test_reasons_must_fit);
  g_test_add_func ("/plugins/quote/every-difference", test_every_difference);
  g_test_add_func ("/plugins/quote/bad-options", test_bad_options);
}
