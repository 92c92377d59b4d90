/* Whether the text alone tells the chosen answer from the rejected one. If it does, a judge can learn that instead of
 * looking at the image: answers that differ in length, or a word that only injected answers have.
 *
 * A logistic regression sees, for each pair, the chosen answer's features minus the rejected one's: five of length
 * (characters, words, logarithm of characters, whose difference is that of the ratio, characters per word, share of the
 * words that stand in the question), each divided by its root mean square over the pairs, and for each n-gram
 * (ngrams.h, hashed) whether it stands there. What is told is the cross-validated area under the ROC curve. Time is
 * linear in the texts. */
#ifndef VJ_REPORT_SHORTCUT_H
#define VJ_REPORT_SHORTCUT_H

#include "report/ngrams.h"
#include "report/statistics.h"

G_BEGIN_DECLS

#define VJ_SHORTCUT_STRENGTH 1.0    /* of the sum of losses against |w|^2 / 2  */
#define VJ_SHORTCUT_LEAST_GROUPS 10 /* with fewer nothing can be said         */
#define VJ_SHORTCUT_SIGNS 8         /* n-grams named at most                    */

/* One pair; strings are borrowed, UTF-8. */
typedef struct {
  const char *question, *chosen, *rejected;
  const char *kind; /* pairs of one kind are also told apart           */
  guint32 group;    /* below the number of pairs: dependent pairs share it */
  guint32 fold;     /* below `folds`, equal within a group              */
} VjShortcutPair;

typedef struct {
  char *kind; /* "all": every pair */
  gsize pairs;
  VjAuc text;   /* the regression's                                              */
  VjAuc length; /* of the guess that the longer answer (characters) is the chosen one */
} VjShortcutKind;

/* An n-gram that tells. */
typedef struct {
  char *text;    /* vj_ngram_describe                                                                    */
  double weight; /* of the regression on all pairs; above 0: of chosen answers, below: of rejected ones   */
  gsize pairs;   /* pairs where one answer has it and the other has not                                   */
} VjShortcutSign;

typedef struct {
  gsize pairs, groups, columns; /* columns: n-grams that differ within a pair */
  guint folds;
  gboolean enough;  /* FALSE: fewer groups than folds, or than VJ_SHORTCUT_LEAST_GROUPS; the rest is then empty */
  GPtrArray *kinds; /* of VjShortcutKind: "all", then by name  */
  GPtrArray *signs; /* of VjShortcutSign, the largest weight first */
  double *scores;   /* [pairs] of each pair, by the regression that has not seen its group */
} VjShortcut;

/* Pure: the same pairs give the same bytes. `folds` >= 2. Free with vj_shortcut_free. */
VJ_API VjShortcut *vj_shortcut_new (const VjShortcutPair *pairs, gsize n, guint folds);
VJ_API void vj_shortcut_free (VjShortcut *shortcut);

/* Whether an area is above `max_auc`, and not by chance: its interval lies above a half. */
VJ_API gboolean vj_shortcut_leaks (const VjAuc *auc, double max_auc);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjShortcut, vj_shortcut_free)

G_END_DECLS
#endif
