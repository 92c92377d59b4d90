/* One name for two options. */
#include "wrong.h"

static const VjOption options[] = {VJ_OPTION_INT (Wrong, number, "1", 1, 9, "", "A number."),
                                   VJ_OPTION_INT (Wrong, number, "1", 1, 9, "", "A number."), VJ_OPTION_END};
VJ_DEFINE_FILTER (Wrong, wrong_keep, NULL, .name = "twice-named", .version = "1.0", .license = "Apache-2.0",
                  .summary = "Wrong on purpose.", .options = options)
