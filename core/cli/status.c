/* vjrun status: how far a run is, and what came of it. */
#include "cli/rundir.h"

#include "pipeline/run.h"
#include "report/summary.h"

static gboolean
print_stages (const VjRecipe *recipe, VjStore *store, GError **error)
{
  g_autoptr (GPtrArray) stages = NULL;
  guint done = 0, stopped = 0;

  if (!vj_pipeline_stages (recipe, store, &stages, error))
    return FALSE;
  for (guint i = 0; i < stages->len; i++)
    stopped += ((const VjRunStage *) stages->pdata[i])->stopped;
  for (guint i = 0; i < stages->len; i++)
    done += ((const VjRunStage *) stages->pdata[i])->done && !((const VjRunStage *) stages->pdata[i])->stopped;
  g_print ("%u of %u stages done\n", done, stages->len);
  if (stopped > 0)
    g_print ("  %u are not run: they lie behind the iteration at which the gate stopped\n", stopped);
  for (guint i = 0; i < stages->len; i++) {
    const VjRunStage *stage = stages->pdata[i];
    if (stage->stale && !stage->stopped)
      g_print ("  %s will run again: the recipe changed\n", stage->title);
  }
  g_print ("\n");
  return TRUE;
}

static gboolean
print_ledger (VjStore *store, GError **error)
{
  VjReplyCounts counts;
  gint64 failed;
  if (!vj_store_reply_counts (store, &counts, error) || !vj_store_quarantine_count (store, &failed, error))
    return FALSE;
  g_print ("\nledger   %" G_GINT64_FORMAT " replies, %" G_GINT64_FORMAT " asked and not answered, %" G_GINT64_FORMAT
           " asked again after an interruption; %" G_GINT64_FORMAT " prompt and %" G_GINT64_FORMAT " completion tokens\n",
           counts.answered, counts.claimed, counts.repeats, counts.prompt_tokens, counts.completion_tokens);
  if (failed > 0)
    g_print ("failed   %" G_GINT64_FORMAT " records; `vjrun export` lists them in quarantine.jsonl\n", failed);
  g_print ("run      %s\n", vj_store_dir (store));
  return TRUE;
}

int
vj_cli_status (VjCli *cli, int argc, char **argv)
{
  GError *error = NULL;
  int code = VJ_EXIT_DONE;

  if (!vj_cli_options (cli, NULL, "[RUNDIR|RECIPE]", "Says how far a run is and what came of it, also while it works.", &argc,
                       &argv, &code))
    return code;
  if (argc > 2)
    return vj_cli_usage (cli, "status", "one run at a time");
  g_autoptr (VjRegistry) registry = vj_cli_registry (cli, &error);
  g_autoptr (VjRecipe) recipe = NULL;
  g_autoptr (VjStore) store = registry != NULL ? vj_cli_open_run (cli, registry, argc > 1 ? argv[1] : NULL, &recipe, &error) : NULL;
  if (store == NULL)
    return vj_cli_fail (cli, error);
  gboolean json = vj_log_format (cli->log) == VJ_LOG_JSON;
  if (recipe != NULL && !json && !print_stages (recipe, store, &error))
    return vj_cli_fail (cli, error);
  g_autofree char *summary = json ? vj_summary_json (store, &error) : vj_summary_text (store, &error);
  if (summary == NULL)
    return vj_cli_fail (cli, error);
  g_print (json ? "%s\n" : "%s", summary);
  if (!json && !print_ledger (store, &error))
    return vj_cli_fail (cli, error);
  return VJ_EXIT_DONE;
}
