/* vj/chat.h - what plugins and the engine both speak of: pixels and speakers. */
#ifndef VJ_CHAT_H
#define VJ_CHAT_H

#include <vj/error.h>
#include <stdint.h>

G_BEGIN_DECLS

/* Decoded pixels: RGB, 8 bits, row-major [height, width, 3]. `digest` is the lower-case
 * SHA-256 of size and pixels and names them everywhere. Who owns them is said where they are handed over. */
typedef struct {
  const guint8 *rgb;
  guint32 width, height;
  const char *digest;
} VjPixels;

typedef enum { VJ_SPEAKER_SYSTEM, VJ_SPEAKER_USER, VJ_SPEAKER_ASSISTANT } VjSpeaker;

/* Why a generated text ended. */
typedef enum { VJ_FINISH_STOP, VJ_FINISH_LENGTH } VjFinish;

G_END_DECLS
#endif
