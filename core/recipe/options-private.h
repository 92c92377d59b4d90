/* One option's value. */
#ifndef VJ_RECIPE_OPTIONS_PRIVATE_H
#define VJ_RECIPE_OPTIONS_PRIVATE_H

#include "recipe/options.h"

/* Put a value into the member; the result is NULL, or the fault in words that follow the place. Owned. */
char *vj_option_set_text (const VjOption *option, void *instance, const char *text, const char *directory);
char *vj_option_set_node (const VjOption *option, void *instance, const VjNode *node);

#endif
