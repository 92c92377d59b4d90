/* The verb that runs. */
#include "plugin/verb.h"

/* Read by handlers of fatal signals, which have nothing else to reach. Nothing but their message depends on it. */
static const VjPlugin *running_plugin;
static const char *running_verb;

VjVerb
vj_verb_now (void)
{
  return (VjVerb){__atomic_load_n (&running_plugin, __ATOMIC_RELAXED), __atomic_load_n (&running_verb, __ATOMIC_RELAXED)};
}

void
vj_verb_end (VjVerb before)
{
  __atomic_store_n (&running_verb, before.verb, __ATOMIC_RELAXED);
  __atomic_store_n (&running_plugin, before.plugin, __ATOMIC_RELAXED);
}

VjVerb
vj_verb_begin (const VjPlugin *plugin, const char *verb)
{
  VjVerb before = vj_verb_now ();
  vj_verb_end ((VjVerb){plugin, verb});
  return before;
}
