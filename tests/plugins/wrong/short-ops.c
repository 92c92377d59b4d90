/* A table of verbs from another version. */
#include "wrong.h"

static const VjFilterOps short_ops = {8, NULL, wrong_keep};
VJ_DEFINE_FILTER (Wrong, wrong_keep, NULL, .name = "short-ops", .version = "1.0", .license = "Apache-2.0",
                  .summary = "Wrong on purpose.", .ops = &short_ops)
