/* vjrun run: runs a recipe, or goes on with it. */
#include "cli/cli.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>
#include "cli/progress.h"
#include "pipeline/run.h"
#include "report/summary.h"
#include "store/checkpoint.h"
#include "store/export.h"

/* Written by the signal handler alone; a handler has nothing else to reach. */
static volatile gint stop_signal = 0;

static void
on_signal (int number)
{
  static const char text[] = "\nstopping: what is answered is kept; again to stop at once\n";
  g_atomic_int_set (&stop_signal, number);
  ssize_t written = write (STDERR_FILENO, text, sizeof text - 1);
  (void) written;
}

static void
catch_signals (void)
{
  /* The second signal finds the default action: the ledger survives that as well. */
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND};
  sigemptyset (&action.sa_mask);
  sigaction (SIGINT, &action, NULL);
  sigaction (SIGTERM, &action, NULL);
}

/* The command that goes on, as it was typed. */
static char *
command_line (int argc, char **argv)
{
  GString *line = g_string_new ("vjrun");
  for (int i = 0; i < argc; i++) {
    gboolean plain = argv[i][0] != '\0' && strspn (argv[i], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                                            "-_./=:,+@%") == strlen (argv[i]);
    g_autofree char *quoted = plain ? g_strdup (argv[i]) : g_shell_quote (argv[i]);
    g_string_append_printf (line, " %s", quoted);
  }
  return g_string_free (line, FALSE);
}

static void
print_places (const VjRecipe *recipe, VjStore *store, const VjRunResult *result)
{
  const char *dir = vj_store_dir (store);
  g_print ("\nrun      %s\n", dir);
  if (result->model != NULL)
    g_print ("model    %s\n", result->model);
  if (recipe->iterates)
    g_print ("export   %s/export  (vjrun export writes other layouts)\n", dir);
  if (result->failed > 0)
    g_print ("%" G_GINT64_FORMAT " records failed: quarantined by their source, or without an answer; %s lists them\n",
             result->failed, recipe->iterates ? "export/quarantine.jsonl" : "the quarantine.jsonl of `vjrun export`");
}

/* A run killed between its last stage and its export has the export still to make, also where there is one of before. */
static gboolean
export_run (VjStore *store, const char *out, GError **error)
{
  g_autofree char *exported = NULL;
  if (!vj_store_meta_get (store, VJ_RUN_EXPORTED, &exported, error))
    return FALSE;
  if (exported != NULL && vj_checkpoint_validate (out, FALSE, NULL))
    return TRUE;
  return vj_export (store, VJ_EXPORT_JSONL, VJ_ANY, out, NULL, error) && vj_store_meta_set (store, VJ_RUN_EXPORTED, "yes", error);
}

/* After the work: the export that every run ends with, and the summary on stdout. */
static gboolean
finish (VjCli *cli, const VjRecipe *recipe, VjStore *store, const VjRunResult *result, GError **error)
{
  g_autofree char *out = g_build_filename (vj_store_dir (store), "export", NULL);
  gboolean json = vj_log_format (cli->log) == VJ_LOG_JSON;

  if (recipe->iterates && !export_run (store, out, error))
    return FALSE;
  g_autofree char *summary = json ? vj_summary_json (store, error) : vj_summary_text (store, error);
  if (summary == NULL)
    return FALSE;
  g_print (json ? "%s\n" : "%s", summary);
  if (!json)
    print_places (recipe, store, result);
  return TRUE;
}

static gboolean
work (VjCli *cli, const VjRecipe *recipe, const char *dir, VjRunResult *ret_result, GError **error)
{
  g_autoptr (VjStore) store = vj_store_open (dir, VJ_STORE_WRITE, error);
  if (store == NULL)
    return FALSE;
  VjRenderer *renderer = vj_renderer_new (cli->log);
  VjLog *log = vj_renderer_log (renderer);
  VjRunConfig config = {.recipe = recipe, .store = store, .log = log ? log : cli->log, .stop = (const gint *) &stop_signal,
                        .progress = vj_renderer_progress (renderer)};
  vj_log_write (config.log, VJ_LOG_INFO, NULL, "%s: running in %s", recipe->name, vj_store_dir (store));
  gboolean good = vj_pipeline_run (&config, ret_result, error);
  vj_renderer_free (renderer);
  if (good && ret_result->done_before + ret_result->not_run == ret_result->stages)
    vj_log_write (cli->log, VJ_LOG_INFO, NULL, "%s: all %u stages were done before; nothing to do", recipe->name,
                  ret_result->done_before);
  return good && finish (cli, recipe, store, ret_result, error);
}

int
vj_cli_run (VjCli *cli, int argc, char **argv)
{
  g_autofree char *again = command_line (argc, argv), *run_dir = NULL;
  g_auto (VjRunResult) result = {0};
  GError *error = NULL;
  int code = VJ_EXIT_DONE;
  const GOptionEntry entries[] = {
    {"run-dir", 0, 0, G_OPTION_ARG_FILENAME, &run_dir, "Where the run lives (default runs/NAME)", "DIR"},
    G_OPTION_ENTRY_NULL,
  };

  if (!vj_cli_options (cli, entries, "RECIPE", "Runs a recipe; the same command again goes on where it was left.", &argc, &argv,
                       &code))
    return code;
  if (argc != 2)
    return vj_cli_usage (cli, "run", argc < 2 ? "a recipe is missing" : "one recipe at a time");
  catch_signals ();
  g_autoptr (VjRegistry) registry = vj_cli_registry (cli, &error);
  g_autoptr (VjRecipe) recipe = registry != NULL ? vj_cli_recipe (cli, registry, argv[1], &error) : NULL;
  if (recipe == NULL)
    return vj_cli_fail (cli, error);
  if (run_dir == NULL)
    run_dir = g_build_filename ("runs", recipe->name, NULL);
  if (work (cli, recipe, run_dir, &result, &error))
    return result.failed > 0 ? VJ_EXIT_PARTIAL : VJ_EXIT_DONE;
  code = vj_cli_fail (cli, error);
  if (code == VJ_EXIT_INTERRUPTED || code == VJ_EXIT_TERMINATED)
    vj_log_write (cli->log, VJ_LOG_WARNING, NULL, "to go on: %s", again); /* also with -q */
  return code;
}
