/* Built for another major version. */
#include "wrong.h"

VJ_DEFINE_FILTER (Wrong, wrong_keep, NULL, .name = "old-abi", .version = "1.0", .license = "Apache-2.0",
                  .summary = "Wrong on purpose.", .abi_major = VJ_ABI_MAJOR + 1)
