/* vjrun export: a run's results as files for other tools. */
#include "cli/rundir.h"

#include <string.h>
#include "store/export.h"

static char *
layout_names (void)
{
  GString *names = g_string_new (NULL);
  for (guint i = 0; i < VJ_N_EXPORTS; i++)
    g_string_append_printf (names, "%s%s", i > 0 ? ", " : "", vj_export_name (i));
  return g_string_free (names, FALSE);
}

static gboolean
export_to (VjStore *store, VjExport layout, int iteration, const char *out, GError **error)
{
  VjExportCounts counts = {0};
  g_autofree char *standard = g_strdup_printf ("%s/export-%s", vj_store_dir (store), vj_export_name (layout));
  const char *dir = out != NULL ? out : standard;

  if (!vj_export (store, layout, iteration, dir, &counts, error))
    return FALSE;
  g_print ("%s: %" G_GINT64_FORMAT " traces, %" G_GINT64_FORMAT " pairs, %" G_GINT64_FORMAT " images", dir, counts.traces,
           counts.pairs, counts.images);
  if (counts.quarantined > 0)
    g_print (", %" G_GINT64_FORMAT " quarantined", counts.quarantined);
  g_print ("%s\n", counts.ablation ? "; an ABLATION, as its " VJ_EXPORT_ABLATION " says" : "");
  return TRUE;
}

int
vj_cli_export (VjCli *cli, int argc, char **argv)
{
  g_autofree char *format = NULL, *out = NULL, *names = layout_names ();
  g_autofree char *about = g_strdup_printf ("How the files are laid out: %s (default jsonl)", names);
  int iteration = G_MININT, code = VJ_EXIT_DONE;
  GError *error = NULL;
  VjExport layout = VJ_EXPORT_JSONL;
  const GOptionEntry entries[] = {
    {"format", 'f', 0, G_OPTION_ARG_STRING, &format, about, "LAYOUT"},
    {"out", 'o', 0, G_OPTION_ARG_FILENAME, &out, "Directory to write (default export-LAYOUT in the run directory)", "DIR"},
    {"iteration", 0, 0, G_OPTION_ARG_INT, &iteration, "Only this iteration's records", "N"},
    G_OPTION_ENTRY_NULL,
  };

  if (!vj_cli_options (cli, entries, "[RUNDIR|RECIPE]", "Writes a run's traces and pairs as files for other tools.", &argc, &argv,
                       &code))
    return code;
  if (argc > 2)
    return vj_cli_usage (cli, "export", "one run at a time");
  if (format != NULL && !vj_export_from_name (format, &layout))
    return vj_cli_usage (cli, "export", "--format '%s': expected one of %s", format, names);
  if (iteration != G_MININT && iteration < 1)
    return vj_cli_usage (cli, "export", "--iteration %d: iterations are counted from 1; leave it out for all", iteration);
  g_autoptr (VjRegistry) registry = vj_cli_registry (cli, &error);
  g_autoptr (VjStore) store = registry != NULL ? vj_cli_open_run (cli, registry, argc > 1 ? argv[1] : NULL, NULL, &error) : NULL;
  if (store == NULL || !export_to (store, layout, iteration > 0 ? iteration : VJ_ANY, out, &error))
    return vj_cli_fail (cli, error);
  return VJ_EXIT_DONE;
}
