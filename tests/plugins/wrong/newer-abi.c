/* Needs a newer host. */
#include "wrong.h"

VJ_DEFINE_FILTER (Wrong, wrong_keep, NULL, .name = "newer-abi", .version = "1.0", .license = "Apache-2.0",
                  .summary = "Wrong on purpose.", .abi_minor = VJ_ABI_MINOR + 1)
