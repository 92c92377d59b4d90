#include "roles.h"

#include <string.h>

/* 60 traces of 30 pairs, two each; categories c0..c2, kinds "count" and "majority ...". */
#define N 60

typedef struct {
  VjTrace traces[N];
  char ids[N][8], pairs[N][8], hows[N][40];
  VjQuestion questions[3];
} Set;

static void
fill (Set *set)
{
  static const char *const categories[] = {"c0", "c1", "c2"};
  for (guint i = 0; i < 3; i++)
    set->questions[i] = (VjQuestion){.id = "q", .prompt = "q", .category = categories[i]};
  for (guint i = 0; i < N; i++) {
    guint pair = i / 2;
    g_snprintf (set->ids[i], sizeof set->ids[i], "t%u", i);
    g_snprintf (set->pairs[i], sizeof set->pairs[i], "p%u", pair);
    if (pair % 5)
      g_snprintf (set->hows[i], sizeof set->hows[i], "count");
    else
      g_snprintf (set->hows[i], sizeof set->hows[i], "majority %u of 16, against 2", 5 + pair % 7);
    set->traces[i] = (VjTrace){.id = set->ids[i], .pair = set->pairs[i], .question = &set->questions[pair % 3], .how = set->hows[i],
                               .chosen_is_a = i % 2, .verdict = i % 2 ? VJ_VERDICT_A : VJ_VERDICT_B, .right = TRUE};
  }
}

static guint
kept (const char *const *reasons)
{
  guint n = 0;
  for (guint i = 0; i < N; i++)
    n += reasons[i] == NULL;
  return n;
}

static void
test_limits (void)
{
  Set set;
  fill (&set);
  g_autoptr (Bench) total = bench_new (VJ_ROLE_FILTER, "cap", "total", "17", NULL);
  g_assert_cmpuint (kept (bench_filter (total, set.traces, N)), ==, 17);
  g_autoptr (Bench) category = bench_new (VJ_ROLE_FILTER, "cap", "per_category", "6", NULL);
  const char *const *reasons = bench_filter (category, set.traces, N);
  guint of[3] = {0};
  for (guint i = 0; i < N; i++)
    of[i / 2 % 3] += reasons[i] == NULL;
  for (guint i = 0; i < 3; i++)
    g_assert_cmpuint (of[i], ==, 6);
  /* All votes are one kind: 12 traces of it, and as many of the others. */
  g_autoptr (Bench) kind = bench_new (VJ_ROLE_FILTER, "cap", "per_kind", "5", NULL);
  g_assert_cmpuint (kept (bench_filter (kind, set.traces, N)), ==, 10);
  g_autoptr (Bench) all = bench_new (VJ_ROLE_FILTER, "cap", "per_kind", "20", "total", "1000", NULL);
  g_assert_cmpuint (kept (bench_filter (all, set.traces, N)), ==, 20 + 12);
  bench_refuse (VJ_ROLE_FILTER, "cap", VJ_EXIT_RECIPE, "nothing would be capped", NULL);
}

/* The subset is the same whatever order traces come in, and a smaller one lies in a larger one. */
static void
test_order_and_nesting (void)
{
  Set set;
  VjTrace turned[N];
  gboolean first[N];
  fill (&set);
  for (guint i = 0; i < N; i++)
    turned[i] = set.traces[N - 1 - i];
  g_autoptr (Bench) one = bench_new (VJ_ROLE_FILTER, "cap", "total", "20", NULL);
  const char *const *reasons = bench_filter (one, set.traces, N);
  for (guint i = 0; i < N; i++)
    first[i] = reasons[i] == NULL;
  g_autoptr (Bench) other = bench_new (VJ_ROLE_FILTER, "cap", "total", "20", NULL);
  reasons = bench_filter (other, turned, N);
  guint in_front = 0;
  for (guint i = 0; i < N; i++) {
    g_assert_true (first[i] == (reasons[N - 1 - i] == NULL));
    in_front += first[i] && i < 20;
  }
  g_assert_cmpuint (in_front, <, 20); /* a random choice, not the first to come */
  g_autoptr (Bench) fewer = bench_new (VJ_ROLE_FILTER, "cap", "total", "8", NULL);
  reasons = bench_filter (fewer, set.traces, N);
  for (guint i = 0; i < N; i++)
    g_assert_true (reasons[i] || first[i]);
}

static void
test_whole_pairs (void)
{
  Set set;
  fill (&set);
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_FILTER, "cap", "total", "17", "whole", "pair", NULL);
  const char *const *reasons = bench_filter (bench, set.traces, N);
  g_assert_cmpuint (kept (reasons), ==, 16);
  for (guint i = 0; i < N; i += 2)
    g_assert_true (!reasons[i] == !reasons[i + 1]);
}

void
add_cap_tests (void)
{
  g_test_add_func ("/plugins/cap/limits", test_limits);
  g_test_add_func ("/plugins/cap/order-and-nesting", test_order_and_nesting);
  g_test_add_func ("/plugins/cap/whole-pairs", test_whole_pairs);
}
