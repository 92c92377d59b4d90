/* From a submitted chat to a queued prompt: rendering, images, and whether it can ever fit. */
#include "engine/scheduler.h"

/* -- prompts and images ------------------------------------------------------------ */

GArray *
vj_prompt_tokens (VjEngine *engine, const char *what, const VjChatMessage *messages, gsize n, GError **error)
{
  g_auto (VjPrompt) prompt = {0};
  gsize positions = engine->config->max_position_embeddings;
  if (!vj_chat_render (&engine->chat, engine->tokenizer, messages, n, VJ_PROMPT_GENERATE, &prompt, error))
    return NULL;
  if (prompt.tokens->len >= positions) {
    vj_fail (error, VJ_EXIT_DATA,
             "%s: the prompt has %u tokens: the model has %" G_GSIZE_FORMAT " positions and needs one for a reply; shorten it",
             what, prompt.tokens->len, positions);
    return NULL;
  }
  return g_steal_pointer (&prompt.tokens);
}

gboolean
vj_chat_hold_images (VjEngine *engine, const char *what, const VjChatMessage *messages, gsize n, GPtrArray *images,
                     GError **error)
{
  for (gsize m = 0; m < n; m++)
    for (gsize i = 0; i < messages[m].n_images; i++) {
      const VjPixels *pixels = &messages[m].images[i];
      if (pixels->rgb == NULL || pixels->width < 1 || pixels->height < 1 || pixels->width > VJ_PREPROCESS_MAX_SIDE ||
          pixels->height > VJ_PREPROCESS_MAX_SIDE)
        return vj_fail (error, VJ_EXIT_DATA, "%s: an image of %u x %u pixels; expected sides from 1 to %u", what,
                        pixels->width, pixels->height,
                        VJ_PREPROCESS_MAX_SIDE);
      g_ptr_array_add (images, vj_image_hold (engine, pixels));
    }
  return TRUE;
}

char *
vj_images_shown (const GPtrArray *images)
{
  GString *shown = g_string_new (NULL);
  for (guint i = 0; i < images->len; i++)
    g_string_append_printf (shown, "%s\n", ((VjShownImage *) images->pdata[i])->digest);
  return g_string_free (shown, FALSE);
}

void
vj_images_release (VjEngine *engine, GPtrArray *images)
{
  for (guint i = 0; images != NULL && i < images->len; i++)
    vj_image_release (engine, images->pdata[i]);
  g_clear_pointer (&images, g_ptr_array_unref);
}

VjMllamaSequence *
vj_prompt_sequence (VjEngine *engine, const GArray *tokens, const GPtrArray *images, gsize capacity, GError **error)
{
  g_autofree VjMllamaVision **visions = g_new0 (VjMllamaVision *, images->len + 1);
  for (guint i = 0; i < images->len; i++)
    visions[i] = ((VjShownImage *) images->pdata[i])->vision;
  return vj_mllama_sequence_new (engine->model, (const guint32 *) (gpointer) tokens->data, tokens->len, visions,
                                 images->len, capacity, error);
}

/* -- memory ------------------------------------------------------------------------ */

gsize
vj_queued_base_capacity (const VjQueued *request)
{
  return request->n == 1 ? request->capacity : request->tokens->len;
}

gsize
vj_queued_base_bytes (const VjEngine *engine, const VjQueued *request)
{
  return vj_mllama_sequence_bytes (engine->model, vj_queued_base_capacity (request));
}

gsize
vj_queued_draw_bytes (const VjEngine *engine, const VjQueued *request)
{
  return request->n == 1 ? 0 : vj_mllama_sequence_bytes (engine->model, request->capacity);
}

gsize
vj_queued_joined_bytes (const VjEngine *engine, const VjQueued *request)
{
  return vj_mllama_joined_bytes (engine->model, request->images->len);
}

/* What one request takes when nothing else runs: the least it needs to go on. */
static gsize
lone_bytes (const VjEngine *engine, const VjQueued *request)
{
  return vj_queued_base_bytes (engine, request) + vj_queued_draw_bytes (engine, request)
         + vj_queued_joined_bytes (engine, request) + request->images->len * vj_mllama_vision_bytes (engine->model);
}

/* -- submitting -------------------------------------------------------------------- */

void
vj_queued_free (VjEngine *engine, VjQueued *request)
{
  vj_images_release (engine, request->images);
  g_clear_pointer (&request->tokens, g_array_unref);
  g_strfreev (request->stop);
  g_free (request->shown);
  g_free (request->seeds);
  g_free (request->logits);
  g_free (request);
}

static gboolean
fill_request (VjEngine *engine, const char *what, const VjGenerateRequest *given, VjQueued *request, GError **error)
{
  if (given->n < 1 || given->seeds == NULL)
    return vj_fail (error, VJ_EXIT_DATA, "%s: no draws; ask for at least one", what);
  if (!vj_generate_options_check (&given->options, error) ||
      (request->tokens = vj_prompt_tokens (engine, what, given->messages, given->n_messages, error)) == NULL ||
      !vj_chat_hold_images (engine, what, given->messages, given->n_messages, request->images, error))
    return FALSE;
  request->shown = vj_images_shown (request->images);
  request->seeds = g_memdup2 (given->seeds, given->n * sizeof (guint64));
  request->n = given->n;
  request->stop = g_strdupv ((char **) given->options.stop);
  request->options.stop = NULL;
  /* The last token of a reply is never fed back, so it needs no place. */
  request->capacity = MIN ((gsize) request->tokens->len + request->options.max_tokens - 1,
                           engine->config->max_position_embeddings);
  gsize needed = lone_bytes (engine, request);
  if (needed > engine->cache_limit)
    return vj_fail (error, VJ_EXIT_LIMIT,
                    "%s: it needs %" G_GSIZE_FORMAT " bytes of cache alone: the memory limit leaves %" G_GSIZE_FORMAT
                    " for caches; raise memory_limit, or ask for fewer tokens or images",
                    what, needed, engine->cache_limit);
  return TRUE;
}

gboolean
vj_engine_submit (VjEngine *engine, guint64 ticket, const VjGenerateRequest *given, GError **error)
{
  g_autofree char *what = g_strdup_printf ("generate: ticket %" G_GUINT64_FORMAT, ticket);
  VjQueued *request = g_new0 (VjQueued, 1);
  request->ticket = ticket;
  request->options = given->options;
  request->images = g_ptr_array_new ();
  if (!fill_request (engine, what, given, request, error)) {
    vj_queued_free (engine, request);
    return FALSE;
  }
  g_queue_push_tail (&engine->scheduler->waiting, request);
  return TRUE;
}
