/* A plugin at work. */
#include "plugin/instance.h"

struct VjInstance {
  const VjPlugin *plugin;
  void *self; /* plugin->instance_size bytes */
};

VjInstance *
vj_instance_new (const VjPlugin *plugin, const VjNode *entry, const char *const *overrides, VjRun *run, GError **error)
{
  VjInstance *instance = g_new0 (VjInstance, 1);
  instance->plugin = plugin;
  instance->self = g_malloc0 (MAX (1, plugin->instance_size));
  if (!vj_options_fill (plugin->options, entry, vj_recipe_host_keys (plugin->role), overrides, instance->self, error)) {
    g_free (instance->self);
    g_free (instance);
    return NULL;
  }
  g_autoptr (GError) why = NULL;
  if (plugin->start == NULL
      || vj_verb_good (plugin, "start", VJ_VERB (plugin, "start", plugin->start (instance->self, run, &why)), &why))
    return instance;
  if (entry != NULL) {
    g_autofree char *where = vj_node_where (entry);
    g_prefix_error (&why, "%s: ", where);
  }
  g_propagate_error (error, g_steal_pointer (&why));
  vj_instance_free (instance);
  return NULL;
}

void
vj_instance_free (VjInstance *instance)
{
  if (instance == NULL)
    return;
  if (instance->plugin->stop != NULL) {
    VjVerb before = vj_verb_begin (instance->plugin, "stop");
    instance->plugin->stop (instance->self);
    vj_verb_end (before);
  }
  vj_options_clear (instance->plugin->options, instance->self);
  g_free (instance->self);
  g_free (instance);
}

void *
vj_instance_self (VjInstance *instance)
{
  return instance->self;
}

const VjPlugin *
vj_instance_plugin (const VjInstance *instance)
{
  return instance->plugin;
}
