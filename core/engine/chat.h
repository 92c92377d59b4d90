/* Chat: messages -> token ids, with what training and cross-attention need to
 * know about each. Templates are never executed: a known family is recognised
 * by its control tokens and rendered here.
 *
 * Family llama-3 (Llama 3.2 Vision), per message:
 *   <|start_header_id|>ROLE<|end_header_id|>\n\n[<|image|>...]TEXT<|eot_id|>
 * after one <|begin_of_text|>; generation ends with the assistant's header.
 * Equal to what `transformers` renders for chats with images, which have no
 * system message there. The dated system header that its template adds to
 * chats without images is left out, so that a prompt does not depend on the
 * calendar; a system message given by the caller is rendered as a message.
 * Text is not trimmed. */
#ifndef VJ_ENGINE_CHAT_H
#define VJ_ENGINE_CHAT_H

#include "engine/tokenizer.h"
#include "vj/engine.h"

/* Control ids of the recognised family. */
typedef struct {
  guint32 begin_of_text, start_header, end_header, end_of_turn, image;
} VjChat;

/* Tokens [start, end) of a prompt attend to image `image` (numbered in order of appearance). `start` is the
 * image's own token; `end` is the next image's token or the end of the prompt, where consecutive image tokens
 * share the end of the last of them (the sparse cross-attention mask of transformers' MllamaProcessor). A span
 * that reaches the end of the prompt goes on through what is generated after it. */
typedef struct {
  guint32 image, start, end;
} VjImageSpan;

/* A rendered chat of T tokens. */
typedef struct {
  GArray *tokens;  /* guint32 [T]                                                                          */
  GArray *targets; /* guint8 [T]: 1 where token t itself is to be learnt: the texts of assistant messages and
                      the end-of-turn after each (so the logits at t - 1 enter the loss)                    */
  GArray *spans;   /* VjImageSpan [images], in order of `start`                                            */
} VjPrompt;

typedef enum {
  VJ_PROMPT_GENERATE, /* ends with the assistant's header: the model speaks next */
  VJ_PROMPT_TRAIN     /* ends with the last message                              */
} VjPromptUse;

/* Recognises the family by the tokenizer's control tokens; an unknown one is VJ_EXIT_DATA. `where` (a model
 * directory) opens error messages. */
gboolean vj_chat_recognise (const char *where, const VjTokenizer *tokenizer, VjChat *ret_chat, GError **error);

/* Renders messages. VJ_EXIT_DATA on text that is not UTF-8 and on no message at all. Release with vj_prompt_clear. */
gboolean vj_chat_render (const VjChat *chat, const VjTokenizer *tokenizer, const VjChatMessage *messages, gsize n_messages,
                         VjPromptUse use, VjPrompt *ret_prompt, GError **error);

/* Frees what a prompt holds and zeroes it. Takes a zeroed prompt. */
void vj_prompt_clear (VjPrompt *prompt);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (VjPrompt, vj_prompt_clear)

#endif
