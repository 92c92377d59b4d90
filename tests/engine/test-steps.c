/* A step that only goes on with running draws allocates nothing: counted by standing in for malloc, or, where the
 * address sanitizer does, by its hooks. */
#include "chats.h"

#include <errno.h>

#define MAX_STEPS 256

static const VjEngine *watched;     /* NULL: nothing is counted */
static gint allocations[MAX_STEPS]; /* by the steps that had begun; atomic */

static void
count (void)
{
  if (watched != NULL)
    g_atomic_int_inc (&allocations[MIN (vj_engine_work (watched).steps, MAX_STEPS - 1)]);
}

#ifndef __has_feature
#define __has_feature(x) 0 /* clang's way to say what gcc says by __SANITIZE_ADDRESS__ */
#endif

#if defined(__SANITIZE_ADDRESS__) || __has_feature (address_sanitizer)
/* As sanitizer/allocator_interface.h declares it, which not every compiler's package has. */
extern int __sanitizer_install_malloc_and_free_hooks (void (*malloc_hook) (const volatile void *, size_t),
                                                      void (*free_hook) (const volatile void *));

static void
count_malloc (G_GNUC_UNUSED const volatile void *memory, G_GNUC_UNUSED size_t bytes)
{
  count ();
}

static void
count_free (G_GNUC_UNUSED const volatile void *memory)
{
}

static void
begin_counting (void)
{
  g_assert_cmpint (__sanitizer_install_malloc_and_free_hooks (count_malloc, count_free), >, 0);
}
#else
extern void *__libc_malloc (size_t bytes);
extern void *__libc_calloc (size_t n, size_t bytes);
extern void *__libc_realloc (void *memory, size_t bytes);
extern void *__libc_memalign (size_t alignment, size_t bytes);

VJ_API void *
malloc (size_t bytes)
{
  count ();
  return __libc_malloc (bytes);
}

VJ_API void *
calloc (size_t n, size_t bytes)
{
  count ();
  return __libc_calloc (n, bytes);
}

VJ_API void *
realloc (void *memory, size_t bytes)
{
  count ();
  return __libc_realloc (memory, bytes);
}

VJ_API int
posix_memalign (void **ret_memory, size_t alignment, size_t bytes)
{
  count ();
  *ret_memory = __libc_memalign (alignment, bytes);
  return *ret_memory != NULL ? 0 : ENOMEM;
}

VJ_API void *
aligned_alloc (size_t alignment, size_t bytes)
{
  count ();
  return __libc_memalign (alignment, bytes);
}

static void
begin_counting (void)
{
}
#endif

/* Submits a prompt of some draws that all last `most` tokens; returns the number of the step that ended them. */
static guint64
run_draws (VjEngine *engine, const Chat *chat, guint most)
{
  /* A penalty, cuts, a stop string and logprobs: all that a step may do. */
  static const char *const stop[] = {"never said", NULL};
  VjGenerateOptions options = {.temperature = 1, .top_k = 30, .top_p = 0.99, .max_tokens = most, .stop = stop, .min_p = 0.001,
                               .repetition_penalty = 1.1, .logprobs = TRUE};
  guint64 seeds[4] = {1, 2, 3, 5};
  submit (engine, 1, chat, &options, seeds, G_N_ELEMENTS (seeds));
  for (guint i = 0; i < G_N_ELEMENTS (seeds); i++) {
    VjGenerated generated;
    g_assert_true (poll_one (engine, &generated));
    g_assert_cmpuint (generated.completion_tokens, ==, most);
    g_free (generated.text);
    g_free (generated.logprobs);
  }
  return vj_engine_work (engine).steps;
}

static void
test_steps_allocate_nothing (gconstpointer data)
{
  g_autoptr (VjEngine) engine = open_engine (&(VjEngineConfig){.compute = data, .threads = 2});
  g_autoptr (Chat) chat = plain_chat ("the red circle");
  gint within = 0, around;
  put_image (chat, 0, 16, 16, 1);
  guint64 first = run_draws (engine, chat, 30) + 1; /* what grows, grows once */
  watched = engine;
  guint64 last = run_draws (engine, chat, 30);
  watched = NULL;
  /* The first step runs the prompt, after it the draws begin; the last ends them. */
  g_assert_cmpuint (last - first, ==, 29);
  for (guint64 step = first + 1; step < last; step++)
    within += allocations[step];
  around = allocations[first - 1] + allocations[first] + allocations[last];
  g_test_message ("%d allocations within %d steps, %d around them", within, (int) (last - first - 1), around);
  g_assert_cmpint (around, >, 20); /* the counting works */
  g_assert_cmpint (within, ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  begin_counting ();
  g_test_add_data_func ("/steps/allocate-nothing/cpu", "cpu", test_steps_allocate_nothing);
  return g_test_run ();
}
