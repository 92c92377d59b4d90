/* The JSON Schema (2020-12) of recipes, for editors: made from the option tables. */
#ifndef VJ_RECIPE_SCHEMA_H
#define VJ_RECIPE_SCHEMA_H

#include "recipe/recipe.h"

/* Of the given plugins; indented JSON that ends with a newline. Owned. */
VJ_API char *vj_recipe_schema (const VjPlugin *const *plugins, gsize n_plugins);

#endif
