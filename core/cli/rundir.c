/* Which run a command means. */
#include "cli/rundir.h"

#include <string.h>

static gboolean
holds_ledger (const char *dir)
{
  g_autofree char *file = g_build_filename (dir, "ledger.sqlite", NULL);
  return g_file_test (file, G_FILE_TEST_EXISTS);
}

/* The only run below runs/; NULL when there is none or more than one. Owned. */
static char *
only_run (GError **error)
{
  g_autoptr (GDir) runs = g_dir_open ("runs", 0, NULL);
  g_autofree char *found = NULL;
  const char *name;
  guint n = 0;

  while (runs != NULL && (name = g_dir_read_name (runs)) != NULL) {
    g_autofree char *dir = g_build_filename ("runs", name, NULL);
    if (!holds_ledger (dir) || n++ > 0)
      continue;
    found = g_steal_pointer (&dir);
  }
  if (n == 1)
    return g_steal_pointer (&found);
  vj_fail (error, VJ_EXIT_USAGE, "%s; name a run directory or a recipe",
           n == 0 ? "there is no run below runs/" : "there are several runs below runs/");
  return NULL;
}

VjStore *
vj_cli_open_run (VjCli *cli, VjRegistry *registry, const char *what, VjRecipe **ret_recipe, GError **error)
{
  g_autofree char *dir = NULL;
  g_autoptr (VjRecipe) recipe = NULL;

  if (what == NULL)
    dir = only_run (error);
  else if (g_file_test (what, G_FILE_TEST_IS_DIR))
    dir = g_strdup (what);
  else if (!g_file_test (what, G_FILE_TEST_EXISTS))
    vj_fail (error, VJ_EXIT_USAGE, "'%s': there is neither a run directory nor a recipe of this name; name one of them (a run "
             "lives in runs/NAME unless --run-dir said otherwise)", what);
  else if ((recipe = vj_cli_recipe (cli, registry, what, error)) != NULL)
    dir = g_build_filename ("runs", recipe->name, NULL);
  if (dir == NULL)
    return NULL;
  VjStore *store = vj_store_open (dir, VJ_STORE_READ, error);
  if (store != NULL && ret_recipe != NULL)
    *ret_recipe = g_steal_pointer (&recipe);
  return store;
}
