/* A default out of its own range. */
#include "wrong.h"

static const VjOption options[] = {VJ_OPTION_INT (Wrong, number, "12", 1, 9, "", "A number."), VJ_OPTION_END};
VJ_DEFINE_FILTER (Wrong, wrong_keep, NULL, .name = "bad-preset", .version = "1.0", .license = "Apache-2.0",
                  .summary = "Wrong on purpose.", .options = options)
