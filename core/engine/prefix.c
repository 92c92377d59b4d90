/* Prompts in memory: a new prompt takes over the cache of the longest beginning it shares with one of them, whether
 * that one still runs or is only kept for this. */
#include "engine/engine-private.h"

#include <string.h>

/* Idle prompts kept at most, and the part of the cache they may fill. */
#define MAX_IDLE 256
#define IDLE_BYTES ((gsize) 1 << 30)
/* Waiting for a prompt that still runs must spare so many tokens more than what is there already. */
#define WORTH_WAITING 16

static void
prefix_free (gpointer data)
{
  VjPrefix *prefix = data;
  vj_mllama_sequence_free (prefix->sequence);
  g_array_unref (prefix->tokens);
  g_free (prefix->shown);
  g_free (prefix);
}

void
vj_prefix_store_init (VjPrefixStore *store)
{
  *store = (VjPrefixStore){.all = g_ptr_array_new_with_free_func (prefix_free)};
}

void
vj_prefix_store_done (VjPrefixStore *store)
{
  g_clear_pointer (&store->all, g_ptr_array_unref);
}

VjPrefix *
vj_prefix_new (VjEngine *engine, const char *shown, const GArray *tokens, VjMllamaSequence *sequence, gsize bytes)
{
  VjPrefix *prefix = g_new0 (VjPrefix, 1);
  *prefix = (VjPrefix){.shown = g_strdup (shown), .sequence = sequence, .bytes = bytes, .users = 1};
  prefix->tokens = g_array_sized_new (FALSE, FALSE, sizeof (guint32), tokens->len);
  g_array_append_vals (prefix->tokens, tokens->data, tokens->len);
  g_ptr_array_add (engine->prefixes.all, prefix);
  return prefix;
}

static void
drop (VjEngine *engine, VjPrefix *prefix)
{
  engine->memory_used -= prefix->bytes;
  g_ptr_array_remove_fast (engine->prefixes.all, prefix);
}

static void
leave_idle (VjEngine *engine, VjPrefix *prefix)
{
  g_queue_unlink (&engine->prefixes.idle, &prefix->idle);
  engine->prefixes.idle_bytes -= prefix->bytes;
}

void
vj_prefix_use (VjEngine *engine, VjPrefix *prefix)
{
  if (prefix->users++ == 0)
    leave_idle (engine, prefix);
}

void
vj_prefix_rest (VjEngine *engine, VjPrefix *prefix)
{
  VjPrefixStore *store = &engine->prefixes;
  if (--prefix->users > 0)
    return;
  if (engine->forget) {
    drop (engine, prefix);
    return;
  }
  vj_mllama_sequence_retire (prefix->sequence);
  /* Of one that was given up half-way, only what has run. */
  g_array_set_size (prefix->tokens, (guint) MIN (prefix->tokens->len, vj_mllama_sequence_length (prefix->sequence)));
  prefix->idle = (GList){.data = prefix};
  g_queue_push_tail_link (&store->idle, &prefix->idle);
  store->idle_bytes += prefix->bytes;
  while (store->idle.length > MAX_IDLE || store->idle_bytes > MIN (IDLE_BYTES, engine->cache_limit / 2))
    vj_prefixes_drop (engine);
}

gboolean
vj_prefixes_drop (VjEngine *engine)
{
  if (engine->prefixes.idle.head == NULL)
    return FALSE;
  VjPrefix *prefix = engine->prefixes.idle.head->data;
  leave_idle (engine, prefix);
  drop (engine, prefix);
  return TRUE;
}

static gsize
common (const GArray *a, const GArray *b, gsize most)
{
  const guint32 *left = (const guint32 *) (gpointer) a->data, *right = (const guint32 *) (gpointer) b->data;
  gsize n = 0;
  most = MIN (most, MIN (a->len, b->len));
  while (n < most && left[n] == right[n])
    n++;
  return n;
}

VjPrefix *
vj_prefix_find (const VjEngine *engine, const char *shown, const GArray *tokens, gboolean ready, gsize *ret_shared)
{
  VjPrefix *now = NULL, *later = NULL;
  gsize most = tokens->len - 1, now_shared = 0, later_shared = 0;
  for (guint i = 0; !engine->forget && i < engine->prefixes.all->len; i++) {
    VjPrefix *prefix = engine->prefixes.all->pdata[i];
    if (strcmp (prefix->shown, shown) != 0)
      continue;
    gsize shared = common (prefix->tokens, tokens, most);
    gsize held = MIN (shared, vj_mllama_sequence_length (prefix->sequence));
    if (held > now_shared) {
      now = prefix;
      now_shared = held;
    }
    if (shared > later_shared) {
      later = prefix;
      later_shared = shared;
    }
  }
  gboolean wait = !ready && later_shared >= now_shared + WORTH_WAITING;
  *ret_shared = wait ? later_shared : now_shared;
  return wait ? later : now;
}

void
vj_prefix_touch (VjEngine *engine, const char *shown, const GArray *tokens)
{
  gsize shared;
  VjPrefix *prefix = vj_prefix_find (engine, shown, tokens, FALSE, &shared);
  if (prefix == NULL || prefix->users > 0)
    return;
  vj_prefix_use (engine, prefix);
  vj_prefix_rest (engine, prefix);
}
