/* An option that says nothing of itself. */
#include "wrong.h"

static const VjOption options[] = {VJ_OPTION_INT (Wrong, number, "1", 1, 9, "", ""), VJ_OPTION_END};
VJ_DEFINE_FILTER (Wrong, wrong_keep, NULL, .name = "no-doc", .version = "1.0", .license = "Apache-2.0",
                  .summary = "Wrong on purpose.", .options = options)
