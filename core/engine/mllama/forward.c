/* Running stretches of sequences through the decoder: prefill, decoding and any mixture of them. See mllama.h. */
#include "engine/mllama/sequence.h"

#include <string.h>

#define PASS_ROWS 2048 /* rows of one forward pass, so that activations stay bounded; results do not depend on it */

/* Index arrays of one pass on the device, its activations, and host memory to fill the former from. */
typedef struct {
  VjMllamaRows rows;
  VjMllamaText t;
  gsize n_wanted;
  VjI32 *wanted; /* [n_wanted] rows whose logits are wanted */
  VjF32 *final, *normed, *logits;
  gint32 *host; /* [6 R + n_wanted] */
} Pass;

static void
layout (const VjMllamaConfig *c, gsize rows, gsize image_rows, gsize n_wanted, VjArena *arena, Pass *pass)
{
  gsize H = c->hidden_size, F = c->intermediate_size;
  VjMllamaRows *r = &pass->rows;
  VjI32 **wide[] = { &r->tokens, &r->positions, &r->self_last }, **narrow[] = { &r->cross_first, &r->cross_last, &r->seen };
  r->rows = rows;
  r->image_rows = image_rows;
  pass->n_wanted = n_wanted;
  for (guint i = 0; i < 3; i++) {
    *wide[i] = (VjI32 *) vj_arena_take (arena, rows);
    *narrow[i] = (VjI32 *) vj_arena_take (arena, image_rows);
  }
  pass->wanted = (VjI32 *) vj_arena_take (arena, n_wanted);
  pass->t = (VjMllamaText) { 0 };
  VjF32 **single[] = { &pass->t.x, &pass->t.n1, &pass->t.att, &pass->t.x2 };
  for (guint i = 0; i < G_N_ELEMENTS (single); i++)
    *single[i] = vj_arena_take (arena, rows * H);
  pass->t.qkv = vj_arena_take (arena, rows * (H + 2 * vj_mllama_kv_width (c)));
  pass->t.gu = vj_arena_take (arena, rows * 2 * F);
  pass->t.act = vj_arena_take (arena, rows * F);
  pass->t.q = vj_arena_take (arena, image_rows * H);
  pass->t.branch = pass->t.mlp = vj_arena_take (arena, image_rows * H);
  pass->t.n2 = pass->t.n1;
  pass->t.out = pass->t.x;
  pass->final = vj_arena_take (arena, n_wanted * H);
  pass->normed = vj_arena_take (arena, n_wanted * H);
  pass->logits = vj_arena_take (arena, n_wanted * c->vocab_size);
}

/* -- memory of a call --------------------------------------------------------------------- */

/* A stretch with the place of its logits. */
typedef struct {
  const VjMllamaStretch *stretch;
  float *logits; /* [wanted, V] */
} Item;

/* Memory for the index arrays of a call; grows, so that the same call again allocates nothing. */
static void *
host_memory (VjMllama *model, gsize bytes)
{
  if (bytes > model->host_size) {
    g_free (model->host);
    model->host = g_malloc (bytes);
    model->host_size = bytes;
  }
  return model->host;
}

static gsize
host_bytes (gsize n, gsize rows, gsize wanted)
{
  return n * (sizeof (Item) + 2 * sizeof (VjAttentionSegment)) + (6 * rows + wanted) * sizeof (gint32);
}

gsize
vj_mllama_work_bytes (const VjMllama *model, gsize rows, gsize wanted)
{
  const VjMllamaConfig *c = &model->plan->config;
  g_autofree VjMllamaImages *image = g_new (VjMllamaImages, 1);
  VjArena text = { 0 }, vision = { 0 };
  Pass pass = { 0 };
  layout (c, rows, rows, wanted, &text, &pass);
  vj_net_images_layout (c, 1, VJ_KEEP_NONE, &vision, image);
  for (guint i = 0; i < 3; i++)
    vj_arena_take (&vision, image->token_rows * vj_mllama_kv_width (c));
  return 4 * MAX (text.used, vision.used);
}

gboolean
vj_mllama_set_aside (VjMllama *model, gsize rows, gsize wanted, GError **error)
{
  host_memory (model, host_bytes (rows, rows, wanted));
  return vj_mllama_reserve (model, vj_mllama_work_bytes (model, rows, wanted) / 4, error);
}

void
vj_mllama_forget (VjMllama *model)
{
  vj_mllama_trim (model);
  g_clear_pointer (&model->host, g_free);
  model->host_size = 0;
}

/* -- one pass ------------------------------------------------------------------------- */

/* What an item's sequence sees of its images; NULL: no image. Neighbours that see the same share one stretch of
 * cross-attention, so that draws of one prompt, or of several about one image, read it once. */
static VjF32 *
shown_to (const Item *item)
{
  const VjMllamaPrompt *prompt = item->stretch->sequence->prompt;
  return prompt->joined != NULL ? prompt->joined : prompt->n_visions > 0 ? prompt->visions[0]->kv : NULL;
}

static gboolean
shares_view (const Item *items, gsize i)
{
  return i > 0 && shown_to (&items[i]) == shown_to (&items[i - 1]);
}

static void
fill_rows (VjMllama *model, const Item *items, gsize n, Pass *pass)
{
  VjMllamaRows *r = &pass->rows;
  gint32 *tokens = pass->host, *positions = tokens + r->rows, *last = positions + r->rows, *first = last + r->rows,
         *until = first + r->rows, *seen = until + r->rows, *wanted = seen + r->rows;
  gsize row = 0, at = 0;
  for (gsize i = 0; i < n; i++) {
    const VjMllamaStretch *stretch = items[i].stretch;
    const VjMllamaSequence *s = stretch->sequence;
    const VjMllamaPrompt *prompt = s->prompt;
    r->self[i] = (VjAttentionSegment) { .q_row = row, .q_count = stretch->count, .kv_count = s->length + stretch->count };
    if (prompt->n_visions > 0 && shares_view (items, i))
      r->cross[r->n_cross - 1].q_count += stretch->count;
    else if (prompt->n_visions > 0)
      r->cross[r->n_cross++] = (VjAttentionSegment) { .q_row = row, .q_count = stretch->count, .kv_count = prompt->n_states };
    for (gsize p = 0; p < stretch->count; p++, row++) {
      gsize position = s->length + p, like = MIN (position, prompt->n - 1);
      tokens[row] = (gint32) stretch->tokens[p];
      positions[row] = (gint32) position;
      last[row] = (gint32) position + 1;
      first[row] = prompt->cross_first[like];
      until[row] = prompt->cross_last[like];
      seen[row] = prompt->seen[like] ? (gint32) row : -1;
    }
    for (gsize w = stretch->wanted; w > 0; w--)
      wanted[at++] = (gint32) (row - w);
  }
  const struct { VjI32 *to; const gint32 *from; gsize n; } parts[] = {
    { r->tokens, tokens, r->rows }, { r->positions, positions, r->rows }, { r->self_last, last, r->rows },
    { r->cross_first, first, r->image_rows }, { r->cross_last, until, r->image_rows }, { r->seen, seen, r->image_rows },
    { pass->wanted, wanted, at },
  };
  for (guint i = 0; i < G_N_ELEMENTS (parts); i++)
    model->compute->ops->upload (model->compute->device, parts[i].to, parts[i].from, parts[i].n * 4);
}

/* The segments look at the sequences' caches. New keys and values go there now, unless attention itself stores them. */
static void
append (VjMllama *model, guint self_layer, const Item *items, gsize n, const Pass *pass)
{
  const VjComputeOps *ops = model->compute->ops;
  void *device = model->compute->device;
  const VjMllamaConfig *c = &model->plan->config;
  gsize KV = vj_mllama_kv_width (c), H = c->hidden_size, width = H + 2 * KV;
  for (gsize i = 0; i < n; i++) {
    const VjMllamaSequence *s = items[i].stretch->sequence;
    gsize count = items[i].stretch->count;
    VjAttentionSegment *segment = &pass->rows.self[i];
    const VjF32 *from = vj_f32_at (pass->t.qkv, segment->q_row * width + H);
    vj_mllama_cache_show (model, vj_mllama_cache_at (model, s->kv, s->stride, self_layer), s->stride, segment);
    if (segment->cache != NULL)
      continue;
    ops->copy_2d (device, count, KV, from, width, 1, vj_f32_at (segment->k, s->length * KV), KV, 1, FALSE);
    ops->copy_2d (device, count, KV, vj_f32_at (from, KV), width, 1, vj_f32_at (segment->v, s->length * KV), KV, 1, FALSE);
  }
}

static void
look_at_images (VjMllama *model, guint cross_layer, const Item *items, gsize n, const Pass *pass)
{
  gsize at = 0;
  for (gsize i = 0; i < n && shown_to (&items[i]) != NULL; i++) {
    if (shares_view (items, i))
      continue;
    VjAttentionSegment *segment = &pass->rows.cross[at++];
    vj_mllama_cache_show (model, vj_mllama_cache_at (model, shown_to (&items[i]), segment->kv_count, cross_layer), segment->kv_count, segment);
  }
}

static void
find_logits (VjMllama *model, const Pass *pass)
{
  const VjComputeOps *ops = model->compute->ops;
  void *device = model->compute->device;
  const VjMllamaConfig *c = &model->plan->config;
  gsize n = pass->n_wanted;
  ops->zero (device, pass->final, n * c->hidden_size * 4);
  ops->add_rows (device, n, c->hidden_size, pass->t.x, pass->wanted, VJ_GATE_NONE, NULL, pass->final);
  ops->rms_norm (device, n, c->hidden_size, c->rms_norm_eps, pass->final, model->net.value[model->plan->norm], pass->normed, NULL);
  vj_net_linear (&model->net, n, pass->normed, model->plan->head, 1, -1, pass->logits, c->vocab_size);
}

static void
run_layers (VjMllama *model, const Item *items, gsize n, const Pass *pass)
{
  const VjMllamaConfig *c = &model->plan->config;
  guint n_self = 0, n_cross = 0;
  vj_net_embed (&model->net, &pass->rows, pass->t.x);
  for (guint l = 0; l < c->num_hidden_layers; l++)
    if (c->is_cross[l]) {
      look_at_images (model, n_cross++, items, n, pass);
      if (pass->rows.image_rows > 0)
        vj_net_cross (&model->net, l, &pass->rows, &pass->t);
    } else {
      vj_net_self_begin (&model->net, l, &pass->rows, &pass->t);
      append (model, n_self++, items, n, pass);
      vj_net_self_end (&model->net, l, &pass->rows, &pass->t);
    }
  if (pass->n_wanted > 0)
    find_logits (model, pass);
}

/* Items with images come first. `segments` [2 n] and pass->host are the caller's. */
static gboolean
run (VjMllama *model, const Item *items, gsize n, VjAttentionSegment *segments, gint32 *host, GError **error)
{
  const VjComputeOps *ops = model->compute->ops;
  const VjMllamaConfig *c = &model->plan->config;
  gsize rows = 0, image_rows = 0, wanted = 0, V = c->vocab_size;
  for (gsize i = 0; i < n; i++) {
    rows += items[i].stretch->count;
    image_rows += items[i].stretch->sequence->prompt->n_visions > 0 ? items[i].stretch->count : 0;
    wanted += items[i].stretch->wanted;
  }
  Pass pass = { 0 };
  VjArena count = { 0 };
  layout (c, rows, image_rows, wanted, &count, &pass);
  if (!vj_mllama_reserve (model, count.used, error))
    return FALSE;
  layout (c, rows, image_rows, wanted, &model->work, &pass);
  pass.host = host;
  pass.rows.self = segments;
  pass.rows.n_self = n;
  pass.rows.cross = segments + n;
  fill_rows (model, items, n, &pass);
  run_layers (model, items, n, &pass);
  if (!ops->finish (model->compute->device, error))
    return FALSE;
  for (gsize i = 0, at = 0; i < n; at += items[i++].stretch->wanted)
    ops->download (model->compute->device, items[i].logits, vj_f32_at (pass.logits, at * V), items[i].stretch->wanted * V * 4);
  for (gsize i = 0; i < n; i++)
    items[i].stretch->sequence->length += items[i].stretch->count;
  return TRUE;
}

/* -- calls ------------------------------------------------------------------------------- */

static gboolean
check_stretch (const VjMllamaConfig *c, const VjMllamaStretch *stretch, gsize i, GError **error)
{
  const VjMllamaSequence *s = stretch->sequence;
  if (s->prompt == NULL || stretch->count == 0 || stretch->wanted > stretch->count)
    return vj_fail (error, VJ_EXIT_BUG, "extend: 'sequence %" G_GSIZE_FORMAT "': retired, no tokens, or more logits wanted than tokens", i);
  if (stretch->count > s->capacity - s->length)
    return vj_fail (error, VJ_EXIT_LIMIT, "extend: 'sequence %" G_GSIZE_FORMAT "': its %" G_GSIZE_FORMAT " tokens are used up; give it a larger capacity", i, s->capacity);
  for (gsize t = 0; t < stretch->count; t++)
    if (stretch->tokens[t] >= c->vocab_size + VJ_MLLAMA_EXTRA_EMBEDDINGS)
      return vj_fail (error, VJ_EXIT_BUG, "extend: 'token %u': is not in the vocabulary", stretch->tokens[t]);
  return TRUE;
}

/* Stable: sequences with images before those without. */
static void
sort_items (const VjMllamaStretch *stretches, gsize n, gsize V, float *ret_logits, Item *ret_items)
{
  gsize at = 0;
  for (guint without = 0; without < 2; without++) {
    float *logits = ret_logits;
    for (gsize i = 0; i < n; logits += stretches[i++].wanted * V)
      if ((stretches[i].sequence->prompt->n_visions == 0) == (without == 1))
        ret_items[at++] = (Item) { &stretches[i], logits };
  }
}

gboolean
vj_mllama_extend (VjMllama *model, const VjMllamaStretch *stretches, gsize n, float *ret_logits, GError **error)
{
  const VjMllamaConfig *c = &model->plan->config;
  gsize rows = 0, wanted = 0;
  if (!vj_mllama_check_file (model, error))
    return FALSE;
  for (gsize i = 0; i < n; i++) {
    if (!check_stretch (c, &stretches[i], i, error))
      return FALSE;
    rows += stretches[i].count;
    wanted += stretches[i].wanted;
  }
  Item *items = host_memory (model, host_bytes (n, rows, wanted));
  VjAttentionSegment *segments = (VjAttentionSegment *) (items + n);
  gint32 *host = (gint32 *) (segments + 2 * n);
  sort_items (stretches, n, c->vocab_size, ret_logits, items);
  for (gsize at = 0, taken; at < n; at += taken) {
    gsize together = items[at].stretch->count;
    for (taken = 1; at + taken < n && together + items[at + taken].stretch->count <= PASS_ROWS; taken++)
      together += items[at + taken].stretch->count;
    if (!run (model, items + at, taken, segments, host, error))
      return FALSE;
  }
  return TRUE;
}

gboolean
vj_mllama_prefill (VjMllama *model, VjMllamaSequence *const *sequences, gsize n, float *ret_logits, GError **error)
{
  g_autofree VjMllamaStretch *stretches = g_new (VjMllamaStretch, n + 1);
  for (gsize i = 0; i < n; i++) {
    if (sequences[i]->length > 0)
      return vj_fail (error, VJ_EXIT_BUG, "prefill: 'sequence %" G_GSIZE_FORMAT "': was prefilled before; a sequence is prefilled once", i);
    stretches[i] = (VjMllamaStretch) { sequences[i], sequences[i]->prompt->tokens, sequences[i]->prompt->n, 1 };
  }
  return vj_mllama_extend (model, stretches, n, ret_logits, error);
}

gboolean
vj_mllama_decode (VjMllama *model, VjMllamaSequence *const *sequences, const guint32 *tokens, gsize n, float *ret_logits, GError **error)
{
  g_autofree VjMllamaStretch *stretches = g_new (VjMllamaStretch, n + 1);
  for (gsize i = 0; i < n; i++) {
    if (sequences[i]->length == 0)
      return vj_fail (error, VJ_EXIT_BUG, "decode: 'sequence %" G_GSIZE_FORMAT "': was not prefilled", i);
    stretches[i] = (VjMllamaStretch) { sequences[i], &tokens[i], 1, 1 };
  }
  return vj_mllama_extend (model, stretches, n, ret_logits, error);
}
