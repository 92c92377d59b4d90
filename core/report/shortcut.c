/* Whether the text alone tells the chosen answer from the rejected one. */
#include "report/shortcut.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "report/logistic.h"

#define BUCKET_BITS 20
#define BUCKETS (1u << BUCKET_BITS)
#define LENGTHS 5 /* columns of length come first */

/* -- n-grams to columns ------------------------------------------------------------- */

/* The matrix as it grows. A bucket gets a column when it first differs within a pair. */
typedef struct {
  GArray *starts, *column, *value;
  guint32 *columns;  /* [BUCKETS] its column; 0: none, since the first ones are of length */
  guint32 *met;      /* [BUCKETS] 4 * (row + 1) + 1 in chosen + 2 in rejected: of the row met last */
  GArray *touched;   /* buckets of this row, in order of first mention */
  guint32 row, side; /* side: 1 chosen, 2 rejected */
  guint32 n_columns;
} Matrix;

/* FNV-1a over kind and text, its bits then stirred as SplitMix64 does. */
static guint32
bucket_of (VjNgramKind kind, const char *text, gsize length)
{
  guint64 h = (G_GUINT64_CONSTANT (0xcbf29ce484222325) ^ (guint64) kind) * G_GUINT64_CONSTANT (0x100000001b3);
  for (gsize i = 0; i < length; i++)
    h = (h ^ (guchar) text[i]) * G_GUINT64_CONSTANT (0x100000001b3);
  h = (h ^ (h >> 30)) * G_GUINT64_CONSTANT (0xbf58476d1ce4e5b9);
  h = (h ^ (h >> 27)) * G_GUINT64_CONSTANT (0x94d049bb133111eb);
  return (guint32) ((h ^ (h >> 31)) >> (64 - BUCKET_BITS));
}

static void
meet (gpointer data, VjNgramKind kind, const char *text, gsize length)
{
  Matrix *matrix = data;
  guint32 bucket = bucket_of (kind, text, length);
  if (matrix->met[bucket] >> 2 != matrix->row + 1) {
    matrix->met[bucket] = (matrix->row + 1) << 2;
    g_array_append_val (matrix->touched, bucket);
  }
  matrix->met[bucket] |= matrix->side;
}

static void
put (Matrix *matrix, guint32 column, double value)
{
  g_array_append_val (matrix->column, column);
  g_array_append_val (matrix->value, value);
}

static double
share_in_question (const char *question, const char *answer, guint words)
{
  g_autoptr (GHashTable) asked = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autofree char *normal_question = vj_ngrams_normalize (question), *normal_answer = vj_ngrams_normalize (answer);
  const char *p = normal_question, *word;
  gsize length;
  guint count = 0;

  while (vj_ngrams_next_word (&p, &word, &length))
    g_hash_table_add (asked, g_strndup (word, length));
  for (p = normal_answer; vj_ngrams_next_word (&p, &word, &length);) {
    g_autofree char *own = g_strndup (word, length);
    count += g_hash_table_contains (asked, own);
  }
  return words > 0 ? (double) count / words : 0;
}

static void
measure (const char *question, const char *answer, double ret_lengths[LENGTHS])
{
  double characters = (double) g_utf8_strlen (answer, -1);
  guint words = vj_ngrams_words (answer);
  ret_lengths[0] = characters;
  ret_lengths[1] = words;
  ret_lengths[2] = log1p (characters);
  ret_lengths[3] = words > 0 ? characters / words : 0;
  ret_lengths[4] = share_in_question (question, answer, words);
}

static void
add_pair (Matrix *matrix, const VjShortcutPair *pair)
{
  double chosen[LENGTHS], rejected[LENGTHS];

  measure (pair->question, pair->chosen, chosen);
  measure (pair->question, pair->rejected, rejected);
  for (guint32 i = 0; i < LENGTHS; i++)
    put (matrix, i, chosen[i] - rejected[i]);
  matrix->side = 1;
  vj_ngrams_each (pair->question, pair->chosen, meet, matrix);
  matrix->side = 2;
  vj_ngrams_each (pair->question, pair->rejected, meet, matrix);
  for (guint i = 0; i < matrix->touched->len; i++) {
    guint32 bucket = g_array_index (matrix->touched, guint32, i), sides = matrix->met[bucket] & 3;
    if (sides == 3)
      continue;
    if (matrix->columns[bucket] == 0)
      matrix->columns[bucket] = matrix->n_columns++;
    put (matrix, matrix->columns[bucket], sides == 1 ? 1 : -1);
  }
  g_array_set_size (matrix->touched, 0);
  matrix->row++;
  gsize end = matrix->column->len;
  g_array_append_val (matrix->starts, end);
}

/* Divides the columns of length by their root mean square: characters would drown everything else. */
static void
scale_lengths (Matrix *matrix)
{
  double squares[LENGTHS] = {0};
  for (guint pass = 0; pass < 2; pass++)
    for (guint32 row = 0; row < matrix->row; row++)
      for (guint i = 0; i < LENGTHS; i++) {
        double *value = &g_array_index (matrix->value, double, g_array_index (matrix->starts, gsize, row) + i);
        if (pass == 0)
          squares[i] += *value * *value / matrix->row;
        else if (squares[i] > 0)
          *value /= sqrt (squares[i]);
      }
}

static void
matrix_init (Matrix *matrix, const VjShortcutPair *pairs, gsize n)
{
  gsize start = 0;
  *matrix = (Matrix){.starts = g_array_new (FALSE, FALSE, sizeof (gsize)),
                     .column = g_array_new (FALSE, FALSE, sizeof (guint32)),
                     .value = g_array_new (FALSE, FALSE, sizeof (double)),
                     .columns = g_new0 (guint32, BUCKETS),
                     .met = g_new0 (guint32, BUCKETS),
                     .touched = g_array_new (FALSE, FALSE, sizeof (guint32)),
                     .n_columns = LENGTHS};
  g_array_append_val (matrix->starts, start);
  for (gsize i = 0; i < n; i++)
    add_pair (matrix, &pairs[i]);
  scale_lengths (matrix);
}

static void
matrix_clear (Matrix *matrix)
{
  g_array_unref (matrix->starts);
  g_array_unref (matrix->column);
  g_array_unref (matrix->value);
  g_array_unref (matrix->touched);
  g_free (matrix->columns);
  g_free (matrix->met);
}

static VjSparse
sparse_of (const Matrix *matrix)
{
  return (VjSparse){matrix->row, matrix->n_columns, (const gsize *) (gpointer) matrix->starts->data,
                    (const guint32 *) (gpointer) matrix->column->data, (const double *) (gpointer) matrix->value->data};
}

/* -- signs ------------------------------------------------------------------------------ */

/* A column of large weight, and the n-grams met in it: different ones may share a bucket. */
typedef struct {
  guint32 column;
  double weight;
  gsize pairs;
  GHashTable *names; /* text, headed by its kind as one character -> count */
  const char *name;  /* the commonest of them */
} Candidate;

static void
candidate_free (gpointer data)
{
  Candidate *candidate = data;
  g_hash_table_unref (candidate->names);
  g_free (candidate);
}

/* Equal columns have equal weights, but for the last digits. */
static gint64
size_of (double weight)
{
  return llround (fabs (weight) * 1e6);
}

static int
by_size (gconstpointer a, gconstpointer b)
{
  gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;
  return (x < y) - (x > y);
}

/* The least of the VJ_SHORTCUT_SIGNS largest sizes, equal ones counted once; 0: no n-gram tells anything. */
static gint64
least_size (const double *w, guint32 n_columns)
{
  g_autoptr (GArray) sizes = g_array_new (FALSE, FALSE, sizeof (gint64));
  gint64 least = 0;
  guint distinct = 0;

  for (guint32 i = LENGTHS; i < n_columns; i++) {
    gint64 size = size_of (w[i]);
    if (size > 0)
      g_array_append_val (sizes, size);
  }
  g_array_sort (sizes, by_size);
  for (guint i = 0; i < sizes->len && distinct < VJ_SHORTCUT_SIGNS; i++) {
    distinct += g_array_index (sizes, gint64, i) != least;
    least = g_array_index (sizes, gint64, i);
  }
  return least;
}

/* bucket -> Candidate, of all columns at least that large. */
static GHashTable *
candidates_of (const Matrix *matrix, const double *w)
{
  GHashTable *found = g_hash_table_new_full (NULL, NULL, NULL, candidate_free);
  gint64 least = least_size (w, matrix->n_columns);

  for (guint32 bucket = 0; bucket < BUCKETS && least > 0; bucket++) {
    guint32 column = matrix->columns[bucket];
    if (column == 0 || size_of (w[column]) < least)
      continue;
    Candidate *candidate = g_new0 (Candidate, 1);
    candidate->column = column;
    candidate->weight = w[column];
    candidate->names = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
    g_hash_table_insert (found, GUINT_TO_POINTER (bucket), candidate);
  }
  return found;
}

static void
note_name (gpointer data, VjNgramKind kind, const char *text, gsize length)
{
  Candidate *candidate = g_hash_table_lookup (data, GUINT_TO_POINTER (bucket_of (kind, text, length)));
  if (candidate == NULL)
    return;
  g_autofree char *bare = g_strndup (text, length);
  char *name = g_strdup_printf ("%d%s", (int) kind, bare);
  guint count = GPOINTER_TO_UINT (g_hash_table_lookup (candidate->names, name));
  g_hash_table_insert (candidate->names, name, GUINT_TO_POINTER (count + 1));
}

/* Of equally common ones the first by kind and bytes. */
static const char *
commonest (GHashTable *names)
{
  GHashTableIter iter;
  gpointer key, value;
  const char *best = "";
  guint most = 0;
  g_hash_table_iter_init (&iter, names);
  while (g_hash_table_iter_next (&iter, &key, &value)) {
    guint count = GPOINTER_TO_UINT (value);
    if (count > most || (count == most && strcmp (key, best) < 0)) {
      best = key;
      most = count;
    }
  }
  return best;
}

/* By size; of equal ones a word says more than its characters do, and its kind stands first in the name. */
static int
by_weight (gconstpointer a, gconstpointer b)
{
  const Candidate *x = *(Candidate *const *) a, *y = *(Candidate *const *) b;
  gint64 first = size_of (x->weight), second = size_of (y->weight);
  return first != second ? (first < second ? 1 : -1) : strcmp (x->name, y->name);
}

static void
sign_free (gpointer data)
{
  g_free (((VjShortcutSign *) data)->text);
  g_free (data);
}

/* Names the columns of the largest weights, by a second look at the texts: the matrix does not keep them. */
static void
find_signs (VjShortcut *shortcut, const Matrix *matrix, const VjShortcutPair *pairs, const double *w)
{
  g_autoptr (GHashTable) found = candidates_of (matrix, w);
  g_autoptr (GPtrArray) sorted = g_ptr_array_new ();
  g_autofree gsize *counts = g_new0 (gsize, matrix->n_columns);
  GHashTableIter iter;
  gpointer value;

  for (guint i = 0; i < matrix->column->len; i++)
    counts[g_array_index (matrix->column, guint32, i)]++;
  for (gsize i = 0; i < shortcut->pairs && g_hash_table_size (found) > 0; i++) {
    vj_ngrams_each (pairs[i].question, pairs[i].chosen, note_name, found);
    vj_ngrams_each (pairs[i].question, pairs[i].rejected, note_name, found);
  }
  g_hash_table_iter_init (&iter, found);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    Candidate *candidate = value;
    candidate->name = commonest (candidate->names);
    g_ptr_array_add (sorted, candidate);
  }
  g_ptr_array_sort (sorted, by_weight);
  for (guint i = 0; i < MIN (sorted->len, VJ_SHORTCUT_SIGNS); i++) {
    const Candidate *candidate = sorted->pdata[i];
    VjShortcutSign *sign = g_new (VjShortcutSign, 1);
    *sign = (VjShortcutSign){vj_ngram_describe ((VjNgramKind) (candidate->name[0] - '0'), candidate->name + 1),
                             candidate->weight, counts[candidate->column]};
    g_ptr_array_add (shortcut->signs, sign);
  }
}

/* -- kinds ------------------------------------------------------------------------------ */

static void
kind_free (gpointer data)
{
  g_free (((VjShortcutKind *) data)->kind);
  g_free (data);
}

/* Both areas over the pairs of one kind; NULL: over all. */
static void
add_kind (VjShortcut *shortcut, const VjShortcutPair *pairs, const char *kind)
{
  g_autofree double *text = g_new (double, shortcut->pairs + 1), *length = g_new (double, shortcut->pairs + 1);
  g_autofree guint32 *groups = g_new (guint32, shortcut->pairs + 1);
  g_autoptr (GHashTable) numbers = g_hash_table_new (NULL, NULL); /* groups counted anew, so that they are below n */
  VjShortcutKind *row = g_new0 (VjShortcutKind, 1);
  gsize n = 0;

  for (gsize i = 0; i < shortcut->pairs; i++) {
    if (kind != NULL && strcmp (pairs[i].kind, kind) != 0)
      continue;
    gpointer group = GUINT_TO_POINTER (pairs[i].group), number = NULL;
    if (!g_hash_table_lookup_extended (numbers, group, NULL, &number)) {
      number = GUINT_TO_POINTER (g_hash_table_size (numbers));
      g_hash_table_insert (numbers, group, number);
    }
    groups[n] = GPOINTER_TO_UINT (number);
    length[n] = (double) g_utf8_strlen (pairs[i].chosen, -1) - (double) g_utf8_strlen (pairs[i].rejected, -1);
    text[n++] = shortcut->scores[i];
  }
  *row = (VjShortcutKind){g_strdup (kind != NULL ? kind : "all"), n,
                          vj_statistics_pair_auc (text, groups, n, shortcut->folds),
                          vj_statistics_pair_auc (length, groups, n, 0)};
  g_ptr_array_add (shortcut->kinds, row);
}

static int
by_name (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

static void
add_kinds (VjShortcut *shortcut, const VjShortcutPair *pairs)
{
  g_autoptr (GHashTable) names = g_hash_table_new (g_str_hash, g_str_equal);
  for (gsize i = 0; i < shortcut->pairs; i++)
    g_hash_table_add (names, (gpointer) pairs[i].kind);
  guint n_names;
  g_autofree gpointer *sorted = g_hash_table_get_keys_as_array (names, &n_names);
  qsort (sorted, n_names, sizeof *sorted, by_name);
  add_kind (shortcut, pairs, NULL);
  for (guint i = 0; i < n_names; i++)
    add_kind (shortcut, pairs, sorted[i]);
}

/* -- the whole ---------------------------------------------------------------------------- */

static gsize
count_groups (const VjShortcutPair *pairs, gsize n)
{
  g_autoptr (GHashTable) groups = g_hash_table_new (NULL, NULL);
  for (gsize i = 0; i < n; i++)
    g_hash_table_add (groups, GUINT_TO_POINTER (pairs[i].group));
  return g_hash_table_size (groups);
}

/* Scores each fold by the regression on the others; leaves the weights on all pairs in w. */
static void
cross_validate (VjShortcut *shortcut, const VjShortcutPair *pairs, const VjSparse *x, double *w)
{
  g_autofree gboolean *use = g_new (gboolean, x->rows + 1);
  for (guint fold = 0; fold <= shortcut->folds; fold++) {
    for (gsize i = 0; i < x->rows; i++)
      use[i] = pairs[i].fold != fold; /* in the last round all */
    vj_logistic_fit (x, use, VJ_SHORTCUT_STRENGTH, w);
    for (gsize i = 0; i < x->rows; i++)
      if (!use[i])
        shortcut->scores[i] = vj_sparse_dot (x, i, w);
  }
}

VjShortcut *
vj_shortcut_new (const VjShortcutPair *pairs, gsize n, guint folds)
{
  VjShortcut *shortcut = g_new0 (VjShortcut, 1);
  Matrix matrix;

  *shortcut = (VjShortcut){.pairs = n,
                           .groups = count_groups (pairs, n),
                           .folds = folds,
                           .kinds = g_ptr_array_new_with_free_func (kind_free),
                           .signs = g_ptr_array_new_with_free_func (sign_free),
                           .scores = g_new0 (double, n + 1)};
  shortcut->enough = shortcut->groups >= MAX (folds, VJ_SHORTCUT_LEAST_GROUPS);
  if (!shortcut->enough)
    return shortcut;
  matrix_init (&matrix, pairs, n);
  VjSparse x = sparse_of (&matrix);
  g_autofree double *w = g_new0 (double, x.columns);
  shortcut->columns = x.columns - LENGTHS;
  cross_validate (shortcut, pairs, &x, w);
  find_signs (shortcut, &matrix, pairs, w);
  add_kinds (shortcut, pairs);
  matrix_clear (&matrix);
  return shortcut;
}

void
vj_shortcut_free (VjShortcut *shortcut)
{
  if (shortcut == NULL)
    return;
  g_ptr_array_unref (shortcut->kinds);
  g_ptr_array_unref (shortcut->signs);
  g_free (shortcut->scores);
  g_free (shortcut);
}

gboolean
vj_shortcut_leaks (const VjAuc *auc, double max_auc)
{
  return auc->area > max_auc && auc->low > 0.5;
}
