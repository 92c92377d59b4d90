/* The pool: see pool.h. Workers look for work in a short spin before they sleep, because operations follow each
 * other within microseconds; with more threads than processors they sleep at once. The caller waits for items alone, never
 * for workers that came too late to get one. */
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

/* A task's number, how many items it has and how many are taken, in one word: who takes an item knows of which task. */
#define FIELD 20
#define MOST (((guint64) 1 << FIELD) - 4096) /* items of a task; those who find none left count as takers too */
#define STATE(task, n) ((guint64) (task) << 2 * FIELD | (guint64) (n) << FIELD)
#define TASK(state) ((state) >> 2 * FIELD)
#define ITEMS(state) ((state) >> FIELD & (((guint64) 1 << FIELD) - 1))
#define TAKEN(state) ((state) & (((guint64) 1 << FIELD) - 1))

struct VjPool {
  guint n_workers; /* threads beside the caller */
  Worker *workers;
  guint spins;
  pthread_mutex_t lock;
  pthread_cond_t wake, done;
  /* the current task: read by those who hold one of its items, written when none is left */
  VjPoolWork work;
  void *data;
  gsize first; /* its first item's number */
  _Atomic guint64 state;
  _Atomic guint64 finished; /* items */
  atomic_bool stop;
  atomic_uint sleeping;     /* workers */
  atomic_bool waiting;      /* the caller sleeps */
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
  for (;;) {
    guint64 state = atomic_fetch_add (&pool->state, 1), n = ITEMS (state);
    if (TAKEN (state) >= n)
      return;
    pool->work (pool->data, pool->first + TAKEN (state), worker);
    if (atomic_fetch_add (&pool->finished, 1) + 1 == n && atomic_load (&pool->waiting)) {
      pthread_mutex_lock (&pool->lock);
      pthread_cond_signal (&pool->done);
      pthread_mutex_unlock (&pool->lock);
    }
  }
}

/* Waits for another task than `seen`; its number. */
static guint64
wait_for_task (VjPool *pool, guint64 seen)
{
  for (guint i = 0; i < pool->spins; i++) {
    guint64 now = TASK (atomic_load (&pool->state));
    if (now != seen)
      return now;
    pause_briefly ();
  }
  pthread_mutex_lock (&pool->lock);
  atomic_fetch_add (&pool->sleeping, 1);
  while (TASK (atomic_load (&pool->state)) == seen)
    pthread_cond_wait (&pool->wake, &pool->lock);
  atomic_fetch_sub (&pool->sleeping, 1);
  pthread_mutex_unlock (&pool->lock);
  return TASK (atomic_load (&pool->state));
}

static void *
worker_main (void *data)
{
  Worker *worker = data;
  VjPool *pool = worker->pool;
  for (guint64 seen = 0;;) {
    seen = wait_for_task (pool, seen);
    if (atomic_load (&pool->stop))
      return NULL;
    take_items (pool, worker->index);
  }
}

static void
announce (VjPool *pool, guint64 n)
{
  atomic_store (&pool->state, STATE (TASK (atomic_load (&pool->state)) + 1, n));
  if (atomic_load (&pool->sleeping) == 0)
    return;
  pthread_mutex_lock (&pool->lock);
  pthread_cond_broadcast (&pool->wake);
  pthread_mutex_unlock (&pool->lock);
}

static void
wait_for_items (VjPool *pool, guint64 n)
{
  for (guint i = 0; i < pool->spins; i++) {
    if (atomic_load (&pool->finished) == n)
      return;
    pause_briefly ();
  }
  pthread_mutex_lock (&pool->lock);
  atomic_store (&pool->waiting, TRUE);
  while (atomic_load (&pool->finished) < n)
    pthread_cond_wait (&pool->done, &pool->lock);
  atomic_store (&pool->waiting, FALSE);
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
  announce (pool, 0);
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
  for (gsize first = 0, part; first < n; first += part) {
    part = MIN (n - first, MOST);
    pool->first = first;
    atomic_store (&pool->finished, 0);
    announce (pool, part);
    take_items (pool, 0);
    wait_for_items (pool, part);
  }
}
