/* Not vjrun's magic. */
#include "wrong.h"

VJ_DEFINE_FILTER (Wrong, wrong_keep, NULL, .name = "magic", .version = "1.0", .license = "Apache-2.0",
                  .summary = "Wrong on purpose.", .magic = 1)
