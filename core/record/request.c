/* Requests: canonical form and key. */
#include "record/request.h"
#include "base/file.h"
#include "record/record.h"

#include <math.h>
#include <string.h>

static const char *const speakers[] = {"system", "user", "assistant"};
static const char *const finishes[] = {"stop", "length"};

const char *
vj_speaker_name (VjSpeaker speaker)
{
  return speakers[speaker];
}

gboolean
vj_speaker_from_name (const char *name, VjSpeaker *ret_speaker)
{
  for (guint i = 0; name != NULL && i < G_N_ELEMENTS (speakers); i++)
    if (strcmp (name, speakers[i]) == 0) {
      *ret_speaker = (VjSpeaker) i;
      return TRUE;
    }
  return FALSE;
}

const char *
vj_finish_name (VjFinish finish)
{
  return finishes[finish];
}

gboolean
vj_finish_from_name (const char *name, VjFinish *ret_finish)
{
  for (guint i = 0; name != NULL && i < G_N_ELEMENTS (finishes); i++)
    if (strcmp (name, finishes[i]) == 0) {
      *ret_finish = (VjFinish) i;
      return TRUE;
    }
  return FALSE;
}

static json_t *
message_to_json (const VjMessage *message)
{
  json_t *images = json_array ();
  for (size_t i = 0; i < message->n_images; i++)
    json_array_append_new (images, json_string (vj_image_digest (message->images[i])));
  /* json_pack returns NULL, and drops `images`, when the text is not UTF-8. */
  return json_pack ("{s:s, s:s, s:o}", "speaker", speakers[message->speaker], "text", message->text, "images", images);
}

static gboolean
check_sampling (const VjSampling *sampling, GError **error)
{
  if (!isfinite (sampling->temperature) || !isfinite (sampling->top_p) || !isfinite (sampling->min_p) || !isfinite (sampling->repetition_penalty))
    return vj_fail (error, VJ_EXIT_PLUGIN, "request: sampling: temperature, top_p, min_p or repetition_penalty is not a finite number; mend the plugin");
  for (char **stop = sampling->stop; stop != NULL && *stop != NULL; stop++)
    if (!g_utf8_validate (*stop, -1, NULL))
      return vj_fail (error, VJ_EXIT_PLUGIN, "request: sampling: a stop string that is not UTF-8; mend the plugin");
  return TRUE;
}

/* What switches nothing on stays out, so that a request's key does not change when sampling learns something new. */
static void
add_unusual (const VjSampling *sampling, json_t *whole)
{
  if (sampling->min_p != 0)
    json_object_set_new (whole, "min_p", json_real (sampling->min_p));
  if (sampling->repetition_penalty != 0 && sampling->repetition_penalty != 1)
    json_object_set_new (whole, "repetition_penalty", json_real (sampling->repetition_penalty));
  if (sampling->stop == NULL || *sampling->stop == NULL)
    return;
  json_t *stop = json_array ();
  for (char **each = sampling->stop; *each != NULL; each++)
    json_array_append_new (stop, json_string (*each));
  json_object_set_new (whole, "stop", stop);
}

char *
vj_request_canonical (const VjRequest *request, const char *identity, GError **error)
{
  const VjSampling *sampling = &request->sampling;
  json_t *messages, *whole;
  char *text;

  if (request->n_messages == 0) {
    vj_fail (error, VJ_EXIT_PLUGIN, "request: no message: a plugin asked nothing; its `ask` must add a message");
    return NULL;
  }
  messages = json_array ();
  for (size_t i = 0; i < request->n_messages; i++) {
    const VjMessage *message = &request->messages[i];
    json_t *json = NULL;
    if ((guint) message->speaker < G_N_ELEMENTS (speakers) && message->text != NULL)
      json = message_to_json (message);
    if (json == NULL) {
      json_decref (messages);
      vj_fail (error, VJ_EXIT_PLUGIN, "request: message %zu: no speaker, or a text that is not UTF-8; mend the plugin", i + 1);
      return NULL;
    }
    json_array_append_new (messages, json);
  }
  if (!check_sampling (sampling, error)) {
    json_decref (messages);
    return NULL;
  }
  whole = json_pack ("{s:i, s:o, s:s, s:f, s:f, s:I, s:I}", "request", 1, "messages", messages, "identity",
                     identity != NULL ? identity : "", "temperature", sampling->temperature, "top_p", sampling->top_p,
                     "top_k", (json_int_t) sampling->top_k, "max_tokens", (json_int_t) sampling->max_tokens);
  if (whole != NULL)
    add_unusual (sampling, whole);
  text = whole != NULL ? vj_json_canonical (whole) : NULL;
  json_decref (whole);
  if (text == NULL)
    vj_fail (error, VJ_EXIT_PLUGIN, "request: the backend's identity is not UTF-8; mend the backend plugin");
  return text;
}

char *
vj_request_key (const char *canonical, guint64 seed)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  guint64 word = GUINT64_TO_LE (seed);

  /* With the terminator, so that text and seed cannot run together. */
  g_checksum_update (sum, (const guchar *) canonical, (gssize) strlen (canonical) + 1);
  g_checksum_update (sum, (const guchar *) &word, sizeof word);
  return g_strdup (g_checksum_get_string (sum));
}
