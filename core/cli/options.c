/* What all subcommands share: options, the registry, the recipe, how errors are told. */
#include "compute/compute.h"
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

typedef struct {
  char *log;
  gboolean quiet, verbose, help;
} Common;

static gboolean
apply_log (VjCli *cli, const Common *common, const char *command, int *ret_exit)
{
  VjLogFormat format = VJ_LOG_HUMAN;
  if (common->log != NULL && strcmp (common->log, "json") == 0)
    format = VJ_LOG_JSON;
  else if (common->log != NULL && strcmp (common->log, "human") != 0) {
    *ret_exit = vj_cli_usage (cli, command, "--log '%s': expected human or json", common->log);
    return FALSE;
  }
  vj_log_free (cli->log);
  cli->log = vj_log_new (format, common->verbose ? VJ_LOG_DEBUG : common->quiet ? VJ_LOG_WARNING : VJ_LOG_INFO, NULL, NULL);
  return TRUE;
}

/* A long option with its value in the next argument must not swallow the next option: GOption sees to it. */
static GOptionContext *
make_context (VjCli *cli, Common *common, const GOptionEntry *entries, const char *arguments, const char *summary)
{
  const GOptionEntry shared[] = {
    {"plugin-path", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &cli->plugin_paths, "Also take plugins from DIR (may be repeated)", "DIR"},
    {"deploy", 0, 0, G_OPTION_ARG_FILENAME, &cli->deploy, "Lay the models and compute sections of FILE over the recipe's", "FILE"},
    {"set", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &cli->sets, "Override one value of the recipe (may be repeated)", "KEY.KEY=VALUE"},
    {"log", 0, 0, G_OPTION_ARG_FILENAME, &common->log, "How messages are written: human or json", "FORMAT"},
    {"quiet", 'q', 0, G_OPTION_ARG_NONE, &common->quiet, "Only warnings and errors", NULL},
    {"verbose", 'v', 0, G_OPTION_ARG_NONE, &common->verbose, "Also details", NULL},
    {"help", 'h', 0, G_OPTION_ARG_NONE, &common->help, "Print this help", NULL},
    G_OPTION_ENTRY_NULL,
  };
  GOptionContext *context = g_option_context_new (arguments);
  g_option_context_set_help_enabled (context, FALSE);
  g_option_context_set_summary (context, summary);
  if (entries != NULL)
    g_option_context_add_main_entries (context, entries, NULL);
  g_option_context_add_main_entries (context, shared, NULL);
  return context;
}

gboolean
vj_cli_options (VjCli *cli, const GOptionEntry *entries, const char *arguments, const char *summary, int *argc, char ***argv,
                int *ret_exit)
{
  Common common = {0};
  g_autoptr (GError) error = NULL;
  g_autofree char *command = g_strdup ((*argv)[0]);
  g_autofree char *program = g_strconcat ("vjrun ", command, NULL);
  g_autoptr (GOptionContext) context = make_context (cli, &common, entries, arguments, summary);
  char *name = (*argv)[0];
  g_set_prgname (program);
  gboolean go_on = g_option_context_parse (context, argc, argv, &error);
  (*argv)[0] = name;
  if (!go_on)
    *ret_exit = vj_cli_usage (cli, command, "%s", error->message);
  else if (common.help) {
    g_autofree char *help = g_option_context_get_help (context, TRUE, NULL);
    g_print ("%s", help);
    *ret_exit = VJ_EXIT_DONE;
    go_on = FALSE;
  } else {
    go_on = apply_log (cli, &common, command, ret_exit);
  }
  g_free (common.log);
  return go_on;
}

/* The engine knows no plugins; it asks here. */
static const VjComputeOps *
find_compute (void *data, const char *name, GError **error)
{
  const VjPlugin *plugin = vj_registry_find (data, VJ_ROLE_COMPUTE, name, error);
  return plugin == NULL ? NULL : plugin->ops;
}

VjRegistry *
vj_cli_registry (VjCli *cli, GError **error)
{
  g_autofree char *standard = vj_registry_default_directory ();
  g_autoptr (GPtrArray) directories = g_ptr_array_new ();
  g_ptr_array_add (directories, standard);
  for (guint i = 0; cli->plugin_paths != NULL && cli->plugin_paths[i] != NULL; i++)
    g_ptr_array_add (directories, cli->plugin_paths[i]);
  g_ptr_array_add (directories, NULL);
  VjRegistry *registry = vj_registry_new ((const char *const *) directories->pdata, NULL, error);
  vj_compute_set_find (registry == NULL ? NULL : find_compute, registry);
  return registry;
}

VjRecipe *
vj_cli_recipe (VjCli *cli, VjRegistry *registry, const char *file, GError **error)
{
  const VjRecipeSource source = {.file = file,
                                 .deploy = cli->deploy,
                                 .sets = (const char *const *) cli->sets,
                                 .plugins = vj_registry_plugins (registry)};
  return vj_recipe_load (&source, error);
}

int
vj_cli_fail (VjCli *cli, GError *error)
{
  int code = (int) vj_error_exit (error);
  g_autofree char *exit_code = g_strdup_printf ("%d", code);
  const char *const names[] = {"exit", NULL}, *const values[] = {exit_code, NULL};
  vj_log_event (cli->log, VJ_LOG_ERROR, NULL, names, values, "%s", error->message);
  g_error_free (error);
  return code;
}

int
vj_cli_usage (VjCli *cli, const char *command, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  vj_log_write (cli->log, VJ_LOG_ERROR, NULL, "%s\ntry: vjrun%s%s --help", text, command != NULL ? " " : "",
                command != NULL ? command : "");
  return VJ_EXIT_USAGE;
}
