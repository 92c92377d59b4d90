/* Visits every plugin that was built and holds it to the contract of vj/plugin.h. A plugin's own test need not. */
#include "plugin/instance.h"
#include "plugin/registry.h"

#include <string.h>

typedef struct {
  VjRegistry *registry;
  VjRole role;
  char *name;
} Visit;

static gboolean
needs_options (const VjPlugin *plugin)
{
  for (const VjOption *option = plugin->options; option != NULL && option->name != NULL; option++)
    if (vj_option_required (option))
      return TRUE;
  return FALSE;
}

static void
check_texts (const VjPlugin *plugin)
{
  g_assert_true (g_str_has_suffix (plugin->summary, "."));
  for (const VjOption *option = plugin->options; option != NULL && option->name != NULL; option++) {
    g_test_message ("option %s", option->name);
    g_assert_true (g_utf8_validate (option->doc, -1, NULL));
    g_assert_nonnull (option->unit);
    g_assert_true (g_ascii_isupper (option->doc[0]));
    g_assert_true (g_str_has_suffix (option->doc, ".") || g_str_has_suffix (option->doc, ")"));
  }
}

static void
test_contract (gconstpointer data)
{
  const Visit *visit = data;
  g_autoptr (GError) error = NULL;
  const VjPlugin *plugin = vj_registry_find (visit->registry, visit->role, visit->name, &error);
  g_assert_no_error (error);
  check_texts (plugin);

  if (plugin->stop != NULL) { /* takes an instance that was never filled */
    g_autofree void *zeroed = g_malloc0 (MAX (1, plugin->instance_size));
    plugin->stop (zeroed);
  }
  g_autoptr (VjRun) run = vj_run_new (1, NULL, NULL);
  VjInstance *first = vj_instance_new (plugin, NULL, NULL, run, &error);
  if (needs_options (plugin)) {
    g_assert_null (first);
    g_assert_error (error, VJ_ERROR, VJ_EXIT_RECIPE);
    return;
  }
  /* What needs data or a model may refuse to start without it, but says so. */
  if (first == NULL) {
    g_assert_nonnull (error);
    g_test_message ("does not start on defaults: %s", error->message);
    g_assert_cmpint (vj_error_exit (error), !=, VJ_EXIT_BUG);
    return;
  }
  /* No state is shared: two instances live beside each other, and either may go first. */
  VjInstance *second = vj_instance_new (plugin, NULL, NULL, run, &error);
  g_assert_no_error (error);
  g_assert_true (vj_instance_self (first) != vj_instance_self (second));
  vj_instance_free (first);
  vj_instance_free (second);
}

static void
visit_free (gpointer data)
{
  Visit *visit = data;
  g_free (visit->name);
  g_free (visit);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_autofree char *plugins = g_build_filename (g_getenv ("VJ_BUILDDIR"), "plugins", NULL);
  g_autofree char *test_plugins = g_build_filename (g_getenv ("VJ_BUILDDIR"), "tests", "plugins", NULL);
  const char *const directories[] = {plugins, test_plugins, NULL};
  g_autoptr (VjRegistry) registry = vj_registry_new (directories, NULL, NULL);
  g_assert_nonnull (registry);
  guint n = 0;
  for (guint role = 0; role < VJ_N_ROLES; role++) {
    g_auto (GStrv) names = vj_registry_names (registry, (VjRole) role);
    for (guint i = 0; names[i] != NULL; i++, n++) {
      Visit *visit = g_new0 (Visit, 1);
      *visit = (Visit) {.registry = registry, .role = (VjRole) role, .name = g_strdup (names[i])};
      g_autofree char *path = g_strdup_printf ("/contract/%s/%s", vj_role_name ((VjRole) role), names[i]);
      g_test_add_data_func_full (path, visit, test_contract, visit_free);
    }
  }
  g_assert_cmpuint (n, >, 0);
  return g_test_run ();
}
