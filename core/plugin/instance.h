/* A plugin at work: its instance struct filled from the recipe, started, and in the end stopped. */
#ifndef VJ_PLUGIN_INSTANCE_H
#define VJ_PLUGIN_INSTANCE_H

#include "plugin/host.h"
#include "plugin/verb.h"
#include "recipe/recipe.h"

typedef struct VjInstance VjInstance;

/* Presets, then the values of `entry` (a recipe entry; NULL: presets alone), then `overrides` (NULL-terminated pairs
 * name, value; may be NULL), then `start`. Option faults are VJ_EXIT_RECIPE with their places; `start` sets its own.
 * `run` may be NULL only in tests of plugins whose `start` does not use it. Free with vj_instance_free. */
VJ_API VjInstance *vj_instance_new (const VjPlugin *plugin, const VjNode *entry, const char *const *overrides, VjRun *run,
                                    GError **error);
/* Stops and frees; NULL is fine. */
VJ_API void vj_instance_free (VjInstance *instance);

VJ_API void *vj_instance_self (VjInstance *instance); /* first argument of the verbs. Borrowed. */
VJ_API const VjPlugin *vj_instance_plugin (const VjInstance *instance);

/* The role's verbs; the instance must be of that role. */
#define VJ_INSTANCE_OPS(instance, OpsType) ((const OpsType *) vj_instance_plugin (instance)->ops)

/* Calls one verb: VJ_INSTANCE_CALL (filter, VjFilterOps, keep, run, trace, &reason, error). */
#define VJ_INSTANCE_CALL(instance, OpsType, verb, ...)    \
  VJ_VERB (vj_instance_plugin (instance), #verb,          \
           VJ_INSTANCE_OPS (instance, OpsType)->verb (vj_instance_self (instance), __VA_ARGS__))

/* The same for a verb that gives a VjFlow, whose last argument is `error`: its value is held to vj_verb_flow. */
#define VJ_INSTANCE_FLOW(instance, OpsType, verb, allowed, error, ...)        \
  vj_verb_flow (vj_instance_plugin (instance), #verb,                          \
                VJ_INSTANCE_CALL (instance, OpsType, verb, __VA_ARGS__, error), allowed, error)
#define VJ_FLOWS_OK VJ_FLOW_BIT (VJ_FLOW_OK)
#define VJ_FLOWS_SKIP (VJ_FLOWS_OK | VJ_FLOW_BIT (VJ_FLOW_SKIP))
#define VJ_FLOWS_MORE (VJ_FLOWS_SKIP | VJ_FLOW_BIT (VJ_FLOW_MORE))
#define VJ_FLOWS_NEXT (VJ_FLOWS_SKIP | VJ_FLOW_BIT (VJ_FLOW_END))
#define VJ_FLOWS_POLL (VJ_FLOWS_OK | VJ_FLOW_BIT (VJ_FLOW_END))

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjInstance, vj_instance_free)

#endif
