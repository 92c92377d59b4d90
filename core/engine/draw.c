/* One reply, token by token: its stream, its text, its end. What a draw says depends on its prompt, options and seed
 * alone: the model's rows do not depend on each other, and each draw has its own stream. */
#define _GNU_SOURCE 1 /* memmem */
#include "engine/scheduler.h"

#include <string.h>

/* Text set aside for a draw at most, so that its steps allocate nothing; a longer one grows. */
#define TEXT_BYTES ((gsize) 1 << 18)

gboolean
vj_scheduler_reserve (VjEngine *engine, GError **error)
{
  VjScheduler *s = engine->scheduler;
  if (s->logits != NULL)
    return TRUE;
  if (!vj_mllama_set_aside (engine->model, MAX (engine->step_tokens, engine->max_batch), engine->max_batch, error))
    return FALSE;
  s->logits = g_new (float, (gsize) engine->max_batch * engine->config->vocab_size);
  s->stretches = g_new (VjMllamaStretch, 2 * (gsize) engine->max_batch);
  vj_sampler_reserve (&s->sampler, engine->config->vocab_size, engine->config->max_position_embeddings + 1);
  return TRUE;
}

/* -- leaving --------------------------------------------------------------------------- */

void
vj_queued_leave (VjEngine *engine, VjQueued *request)
{
  engine->memory_used -= vj_queued_joined_bytes (engine, request);
  if (request->donor != NULL)
    vj_prefix_rest (engine, request->donor);
  if (request->prefix != NULL)
    vj_prefix_rest (engine, request->prefix);
  for (guint i = 0; i < request->images->len; i++)
    vj_image_rest (engine, request->images->pdata[i]);
  vj_queued_free (engine, request);
}

void
vj_draw_free (VjEngine *engine, VjDraw *draw)
{
  VjQueued *request = draw->request;
  if (request->n > 1)
    vj_mllama_sequence_free (draw->sequence);
  g_string_free (draw->bytes, TRUE);
  g_free (draw->tokens);
  g_free (draw->logprobs);
  g_free (draw);
  request->finished++;
  /* The memory stays set aside for the request's next draw, if one is left to take it. */
  if (request->n - request->finished < request->together) {
    request->together--;
    engine->memory_used -= vj_queued_draw_bytes (engine, request);
  }
  if (request->finished == request->n)
    vj_queued_leave (engine, request);
}

/* -- tokens ---------------------------------------------------------------------------- */

static guint
said (const VjDraw *draw)
{
  return draw->n_tokens - draw->request->tokens->len;
}

/* Where the first of the stop strings begins in bytes[from..], or -1. */
static gssize
find_stop (const GString *bytes, gsize from, char *const *stop)
{
  gssize first = -1;
  for (; stop != NULL && *stop != NULL; stop++) {
    gsize length = strlen (*stop), back = MIN (from, length > 0 ? length - 1 : 0);
    const char *found = length == 0 ? NULL : memmem (bytes->str + from - back, bytes->len - from + back, *stop, length);
    if (found != NULL && (first < 0 || found - bytes->str < first))
      first = found - bytes->str;
  }
  return first;
}

static gboolean
is_end (const VjEngine *engine, guint32 token)
{
  for (guint i = 0; i < engine->ends->len; i++)
    if (g_array_index (engine->ends, guint32, i) == token)
      return TRUE;
  return FALSE;
}

/* Takes one more token into the draw. TRUE: it is finished, by `*ret_finish`. */
static gboolean
take_token (VjEngine *engine, VjDraw *draw, guint32 token, VjFinish *ret_finish)
{
  const VjQueued *request = draw->request;
  gsize length, from = draw->bytes->len;
  draw->tokens[draw->n_tokens++] = token;
  *ret_finish = VJ_FINISH_STOP;
  if (is_end (engine, token))
    return TRUE;
  const char *bytes = vj_tokenizer_peek (engine->tokenizer, token, &length);
  g_string_append_len (draw->bytes, bytes, (gssize) length);
  gssize stop = find_stop (draw->bytes, from, request->stop);
  if (stop >= 0) {
    g_string_truncate (draw->bytes, (gsize) stop);
    return TRUE;
  }
  *ret_finish = VJ_FINISH_LENGTH;
  return said (draw) >= request->options.max_tokens || draw->n_tokens > request->capacity;
}

static void
finish (VjEngine *engine, VjDraw *draw, VjFinish how)
{
  VjQueued *request = draw->request;
  VjGenerated *done = g_new (VjGenerated, 1);
  *done = (VjGenerated){.ticket = request->ticket,
                        .draw = draw->number,
                        .text = vj_tokenizer_valid (draw->bytes->str, draw->bytes->len),
                        .finish = how,
                        .prompt_tokens = request->tokens->len,
                        .completion_tokens = said (draw),
                        .logprobs = g_steal_pointer (&draw->logprobs)};
  g_queue_push_tail (&engine->scheduler->finished, done);
  /* A single draw leaves its reply in the cache too, for the prompt that quotes it. */
  if (request->n == 1)
    g_array_append_vals (request->prefix->tokens, draw->tokens + request->tokens->len, said (draw) - 1);
  vj_draw_free (engine, draw);
}

gboolean
vj_draw_advance (VjEngine *engine, VjDraw *draw, float *logits, gboolean *ret_alive, GError **error)
{
  const VjGenerateOptions *options = &draw->request->options;
  VjSampler *sampler = &engine->scheduler->sampler;
  gboolean penalise = vj_generate_options_penalise (options);
  guint32 V = engine->config->vocab_size, token = 0;
  VjFinish how;
  if (penalise)
    vj_sampler_penalise (sampler, logits, V, draw->tokens, draw->n_tokens, options->repetition_penalty);
  gboolean drawn = vj_sampler_draw (sampler, logits, V, options, &draw->random, &token, error);
  if (penalise)
    vj_sampler_forgive (sampler, logits, V, draw->tokens, draw->n_tokens);
  if (!drawn)
    return FALSE;
  if (draw->logprobs != NULL)
    draw->logprobs[said (draw)] = vj_log_probability (logits, V, token);
  *ret_alive = !take_token (engine, draw, token, &how);
  if (!*ret_alive)
    finish (engine, draw, how);
  return TRUE;
}

/* -- beginning ------------------------------------------------------------------------- */

/* The draw's sequence. When the last one is made, the prompt of several is no longer needed. */
static VjMllamaSequence *
open_sequence (VjEngine *engine, VjQueued *request, GError **error)
{
  if (request->n == 1)
    return request->prefix->sequence;
  VjMllamaSequence *sequence = vj_mllama_sequence_fork (request->prefix->sequence, request->capacity, error);
  if (sequence != NULL && request->started > 0)
    engine->work.reused += request->tokens->len;
  if (sequence != NULL && request->started + 1 == request->n) {
    vj_prefix_rest (engine, request->prefix);
    request->prefix = NULL;
  }
  return sequence;
}

static VjDraw *
new_draw (VjEngine *engine, VjQueued *request, VjMllamaSequence *sequence)
{
  guint prompt = request->tokens->len;
  gsize most = MIN ((gsize) request->options.max_tokens, request->capacity + 1 - prompt);
  VjDraw *draw = g_new0 (VjDraw, 1);
  *draw = (VjDraw){.request = request, .number = request->started, .sequence = sequence, .n_tokens = prompt};
  draw->tokens = g_new (guint32, prompt + most);
  memcpy (draw->tokens, request->tokens->data, prompt * sizeof (guint32));
  draw->bytes = g_string_sized_new (MIN (most * engine->longest_token, TEXT_BYTES));
  draw->logprobs = request->options.logprobs ? g_new (double, most) : NULL;
  vj_random_init (&draw->random, request->seeds[request->started]);
  return draw;
}

gboolean
vj_draw_begin (VjEngine *engine, VjQueued *request, GError **error)
{
  VjScheduler *s = engine->scheduler;
  gboolean alive;
  VjMllamaSequence *sequence = open_sequence (engine, request, error);
  if (sequence == NULL)
    return FALSE;
  VjDraw *draw = new_draw (engine, request, sequence);
  request->started++;
  g_ptr_array_add (s->running, draw);
  /* The draw may end with its first token, and the request with it. */
  g_autofree float *last = request->started == request->n ? g_steal_pointer (&request->logits) : NULL;
  if (last != NULL)
    g_queue_pop_head (&s->starting);
  if (!vj_draw_advance (engine, draw, last != NULL ? last : request->logits, &alive, error))
    return FALSE;
  if (!alive)
    g_ptr_array_set_size (s->running, (gint) s->running->len - 1);
  return TRUE;
}
