/* Which plugins there are, and where each comes from. */
#include "plugin/registry.h"
#include "base/log.h"
#include "base/nearest.h"

#include <string.h>
#include <unistd.h>

struct VjRegistry {
  GPtrArray *directories;           /* of char *, absolute, each once        */
  const VjPlugin *const *builtin;   /* NULL-terminated; NULL: none           */
  GHashTable *loaded;               /* file -> const VjPlugin *              */
};

static gboolean
contains (const GPtrArray *texts, const char *text)
{
  for (guint i = 0; i < texts->len; i++)
    if (strcmp (texts->pdata[i], text) == 0)
      return TRUE;
  return FALSE;
}

VjRegistry *
vj_registry_new (const char *const *directories, const VjPlugin *const *builtin, GError **error)
{
  g_autoptr (VjRegistry) registry = g_new0 (VjRegistry, 1);
  registry->directories = g_ptr_array_new_with_free_func (g_free);
  registry->builtin = builtin;
  registry->loaded = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  for (guint i = 0; directories != NULL && directories[i] != NULL; i++) {
    g_autofree char *absolute = realpath (directories[i], NULL);
    if (absolute == NULL || !g_file_test (absolute, G_FILE_TEST_IS_DIR)) {
      vj_fail (error, VJ_EXIT_PLUGIN, "%s: is no directory to take plugins from; check --plugin-path", directories[i]);
      return NULL;
    }
    if (!vj_loader_check_folder (absolute, error))
      return NULL;
    if (!contains (registry->directories, absolute))
      g_ptr_array_add (registry->directories, g_steal_pointer (&absolute));
  }
  return g_steal_pointer (&registry);
}

void
vj_registry_free (VjRegistry *registry)
{
  if (registry == NULL)
    return;
  g_ptr_array_unref (registry->directories);
  g_hash_table_unref (registry->loaded);
  g_free (registry);
}

static const VjPlugin *
load (VjRegistry *registry, const char *file, VjRole role, GError **error)
{
  const VjPlugin *plugin = g_hash_table_lookup (registry->loaded, file);
  if (plugin == NULL) {
    plugin = vj_loader_load (file, role, error);
    if (plugin != NULL)
      g_hash_table_insert (registry->loaded, g_strdup (file), (gpointer) plugin);
  }
  return plugin;
}

/* Only such names become parts of paths. */
static gboolean
name_is_sound (const char *name)
{
  return g_ascii_islower (*name) && strlen (name) <= 64
         && strspn (name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen (name);
}

/* -- finding ------------------------------------------------------------------- */

/* Files of that name, each once: in the role's folders, then (role unknown until loaded) in the directories themselves. */
static GPtrArray *
candidates (const VjRegistry *registry, VjRole role, const char *name, guint *ret_n_in_folders)
{
  GPtrArray *files = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *base = g_strconcat (name, ".so", NULL);
  for (int direct = 0; direct < 2; direct++) {
    for (guint i = 0; i < registry->directories->len; i++) {
      const char *directory = registry->directories->pdata[i];
      g_autofree char *file = direct ? g_build_filename (directory, base, NULL)
                                     : g_build_filename (directory, vj_role_folder (role), base, NULL);
      /* A link that leads nowhere is there too: the loader says that it cannot be opened. */
      gboolean there = g_file_test (file, G_FILE_TEST_EXISTS) || g_file_test (file, G_FILE_TEST_IS_SYMLINK);
      if (there && !contains (files, file))
        g_ptr_array_add (files, g_steal_pointer (&file));
    }
    if (!direct)
      *ret_n_in_folders = files->len;
  }
  return files;
}

static const VjPlugin *
find_builtin (const VjRegistry *registry, VjRole role, const char *name)
{
  for (guint i = 0; registry->builtin != NULL && registry->builtin[i] != NULL; i++)
    if (registry->builtin[i]->role == role && g_strcmp0 (registry->builtin[i]->name, name) == 0)
      return registry->builtin[i];
  return NULL;
}

static void
fail_unknown (VjRegistry *registry, VjRole role, const char *name, GError **error)
{
  g_auto (GStrv) names = vj_registry_names (registry, role);
  g_autofree char *hint = vj_nearest_hint (name, (const char *const *) names);
  for (guint other = 0; other < VJ_N_ROLES; other++) {
    g_auto (GStrv) others = vj_registry_names (registry, (VjRole) other);
    if (other != role && g_strv_contains ((const char *const *) others, name)) {
      vj_fail (error, VJ_EXIT_RECIPE, "'%s' is a %s, not a %s%s", name, vj_role_name ((VjRole) other), vj_role_name (role), hint);
      return;
    }
  }
  g_autofree char *shown = vj_text_excerpt (name, 64);
  vj_fail (error, VJ_EXIT_RECIPE, "no %s plugin is called '%s'%s%s", vj_role_name (role), shown, hint,
           names[0] == NULL ? "; there is none of that role: check --plugin-path" : "");
}

const VjPlugin *
vj_registry_find (VjRegistry *registry, VjRole role, const char *name, GError **error)
{
  if (!name_is_sound (name)) {
    fail_unknown (registry, role, name, error);
    return NULL;
  }
  guint n_in_folders = 0;
  g_autoptr (GPtrArray) files = candidates (registry, role, name, &n_in_folders);
  const VjPlugin *found = find_builtin (registry, role, name);
  const char *from = "built in";
  if (found != NULL && !vj_loader_check (found, role, NULL, name, error))
    return NULL;
  for (guint i = 0; i < files->len; i++) {
    const char *file = files->pdata[i];
    const VjPlugin *plugin = load (registry, file, i < n_in_folders ? role : VJ_N_ROLES, error);
    if (plugin == NULL)
      return NULL;
    if (plugin->role != role)
      continue; /* lies in a --plugin-path directory itself and is something else */
    if (found != NULL) {
      vj_fail (error, VJ_EXIT_PLUGIN, "%s: the %s '%s' is there twice, also %s; remove one of them", file, vj_role_name (role), name, from);
      return NULL;
    }
    found = plugin;
    from = file;
  }
  if (found == NULL)
    fail_unknown (registry, role, name, error);
  return found;
}

char *
vj_registry_file (VjRegistry *registry, VjRole role, const char *name)
{
  guint n_in_folders = 0;
  if (!name_is_sound (name))
    return NULL;
  g_autoptr (GPtrArray) files = candidates (registry, role, name, &n_in_folders);
  return files->len > 0 ? g_strdup (files->pdata[0]) : NULL;
}

static const VjPlugin *
find_for_recipe (gpointer self, VjRole role, const char *name, GError **error)
{
  return vj_registry_find (self, role, name, error);
}

VjRecipePlugins
vj_registry_plugins (VjRegistry *registry)
{
  return (VjRecipePlugins) {.self = registry, .find = find_for_recipe};
}

/* -- listing ------------------------------------------------------------------- */

static void
add_name (GPtrArray *names, const char *name)
{
  if (!contains (names, name))
    g_ptr_array_add (names, g_strdup (name));
}

/* Names of the .so files of a folder; a folder that cannot be read holds none. */
static GPtrArray *
list_folder (const char *folder)
{
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  for (const char *base = dir != NULL ? g_dir_read_name (dir) : NULL; base != NULL; base = g_dir_read_name (dir)) {
    g_autofree char *name = g_str_has_suffix (base, ".so") ? g_strndup (base, strlen (base) - 3) : NULL;
    if (name != NULL && name_is_sound (name))
      g_ptr_array_add (names, g_steal_pointer (&name));
  }
  return names;
}

static void
add_direct (VjRegistry *registry, VjRole role, const char *directory, GPtrArray *names)
{
  g_autoptr (GPtrArray) here = list_folder (directory);
  for (guint i = 0; i < here->len; i++) {
    g_autofree char *base = g_strconcat (here->pdata[i], ".so", NULL);
    g_autofree char *file = g_build_filename (directory, base, NULL);
    const VjPlugin *plugin = load (registry, file, VJ_N_ROLES, NULL); /* vjrun plugins tells of a broken one */
    if (plugin != NULL && plugin->role == role)
      add_name (names, here->pdata[i]);
  }
}

GPtrArray *
vj_registry_faults (VjRegistry *registry)
{
  GPtrArray *faults = g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free);
  for (guint i = 0; i < registry->directories->len; i++) {
    const char *directory = registry->directories->pdata[i];
    g_autoptr (GPtrArray) here = list_folder (directory);
    for (guint j = 0; j < here->len; j++) {
      g_autofree char *base = g_strconcat (here->pdata[j], ".so", NULL);
      g_autofree char *file = g_build_filename (directory, base, NULL);
      GError *fault = NULL;
      if (load (registry, file, VJ_N_ROLES, &fault) == NULL)
        g_ptr_array_add (faults, fault);
    }
  }
  return faults;
}

static gint
by_text (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

char **
vj_registry_names (VjRegistry *registry, VjRole role)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  for (guint i = 0; registry->builtin != NULL && registry->builtin[i] != NULL; i++)
    if (registry->builtin[i]->role == role)
      add_name (names, registry->builtin[i]->name);
  for (guint i = 0; i < registry->directories->len; i++) {
    const char *directory = registry->directories->pdata[i];
    g_autofree char *folder = g_build_filename (directory, vj_role_folder (role), NULL);
    g_autoptr (GPtrArray) here = list_folder (folder);
    for (guint j = 0; j < here->len; j++)
      add_name (names, here->pdata[j]);
    add_direct (registry, role, directory, names);
  }
  g_ptr_array_sort (names, by_text);
  g_ptr_array_add (names, NULL);
  return (char **) g_ptr_array_steal (names, NULL);
}

char *
vj_registry_default_directory (void)
{
  g_autofree char *program = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *beside = program != NULL ? g_path_get_dirname (program) : g_strdup (".");
  g_autofree char *built = g_build_filename (beside, "plugins", NULL);
  if (g_file_test (built, G_FILE_TEST_IS_DIR))
    return g_steal_pointer (&built);
  /* an installation that was moved, or staged under DESTDIR */
  g_autofree char *moved = g_build_filename (beside, "..", "lib", "vjrun", "plugins", NULL);
  if (!g_file_test (VJ_PLUGINSDIR, G_FILE_TEST_IS_DIR) && g_file_test (moved, G_FILE_TEST_IS_DIR))
    return g_steal_pointer (&moved);
  return g_strdup (VJ_PLUGINSDIR);
}
