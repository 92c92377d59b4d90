/* The verb that every filter needs is missing. */
#include "wrong.h"

VJ_DEFINE_FILTER (Wrong, NULL, NULL, .name = "no-verb", .version = "1.0", .license = "Apache-2.0",
                  .summary = "Wrong on purpose.")
