/* The guess from the text alone, against scikit-learn (tests/peers/make_shortcut_vectors.py) and on sets whose answer
 * is known; and what audits say of given counts. */
#include <glib.h>
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "report/audit.h"
#include "report/logistic.h"

static json_t *
load_vectors (void)
{
  g_autofree char *path =
      g_build_filename (g_getenv ("VJ_SRCDIR"), "tests", "vectors", "shortcut", "vectors.json", NULL);
  json_error_t where;
  json_t *vectors = json_load_file (path, 0, &where);
  if (vectors == NULL)
    g_error ("%s:%d: %s", path, where.line, where.text);
  return vectors;
}

static double
number (const json_t *object, const char *key)
{
  const json_t *value = json_object_get (object, key);
  g_assert_true (json_is_number (value));
  return json_number_value (value);
}

static const char *
text (const json_t *object, const char *key)
{
  return json_string_value (json_object_get (object, key));
}

/* The area is the same function; the error of the interval is another estimate of the same thing. */
static void
check_area (const VjAuc *auc, const json_t *expected, guint folds, double tolerance)
{
  double learned = folds > 0 ? 1 + (double) folds / (folds - 1) : 1; /* Nadeau and Bengio */
  double error = sqrt (learned) * number (expected, "error"), area = number (expected, "area");
  g_assert_cmpfloat_with_epsilon (auc->area, area, 1e-12);
  g_assert_cmpfloat (auc->low, <=, auc->area);
  if (auc->high < 1 && auc->low > 0)
    g_assert_cmpfloat_with_epsilon ((auc->high - auc->low) / 2 / VJ_Z95, error, tolerance * error);
}

static void
test_area (void)
{
  json_t *vectors = load_vectors (), *row;
  gsize i;

  json_array_foreach (json_object_get (vectors, "areas"), i, row) {
    gsize n = json_array_size (json_object_get (row, "scores"));
    g_autofree double *scores = g_new (double, n);
    g_autofree guint32 *groups = g_new (guint32, n);
    for (gsize k = 0; k < n; k++) {
      scores[k] = json_number_value (json_array_get (json_object_get (row, "scores"), k));
      groups[k] = (guint32) json_integer_value (json_array_get (json_object_get (row, "groups"), k));
    }
    VjAuc auc = vj_statistics_pair_auc (scores, groups, n, 0);
    check_area (&auc, row, 0, n < 20 ? 0.15 : 0.05);
  }
  g_assert_cmpuint (i, >=, 4);
  json_decref (vectors);
}

static void
test_area_ends (void)
{
  const double right[] = {1, 2, 3}, wrong[] = {-1, -2, -3}, none[] = {0, 0, 0};
  const guint32 groups[] = {0, 1, 2}, one[] = {1, 1, 1};
  VjAuc auc = vj_statistics_pair_auc (right, groups, 3, 0);
  VjInterval three = vj_statistics_wilson (3, 3, VJ_Z95);
  g_assert_true (auc.area == 1 && auc.high == 1 && auc.low == three.low);
  auc = vj_statistics_pair_auc (wrong, groups, 3, 0);
  g_assert_true (auc.area == 0 && auc.low == 0 && fabs (auc.high - (1 - three.low)) < 1e-12);
  auc = vj_statistics_pair_auc (none, groups, 3, 0);
  g_assert_true (auc.area == 0.5);
  auc = vj_statistics_pair_auc (right, one, 3, 0); /* one group says nothing about others */
  g_assert_true (auc.low == 0 && auc.high == 1);
  auc = vj_statistics_pair_auc (right, groups, 0, 0);
  g_assert_true (auc.area == 0.5 && auc.low == 0 && auc.high == 1);
}

static GArray *
pairs_of (const json_t *set)
{
  GArray *pairs = g_array_new (FALSE, TRUE, sizeof (VjShortcutPair));
  const json_t *row;
  gsize i;
  json_array_foreach (json_object_get (set, "pairs"), i, row) {
    VjShortcutPair pair = {text (row, "question"),          text (row, "chosen"),
                           text (row, "rejected"),          text (row, "kind"),
                           (guint32) number (row, "group"), (guint32) number (row, "fold")};
    g_array_append_val (pairs, pair);
  }
  return pairs;
}

static void
test_against_sklearn (void)
{
  json_t *vectors = load_vectors (), *set;
  gsize s;

  json_array_foreach (json_object_get (vectors, "sets"), s, set) {
    g_autoptr (GArray) pairs = pairs_of (set);
    g_autoptr (VjShortcut) shortcut =
        vj_shortcut_new ((const VjShortcutPair *) (gpointer) pairs->data, pairs->len, (guint) number (set, "folds"));
    const VjShortcutKind *all = shortcut->kinds->pdata[0], *one = shortcut->kinds->pdata[1];
    const VjShortcutSign *sign = shortcut->signs->pdata[0];
    g_assert_true (shortcut->enough);
    g_assert_cmpuint (shortcut->columns, ==, (gsize) number (set, "ngrams"));
    for (guint i = 0; i < pairs->len; i++)
      g_assert_cmpfloat_with_epsilon (shortcut->scores[i],
                                      json_number_value (json_array_get (json_object_get (set, "scores"), i)), 1e-6);
    check_area (&all->text, json_object_get (set, "text"), shortcut->folds, 0.1);
    check_area (&all->length, json_object_get (set, "length"), 0, 0.1);
    g_assert_cmpstr (one->kind, ==, "one");
    check_area (&one->text, json_object_get (set, "text_of_one"), shortcut->folds, 0.15);
    g_assert_cmpfloat_with_epsilon (fabs (sign->weight), number (set, "largest"), 1e-6);
  }
  g_assert_cmpuint (s, ==, 3);
  json_decref (vectors);
}

/* Zero rows are met by no gradient; a fit on nothing is nothing. */
static void
test_fit_on_nothing (void)
{
  const gsize starts[] = {0, 1};
  const guint32 column[] = {0};
  const double value[] = {2};
  const gboolean none[] = {FALSE}, all[] = {TRUE};
  VjSparse x = {1, 1, starts, column, value};
  double w = 7;
  vj_logistic_fit (&x, none, 1, &w);
  g_assert_cmpfloat (w, ==, 0);
  /* One row x = 2: the optimum solves w = 2 / (1 + exp (2 w)). */
  vj_logistic_fit (&x, all, 1, &w);
  g_assert_cmpfloat_with_epsilon (w, 2 / (1 + exp (2 * w)), 1e-9);
  /* Separable and with little to hold it back: still an optimum, and no overflow. */
  vj_logistic_fit (&x, all, 1e4, &w);
  g_assert_cmpfloat_with_epsilon (w, 2e4 / (1 + exp (2 * w)), 1e-4);
}

/* -- sets whose answer is known ---------------------------------------------------- */

static const char *const words[] = {"red",  "blue",  "large", "small", "dog",   "cat",
                                    "left", "right", "two",   "three", "table", "tree"};

/* `n` pairs of random words: text that says nothing about which answer is chosen. Strings belong to `texts`. */
static GArray *
draw_pairs (guint64 seed, guint n, guint folds, GPtrArray *texts)
{
  GArray *pairs = g_array_new (FALSE, TRUE, sizeof (VjShortcutPair));
  VjRandom random;

  vj_random_init (&random, seed);
  for (guint32 i = 0; i < n; i++) {
    char *answers[2];
    for (guint side = 0; side < 2; side++) {
      GString *out = g_string_new ("the");
      for (guint k = 0; k < 5; k++)
        g_string_append_printf (out, " %s", words[vj_random_below (&random, G_N_ELEMENTS (words))]);
      g_ptr_array_add (texts, answers[side] = g_string_free (out, FALSE));
    }
    VjShortcutPair pair = {"what is it?", answers[0], answers[1], "kind", i, i % folds};
    g_array_append_val (pairs, pair);
  }
  return pairs;
}

static VjShortcut *
audit (const GArray *pairs)
{
  return vj_shortcut_new ((const VjShortcutPair *) (gpointer) pairs->data, pairs->len, 5);
}

/* Marks the rejected answer of every pair. */
static void
mark (GArray *pairs, GPtrArray *texts, const char *marker)
{
  for (guint i = 0; i < pairs->len; i++) {
    VjShortcutPair *pair = &g_array_index (pairs, VjShortcutPair, i);
    char *marked = g_strconcat (pair->rejected, marker, NULL);
    g_ptr_array_add (texts, marked);
    pair->rejected = marked;
  }
}

static void
test_planted (void)
{
  g_autoptr (GPtrArray) texts = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GArray) pairs = draw_pairs (1, 200, 5, texts);
  g_autofree char *figures = NULL, *finding = NULL;
  VjAuditOutcome outcome;

  mark (pairs, texts, " honestly");
  g_autoptr (VjShortcut) shortcut = audit (pairs);
  const VjShortcutKind *all = shortcut->kinds->pdata[0];
  g_assert_cmpfloat (all->text.area, >, 0.999);
  g_assert_cmpfloat (all->text.low, >, 0.97);
  g_assert_cmpfloat (all->length.area, <, 0.1); /* a word more is longer, too */
  const VjShortcutSign *sign = shortcut->signs->pdata[0];
  g_assert_cmpstr (sign->text, ==, "word 'honestly'");
  g_assert_cmpfloat (sign->weight, <, 0);
  g_assert_cmpuint (sign->pairs, ==, 200);
  figures = vj_shortcut_figures (shortcut, 1, 0.7, &outcome, &finding);
  g_assert_cmpint (outcome, ==, VJ_AUDIT_FOUND);
  g_assert_nonnull (strstr (finding, "over all pairs rejected answers are known by word 'honestly'"));
}

/* A kind that betrays itself is found in a set that as a whole does not. */
static void
test_planted_kind (void)
{
  g_autoptr (GPtrArray) texts = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GArray) pairs = draw_pairs (2, 1000, 5, texts), bad = draw_pairs (3, 60, 5, texts);
  g_autofree char *figures = NULL, *finding = NULL;
  VjAuditOutcome outcome;

  mark (bad, texts, " ...");
  for (guint i = 0; i < bad->len; i++) {
    VjShortcutPair pair = g_array_index (bad, VjShortcutPair, i);
    pair.kind = "bad";
    pair.group = 1000 + i;
    g_array_append_val (pairs, pair);
  }
  g_autoptr (VjShortcut) shortcut = audit (pairs);
  const VjShortcutKind *all = shortcut->kinds->pdata[0], *kind = shortcut->kinds->pdata[1];
  g_assert_cmpstr (kind->kind, ==, "bad");
  g_assert_cmpfloat (all->text.area, <, 0.65);
  g_assert_cmpfloat (kind->text.area, >, 0.95);
  figures = vj_shortcut_figures (shortcut, 1, 0.7, &outcome, &finding);
  g_assert_cmpint (outcome, ==, VJ_AUDIT_FOUND);
  g_assert_nonnull (strstr (finding, "allows: bad: AUC"));
}

/* Of text that says nothing, about 95 in 100 intervals hold a half (without what Nadeau and Bengio add, 84 do), and
 * hardly any area leaks. */
static void
test_nothing_planted (void)
{
  guint holds = 0, leaks = 0;
  for (guint64 seed = 100; seed < 200; seed++) {
    g_autoptr (GPtrArray) texts = g_ptr_array_new_with_free_func (g_free);
    g_autoptr (GArray) pairs = draw_pairs (seed, 60, 5, texts);
    g_autoptr (VjShortcut) shortcut = audit (pairs);
    const VjShortcutKind *all = shortcut->kinds->pdata[0];
    holds += all->text.low <= 0.5 && all->text.high >= 0.5;
    leaks += vj_shortcut_leaks (&all->text, 0.7);
  }
  g_test_message ("%u of 100 intervals hold a half, %u leak", holds, leaks);
  g_assert_cmpuint (holds, >=, 91);
  g_assert_cmpuint (leaks, <=, 3);
}

static void
test_too_few (void)
{
  g_autoptr (GPtrArray) texts = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GArray) pairs = draw_pairs (1, 200, 5, texts);
  g_autofree char *figures = NULL, *finding = NULL;
  VjAuditOutcome outcome;

  mark (pairs, texts, " honestly");
  for (guint i = 0; i < pairs->len; i++)
    g_array_index (pairs, VjShortcutPair, i).group = i % (VJ_SHORTCUT_LEAST_GROUPS - 1);
  g_autoptr (VjShortcut) shortcut = audit (pairs);
  g_assert_false (shortcut->enough);
  figures = vj_shortcut_figures (shortcut, 1, 0.7, &outcome, &finding);
  g_assert_cmpint (outcome, ==, VJ_AUDIT_UNSURE);
  g_assert_nonnull (strstr (finding, "of 9 different questions or images are too few to tell whether"));
  g_clear_pointer (&finding, g_free);
  g_clear_pointer (&figures, g_free);

  for (guint i = 0; i < pairs->len; i++)
    g_array_index (pairs, VjShortcutPair, i).group = i % 12;
  g_autoptr (VjShortcut) folded = vj_shortcut_new ((const VjShortcutPair *) (gpointer) pairs->data, pairs->len, 13);
  figures = vj_shortcut_figures (folded, 1, 0.7, &outcome, &finding);
  g_assert_cmpint (outcome, ==, VJ_AUDIT_UNSURE);
  g_assert_nonnull (strstr (finding, "of 12 different questions or images are too few to tell in 13 folds whether"));
  g_autoptr (VjShortcut) none = vj_shortcut_new (NULL, 0, 5);
  g_assert_false (none->enough);
}

/* -- images ------------------------------------------------------------------------- */

static void
add_images (VjImageAudit *images, const char *kind, guint n, gboolean real, gboolean blank)
{
  VjAnswer right = VJ_ANSWER_RIGHT, wrong = VJ_ANSWER_WRONG;
  const VjAnswer answers[VJ_N_PICTURES][2] = {
      {right, real ? right : wrong}, {right, blank ? right : wrong}, {VJ_ANSWER_UNPARSED, VJ_ANSWER_UNPARSED}};
  for (guint i = 0; i < n; i++)
    vj_image_audit_add (images, kind, answers);
}

static VjAuditOutcome
conclude (VjImageAudit *images, char **ret_finding)
{
  VjAuditOutcome outcome;
  g_autofree char *figures = vj_image_audit_figures (images, 1, &outcome, ret_finding);
  g_assert_nonnull (figures);
  vj_image_audit_clear (images);
  return outcome;
}

static void
test_images (void)
{
  VjImageAudit images;
  g_autofree char *finding = NULL;

  vj_image_audit_init (&images);
  add_images (&images, "rewrite / count", 20, TRUE, FALSE);
  g_assert_cmpint (conclude (&images, &finding), ==, VJ_AUDIT_CLEAN);
  g_assert_null (finding);

  /* One kind needs no image; the others carry the set. */
  vj_image_audit_init (&images);
  add_images (&images, "rewrite / count", 20, TRUE, FALSE);
  add_images (&images, "a / blind", 20, TRUE, TRUE);
  g_assert_cmpint (conclude (&images, &finding), ==, VJ_AUDIT_PARTLY);
  g_assert_nonnull (strstr (finding, "a / blind (1.000"));
  g_assert_null (strstr (finding, "rewrite / count"));
  g_clear_pointer (&finding, g_free);

  vj_image_audit_init (&images);
  add_images (&images, "rewrite / count", 5, TRUE, FALSE); /* p = 0.0625: not seen, but far from ruled out */
  add_images (&images, "rewrite / count", 5, TRUE, TRUE);
  g_assert_cmpint (conclude (&images, &finding), ==, VJ_AUDIT_UNSURE);
  g_assert_nonnull (strstr (finding, "too few pairs to tell"));
  g_assert_null (strstr (finding, "do not need"));
  g_clear_pointer (&finding, g_free);

  /* No pair depends on its image: of few pairs that is chance, of more it is not. */
  for (guint n = 16; n <= 18; n += 2) {
    vj_image_audit_init (&images);
    add_images (&images, "rewrite / count", n, FALSE, FALSE);
    g_assert_cmpint (conclude (&images, &finding), ==, n == 16 ? VJ_AUDIT_UNSURE : VJ_AUDIT_FOUND);
    g_clear_pointer (&finding, g_free);
  }

  /* As many are lost as gained: it may still help with a tenth of 40 pairs, but not of 400. */
  for (guint n = 1; n <= 10; n += 9) {
    vj_image_audit_init (&images);
    add_images (&images, "rewrite / count", 5 * n, TRUE, FALSE);
    add_images (&images, "rewrite / count", 5 * n, FALSE, TRUE);
    add_images (&images, "rewrite / count", 30 * n, FALSE, FALSE);
    g_assert_cmpint (conclude (&images, &finding), ==, n == 1 ? VJ_AUDIT_UNSURE : VJ_AUDIT_FOUND);
    g_clear_pointer (&finding, g_free);
  }

  vj_image_audit_init (&images);
  add_images (&images, "rewrite / count", 6, TRUE, FALSE); /* p = 0.03125 */
  add_images (&images, "rewrite / count", 5, TRUE, TRUE);
  g_assert_cmpint (conclude (&images, &finding), !=, VJ_AUDIT_FOUND);
  g_clear_pointer (&finding, g_free);

  /* Significantly better without the image is no need of it. */
  vj_image_audit_init (&images);
  add_images (&images, "rewrite / count", 12, FALSE, TRUE);
  g_assert_cmpint (conclude (&images, &finding), ==, VJ_AUDIT_FOUND);
  g_clear_pointer (&finding, g_free);

  vj_image_audit_init (&images);
  add_images (&images, "rewrite / count", 5, TRUE, FALSE);
  g_assert_cmpint (conclude (&images, &finding), ==, VJ_AUDIT_UNSURE);
}

static void
test_image_figures (void)
{
  VjImageAudit images;
  VjAuditOutcome outcome;
  g_autofree char *finding = NULL;

  vj_image_audit_init (&images);
  add_images (&images, "b", 20, TRUE, FALSE);
  add_images (&images, "a", 4, FALSE, TRUE);
  g_autofree char *figures = vj_image_audit_figures (&images, 3, &outcome, &finding);
  json_t *json = json_loads (figures, 0, NULL), *kinds = json_object_get (json, "kinds"),
         *all = json_array_get (kinds, 0);
  const json_t *real = json_object_get (all, "real"), *test = json_object_get (all, "against_blank");
  VjInterval interval = vj_statistics_wilson (22, 24, VJ_Z95);
  g_assert_cmpstr (text (json_array_get (kinds, 1), "kind"), ==, "a");
  g_assert_cmpstr (text (json_array_get (kinds, 2), "kind"), ==, "b");
  g_assert_cmpfloat_with_epsilon (number (real, "accuracy"), 44.0 / 48, 1e-12);
  g_assert_cmpfloat_with_epsilon (number (real, "low"), interval.low, 1e-12);
  g_assert_cmpfloat (number (json_object_get (all, "swapped"), "unparsed"), ==, 48);
  g_assert_cmpfloat (number (test, "only_real"), ==, 20);
  g_assert_cmpfloat (number (test, "only_other"), ==, 4);
  g_assert_cmpfloat_with_epsilon (number (test, "mcnemar_p"), vj_statistics_mcnemar (20, 4), 1e-15);
  json_decref (json);
  vj_image_audit_clear (&images);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/shortcut/area-is-sklearn's", test_area);
  g_test_add_func ("/shortcut/area-at-its-ends", test_area_ends);
  g_test_add_func ("/shortcut/regression-is-sklearn's", test_against_sklearn);
  g_test_add_func ("/shortcut/fit-on-nothing", test_fit_on_nothing);
  g_test_add_func ("/shortcut/planted-marker-is-found", test_planted);
  g_test_add_func ("/shortcut/planted-kind-is-found", test_planted_kind);
  g_test_add_func ("/shortcut/nothing-planted-nothing-found", test_nothing_planted);
  g_test_add_func ("/shortcut/too-few", test_too_few);
  g_test_add_func ("/images/outcomes", test_images);
  g_test_add_func ("/images/figures", test_image_figures);
  return g_test_run ();
}
