#include "roles.h"

/* Makes n_a verdicts A and n_b verdicts B, filters them, and counts what is kept. */
static void
run (Bench *bench, guint n_a, guint n_b, const char *category, guint *ret_a, guint *ret_b, char *ret_kept)
{
  static char ids[64][8];
  static VjQuestion question;
  VjTrace traces[64] = {0};
  question = (VjQuestion){.id = "q", .prompt = "q", .category = category};
  for (guint i = 0; i < n_a + n_b; i++) {
    g_snprintf (ids[i], sizeof ids[i], "t%u", i);
    traces[i] = (VjTrace){.id = ids[i], .pair = ids[i], .question = &question, .verdict = i < n_a ? VJ_VERDICT_A : VJ_VERDICT_B};
  }
  const char *const *reasons = bench_filter (bench, traces, n_a + n_b);
  *ret_a = *ret_b = 0;
  for (guint i = 0; i < n_a + n_b; i++) {
    ret_kept[i] = reasons[i] ? '.' : 'x';
    *(i < n_a ? ret_a : ret_b) += reasons[i] ? 0 : 1;
  }
  ret_kept[n_a + n_b] = '\0';
}

static void
test_evens_out (void)
{
  static const struct {
    const char *ratio, *cap;
    guint n_a, n_b, kept_a, kept_b;
  } cases[] = {{"1", "0", 20, 7, 7, 7}, {"1", "0", 3, 3, 3, 3}, {"1", "0", 9, 0, 0, 0}, {"2", "0", 20, 7, 14, 7}, {"1000", "10", 40, 0, 0, 0}};
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Bench) bench = bench_new (VJ_ROLE_FILTER, "balance", "ratio", cases[i].ratio, "max_per_category", cases[i].cap, NULL);
    guint a, b;
    char kept[65];
    run (bench, cases[i].n_a, cases[i].n_b, "", &a, &b, kept);
    g_assert_cmpuint (a, ==, cases[i].kept_a);
    g_assert_cmpuint (b, ==, cases[i].kept_b);
  }
}

static void
test_caps_and_repeats (void)
{
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_FILTER, "balance", "ratio", "1000", "max_per_category", "10", NULL);
  g_autoptr (Bench) again = bench_new (VJ_ROLE_FILTER, "balance", "ratio", "1000", "max_per_category", "10", NULL);
  guint a, b;
  char kept[65], same[65];
  run (bench, 20, 20, "c", &a, &b, kept);
  g_assert_cmpuint (a + b, ==, 10);
  run (again, 20, 20, "c", &a, &b, same);
  g_assert_cmpstr (kept, ==, same);
}

void
add_balance_tests (void)
{
  g_test_add_func ("/plugins/balance/evens-out", test_evens_out);
  g_test_add_func ("/plugins/balance/caps-and-repeats", test_caps_and_repeats);
}
