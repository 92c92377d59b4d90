/* Statistics of judged pairs: counts, intervals and tests. Pure functions of
 * counts; knows nothing of stores or recipes. */
#ifndef VJ_REPORT_STATISTICS_H
#define VJ_REPORT_STATISTICS_H

#include <glib.h>
#include "vj/error.h"

G_BEGIN_DECLS

/* Bounds of a share, both in [0, 1]. */
typedef struct {
  double low, high;
} VjInterval;

/* 97.5 % quantile of the standard normal: intervals with it cover 95 %. */
#define VJ_Z95 1.959963984540054

/* Wilson score interval (Wilson, 1927) of `right` of `total` at normal quantile `z`.
 * [0, 1] when total is 0. 0 <= right <= total; halves are fine: two answers to one item count half each. */
VJ_API VjInterval vj_statistics_wilson (double right, double total, double z);

/* How much larger the share is of items right after than of those right before, where `gained` of `total` are right only after
 * and `lost` only before: Wald's interval with half an item added to each of the four cells (Agresti and Min, Statistics in
 * Medicine 24, 2005), at normal quantile `z`. Within [-1, 1], all of it when total is 0. */
VJ_API VjInterval vj_statistics_net_gain (guint64 gained, guint64 lost, guint64 total, double z);

/* Exact two-sided McNemar test (McNemar, 1947): the binomial probability, at one half, of a split of the
 * discordant items at least as uneven as (only_before, only_after); in (0, 1], 1 when nothing differs. */
VJ_API double vj_statistics_mcnemar (guint64 only_before, guint64 only_after);

/* The fewest discordant items with which that test can come to `level`, in (0, 1]: with fewer even all of them on one side
 * do not. */
VJ_API guint64 vj_statistics_mcnemar_least (double level);

/* An area under the ROC curve with its 95 % interval, all in [0, 1]. */
typedef struct {
  double area, low, high;
} VjAuc;

/* How well `scores` (finite) tell each pair's chosen answer from the rejected one: the area under the ROC curve over all pairs
 * seen from both sides, s_i where the chosen answer comes first and -s_i where it comes second. It is the share of (i, j)
 * with s_i + s_j > 0, ties half; 0.5 is a guess, 1 always right, 0 always wrong. The interval is that of DeLong, DeLong and
 * Clarke-Pearson (Biometrics 44 (1988) 837-845) for dependent observations, by the clusters of Obuchowski (Biometrics 53
 * (1997) 567-578): with V_i = mean_j [s_i + s_j > 0] and G groups of m members,
 * var = G / (G - 1) * sum over groups of (sum over members of 2 (V_i - area))^2 / m^2. Where all pairs say the same it has no
 * width, and Wilson's bound on G of G takes its place. `groups` says which pairs are dependent (the same image, say), as
 * numbers below n. Fewer than two groups: [0, 1]. `folds` >= 2: the scores are those of a cross-validation, where each pair
 * is scored by what was learned from the others; their variance is then that of Nadeau and Bengio (Machine Learning 52 (2003)
 * 239-281), 1 + folds / (folds - 1) times as large. 0: nothing was learned. */
VJ_API VjAuc vj_statistics_pair_auc (const double *scores, const guint32 *groups, gsize n, guint folds);

/* Metrics of judged pairs, as scores are stored; of one kind of pair: "strict / colour". */
#define VJ_METRIC_ACCURACY "accuracy"         /* right answers of all, both orders pooled; unparsed is wrong */
#define VJ_METRIC_STRICT "strict"             /* pairs right in both orders                                  */
#define VJ_METRIC_INCONSISTENT "inconsistent" /* pairs whose orders disagree                                 */
#define VJ_METRIC_UNPARSED "unparsed"         /* answers without a verdict                                   */
#define VJ_METRIC_SAID_A "said A"             /* parsed answers that named the first answer                  */

/* What a judge said of one pair in one order. */
typedef enum { VJ_ANSWER_UNPARSED, VJ_ANSWER_RIGHT, VJ_ANSWER_WRONG } VjAnswer;

/* Counts over pairs judged in both orders. An unparsed answer is wrong, never a tie, never a guess. */
typedef struct {
  guint64 pairs;        /* pairs judged in both orders                                          */
  guint64 right;        /* answers that are right, both orders pooled, of 2 * pairs             */
  guint64 strict;       /* pairs right in both orders                                           */
  guint64 inconsistent; /* pairs whose two parsed answers prefer different sides                */
  guint64 consistent;   /* pairs whose two parsed answers prefer the same side                  */
  guint64 unparsed;     /* answers without a verdict, of 2 * pairs                              */
  guint64 said_a;       /* parsed answers that named the first answer, of 2 * pairs - unparsed  */
} VjPairCounts;

/* Adds one pair: its answer when the chosen one stood first, and when it stood second. */
VJ_API void vj_pair_counts_add (VjPairCounts *counts, VjAnswer chosen_first, VjAnswer chosen_second);

VJ_API double vj_pair_counts_accuracy (const VjPairCounts *counts); /* single order: right / (2 pairs)     */
VJ_API double vj_pair_counts_strict (const VjPairCounts *counts);   /* strict / pairs                       */

/* Share of "A" among parsed answers, minus one half: 0 is unbiased, +0.5 always says A. 0 when nothing parsed. */
VJ_API double vj_pair_counts_position_bias (const VjPairCounts *counts);

G_END_DECLS
#endif
