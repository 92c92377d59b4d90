/* Sequences: caches, prefill and decoding. See mllama.h. */
#include "engine/mllama/model.h"

#include <string.h>

#define PREFILL_ROWS 2048 /* rows of one forward pass, so that activations stay bounded; results do not depend on it */

/* What a prompt shows: shared by forks. */
typedef struct {
  VjMllama *model;
  gsize n_visions;
  VjMllamaVision **visions;
  VjF32 *joined;  /* several images: for each cross layer keys then values, real tiles of all images first; else NULL */
  gsize n_states;
} Shown;

struct VjMllamaSequence {
  VjMllama *model;
  Shown *shown;      /* NULL: no image */
  gsize capacity, length, n_prompt;
  guint32 *tokens;   /* the prompt */
  gint32 *cross_first, *cross_last, *seen; /* [n_prompt]; seen 0 or 1. A generated token sees what the last one did. */
  VjF32 *kv;         /* for each self layer keys then values, [capacity, KV] */
};

/* One stretch of new tokens. */
typedef struct {
  VjMllamaSequence *sequence;
  const guint32 *tokens;
  gsize count, order; /* order: where its logits go */
} Item;

static gsize
kv_width (const VjMllamaConfig *c)
{
  return (gsize) c->num_key_value_heads * c->head_dim;
}

gsize
vj_mllama_sequence_bytes (const VjMllama *model, gsize capacity)
{
  const VjMllamaConfig *c = &model->plan->config;
  return 8 * (gsize) (c->num_hidden_layers - c->n_cross) * capacity * kv_width (c) + 64 + capacity * 16;
}

gsize
vj_mllama_sequence_length (const VjMllamaSequence *sequence)
{
  return sequence->length;
}

static void
shown_clear (gpointer data)
{
  Shown *shown = data;
  for (gsize i = 0; i < shown->n_visions; i++)
    vj_mllama_vision_unref (shown->visions[i]);
  shown->model->compute->ops->release (shown->model->compute->device, shown->joined);
  g_free (shown->visions);
}

static void
copy (VjMllama *model, const VjF32 *from, gsize n, VjF32 *to)
{
  if (n > 0)
    model->compute->ops->copy_2d (model->compute->device, 1, n, from, n, 1, to, n, 1, FALSE);
}

/* Real tiles of every image first, padding tiles after them. */
static void
join_states (Shown *shown)
{
  const VjMllamaConfig *c = &shown->model->plan->config;
  gsize KV = kv_width (c), all = (gsize) c->max_num_tiles * c->n_patches;
  VjF32 *to = shown->joined;
  for (guint part = 0; part < 2 * c->n_cross; part++)
    for (guint padding = 0; padding < 2; padding++)
      for (gsize i = 0; i < shown->n_visions; i++) {
        const VjF32 *from = vj_f32_at (shown->visions[i]->kv, part * all * KV);
        gsize real = (gsize) shown->visions[i]->n_tiles * c->n_patches, n = (padding ? all - real : real) * KV;
        copy (shown->model, vj_f32_at (from, padding ? real * KV : 0), n, to);
        to = vj_f32_at (to, n);
      }
}

static Shown *
shown_new (VjMllama *model, VjMllamaVision *const *visions, gsize n, GError **error)
{
  const VjMllamaConfig *c = &model->plan->config;
  gsize n_states = n * c->max_num_tiles * c->n_patches;
  VjF32 *joined = NULL;
  if (n > 1 && (joined = model->compute->ops->alloc (model->compute->device, 8 * (gsize) c->n_cross * n_states * kv_width (c), error)) == NULL)
    return NULL;
  Shown *shown = g_atomic_rc_box_new0 (Shown);
  *shown = (Shown) { .model = model, .n_visions = n, .visions = g_new (VjMllamaVision *, n), .joined = joined, .n_states = n_states };
  for (gsize i = 0; i < n; i++)
    shown->visions[i] = vj_mllama_vision_ref (visions[i]);
  if (joined != NULL)
    join_states (shown);
  return shown;
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
place_images (VjMllamaSequence *sequence, VjMllamaVision *const *visions, gsize n, GError **error)
{
  g_autofree guint32 *tiles = g_new (guint32, n + 1);
  for (gsize i = 0; i < n; i++)
    tiles[i] = visions[i]->n_tiles;
  sequence->cross_first = g_new (gint32, 3 * sequence->n_prompt);
  sequence->cross_last = sequence->cross_first + sequence->n_prompt;
  sequence->seen = sequence->cross_last + sequence->n_prompt;
  if (!vj_net_cross_ranges (&sequence->model->plan->config, sequence->tokens, sequence->n_prompt, tiles, n, sequence->cross_first, sequence->cross_last, sequence->seen))
    return vj_fail (error, VJ_EXIT_DATA, "prompt: 'image tokens': their number is not that of the images (%" G_GSIZE_FORMAT "): one image token must stand for each image; build the prompt with the model's chat template", n);
  return n == 0 || (sequence->shown = shown_new (sequence->model, visions, n, error)) != NULL;
}

VjMllamaSequence *
vj_mllama_sequence_new (VjMllama *model, const guint32 *tokens, gsize n_tokens, VjMllamaVision *const *visions,
                        gsize n_visions, gsize capacity, GError **error)
{
  if (!check_prompt (&model->plan->config, tokens, n_tokens, capacity, error))
    return NULL;
  g_autoptr (VjMllamaSequence) sequence = g_new0 (VjMllamaSequence, 1);
  sequence->model = model;
  sequence->capacity = capacity;
  sequence->n_prompt = n_tokens;
  sequence->tokens = g_memdup2 (tokens, n_tokens * sizeof *tokens);
  if (!place_images (sequence, visions, n_visions, error))
    return NULL;
  sequence->kv = model->compute->ops->alloc (model->compute->device, vj_mllama_sequence_bytes (model, capacity), error);
  return sequence->kv == NULL ? NULL : g_steal_pointer (&sequence);
}

VjMllamaSequence *
vj_mllama_sequence_fork (const VjMllamaSequence *sequence, gsize capacity, GError **error)
{
  VjMllama *model = sequence->model;
  const VjMllamaConfig *c = &model->plan->config;
  gsize KV = kv_width (c);
  if (!check_prompt (c, sequence->tokens, sequence->n_prompt, capacity, error))
    return NULL;
  if (sequence->length > capacity) {
    vj_fail (error, VJ_EXIT_LIMIT, "sequence: '%" G_GSIZE_FORMAT " tokens': longer than the capacity of its fork; ask for more", sequence->length);
    return NULL;
  }
  VjF32 *kv = model->compute->ops->alloc (model->compute->device, vj_mllama_sequence_bytes (model, capacity), error);
  if (kv == NULL)
    return NULL;
  VjMllamaSequence *fork = g_new (VjMllamaSequence, 1);
  *fork = *sequence;
  fork->capacity = capacity;
  fork->kv = kv;
  fork->shown = sequence->shown == NULL ? NULL : g_atomic_rc_box_acquire (sequence->shown);
  fork->tokens = g_memdup2 (sequence->tokens, sequence->n_prompt * sizeof *fork->tokens);
  fork->cross_first = g_memdup2 (sequence->cross_first, 3 * sequence->n_prompt * sizeof *fork->cross_first);
  fork->cross_last = fork->cross_first + fork->n_prompt;
  fork->seen = fork->cross_last + fork->n_prompt;
  for (guint part = 0; part < 2 * (c->num_hidden_layers - c->n_cross); part++)
    copy (model, vj_f32_at (sequence->kv, part * sequence->capacity * KV), sequence->length * KV, vj_f32_at (kv, part * capacity * KV));
  return fork;
}

void
vj_mllama_sequence_free (VjMllamaSequence *sequence)
{
  if (sequence == NULL)
    return;
  sequence->model->compute->ops->release (sequence->model->compute->device, sequence->kv);
  if (sequence->shown != NULL)
    g_atomic_rc_box_release_full (sequence->shown, shown_clear);
  g_free (sequence->tokens);
  g_free (sequence->cross_first);
  g_free (sequence);
}

/* -- running --------------------------------------------------------------- */

/* Host copies of the index arrays of one pass, and the device layout they go to. */
typedef struct {
  VjMllamaRows rows;
  VjMllamaText t;
  VjI32 *last_row; /* [items] */
  VjF32 *final, *normed, *logits;
} Pass;

static void
layout (const VjMllamaConfig *c, gsize rows, gsize image_rows, gsize n_items, VjArena *arena, Pass *pass)
{
  gsize H = c->hidden_size, F = c->intermediate_size;
  VjMllamaRows *r = &pass->rows;
  VjI32 **wide[] = { &r->tokens, &r->positions, &r->self_last }, **narrow[] = { &r->cross_first, &r->cross_last, &r->seen };
  r->rows = rows;
  r->image_rows = image_rows;
  for (guint i = 0; i < 3; i++) {
    *wide[i] = (VjI32 *) vj_arena_take (arena, rows);
    *narrow[i] = (VjI32 *) vj_arena_take (arena, image_rows);
  }
  pass->last_row = (VjI32 *) vj_arena_take (arena, n_items);
  pass->t = (VjMllamaText) { 0 };
  VjF32 **single[] = { &pass->t.x, &pass->t.n1, &pass->t.att, &pass->t.x2 };
  for (guint i = 0; i < G_N_ELEMENTS (single); i++)
    *single[i] = vj_arena_take (arena, rows * H);
  pass->t.qkv = vj_arena_take (arena, rows * (H + 2 * kv_width (c)));
  pass->t.gu = vj_arena_take (arena, rows * 2 * F);
  pass->t.act = vj_arena_take (arena, rows * F);
  pass->t.q = vj_arena_take (arena, image_rows * H);
  pass->t.branch = pass->t.mlp = vj_arena_take (arena, image_rows * H);
  pass->t.n2 = pass->t.n1;
  pass->t.out = pass->t.x;
  pass->final = vj_arena_take (arena, n_items * H);
  pass->normed = vj_arena_take (arena, n_items * H);
  pass->logits = vj_arena_take (arena, n_items * c->vocab_size);
}

static void
fill_rows (VjMllama *model, const Item *items, gsize n, Pass *pass)
{
  VjMllamaRows *r = &pass->rows;
  g_autofree gint32 *store = g_new (gint32, 6 * r->rows + n);
  gint32 *tokens = store, *positions = store + r->rows, *last = positions + r->rows, *first = last + r->rows,
         *until = first + r->rows, *seen = until + r->rows, *last_row = seen + r->rows;
  gsize row = 0;
  for (gsize i = 0; i < n; i++) {
    const VjMllamaSequence *s = items[i].sequence;
    r->self[i] = (VjAttentionSegment) { .q_row = row, .q_count = items[i].count, .kv_count = s->length + items[i].count };
    if (s->shown != NULL)
      r->cross[r->n_cross++] = (VjAttentionSegment) { .q_row = row, .q_count = items[i].count, .kv_count = s->shown->n_states };
    for (gsize p = 0; p < items[i].count; p++, row++) {
      gsize position = s->length + p, like = MIN (position, s->n_prompt - 1);
      tokens[row] = (gint32) items[i].tokens[p];
      positions[row] = (gint32) position;
      last[row] = (gint32) position + 1;
      first[row] = s->cross_first[like];
      until[row] = s->cross_last[like];
      seen[row] = s->seen[like] ? (gint32) row : -1;
    }
    last_row[i] = (gint32) row - 1;
  }
  const struct { VjI32 *to; const gint32 *from; gsize n; } parts[] = {
    { r->tokens, tokens, r->rows }, { r->positions, positions, r->rows }, { r->self_last, last, r->rows },
    { r->cross_first, first, r->image_rows }, { r->cross_last, until, r->image_rows }, { r->seen, seen, r->image_rows }, { pass->last_row, last_row, n },
  };
  for (guint i = 0; i < G_N_ELEMENTS (parts); i++)
    model->compute->ops->upload (model->compute->device, parts[i].to, parts[i].from, parts[i].n * 4);
}

/* New keys and values go to the caches, and the segments look there. */
static void
append (VjMllama *model, guint self_layer, const Item *items, gsize n, const Pass *pass)
{
  const VjMllamaConfig *c = &model->plan->config;
  gsize KV = kv_width (c), H = c->hidden_size, width = H + 2 * KV;
  for (gsize i = 0; i < n; i++) {
    const VjMllamaSequence *s = items[i].sequence;
    VjAttentionSegment *segment = &pass->rows.self[i];
    const VjF32 *from = vj_f32_at (pass->t.qkv, segment->q_row * width + H);
    VjF32 *k = vj_f32_at (s->kv, 2 * self_layer * s->capacity * KV), *v = vj_f32_at (k, s->capacity * KV);
    model->compute->ops->copy_2d (model->compute->device, items[i].count, KV, from, width, 1, vj_f32_at (k, s->length * KV), KV, 1, FALSE);
    model->compute->ops->copy_2d (model->compute->device, items[i].count, KV, vj_f32_at (from, KV), width, 1, vj_f32_at (v, s->length * KV), KV, 1, FALSE);
    segment->k = k;
    segment->v = v;
  }
}

static void
look_at_images (VjMllama *model, guint cross_layer, const Item *items, const Pass *pass)
{
  gsize KV = kv_width (&model->plan->config);
  for (gsize i = 0; i < pass->rows.n_cross; i++) {
    const Shown *shown = items[i].sequence->shown;
    const VjF32 *kv = shown->joined != NULL ? shown->joined : shown->visions[0]->kv;
    pass->rows.cross[i].k = vj_f32_at (kv, 2 * cross_layer * shown->n_states * KV);
    pass->rows.cross[i].v = vj_f32_at (kv, (2 * cross_layer + 1) * shown->n_states * KV);
  }
}

static void
run_layers (VjMllama *model, const Item *items, gsize n, const Pass *pass)
{
  const VjMllamaConfig *c = &model->plan->config;
  const VjComputeOps *ops = model->compute->ops;
  void *device = model->compute->device;
  guint n_self = 0, n_cross = 0;
  vj_net_embed (&model->net, &pass->rows, pass->t.x);
  for (guint l = 0; l < c->num_hidden_layers; l++)
    if (c->is_cross[l]) {
      look_at_images (model, n_cross++, items, pass);
      if (pass->rows.image_rows > 0)
        vj_net_cross (&model->net, l, &pass->rows, &pass->t);
    } else {
      vj_net_self_begin (&model->net, l, &pass->rows, &pass->t);
      append (model, n_self++, items, n, pass);
      vj_net_self_end (&model->net, l, &pass->rows, &pass->t);
    }
  ops->zero (device, pass->final, n * c->hidden_size * 4);
  ops->add_rows (device, n, c->hidden_size, pass->t.x, pass->last_row, VJ_GATE_NONE, NULL, pass->final);
  ops->rms_norm (device, n, c->hidden_size, c->rms_norm_eps, pass->final, model->net.value[model->plan->norm], pass->normed, NULL);
  vj_net_linear (&model->net, n, pass->normed, model->plan->head, 1, -1, pass->logits, c->vocab_size);
}

/* One forward pass; sequences with images must come first. */
static gboolean
run (VjMllama *model, const Item *items, gsize n, float *ret_logits, GError **error)
{
  const VjMllamaConfig *c = &model->plan->config;
  gsize rows = 0, image_rows = 0, V = c->vocab_size;
  for (gsize i = 0; i < n; i++) {
    rows += items[i].count;
    image_rows += items[i].sequence->shown != NULL ? items[i].count : 0;
  }
  Pass pass = { 0 };
  VjArena count = { 0 };
  layout (c, rows, image_rows, n, &count, &pass);
  if (!vj_mllama_reserve (model, count.used, error))
    return FALSE;
  layout (c, rows, image_rows, n, &model->work, &pass);
  g_autofree VjAttentionSegment *segments = g_new0 (VjAttentionSegment, 2 * n);
  pass.rows.self = segments;
  pass.rows.n_self = n;
  pass.rows.cross = segments + n;
  fill_rows (model, items, n, &pass);
  run_layers (model, items, n, &pass);
  if (!model->compute->ops->finish (model->compute->device, error))
    return FALSE;
  for (gsize i = 0; i < n; i++)
    model->compute->ops->download (model->compute->device, ret_logits + items[i].order * V, vj_f32_at (pass.logits, i * V), V * 4);
  for (gsize i = 0; i < n; i++)
    items[i].sequence->length += items[i].count;
  return TRUE;
}

/* Stable: sequences with images before those without. */
static Item *
sort_items (const Item *items, gsize n)
{
  Item *sorted = g_new (Item, n);
  gsize at = 0;
  for (guint without = 0; without < 2; without++)
    for (gsize i = 0; i < n; i++)
      if ((items[i].sequence->shown == NULL) == (without == 1))
        sorted[at++] = items[i];
  return sorted;
}

static gboolean
run_all (VjMllama *model, const Item *items, gsize n, float *ret_logits, GError **error)
{
  g_autofree Item *sorted = sort_items (items, n);
  for (gsize at = 0, taken; at < n; at += taken) {
    gsize rows = sorted[at].count;
    for (taken = 1; at + taken < n && rows + sorted[at + taken].count <= PREFILL_ROWS; taken++)
      rows += sorted[at + taken].count;
    if (!run (model, sorted + at, taken, ret_logits, error))
      return FALSE;
  }
  return TRUE;
}

gboolean
vj_mllama_prefill (VjMllama *model, VjMllamaSequence *const *sequences, gsize n, float *ret_logits, GError **error)
{
  g_autofree Item *items = g_new (Item, n + 1);
  for (gsize i = 0; i < n; i++) {
    if (sequences[i]->length > 0)
      return vj_fail (error, VJ_EXIT_BUG, "prefill: 'sequence %" G_GSIZE_FORMAT "': was prefilled before; a sequence is prefilled once", i);
    items[i] = (Item) { sequences[i], sequences[i]->tokens, sequences[i]->n_prompt, i };
  }
  return run_all (model, items, n, ret_logits, error);
}

gboolean
vj_mllama_decode (VjMllama *model, VjMllamaSequence *const *sequences, const guint32 *tokens, gsize n, float *ret_logits, GError **error)
{
  g_autofree Item *items = g_new (Item, n + 1);
  const VjMllamaConfig *c = &model->plan->config;
  for (gsize i = 0; i < n; i++) {
    if (sequences[i]->length == 0)
      return vj_fail (error, VJ_EXIT_BUG, "decode: 'sequence %" G_GSIZE_FORMAT "': was not prefilled", i);
    if (sequences[i]->length == sequences[i]->capacity)
      return vj_fail (error, VJ_EXIT_LIMIT, "decode: 'sequence %" G_GSIZE_FORMAT "': its %" G_GSIZE_FORMAT " tokens are used up; give it a larger capacity", i, sequences[i]->capacity);
    if (tokens[i] >= c->vocab_size + VJ_MLLAMA_EXTRA_EMBEDDINGS)
      return vj_fail (error, VJ_EXIT_BUG, "decode: 'token %u': is not in the vocabulary", tokens[i]);
    items[i] = (Item) { sequences[i], &tokens[i], 1, i };
  }
  return run_all (model, items, n, ret_logits, error);
}
