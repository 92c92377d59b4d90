/* The scheduler behind vj_engine_submit and vj_engine_poll: continuous batching.
 *
 * Requests wait in a queue. Several at a time are admitted: their images are
 * encoded, their prompts run through the model together, and each of their draws
 * becomes a sequence with a fork of the prompt's cache. One step appends one token
 * to every running draw; a finished draw makes room at once for the next.
 *
 * Laws. Draws start in the order of submission, and a request is admitted only
 * with the memory of its draws set aside, or alone; so what submit found to fit
 * alone always gets its turn. What a draw says depends on its prompt, options and seed only:
 * the model's rows do not depend on each other, and each draw has its own stream. */
#define _GNU_SOURCE 1 /* memmem */
#include "engine/engine-private.h"

#include <string.h>

/* Prompt tokens run in one call, unless one prompt alone is longer. */
#define PREFILL_TOKENS 4096

typedef struct {
  guint64 ticket;
  GArray *tokens;    /* guint32: the prompt                             */
  GPtrArray *images; /* VjShownImage *, held, in order of appearance    */
  VjGenerateOptions options; /* its `stop` is ours                      */
  char **stop;
  guint64 *seeds; /* [n] */
  guint n, started, finished;
  guint together;         /* draws that may run at a time: their memory is set aside */
  gsize capacity;         /* tokens a draw can hold                                  */
  VjMllamaSequence *base; /* the prompt, from admission until the last draw starts   */
  float *logits;          /* [V] after the prompt, for the same time                 */
} Request;

typedef struct {
  Request *request;
  guint number;
  VjMllamaSequence *sequence;
  VjRandom random;
  GString *bytes; /* what was said so far */
  guint said;     /* tokens, the one that ends it included */
  guint32 token;  /* the last one, not yet in the cache    */
} Draw;

struct VjScheduler {
  GQueue waiting;  /* Request *, not admitted                       */
  GQueue starting; /* Request *, admitted, with draws not yet begun */
  GPtrArray *running; /* Draw * */
  GQueue finished;    /* VjGenerated * */
  VjSampler sampler;
  GArray *logits; /* float [running, V]: scratch */
  gboolean failed;
};

/* -- memory ------------------------------------------------------------------------- */

/* A single draw takes the prompt's sequence over; several fork it. */
static gsize
base_capacity (const Request *request)
{
  return request->n == 1 ? request->capacity : request->tokens->len;
}

static gsize
base_bytes (const VjEngine *engine, const Request *request)
{
  return vj_mllama_sequence_bytes (engine->model, base_capacity (request));
}

static gsize
draw_bytes (const VjEngine *engine, const Request *request)
{
  return request->n == 1 ? 0 : vj_mllama_sequence_bytes (engine->model, request->capacity);
}

/* What one request takes when nothing else runs: the least it needs to go on. */
static gsize
lone_bytes (const VjEngine *engine, const Request *request)
{
  return base_bytes (engine, request) + draw_bytes (engine, request) + request->images->len * vj_mllama_vision_bytes (engine->model);
}

/* -- requests ------------------------------------------------------------------------ */

static void
request_free (VjEngine *engine, Request *request)
{
  for (guint i = 0; request->images != NULL && i < request->images->len; i++)
    vj_image_release (engine, request->images->pdata[i]);
  g_clear_pointer (&request->images, g_ptr_array_unref);
  g_clear_pointer (&request->tokens, g_array_unref);
  g_clear_pointer (&request->base, vj_mllama_sequence_free);
  g_strfreev (request->stop);
  g_free (request->seeds);
  g_free (request->logits);
  g_free (request);
}

static gboolean
hold_images (VjEngine *engine, const VjGenerateRequest *given, Request *request, GError **error)
{
  for (gsize m = 0; m < given->n_messages; m++)
    for (gsize i = 0; i < given->messages[m].n_images; i++) {
      const VjPixels *pixels = &given->messages[m].images[i];
      if (pixels->rgb == NULL || pixels->width < 1 || pixels->height < 1 || pixels->width > VJ_PREPROCESS_MAX_SIDE ||
          pixels->height > VJ_PREPROCESS_MAX_SIDE)
        return vj_fail (error, VJ_EXIT_DATA, "generate: ticket %" G_GUINT64_FORMAT ": an image of %u x %u pixels; expected sides from 1 to %u",
                        request->ticket, pixels->width, pixels->height, VJ_PREPROCESS_MAX_SIDE);
      g_ptr_array_add (request->images, vj_image_hold (engine, pixels));
    }
  return TRUE;
}

static gboolean
render_request (VjEngine *engine, const VjGenerateRequest *given, Request *request, GError **error)
{
  g_auto (VjPrompt) prompt = {0};
  if (!vj_chat_render (&engine->chat, engine->tokenizer, given->messages, given->n_messages, VJ_PROMPT_GENERATE, &prompt, error))
    return FALSE;
  gsize positions = engine->config->max_position_embeddings;
  if (prompt.tokens->len >= positions)
    return vj_fail (error, VJ_EXIT_DATA,
                    "generate: ticket %" G_GUINT64_FORMAT ": the prompt has %u tokens: the model has %" G_GSIZE_FORMAT
                    " positions and needs one for a reply; shorten it",
                    request->ticket, prompt.tokens->len, positions);
  request->tokens = g_steal_pointer (&prompt.tokens);
  /* The last token of a reply is never fed back, so it needs no place. */
  request->capacity = MIN ((gsize) request->tokens->len + request->options.max_tokens - 1, positions);
  return TRUE;
}

static gboolean
fill_request (VjEngine *engine, const VjGenerateRequest *given, Request *request, GError **error)
{
  if (given->n < 1 || given->seeds == NULL)
    return vj_fail (error, VJ_EXIT_DATA, "generate: ticket %" G_GUINT64_FORMAT ": no draws; ask for at least one", request->ticket);
  if (!vj_generate_options_check (&given->options, error) || !render_request (engine, given, request, error) ||
      !hold_images (engine, given, request, error))
    return FALSE;
  request->seeds = g_memdup2 (given->seeds, given->n * sizeof (guint64));
  request->n = given->n;
  request->stop = g_strdupv ((char **) given->options.stop);
  request->options.stop = NULL;
  gsize needed = lone_bytes (engine, request);
  if (needed > engine->memory_limit)
    return vj_fail (error, VJ_EXIT_LIMIT,
                    "generate: ticket %" G_GUINT64_FORMAT ": it needs %" G_GSIZE_FORMAT " bytes of cache alone: the limit is %" G_GSIZE_FORMAT
                    "; raise the limit, or ask for fewer tokens or images",
                    request->ticket, needed, engine->memory_limit);
  return TRUE;
}

gboolean
vj_engine_submit (VjEngine *engine, guint64 ticket, const VjGenerateRequest *given, GError **error)
{
  Request *request = g_new0 (Request, 1);
  request->ticket = ticket;
  request->options = given->options;
  request->images = g_ptr_array_new ();
  if (!fill_request (engine, given, request, error)) {
    request_free (engine, request);
    return FALSE;
  }
  g_queue_push_tail (&engine->scheduler->waiting, request);
  return TRUE;
}

/* -- draws ---------------------------------------------------------------------------- */

/* Gives back what the request set aside and frees it. */
static void
request_leave (VjEngine *engine, Request *request)
{
  for (guint i = 0; i < request->images->len; i++)
    vj_image_rest (engine, request->images->pdata[i]);
  request_free (engine, request);
}

static void
draw_free (VjEngine *engine, Draw *draw)
{
  Request *request = draw->request;
  vj_mllama_sequence_free (draw->sequence);
  g_string_free (draw->bytes, TRUE);
  g_free (draw);
  request->finished++;
  /* The memory stays set aside for the request's next draw, if one is left to take it. */
  if (request->n - request->finished < request->together) {
    request->together--;
    engine->memory_used -= request->n == 1 ? base_bytes (engine, request) : draw_bytes (engine, request);
  }
  if (request->finished == request->n)
    request_leave (engine, request);
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
take_token (VjEngine *engine, Draw *draw, guint32 token, VjFinish *ret_finish)
{
  const Request *request = draw->request;
  gsize length, from = draw->bytes->len;
  draw->token = token;
  draw->said++;
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
  return draw->said >= request->options.max_tokens || request->tokens->len + draw->said > request->capacity;
}

/* Draws the next token. When the draw ends with it, it is moved to the finished ones and freed, *ret_alive is FALSE. */
static gboolean
advance (VjEngine *engine, Draw *draw, const float *logits, gboolean *ret_alive, GError **error)
{
  guint32 token;
  VjFinish finish;
  if (!vj_sampler_draw (&engine->scheduler->sampler, logits, engine->config->vocab_size, &draw->request->options, &draw->random, &token, error))
    return FALSE;
  *ret_alive = !take_token (engine, draw, token, &finish);
  if (*ret_alive)
    return TRUE;
  VjGenerated *done = g_new (VjGenerated, 1);
  *done = (VjGenerated){.ticket = draw->request->ticket,
                        .draw = draw->number,
                        .text = vj_tokenizer_valid (draw->bytes->str, draw->bytes->len),
                        .finish = finish,
                        .prompt_tokens = draw->request->tokens->len,
                        .completion_tokens = draw->said};
  g_queue_push_tail (&engine->scheduler->finished, done);
  draw_free (engine, draw);
  return TRUE;
}

/* Makes the next draw's sequence. The last one takes the base away from the request. */
static VjMllamaSequence *
open_sequence (VjEngine *engine, Request *request, GError **error)
{
  if (request->n == 1)
    return g_steal_pointer (&request->base);
  VjMllamaSequence *sequence = vj_mllama_sequence_fork (request->base, request->capacity, error);
  if (sequence != NULL && request->started + 1 == request->n) {
    g_clear_pointer (&request->base, vj_mllama_sequence_free);
    engine->memory_used -= base_bytes (engine, request);
  }
  return sequence;
}

/* Begins the request's next draw: its sequence, its stream, its first token. */
static gboolean
begin_draw (VjEngine *engine, Request *request, GError **error)
{
  VjScheduler *s = engine->scheduler;
  gboolean alive;
  VjMllamaSequence *sequence = open_sequence (engine, request, error);
  if (sequence == NULL)
    return FALSE;
  Draw *draw = g_new0 (Draw, 1);
  *draw = (Draw){.request = request, .number = request->started, .sequence = sequence, .bytes = g_string_new (NULL)};
  vj_random_init (&draw->random, request->seeds[request->started++]);
  g_ptr_array_add (s->running, draw);
  /* The draw may end with its first token, and the request with it. */
  g_autofree float *last = request->started == request->n ? g_steal_pointer (&request->logits) : NULL;
  if (last != NULL)
    g_queue_pop_head (&s->starting);
  if (!advance (engine, draw, last != NULL ? last : request->logits, &alive, error))
    return FALSE;
  if (!alive)
    g_ptr_array_set_size (s->running, (gint) s->running->len - 1);
  return TRUE;
}

/* Begins draws of admitted requests, in order, while there are places. */
static gboolean
begin_draws (VjEngine *engine, GError **error)
{
  VjScheduler *s = engine->scheduler;
  while (s->starting.length > 0 && s->running->len < engine->max_batch) {
    Request *request = s->starting.head->data;
    if (request->started - request->finished >= request->together)
      break;
    if (!begin_draw (engine, request, error))
      return FALSE;
  }
  return TRUE;
}

/* -- admission -------------------------------------------------------------------------- */

/* Sets memory aside for the request's images, its prompt and all its draws; fewer draws will do when nothing else is
 * admitted. FALSE: nothing set aside, it has to wait. */
static gboolean
reserve (VjEngine *engine, Request *request)
{
  const VjScheduler *s = engine->scheduler;
  gboolean alone = s->running->len == 0 && s->starting.length == 0;
  for (guint i = 0; i < request->images->len; i++)
    vj_image_use (engine, request->images->pdata[i]);
  request->together = MIN (request->n, engine->max_batch);
  while (!vj_engine_make_room (engine, base_bytes (engine, request) + request->together * draw_bytes (engine, request))) {
    if (!alone || request->together == 1) {
      for (guint i = 0; i < request->images->len; i++)
        vj_image_rest (engine, request->images->pdata[i]);
      return FALSE;
    }
    request->together--;
  }
  engine->memory_used += base_bytes (engine, request) + request->together * draw_bytes (engine, request);
  return TRUE;
}

/* Encodes the images of newly admitted requests and runs their prompts. */
static gboolean
run_prompts (VjEngine *engine, GPtrArray *fresh, GError **error)
{
  g_autoptr (GPtrArray) images = g_ptr_array_new ();
  gsize vocab = engine->config->vocab_size;
  for (guint r = 0; r < fresh->len; r++) {
    Request *request = fresh->pdata[r];
    for (guint i = 0; i < request->images->len; i++)
      g_ptr_array_add (images, request->images->pdata[i]);
  }
  if (!vj_images_encode (engine, (VjShownImage *const *) images->pdata, images->len, error))
    return FALSE;
  g_autofree VjMllamaSequence **sequences = g_new0 (VjMllamaSequence *, fresh->len);
  for (guint r = 0; r < fresh->len; r++) {
    Request *request = fresh->pdata[r];
    g_autofree VjMllamaVision **visions = g_new0 (VjMllamaVision *, request->images->len + 1);
    for (guint i = 0; i < request->images->len; i++)
      visions[i] = ((VjShownImage *) request->images->pdata[i])->vision;
    request->base = vj_mllama_sequence_new (engine->model, (const guint32 *) (gpointer) request->tokens->data, request->tokens->len, visions,
                                            request->images->len, base_capacity (request), error);
    if (request->base == NULL)
      return FALSE;
    sequences[r] = request->base;
  }
  g_autofree float *logits = g_new (float, fresh->len * vocab);
  if (!vj_mllama_prefill (engine->model, sequences, fresh->len, logits, error))
    return FALSE;
  for (guint r = 0; r < fresh->len; r++)
    ((Request *) fresh->pdata[r])->logits = g_memdup2 (logits + r * vocab, vocab * sizeof (float));
  return TRUE;
}

/* Moves waiting requests to the free places, one prefill's worth, and runs their prompts. */
static gboolean
admit (VjEngine *engine, GError **error)
{
  VjScheduler *s = engine->scheduler;
  g_autoptr (GPtrArray) fresh = g_ptr_array_new ();
  gsize tokens = 0, places = engine->max_batch - s->running->len;
  if (s->starting.length > 0)
    return TRUE;
  while (s->waiting.length > 0 && places > 0) {
    Request *request = s->waiting.head->data;
    tokens += request->tokens->len;
    if ((fresh->len > 0 && tokens > PREFILL_TOKENS) || !reserve (engine, request))
      break;
    g_queue_push_tail (&s->starting, g_queue_pop_head (&s->waiting));
    g_ptr_array_add (fresh, request);
    places -= MIN (request->n, places);
  }
  return fresh->len == 0 || run_prompts (engine, fresh, error);
}

/* -- stepping ------------------------------------------------------------------------------ */

/* One token more for every running draw. */
static gboolean
step (VjEngine *engine, GError **error)
{
  VjScheduler *s = engine->scheduler;
  guint n = s->running->len, kept = 0;
  gsize vocab = engine->config->vocab_size;
  g_autofree VjMllamaSequence **sequences = g_new (VjMllamaSequence *, n);
  g_autofree guint32 *tokens = g_new (guint32, n);
  for (guint i = 0; i < n; i++) {
    sequences[i] = ((Draw *) s->running->pdata[i])->sequence;
    tokens[i] = ((Draw *) s->running->pdata[i])->token;
  }
  g_array_set_size (s->logits, (guint) (n * vocab));
  float *logits = (float *) (gpointer) s->logits->data;
  if (!vj_mllama_decode (engine->model, sequences, tokens, n, logits, error))
    return FALSE;
  gboolean sound = TRUE;
  for (guint i = 0; i < n; i++) {
    gboolean alive = TRUE;
    Draw *draw = s->running->pdata[i];
    sound = sound && advance (engine, draw, logits + i * vocab, &alive, error);
    if (alive)
      s->running->pdata[kept++] = draw;
  }
  g_ptr_array_set_size (s->running, (gint) kept);
  return sound;
}

static gboolean
run_until_finished (VjEngine *engine, GError **error)
{
  VjScheduler *s = engine->scheduler;
  while (s->finished.length == 0 && (s->running->len > 0 || s->starting.length > 0 || s->waiting.length > 0)) {
    if (!begin_draws (engine, error) || !admit (engine, error) || !begin_draws (engine, error))
      return FALSE;
    if (s->running->len > 0 && !step (engine, error))
      return FALSE;
    if (s->running->len == 0 && s->finished.length == 0)
      return vj_fail (error, VJ_EXIT_BUG, "generate: requests wait, but none can start; please report this");
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
  s->logits = g_array_new (FALSE, FALSE, sizeof (float));
  return s;
}

void
vj_scheduler_free (VjScheduler *s, VjEngine *engine)
{
  if (s == NULL)
    return;
  for (guint i = 0; i < s->running->len; i++)
    draw_free (engine, s->running->pdata[i]);
  for (Request *request; (request = g_queue_pop_head (&s->starting)) != NULL;)
    request_leave (engine, request);
  for (Request *request; (request = g_queue_pop_head (&s->waiting)) != NULL;)
    request_free (engine, request);
  for (VjGenerated *done; (done = g_queue_pop_head (&s->finished)) != NULL;) {
    g_free (done->text);
    g_free (done);
  }
  vj_sampler_clear (&s->sampler);
  g_ptr_array_unref (s->running);
  g_array_unref (s->logits);
  g_free (s);
}
