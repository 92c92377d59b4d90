/* The pool: see pool.h. Workers look for work in a short spin before they sleep, because operations follow each
 * other within microseconds; with more threads than processors they sleep at once. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "compute/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sched.h>

#define SPINS 2000

typedef struct {
  VjPool *pool;
  guint index;
  pthread_t thread;
} Worker;

struct VjPool {
  guint n_workers; /* threads beside the caller */
  Worker *workers;
  guint spins;
  pthread_mutex_t lock;
  pthread_cond_t wake, done;
  /* the current task */
  VjPoolWork work;
  void *data;
  gsize n;
  atomic_size_t next;
  atomic_uint running;    /* workers not yet done with it */
  atomic_uint generation; /* changes with every task */
  atomic_bool stop;
  guint sleeping;         /* under lock */
};

static void
pause_briefly (void)
{
#if defined (__x86_64__) || defined (__i386__)
  __builtin_ia32_pause ();
#endif
}

static void
take_items (VjPool *pool, guint worker)
{
  gsize item;
  while ((item = atomic_fetch_add (&pool->next, 1)) < pool->n)
    pool->work (pool->data, item, worker);
}

/* Waits until the generation is no longer `seen`. */
static guint
wait_for_task (VjPool *pool, guint seen)
{
  for (guint i = 0; i < pool->spins; i++) {
    guint now = atomic_load (&pool->generation);
    if (now != seen)
      return now;
    pause_briefly ();
  }
  pthread_mutex_lock (&pool->lock);
  pool->sleeping++;
  while (atomic_load (&pool->generation) == seen)
    pthread_cond_wait (&pool->wake, &pool->lock);
  pool->sleeping--;
  pthread_mutex_unlock (&pool->lock);
  return atomic_load (&pool->generation);
}

static void *
worker_main (void *data)
{
  Worker *worker = data;
  VjPool *pool = worker->pool;
  for (guint seen = 0;;) {
    seen = wait_for_task (pool, seen);
    if (atomic_load (&pool->stop))
      return NULL;
    take_items (pool, worker->index);
    if (atomic_fetch_sub (&pool->running, 1) == 1) {
      pthread_mutex_lock (&pool->lock);
      pthread_cond_signal (&pool->done);
      pthread_mutex_unlock (&pool->lock);
    }
  }
}

static void
announce (VjPool *pool)
{
  pthread_mutex_lock (&pool->lock);
  atomic_fetch_add (&pool->generation, 1);
  if (pool->sleeping > 0)
    pthread_cond_broadcast (&pool->wake);
  pthread_mutex_unlock (&pool->lock);
}

VjPool *
vj_pool_new (guint threads, GError **error)
{
  cpu_set_t set;
  guint processors = sched_getaffinity (0, sizeof set, &set) == 0 ? (guint) CPU_COUNT (&set) : g_get_num_processors ();
  VjPool *pool = g_new0 (VjPool, 1);
  guint wanted = threads == 0 ? processors : threads;
  pool->spins = wanted <= processors ? SPINS : 0;
  pthread_mutex_init (&pool->lock, NULL);
  pthread_cond_init (&pool->wake, NULL);
  pthread_cond_init (&pool->done, NULL);
  pool->workers = g_new0 (Worker, wanted);
  for (guint i = 1; i < wanted; i++) {
    Worker *worker = &pool->workers[i - 1];
    *worker = (Worker) { .pool = pool, .index = i };
    if (pthread_create (&worker->thread, NULL, worker_main, worker) != 0) {
      vj_pool_free (pool);
      vj_fail (error, VJ_EXIT_LIMIT, "compute: 'threads': thread %u of %u cannot be started: too many threads; ask for fewer", i + 1, wanted);
      return NULL;
    }
    pool->n_workers = i;
  }
  return pool;
}

void
vj_pool_free (VjPool *pool)
{
  if (pool == NULL)
    return;
  atomic_store (&pool->stop, TRUE);
  announce (pool);
  for (guint i = 0; i < pool->n_workers; i++)
    pthread_join (pool->workers[i].thread, NULL);
  pthread_mutex_destroy (&pool->lock);
  pthread_cond_destroy (&pool->wake);
  pthread_cond_destroy (&pool->done);
  g_free (pool->workers);
  g_free (pool);
}

guint
vj_pool_threads (const VjPool *pool)
{
  return pool->n_workers + 1;
}

void
vj_pool_run (VjPool *pool, gsize n, VjPoolWork work, void *data)
{
  if (n < 2 || pool->n_workers == 0) {
    for (gsize i = 0; i < n; i++)
      work (data, i, 0);
    return;
  }
  pool->work = work;
  pool->data = data;
  pool->n = n;
  atomic_store (&pool->next, 0);
  atomic_store (&pool->running, pool->n_workers);
  announce (pool);
  take_items (pool, 0);
  for (guint i = 0; i < pool->spins; i++) {
    if (atomic_load (&pool->running) == 0)
      return;
    pause_briefly ();
  }
  pthread_mutex_lock (&pool->lock);
  while (atomic_load (&pool->running) > 0)
    pthread_cond_wait (&pool->done, &pool->lock);
  pthread_mutex_unlock (&pool->lock);
}
