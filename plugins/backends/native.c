/* native: answers requests with the engine in this process: a thin adapter over vj/engine.h. It
 * decodes images and translates; tokens, batches and caches are the engine's.
 *
 * A request that the model cannot take (a prompt too long, an image it cannot read) is answered with
 * an error for each of its draws, so that only its record is lost. A broken model stops the run. */
#include <vj/engine.h>
#include <vj/plugin.h>

#include <string.h>

#define PIXELS_KEPT ((gsize) 64 << 20) /* bytes of decoded images kept between requests */

typedef struct {
  char *path, *compute;
  int64_t dtype, threads, max_batch, memory_limit;

  VjEngine *engine;
  GHashTable *pixels; /* digest, owned -> VjPixels *, owned with its rgb */
  gsize pixels_bytes;
  GQueue refused; /* VjReply *: of requests that the engine did not take */
} Native;

static const char *const dtypes[] = {VJ_ENGINE_DTYPES, NULL};

static const VjOption options[] = {
  VJ_OPTION_PATH (Native, path, "Hugging Face model directory of the Llama 3.2 Vision family."),
  VJ_OPTION_STRING (Native, compute, "auto", "What does the arithmetic: a compute plugin (vjrun plugins lists them) or cpu, cpu:amx, cpu:avx512, cpu:generic, ref; "
                                           "auto takes the fastest there is."),
  VJ_OPTION_CHOICE (Native, dtype, "auto", dtypes, "Numbers that products multiply; auto: bf16 where the weights are stored in it."),
  VJ_OPTION_INT (Native, threads, "0", 0, 1024, "threads", "Threads of the engine; 0 means all processors."),
  VJ_OPTION_INT (Native, max_batch, "0", 0, 4096, "draws", "Draws that are decoded together; 0 lets the engine choose."),
  VJ_OPTION_INT (Native, memory_limit, "0", 0, 1e9, "MiB", "Memory for activations, caches and encoded images, beside the weights; "
                                                           "0 means half of what the machine has available."),
  VJ_OPTION_END
};

static void
pixels_free (gpointer data)
{
  VjPixels *pixels = data;
  g_free ((gpointer) pixels->rgb);
  g_free (pixels);
}

static void
reply_free (gpointer data)
{
  VjReply *reply = data;
  g_free (reply->error);
  g_free (reply);
}

static gboolean
native_start (void *instance, VjRun *run, GError **error)
{
  Native *self = instance;
  VjEngineConfig config = {.compute = self->compute,
                           .dtype = dtypes[self->dtype],
                           .threads = (guint) self->threads,
                           .max_batch = (guint) self->max_batch,
                           .memory_limit = (gsize) self->memory_limit << 20};
  self->pixels = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, pixels_free);
  self->engine = vj_engine_open (self->path, &config, error);
  if (self->engine == NULL)
    return FALSE;
  vj_run_log (run, "native: %s: %s", self->path, vj_engine_summary (self->engine));
  return TRUE;
}

static void
native_stop (void *instance)
{
  Native *self = instance;
  g_clear_pointer (&self->engine, vj_engine_free);
  g_clear_pointer (&self->pixels, g_hash_table_unref);
  g_queue_clear_full (&self->refused, reply_free);
}

/* The image's pixels, decoded unless they were a short while ago. Borrowed until the next request. */
static gboolean
see_image (Native *self, const VjImage *image, VjPixels *ret_pixels, GError **error)
{
  const char *digest = vj_image_digest (image);
  VjPixels *pixels = g_hash_table_lookup (self->pixels, digest), decoded;
  if (pixels == NULL) {
    if (!vj_image_decode (image, &decoded, error))
      return FALSE;
    char *name = g_strdup (digest);
    decoded.digest = name; /* lives as long as the entry */
    pixels = g_memdup2 (&decoded, sizeof decoded);
    g_hash_table_insert (self->pixels, name, pixels);
    self->pixels_bytes += (gsize) decoded.width * decoded.height * 3;
  }
  *ret_pixels = *pixels;
  return TRUE;
}

static gboolean
see_images (Native *self, const VjRequest *request, VjPixels *images, VjChatMessage *messages, GError **error)
{
  for (size_t m = 0; m < request->n_messages; m++) {
    const VjMessage *message = &request->messages[m];
    messages[m] = (VjChatMessage){message->speaker, message->text, images, message->n_images};
    for (size_t i = 0; i < message->n_images; i++)
      if (!see_image (self, message->images[i], images++, error))
        return FALSE;
  }
  return TRUE;
}

/* The request's chat as the engine takes it; its pixels are borrowed until the next one. Free both with g_free. */
static gboolean
read_chat (Native *self, const VjRequest *request, VjPixels **ret_images, VjChatMessage **ret_messages, GError **error)
{
  size_t n_images = 0;
  for (size_t m = 0; m < request->n_messages; m++)
    n_images += request->messages[m].n_images;
  if (self->pixels_bytes > PIXELS_KEPT) {
    g_hash_table_remove_all (self->pixels);
    self->pixels_bytes = 0;
  }
  g_autofree VjPixels *images = g_new0 (VjPixels, n_images + 1);
  g_autofree VjChatMessage *messages = g_new0 (VjChatMessage, request->n_messages + 1);
  if (!see_images (self, request, images, messages, error))
    return FALSE;
  *ret_images = g_steal_pointer (&images);
  *ret_messages = g_steal_pointer (&messages);
  return TRUE;
}

static gboolean
submit (Native *self, uint64_t ticket, const VjRequest *request, GError **error)
{
  g_autofree VjPixels *images = NULL;
  g_autofree VjChatMessage *messages = NULL;
  if (!read_chat (self, request, &images, &messages, error)) {
    if (g_error_matches (*error, VJ_ERROR, VJ_EXIT_LIMIT)) /* an image too large is so everywhere */
      (*error)->code = VJ_EXIT_DATA;
    return FALSE;
  }
  const VjSampling *sampling = &request->sampling;
  VjGenerateRequest wanted = {.messages = messages,
                              .n_messages = request->n_messages,
                              .options = {.temperature = sampling->temperature,
                                          .top_k = (guint) sampling->top_k,
                                          .top_p = sampling->top_p,
                                          .max_tokens = (guint) sampling->max_tokens,
                                          .min_p = sampling->min_p,
                                          .repetition_penalty = sampling->repetition_penalty,
                                          .stop = (const char *const *) sampling->stop},
                              .seeds = request->seeds,
                              .n = (guint) sampling->n};
  return vj_engine_submit (self->engine, ticket, &wanted, error);
}

static gboolean
native_submit (void *instance, VjRun *run, uint64_t ticket, const VjRequest *request, GError **error)
{
  Native *self = instance;
  g_autoptr (GError) cause = NULL;
  (void) run;
  if (submit (self, ticket, request, &cause))
    return TRUE;
  /* A refusal is kept as any reply is. What another limit or machine would answer is none. */
  if (vj_error_exit (cause) != VJ_EXIT_DATA) {
    g_propagate_error (error, g_steal_pointer (&cause));
    return FALSE;
  }
  for (int64_t i = 0; i < request->sampling.n; i++) {
    VjReply *reply = g_new0 (VjReply, 1);
    *reply = (VjReply){.ticket = ticket, .draw = (uint32_t) i, .error = g_strdup (cause->message)};
    g_queue_push_tail (&self->refused, reply);
  }
  return TRUE;
}

static VjFlow
native_poll (void *instance, VjRun *run, VjReply *ret_reply, GError **error)
{
  Native *self = instance;
  VjGenerated generated;
  gboolean done;
  (void) run;
  if (self->refused.length > 0) {
    g_autofree VjReply *reply = g_queue_pop_head (&self->refused);
    *ret_reply = *reply;
    return VJ_FLOW_OK;
  }
  if (!vj_engine_poll (self->engine, &generated, &done, error))
    return VJ_FLOW_ERROR;
  if (done)
    return VJ_FLOW_END;
  *ret_reply = (VjReply){.ticket = generated.ticket,
                         .draw = generated.draw,
                         .text = generated.text,
                         .finish = generated.finish,
                         .prompt_tokens = generated.prompt_tokens,
                         .completion_tokens = generated.completion_tokens};
  return VJ_FLOW_OK;
}

static gboolean
native_score (void *instance, VjRun *run, const VjRequest *request, const char *begun, const char *const *continuations, size_t n,
              double *ret_logprobs, GError **error)
{
  Native *self = instance;
  g_autofree VjPixels *images = NULL;
  g_autofree VjChatMessage *messages = NULL;
  (void) run;
  if (!read_chat (self, request, &images, &messages, error))
    return FALSE;
  VjScoreRequest wanted = {messages, request->n_messages, begun, continuations, n};
  return vj_engine_score (self->engine, &wanted, ret_logprobs, error);
}

static const char *
native_identity (void *instance)
{
  return vj_engine_identity (((Native *) instance)->engine);
}

VJ_DEFINE_BACKEND (Native, native_submit, native_poll, native_identity, native_score, .name = "native", .version = "1.0", .license = "Apache-2.0",
                   .summary = "Answers with the engine built into vjrun.", .options = options, .start = native_start, .stop = native_stop)
