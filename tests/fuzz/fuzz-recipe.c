/* Any bytes as a recipe: read whole and typed, or refused with a message that has a place; never more. */
#include "plugin/registry.h"
#include "replay.h"
#include "stub-plugins.h"

#include <string.h>

/* Any name is a plugin here, so that options are reached whatever the input calls them. */
static const VjPlugin *
find_any (gpointer self, VjRole role, const char *name, GError **error)
{
  (void) self;
  for (guint i = 0; builtin[i] != NULL; i++)
    if (builtin[i]->role == role && (name[0] != 'n' || strcmp (builtin[i]->name, name) == 0))
      return builtin[i];
  vj_fail (error, VJ_EXIT_RECIPE, "no %s plugin is called '%s'", vj_role_name (role), name);
  return NULL;
}

/* Bytes after the first NUL are an assignment of --set. */
int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  const guint8 *nul = size > 0 ? memchr (data, 0, size) : NULL;
  gsize length = nul != NULL ? (gsize) (nul - data) : size;
  g_autofree char *set = nul != NULL ? g_strndup ((const char *) nul + 1, size - length - 1) : NULL;
  const char *const sets[] = {set, NULL};
  const VjRecipeSource source = {.file = "fuzz.yaml", .sets = sets, .plugins = {.find = find_any}};
  g_autoptr (GError) error = NULL;
  g_autoptr (VjRecipe) recipe = vj_recipe_parse ((const char *) data, length, "/", &source, &error);
  if ((recipe == NULL) != (error != NULL))
    g_error ("a recipe and an error at once, or neither");
  if (error != NULL && (!g_utf8_validate (error->message, -1, NULL)
                        || !(g_str_has_prefix (error->message, "fuzz.yaml") || g_str_has_prefix (error->message, "--set"))))
    g_error ("a message without a place: %s", error->message);
  return 0;
}
