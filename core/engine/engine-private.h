/* What the files behind vj/engine.h's generation half share: engine.c (opening), memory.c
 * (the budget), images.c (encoded images), prefix.c (prompts in memory), and the scheduler
 * (scheduler.h). */
#ifndef VJ_ENGINE_ENGINE_PRIVATE_H
#define VJ_ENGINE_ENGINE_PRIVATE_H

#include "engine/chat.h"
#include "engine/mllama/mllama.h"
#include "engine/preprocess.h"
#include "engine/sample.h"
#include "vj/engine.h"

/* One image the engine has been shown, named by its digest. It lives while a request holds it or its encoding
 * is worth keeping. */
typedef struct {
  char *digest;
  guint8 *rgb; /* owned copy, while a request holds the image: it may have to be encoded again */
  guint32 width, height;
  VjMllamaVision *vision; /* NULL: not encoded now                                  */
  guint holders;          /* requests queued or running that show it                */
  guint users;            /* of these the running ones: the encoding cannot be dropped */
  GList idle;             /* link in the store's list while encoded and not in use   */
} VjShownImage;

typedef struct {
  GHashTable *by_digest; /* digest -> VjShownImage, owned                  */
  GQueue idle;           /* encoded and not in use, the longest idle first */
} VjImageStore;

/* A prompt in memory, whose beginning serves other prompts. */
typedef struct {
  char *shown;       /* digests of its images: no token's cache means anything without all of them */
  GArray *tokens;    /* guint32: what its sequence holds, or will once it has run                  */
  VjMllamaSequence *sequence;
  gsize bytes;       /* counted as memory used */
  guint users;       /* requests that run it, draw from it or wait for it */
  GList idle;        /* link in the store's list while nobody uses it     */
} VjPrefix;

typedef struct {
  GPtrArray *all; /* VjPrefix *, owned              */
  GQueue idle;    /* unused, the longest idle first */
  gsize idle_bytes;
} VjPrefixStore;

typedef struct VjScheduler VjScheduler;

struct VjEngine {
  char *dir; /* of config, tokenizer and weights: an adapter's base */
  VjMllama *model;
  const VjMllamaConfig *config; /* the model's */
  VjTokenizer *tokenizer;
  guint longest_token; /* bytes of text */
  VjChat chat;
  VjPreprocess preprocess;
  GArray *ends; /* guint32: tokens that end a reply */
  guint max_batch, step_tokens;
  gboolean forget;
  gsize work_bytes;  /* activations and logits, taken once */
  gsize cache_limit; /* bytes of sequences and encoded images; G_MAXSIZE: no limit */
  gsize memory_used; /* of these */
  VjImageStore images;
  VjPrefixStore prefixes;
  VjScheduler *scheduler;
  VjEngineWork work;
  char *files_digest, *identity, *summary;
};

/* -- memory.c ---------------------------------------------------------------------- */

/* Decides on max_batch, step_tokens and cache_limit, or refuses with the figures. */
gboolean vj_engine_plan_memory (VjEngine *engine, const VjEngineConfig *config, GError **error);

/* Drops what is only kept in case, longest unused first, until `bytes` more fit into the limit. FALSE: they do not. */
gboolean vj_engine_make_room (VjEngine *engine, gsize bytes);

/* -- images.c ---------------------------------------------------------------------- */

void vj_image_store_init (VjImageStore *store);
void vj_image_store_done (VjImageStore *store);

/* The image of these pixels, held once more; give back by vj_image_release. Borrowed: the store owns it. */
VjShownImage *vj_image_hold (VjEngine *engine, const VjPixels *pixels);
void vj_image_release (VjEngine *engine, VjShownImage *image);

/* A running request shows the image: its encoding, made already or soon, stays and counts as memory used. Undone by
 * vj_image_rest. */
void vj_image_use (VjEngine *engine, VjShownImage *image);
void vj_image_rest (VjEngine *engine, VjShownImage *image);

/* Encodes those of n images that are not encoded. All are in use. */
gboolean vj_images_encode (VjEngine *engine, VjShownImage *const *images, gsize n, GError **error);

/* Drops the longest idle encoding. FALSE: none is idle. */
gboolean vj_images_drop (VjEngine *engine);

/* -- prefix.c ----------------------------------------------------------------------- */

void vj_prefix_store_init (VjPrefixStore *store);
void vj_prefix_store_done (VjPrefixStore *store);

/* Enters a prompt that is about to run, used once; its bytes are counted already. Takes the sequence, copies the rest. */
VjPrefix *vj_prefix_new (VjEngine *engine, const char *shown, const GArray *tokens, VjMllamaSequence *sequence,
                         gsize bytes);
void vj_prefix_use (VjEngine *engine, VjPrefix *prefix);
void vj_prefix_rest (VjEngine *engine, VjPrefix *prefix); /* may free it */

/* The entered prompt that is of most use to a new one: the same images, the longest common beginning, of which the
 * new one keeps its last token to run itself. Not used thereby. *ret_shared tokens can be taken over once its sequence
 * holds that many; with `ready`, it does. NULL: none. */
VjPrefix *vj_prefix_find (const VjEngine *engine, const char *shown, const GArray *tokens, gboolean ready,
                          gsize *ret_shared);

/* Puts off dropping what vj_prefix_find would find. */
void vj_prefix_touch (VjEngine *engine, const char *shown, const GArray *tokens);

/* Drops the longest idle one. FALSE: none is idle. */
gboolean vj_prefixes_drop (VjEngine *engine);

/* -- generate.c --------------------------------------------------------------------- */

VjScheduler *vj_scheduler_new (void);
void vj_scheduler_free (VjScheduler *scheduler, VjEngine *engine);

#endif
