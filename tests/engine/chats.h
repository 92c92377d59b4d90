/* Chats with drawn images and the tiny model of tests/vectors/engine, for the tests of the engine. */
#ifndef VJ_TESTS_CHATS_H
#define VJ_TESTS_CHATS_H

#include "base/random.h"
#include "engine/json.h"
#include "vj/engine.h"

#include <string.h>

#define MAX_MESSAGES 8
#define MAX_IMAGES 8

/* -- chats --------------------------------------------------------------------- */

/* A chat whose images are drawn by the formula of the peers' scripts. */
typedef struct {
  VjChatMessage messages[MAX_MESSAGES];
  VjPixels images[MAX_MESSAGES][MAX_IMAGES];
  gsize n;
} Chat;

G_GNUC_UNUSED static guint8 *
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

G_GNUC_UNUSED static void
put_image (Chat *chat, gsize m, guint32 width, guint32 height, gboolean noise)
{
  VjPixels *image = &chat->images[m][chat->messages[m].n_images++];
  *image = (VjPixels){draw (width, height, noise), width, height, g_strdup_printf ("%ux%u-%d", width, height, noise)};
}

G_GNUC_UNUSED static void
put_message (Chat *chat, VjSpeaker speaker, const char *text)
{
  chat->messages[chat->n] = (VjChatMessage){speaker, g_strdup (text), chat->images[chat->n], 0};
  chat->n++;
}

static void
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

G_GNUC_UNUSED static Chat *
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

/* -- engines ---------------------------------------------------------------------- */

G_GNUC_UNUSED static char *
model_dir (void)
{
  const char *other = g_getenv ("VJ_ENGINE_VECTORS"); /* another directory made by the same script */
  return other ? g_strdup (other) : g_build_filename (g_getenv ("VJ_SRCDIR"), "tests/vectors/engine", NULL);
}

G_GNUC_UNUSED static VjEngine *
open_engine (const VjEngineConfig *config)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *dir = model_dir ();
  VjEngineConfig exact = config == NULL ? (VjEngineConfig){0} : *config; /* the vectors were made in f32 */
  exact.dtype = exact.dtype == NULL ? "f32" : exact.dtype;
  exact.compute = exact.compute == NULL ? "cpu" : exact.compute; /* a GPU promises less */
  VjEngine *engine = vj_engine_open (dir, &exact, &error);
  g_assert_no_error (error);
  g_assert_nonnull (engine);
  return engine;
}

G_GNUC_UNUSED static void
submit (VjEngine *engine, guint64 ticket, const Chat *chat, const VjGenerateOptions *options, const guint64 *seeds, guint n)
{
  g_autoptr (GError) error = NULL;
  VjGenerateRequest request = {chat->messages, chat->n, *options, seeds, n};
  g_assert_true (vj_engine_submit (engine, ticket, &request, &error));
  g_assert_no_error (error);
}

/* FALSE when nothing is left. */
G_GNUC_UNUSED static gboolean
poll_one (VjEngine *engine, VjGenerated *ret_generated)
{
  g_autoptr (GError) error = NULL;
  gboolean done;
  g_assert_true (vj_engine_poll (engine, ret_generated, &done, &error));
  g_assert_no_error (error);
  return !done;
}

/* The reply to one draw of one chat. Owned. */
G_GNUC_UNUSED static char *
reply (VjEngine *engine, const Chat *chat, const VjGenerateOptions *options, guint64 seed, VjGenerated *ret_generated)
{
  VjGenerated rest;
  submit (engine, 1, chat, options, &seed, 1);
  g_assert_true (poll_one (engine, ret_generated));
  g_assert_false (poll_one (engine, &rest));
  return ret_generated->text;
}

G_GNUC_UNUSED static Chat *
plain_chat (const char *text)
{
  Chat *chat = g_new0 (Chat, 1);
  put_message (chat, VJ_SPEAKER_USER, text);
  return chat;
}

#endif
