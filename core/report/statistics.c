/* Statistics of judged pairs. */
#include "report/statistics.h"

#include <math.h>
#include <stdlib.h>

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

VjInterval
vj_statistics_net_gain (guint64 gained, guint64 lost, guint64 total, double z)
{
  double n = (double) total + 2.0, apart = (double) (gained + lost) + 1.0, net = (double) gained - (double) lost;
  double half = z * sqrt (apart - net * net / n) / n;

  if (total == 0)
    return (VjInterval){-1.0, 1.0};
  return (VjInterval){MAX (-1.0, net / n - half), MIN (1.0, net / n + half)};
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

guint64
vj_statistics_mcnemar_least (double level)
{
  guint64 n = 1;
  while (vj_statistics_mcnemar (0, n) > level)
    n++;
  return n;
}

static int
by_value (gconstpointer a, gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return (x > y) - (x < y);
}

/* How many of the sorted values are below x; with `equal`, or equal to it. */
static gsize
count_below (const double *sorted, gsize n, double x, gboolean equal)
{
  gsize low = 0, high = n;
  while (low < high) {
    gsize middle = low + (high - low) / 2;
    if (sorted[middle] < x || (equal && sorted[middle] == x))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* Standard error of the mean of `parts` over groups; *ret_groups: how many there are. */
static double
clustered_error (const double *parts, const guint32 *groups, gsize n, gsize *ret_groups)
{
  g_autofree double *sums = g_new0 (double, n + 1);
  g_autofree gboolean *met = g_new0 (gboolean, n + 1);
  double mean = 0, squares = 0;

  for (gsize i = 0; i < n; i++)
    mean += parts[i] / (double) n;
  for (gsize i = 0; i < n; i++) {
    sums[groups[i]] += parts[i] - mean;
    met[groups[i]] = TRUE;
  }
  *ret_groups = 0;
  for (gsize i = 0; i < n; i++) {
    *ret_groups += met[i];
    squares += sums[i] * sums[i];
  }
  double count = (double) *ret_groups;
  return count < 2 ? 0 : sqrt (count / (count - 1) * squares) / (double) n;
}

VjAuc
vj_statistics_pair_auc (const double *scores, const guint32 *groups, gsize n, guint folds)
{
  g_autofree double *mirrored = g_new (double, n + 1), *parts = g_new (double, n + 1);
  VjAuc auc = {.low = 0, .high = 1};
  gsize count;
  double halves = 0; /* whole numbers, so no rounding */

  for (gsize i = 0; i < n; i++)
    mirrored[i] = -scores[i];
  qsort (mirrored, n, sizeof *mirrored, by_value);
  for (gsize i = 0; i < n; i++) {
    gsize below = count_below (mirrored, n, scores[i], FALSE), within = count_below (mirrored, n, scores[i], TRUE);
    parts[i] = (double) (below + within) / (double) n;
    halves += (double) (below + within);
  }
  auc.area = n > 0 ? halves / 2 / (double) n / (double) n : 0.5;
  double learned = folds >= 2 ? 1 + folds / (folds - 1.0) : 1;
  double error = sqrt (learned) * clustered_error (parts, groups, n, &count);
  if (count < 2)
    return auc;
  gboolean all_right = mirrored[n - 1] < 0, all_wrong = mirrored[0] > 0;
  auc.low = all_right ? vj_statistics_wilson ((double) count, (double) count, VJ_Z95).low : MAX (0, auc.area - VJ_Z95 * error);
  auc.high = all_wrong ? vj_statistics_wilson (0, (double) count, VJ_Z95).high : MIN (1, auc.area + VJ_Z95 * error);
  return auc;
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
