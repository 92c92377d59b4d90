/* A small pool of workers for the CPU computes. What is computed never depends on how items fall on threads:
 * a task is a fixed list of items, each done whole by one thread. */
#ifndef VJ_COMPUTE_POOL_H
#define VJ_COMPUTE_POOL_H

#include <vj/error.h>

typedef struct VjPool VjPool;

/* `threads` 0: all processors of the process; the calling thread is one of them. VJ_EXIT_LIMIT when threads cannot be started. */
VjPool *vj_pool_new (guint threads, GError **error);
void vj_pool_free (VjPool *pool);
guint vj_pool_threads (const VjPool *pool);

/* Runs `work` for items 0 .. n - 1 and returns when all are done. `worker` (below vj_pool_threads) names the
 * thread, for scratch memory. */
typedef void (*VjPoolWork) (void *data, gsize item, guint worker);
void vj_pool_run (VjPool *pool, gsize n, VjPoolWork work, void *data);

#endif
