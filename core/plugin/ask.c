/* Requests and examples: deep copies of messages that hold references to their images. */
#include "image/image.h"
#include "plugin/host.h"

VjMessage *
vj_messages_copy (const VjMessage *messages, gsize n_messages)
{
  VjMessage *copy = g_new0 (VjMessage, n_messages);
  for (gsize i = 0; i < n_messages; i++) {
    const VjImage **images = g_new0 (const VjImage *, messages[i].n_images);
    for (gsize j = 0; j < messages[i].n_images; j++)
      images[j] = vj_image_ref (messages[i].images[j]);
    copy[i] = (VjMessage) {.speaker = messages[i].speaker,
                           .text = g_strdup (messages[i].text != NULL ? messages[i].text : ""),
                           .images = images,
                           .n_images = messages[i].n_images};
  }
  return copy;
}

void
vj_messages_free (VjMessage *messages, gsize n_messages)
{
  for (gsize i = 0; messages != NULL && i < n_messages; i++) {
    for (gsize j = 0; j < messages[i].n_images; j++)
      vj_image_unref ((VjImage *) messages[i].images[j]);
    g_free ((gpointer) messages[i].images);
    g_free ((char *) messages[i].text);
  }
  g_free (messages);
}

VjRequest *
vj_request_new (const VjMessage *messages, gsize n_messages, const VjSampling *sampling, const uint64_t *seeds)
{
  VjRequest *request = g_new0 (VjRequest, 1);
  request->messages = vj_messages_copy (messages, n_messages);
  request->n_messages = n_messages;
  request->sampling = *sampling;
  request->sampling.stop = g_strdupv (sampling->stop);
  if (request->sampling.n < 1)
    request->sampling.n = 1; /* option tables of plugins that draw once leave it 0 */
  if (seeds != NULL)
    request->seeds = g_memdup2 (seeds, (gsize) request->sampling.n * sizeof *seeds);
  return request;
}

void
vj_request_free (VjRequest *request)
{
  if (request == NULL)
    return;
  vj_messages_free ((VjMessage *) request->messages, request->n_messages);
  g_strfreev (request->sampling.stop);
  g_free ((gpointer) request->seeds);
  g_free (request);
}

VjAsk *
vj_ask_new (void)
{
  VjAsk *ask = g_new0 (VjAsk, 1);
  ask->requests = g_ptr_array_new_with_free_func ((GDestroyNotify) vj_request_free);
  return ask;
}

void
vj_ask_free (VjAsk *ask)
{
  if (ask == NULL)
    return;
  g_ptr_array_unref (ask->requests);
  g_free (ask);
}

void
vj_ask_messages (VjAsk *ask, const VjMessage *messages, size_t n_messages, const VjSampling *sampling)
{
  g_ptr_array_add (ask->requests, vj_request_new (messages, n_messages, sampling, NULL));
}

void
vj_ask_text (VjAsk *ask, const VjQuestion *question, const char *text, const VjSampling *sampling)
{
  const VjMessage message = {
    .speaker = VJ_SPEAKER_USER, .text = text, .images = question->images, .n_images = question->n_images};
  vj_ask_messages (ask, &message, 1, sampling);
}
