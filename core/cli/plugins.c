/* vjrun plugins: what there is. */
#include "cli/cli.h"

#include <string.h>

/* One role's rows. The code is VJ_EXIT_PLUGIN when one was refused. */
static int
print_role (VjCli *cli, VjRegistry *registry, VjRole role)
{
  int code = VJ_EXIT_DONE;
  g_auto (GStrv) names = vj_registry_names (registry, role);
  for (guint i = 0; names[i] != NULL; i++) {
    GError *error = NULL;
    const VjPlugin *plugin = vj_registry_find (registry, role, names[i], &error);
    if (plugin == NULL)
      code = vj_cli_fail (cli, error);
    else
      g_print ("%-10s %-16s %-6s %s\n", vj_role_name (role), names[i], plugin->version, plugin->summary);
  }
  return code;
}

int
vj_cli_plugins (VjCli *cli, int argc, char **argv)
{
  int code = VJ_EXIT_DONE;
  GError *error = NULL;
  if (!vj_cli_options (cli, NULL, "", "Lists the plugins that are found, by role; says what is wrong with those refused.", &argc, &argv,
                       &code))
    return code;
  if (argc != 1)
    return vj_cli_usage (cli, "plugins", "'%s': plugins takes no argument", argv[1]);
  g_autoptr (VjRegistry) registry = vj_cli_registry (cli, &error);
  if (registry == NULL)
    return vj_cli_fail (cli, error);
  for (guint role = 0; role < VJ_N_ROLES; role++) {
    int this = print_role (cli, registry, (VjRole) role);
    code = this != VJ_EXIT_DONE ? this : code;
  }
  g_autoptr (GPtrArray) faults = vj_registry_faults (registry);
  for (guint i = 0; i < faults->len; i++)
    code = vj_cli_fail (cli, g_error_copy (faults->pdata[i]));
  return code;
}
