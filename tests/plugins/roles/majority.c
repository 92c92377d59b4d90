#include "roles.h"

static const char choice[] = "Which color? A) red B) blue C) green";

static void
test_votes (void)
{
  static const struct {
    const char *question, *drawn[8], *chosen, *rejected, *reason;
  } cases[] = {
    {"how many?", {"3", "Three.", " three ", "4"}, "3", "4", NULL},
    {"what?", {"a cup", "The Cup!", "cup", "cat"}, "a cup", "cat", NULL},
    {choice, {"B", "(b)", "B) blue", "blue", "red"}, "B", "red", NULL},
    {choice, {"option B", "The answer is B.", "b.", "C"}, "option B", "C", NULL},
    /* the commonest way to write it, of equals that drawn first */
    {"how many?", {"three", "3", "3", "Three", "4.0", "4", "4"}, "3", "4", NULL},
    {"how many?", {"3.0", "three", "3", "5"}, "3.0", "5", NULL},
    {"how much?", {"1/2", "half", "0.5", "2/4"}, "1/2", "2/4", NULL},
    {"how much?", {"50 %", "50%", "fifty percent", "50%", "50"}, "50%", "50", NULL},
    {"how far?", {"1,000 km", "1000 km", "1000 km", "1000 m"}, "1000 km", "1000 m", NULL},
    {choice, {"A or B", "B", "B", "Answer: B", "(B)"}, "B", "A or B", NULL},
    {"how many?", {"3", "3", "3"}, "3", NULL, "all draws agree"},
    {"how many?", {"3", "4", "5", "3", "3", "4", "4"}, NULL, NULL, "two answers have equally many votes"},
    {"how many?", {"3", "4", "5"}, NULL, NULL, "no answer has enough votes"},
    {"how many?", {BENCH_CUT "3", BENCH_CUT "4", BENCH_CUT "3", ""}, NULL, NULL, "no usable draw"},
    {"how many?", {"3", "3", BENCH_CUT "3", "4", "  "}, NULL, NULL, "no answer has enough votes"},
    {"how many?", {"", "...", "?"}, NULL, NULL, "no usable draw"},
  };
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_SAMPLER, "majority", "n", "8", "threshold", "3", NULL);
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    const char *const *d = cases[i].drawn;
    BenchPair pair = bench_sample (bench, cases[i].question, d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7], NULL);
    g_assert_cmpint (pair.flow, ==, cases[i].reason ? VJ_FLOW_SKIP : VJ_FLOW_OK);
    g_assert_cmpstr (pair.reason, ==, cases[i].reason);
    g_assert_cmpstr (pair.chosen, ==, cases[i].chosen);
    g_assert_cmpstr (pair.rejected, ==, cases[i].rejected);
  }
  g_assert_cmpint (bench->sampling.n, ==, 8);
}

/* How often "4" (3 votes) is rejected rather than "5" (1 vote), over 200 records. */
static guint
rejections (const char *how)
{
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_SAMPLER, "majority", "reject", how, NULL);
  guint n = 0;
  for (int i = 0; i < 200; i++) {
    g_autofree char *id = g_strdup_printf ("q%d", i);
    bench->record = id;
    BenchPair pair = bench_sample (bench, "?", "3", "3", "3", "3", "3", "4", "4", "4", "5", NULL);
    g_assert_cmpstr (pair.how, ==, *pair.rejected == '4' ? "majority 5 of 9, against 3" : "majority 5 of 9, against 1");
    n += *pair.rejected == '4' ? 1 : 0;
  }
  return n;
}

static void
test_options (void)
{
  g_assert_cmpint (ABS ((int) rejections ("weighted") - 150), <, 25);
  g_assert_cmpint (ABS ((int) rejections ("uniform") - 100), <, 28);
  g_autoptr (Bench) more = bench_new (VJ_ROLE_SAMPLER, "majority", "threshold", "2", "at_least", "false", NULL);
  g_assert_cmpstr (bench_sample (more, "?", "3", "3", "4", NULL).reason, ==, "no answer has enough votes");
  g_autoptr (Bench) plain = bench_new (VJ_ROLE_SAMPLER, "majority", "threshold", "2", "normalise", "case", NULL);
  g_assert_cmpstr (bench_sample (plain, "?", "a Cup", "A cup", "cup", NULL).rejected, ==, "cup");
  g_autoptr (Bench) raw = bench_new (VJ_ROLE_SAMPLER, "majority", "threshold", "2", "normalise", "case,option-letters", NULL);
  g_assert_cmpstr (bench_sample (raw, "?", "3", "3", "3.0", NULL).how, ==, "majority 2 of 3, against 1");
  g_assert_cmpstr (bench_sample (raw, choice, "B", "(b)", "C", NULL).how, ==, "majority 2 of 3, against 1");
  g_autoptr (Bench) letters = bench_new (VJ_ROLE_SAMPLER, "majority", "threshold", "2", "normalise", "case", NULL);
  g_assert_cmpstr (bench_sample (letters, choice, "B", "(b)", "b", NULL).how, ==, "majority 2 of 3, against 1");
  g_autoptr (Bench) last = bench_new (VJ_ROLE_SAMPLER, "majority", "threshold", "2", "extract", "answer is (\\w+)", "prompt", "{question} Say why.", NULL);
  g_assert_cmpstr (bench_sample (last, "?", "answer is 1? no, answer is 2", "answer is 2", "answer is 3", "2", NULL).how, ==, "majority 2 of 3, against 1");
  g_assert_cmpstr (last->asked, ==, "? Say why.");
  bench_refuse (VJ_ROLE_SAMPLER, "majority", VJ_EXIT_RECIPE, "cannot be reached", "n", "4", NULL);
  bench_refuse (VJ_ROLE_SAMPLER, "majority", VJ_EXIT_RECIPE, "'temperature': all draws would be alike", "temperature", "0", NULL);
  bench_refuse (VJ_ROLE_SAMPLER, "majority", VJ_EXIT_RECIPE, "'top_k': all draws would be alike", "top_k", "1", NULL);
  bench_refuse (VJ_ROLE_SAMPLER, "majority", VJ_EXIT_RECIPE, "not a regular expression", "extract", "(", NULL);
  bench_refuse (VJ_ROLE_SAMPLER, "majority", VJ_EXIT_RECIPE, "{question}", "prompt", "?", NULL);
}

void
add_majority_tests (void)
{
  g_test_add_func ("/plugins/majority/votes", test_votes);
  g_test_add_func ("/plugins/majority/options", test_options);
}
