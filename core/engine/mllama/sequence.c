/* Sequences: prompts, caches, forks. Running them: forward.c. See mllama.h. */
#include "engine/mllama/sequence.h"

#include <string.h>

/* Caches come in sizes of so many tokens, so that one given back fits the next sequence. */
#define CACHE_QUANTUM 64
#define MAX_SPARES 128

/* -- cache memory: buffers given back are kept for the next sequence ------------ */

typedef struct {
  VjF32 *kv;
  gsize bytes;
} Spare;

static gsize
stride_of (const VjMllamaConfig *c, gsize capacity)
{
  gsize rounded = (capacity + CACHE_QUANTUM - 1) / CACHE_QUANTUM * CACHE_QUANTUM;
  return MIN (rounded, MAX (capacity, c->max_position_embeddings));
}

gsize
vj_mllama_sequence_bytes (const VjMllama *model, gsize capacity)
{
  const VjMllamaConfig *c = &model->plan->config;
  return (c->num_hidden_layers - c->n_cross) * vj_mllama_cache_bytes (model, stride_of (c, capacity));
}

gsize
vj_mllama_joined_bytes (const VjMllama *model, gsize n_visions)
{
  const VjMllamaConfig *c = &model->plan->config;
  return n_visions > 1 ? c->n_cross * vj_mllama_cache_bytes (model, n_visions * c->max_num_tiles * c->n_patches) : 0;
}

static VjF32 *
take_cache (VjMllama *model, gsize bytes, GError **error)
{
  for (guint i = 0; model->spares != NULL && i < model->spares->len; i++) {
    Spare spare = g_array_index (model->spares, Spare, i);
    if (spare.bytes != bytes)
      continue;
    g_array_remove_index_fast (model->spares, i);
    model->spare_bytes -= bytes;
    return spare.kv;
  }
  return model->compute->ops->alloc (model->compute->device, bytes, error);
}

static void
give_cache (VjMllama *model, VjF32 *kv, gsize bytes)
{
  if (kv == NULL)
    return;
  if (model->spares == NULL)
    model->spares = g_array_sized_new (FALSE, FALSE, sizeof (Spare), MAX_SPARES);
  if (model->spares->len == MAX_SPARES) {
    model->compute->ops->release (model->compute->device, kv);
    return;
  }
  Spare spare = { kv, bytes };
  g_array_append_val (model->spares, spare);
  model->spare_bytes += bytes;
}

gsize
vj_mllama_spare_bytes (const VjMllama *model)
{
  return model->spare_bytes;
}

void
vj_mllama_trim (VjMllama *model)
{
  for (guint i = 0; model->spares != NULL && i < model->spares->len; i++)
    model->compute->ops->release (model->compute->device, g_array_index (model->spares, Spare, i).kv);
  g_clear_pointer (&model->spares, g_array_unref);
  model->spare_bytes = 0;
}

/* -- prompts ---------------------------------------------------------------------- */

static void
prompt_clear (gpointer data)
{
  VjMllamaPrompt *prompt = data;
  for (gsize i = 0; i < prompt->n_visions; i++)
    vj_mllama_vision_unref (prompt->visions[i]);
  prompt->model->compute->ops->release (prompt->model->compute->device, prompt->joined);
  g_free (prompt->visions);
  g_free (prompt->tokens);
  g_free (prompt->cross_first);
}

static void
prompt_unref (VjMllamaPrompt *prompt)
{
  if (prompt != NULL)
    g_atomic_rc_box_release_full (prompt, prompt_clear);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjMllamaPrompt, prompt_unref)

/* Real tiles of every image first, padding tiles after them. */
static void
join_states (VjMllamaPrompt *prompt)
{
  const VjMllama *model = prompt->model;
  const VjMllamaConfig *c = &model->plan->config;
  gsize all = (gsize) c->max_num_tiles * c->n_patches;
  for (guint layer = 0; layer < c->n_cross; layer++) {
    VjF32 *to = vj_mllama_cache_at (model, prompt->joined, prompt->n_states, layer);
    gsize at = 0;
    for (guint padding = 0; padding < 2; padding++)
      for (gsize i = 0; i < prompt->n_visions; i++) {
        gsize real = (gsize) prompt->visions[i]->n_tiles * c->n_patches, n = padding ? all - real : real;
        vj_mllama_cache_copy (model, n, vj_mllama_cache_at (model, prompt->visions[i]->kv, all, layer), all, padding ? real : 0, to, prompt->n_states, at);
        at += n;
      }
  }
}

static gboolean
show_images (VjMllamaPrompt *prompt, VjMllamaVision *const *visions, gsize n, GError **error)
{
  VjMllama *model = prompt->model;
  const VjMllamaConfig *c = &model->plan->config;
  if (n > 1 && (prompt->joined = model->compute->ops->alloc (model->compute->device, vj_mllama_joined_bytes (model, n), error)) == NULL)
    return FALSE;
  prompt->n_visions = n;
  prompt->n_states = n * c->max_num_tiles * c->n_patches;
  prompt->visions = g_new (VjMllamaVision *, n + 1);
  for (gsize i = 0; i < n; i++)
    prompt->visions[i] = vj_mllama_vision_ref (visions[i]);
  if (prompt->joined != NULL)
    join_states (prompt);
  return TRUE;
}

static gboolean
check_prompt (const VjMllamaConfig *c, const guint32 *tokens, gsize n, gsize capacity, GError **error)
{
  if (n == 0 || n > capacity || capacity > c->max_position_embeddings)
    return vj_fail (error, VJ_EXIT_DATA, "prompt: '%" G_GSIZE_FORMAT " tokens': does not fit a sequence of %" G_GSIZE_FORMAT " tokens: the model has %u positions; shorten the prompt",
                    n, capacity, c->max_position_embeddings);
  for (gsize i = 0; i < n; i++)
    if (tokens[i] >= c->vocab_size + VJ_MLLAMA_EXTRA_EMBEDDINGS)
      return vj_fail (error, VJ_EXIT_DATA, "prompt: 'token %u': is not in a vocabulary of %u: tokenizer and model do not belong together; use the model's own tokenizer.json",
                      tokens[i], c->vocab_size);
  return TRUE;
}

static gboolean
place_images (VjMllamaPrompt *prompt, VjMllamaVision *const *visions, gsize n, GError **error)
{
  g_autofree guint32 *tiles = g_new (guint32, n + 1);
  for (gsize i = 0; i < n; i++)
    tiles[i] = visions[i]->n_tiles;
  prompt->cross_first = g_new (gint32, 3 * prompt->n);
  prompt->cross_last = prompt->cross_first + prompt->n;
  prompt->seen = prompt->cross_last + prompt->n;
  if (!vj_net_cross_ranges (&prompt->model->plan->config, prompt->tokens, prompt->n, tiles, n, prompt->cross_first, prompt->cross_last, prompt->seen))
    return vj_fail (error, VJ_EXIT_DATA, "prompt: 'image tokens': their number is not that of the images (%" G_GSIZE_FORMAT "): one image token must stand for each image; build the prompt with the model's chat template", n);
  return n == 0 || show_images (prompt, visions, n, error);
}

/* -- sequences ---------------------------------------------------------------------- */

/* Takes the prompt over. */
static VjMllamaSequence *
new_sequence (VjMllamaPrompt *prompt, gsize capacity, GError **error)
{
  g_autoptr (VjMllamaPrompt) owned = prompt;
  VjMllama *model = prompt->model;
  gsize bytes = vj_mllama_sequence_bytes (model, capacity);
  VjF32 *kv = take_cache (model, bytes, error);
  if (kv == NULL)
    return NULL;
  VjMllamaSequence *sequence = g_new (VjMllamaSequence, 1);
  *sequence = (VjMllamaSequence) { .model = model, .prompt = g_steal_pointer (&owned), .capacity = capacity,
                                   .stride = stride_of (&model->plan->config, capacity), .bytes = bytes, .kv = kv };
  return sequence;
}

VjMllamaSequence *
vj_mllama_sequence_new (VjMllama *model, const guint32 *tokens, gsize n_tokens, VjMllamaVision *const *visions,
                        gsize n_visions, gsize capacity, GError **error)
{
  if (!check_prompt (&model->plan->config, tokens, n_tokens, capacity, error))
    return NULL;
  g_autoptr (VjMllamaPrompt) prompt = g_atomic_rc_box_new0 (VjMllamaPrompt);
  prompt->model = model;
  prompt->n = n_tokens;
  prompt->tokens = g_memdup2 (tokens, n_tokens * sizeof *tokens);
  return place_images (prompt, visions, n_visions, error) ? new_sequence (g_steal_pointer (&prompt), capacity, error) : NULL;
}

/* The keys and values of the first `count` tokens. */
static void
copy_past (const VjMllamaSequence *from, gsize count, VjMllamaSequence *to)
{
  const VjMllama *model = from->model;
  const VjMllamaConfig *c = &model->plan->config;
  for (guint layer = 0; layer < c->num_hidden_layers - c->n_cross; layer++)
    vj_mllama_cache_copy (model, count, vj_mllama_cache_at (model, from->kv, from->stride, layer), from->stride, 0,
                          vj_mllama_cache_at (model, to->kv, to->stride, layer), to->stride, 0);
  to->length = count;
}

VjMllamaSequence *
vj_mllama_sequence_fork (const VjMllamaSequence *sequence, gsize capacity, GError **error)
{
  VjMllamaPrompt *prompt = sequence->prompt;
  if (!check_prompt (&sequence->model->plan->config, prompt->tokens, prompt->n, capacity, error))
    return NULL;
  if (sequence->length > capacity) {
    vj_fail (error, VJ_EXIT_LIMIT, "sequence: '%" G_GSIZE_FORMAT " tokens': longer than the capacity of its fork; ask for more", sequence->length);
    return NULL;
  }
  VjMllamaSequence *fork = new_sequence (g_atomic_rc_box_acquire (prompt), capacity, error);
  if (fork != NULL)
    copy_past (sequence, sequence->length, fork);
  return fork;
}

void
vj_mllama_sequence_adopt (VjMllamaSequence *sequence, const VjMllamaSequence *from, gsize count)
{
  g_assert (sequence->length == 0 && count <= from->length && count <= sequence->capacity);
  copy_past (from, count, sequence);
}

void
vj_mllama_sequence_retire (VjMllamaSequence *sequence)
{
  g_clear_pointer (&sequence->prompt, prompt_unref);
}

gsize
vj_mllama_sequence_length (const VjMllamaSequence *sequence)
{
  return sequence->length;
}

void
vj_mllama_sequence_free (VjMllamaSequence *sequence)
{
  if (sequence == NULL)
    return;
  give_cache (sequence->model, sequence->kv, sequence->bytes);
  prompt_unref (sequence->prompt);
  g_free (sequence);
}
