/* base/: error codes, random streams, checked arithmetic. */
#include "base/checked.h"
#include "base/machine.h"
#include "base/random.h"

#include <glib/gstdio.h>

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

/* Each of the six orders of three things comes about as often. */
static void
test_shuffle_is_uniform (void)
{
  guint counts[6] = {0};
  VjRandom random;
  vj_random_init (&random, 5);
  for (guint i = 0; i < 6000; i++) {
    gpointer items[] = {GUINT_TO_POINTER (0), GUINT_TO_POINTER (1), GUINT_TO_POINTER (2)};
    vj_random_shuffle (&random, items, 3);
    guint first = GPOINTER_TO_UINT (items[0]), second = GPOINTER_TO_UINT (items[1]), third = GPOINTER_TO_UINT (items[2]);
    g_assert_cmpuint (first + second + third, ==, 3);
    g_assert_true (first != second && second != third);
    counts[2 * first + (second > third)]++;
  }
  for (guint i = 0; i < 6; i++)
    g_assert_cmpuint (ABS ((int) counts[i] - 1000), <, 120);
  vj_random_shuffle (&random, NULL, 0);
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

/* -- machine: small copies of /proc and of the control groups --------------------------- */

static const char *const machine_files[] = {"proc/meminfo", "proc/self/cgroup", "group/memory.max", "group/memory.current", "group/a/memory.max",
                                            "group/a/memory.current", "group/a/memory.stat", "group/a/b/memory.max", "group/a/b/memory.current"};
static const char *const machine_folders[] = {"group/a/b", "group/a", "group", "proc/self", "proc"};

typedef struct {
  const char *name;
  const char *content[G_N_ELEMENTS (machine_files)]; /* NULL: no such file */
  gsize expected;
} Machine;

#define MEMINFO "MemTotal:       4000 kB\nMemFree:   5 kB\nMemAvailable:   3000 kB\nSwapTotal: 9 kB\n"

static const Machine machines[] = {
  {"nothing is known", {NULL}, G_MAXSIZE},
  {"no groups", {MEMINFO}, 3000 << 10},
  {"groups without limits", {MEMINFO, "0::/a/b\n", NULL, NULL, "max\n", "7\n", NULL, "max\n", "7\n"}, 3000 << 10},
  {"the process's own group", {MEMINFO, "0::/a/b\n", NULL, NULL, "max\n", "7\n", NULL, "100000\n", "60000\n"}, 40000},
  {"a group above it", {MEMINFO, "0::/a/b\n", NULL, NULL, "90000\n", "60000\n", NULL, "100000\n", "60000\n"}, 30000},
  {"the root of a container", {MEMINFO, "0::/\n", "50000\n", "20000\n"}, 30000},
  {"another group is not ours", {MEMINFO, "0::/\n", NULL, NULL, "10\n", "5\n"}, 3000 << 10},
  {"droppable pages count as free", {MEMINFO, "0::/a\n", NULL, NULL, "90000\n", "60000\n", "anon 1\ninactive_file 50000\nactive_file 3\n"}, 80000},
  {"a group that is over its limit", {MEMINFO, "0::/a\n", NULL, NULL, "50\n", "60\n"}, 0},
  {"a group that holds more than the machine", {MEMINFO, "0::/a\n", NULL, NULL, "99999999999\n", "0\n"}, 3000 << 10},
  {"old groups beside the new", {MEMINFO, "4:memory:/x\n0::/a\n", NULL, NULL, "90000\n", "60000\n"}, 30000},
  {"old groups only", {MEMINFO, "4:memory:/a\n", NULL, NULL, "90000\n", "60000\n"}, 3000 << 10},
  {"unreadable numbers", {"MemAvailable: lots\n", "0::/a\n", NULL, NULL, "many\n", "few\n"}, G_MAXSIZE},
};

static void
test_machine_memory (gconstpointer data)
{
  const Machine *machine = data;
  g_autofree char *top = g_dir_make_tmp ("vj-machine-XXXXXX", NULL), *proc = g_build_filename (top, "proc", NULL),
                  *group = g_build_filename (top, "group", NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (machine_folders); i++) {
    g_autofree char *folder = g_build_filename (top, machine_folders[i], NULL);
    g_assert_cmpint (g_mkdir_with_parents (folder, 0700), ==, 0);
  }
  for (gsize i = 0; i < G_N_ELEMENTS (machine_files); i++) {
    g_autofree char *file = g_build_filename (top, machine_files[i], NULL);
    g_assert_true (machine->content[i] == NULL || g_file_set_contents (file, machine->content[i], -1, NULL));
  }
  gsize available = vj_machine_memory_at (proc, group);
  for (gsize i = 0; i < G_N_ELEMENTS (machine_files); i++) {
    g_autofree char *file = g_build_filename (top, machine_files[i], NULL);
    g_remove (file);
  }
  for (gsize i = 0; i < G_N_ELEMENTS (machine_folders); i++) {
    g_autofree char *folder = g_build_filename (top, machine_folders[i], NULL);
    g_rmdir (folder);
  }
  g_rmdir (top);
  g_assert_cmpuint (available, ==, machine->expected);
  g_assert_cmpuint (vj_machine_memory (), >, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/error/code-is-exit-code", test_error_code_is_exit_code);
  g_test_add_func ("/base/random/streams-are-named", test_random_streams_are_named);
  g_test_add_func ("/base/random/matches-reference", test_random_matches_reference);
  g_test_add_func ("/base/random/shuffle-is-uniform", test_shuffle_is_uniform);
  g_test_add_func ("/base/random/below-is-uniform", test_random_below_is_uniform);
  g_test_add_func ("/base/checked/range-refuses-overflow", test_checked_range_refuses_overflow);
  for (gsize i = 0; i < G_N_ELEMENTS (machines); i++) {
    g_autofree char *path = g_strdup_printf ("/base/machine/%s", machines[i].name);
    g_test_add_data_func (path, &machines[i], test_machine_memory);
  }
  return g_test_run ();
}
