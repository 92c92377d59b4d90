/* A descriptor cut short. */
#include "wrong.h"

VJ_DEFINE_FILTER (Wrong, wrong_keep, NULL, .name = "short-descriptor", .version = "1.0", .license = "Apache-2.0",
                  .summary = "Wrong on purpose.", .size = 8)
