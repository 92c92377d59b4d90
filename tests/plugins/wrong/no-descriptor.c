/* The entry gives nothing. */
#include "wrong.h"

__attribute__ ((visibility ("default"))) const VjPlugin *vj_plugin_query (void);
const VjPlugin *
vj_plugin_query (void)
{
  return NULL;
}
