/* plugin/: every unfit file is refused with a message of its own; fit ones are found, once. */
#include "plugin/instance.h"
#include "plugin/registry.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A plugin directory for one test. */
typedef struct {
  char *root;
} Bed;

static Bed
bed_new (void)
{
  Bed bed = {g_dir_make_tmp ("vj-plugins-XXXXXX", NULL)};
  g_assert_nonnull (bed.root);
  return bed;
}

static void
remove_tree (const char *path)
{
  g_autoptr (GDir) dir = g_file_test (path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open (path, 0, NULL);
  for (const char *base = dir != NULL ? g_dir_read_name (dir) : NULL; base != NULL; base = g_dir_read_name (dir)) {
    g_autofree char *child = g_build_filename (path, base, NULL);
    remove_tree (child);
  }
  g_assert_cmpint (g_remove (path), ==, 0);
}

static void
bed_done (Bed *bed)
{
  remove_tree (bed->root);
  g_free (bed->root);
}

/* Copies tests/plugins/wrong/NAME.so to ROOT/FOLDER/AS; FOLDER may be "". Gives the path. */
static char *
bed_put (const Bed *bed, const char *folder, const char *name, const char *as)
{
  g_autofree char *from_base = g_strconcat (name, ".so", NULL);
  g_autofree char *from = g_build_filename (g_getenv ("VJ_BUILDDIR"), "tests/plugins/wrong", from_base, NULL);
  g_autofree char *to_folder = g_build_filename (bed->root, folder, NULL);
  g_autofree char *bytes = NULL;
  gsize length = 0;
  char *to = g_build_filename (to_folder, as, NULL);
  g_assert_cmpint (g_mkdir_with_parents (to_folder, 0700), ==, 0);
  g_assert_true (g_file_get_contents (from, &bytes, &length, NULL));
  g_assert_true (g_file_set_contents_full (to, bytes, (gssize) length, G_FILE_SET_CONTENTS_NONE, 0700, NULL));
  return to;
}

static VjRegistry *
bed_registry (const Bed *bed)
{
  const char *const directories[] = {bed->root, NULL};
  return vj_registry_new (directories, NULL, NULL);
}

/* Which file, in which folder, under which name; and what its message says. */
static const struct {
  const char *name, *folder, *says;
} wrong[] = {
  {"no-symbol", "filters", "exports no vj_plugin_query"},
  {"no-descriptor", "filters", "gives no descriptor"},
  {"magic", "filters", "magic (0x1, expected 0x564a5031)"},
  {"old-abi", "filters", "was built for plugin ABI 3, this vjrun has 2; rebuild"},
  {"newer-abi", "filters", "newer than this vjrun's 2.2; install a newer vjrun"},
  {"short-descriptor", "filters", "its descriptor has 8 bytes"},
  {"other-name", "filters", "calls itself 'another-name'; rename the file"},
  {"capital-name", "filters", "its name 'Capital' must be"},
  {"wrong-folder", "judges", "is a filter but lies among the judges; move it to filters/"},
  {"no-verb", "filters", "lacks the verb 'keep', which every filter needs"},
  {"no-license", "filters", "its descriptor has no license"},
  {"short-ops", "filters", "its filter ops have 8 bytes"},
  {"bad-preset", "filters", "option 'number': its preset is '12'; expected an integer from 1 to 9"},
  {"bad-offset", "filters", "lies outside the instance"},
  {"twice-named", "filters", "two options have this name"},
  {"no-doc", "filters", "it has no doc"},
  {"host-key", "filters", "option 'model': this key is the host's own"},
};

static void
test_unfit_files_are_refused_each_in_its_words (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++) {
    Bed bed = bed_new ();
    g_autoptr (GError) error = NULL;
    g_autofree char *as = g_strconcat (wrong[i].name, ".so", NULL), *file = bed_put (&bed, wrong[i].folder, wrong[i].name, as);
    g_autoptr (VjRegistry) registry = bed_registry (&bed);
    VjRole role = strcmp (wrong[i].folder, "judges") == 0 ? VJ_ROLE_JUDGE : VJ_ROLE_FILTER;
    g_assert_null (vj_registry_find (registry, role, wrong[i].name, &error));
    g_test_message ("%s", error->message);
    g_assert_cmpint (vj_error_exit (error), ==, VJ_EXIT_PLUGIN);
    g_assert_true (g_str_has_prefix (error->message, file));
    g_assert_nonnull (strstr (error->message, wrong[i].says));
    for (guint j = 0; j < i; j++)
      g_assert_cmpstr (wrong[i].says, !=, wrong[j].says);
    bed_done (&bed);
  }
}

static void
refused (const char *file, const char *says)
{
  g_autoptr (GError) error = NULL;
  g_assert_null (vj_loader_load (file, VJ_ROLE_FILTER, &error));
  g_test_message ("%s", error->message);
  g_assert_cmpint (vj_error_exit (error), ==, VJ_EXIT_PLUGIN);
  g_assert_nonnull (strstr (error->message, says));
}

static void
test_unfit_places_are_refused (void)
{
  Bed bed = bed_new ();
  g_autofree char *text = bed_put (&bed, "filters", "right", "text.so"), *open = bed_put (&bed, "filters", "right", "open.so");
  g_autofree char *right = bed_put (&bed, "filters", "right", "right.so"), *folder = g_path_get_dirname (right);
  g_autofree char *absent = g_build_filename (folder, "absent.so", NULL), *pipe = g_build_filename (folder, "pipe.so", NULL);
  g_autofree char *cut = g_build_filename (folder, "cut.so", NULL);
  g_assert_true (g_file_set_contents (text, "#!/bin/sh\n", -1, NULL));
  g_assert_true (g_file_set_contents (cut, "\177ELF\2\1\1", -1, NULL));
  g_assert_cmpint (mkfifo (pipe, 0600), ==, 0);
  g_assert_cmpint (g_chmod (open, 0777), ==, 0);
  refused ("filters/right.so", "is not an absolute path");
  refused (absent, "cannot be opened: No such file or directory");
  refused (folder, "is not a regular file");
  refused (pipe, "is not a regular file");
  refused (text, "is no shared object");
  refused (cut, "is cut short");
  /* A whole header and too little behind it: mapped as it is, this would end the program by SIGBUS. */
  g_autofree char *bytes = NULL;
  gsize length;
  g_assert_true (g_file_get_contents (right, &bytes, &length, NULL));
  g_assert_true (g_file_set_contents (cut, bytes, (gssize) (length / 2), NULL));
  refused (cut, "is cut short");
  refused (open, "anyone may write here");
  g_assert_cmpint (g_chmod (folder, 0777), ==, 0);
  refused (right, "anyone may write here");
  g_assert_cmpint (g_chmod (folder, 0700), ==, 0);
  g_assert_nonnull (vj_loader_load (right, VJ_ROLE_FILTER, NULL));
  /* Whoever may write to the directory could change its folders for others, or add to it. */
  const mode_t modes[] = {0777, 01777};
  for (guint i = 0; i < G_N_ELEMENTS (modes); i++) {
    const char *const directories[] = {bed.root, NULL};
    g_autoptr (GError) error = NULL;
    g_assert_cmpint (g_chmod (bed.root, modes[i]), ==, 0);
    g_assert_null (vj_registry_new (directories, NULL, &error));
    g_assert_cmpint (vj_error_exit (error), ==, VJ_EXIT_PLUGIN);
    g_assert_true (g_str_has_prefix (error->message, bed.root));
    g_assert_nonnull (strstr (error->message, "anyone may write here"));
  }
  bed_done (&bed);
}

/* It is listed, being there, and says what is wrong when it is asked for. */
static void
test_a_link_that_leads_nowhere_cannot_be_opened (void)
{
  const char *const folders[] = {"filters", ""};
  for (guint i = 0; i < G_N_ELEMENTS (folders); i++) {
    Bed bed = bed_new ();
    g_autoptr (GError) error = NULL;
    g_autofree char *right = bed_put (&bed, folders[i], "right", "right.so"), *folder = g_path_get_dirname (right);
    g_autofree char *link = g_build_filename (folder, "dangling.so", NULL);
    g_assert_cmpint (symlink ("absent.so", link), ==, 0);
    g_autoptr (VjRegistry) registry = bed_registry (&bed);
    g_assert_null (vj_registry_find (registry, VJ_ROLE_FILTER, "dangling", &error));
    g_assert_cmpint (vj_error_exit (error), ==, VJ_EXIT_PLUGIN);
    g_assert_true (g_str_has_prefix (error->message, link));
    g_assert_nonnull (strstr (error->message, "cannot be opened: No such file or directory"));
    bed_done (&bed);
  }
}

static void
test_foreign_files_are_refused (void)
{
  if (geteuid () != 0) {
    g_test_skip ("only root can give a file away");
    return;
  }
  Bed bed = bed_new ();
  g_autofree char *file = bed_put (&bed, "filters", "right", "right.so");
  g_assert_cmpint (chown (file, 12345, (gid_t) -1), ==, 0);
  refused (file, "belongs to user 12345");
  bed_done (&bed);
}

/* Readable by a group of many is fine, writable is not; writable by the owner's own group is what umask 002 leaves. */
static void
test_files_of_a_group (void)
{
  if (geteuid () != 0) {
    g_test_skip ("only root can give a file to any group");
    return;
  }
  Bed bed = bed_new ();
  g_autofree char *file = bed_put (&bed, "filters", "right", "right.so"), *folder = g_path_get_dirname (file);
  g_assert_cmpint (g_chmod (file, 0664), ==, 0);
  g_assert_cmpint (g_chmod (folder, 0775), ==, 0);
  g_assert_nonnull (vj_loader_load (file, VJ_ROLE_FILTER, NULL));
  g_assert_cmpint (chown (file, 0, 12345), ==, 0);
  refused (file, "its group 12345 may write here");
  g_assert_cmpint (g_chmod (file, 0644), ==, 0);
  g_assert_nonnull (vj_loader_load (file, VJ_ROLE_FILTER, NULL));
  g_assert_cmpint (chown (folder, 0, 12345), ==, 0);
  refused (file, "its group 12345 may write here");
  g_assert_cmpint (g_chmod (folder, 0755), ==, 0);
  g_assert_nonnull (vj_loader_load (file, VJ_ROLE_FILTER, NULL));
  g_assert_cmpint (g_chmod (file, 0646), ==, 0);
  refused (file, "anyone may write here");
  bed_done (&bed);
}

static void
test_longer_structs_are_fine (void)
{
  Bed bed = bed_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *file = bed_put (&bed, "filters", "grown", "grown.so");
  const VjPlugin *plugin = vj_loader_load (file, VJ_ROLE_FILTER, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (plugin->size, >, sizeof (VjPlugin));
  bed_done (&bed);
}

static void
test_a_name_in_two_directories_is_refused (void)
{
  Bed a = bed_new (), b = bed_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *one = bed_put (&a, "filters", "right", "right.so"), *two = bed_put (&b, "", "right", "right.so");
  const char *const directories[] = {a.root, b.root, NULL};
  g_autoptr (VjRegistry) registry = vj_registry_new (directories, NULL, NULL);
  g_assert_null (vj_registry_find (registry, VJ_ROLE_FILTER, "right", &error));
  g_assert_cmpint (vj_error_exit (error), ==, VJ_EXIT_PLUGIN);
  g_assert_nonnull (strstr (error->message, one));
  g_assert_nonnull (strstr (error->message, two));
  bed_done (&a);
  bed_done (&b);
}

static void
test_a_directory_twice_is_one (void)
{
  Bed bed = bed_new ();
  g_autofree char *file = bed_put (&bed, "filters", "right", "right.so"), *again = g_strconcat (bed.root, "/.", NULL);
  const char *const directories[] = {bed.root, again, NULL};
  g_autoptr (VjRegistry) registry = vj_registry_new (directories, NULL, NULL);
  g_assert_nonnull (vj_registry_find (registry, VJ_ROLE_FILTER, "right", NULL));
  bed_done (&bed);
}

static void
test_listing_loads_nothing (void)
{
  Bed bed = bed_new ();
  g_autofree char *file = bed_put (&bed, "filters", "right", "right.so"), *text = bed_put (&bed, "filters", "right", "text.so");
  g_assert_true (g_file_set_contents (text, "no plugin", -1, NULL));
  g_autoptr (VjRegistry) registry = bed_registry (&bed);
  g_auto (GStrv) names = vj_registry_names (registry, VJ_ROLE_FILTER);
  g_assert_cmpuint (g_strv_length (names), ==, 2);
  g_assert_cmpstr (names[0], ==, "right");
  g_assert_cmpstr (names[1], ==, "text");
  bed_done (&bed);
}

static void
test_a_plugin_in_the_directory_itself_is_found (void)
{
  Bed bed = bed_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *file = bed_put (&bed, "", "right", "right.so");
  g_autoptr (VjRegistry) registry = bed_registry (&bed);
  const VjPlugin *plugin = vj_registry_find (registry, VJ_ROLE_FILTER, "right", &error);
  g_assert_no_error (error);
  g_autoptr (VjInstance) instance = vj_instance_new (plugin, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (*(int64_t *) vj_instance_self (instance), ==, 1);
  g_assert_null (vj_registry_find (registry, VJ_ROLE_JUDGE, "right", &error));
  g_assert_nonnull (strstr (error->message, "'right' is a filter, not a judge"));
  bed_done (&bed);
}

static void
test_overrides_win_over_presets (void)
{
  Bed bed = bed_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *file = bed_put (&bed, "filters", "right", "right.so");
  const VjPlugin *plugin = vj_loader_load (file, VJ_ROLE_FILTER, &error);
  const char *const fit[] = {"number", "5", NULL}, *const unfit[] = {"number", "50", NULL}, *const unknown[] = {"nmber", "5", NULL};
  g_autoptr (VjInstance) instance = vj_instance_new (plugin, NULL, fit, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (*(int64_t *) vj_instance_self (instance), ==, 5);
  g_assert_null (vj_instance_new (plugin, NULL, unfit, NULL, &error));
  g_clear_error (&error);
  g_assert_null (vj_instance_new (plugin, NULL, unknown, NULL, &error));
  bed_done (&bed);
}

static void
test_an_absent_directory_is_told (void)
{
  g_autoptr (GError) error = NULL;
  const char *const directories[] = {"/nonexistent/vj", NULL};
  g_assert_null (vj_registry_new (directories, NULL, &error));
  g_assert_cmpint (vj_error_exit (error), ==, VJ_EXIT_PLUGIN);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/loader/unfit-files-are-refused-each-in-its-words", test_unfit_files_are_refused_each_in_its_words);
  g_test_add_func ("/loader/unfit-places-are-refused", test_unfit_places_are_refused);
  g_test_add_func ("/loader/a-link-that-leads-nowhere-cannot-be-opened", test_a_link_that_leads_nowhere_cannot_be_opened);
  g_test_add_func ("/loader/foreign-files-are-refused", test_foreign_files_are_refused);
  g_test_add_func ("/loader/files-of-a-group", test_files_of_a_group);
  g_test_add_func ("/loader/longer-structs-are-fine", test_longer_structs_are_fine);
  g_test_add_func ("/registry/a-name-in-two-directories-is-refused", test_a_name_in_two_directories_is_refused);
  g_test_add_func ("/registry/a-directory-twice-is-one", test_a_directory_twice_is_one);
  g_test_add_func ("/registry/listing-loads-nothing", test_listing_loads_nothing);
  g_test_add_func ("/registry/a-plugin-in-the-directory-itself-is-found", test_a_plugin_in_the_directory_itself_is_found);
  g_test_add_func ("/registry/an-absent-directory-is-told", test_an_absent_directory_is_told);
  g_test_add_func ("/instance/overrides-win-over-presets", test_overrides_win_over_presets);
  return g_test_run ();
}
