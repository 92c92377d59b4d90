/* A name that no recipe can spell. */
#include "wrong.h"

VJ_DEFINE_FILTER (Wrong, wrong_keep, NULL, .name = "Capital", .version = "1.0", .license = "Apache-2.0",
                  .summary = "Wrong on purpose.")
