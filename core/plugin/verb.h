/* Whose code runs: which verb of which plugin, or which file is being loaded, so that a process that dies there can say
 * whose it was. Verbs of roles run on one thread of a process at a time; with more, the last to begin is told, which is
 * all that a message needs. */
#ifndef VJ_PLUGIN_VERB_H
#define VJ_PLUGIN_VERB_H

#include "vj/plugin.h"

typedef struct {
  const VjPlugin *plugin; /* NULL: none runs                                                */
  const char *verb;       /* static: "poll"                                                 */
  const char *file;       /* being loaded, its descriptor not checked yet; NULL: none       */
} VjVerb;

/* Gives what ran before; hand it to vj_verb_end. */
VJ_API VjVerb vj_verb_begin (const VjPlugin *plugin, const char *verb);
/* The same for a file's loading; `file` lives until vj_verb_end. */
VJ_API VjVerb vj_verb_begin_load (const char *file);
VJ_API void vj_verb_end (VjVerb before);
/* From anywhere, a signal handler included. */
VJ_API VjVerb vj_verb_now (void);

/* What a verb gave back, held to its contract: an error has its GError, anything else has none, and the value is one of
 * `allowed`. A plugin that breaks it gives VJ_EXIT_PLUGIN with its name. */
#define VJ_FLOW_BIT(flow) (1u << (flow))
VJ_API VjFlow vj_verb_flow (const VjPlugin *plugin, const char *verb, VjFlow flow, guint allowed, GError **error);
VJ_API gboolean vj_verb_good (const VjPlugin *plugin, const char *verb, gboolean good, GError **error);

/* The value of `call`, one verb's call with its arguments. */
#define VJ_VERB(plugin_, verb_, call)                     \
  ({                                                      \
    VjVerb before__ = vj_verb_begin ((plugin_), (verb_)); \
    __auto_type result__ = (call);                        \
    vj_verb_end (before__);                               \
    result__;                                             \
  })

#endif
