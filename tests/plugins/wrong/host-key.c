/* An option that takes a key of the host. */
#include "wrong.h"

static const VjOption options[] = {
  {.name = "model", .unit = "", .doc = "A model.", .preset = "1", .type = VJ_OPTION_INT, .offset = 0, .size = sizeof (int64_t), .max = 9},
  VJ_OPTION_END};
VJ_DEFINE_FILTER (Wrong, wrong_keep, NULL, .name = "host-key", .version = "1.0", .license = "Apache-2.0",
                  .summary = "Wrong on purpose.", .options = options)
