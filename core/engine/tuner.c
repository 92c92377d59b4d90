/* Fine-tuning: chats and pixels become token ids and tiles for the trainer of the model's family. See
 * vj/engine.h. Preprocessed images are kept under their digest, as long as they fit a fixed budget. */
#include "engine/chat.h"
#include "engine/mllama/adapter.h"
#include "engine/mllama/train.h"
#include "engine/preprocess.h"

#include <string.h>

#define TILES_CACHE_BYTES ((gsize) 256 << 20)

struct VjTuner {
  VjMllamaTrainer *trainer;
  VjTokenizer *tokenizer;
  VjChat chat;
  VjPreprocess preprocess;
  GHashTable *tiles; /* digest -> VjTiles, owned */
  gsize tiles_bytes;
};

/* The examples of one step, owned. */
typedef struct {
  gsize n;
  VjPrompt *prompts;
  VjMllamaExample *examples;
  GPtrArray *owned; /* arrays of images and digests, tiles that are not cached */
} Step;

static void
tiles_free (void *data)
{
  vj_tiles_clear (data);
  g_free (data);
}

static void
step_clear (Step *step)
{
  for (gsize i = 0; step->prompts != NULL && i < step->n; i++)
    vj_prompt_clear (&step->prompts[i]);
  g_free (step->prompts);
  g_free (step->examples);
  g_clear_pointer (&step->owned, g_ptr_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Step, step_clear)

/* What the directory's files say must fit together. */
static gboolean
check_parts (const char *dir, const VjTuner *tuner, GError **error)
{
  const VjMllamaConfig *c = &vj_mllama_trainer_peek_plan (tuner->trainer)->config;
  if (tuner->preprocess.tile_size != c->image_size || tuner->preprocess.max_tiles > c->max_num_tiles)
    return vj_fail (error, VJ_EXIT_DATA, "%s: 'preprocessor_config.json': makes up to %u tiles of %u pixels, config.json takes %u of %u: the files do not belong together; fetch or make the model again",
                    dir, tuner->preprocess.max_tiles, tuner->preprocess.tile_size, c->max_num_tiles, c->image_size);
  if (tuner->chat.image != c->image_token_index || vj_tokenizer_size (tuner->tokenizer) > c->vocab_size + VJ_MLLAMA_EXTRA_EMBEDDINGS)
    return vj_fail (error, VJ_EXIT_DATA, "%s: 'tokenizer.json': has %u tokens and image token %u, config.json has %u and %u: the files do not belong together; fetch or make the model again",
                    dir, vj_tokenizer_size (tuner->tokenizer), tuner->chat.image, c->vocab_size, c->image_token_index);
  return TRUE;
}

gboolean
vj_tuner_check (const VjTunerConfig *config, GError **error)
{
  return vj_mllama_trainer_check (config, error);
}

VjTuner *
vj_tuner_open (const char *dir, const VjEngineConfig *engine, const VjTunerConfig *config, const guint64 *init_seed, GError **error)
{
  g_autoptr (VjTuner) tuner = g_new0 (VjTuner, 1);
  g_autofree char *base = vj_mllama_base_dir (dir, error); /* an adapter has only weights of its own */
  if (base == NULL)
    return NULL;
  g_autofree char *tokenizer = g_build_filename (base, "tokenizer.json", NULL), *preprocess = vj_preprocess_file (base);
  tuner->tiles = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, tiles_free);
  if ((tuner->trainer = vj_mllama_trainer_open (dir, engine == NULL ? NULL : engine->compute, engine == NULL ? 0 : engine->threads, engine == NULL ? NULL : engine->dtype, config, init_seed, error)) == NULL ||
      (tuner->tokenizer = vj_tokenizer_load (tokenizer, error)) == NULL || !vj_chat_recognise (base, tuner->tokenizer, &tuner->chat, error) ||
      !vj_preprocess_load (preprocess, &tuner->preprocess, error) || !check_parts (base, tuner, error))
    return NULL;
  return g_steal_pointer (&tuner);
}

void
vj_tuner_free (VjTuner *tuner)
{
  if (tuner == NULL)
    return;
  vj_mllama_trainer_free (tuner->trainer);
  vj_tokenizer_free (tuner->tokenizer);
  g_hash_table_unref (tuner->tiles);
  g_free (tuner);
}

/* The tiles of one image: from the cache, or made now and kept there or in the step. */
static const VjTiles *
find_tiles (VjTuner *tuner, const VjPixels *pixels, Step *step, GError **error)
{
  VjTiles *tiles = pixels->digest == NULL ? NULL : g_hash_table_lookup (tuner->tiles, pixels->digest);
  if (tiles != NULL)
    return tiles;
  tiles = g_new0 (VjTiles, 1);
  if (!vj_preprocess_image (&tuner->preprocess, pixels, tiles, error)) {
    g_free (tiles);
    return NULL;
  }
  gsize bytes = (gsize) tiles->n_tiles * 12 * tuner->preprocess.tile_size * tuner->preprocess.tile_size;
  if (pixels->digest != NULL && tuner->tiles_bytes + bytes <= TILES_CACHE_BYTES) {
    g_hash_table_insert (tuner->tiles, g_strdup (pixels->digest), tiles);
    tuner->tiles_bytes += bytes;
  } else {
    g_ptr_array_add (step->owned, tiles->pixels);
    g_ptr_array_add (step->owned, tiles);
  }
  return tiles;
}

static gboolean
collect_images (VjTuner *tuner, const VjTunerExample *from, Step *step, VjMllamaExample *to, GError **error)
{
  gsize n = 0;
  for (gsize m = 0; m < from->n_messages; m++)
    n += from->messages[m].n_images;
  VjMllamaImage *images = g_new0 (VjMllamaImage, n + 1);
  const char **digests = g_new0 (const char *, n + 1);
  g_ptr_array_add (step->owned, images);
  g_ptr_array_add (step->owned, digests);
  for (gsize m = 0; m < from->n_messages; m++)
    for (gsize i = 0; i < from->messages[m].n_images; i++) {
      const VjPixels *pixels = &from->messages[m].images[i];
      const VjTiles *tiles = find_tiles (tuner, pixels, step, error);
      if (tiles == NULL)
        return FALSE;
      digests[to->n_images] = pixels->digest;
      images[to->n_images++] = (VjMllamaImage) { tiles->pixels, tiles->n_tiles, tiles->aspect_ratio_id };
    }
  to->images = images;
  to->digests = digests;
  return TRUE;
}

static gboolean
prepare (VjTuner *tuner, const VjTunerExample *examples, gsize n, Step *step, GError **error)
{
  step->n = n;
  step->prompts = g_new0 (VjPrompt, n);
  step->examples = g_new0 (VjMllamaExample, n);
  step->owned = g_ptr_array_new_with_free_func (g_free);
  for (gsize i = 0; i < n; i++) {
    VjPrompt *prompt = &step->prompts[i];
    VjMllamaExample *to = &step->examples[i];
    if (!vj_chat_render (&tuner->chat, tuner->tokenizer, examples[i].messages, examples[i].n_messages, VJ_PROMPT_TRAIN, prompt, error) ||
        !collect_images (tuner, &examples[i], step, to, error))
      return FALSE;
    to->tokens = (const guint32 *) (void *) prompt->tokens->data;
    to->targets = (const guint8 *) prompt->targets->data;
    to->n_tokens = prompt->tokens->len;
    to->weight = examples[i].weight;
  }
  return TRUE;
}

gboolean
vj_tuner_step (VjTuner *tuner, const VjTunerExample *examples, gsize n, double learning_rate, VjTunerStep *ret_step, GError **error)
{
  g_auto (Step) step = { 0 };
  return prepare (tuner, examples, n, &step, error) && vj_mllama_trainer_step (tuner->trainer, step.examples, n, learning_rate, ret_step, error);
}

gboolean
vj_tuner_save (VjTuner *tuner, const char *dir, const char *dtype, GError **error)
{
  gboolean half = strcmp (dtype, "bf16") == 0;
  if (!half && strcmp (dtype, "f32") != 0)
    return vj_fail (error, VJ_EXIT_USAGE, "save: '%s': unknown dtype: weights are saved as bf16 or f32; choose one", dtype);
  return vj_mllama_trainer_save (tuner->trainer, dir, half ? VJ_DTYPE_BF16 : VJ_DTYPE_F32, error);
}

gboolean
vj_tuner_checkpoint (const VjTuner *tuner, const char *file, GError **error)
{
  return vj_mllama_trainer_checkpoint (tuner->trainer, file, error);
}

gboolean
vj_tuner_restore (VjTuner *tuner, const char *file, GError **error)
{
  return vj_mllama_trainer_restore (tuner->trainer, file, error);
}

gboolean
vj_tuner_fits (const VjTuner *tuner, const char *file, gboolean *ret_fits, GError **error)
{
  return vj_mllama_trainer_fits (tuner->trainer, file, ret_fits, error);
}

guint64
vj_tuner_steps (const VjTuner *tuner)
{
  return vj_mllama_trainer_steps (tuner->trainer);
}

VjTunerMemory
vj_tuner_memory (const VjTuner *tuner)
{
  return vj_mllama_trainer_memory (tuner->trainer);
}
