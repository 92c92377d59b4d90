/* Recipes that extend others: what is merged, what is replaced, where messages point, and what is refused. */
#include "recipe/node.h"

#include <glib/gstdio.h>
#include <string.h>

typedef struct {
  char *folder;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  (void) data;
  fixture->folder = g_dir_make_tmp ("vj-extends-XXXXXX", NULL);
  g_assert_nonnull (fixture->folder);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  (void) data;
  g_autoptr (GDir) dir = g_dir_open (fixture->folder, 0, NULL);
  for (const char *name; (name = g_dir_read_name (dir)) != NULL;) {
    g_autofree char *file = g_build_filename (fixture->folder, name, NULL);
    g_assert_cmpint (g_unlink (file), ==, 0);
  }
  g_assert_cmpint (g_rmdir (fixture->folder), ==, 0);
  g_free (fixture->folder);
}

static void
put (Fixture *fixture, const char *name, const char *text)
{
  g_autofree char *file = g_build_filename (fixture->folder, name, NULL);
  g_assert_true (g_file_set_contents (file, text, -1, NULL));
}

static VjTree *
load (Fixture *fixture, const char *name, GError **error)
{
  g_autofree char *file = g_build_filename (fixture->folder, name, NULL);
  g_autoptr (VjTree) tree = vj_tree_load (file, error);
  return tree != NULL && vj_tree_extend (tree, error) ? g_steal_pointer (&tree) : NULL;
}

static void
refused (Fixture *fixture, const char *name, const char *why)
{
  g_autoptr (GError) error = NULL;
  g_assert_null (load (fixture, name, &error));
  g_assert_nonnull (error);
  if (strstr (error->message, why) == NULL)
    g_error ("expected '%s' in '%s'", why, error->message);
}

static const char *
text_at (VjTree *tree, const char *first, const char *second)
{
  const VjNode *node = vj_node_get (vj_tree_root (tree), first);
  node = second != NULL ? vj_node_get (node, second) : node;
  g_assert_nonnull (node);
  return node->text;
}

static void
test_maps_merge_and_lists_are_replaced (Fixture *fixture, gconstpointer data)
{
  (void) data;
  put (fixture, "base.yaml", "name: base\nseed: 1\njudge: { use: pairwise, samples: 4, orders: both }\nfilters: [ a, b, c ]\n");
  put (fixture, "arm.yaml", "extends: base.yaml\nname: arm\njudge: { samples: 1 }\nfilters: [ d ]\nrepeat: { iterations: 2 }\n");
  g_autoptr (GError) error = NULL;
  g_autoptr (VjTree) tree = load (fixture, "arm.yaml", &error);
  g_assert_no_error (error);
  g_assert_null (vj_node_get (vj_tree_root (tree), "extends"));
  g_assert_cmpstr (text_at (tree, "name", NULL), ==, "arm");
  g_assert_cmpstr (text_at (tree, "seed", NULL), ==, "1");
  g_assert_cmpstr (text_at (tree, "judge", "use"), ==, "pairwise");
  g_assert_cmpstr (text_at (tree, "judge", "samples"), ==, "1");
  g_assert_cmpstr (text_at (tree, "repeat", "iterations"), ==, "2");
  const VjNode *filters = vj_node_get (vj_tree_root (tree), "filters");
  g_assert_cmpuint (vj_node_length (filters), ==, 1);
  g_autofree char *own = vj_node_where (vj_node_get (vj_node_get (vj_tree_root (tree), "judge"), "samples"));
  g_autofree char *inherited = vj_node_where (vj_node_get (vj_node_get (vj_tree_root (tree), "judge"), "orders"));
  g_assert_nonnull (strstr (own, "arm.yaml:3:"));
  g_assert_nonnull (strstr (inherited, "base.yaml:3:"));
}

static void
test_null_takes_away (Fixture *fixture, gconstpointer data)
{
  (void) data;
  put (fixture, "base.yaml", "repeat: { iterations: 2, gate: { count: 4 }, pairs: fresh }\nseed: 3\n");
  put (fixture, "arm.yaml", "extends: base.yaml\nrepeat: { gate: null, pairs: reuse }\n");
  g_autoptr (GError) error = NULL;
  g_autoptr (VjTree) tree = load (fixture, "arm.yaml", &error);
  g_assert_no_error (error);
  g_assert_null (vj_node_get (vj_node_get (vj_tree_root (tree), "repeat"), "gate"));
  g_assert_cmpstr (text_at (tree, "repeat", "pairs"), ==, "reuse"); /* behind the gap: found and replaced in its place */
  g_assert_cmpuint (vj_node_length (vj_node_get (vj_tree_root (tree), "repeat")), ==, 2);
  g_assert_cmpstr (text_at (tree, "repeat", "iterations"), ==, "2");
}

static void
test_another_plugin_brings_its_own_options (Fixture *fixture, gconstpointer data)
{
  (void) data;
  put (fixture, "base.yaml", "train: { use: sft, epochs: 3 }\n");
  put (fixture, "arm.yaml", "extends: base.yaml\ntrain: { use: other }\n");
  g_autoptr (GError) error = NULL;
  g_autoptr (VjTree) tree = load (fixture, "arm.yaml", &error);
  g_assert_no_error (error);
  g_assert_null (vj_node_get (vj_node_get (vj_tree_root (tree), "train"), "epochs"));
}

static void
test_a_chain_is_followed (Fixture *fixture, gconstpointer data)
{
  (void) data;
  put (fixture, "a.yaml", "seed: 1\nname: a\n");
  put (fixture, "b.yaml", "extends: a.yaml\nname: b\n");
  put (fixture, "c.yaml", "extends: b.yaml\n");
  g_autoptr (GError) error = NULL;
  g_autoptr (VjTree) tree = load (fixture, "c.yaml", &error);
  g_assert_no_error (error);
  g_assert_cmpstr (text_at (tree, "name", NULL), ==, "b");
  g_assert_cmpstr (text_at (tree, "seed", NULL), ==, "1");
}

static void
test_bad_bases_are_refused (Fixture *fixture, gconstpointer data)
{
  (void) data;
  put (fixture, "self.yaml", "name: x\nextends: self.yaml\n");
  refused (fixture, "self.yaml", "self.yaml:2:10: extends: more than 8 recipes extend one another; is there a circle?");
  put (fixture, "lost.yaml", "extends: nowhere.yaml\n");
  refused (fixture, "lost.yaml", "lost.yaml:1:10: extends: ");
  refused (fixture, "lost.yaml", "nowhere.yaml: cannot be opened");
  put (fixture, "list.yaml", "extends: [ a, b ]\n");
  refused (fixture, "list.yaml", "list.yaml:1:10: extends: this is a list; expected the path of a recipe");
  put (fixture, "empty.yaml", "extends: \"\"\n");
  refused (fixture, "empty.yaml", "this is empty");
  put (fixture, "items.yaml", "- one\n");
  put (fixture, "over.yaml", "extends: items.yaml\n");
  refused (fixture, "over.yaml", "items.yaml' is a list; expected a recipe");
  put (fixture, "torn.yaml", "name: [\n");
  put (fixture, "over-torn.yaml", "extends: torn.yaml\n");
  refused (fixture, "over-torn.yaml", "torn.yaml:");
  put (fixture, "void.yaml", "");
  put (fixture, "over-void.yaml", "extends: void.yaml\n");
  refused (fixture, "over-void.yaml", "void.yaml");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, function) g_test_add ("/extends/" name, Fixture, NULL, set_up, function, tear_down)
  ADD ("maps-merge-and-lists-are-replaced", test_maps_merge_and_lists_are_replaced);
  ADD ("null-takes-away", test_null_takes_away);
  ADD ("another-plugin-brings-its-own-options", test_another_plugin_brings_its_own_options);
  ADD ("a-chain-is-followed", test_a_chain_is_followed);
  ADD ("bad-bases-are-refused", test_bad_bases_are_refused);
  return g_test_run ();
}
