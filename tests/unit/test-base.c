/* base/: error codes, random streams, checked arithmetic. */
#include "base/checked.h"
#include "base/random.h"

static void
test_error_code_is_exit_code (void)
{
  g_autoptr (GError) error = NULL;
  g_assert_false (vj_fail (&error, VJ_EXIT_STORE, "%s: full", "here"));
  g_assert_cmpint (vj_error_exit (error), ==, 6);
  g_assert_cmpstr (error->message, ==, "here: full");
  g_assert_null (vj_exit_meaning ((VjExit) 99));
}

static void
test_random_streams_are_named (void)
{
  VjRandom a, b, c;
  vj_random_init_named (&a, 17, "judge", "q1", 0);
  vj_random_init_named (&b, 17, "judge", "q1", 0);
  vj_random_init_named (&c, 17, "judgeq", "1", 0);
  guint64 first = vj_random_next (&a);
  g_assert_cmpuint (first, ==, vj_random_next (&b));
  g_assert_cmpuint (first, !=, vj_random_next (&c));
}

/* First outputs of xoshiro256** for the state SplitMix64 makes of seed 0 (reference C code by its authors). */
static void
test_random_matches_reference (void)
{
  VjRandom a;
  vj_random_init (&a, 0);
  g_assert_cmpuint (a.state[0], ==, G_GUINT64_CONSTANT (0xe220a8397b1dcdaf));
  g_assert_cmpuint (vj_random_next (&a), ==, G_GUINT64_CONSTANT (0x99ec5f36cb75f2b4));
}

static void
test_random_below_is_uniform (void)
{
  VjRandom a;
  guint counts[3] = {0};
  vj_random_init (&a, 5);
  for (int i = 0; i < 30000; i++)
    counts[vj_random_below (&a, 3)]++;
  for (int i = 0; i < 3; i++)
    g_assert_cmpint (ABS ((int) counts[i] - 10000), <, 400);
  g_assert_cmpuint (vj_random_below (&a, 0), ==, 0);
}

static void
test_checked_range_refuses_overflow (void)
{
  g_assert_true (vj_checked_range (4, 4, 8));
  g_assert_false (vj_checked_range (5, 4, 8));
  g_assert_false (vj_checked_range (4, G_MAXSIZE, 8));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/error/code-is-exit-code", test_error_code_is_exit_code);
  g_test_add_func ("/base/random/streams-are-named", test_random_streams_are_named);
  g_test_add_func ("/base/random/matches-reference", test_random_matches_reference);
  g_test_add_func ("/base/random/below-is-uniform", test_random_below_is_uniform);
  g_test_add_func ("/base/checked/range-refuses-overflow", test_checked_range_refuses_overflow);
  return g_test_run ();
}
