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

/* Differing words that touch are one difference, and naming some of them, in their place, names it. */
static void
test_words_that_touch (void)
{
  static const struct {
    const char *a, *b, *text, *reason;
  } cases[] = {
    {"one shape ; east red circle", "two shapes ; east red circle", "one A two B ; image shows one A so [[A]]", NULL},
    {"one shape ; east red circle", "two shapes ; east red circle", "one A two B ; image shows two A so [[A]]",
     "the trace gives the wrong answer what it saw"},
    {"one shape ; east red circle", "two shapes ; east red circle", "one A shapes B ; image shows one A so [[A]]",
     "the trace names a difference that is none"},
    {"one shape ; east red circle", "two shapes ; east red circle", "two A one B ; image shows two A so [[A]]",
     "the trace names a difference that is none"},
    {"one shape ; east red circle", "two shapes ; east blue circle", "one A two B ; image shows one A so [[A]]",
     "the trace misses a difference"},
    {"a cup", "three big cups", "cup A cups B ; image shows cup A so [[A]]", NULL}, /* the last word of each */
    {"a cup", "three big cups", "cup A big B ; image shows cup A so [[A]]", "the trace names a difference that is none"},
    {"a cup", "three big cups", "a A three B ; image shows a A so [[A]]", NULL}, /* the first word of each */
    {"large red cup", "small blue can", "red A blue B ; image shows red A so [[A]]", NULL}, /* in the middle of both */
    {"large red cup", "small blue can", "red A can B ; image shows red A so [[A]]", "the trace names a difference that is none"},
    {"same words", "same words", "same A same B ; image shows same A so [[A]]", "the trace names a difference that is none"},
  };
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_FILTER, "quote", NULL);
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    VjTrace trace = TRACE ("1", "p", TRUE, A);
    trace.chosen = cases[i].a, trace.rejected = cases[i].b, trace.text = cases[i].text;
    g_assert_cmpstr (bench_filter (bench, &trace, 1)[0], ==, cases[i].reason);
  }
}

/* Texts too long to be compared word by word are one difference; a word that both have in the same place is none. */
static void
test_long_answers (void)
{
  g_autoptr (GString) a = g_string_new (NULL), b = g_string_new (NULL);
  for (guint i = 0; i < 2100; i++) {
    g_string_append_printf (a, i == 1000 ? "same " : "a%u ", i);
    g_string_append_printf (b, i == 1000 ? "same " : "b%u ", i);
  }
  VjTrace trace = TRACE ("1", "p", TRUE, A);
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_FILTER, "quote", NULL);
  trace.chosen = a->str, trace.rejected = b->str;
  trace.text = "a7 A b7 B ; image shows a7 A so [[A]]";
  g_assert_null (bench_filter (bench, &trace, 1)[0]);
  trace.text = "same A same B ; image shows same A so [[A]]";
  g_assert_cmpstr (bench_filter (bench, &trace, 1)[0], ==, "the trace names a difference that is none");
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
  g_test_add_func ("/plugins/quote/words-that-touch", test_words_that_touch);
  g_test_add_func ("/plugins/quote/long-answers", test_long_answers);
  g_test_add_func ("/plugins/quote/bad-options", test_bad_options);
}
