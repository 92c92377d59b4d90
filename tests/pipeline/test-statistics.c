/* Intervals and tests against values computed elsewhere; lines of progress. */
#include <glib.h>
#include <string.h>

#include "report/bar.h"
#include "report/statistics.h"

/* 81 of 263 is example 1 of Newcombe, Statistics in Medicine 17 (1998) 857-872, table I: .2553, .3662. All rows
 * were also computed with 40-digit decimals from Wilson's formula. */
static void
test_wilson (void)
{
  static const struct {
    double right, total, low, high;
  } rows[] = {
    {0, 10, 0, 0.2775327998628892},
    {10, 10, 0.7224672001371107, 0.9999999999999999},
    {5, 10, 0.236593090512564, 0.7634069094874361},
    {81, 263, 0.2552885198782742, 0.36620957698280004},
    {345, 500, 0.6481416618981787, 0.7289610887264314},
    {1, 1, 0.20654931437723745, 1},
    {999, 1000, 0.9943574414020421, 0.9998234536293739},
    {0, 0, 0.0, 1.0},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
    VjInterval interval = vj_statistics_wilson (rows[i].right, rows[i].total, VJ_Z95);
    g_assert_cmpfloat_with_epsilon (interval.low, rows[i].low, 1e-9);
    g_assert_cmpfloat_with_epsilon (interval.high, rows[i].high, 1e-9);
  }
}

/* Computed with exact fractions: min (1, 2 sum_{k <= min} C(n, k) / 2^n). */
static void
test_mcnemar (void)
{
  static const struct {
    guint64 before, after;
    double p;
  } rows[] = {
    {0, 0, 1.0},
    {1, 0, 1.0},
    {0, 5, 0.0625},
    {3, 12, 0.03515625},
    {10, 20, 0.09873714670538902},
    {20, 10, 0.09873714670538902},
    {5, 6, 1.0},
    {101, 59, 0.001122905196234038},
    {600, 700, 0.0060157938610449525},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
    double p = vj_statistics_mcnemar (rows[i].before, rows[i].after);
    g_assert_cmpfloat (ABS (p - rows[i].p), <=, 1e-9 * rows[i].p);
  }
}

static void
test_pairs (void)
{
  VjPairCounts counts = {0};
  vj_pair_counts_add (&counts, VJ_ANSWER_RIGHT, VJ_ANSWER_RIGHT);    /* A, B */
  vj_pair_counts_add (&counts, VJ_ANSWER_RIGHT, VJ_ANSWER_WRONG);    /* A, A: position bias */
  vj_pair_counts_add (&counts, VJ_ANSWER_WRONG, VJ_ANSWER_WRONG);    /* B, A */
  vj_pair_counts_add (&counts, VJ_ANSWER_UNPARSED, VJ_ANSWER_RIGHT); /* -, B: unparsed is wrong, not inconsistent */
  g_assert_cmpuint (counts.pairs, ==, 4);
  g_assert_cmpuint (counts.right, ==, 4);
  g_assert_cmpuint (counts.strict, ==, 1);
  g_assert_cmpuint (counts.inconsistent, ==, 1);
  g_assert_cmpuint (counts.unparsed, ==, 1);
  g_assert_cmpuint (counts.said_a, ==, 4);
  g_assert_cmpfloat (vj_pair_counts_accuracy (&counts), ==, 0.5);
  g_assert_cmpfloat (vj_pair_counts_strict (&counts), ==, 0.25);
  g_assert_cmpfloat_with_epsilon (vj_pair_counts_position_bias (&counts), 4.0 / 7.0 - 0.5, 1e-12);
  VjPairCounts none = {0};
  g_assert_cmpfloat (vj_pair_counts_accuracy (&none), ==, 0.0);
  g_assert_cmpfloat (vj_pair_counts_position_bias (&none), ==, 0.0);
}

static void
test_bar (void)
{
  VjProgressEvent event = {.kind = VJ_PROGRESS_STEP, .stage = "iteration 1: judge", .unit = "records", .done = 120,
                           .total = 400, .note = "\033[31mred"};
  VjBarClock clock = {.done_at_begin = 20, .seconds = 10};
  g_autofree char *line = vj_bar_line (&event, &clock, 200);
  g_assert_cmpstr (line, ==,
                   "iteration 1: judge       [######..............] 120/400 records  10/s  ETA 0:28  \\x1b[31mred");
  g_autofree char *cut = vj_bar_line (&event, &clock, 30);
  g_assert_cmpuint (strlen (cut), ==, 30);
  g_autofree char *plain = vj_bar_plain (&event, &clock);
  g_assert_cmpstr (plain, ==, "iteration 1: judge: 120/400 records, 10/s, ETA 0:28, \\x1b[31mred");
  g_autofree char *hours = vj_bar_duration (3723);
  g_assert_cmpstr (hours, ==, "1:02:03");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/statistics/wilson", test_wilson);
  g_test_add_func ("/statistics/mcnemar", test_mcnemar);
  g_test_add_func ("/statistics/pairs", test_pairs);
  g_test_add_func ("/report/bar", test_bar);
  return g_test_run ();
}
