/* Nothing is wrong with this one. */
#include "wrong.h"

static const VjOption options[] = {VJ_OPTION_INT (Wrong, number, "1", 1, 9, "", "A number."), VJ_OPTION_END};
VJ_DEFINE_FILTER (Wrong, wrong_keep, NULL, .name = "right", .version = "1.0", .license = "Apache-2.0",
                  .summary = "Right, beside the wrong ones.", .options = options)
