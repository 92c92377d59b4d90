/* Statistics of judged pairs. */
#include "report/statistics.h"

#include <math.h>

VjInterval
vj_statistics_wilson (double right, double total, double z)
{
  if (total <= 0)
    return (VjInterval){0.0, 1.0};
  double n = total, share = right / n, square = z * z;
  double center = (share + square / (2.0 * n)) / (1.0 + square / n);
  double half = z * sqrt (share * (1.0 - share) / n + square / (4.0 * n * n)) / (1.0 + square / n);
  /* At the ends the bound is exact; rounding must not push it past them. */
  return (VjInterval){right <= 0 ? 0.0 : MAX (0.0, center - half), right >= total ? 1.0 : MIN (1.0, center + half)};
}

double
vj_statistics_mcnemar (guint64 only_before, guint64 only_after)
{
  guint64 n = only_before + only_after, fewer = MIN (only_before, only_after);
  double log_half_n = -(double) n * G_LN2, tail = 0.0;
  int sign; /* lgamma_r keeps no global state, lgamma does */

  if (only_before == only_after)
    return 1.0;
  for (guint64 k = 0; k <= fewer; k++)
    tail += exp (lgamma_r ((double) n + 1.0, &sign) - lgamma_r ((double) k + 1.0, &sign)
                 - lgamma_r ((double) (n - k) + 1.0, &sign) + log_half_n);
  return MIN (1.0, 2.0 * tail);
}

void
vj_pair_counts_add (VjPairCounts *counts, VjAnswer chosen_first, VjAnswer chosen_second)
{
  gboolean first = chosen_first == VJ_ANSWER_RIGHT, second = chosen_second == VJ_ANSWER_RIGHT;
  gboolean both_parsed = chosen_first != VJ_ANSWER_UNPARSED && chosen_second != VJ_ANSWER_UNPARSED;

  counts->pairs++;
  counts->right += (guint64) first + (guint64) second;
  counts->strict += first && second;
  counts->inconsistent += both_parsed && first != second;
  counts->consistent += both_parsed && first == second;
  counts->unparsed += (guint64) (chosen_first == VJ_ANSWER_UNPARSED) + (guint64) (chosen_second == VJ_ANSWER_UNPARSED);
  /* The chosen answer is A in the first order and B in the second. */
  counts->said_a += (guint64) first + (guint64) (chosen_second == VJ_ANSWER_WRONG);
}

static double
share (guint64 part, guint64 whole)
{
  return whole == 0 ? 0.0 : (double) part / (double) whole;
}

double
vj_pair_counts_accuracy (const VjPairCounts *counts)
{
  return share (counts->right, 2 * counts->pairs);
}

double
vj_pair_counts_strict (const VjPairCounts *counts)
{
  return share (counts->strict, counts->pairs);
}

double
vj_pair_counts_position_bias (const VjPairCounts *counts)
{
  guint64 parsed = 2 * counts->pairs - counts->unparsed;
  return parsed == 0 ? 0.0 : share (counts->said_a, parsed) - 0.5;
}
