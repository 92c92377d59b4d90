/* vjrun: picks the subcommand. Each lives in a file of its own. */
#include "base/nearest.h"
#include "cli/cli.h"
#include "config.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

/* vjrun RECIPE is vjrun run RECIPE. */
static const VjCommand commands[] = {
  {"run", "RECIPE", "Runs a recipe, or goes on where it was left.", vj_cli_run},
  {"check", "RECIPE", "Checks a recipe and prints the plan, without work.", vj_cli_check},
  {"status", "[RUN]", "Says how far a run is and what came of it.", vj_cli_status},
  {"explain", "ID [RUN]", "Tells one record's whole life.", vj_cli_explain},
  {"export", "[RUN]", "Writes a run's traces and pairs for other tools.", vj_cli_export},
  {"judge", "MODELDIR", "Judges two answers to one question.", vj_cli_judge},
  {"plugins", "", "Lists the plugins.", vj_cli_plugins},
  {"describe", "PLUGIN", "Says what a plugin does and which options it has.", vj_cli_describe},
};

static const VjCommand *
find_command (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    if (strcmp (commands[i].name, name) == 0)
      return &commands[i];
  return NULL;
}

static void
print_help (void)
{
  g_print ("vjrun trains a vision-language judge without human labels.\n\n"
           "Usage: vjrun RECIPE                the same as vjrun run RECIPE\n"
           "       vjrun COMMAND [ARGUMENTS]\n\nCommands:\n");
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    g_print ("  %-9s %-10s %s\n", commands[i].name, commands[i].arguments, commands[i].summary);
  g_print ("\nvjrun COMMAND --help tells more. Exit codes:\n");
#define PRINT_EXIT(name, code, meaning) g_print ("  %3d  %s\n", code, meaning);
  VJ_EXIT_TABLE (PRINT_EXIT)
#undef PRINT_EXIT
}

static int
unknown_command (VjCli *cli, const char *word)
{
  const char *names[G_N_ELEMENTS (commands) + 1] = {0};
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    names[i] = commands[i].name;
  g_autofree char *hint = vj_nearest_hint (word, names);
  return vj_cli_usage (cli, NULL, "'%s' is neither a command nor a recipe file%s", word, hint);
}

static int
dispatch (VjCli *cli, int argc, char **argv)
{
  if (argc < 2)
    return vj_cli_usage (cli, NULL, "a recipe or a command is missing");
  if (strcmp (argv[1], "--help") == 0 || strcmp (argv[1], "-h") == 0 || strcmp (argv[1], "help") == 0) {
    print_help ();
    return VJ_EXIT_DONE;
  }
  if (strcmp (argv[1], "--version") == 0) {
    g_print ("vjrun %s (plugin ABI %d.%d)\n", PACKAGE_VERSION, VJ_ABI_MAJOR, VJ_ABI_MINOR);
    return VJ_EXIT_DONE;
  }
  const VjCommand *command = find_command (argv[1]);
  if (command != NULL)
    return command->main (cli, argc - 1, argv + 1);
  const VjCommand *run = find_command ("run");
  gboolean is_recipe = g_str_has_suffix (argv[1], ".yaml") || g_str_has_suffix (argv[1], ".yml") || strchr (argv[1], '/') != NULL
                       || argv[1][0] == '-' || g_file_test (argv[1], G_FILE_TEST_EXISTS);
  if (run == NULL || !is_recipe)
    return unknown_command (cli, argv[1]);
  argv[0] = (char *) "run"; /* the recipe stays at 1 */
  return run->main (cli, argc, argv);
}

/* Results that did not arrive are a failure: GLib prints without looking. An error before this one has its own code. */
static int
finish_output (VjCli *cli, int code)
{
  errno = 0;
  gboolean lost = ferror (stdout) != 0;
  lost = fflush (stdout) != 0 || lost;
  if (!lost || (code != VJ_EXIT_DONE && code != VJ_EXIT_PARTIAL))
    return code;
  GError *error = NULL;
  vj_fail (&error, VJ_EXIT_STORE, "standard output: the results could not be written%s%s; free some space or send them "
           "elsewhere, then give the same command again", errno != 0 ? ": " : "", errno != 0 ? g_strerror (errno) : "");
  return vj_cli_fail (cli, error);
}

int
main (int argc, char **argv)
{
  setlocale (LC_CTYPE, "C.UTF-8"); /* what is read and written is UTF-8 everywhere; GLib would ask the locale */
  vj_cli_catch_crashes ();
  VjCli cli = {.log = vj_log_new (VJ_LOG_HUMAN, VJ_LOG_INFO, NULL, NULL)};
  int code = finish_output (&cli, dispatch (&cli, argc, argv));
  vj_log_free (cli.log);
  g_strfreev (cli.plugin_paths);
  g_strfreev (cli.sets);
  g_free (cli.deploy);
  return code;
}
