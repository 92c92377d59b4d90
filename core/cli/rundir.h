/* Which run a command means. */
#ifndef VJ_CLI_RUNDIR_H
#define VJ_CLI_RUNDIR_H

#include "cli/cli.h"
#include "store/store.h"

/* Opens a run for reading, also beside its writer. `what`: a run directory, or a recipe (then its runs/NAME); NULL: the
 * only run below runs/. *ret_recipe (may be NULL) is the recipe when one was named, else NULL; the registry must
 * outlive it. NULL on error. */
VjStore *vj_cli_open_run (VjCli *cli, VjRegistry *registry, const char *what, VjRecipe **ret_recipe, GError **error);

#endif
