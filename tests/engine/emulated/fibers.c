/* The threads of a block as fibers that take turns at each barrier: see emulated.h. */
#include "tests/engine/emulated/emulated.h"

#undef _FORTIFY_SOURCE /* its longjmp takes another stack for a broken one */
#include <setjmp.h>
#include <ucontext.h>

#define STACK (128 << 10)

typedef enum { RUNS, WAITS, ENDED } Condition;

/* Contexts give a fiber its stack; from then on it is left and entered by _longjmp, which asks nothing of the kernel. */
typedef struct {
  ucontext_t context;
  jmp_buf entry;
  gboolean begun;
  char *stack;
  VjEmulated at;
  Condition condition;
  int line; /* of the barrier it waits at */
} Fiber;

struct VjFibers {
  ucontext_t origin;
  jmp_buf scheduler;
  Fiber fiber[VJ_BLOCK];
  Fiber *now;
  gboolean syncs;
  const char *name;
  void (*kernel) (const void *);
  const void *args;
};

/* A kernel asks where it is without an argument, as CUDA has it. */
static _Thread_local VjFibers *running;

guint
vj_order_at (VjOrder order, guint i, guint n)
{
  switch (order) {
  case VJ_ORDER_UP: return i;
  case VJ_ORDER_DOWN: return n - 1 - i;
  default: return i % 2 == 0 ? i / 2 : n - 1 - i / 2; /* from both ends */
  }
}

const VjEmulated *
vj_emulated (void)
{
  return &running->now->at;
}

static void
leave (Fiber *fiber)
{
  if (_setjmp (fiber->entry) == 0)
    _longjmp (running->scheduler, 1);
}

static void
enter (Fiber *fiber)
{
  VjFibers *fibers = running;
  fibers->now = fiber;
  if (_setjmp (fibers->scheduler) != 0)
    return;
  if (fiber->begun)
    _longjmp (fiber->entry, 1);
  fiber->begun = TRUE;
  swapcontext (&fibers->origin, &fiber->context);
}

void
vj_emulated_sync (int line)
{
  VjFibers *fibers = running;
  Fiber *fiber = fibers->now;
  if (!fibers->syncs)
    g_error ("%s: has a SYNC in line %d, but was declared to have none", fibers->name, line);
  fiber->condition = WAITS;
  fiber->line = line;
  leave (fiber);
}

/* A fiber's life: one block after the other. */
static void
begin (void)
{
  for (;;) {
    running->kernel (running->args);
    running->now->condition = ENDED;
    leave (running->now);
  }
}

VjFibers *
vj_fibers_new (void)
{
  VjFibers *fibers = g_new0 (VjFibers, 1);
  for (guint i = 0; i < VJ_BLOCK; i++) {
    Fiber *fiber = &fibers->fiber[i];
    fiber->stack = g_malloc (STACK);
    getcontext (&fiber->context);
    fiber->context.uc_stack.ss_sp = fiber->stack;
    fiber->context.uc_stack.ss_size = STACK;
    makecontext (&fiber->context, begin, 0);
  }
  return fibers;
}

void
vj_fibers_free (VjFibers *fibers)
{
  for (guint i = 0; i < VJ_BLOCK; i++)
    g_free (fibers->fiber[i].stack);
  g_free (fibers);
}

/* One turn of every thread; whether they all have ended. They must all have, or all wait at the same barrier. */
static gboolean
turn (VjFibers *fibers, VjOrder order)
{
  for (guint i = 0; i < VJ_BLOCK; i++) {
    Fiber *fiber = &fibers->fiber[vj_order_at (order, i, VJ_BLOCK)];
    fiber->condition = RUNS;
    enter (fiber);
  }
  for (guint i = 1; i < VJ_BLOCK; i++)
    if (fibers->fiber[i].condition != fibers->fiber[0].condition || fibers->fiber[i].line != fibers->fiber[0].line)
      g_error ("%s: block %u, %u, %u: thread %u did not come to the barrier in line %d that thread 0 came to", fibers->name, fibers->now->at.x,
               fibers->now->at.y, fibers->now->at.z, i, fibers->fiber[0].line);
  return fibers->fiber[0].condition == ENDED;
}

void
vj_fibers_run (VjFibers *fibers, VjOrder order, gboolean syncs, const char *name, const VjEmulated *block, void (*kernel) (const void *),
               const void *args)
{
  fibers->syncs = syncs;
  fibers->name = name;
  fibers->kernel = kernel;
  fibers->args = args;
  running = fibers;
  for (guint i = 0; i < VJ_BLOCK; i++) {
    Fiber *fiber = &fibers->fiber[i];
    fiber->at = *block;
    fiber->at.thread = i;
    fiber->line = 0;
  }
  for (guint i = 0; !syncs && i < VJ_BLOCK; i++) {
    fibers->now = &fibers->fiber[vj_order_at (order, i, VJ_BLOCK)];
    kernel (args);
  }
  while (syncs && !turn (fibers, order))
    ;
}
