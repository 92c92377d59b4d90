/* The training layouts: LLaMA-Factory's sharegpt files and TRL's conversational ones. */
#include "store/layouts.h"

#include <string.h>

/* Appends the file names of `digests` to `images`. */
static gboolean
name_images (const json_t *digests, VjImageNamer namer, gpointer exporting, json_t *images)
{
  for (size_t i = 0; i < json_array_size (digests); i++) {
    const char *name = namer (exporting, json_string_value (json_array_get (digests, i)));
    if (name == NULL)
      return FALSE;
    json_array_append_new (images, json_string (name));
  }
  return TRUE;
}

/* NULL, and both dropped, unless `good`. */
static json_t *
only_if (gboolean good, json_t *whole)
{
  if (good)
    return whole;
  json_decref (whole);
  return NULL;
}

/* -- LLaMA-Factory: texts with a placeholder for each image -------------------------------- */

/* Its loader counts the placeholders of a conversation, so one that stands in the data must not look like one. */
static json_t *
with_placeholders (const char *text, size_t n_images)
{
  g_autoptr (GString) out = g_string_new (text);
  g_string_replace (out, "<image>", "< image>", 0);
  g_string_replace (out, "<video>", "< video>", 0);
  g_string_replace (out, "<audio>", "< audio>", 0);
  for (size_t i = 0; i < n_images; i++)
    g_string_prepend (out, "<image>");
  return json_string (out->str);
}

json_t *
vj_layout_llamafactory_sft (const VjRecord *judgment, VjImageNamer namer, gpointer exporting)
{
  const json_t *shown = json_object_get (judgment->fields, "messages");
  json_t *messages = json_array (), *images = json_array ();
  gboolean good = TRUE;

  for (size_t i = 0; good && i < json_array_size (shown); i++) {
    const json_t *message = json_array_get (shown, i), *digests = json_object_get (message, "images");
    json_array_append_new (
      messages, json_pack ("{s:s, s:o}", "role", json_string_value (json_object_get (message, "speaker")), "content",
                           with_placeholders (json_string_value (json_object_get (message, "text")), json_array_size (digests))));
    good = name_images (digests, namer, exporting, images);
  }
  json_array_append_new (
    messages, json_pack ("{s:s, s:o}", "role", "assistant", "content", with_placeholders (vj_record_text (judgment, "text"), 0)));
  return only_if (good, json_pack ("{s:o, s:o}", "messages", messages, "images", images));
}

json_t *
vj_layout_llamafactory_preference (const VjRecord *question, const VjRecord *pair, VjImageNamer namer, gpointer exporting)
{
  const json_t *digests = json_object_get (question->fields, "images");
  json_t *images = json_array ();
  gboolean good = name_images (digests, namer, exporting, images);
  json_t *prompt = with_placeholders (vj_record_text (question, "prompt"), json_array_size (digests));

  return only_if (good, json_pack ("{s:[{s:s, s:o}], s:{s:s, s:o}, s:{s:s, s:o}, s:o}", "conversations", "from", "human",
                                   "value", prompt, "chosen", "from", "gpt", "value",
                                   with_placeholders (vj_record_text (pair, "chosen"), 0), "rejected", "from", "gpt", "value",
                                   with_placeholders (vj_record_text (pair, "rejected"), 0), "images", images));
}

json_t *
vj_layout_llamafactory_info (void)
{
  return json_pack ("{s:{s:s, s:s, s:{s:s, s:s}, s:{s:s, s:s, s:s, s:s, s:s}}, s:{s:s, s:s, s:b, s:{s:s, s:s, s:s, s:s}}}", //
                    "vjrun_sft", "file_name", "sft.json", "formatting", "sharegpt", "columns", "messages", "messages",
                    "images", "images", "tags", "role_tag", "role", "content_tag", "content", "user_tag", "user",
                    "assistant_tag", "assistant", "system_tag", "system", //
                    "vjrun_preference", "file_name", "preference.json", "formatting", "sharegpt", "ranking", 1, "columns",
                    "messages", "conversations", "chosen", "chosen", "rejected", "rejected", "images", "images");
}

/* -- TRL: contents in parts ------------------------------------------------------------------- */

static json_t *
in_parts (const char *role, const char *text, size_t n_images)
{
  json_t *content = json_array ();
  for (size_t i = 0; i < n_images; i++)
    json_array_append_new (content, json_pack ("{s:s}", "type", "image"));
  json_array_append_new (content, json_pack ("{s:s, s:s}", "type", "text", "text", text));
  return json_pack ("{s:s, s:o}", "role", role, "content", content);
}

json_t *
vj_layout_trl_sft (const VjRecord *judgment, VjImageNamer namer, gpointer exporting)
{
  const json_t *shown = json_object_get (judgment->fields, "messages");
  json_t *messages = json_array (), *images = json_array ();
  gboolean good = TRUE;

  for (size_t i = 0; good && i < json_array_size (shown); i++) {
    const json_t *message = json_array_get (shown, i), *digests = json_object_get (message, "images");
    json_array_append_new (messages, in_parts (json_string_value (json_object_get (message, "speaker")),
                                               json_string_value (json_object_get (message, "text")), json_array_size (digests)));
    good = name_images (digests, namer, exporting, images);
  }
  json_array_append_new (messages, in_parts ("assistant", vj_record_text (judgment, "text"), 0));
  return only_if (good, json_pack ("{s:o, s:o}", "messages", messages, "images", images));
}

json_t *
vj_layout_trl_preference (const VjRecord *question, const VjRecord *pair, VjImageNamer namer, gpointer exporting)
{
  const json_t *digests = json_object_get (question->fields, "images");
  json_t *images = json_array ();
  gboolean good = name_images (digests, namer, exporting, images);

  return only_if (good, json_pack ("{s:[o], s:[o], s:[o], s:o}", "prompt",
                                   in_parts ("user", vj_record_text (question, "prompt"), json_array_size (digests)), "chosen",
                                   in_parts ("assistant", vj_record_text (pair, "chosen"), 0), "rejected",
                                   in_parts ("assistant", vj_record_text (pair, "rejected"), 0), "images", images));
}
