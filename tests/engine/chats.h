/* Chats of the vectors that peers' scripts leave, for the tests of the engine. */
#ifndef VJ_TESTS_CHATS_H
#define VJ_TESTS_CHATS_H

#include "engine/json.h"
#include "vj/engine.h"

#include <string.h>

#define MAX_MESSAGES 8
#define MAX_IMAGES 8

/* A chat whose images are drawn by the formula of the peers' scripts. */
typedef struct {
  VjChatMessage messages[MAX_MESSAGES];
  VjPixels images[MAX_MESSAGES][MAX_IMAGES];
  gsize n;
} Chat;

static inline guint8 *
draw (guint64 width, guint64 height, gboolean noise)
{
  guint8 *rgb = g_malloc (width * height * 3), *out = rgb;
  for (guint64 y = 0; y < height; y++)
    for (guint64 x = 0; x < width; x++)
      for (guint64 c = 0; c < 3; c++) {
        guint32 v = (guint32) (x * 374761393u + y * 668265263u + c * 2246822519u);
        v ^= v >> 13;
        v *= 1274126177u;
        *out++ = noise ? (guint8) (v >> 24) : (guint8) (x * (c + 1) * 255 / width + y * 128 / height);
      }
  return rgb;
}

static inline void
put_image (Chat *chat, gsize m, guint32 width, guint32 height, gboolean noise)
{
  VjPixels *image = &chat->images[m][chat->messages[m].n_images++];
  *image = (VjPixels){draw (width, height, noise), width, height, g_strdup_printf ("%ux%u-%d", width, height, noise)};
}

static inline void
put_message (Chat *chat, VjSpeaker speaker, const char *text)
{
  chat->messages[chat->n] = (VjChatMessage){speaker, g_strdup (text), chat->images[chat->n], 0};
  chat->n++;
}

static inline void
chat_free (Chat *chat)
{
  for (gsize m = 0; m < chat->n; m++) {
    for (gsize i = 0; i < chat->messages[m].n_images; i++) {
      g_free ((gpointer) chat->images[m][i].rgb);
      g_free ((gpointer) chat->images[m][i].digest);
    }
    g_free ((gpointer) chat->messages[m].text);
  }
  g_free (chat);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Chat, chat_free)

static inline Chat *
read_chat (const json_t *messages)
{
  Chat *chat = g_new0 (Chat, 1);
  for (gsize m = 0; m < json_array_size (messages); m++) {
    const json_t *message = json_array_get (messages, m), *images = json_object_get (message, "images");
    gboolean user = strcmp (vj_json_peek_string (message, "role"), "user") == 0;
    put_message (chat, user ? VJ_SPEAKER_USER : VJ_SPEAKER_ASSISTANT, vj_json_peek_string (message, "text"));
    for (gsize i = 0; i < json_array_size (images); i++) {
      const json_t *image = json_array_get (images, i);
      put_image (chat, m, (guint32) json_integer_value (json_object_get (image, "width")),
                 (guint32) json_integer_value (json_object_get (image, "height")), strcmp (vj_json_peek_string (image, "kind"), "noise") == 0);
    }
  }
  return chat;
}

#endif
