/* plugins/: each role plugin on the bench, with every bad input it must survive. */
#include "roles.h"

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ROLES_ADD(plugin) add_##plugin##_tests ();
  ROLES_TABLE (ROLES_ADD)
  return g_test_run ();
}
