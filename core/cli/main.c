/* vjrun: picks the subcommand. Each lives in a file of its own. */
#include "vj/error.h"

int
main (void)
{
  return VJ_EXIT_USAGE;
}
