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
    const char *ratio;
    guint n_a, n_b, kept_a, kept_b;
  } cases[] = {{"1", 20, 7, 7, 7}, {"1", 3, 3, 3, 3}, {"1", 9, 0, 0, 0}, {"2", 20, 7, 14, 7}, {"1.5", 20, 7, 10, 7}};
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Bench) bench = bench_new (VJ_ROLE_FILTER, "balance", "ratio", cases[i].ratio, NULL);
    g_autoptr (Bench) again = bench_new (VJ_ROLE_FILTER, "balance", "ratio", cases[i].ratio, NULL);
    guint a, b;
    char kept[65], same[65];
    run (bench, cases[i].n_a, cases[i].n_b, "", &a, &b, kept);
    g_assert_cmpuint (a, ==, cases[i].kept_a);
    g_assert_cmpuint (b, ==, cases[i].kept_b);
    run (again, cases[i].n_a, cases[i].n_b, "", &a, &b, same);
    g_assert_cmpstr (kept, ==, same);
  }
}

/* Traces of which number % 3 == 0 has the shorter answer chosen, number % 10 == 0 equally long ones; number % 4 == 0
 * has verdict B; number % 5 == 0 has the chosen answer second, whatever the verdict. */
#define N_MIXED 200

static void
mixed (VjTrace traces[N_MIXED], char ids[N_MIXED][8])
{
  static const VjQuestion question = {.id = "q", .prompt = "q", .category = ""};
  for (guint i = 0; i < N_MIXED; i++) {
    gboolean shorter = i % 3 == 0;
    g_snprintf (ids[i], sizeof ids[i], "t%u", i);
    traces[i] = (VjTrace){.id = ids[i], .pair = ids[i], .question = &question, .chosen = shorter ? "yes" : "yes indeed",
                          .rejected = shorter ? "not at all" : "no", .chosen_is_a = i % 5 != 0,
                          .verdict = i % 4 ? VJ_VERDICT_A : VJ_VERDICT_B};
    if (i % 10 == 0)
      traces[i].rejected = shorter ? "\u00fce." : "not at all"; /* equally long in characters, not in bytes */
  }
}

typedef struct {
  guint a, b, longer, shorter, equal, first, second;
} Sides;

static Sides
count_kept (const VjTrace *traces, const char *const *reasons)
{
  Sides sides = {0};
  for (guint i = 0; i < N_MIXED; i++) {
    glong chosen = g_utf8_strlen (traces[i].chosen, -1), rejected = g_utf8_strlen (traces[i].rejected, -1);
    if (reasons[i])
      continue;
    sides.a += traces[i].verdict == VJ_VERDICT_A;
    sides.b += traces[i].verdict == VJ_VERDICT_B;
    sides.longer += chosen > rejected;
    sides.shorter += chosen < rejected;
    sides.equal += chosen == rejected;
    sides.first += traces[i].chosen_is_a;
    sides.second += !traces[i].chosen_is_a;
  }
  return sides;
}

static void
test_length_and_position (void)
{
  g_autoptr (Bench) length = bench_new (VJ_ROLE_FILTER, "balance", "by", "length", NULL);
  g_autoptr (Bench) all = bench_new (VJ_ROLE_FILTER, "balance", "by", "verdict,length,position", NULL);
  VjTrace traces[N_MIXED];
  char ids[N_MIXED][8];
  mixed (traces, ids);
  const char *const *reasons = bench_filter (length, traces, N_MIXED);
  Sides sides = count_kept (traces, reasons);
  g_assert_cmpuint (sides.longer, ==, sides.shorter);
  g_assert_cmpuint (sides.shorter, ==, 60); /* every one of the rarer side */
  g_assert_cmpuint (sides.equal, ==, 20);   /* and those that are on neither */
  g_assert_cmpstr (reasons[1] ? reasons[1] : reasons[2] ? reasons[2] : reasons[4], ==, "the chosen answer is the longer one too often");
  sides = count_kept (traces, bench_filter (all, traces, N_MIXED));
  g_assert_cmpuint (sides.longer, ==, sides.shorter);
  g_assert_cmpuint (sides.a, ==, sides.b);
  g_assert_cmpuint (sides.first, ==, sides.second);
  g_assert_cmpuint (sides.first, >=, 30); /* not more than must be goes */
}

/* Within the margin answers are equally long. */
static void
test_length_margin (void)
{
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_FILTER, "balance", "by", "length", "length_margin", "0.8", NULL);
  VjTrace traces[N_MIXED];
  char ids[N_MIXED][8];
  mixed (traces, ids);
  const char *const *reasons = bench_filter (bench, traces, N_MIXED);
  for (guint i = 0; i < N_MIXED; i++)
    g_assert_null (reasons[i]);
  bench_refuse (VJ_ROLE_FILTER, "balance", VJ_EXIT_RECIPE, "the list is empty", "by", "", NULL);
}

void
add_balance_tests (void)
{
  g_test_add_func ("/plugins/balance/evens-out", test_evens_out);
  g_test_add_func ("/plugins/balance/length-and-position", test_length_and_position);
  g_test_add_func ("/plugins/balance/length-margin", test_length_margin);
}
