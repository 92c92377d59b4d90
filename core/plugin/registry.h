/* The plugins a run can use. Directories hold one folder per role (`filters/verdict.so`); a directory given by
 * --plugin-path may also hold a .so itself. Nothing is loaded until it is asked for, and what was loaded stays
 * in the process: its code may be in use. Every check of a file has its own message (VJ_EXIT_PLUGIN). */
#ifndef VJ_PLUGIN_REGISTRY_H
#define VJ_PLUGIN_REGISTRY_H

#include "recipe/recipe.h"

typedef struct VjRegistry VjRegistry;

/* `directories`: NULL-terminated; relative ones are made absolute. `builtin`: NULL-terminated descriptors linked into
 * the program, checked like any other when asked for; NULL: none. A directory that does not exist, or that others
 * may write and so put anything into, is an error. */
VJ_API VjRegistry *vj_registry_new (const char *const *directories, const VjPlugin *const *builtin, GError **error);
VJ_API void vj_registry_free (VjRegistry *registry);

/* The plugin of that role and name. Unknown: VJ_EXIT_RECIPE with the nearest names. Refused, or found in two
 * directories: VJ_EXIT_PLUGIN. Borrowed for ever. */
VJ_API const VjPlugin *vj_registry_find (VjRegistry *registry, VjRole role, const char *name, GError **error);

/* Names of that role, sorted, NULL-terminated, by file name: those in role folders are not loaded. Owned (g_strfreev). */
VJ_API char **vj_registry_names (VjRegistry *registry, VjRole role);

/* What is wrong with the unfit files that lie in the directories themselves: with no role known, none of the lists above
 * has them. Of GError *, owned. */
VJ_API GPtrArray *vj_registry_faults (VjRegistry *registry);

/* File a plugin of this role and name would come from; NULL: builtin or unknown. Owned. */
VJ_API char *vj_registry_file (VjRegistry *registry, VjRole role, const char *name);

/* For VjRecipeSource. The registry must outlive the recipe's loading. */
VJ_API VjRecipePlugins vj_registry_plugins (VjRegistry *registry);

/* Where plugins are found when nothing is said: `plugins` beside the program while it is not installed, else the
 * configured directory. Owned. */
VJ_API char *vj_registry_default_directory (void);

/* The loader's checks, one file: absolute path, regular, in safe hands, ELF, symbol, descriptor. `role` is the folder's,
 * or VJ_N_ROLES when the file lies in no role folder. */
VJ_API const VjPlugin *vj_loader_load (const char *file, VjRole role, GError **error);
/* Whether only the trusted may write to the folder; the sticky bit does not help, for anyone may still add to it. */
VJ_API gboolean vj_loader_check_folder (const char *folder, GError **error);
/* The descriptor alone; `where` heads the message, `name` is what the file is called (NULL: builtin). */
VJ_API gboolean vj_loader_check (const VjPlugin *plugin, VjRole role, const char *name, const char *where, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjRegistry, vj_registry_free)

#endif
