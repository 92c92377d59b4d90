/* A filter with one slip, chosen by WRONG_...: tests/plugins/local.mk builds one .so of each. */
#ifndef VJ_TESTS_WRONG_H
#define VJ_TESTS_WRONG_H

#include <vj/plugin.h>

typedef struct {
  int64_t number;
} Wrong;

G_GNUC_UNUSED static VjFlow
wrong_keep (void *self, VjRun *run, const VjTrace *trace, char **ret_reason, GError **error)
{
  (void) self, (void) run, (void) trace, (void) ret_reason, (void) error;
  return VJ_FLOW_OK;
}

#endif
