/* Option tables: from a plugin's VjOption rows and a recipe entry to the members of its instance. */
#ifndef VJ_RECIPE_OPTIONS_H
#define VJ_RECIPE_OPTIONS_H

#include "recipe/node.h"
#include "vj/plugin.h"

/* Whether the table itself is sound: members inside the instance, sizes of their types, names and docs
 * present and unique, presets readable and in range, choices where needed. `where` heads the message
 * (VJ_EXIT_PLUGIN). `options` may be NULL. */
VJ_API gboolean vj_options_sound (const VjOption *options, gsize instance_size, const char *where, GError **error);

/* Fills a zeroed `instance` from presets and the map `entry` (NULL: presets only). Keys in `host` (NULL-terminated)
 * belong to the host and are passed over. `overrides` (may be NULL) is NULL-terminated pairs: name, value as spelled
 * in a recipe; they win, and an option the table lacks is an error. Every fault found is one line of the message
 * (VJ_EXIT_RECIPE). On failure nothing is left allocated in the instance. */
VJ_API gboolean vj_options_fill (const VjOption *options, const VjNode *entry, const char *const *host,
                                 const char *const *overrides, void *instance, GError **error);

/* Frees the strings and lists of an instance and sets them NULL. */
VJ_API void vj_options_clear (const VjOption *options, void *instance);

/* Words for people: "integer", "real", "yes or no", ... and the range: "1 to 9 units", "one of a, b". Owned. */
VJ_API const char *vj_option_type_name (VjOptionType type);
VJ_API char *vj_option_range (const VjOption *option);
VJ_API gboolean vj_option_required (const VjOption *option);

#endif
