/* pipeline/gold: which answers count as the gold one, and what is said of the others. */
#include "pipeline/context.h"

#include <glib/gstdio.h>

#define NOT_GOLD "gold filter: the chosen answer is not the gold one"

static const struct {
  const char *answer, *gold;
  gboolean same;
} cases[] = {
  {"two", "Two.", TRUE},
  {" the  red ball ", "red ball", TRUE},
  {"\"Red ball\"!", "a RED ball", TRUE},
  {"red", "red ball", FALSE},
  {"ball red", "red ball", FALSE},
  {"a", "A", TRUE}, /* an article, and all there is */
  {"", "", FALSE},
  {"...", "...", FALSE},
  {"-3", "3", FALSE},
  {"50%", "50", FALSE},
  {"caf\u00e9", "cafe\u0301", TRUE}, /* the accent composed or not */
  {"STRASSE", "stra\u00dfe", TRUE},
  /* options */
  {"B", "(B)", TRUE},
  {"B. blue", "b", TRUE},
  {"(b) blue", "B", TRUE},
  {"B. blue", "A", FALSE},
  {"B. blue", "B. red", FALSE},
  {"blue", "B", FALSE},
  {"Bring it", "B", FALSE},
  {"a dog", "a cat", FALSE},
};

static void
test_forms (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *dir = g_dir_make_tmp ("vj-gold-XXXXXX", &error);
  g_autofree char *run = g_build_filename (dir, "run", NULL);
  g_autoptr (VjStore) store = vj_store_open (run, VJ_STORE_WRITE, &error);
  const char *reason = "";
  g_assert_no_error (error);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *id = g_strdup_printf ("q%zu", i);
    g_assert_true (vj_store_gold_put (store, id, cases[i].gold, &error));
    g_assert_true (vj_gold_check (store, id, cases[i].answer, &reason, &error));
    if (g_strcmp0 (reason, cases[i].same ? NULL : NOT_GOLD) != 0)
      g_test_message ("'%s' against '%s'", cases[i].answer, cases[i].gold);
    g_assert_cmpstr (reason, ==, cases[i].same ? NULL : NOT_GOLD);
  }
  g_assert_true (vj_gold_check (store, "other", "two", &reason, &error));
  g_assert_cmpstr (reason, ==, "gold filter: the question has no gold answer");
  g_clear_pointer (&store, vj_store_close);
  g_autoptr (GDir) listing = g_dir_open (run, 0, NULL);
  for (const char *name; (name = g_dir_read_name (listing)) != NULL;) {
    g_autofree char *path = g_build_filename (run, name, NULL);
    g_unlink (path);
  }
  g_rmdir (run);
  g_rmdir (dir);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/pipeline/gold/forms", test_forms);
  return g_test_run ();
}
