/* target_modules: see adapter-targets.h. The file is not trusted: an expression is short, and its search has an end. */
#include "engine/mllama/adapter-targets.h"

#include <string.h>

#define PATTERN_MAX 4096
#define LIMIT_OF_SEARCH "(*LIMIT_MATCH=200000)" /* steps; what takes more does not match */

struct VjAdapterTargets {
  char **names;  /* NULL: no list */
  GRegex *regex; /* NULL: none    */
  gboolean complete;
};

static gboolean
read_list (VjAdapterTargets *targets, const char *file, const json_t *list, GError **error)
{
  gsize n = json_array_size (list);
  targets->names = g_new0 (char *, n + 1);
  for (gsize i = 0; i < n; i++) {
    const json_t *name = json_array_get (list, i);
    if (!json_is_string (name))
      return vj_fail (error, VJ_EXIT_DATA, "%s: 'target_modules': an item is no text; fetch or make the adapter again", file);
    targets->names[i] = g_strdup (json_string_value (name));
  }
  return TRUE;
}

/* Python's expressions are close enough to Perl's for names of modules; where they are not, that is told. */
static gboolean
read_pattern (VjAdapterTargets *targets, const char *file, const char *pattern, GError **error)
{
  g_autoptr (GError) cause = NULL;
  g_autofree char *whole = g_strconcat (LIMIT_OF_SEARCH "\\A(?:", pattern, ")\\z", NULL);
  if (strlen (pattern) <= PATTERN_MAX)
    targets->regex = g_regex_new (whole, 0, 0, &cause);
  return targets->regex != NULL ||
         vj_fail (error, VJ_EXIT_DATA, "%s: 'target_modules': not a regular expression that can be read here: %s; list the names of the modules instead", file,
                  cause != NULL ? cause->message : "it is too long");
}

static gboolean
is_set (const json_t *config, const char *key)
{
  const json_t *value = json_object_get (config, key);
  if (json_is_array (value))
    return json_array_size (value) > 0;
  return value != NULL && !json_is_null (value) && !(json_is_string (value) && json_string_length (value) == 0);
}

VjAdapterTargets *
vj_adapter_targets_new (const char *file, const json_t *config, GError **error)
{
  const json_t *value = json_object_get (config, "target_modules");
  g_autoptr (VjAdapterTargets) targets = g_new0 (VjAdapterTargets, 1);
  gboolean all = value == NULL || json_is_null (value) || (json_is_string (value) && g_ascii_strcasecmp (json_string_value (value), "all-linear") == 0);
  if (!all && json_is_array (value) && !read_list (targets, file, value, error))
    return NULL;
  if (!all && json_is_string (value) && !read_pattern (targets, file, json_string_value (value), error))
    return NULL;
  if (!all && targets->names == NULL && targets->regex == NULL) {
    vj_fail (error, VJ_EXIT_DATA, "%s: 'target_modules': neither a list of names nor a regular expression; fetch or make the adapter again", file);
    return NULL;
  }
  targets->complete = !all && !is_set (config, "exclude_modules") && !is_set (config, "layers_to_transform");
  return g_steal_pointer (&targets);
}

void
vj_adapter_targets_free (VjAdapterTargets *targets)
{
  if (targets == NULL)
    return;
  g_strfreev (targets->names);
  g_clear_pointer (&targets->regex, g_regex_unref);
  g_free (targets);
}

gboolean
vj_adapter_targets_have (const VjAdapterTargets *targets, const char *module)
{
  gsize length = strlen (module);
  if (targets->regex != NULL)
    return g_regex_match (targets->regex, module, 0, NULL);
  for (char **name = targets->names; name != NULL && *name != NULL; name++) {
    gsize n = strlen (*name);
    if (strcmp (module, *name) == 0 || (length > n && module[length - n - 1] == '.' && strcmp (module + length - n, *name) == 0))
      return TRUE;
  }
  return targets->names == NULL;
}

gboolean
vj_adapter_targets_complete (const VjAdapterTargets *targets)
{
  return targets->complete;
}
