/* A GPU that is none: runs the cublas compute on the processor, its own kernels and host code with the few functions of
 * gpu.h replaced, so that its arithmetic, index by index and barrier by barrier, is tested on any machine. What it does
 * not test: nvcc's code, cuBLAS, the driver. It is stricter than a GPU where it can be: memory begins as NaN, uploads
 * are made as late as they may, threads and blocks run in the order asked for (a race gives other bits in another
 * order), and a barrier that not every thread of a block reaches aborts. */
#ifndef VJ_TESTS_EMULATED_H
#define VJ_TESTS_EMULATED_H

#include "plugins/compute/cublas/gpu.h"
#include "plugins/compute/cublas/kernel.h"

/* How threads and blocks take turns. */
typedef enum { VJ_ORDER_UP, VJ_ORDER_MIXED, VJ_ORDER_DOWN } VjOrder;

typedef struct VjFibers VjFibers;

VjFibers *vj_fibers_new (void);
void vj_fibers_free (VjFibers *fibers);

/* Runs one block: every thread of it until all have ended. `syncs`: whether they may wait for each other. */
void vj_fibers_run (VjFibers *fibers, VjOrder order, gboolean syncs, const char *name, const VjEmulated *block, void (*kernel) (const void *),
                    const void *args);

/* The i-th of n in this order. */
guint vj_order_at (VjOrder order, guint i, guint n);

#endif
