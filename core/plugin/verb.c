/* The verb that runs, or the file that is being loaded. */
#include "plugin/verb.h"
#include "recipe/recipe.h"

/* Read by handlers of fatal signals, which have nothing else to reach. Nothing but their message depends on it. */
static const VjPlugin *running_plugin;
static const char *running_verb;
static const char *loading_file;

VjVerb
vj_verb_now (void)
{
  return (VjVerb){__atomic_load_n (&running_plugin, __ATOMIC_RELAXED), __atomic_load_n (&running_verb, __ATOMIC_RELAXED),
                  __atomic_load_n (&loading_file, __ATOMIC_RELAXED)};
}

void
vj_verb_end (VjVerb before)
{
  __atomic_store_n (&loading_file, before.file, __ATOMIC_RELAXED);
  __atomic_store_n (&running_verb, before.verb, __ATOMIC_RELAXED);
  __atomic_store_n (&running_plugin, before.plugin, __ATOMIC_RELAXED);
}

VjVerb
vj_verb_begin (const VjPlugin *plugin, const char *verb)
{
  VjVerb before = vj_verb_now ();
  vj_verb_end ((VjVerb){.plugin = plugin, .verb = verb});
  return before;
}

VjVerb
vj_verb_begin_load (const char *file)
{
  VjVerb before = vj_verb_now ();
  vj_verb_end ((VjVerb){.file = file});
  return before;
}

gboolean
vj_verb_good (const VjPlugin *plugin, const char *verb, gboolean good, GError **error)
{
  if (error == NULL || good == (*error == NULL))
    return good;
  if (good)
    return FALSE; /* the error tells more than the value */
  return vj_fail (error, VJ_EXIT_PLUGIN, "%s '%s': its verb '%s' failed and gave no reason: a fault of the plugin; tell its author",
                  vj_role_name (plugin->role), plugin->name, verb);
}

VjFlow
vj_verb_flow (const VjPlugin *plugin, const char *verb, VjFlow flow, guint allowed, GError **error)
{
  if (!vj_verb_good (plugin, verb, flow != VJ_FLOW_ERROR, error))
    return VJ_FLOW_ERROR;
  if (flow >= VJ_FLOW_OK && flow <= VJ_FLOW_END && (allowed & VJ_FLOW_BIT (flow)) != 0)
    return flow;
  vj_fail (error, VJ_EXIT_PLUGIN, "%s '%s': its verb '%s' gave back %d, which it must not: a fault of the plugin; tell its author",
           vj_role_name (plugin->role), plugin->name, verb, (int) flow);
  return VJ_FLOW_ERROR;
}
