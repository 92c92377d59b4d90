/* Chat: see chat.h. */
#include "engine/chat.h"

#include <string.h>

/* -- recognising ------------------------------------------------------------------ */

static gboolean
find_control (const char *where, const VjTokenizer *tokenizer, const char *content, guint32 *ret_id, GError **error)
{
  gint64 id = vj_tokenizer_control (tokenizer, content);
  if (id < 0)
    return vj_fail (error, VJ_EXIT_DATA,
                    "%s: 'tokenizer.json': unknown chat family: no control token '%s'; only the Llama 3.2 Vision family is known, use an instruct "
                    "model of it",
                    where, content);
  *ret_id = (guint32) id;
  return TRUE;
}

gboolean
vj_chat_recognise (const char *where, const VjTokenizer *tokenizer, VjChat *ret_chat, GError **error)
{
  VjChat chat;
  if (!find_control (where, tokenizer, "<|begin_of_text|>", &chat.begin_of_text, error) ||
      !find_control (where, tokenizer, "<|start_header_id|>", &chat.start_header, error) ||
      !find_control (where, tokenizer, "<|end_header_id|>", &chat.end_header, error) ||
      !find_control (where, tokenizer, "<|eot_id|>", &chat.end_of_turn, error) || !find_control (where, tokenizer, "<|image|>", &chat.image, error))
    return FALSE;
  *ret_chat = chat;
  return TRUE;
}

/* -- rendering -------------------------------------------------------------------- */

static const char *
speaker_name (VjSpeaker speaker)
{
  switch (speaker) {
  case VJ_SPEAKER_SYSTEM:
    return "system";
  case VJ_SPEAKER_USER:
    return "user";
  case VJ_SPEAKER_ASSISTANT:
    return "assistant";
  }
  return NULL;
}

static void
put (GArray *tokens, guint32 id)
{
  g_array_append_val (tokens, id);
}

static gboolean
put_header (const VjChat *chat, const VjTokenizer *tokenizer, VjSpeaker speaker, GArray *tokens, GError **error)
{
  const char *name = speaker_name (speaker);
  if (name == NULL)
    return vj_fail (error, VJ_EXIT_BUG, "chat: %d is not a speaker", (int) speaker);
  put (tokens, chat->start_header);
  if (!vj_tokenizer_encode (tokenizer, name, -1, tokens, error))
    return FALSE;
  put (tokens, chat->end_header);
  return TRUE;
}

/* What follows a header: the blank line, images, text. The blank line is split together with the text unless an
 * image stands between, as the template's one string is. An assistant's text is split on its own, so that training
 * shows the model just what generation shows it: the same tokens before, and its own text after them. */
static gboolean
put_content (const VjChat *chat, const VjTokenizer *tokenizer, const VjChatMessage *message, VjPrompt *prompt, GError **error)
{
  const char *text = message->text ? message->text : "";
  gboolean speaks = message->speaker == VJ_SPEAKER_ASSISTANT;
  gboolean apart = speaks || message->n_images > 0;
  g_autofree char *whole = apart ? g_strdup ("\n\n") : g_strconcat ("\n\n", text, NULL);
  if (!vj_tokenizer_encode (tokenizer, whole, -1, prompt->tokens, error))
    return FALSE;
  for (gsize i = 0; i < message->n_images; i++)
    put (prompt->tokens, chat->image);
  guint start = prompt->tokens->len;
  if (apart && !vj_tokenizer_encode (tokenizer, text, -1, prompt->tokens, error))
    return FALSE;
  put (prompt->tokens, chat->end_of_turn);
  g_array_set_size (prompt->targets, prompt->tokens->len); /* zeroed */
  if (speaks)
    memset (prompt->targets->data + start, 1, prompt->tokens->len - start);
  return TRUE;
}

/* The rule of transformers' get_cross_attention_token_mask; see VjImageSpan. */
static void
find_spans (const VjChat *chat, VjPrompt *prompt)
{
  const guint32 *tokens = (const guint32 *) (gpointer) prompt->tokens->data;
  for (guint32 i = 0; i < prompt->tokens->len; i++)
    if (tokens[i] == chat->image) {
      VjImageSpan span = {.image = prompt->spans->len, .start = i};
      g_array_append_val (prompt->spans, span);
    }
  guint32 end = prompt->tokens->len, next = prompt->tokens->len;
  for (guint i = prompt->spans->len; i-- > 0;) {
    VjImageSpan *span = &g_array_index (prompt->spans, VjImageSpan, i);
    if (span->start + 1 != next)
      end = next;
    span->end = end;
    next = span->start;
  }
}

static gboolean
render (const VjChat *chat, const VjTokenizer *tokenizer, const VjChatMessage *messages, gsize n_messages, VjPromptUse use, VjPrompt *prompt,
        GError **error)
{
  put (prompt->tokens, chat->begin_of_text);
  for (gsize i = 0; i < n_messages; i++)
    if (!put_header (chat, tokenizer, messages[i].speaker, prompt->tokens, error) || !put_content (chat, tokenizer, &messages[i], prompt, error))
      return FALSE;
  if (use == VJ_PROMPT_GENERATE && (!put_header (chat, tokenizer, VJ_SPEAKER_ASSISTANT, prompt->tokens, error) ||
                                    !vj_tokenizer_encode (tokenizer, "\n\n", -1, prompt->tokens, error)))
    return FALSE;
  g_array_set_size (prompt->targets, prompt->tokens->len);
  find_spans (chat, prompt);
  return TRUE;
}

gboolean
vj_chat_render (const VjChat *chat, const VjTokenizer *tokenizer, const VjChatMessage *messages, gsize n_messages, VjPromptUse use,
                VjPrompt *ret_prompt, GError **error)
{
  g_auto (VjPrompt) prompt = {0};
  if (n_messages == 0)
    return vj_fail (error, VJ_EXIT_DATA, "chat: no message; give at least one");
  prompt.tokens = g_array_new (FALSE, TRUE, sizeof (guint32));
  prompt.targets = g_array_new (FALSE, TRUE, sizeof (guint8));
  prompt.spans = g_array_new (FALSE, TRUE, sizeof (VjImageSpan));
  if (!render (chat, tokenizer, messages, n_messages, use, &prompt, error))
    return FALSE;
  *ret_prompt = prompt;
  prompt = (VjPrompt){0};
  return TRUE;
}

void
vj_prompt_clear (VjPrompt *prompt)
{
  g_clear_pointer (&prompt->tokens, g_array_unref);
  g_clear_pointer (&prompt->targets, g_array_unref);
  g_clear_pointer (&prompt->spans, g_array_unref);
}
