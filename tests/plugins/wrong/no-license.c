/* Says nothing of its license. */
#include "wrong.h"

VJ_DEFINE_FILTER (Wrong, wrong_keep, NULL, .name = "no-license", .version = "1.0", .license = "Apache-2.0",
                  .summary = "Wrong on purpose.", .license = NULL)
