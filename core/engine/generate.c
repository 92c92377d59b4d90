/* The scheduler behind vj_engine_submit and vj_engine_poll: continuous batching.
 *
 * Requests wait in a queue. An admitted one has its images encoded and its prompt run,
 * from where it parts from a prompt that is in memory; then each of its draws becomes a
 * sequence with a fork of the prompt's cache. One step is one forward pass: a token for
 * every running draw, and as much of the waiting prompts as the step has room for, so
 * that a long prompt never stops the draws. A finished draw makes room at once.
 *
 * Laws. Requests are admitted in the order of submission, and only with the memory of
 * their draws set aside, or alone; so what submit found to fit alone always gets its turn.
 * A prompt waits only for one admitted before it. A step allocates nothing but what
 * finishes or begins. */
#include "engine/scheduler.h"

#include <string.h>

/* -- admission -------------------------------------------------------------------------- */

/* Sets memory aside for the request's images, its prompt and all its draws; fewer draws will do when nothing else is
 * admitted. FALSE: nothing set aside, it has to wait. */
static gboolean
reserve (VjEngine *engine, VjQueued *request)
{
  const VjScheduler *s = engine->scheduler;
  gboolean alone = s->running->len == 0 && s->starting.length == 0 && s->prefilling.length == 0;
  gsize fixed = vj_queued_base_bytes (engine, request) + vj_queued_joined_bytes (engine, request);
  for (guint i = 0; i < request->images->len; i++)
    vj_image_use (engine, request->images->pdata[i]);
  request->together = MIN (request->n, engine->max_batch);
  while (!vj_engine_make_room (engine, fixed + request->together * vj_queued_draw_bytes (engine, request))) {
    if (!alone || request->together == 1) {
      for (guint i = 0; i < request->images->len; i++)
        vj_image_rest (engine, request->images->pdata[i]);
      return FALSE;
    }
    request->together--;
  }
  engine->memory_used += fixed + request->together * vj_queued_draw_bytes (engine, request);
  return TRUE;
}

/* Takes over what the donor holds by now of what was hoped for. FALSE: not yet. */
static gboolean
take_over (VjEngine *engine, VjQueued *request)
{
  if (request->donor == NULL)
    return TRUE;
  if (vj_mllama_sequence_length (request->donor->sequence) < request->shared)
    return FALSE;
  vj_mllama_sequence_adopt (request->prefix->sequence, request->donor->sequence, request->shared);
  engine->work.reused += request->shared;
  vj_prefix_rest (engine, request->donor);
  request->donor = NULL;
  return TRUE;
}

/* Encodes the images of an admitted request and opens its sequence. */
static gboolean
begin_prompt (VjEngine *engine, VjQueued *request, GError **error)
{
  if (!vj_images_encode (engine, (VjShownImage *const *) request->images->pdata, request->images->len, error))
    return FALSE;
  VjMllamaSequence *sequence = vj_prompt_sequence (engine, request->tokens, request->images,
                                                   vj_queued_base_capacity (request), error);
  if (sequence == NULL)
    return FALSE;
  request->donor = vj_prefix_find (engine, request->shown, request->tokens, FALSE, &request->shared);
  if (request->donor != NULL)
    vj_prefix_use (engine, request->donor);
  request->prefix = vj_prefix_new (engine, request->shown, request->tokens, sequence,
                                   vj_queued_base_bytes (engine, request));
  take_over (engine, request);
  return TRUE;
}

static guint
draws_to_begin (const VjScheduler *s)
{
  guint n = 0;
  for (const GList *at = s->prefilling.head; at != NULL; at = at->next)
    n += ((const VjQueued *) at->data)->n;
  for (const GList *at = s->starting.head; at != NULL; at = at->next)
    n += ((const VjQueued *) at->data)->n - ((const VjQueued *) at->data)->started;
  return n;
}

/* Moves waiting requests to the free places. */
static gboolean
admit (VjEngine *engine, GError **error)
{
  VjScheduler *s = engine->scheduler;
  while (s->waiting.length > 0 && s->running->len + draws_to_begin (s) < engine->max_batch) {
    VjQueued *request = s->waiting.head->data;
    vj_prefix_touch (engine, request->shown, request->tokens);
    if (!reserve (engine, request))
      break;
    g_queue_push_tail (&s->prefilling, g_queue_pop_head (&s->waiting));
    if (!begin_prompt (engine, request, error))
      return FALSE;
  }
  return TRUE;
}

/* Begins draws of requests whose prompt has run, in order, while there are places. */
static gboolean
begin_draws (VjEngine *engine, GError **error)
{
  VjScheduler *s = engine->scheduler;
  while (s->starting.length > 0 && s->running->len < engine->max_batch) {
    VjQueued *request = s->starting.head->data;
    if (request->started - request->finished >= request->together)
      break;
    if (!vj_draw_begin (engine, request, error))
      return FALSE;
  }
  return TRUE;
}

/* -- stepping ------------------------------------------------------------------------------ */

/* One token of every running draw, then the prompts' next tokens while there is room: for them, and at their ends for
 * logits. Returns how many stretches. */
static gsize
plan_step (VjEngine *engine)
{
  VjScheduler *s = engine->scheduler;
  gsize n = 0, room = MAX (engine->step_tokens, s->running->len) - s->running->len,
        ends = engine->max_batch - s->running->len;
  for (; n < s->running->len; n++) {
    const VjDraw *draw = s->running->pdata[n];
    s->stretches[n] = (VjMllamaStretch){draw->sequence, &draw->tokens[draw->n_tokens - 1], 1, 1};
  }
  for (GList *at = s->prefilling.head; at != NULL && room > 0; at = at->next) {
    VjQueued *request = at->data;
    if (!take_over (engine, request))
      continue;
    gsize from = vj_mllama_sequence_length (request->prefix->sequence), left = request->tokens->len - from,
          count = MIN (left, room);
    gboolean end = count == left && ends > 0;
    if (count == left && !end)
      count--;
    if (count == 0)
      continue;
    s->stretches[n++] = (VjMllamaStretch){request->prefix->sequence, &g_array_index (request->tokens, guint32, from),
                                          count, end};
    room -= count;
    ends -= end;
  }
  return n;
}

/* Every draw that ran takes its next token. */
static gboolean
advance_draws (VjEngine *engine, float *logits, GError **error)
{
  VjScheduler *s = engine->scheduler;
  guint kept = 0, n = s->running->len;
  gboolean sound = TRUE;
  for (guint i = 0; i < n; i++) {
    gboolean alive = TRUE;
    VjDraw *draw = s->running->pdata[i];
    sound = sound && vj_draw_advance (engine, draw, logits + (gsize) i * engine->config->vocab_size, &alive, error);
    if (alive)
      s->running->pdata[kept++] = draw;
  }
  g_ptr_array_set_size (s->running, (gint) kept);
  return sound;
}

/* Prompts that have run to their end go on to their draws. */
static void
end_prompts (VjEngine *engine, const float *logits)
{
  VjScheduler *s = engine->scheduler;
  gsize V = engine->config->vocab_size;
  for (GList *at = s->prefilling.head, *next; at != NULL; at = next) {
    VjQueued *request = at->data;
    next = at->next;
    if (vj_mllama_sequence_length (request->prefix->sequence) < request->tokens->len)
      continue;
    request->logits = g_memdup2 (logits, V * sizeof (float));
    logits += V;
    g_queue_unlink (&s->prefilling, at);
    g_queue_push_tail_link (&s->starting, at);
  }
}

static gboolean
step (VjEngine *engine, GError **error)
{
  VjScheduler *s = engine->scheduler;
  gsize n = plan_step (engine), draws = s->running->len, wanted = 0;
  if (n == 0)
    return vj_fail (error, VJ_EXIT_BUG, "generate: requests wait, but none can run; please report this");
  for (gsize i = 0; i < n; i++) {
    engine->work.tokens += s->stretches[i].count;
    wanted += s->stretches[i].wanted;
  }
  g_assert (wanted <= engine->max_batch);
  engine->work.steps++;
  if (!vj_mllama_extend (engine->model, s->stretches, n, s->logits, error))
    return FALSE;
  end_prompts (engine, s->logits + draws * engine->config->vocab_size);
  return advance_draws (engine, s->logits, error);
}

static gboolean
run_until_finished (VjEngine *engine, GError **error)
{
  VjScheduler *s = engine->scheduler;
  if (!vj_scheduler_reserve (engine, error))
    return FALSE;
  while (s->finished.length == 0 && (s->running->len > 0 || s->starting.length > 0 || s->prefilling.length > 0
                                     || s->waiting.length > 0)) {
    if (!begin_draws (engine, error) || !admit (engine, error))
      return FALSE;
    if ((s->finished.length == 0 || s->running->len > 0) && !step (engine, error))
      return FALSE;
  }
  return TRUE;
}

gboolean
vj_engine_poll (VjEngine *engine, VjGenerated *ret_generated, gboolean *ret_done, GError **error)
{
  VjScheduler *s = engine->scheduler;
  if (s->failed)
    return vj_fail (error, VJ_EXIT_BACKEND, "generate: the engine failed before; open it anew");
  if (!run_until_finished (engine, error)) {
    s->failed = TRUE;
    return FALSE;
  }
  g_autofree VjGenerated *done = g_queue_pop_head (&s->finished);
  *ret_done = done == NULL;
  if (done != NULL)
    *ret_generated = *done;
  return TRUE;
}

/* -- life ------------------------------------------------------------------------------------ */

VjScheduler *
vj_scheduler_new (void)
{
  VjScheduler *s = g_new0 (VjScheduler, 1);
  s->running = g_ptr_array_new ();
  return s;
}

static void
leave_all (VjEngine *engine, GQueue *requests)
{
  for (VjQueued *request; (request = g_queue_pop_head (requests)) != NULL;)
    vj_queued_leave (engine, request);
}

void
vj_scheduler_free (VjScheduler *s, VjEngine *engine)
{
  if (s == NULL)
    return;
  for (guint i = 0; i < s->running->len; i++)
    vj_draw_free (engine, s->running->pdata[i]);
  leave_all (engine, &s->starting);
  leave_all (engine, &s->prefilling);
  for (VjQueued *request; (request = g_queue_pop_head (&s->waiting)) != NULL;)
    vj_queued_free (engine, request);
  for (VjGenerated *done; (done = g_queue_pop_head (&s->finished)) != NULL;) {
    g_free (done->text);
    g_free (done->logprobs);
    g_free (done);
  }
  vj_sampler_clear (&s->sampler);
  g_ptr_array_unref (s->running);
  g_free (s->stretches);
  g_free (s->logits);
  g_free (s);
}
