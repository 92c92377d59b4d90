/* The example on the bench: what doc/plugin-writing.md shows under "Test it". */
#include "../../tests/tools/bench.h"

static void
test_moves_the_number (void)
{
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_INJECTOR, "swap-number", "distance", "1", NULL);
  g_assert_cmpstr (bench_inject (bench, "How many?", "There are 3 cups.", NULL).text, ==, "There are 4 cups.");
  g_assert_cmpstr (bench_inject (bench, "How many?", "Many.", NULL).reason, ==, "no number in the answer");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/swap-number/moves-the-number", test_moves_the_number);
  return g_test_run ();
}
