/* What the files of the scheduler share: request.c (from a submitted chat to a queued
 * prompt), draw.c (one reply, token by token), generate.c (admission and steps), score.c
 * (log-probabilities of given continuations). Nobody else includes it. */
#ifndef VJ_ENGINE_SCHEDULER_H
#define VJ_ENGINE_SCHEDULER_H

#include "engine/engine-private.h"

/* A submitted request. */
typedef struct {
  guint64 ticket;
  GArray *tokens;    /* guint32: the prompt                          */
  GPtrArray *images; /* VjShownImage *, held, in order of appearance */
  char *shown;       /* their digests: see VjPrefix                  */
  VjGenerateOptions options; /* its `stop` is ours */
  char **stop;
  guint64 *seeds; /* [n] */
  guint n, started, finished;
  guint together;   /* draws that may run at a time: their memory is set aside */
  gsize capacity;   /* tokens a draw can hold                                  */
  VjPrefix *prefix; /* the prompt, from admission until the last draw starts; a single draw keeps it to its end */
  VjPrefix *donor;  /* whose first `shared` tokens it waits for; NULL: nothing to wait for */
  gsize shared;
  float *logits;    /* [V] after the prompt, until the last draw starts */
} VjQueued;

/* A reply in the making. */
typedef struct {
  VjQueued *request;
  guint number;
  VjMllamaSequence *sequence; /* its own fork; a single draw's is the prompt's */
  VjRandom random;
  guint32 *tokens;  /* [n_tokens]: the prompt and what was said; the last is not yet in the cache */
  guint n_tokens;
  GString *bytes;   /* what was said */
  double *logprobs; /* of what was said, or NULL */
} VjDraw;

struct VjScheduler {
  GQueue waiting;     /* VjQueued *, not admitted                       */
  GQueue prefilling;  /* VjQueued *, admitted, the prompt not yet run   */
  GQueue starting;    /* VjQueued *, the prompt run, draws not all begun */
  GPtrArray *running; /* VjDraw *       */
  GQueue finished;    /* VjGenerated *  */
  VjSampler sampler;
  VjMllamaStretch *stretches; /* [2 max_batch] */
  float *logits;              /* [max_batch, V] */
  gboolean failed;
};

/* -- request.c ------------------------------------------------------------------- */

/* The prompt of a chat, ending with the assistant's header, refused when it leaves no place for a reply. Owned. */
GArray *vj_prompt_tokens (VjEngine *engine, const char *what, const VjChatMessage *messages, gsize n, GError **error);
/* Holds the images of a chat; they are added to `images`. */
gboolean vj_chat_hold_images (VjEngine *engine, const char *what, const VjChatMessage *messages, gsize n,
                              GPtrArray *images, GError **error);
/* The digests of held images in one string. Owned. */
char *vj_images_shown (const GPtrArray *images);
void vj_images_release (VjEngine *engine, GPtrArray *images);
/* A sequence over tokens that shows encoded images. */
VjMllamaSequence *vj_prompt_sequence (VjEngine *engine, const GArray *tokens, const GPtrArray *images, gsize capacity,
                                      GError **error);

void vj_queued_free (VjEngine *engine, VjQueued *request);

/* Memory of the prompt's sequence; of each further draw; of what the images add. A single draw takes the prompt's over. */
gsize vj_queued_base_bytes (const VjEngine *engine, const VjQueued *request);
gsize vj_queued_draw_bytes (const VjEngine *engine, const VjQueued *request);
gsize vj_queued_joined_bytes (const VjEngine *engine, const VjQueued *request);
gsize vj_queued_base_capacity (const VjQueued *request);

/* -- draw.c ---------------------------------------------------------------------- */

/* Takes the memory that steps of the engine's size work in, once. */
gboolean vj_scheduler_reserve (VjEngine *engine, GError **error);

/* Begins the request's next draw with the logits after its prompt. Its first token may end it, and the request. */
gboolean vj_draw_begin (VjEngine *engine, VjQueued *request, GError **error);

/* Draws the next token by logits [V], which are changed in between. When the draw ends with it, it is moved to the
 * finished ones and freed: *ret_alive is FALSE. */
gboolean vj_draw_advance (VjEngine *engine, VjDraw *draw, float *logits, gboolean *ret_alive, GError **error);

/* Gives back what the draw, and with its last draw the request, set aside, and frees them. */
void vj_draw_free (VjEngine *engine, VjDraw *draw);
void vj_queued_leave (VjEngine *engine, VjQueued *request);

#endif
