/* vjrun describe: a plugin's options, for people; and the files made from all option tables. */
#include "base/nearest.h"
#include "cli/cli.h"
#include "recipe/schema.h"

#include <string.h>

#define MADE "<!-- made by `make regenerate` from the option tables; do not edit -->\n"

/* -- one plugin on the terminal ------------------------------------------------ */

static const char *
preset_text (const VjOption *option)
{
  return option->preset != NULL ? option->preset : vj_option_required (option) ? "must be given" : "none";
}

static void
print_plugin (const VjPlugin *plugin)
{
  g_print ("%s (%s %s, %s)\n  %s\n", plugin->name, vj_role_name (plugin->role), plugin->version, plugin->license, plugin->summary);
  if (plugin->options == NULL || plugin->options->name == NULL)
    g_print ("\n  No options.\n");
  for (const VjOption *option = plugin->options; option != NULL && option->name != NULL; option++) {
    g_autofree char *range = vj_option_range (option);
    g_print ("\n  %s\n      %s\n      %s; default: %s\n", option->name, option->doc, range, preset_text (option));
  }
}

/* -- one plugin as a page ------------------------------------------------------ */

static char *
cell (const char *text)
{
  g_autoptr (GString) out = g_string_new (text);
  g_string_replace (out, "|", "\\|", 0);
  g_string_replace (out, "\n", " ", 0);
  return g_strdup (out->str);
}

static char *
page (const VjPlugin *plugin)
{
  GString *out = g_string_new (NULL);
  g_string_append_printf (out, MADE "# %s\n\n%s\n\n", plugin->name,
                          plugin->summary);
  g_string_append_printf (out, "Role: %s. Version: %s. License: %s.\n\n", vj_role_name (plugin->role), plugin->version, plugin->license);
  g_autofree char *host = g_strjoinv ("`, `", (char **) vj_recipe_host_keys (plugin->role));
  g_string_append_printf (out, "Keys every %s has: `%s`.\n\n", vj_role_name (plugin->role), host);
  if (plugin->options == NULL || plugin->options->name == NULL)
    g_string_append (out, "It has no options of its own.\n");
  else
    g_string_append (out, "| option | value | default | what it does |\n|---|---|---|---|\n");
  for (const VjOption *option = plugin->options; option != NULL && option->name != NULL; option++) {
    g_autofree char *range = vj_option_range (option), *values = cell (range), *doc = cell (option->doc);
    g_autofree char *preset = cell (preset_text (option));
    gboolean code = option->preset != NULL && *preset != '\0';
    g_string_append_printf (out, "| `%s` | %s | %s%s%s | %s |\n", option->name, values, code ? "`" : "", preset, code ? "`" : "", doc);
  }
  return g_string_free (out, FALSE);
}

/* -- all plugins --------------------------------------------------------------- */

/* Every plugin that loads, by role and name; NULL when one was refused. */
static GPtrArray *
all_plugins (VjRegistry *registry, GError **error)
{
  g_autoptr (GPtrArray) plugins = g_ptr_array_new ();
  for (guint role = 0; role < VJ_N_ROLES; role++) {
    g_auto (GStrv) names = vj_registry_names (registry, (VjRole) role);
    for (guint i = 0; names[i] != NULL; i++) {
      const VjPlugin *plugin = vj_registry_find (registry, (VjRole) role, names[i], error);
      if (plugin == NULL)
        return NULL;
      g_ptr_array_add (plugins, (gpointer) plugin);
    }
  }
  return g_steal_pointer (&plugins);
}

static gboolean
write_page (const char *folder, const char *base, const char *text, GError **error)
{
  g_autofree char *file = g_build_filename (folder, base, NULL);
  g_autoptr (GError) why = NULL;
  if (g_file_set_contents (file, text, -1, &why))
    return TRUE;
  return vj_fail (error, VJ_EXIT_STORE, "%s: cannot be written: %s; check the folder", file, why->message);
}

/* A page for each plugin, and README.md that lists them. */
static gboolean
write_pages (const GPtrArray *plugins, const char *folder, GError **error)
{
  g_autoptr (GString) list = g_string_new (MADE "# Plugins\n\n| role | name | what it does |\n|---|---|---|\n");
  for (guint i = 0; i < plugins->len; i++) {
    const VjPlugin *plugin = plugins->pdata[i];
    g_autofree char *base = g_strdup_printf ("%s-%s.md", vj_role_name (plugin->role), plugin->name);
    g_autofree char *text = page (plugin), *summary = cell (plugin->summary);
    g_string_append_printf (list, "| %s | [%s](%s) | %s |\n", vj_role_name (plugin->role), plugin->name, base, summary);
    if (!write_page (folder, base, text, error))
      return FALSE;
  }
  return write_page (folder, "README.md", list->str, error);
}

static int
describe_all (VjCli *cli, VjRegistry *registry, gboolean schema, const char *folder)
{
  GError *error = NULL;
  g_autoptr (GPtrArray) plugins = all_plugins (registry, &error);
  if (plugins == NULL)
    return vj_cli_fail (cli, error);
  if (schema) {
    g_autofree char *text = vj_recipe_schema ((const VjPlugin *const *) plugins->pdata, plugins->len);
    g_print ("%s", text);
  }
  if (folder != NULL && !write_pages (plugins, folder, &error))
    return vj_cli_fail (cli, error);
  return VJ_EXIT_DONE;
}

/* No role has the name; yet a file of that name may lie in a plugin directory itself and be unfit. */
static int
fail_unknown (VjCli *cli, VjRegistry *registry, const char *word, GPtrArray *all)
{
  g_autoptr (GError) error = NULL;
  if (vj_registry_find (registry, VJ_ROLE_SOURCE, word, &error) == NULL && vj_error_exit (error) == VJ_EXIT_PLUGIN)
    return vj_cli_fail (cli, g_steal_pointer (&error));
  g_ptr_array_add (all, NULL);
  const char *near = vj_nearest (word, (const char *const *) all->pdata);
  return vj_cli_usage (cli, "describe", "no plugin is called '%s'%s%s%s; vjrun plugins lists them", word, near != NULL ? "; did you mean '" : "",
                       near != NULL ? near : "", near != NULL ? "'?" : "");
}

/* "verdict", or "filter/verdict" where two roles have that name. */
static int
describe_one (VjCli *cli, VjRegistry *registry, const char *word, gboolean markdown)
{
  guint found = 0;
  const char *slash = strchr (word, '/');
  g_autoptr (GPtrArray) all = g_ptr_array_new_with_free_func (g_free);
  for (guint role = 0; role < VJ_N_ROLES; role++) {
    GError *error = NULL;
    if (slash != NULL && (strlen (vj_role_name ((VjRole) role)) != (gsize) (slash - word) || !g_str_has_prefix (word, vj_role_name ((VjRole) role))))
      continue;
    const char *name = slash != NULL ? slash + 1 : word;
    g_auto (GStrv) names = vj_registry_names (registry, (VjRole) role);
    for (guint i = 0; names[i] != NULL; i++)
      g_ptr_array_add (all, g_strdup (names[i]));
    if (!g_strv_contains ((const char *const *) names, name))
      continue;
    const VjPlugin *plugin = vj_registry_find (registry, (VjRole) role, name, &error);
    if (plugin == NULL)
      return vj_cli_fail (cli, error);
    g_autofree char *text = markdown ? page (plugin) : NULL;
    if (found++ > 0)
      g_print ("\n");
    if (markdown)
      g_print ("%s", text);
    else
      print_plugin (plugin);
  }
  return found > 0 ? VJ_EXIT_DONE : fail_unknown (cli, registry, word, all);
}

int
vj_cli_describe (VjCli *cli, int argc, char **argv)
{
  int code = VJ_EXIT_DONE;
  gboolean markdown = FALSE, schema = FALSE;
  g_autofree char *pages = NULL;
  GError *error = NULL;
  const GOptionEntry entries[] = {
    {"markdown", 0, 0, G_OPTION_ARG_NONE, &markdown, "As a Markdown page", NULL},
    {"schema", 0, 0, G_OPTION_ARG_NONE, &schema, "The JSON Schema of recipes, with every plugin's options", NULL},
    {"pages", 0, 0, G_OPTION_ARG_FILENAME, &pages, "Write every plugin's Markdown page into DIR", "DIR"},
    G_OPTION_ENTRY_NULL,
  };
  if (!vj_cli_options (cli, entries, "PLUGIN", "Says what a plugin does and which options it has.", &argc, &argv, &code))
    return code;
  gboolean all = schema || pages != NULL;
  if (argc != (all ? 1 : 2))
    return vj_cli_usage (cli, "describe", all ? "--schema and --pages take no plugin" : "expected the name of one plugin");
  g_autoptr (VjRegistry) registry = vj_cli_registry (cli, &error);
  if (registry == NULL)
    return vj_cli_fail (cli, error);
  return all ? describe_all (cli, registry, schema, pages) : describe_one (cli, registry, argv[1], markdown);
}
