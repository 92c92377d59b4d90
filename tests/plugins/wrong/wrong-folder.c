/* A filter: the test puts it among the judges. */
#include "wrong.h"

VJ_DEFINE_FILTER (Wrong, wrong_keep, NULL, .name = "wrong-folder", .version = "1.0", .license = "Apache-2.0",
                  .summary = "Wrong on purpose.")
