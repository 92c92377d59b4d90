/* Intervals and tests against values computed elsewhere; the gate's decision; lines of progress. */
#include <math.h>
#include <glib.h>
#include <string.h>

#include "report/bar.h"
#include "report/gate.h"
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
  g_assert_cmpuint (counts.consistent, ==, 2);
  g_assert_cmpuint (counts.unparsed, ==, 1);
  g_assert_cmpuint (counts.said_a, ==, 4);
  g_assert_cmpfloat (vj_pair_counts_accuracy (&counts), ==, 0.5);
  g_assert_cmpfloat (vj_pair_counts_strict (&counts), ==, 0.25);
  g_assert_cmpfloat_with_epsilon (vj_pair_counts_position_bias (&counts), 4.0 / 7.0 - 0.5, 1e-12);
  VjPairCounts none = {0};
  g_assert_cmpfloat (vj_pair_counts_accuracy (&none), ==, 0.0);
  g_assert_cmpfloat (vj_pair_counts_position_bias (&none), ==, 0.0);
}

#define R VJ_ANSWER_RIGHT
#define W VJ_ANSWER_WRONG
#define U VJ_ANSWER_UNPARSED

/* `n` pairs that both judges answer as told: the judge in two orders, the candidate in two. */
static void
add_pairs (VjGateFigures *figures, const VjGateRule *rule, guint n, VjAnswer a, VjAnswer b, VjAnswer c, VjAnswer d)
{
  const VjAnswer current[] = {a, b}, candidate[] = {c, d};
  for (guint i = 0; i < n; i++)
    vj_gate_figures_add (figures, rule, current, candidate, NULL);
}

/* 3 against 12 has p = 0.035, 10 against 20 has 0.099 (see test_mcnemar). Pairs beside the gained and lost ones are alike. */
static void
test_gate (void)
{
  static const struct {
    gboolean accuracy, better;
    double alpha, min_consistency, min_parsed;
    guint gained, lost, alike;
    gint64 patience;
    guint refused;
    VjGateOutcome outcome;
    const char *words;
  } rows[] = {
    {FALSE, FALSE, 0.05, 0, 0, 12, 3, 5, 1, 0, VJ_GATE_PROMOTED, "significantly better at alpha 0.05"},
    {FALSE, FALSE, 0.05, 0, 0, 3, 12, 5, 1, 0, VJ_GATE_STOPPED, "significantly worse at alpha 0.05"},
    {FALSE, FALSE, 0.05, 0, 0, 3, 12, 5, 2, 0, VJ_GATE_ROLLED_BACK, "significantly worse at alpha 0.05"},
    {FALSE, FALSE, 0.05, 0, 0, 3, 12, 5, 2, 1, VJ_GATE_STOPPED, "2 in a row without promotion, patience is 2"},
    {FALSE, FALSE, 0.05, 0, 0, 3, 12, 5, 0, 9, VJ_GATE_ROLLED_BACK, "significantly worse at alpha 0.05"},
    {FALSE, FALSE, 0.05, 0, 0, 10, 20, 5, 1, 0, VJ_GATE_PROMOTED, "neither significantly better nor worse"},
    {FALSE, FALSE, 0.10, 0, 0, 10, 20, 5, 1, 0, VJ_GATE_STOPPED, "significantly worse at alpha 0.1"},
    {FALSE, TRUE, 0.05, 0, 0, 20, 10, 5, 1, 0, VJ_GATE_STOPPED, "neither significantly better nor worse"},
    {FALSE, TRUE, 0.05, 0, 0, 12, 3, 5, 1, 3, VJ_GATE_PROMOTED, "significantly better"},
    {TRUE, TRUE, 0.05, 0, 0, 12, 3, 5, 1, 0, VJ_GATE_PROMOTED, "significantly better"},
    /* 12 pairs right in both orders and 5 alike agree, 3 lost ones do not: consistency 17 of 20. */
    {FALSE, FALSE, 0.05, 0.86, 0, 12, 3, 5, 1, 0, VJ_GATE_STOPPED, "consistency 0.850 is below min_consistency 0.86"},
    {FALSE, FALSE, 0.05, 0.85, 1, 12, 3, 5, 1, 0, VJ_GATE_PROMOTED, "significantly better"},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
    VjGateRule rule = {.accuracy = rows[i].accuracy, .better = rows[i].better, .alpha = rows[i].alpha,
                       .min_consistency = rows[i].min_consistency, .min_parsed = rows[i].min_parsed, .patience = rows[i].patience};
    g_auto (VjGateFigures) figures = {.candidate.model = g_strdup ("models/iteration-1")};
    g_auto (VjGateDecision) decision = {0};
    add_pairs (&figures, &rule, rows[i].gained, R, W, R, R);
    add_pairs (&figures, &rule, rows[i].lost, R, R, W, R);
    add_pairs (&figures, &rule, rows[i].alike, W, W, W, W);
    vj_gate_decide (&rule, &figures, rows[i].refused, &decision);
    g_test_message ("row %zu: %s: %s", i, vj_gate_outcome_name (decision.outcome), decision.reason);
    g_assert_cmpint (decision.outcome, ==, rows[i].outcome);
    g_assert_nonnull (strstr (decision.reason, rows[i].words));
    g_assert_cmpuint (decision.refused, ==, decision.outcome == VJ_GATE_PROMOTED ? 0 : rows[i].refused + 1);
    g_assert_cmpfloat (decision.p, ==, vj_statistics_mcnemar (rows[i].lost, rows[i].gained));
  }
}

/* What counts as gained and lost, and what a judge without verdicts or without a candidate comes to. */
static void
test_gate_pairs (void)
{
  VjGateRule strict = {.alpha = 0, .min_parsed = 0.5}, accuracy = {.accuracy = TRUE};
  VjGateFigures by_strict = {0}, by_accuracy = {0};
  g_auto (VjGateDecision) mute = {0}, none = {0};

  add_pairs (&by_accuracy, &accuracy, 1, W, W, W, R);
  add_pairs (&by_accuracy, &accuracy, 1, R, W, W, R);
  add_pairs (&by_accuracy, &accuracy, 1, R, R, U, R);
  g_assert_cmpuint (by_accuracy.gained, ==, 1);
  g_assert_cmpuint (by_accuracy.lost, ==, 1);
  add_pairs (&by_strict, &strict, 3, W, W, W, R); /* one order more is right: nothing by strict */
  g_assert_cmpuint (by_strict.gained + by_strict.lost, ==, 0);
  add_pairs (&by_strict, &strict, 4, R, R, U, U);
  g_assert_cmpuint (by_strict.lost, ==, 4);
  vj_gate_decide (&strict, &by_strict, 0, &none); /* no model: there was no candidate */
  g_assert_cmpint (none.outcome, ==, VJ_GATE_ROLLED_BACK);
  g_assert_nonnull (strstr (none.reason, "no trace was kept"));
  by_strict.candidate.model = g_strdup ("models/iteration-1");
  vj_gate_decide (&strict, &by_strict, 0, &mute); /* 8 of 14 answers have no verdict */
  g_assert_cmpint (mute.outcome, ==, VJ_GATE_ROLLED_BACK);
  g_assert_cmpstr (mute.reason, ==, "the share of parsed answers 0.429 is below min_parsed 0.5");
  vj_gate_figures_clear (&by_strict);
}

/* Steps that no test can see add up to one that it sees. */
static void
test_gate_drift (void)
{
  static const VjAnswer right[] = {R, R}, wrong[] = {W, W};
  VjGateRule rule = {.alpha = 0.05};
  g_auto (VjGateFigures) figures = {.candidate.model = g_strdup ("models/iteration-3")};
  g_auto (VjGateDecision) refused = {0}, promoted = {0};

  for (guint i = 0; i < 5; i++)
    vj_gate_figures_add (&figures, &rule, right, wrong, right); /* lost now: p = 0.0625 */
  vj_gate_decide (&rule, &figures, 0, &promoted);
  g_assert_cmpint (promoted.outcome, ==, VJ_GATE_PROMOTED);
  vj_gate_figures_add (&figures, &rule, wrong, wrong, right); /* lost before: with the others, p = 0.03125 */
  vj_gate_decide (&rule, &figures, 0, &refused);
  g_assert_cmpint (refused.outcome, ==, VJ_GATE_ROLLED_BACK);
  g_assert_cmpstr (refused.reason, ==, "significantly worse than the first judge");
}

/* The test has no say where the judges differ on too few pairs, and the reason tells it. */
static void
test_gate_without_a_say (void)
{
  VjGateRule rule = {.alpha = 0.05}, loose = {.alpha = 0.5};
  for (guint lost = 5; lost <= 6; lost++) {
    g_auto (VjGateFigures) figures = {.candidate.model = g_strdup ("models/iteration-1")};
    g_auto (VjGateDecision) decision = {0}, other = {0};
    add_pairs (&figures, &rule, lost, R, R, W, R);
    add_pairs (&figures, &rule, 50, R, R, R, R);
    vj_gate_decide (&rule, &figures, 0, &decision);
    g_assert_cmpint (decision.outcome, ==, lost < 6 ? VJ_GATE_PROMOTED : VJ_GATE_ROLLED_BACK);
    gboolean told = strstr (decision.reason, "; the judges differ on 5 pairs, and fewer than 6 can never be significant") != NULL;
    g_assert_cmpint (told, ==, lost < 6);
    vj_gate_decide (&loose, &figures, 0, &other);
    g_assert_null (strstr (other.reason, "can never"));
  }
  g_assert_cmpuint (vj_statistics_mcnemar_least (0.05), ==, 6);
  g_assert_cmpuint (vj_statistics_mcnemar_least (0.5), ==, 2);
  g_assert_cmpuint (vj_statistics_mcnemar_least (1), ==, 1);
  g_assert_cmpuint (vj_statistics_mcnemar_least (1e-12), ==, 41);
}

/* An interval of 95 % holds the truth about as often: over all outcomes of 40 pairs, weighed by their chances. */
static void
test_net_gain (void)
{
  static const double shares[][2] = {{0.3, 0.1}, {0.2, 0.2}, {0.05, 0.05}, {0.5, 0.05}, {0.02, 0.3}};
  VjInterval by_hand = vj_statistics_net_gain (9, 3, 38, VJ_Z95), none = vj_statistics_net_gain (0, 0, 0, VJ_Z95);
  double half = VJ_Z95 * sqrt (9.5 + 3.5 - 36.0 / 40) / 40;

  g_assert_cmpfloat_with_epsilon (by_hand.low, 6.0 / 40 - half, 1e-12);
  g_assert_cmpfloat_with_epsilon (by_hand.high, 6.0 / 40 + half, 1e-12);
  g_assert_cmpfloat (none.low, ==, -1);
  g_assert_cmpfloat (none.high, ==, 1);
  for (guint i = 0; i < G_N_ELEMENTS (shares); i++) {
    double gain = shares[i][0], loss = shares[i][1], held = 0;
    for (guint g = 0; g <= 40; g++)
      for (guint l = 0; g + l <= 40; l++) {
        VjInterval interval = vj_statistics_net_gain (g, l, 40, VJ_Z95);
        double chance = exp (lgamma (41) - lgamma (g + 1.0) - lgamma (l + 1.0) - lgamma (41.0 - g - l)) * pow (gain, g) * pow (loss, l)
                        * pow (1 - gain - loss, 40.0 - g - l);
        held += interval.low <= gain - loss && gain - loss <= interval.high ? chance : 0;
      }
    g_test_message ("gain %g, loss %g: the interval holds it with probability %.4f", gain, loss, held);
    g_assert_cmpfloat (held, >=, 0.94);
  }
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
  g_test_add_func ("/gate/decision", test_gate);
  g_test_add_func ("/gate/pairs", test_gate_pairs);
  g_test_add_func ("/gate/drift", test_gate_drift);
  g_test_add_func ("/gate/without-a-say", test_gate_without_a_say);
  g_test_add_func ("/statistics/net-gain", test_net_gain);
  g_test_add_func ("/report/bar", test_bar);
  return g_test_run ();
}
