/* What the files behind vj/engine.h's generation half share: engine.c (opening),
 * images.c (encoded images), generate.c (the scheduler). */
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

typedef struct VjScheduler VjScheduler;

struct VjEngine {
  char *dir;
  VjMllama *model;
  const VjMllamaConfig *config; /* the model's */
  VjTokenizer *tokenizer;
  VjChat chat;
  VjPreprocess preprocess;
  GArray *ends; /* guint32: tokens that end a reply */
  gsize memory_limit; /* bytes of sequences and encoded images; G_MAXSIZE: none */
  gsize memory_used;
  guint max_batch;
  VjImageStore images;
  VjScheduler *scheduler;
  char *files_digest, *identity, *summary;
};

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

/* Drops unused encodings, longest unused first, until `bytes` more fit into the memory limit. FALSE: they do not. */
gboolean vj_engine_make_room (VjEngine *engine, gsize bytes);

/* -- generate.c --------------------------------------------------------------------- */

VjScheduler *vj_scheduler_new (void);
void vj_scheduler_free (VjScheduler *scheduler, VjEngine *engine);

#endif
