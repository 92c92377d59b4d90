/* An option outside the instance. */
#include "wrong.h"

static const VjOption options[] = {
  {.name = "number", .unit = "", .doc = "A number.", .type = VJ_OPTION_INT, .offset = 4096, .size = sizeof (int64_t), .max = 9},
  VJ_OPTION_END};
VJ_DEFINE_FILTER (Wrong, wrong_keep, NULL, .name = "bad-offset", .version = "1.0", .license = "Apache-2.0",
                  .summary = "Wrong on purpose.", .options = options)
