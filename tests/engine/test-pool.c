/* The pool of workers: every item is done once, by a worker there is, before the call returns. */
#include "compute/pool.h"

#include <sched.h>
#include <stdatomic.h>

typedef struct {
  guint threads;
  atomic_uchar *done; /* [n] how often */
  gboolean slow;      /* some items wait for the others to come */
  atomic_uint strangers;
} Task;

static void
do_item (void *data, gsize item, guint worker)
{
  Task *task = data;
  for (guint i = 0; task->slow && item % 3 == 0 && i < 50; i++)
    sched_yield ();
  if (worker >= task->threads)
    atomic_fetch_add (&task->strangers, 1);
  atomic_fetch_add (&task->done[item], 1);
}

static void
run_once (VjPool *pool, gsize n, gboolean slow)
{
  Task task = { .threads = vj_pool_threads (pool), .done = g_malloc0 (n + 1), .slow = slow };
  vj_pool_run (pool, n, do_item, &task);
  gsize wrong = 0;
  for (gsize i = 0; i <= n; i++)
    wrong += task.done[i] != (i < n);
  g_assert_cmpuint (wrong, ==, 0);
  g_assert_cmpuint (task.strangers, ==, 0);
  g_free (task.done);
}

/* Tasks of many sizes close after one another, so that workers come late to some. */
static void
test_every_item_once (gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  VjPool *pool = vj_pool_new (GPOINTER_TO_UINT (data), &error);
  g_assert_no_error (error);
  g_assert_cmpuint (vj_pool_threads (pool), ==, GPOINTER_TO_UINT (data));
  for (guint i = 0; i < 20000; i++)
    run_once (pool, i % 7, FALSE);
  for (guint i = 0; i < 200; i++)
    run_once (pool, i, TRUE);
  run_once (pool, ((gsize) 1 << 21) + 5, FALSE); /* more than a task may have: done in parts */
  vj_pool_free (pool);
}

/* An item of a task that ended does not run with the data of the next one: sums are whole after every call. */
static void
add (void *data, gsize item, G_GNUC_UNUSED guint worker)
{
  atomic_fetch_add ((atomic_ullong *) data, item + 1);
}

static void
test_tasks_stay_apart (void)
{
  VjPool *pool = vj_pool_new (3, NULL);
  for (guint i = 0; i < 20000; i++) {
    atomic_ullong *sum = g_new0 (atomic_ullong, 1);
    gsize n = 2 + i % 5;
    vj_pool_run (pool, n, add, sum);
    g_assert_cmpuint (*sum, ==, n * (n + 1) / 2);
    g_free (sum);
  }
  vj_pool_free (pool);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint threads = 1; threads <= 5; threads++) {
    g_autofree char *path = g_strdup_printf ("/pool/every-item-once/%u", threads);
    g_test_add_data_func (path, GUINT_TO_POINTER (threads), test_every_item_once);
  }
  g_test_add_func ("/pool/tasks-stay-apart", test_tasks_stay_apart);
  return g_test_run ();
}
