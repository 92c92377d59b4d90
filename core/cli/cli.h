/* Subcommands of vjrun: one file each. Only this floor prints and ends the process. */
#ifndef VJ_CLI_CLI_H
#define VJ_CLI_CLI_H

#include "base/log.h"
#include "plugin/registry.h"

/* What every subcommand shares. */
typedef struct {
  VjLog *log;
  char **plugin_paths; /* --plugin-path, in order; NULL: none */
  char *deploy;        /* --deploy                            */
  char **sets;         /* --set, in order; NULL: none         */
} VjCli;

/* argv[0] is the subcommand's name. Messages go to cli->log, results to stdout; the return value ends the process. */
typedef int (*VjCommandMain) (VjCli *cli, int argc, char **argv);

typedef struct {
  const char *name, *arguments, *summary;
  VjCommandMain main;
} VjCommand;

int vj_cli_check (VjCli *cli, int argc, char **argv);
int vj_cli_plugins (VjCli *cli, int argc, char **argv);
int vj_cli_describe (VjCli *cli, int argc, char **argv);
int vj_cli_run (VjCli *cli, int argc, char **argv);
int vj_cli_status (VjCli *cli, int argc, char **argv);
int vj_cli_explain (VjCli *cli, int argc, char **argv);
int vj_cli_export (VjCli *cli, int argc, char **argv);
int vj_cli_judge (VjCli *cli, int argc, char **argv);

/* Parses the options of a subcommand: `entries` (may be NULL) and the shared ones (--plugin-path, --deploy, --set, --log).
 * *argv then holds the arguments that are left, argv[0] first. FALSE: the command is over with *ret_exit
 * (--help was printed, or the error was reported). `arguments` is shown in the usage line. */
gboolean vj_cli_options (VjCli *cli, const GOptionEntry *entries, const char *arguments, const char *summary, int *argc,
                         char ***argv, int *ret_exit);

/* The registry of the default directory and of --plugin-path. */
VjRegistry *vj_cli_registry (VjCli *cli, GError **error);
/* The recipe with --deploy and --set applied. */
VjRecipe *vj_cli_recipe (VjCli *cli, VjRegistry *registry, const char *file, GError **error);

/* From now on a fatal signal, or a plugin that calls exit(), is told with the plugin's name. */
void vj_cli_catch_crashes (void);

/* Reports the error and gives its exit code; frees the error. */
int vj_cli_fail (VjCli *cli, GError *error);
/* A wrong command line: reports it with a pointer to --help, gives VJ_EXIT_USAGE. */
int vj_cli_usage (VjCli *cli, const char *command, const char *format, ...) G_GNUC_PRINTF (3, 4);

#endif
