/* The file is called otherwise. */
#include "wrong.h"

VJ_DEFINE_FILTER (Wrong, wrong_keep, NULL, .name = "another-name", .version = "1.0", .license = "Apache-2.0",
                  .summary = "Wrong on purpose.")
