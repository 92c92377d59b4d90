/* Descriptor and verbs longer than this host knows: its author added members of his own. Nothing is wrong with it. */
#include "wrong.h"

static const struct {
  VjFilterOps known;
  void (*more) (void);
} grown_ops = {.known = {.size = sizeof grown_ops, .keep = wrong_keep}};

VJ_DEFINE_FILTER (Wrong, wrong_keep, NULL, .name = "grown", .version = "1.0", .license = "Apache-2.0",
                  .summary = "Right, and longer.", .size = sizeof (VjPlugin) + 8, .ops = &grown_ops)
