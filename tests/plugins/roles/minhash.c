/* plugins/text/minhash: against Jaccard similarities of the strings themselves, every pair compared. */
#include "roles.h"
#include "base/random.h"
#include "text/minhash.h"

#include <string.h>
#include <time.h>

#define N_WORDS 60
#define THRESHOLD 0.8

/* Texts of 60 words of a vocabulary of 5000; each but the first of a family has some words replaced. */
static GPtrArray *
make_texts (guint families, guint members)
{
  GPtrArray *texts = g_ptr_array_new_with_free_func (g_free);
  VjRandom random;
  vj_random_init_named (&random, 7, "test", "texts", 0);
  for (guint f = 0; f < families; f++) {
    guint base[N_WORDS];
    for (guint w = 0; w < N_WORDS; w++)
      base[w] = vj_random_below (&random, 5000);
    for (guint m = 0; m < members; m++) {
      g_autoptr (GString) text = g_string_new (NULL);
      for (guint w = 0; w < N_WORDS; w++) /* about m of 60 words are others */
        g_string_append_printf (text, "w%u ", vj_random_below (&random, N_WORDS) < m ? vj_random_below (&random, 5000) : base[w]);
      g_ptr_array_add (texts, g_string_free (g_steal_pointer (&text), FALSE));
    }
  }
  return texts;
}

/* The distinct runs of three words of a text, as strings. */
static GHashTable *
runs_of (const char *text)
{
  GHashTable *runs = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_auto (GStrv) words = g_strsplit (text, " ", -1);
  for (guint i = 0; i + 3 <= N_WORDS; i++)
    g_hash_table_add (runs, g_strdup_printf ("%s %s %s", words[i], words[i + 1], words[i + 2]));
  return runs;
}

static double
exact (GHashTable *a, GHashTable *b)
{
  guint shared = 0;
  GHashTableIter iter;
  gpointer run;
  g_hash_table_iter_init (&iter, a);
  while (g_hash_table_iter_next (&iter, &run, NULL))
    shared += g_hash_table_contains (b, run);
  return (double) shared / (g_hash_table_size (a) + g_hash_table_size (b) - shared);
}

static GArray *
shingles_of (const char *text)
{
  GArray *shingles = g_array_new (FALSE, FALSE, sizeof (guint64));
  vj_shingles_add (shingles, text, 3, 1);
  vj_shingles_finish (shingles);
  return shingles;
}

static void
test_jaccard (void)
{
  g_autoptr (GPtrArray) texts = make_texts (4, 12);
  for (guint i = 0; i < texts->len; i++)
    for (guint j = 0; j < texts->len; j++) {
      g_autoptr (GHashTable) a = runs_of (texts->pdata[i]), b = runs_of (texts->pdata[j]);
      g_autoptr (GArray) x = shingles_of (texts->pdata[i]), y = shingles_of (texts->pdata[j]);
      g_assert_cmpfloat (exact (a, b), ==, vj_shingles_jaccard (x, y));
    }
  g_autoptr (GArray) none = shingles_of (" ... "), small = shingles_of ("Two, words"), same = shingles_of ("two words!");
  g_assert_cmpuint (none->len, ==, 0);
  g_assert_cmpuint (small->len, ==, 1);
  g_assert_cmpfloat (vj_shingles_jaccard (small, same), ==, 1);
  g_assert_cmpfloat (vj_shingles_jaccard (none, none), ==, 1);
  g_assert_cmpfloat (vj_shingles_jaccard (none, small), ==, 0);
}

/* A text is near when one kept before it is: recall and precision of that against every pair compared by strings. */
static void
test_recall_and_precision (void)
{
  g_autoptr (GPtrArray) texts = make_texts (60, 8), runs = g_ptr_array_new_with_free_func ((GDestroyNotify) g_hash_table_unref);
  g_autoptr (VjNear) near = vj_near_new (128, THRESHOLD, 3);
  g_autoptr (GPtrArray) kept = g_ptr_array_new ();
  guint is = 0, said = 0, both = 0;
  for (guint i = 0; i < texts->len; i++) {
    g_autoptr (GArray) shingles = shingles_of (texts->pdata[i]);
    guint found = 0, first = kept->len;
    g_ptr_array_add (runs, runs_of (texts->pdata[i]));
    for (guint j = kept->len; j-- > 0;)
      if (exact (runs->pdata[i], kept->pdata[j]) >= THRESHOLD)
        first = j;
    gboolean truly = first < kept->len, told = vj_near_find_or_add (near, shingles, 0, &found);
    is += truly;
    said += told;
    both += told && truly;
    if (told)
      g_assert_cmpfloat (exact (runs->pdata[i], kept->pdata[found]), >=, THRESHOLD);
    else
      g_ptr_array_add (kept, runs->pdata[i]);
  }
  g_test_message ("%u bands of %u; near %u, found %u of them, said %u", vj_near_bands (near), vj_near_rows (near), is, both, said);
  g_assert_cmpuint (is, >, 80);
  g_assert_cmpuint (both, ==, said);         /* precision 1: sets decide */
  g_assert_cmpuint (both * 100, >=, is * 98); /* recall; 0.95 is what the bands promise at the very threshold */
}

/* The chance that two sets of a given similarity meet in a band is the textbook's. */
static void
test_bands (void)
{
  static const struct {
    guint permutations, bands, rows;
    double threshold;
  } cases[] = {{128, 18, 7, 0.8}, {128, 42, 3, 0.5}, {16, 5, 3, 0.8}, {1, 1, 1, 0.3}, {64, 1, 64, 1}};
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (VjNear) near = vj_near_new (cases[i].permutations, cases[i].threshold, 0);
    g_assert_cmpuint (vj_near_bands (near), ==, cases[i].bands);
    g_assert_cmpuint (vj_near_rows (near), ==, cases[i].rows);
  }
}

/* One permutation's smallest images agree with a probability of the Jaccard similarity: 80 shared of 100, so 0.8. */
static void
test_estimates_jaccard (void)
{
  guint hits = 0, found = 0, n = 4000;
  for (guint seed = 0; seed < n; seed++) {
    g_autoptr (VjNear) near = vj_near_new (1, 0.8, seed);
    g_autoptr (GArray) a = g_array_new (FALSE, FALSE, sizeof (guint64)), b = g_array_new (FALSE, FALSE, sizeof (guint64));
    for (guint i = 0; i < 100; i++) {
      g_autofree char *word = g_strdup_printf ("%u", i);
      if (i < 90)
        vj_shingles_add (a, word, 1, 0);
      if (i >= 10)
        vj_shingles_add (b, word, 1, 0);
    }
    vj_shingles_finish (a);
    vj_shingles_finish (b);
    vj_near_find_or_add (near, a, 0, &found);
    hits += vj_near_find_or_add (near, b, 0, &found);
  }
  g_assert_cmpfloat (ABS ((double) hits / n - 0.8), <, 0.02); /* three standard errors */
}

/* Groups keep apart, and each index is its own. */
static void
test_groups_and_seeds (void)
{
  g_autoptr (GArray) set = shingles_of ("a small red circle lies at the left of the blue square");
  g_autoptr (VjNear) near = vj_near_new (64, 0.5, 1), again = vj_near_new (64, 0.5, 2);
  guint found = 9;
  g_assert_false (vj_near_find_or_add (near, set, 1, &found));
  g_assert_false (vj_near_find_or_add (near, set, 2, &found));
  g_assert_true (vj_near_find_or_add (near, set, 2, &found));
  g_assert_cmpuint (found, ==, 1);
  g_assert_false (vj_near_find_or_add (again, set, 1, &found));
}

/* Work per text does not grow with the number of texts: how many sets are compared for each is counted. */
static void
test_linear (void)
{
  double work[2];
  for (guint part = 0; part < 2; part++) {
    g_autoptr (GPtrArray) texts = make_texts (part ? 25000 : 2500, 4);
    g_autoptr (VjNear) near = vj_near_new (128, THRESHOLD, 3);
    guint found, doubles = 0;
    clock_t start = clock ();
    for (guint i = 0; i < texts->len; i++) {
      g_autoptr (GArray) shingles = shingles_of (texts->pdata[i]);
      doubles += vj_near_find_or_add (near, shingles, 0, &found);
    }
    work[part] = (double) vj_near_compared (near) / texts->len;
    g_test_message ("%u texts, %u near another: %.3f comparisons each, %.2f s of processor", texts->len, doubles, work[part],
                    (double) (clock () - start) / CLOCKS_PER_SEC);
  }
  g_assert_cmpfloat (work[0], >, 0.1);
  g_assert_cmpfloat (work[1], <, 1.1 * work[0]);
}

/* A hundred thousand equal texts are compared once each, not with each other. */
static void
test_all_alike (void)
{
  g_autoptr (VjNear) near = vj_near_new (16, THRESHOLD, 3);
  g_autoptr (GArray) set = shingles_of ("a small red circle lies at the left of the blue square");
  guint found = 9;
  for (guint i = 0; i < 100000; i++)
    g_assert_true (vj_near_find_or_add (near, set, 0, &found) == (i > 0));
  g_assert_cmpuint (vj_near_compared (near), ==, 99999);
}

void
add_minhash_tests (void)
{
  g_test_add_func ("/plugins/minhash/jaccard", test_jaccard);
  g_test_add_func ("/plugins/minhash/recall-and-precision", test_recall_and_precision);
  g_test_add_func ("/plugins/minhash/bands", test_bands);
  g_test_add_func ("/plugins/minhash/estimates-jaccard", test_estimates_jaccard);
  g_test_add_func ("/plugins/minhash/groups-and-seeds", test_groups_and_seeds);
  g_test_add_func ("/plugins/minhash/linear", test_linear);
  g_test_add_func ("/plugins/minhash/all-alike", test_all_alike);
}
