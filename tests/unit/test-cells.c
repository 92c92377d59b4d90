/* report/: cells of tables. Names that do not fit are told whole, so that no two rows look alike. */
#include "store-kit.h"
#include "report/cells.h"
#include "report/summary.h"

#include <string.h>

/* Each line of `text` has at most `most` characters. */
static void
assert_narrow (const char *text, glong most)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    g_assert_cmpint (g_utf8_strlen (lines[i], -1), <=, most);
}

static char *
wrapped (const char *head, const char *text, guint width)
{
  GString *out = g_string_new (head);
  vj_cells_wrapped (out, text, width);
  return g_string_free (out, FALSE);
}

static void
test_wrapped (void)
{
  static const struct {
    const char *head, *text, *expected;
  } rows[] = {
    {"", "", ""},
    {"", "as long as a line is", "as long as a line is"},
    {"row\n  ", "a line that is too long", "row\n  a line that is too\n  long"},
    {"", "0123456789012345678901234", "01234567890123456789\n01234"},
    {"", "äöüäöüäöüäöüäöüäöüäöü", "äöüäöüäöüäöüäöüäöüäö\nü"},
    {"", "a tab\tand\na line \033[1m", "a tab and a line\n\\x1b[1m"},
  };
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *text = wrapped (rows[i].head, rows[i].text, 20);
    g_assert_cmpstr (text, ==, rows[i].expected);
  }
}

static void
test_endless (void)
{
  g_autofree char *common = g_strnfill (100000, 'x'), *one = g_strconcat (common, "1", NULL), *two = g_strconcat (common, "2", NULL);
  g_autofree char *first = wrapped ("", one, 40), *again = wrapped ("", one, 40), *second = wrapped ("", two, 40);
  assert_narrow (first, 40);
  g_assert_cmpuint (strlen (first), <, 130);
  g_assert_cmpstr (first, ==, again);
  g_assert_cmpstr (first, !=, second); /* alike but for what is cut off */
}

static void
test_padded (void)
{
  g_autoptr (GString) out = g_string_new ("head\n  ");
  vj_cells_padded (out, "short", 8);
  g_string_append (out, "1.0\n  ");
  vj_cells_padded (out, "just not", 8);
  g_string_append (out, "2.0\n");
  g_assert_cmpstr (out->str, ==, "head\n  short   1.0\n  just not\n          2.0\n");
}

static void
put_score (VjStore *store, const char *metric, double right)
{
  VjStoredScore score = {.label = (char *) "before", .evaluator = (char *) "pairs", .metric = (char *) metric, .right = right, .total = 10};
  assert_ok (vj_store_score_put (store, &score, &error_));
}

/* Kinds come from data sets, and their names may begin alike. */
static void
test_summary (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  static const char *const kinds[] = {"accuracy / counting of occluded objects in front", "accuracy / counting of occluded objects behind"};
  g_autoptr (VjStore) store = open_store (place->dir, VJ_STORE_WRITE);
  g_autoptr (VjRecord) question = make_question ("q1", "?");
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    put_score (store, kinds[i], 2 + 5 * i);
  assert_ok (vj_store_stage_put (store, &(VjStage){1, (char *) "filter:x", (char *) "d", VJ_STAGE_DONE, 1, 0}, &error_));
  assert_ok (vj_store_record_put (store, "judge", question, &error_));
  assert_ok (vj_store_record_fate (store, "q1", VJ_FATE_DROPPED, "filter:x",
                                   "a reason of so many words that it cannot stand on one line, for which it is not cut", &error_));
  g_autofree char *text = vj_summary_text (store, &error);
  g_assert_no_error (error);
  assert_narrow (text, 100);
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++) {
    g_autofree char *row = g_strdup_printf ("  %s\n%30s0.%u00 [", kinds[i], "", 2 + 5 * i);
    g_assert_nonnull (strstr (text, row));
  }
  g_assert_nonnull (strstr (text, "  a reason of so many words that it cannot stand on one line,\n"));
  g_assert_nonnull (strstr (text, "\n                                  for which it is not cut\n"));
}

int
main (int argc, char **argv)
{
  place_in_memory ();
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cells/wrapped", test_wrapped);
  g_test_add_func ("/cells/endless", test_endless);
  g_test_add_func ("/cells/padded", test_padded);
  g_test_add ("/cells/summary", Place, NULL, place_init, test_summary, place_done);
  return g_test_run ();
}
