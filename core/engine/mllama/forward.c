/* Running stretches of sequences through the decoder: prefill, decoding and any mixture of them. See mllama.h. */
#include "engine/mllama/sequence.h"

#include <string.h>

#define PASS_ROWS 2048 /* rows of one forward pass, so that activations stay bounded; results do not depend on it */

/* Rows that go through layers together: their index arrays and activations on the device. */
typedef struct {
  VjMllamaRows rows;
  VjF32 **shown; /* [rows.n_cross] host: what each stretch of cross-attention sees, as shown_to */
  VjMllamaText t;
} Stage;

typedef struct {
  Stage all, few; /* few: rows whose logits are wanted, from the last self-attention layer on */
  VjF32 *normed, *logits; /* of few */
} Pass;

/* How many rows a pass has, and of them those of sequences with images. */
typedef struct {
  gsize rows, image_rows, wanted, image_wanted;
} Size;

static void
layout (const VjMllamaConfig *c, const Size *size, VjArena *arena, Pass *pass)
{
  gsize H = c->hidden_size, F = c->intermediate_size, rows = size->rows;
  VjMllamaText *t = &pass->all.t, *few = &pass->few.t;
  pass->all.rows.rows = rows;
  pass->all.rows.image_rows = size->image_rows;
  pass->few.rows.rows = size->wanted;
  pass->few.rows.image_rows = size->image_wanted;
  vj_net_rows_layout (&pass->all.rows, arena);
  vj_net_rows_layout (&pass->few.rows, arena);
  *t = (VjMllamaText) { 0 };
  VjF32 **single[] = { &t->x, &t->n1, &t->att, &t->x2 };
  for (guint i = 0; i < G_N_ELEMENTS (single); i++)
    *single[i] = vj_arena_take (arena, rows * H);
  t->qkv = vj_arena_take (arena, rows * (H + 2 * vj_mllama_kv_width (c)));
  t->gu = vj_arena_take (arena, rows * 2 * F);
  t->act = vj_arena_take (arena, rows * F);
  t->q = vj_arena_take (arena, size->image_rows * H);
  t->branch = t->mlp = vj_arena_take (arena, size->image_rows * H);
  t->n2 = t->n1;
  t->out = t->x;
  *few = *t;
  few->qkv = vj_arena_take (arena, size->wanted * H);
  VjF32 *picked = vj_arena_take (arena, size->wanted * H); /* always, so that fewer wanted never take more memory */
  few->x = few->out = size->wanted < rows ? picked : t->x;
  pass->normed = vj_arena_take (arena, size->wanted * H);
  pass->logits = vj_arena_take (arena, size->wanted * c->vocab_size);
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
  return n * (sizeof (Item) + 2 * (2 * sizeof (VjAttentionSegment) + sizeof (VjF32 *))) + 6 * (rows + wanted) * sizeof (gint32);
}

gsize
vj_mllama_work_bytes (const VjMllama *model, gsize rows, gsize wanted)
{
  const VjMllamaConfig *c = &model->plan->config;
  g_autofree VjMllamaImages *image = g_new (VjMllamaImages, 1);
  VjArena text = { 0 }, vision = { 0 };
  Pass pass = { 0 };
  layout (c, &(Size) { rows, rows, wanted, wanted }, &text, &pass);
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

/* What an item's sequence sees of its images; NULL: no image. */
static VjF32 *
shown_to (const Item *item)
{
  const VjMllamaPrompt *prompt = item->stretch->sequence->prompt;
  return prompt->joined != NULL ? prompt->joined : prompt->n_visions > 0 ? prompt->visions[0]->kv : NULL;
}

/* Neighbours that see the same share one stretch of cross-attention, so that draws of one prompt, or of several about one
 * image, read it once. */
static void
add_view (Stage *stage, const Item *item, gsize row, gsize count)
{
  VjMllamaRows *r = &stage->rows;
  VjF32 *shown = shown_to (item);
  if (shown == NULL || count == 0)
    return;
  if (r->n_cross == 0 || stage->shown[r->n_cross - 1] != shown) {
    stage->shown[r->n_cross] = shown;
    r->cross[r->n_cross++] = (VjAttentionSegment) { .q_row = row, .kv_count = item->stretch->sequence->prompt->n_states };
  }
  r->cross[r->n_cross - 1].q_count += count;
}

/* All rows of the items, or the last ones of each, whose logits are wanted. `host` [6 rows] is filled on the way. */
static void
fill_rows (VjMllama *model, const Item *items, gsize n, gboolean few, Stage *stage, gint32 *host)
{
  VjMllamaRows *r = &stage->rows;
  gint32 *column[6];
  for (guint i = 0; i < 6; i++)
    column[i] = host + i * r->rows;
  gsize row = 0, begin = 0;
  for (gsize i = 0; i < n; begin += items[i++].stretch->count) {
    const VjMllamaStretch *stretch = items[i].stretch;
    const VjMllamaSequence *s = stretch->sequence;
    const VjMllamaPrompt *prompt = s->prompt;
    gsize count = few ? stretch->wanted : stretch->count;
    r->self[r->n_self++] = (VjAttentionSegment) { .q_row = row, .q_count = count, .kv_count = s->length + stretch->count, .new_row = begin, .new_count = stretch->count };
    add_view (stage, &items[i], row, count);
    for (gsize p = stretch->count - count; p < stretch->count; p++, row++) {
      gsize position = s->length + p, like = MIN (position, prompt->n - 1);
      column[0][row] = few ? (gint32) (begin + p) : (gint32) stretch->tokens[p];
      column[1][row] = (gint32) position;
      column[2][row] = (gint32) position + 1;
      column[3][row] = prompt->cross_first[like];
      column[4][row] = prompt->cross_last[like];
      column[5][row] = prompt->seen[like] ? (gint32) row : -1;
    }
  }
  vj_net_rows_upload (model->compute, r, column);
}

/* The segments look at the sequences' caches. New keys and values, in `kv` ld apart, go there now, unless attention itself
 * stores them. */
static void
append (VjMllama *model, guint self_layer, const Item *items, const VjMllamaRows *rows, const VjF32 *kv, gsize ld)
{
  const VjComputeOps *ops = model->compute->ops;
  void *device = model->compute->device;
  gsize KV = vj_mllama_kv_width (&model->plan->config);
  for (gsize i = 0; i < rows->n_self; i++) {
    const VjMllamaSequence *s = items[i].stretch->sequence;
    VjAttentionSegment *segment = &rows->self[i];
    const VjF32 *from = vj_f32_at (kv, segment->new_row * ld);
    vj_mllama_cache_show (model, vj_mllama_cache_at (model, s->kv, s->stride, self_layer), s->stride, segment);
    if (segment->cache != NULL)
      continue;
    ops->copy_2d (device, segment->new_count, KV, from, ld, 1, vj_f32_at (segment->k, s->length * KV), KV, 1, FALSE);
    ops->copy_2d (device, segment->new_count, KV, vj_f32_at (from, KV), ld, 1, vj_f32_at (segment->v, s->length * KV), KV, 1, FALSE);
  }
}

static void
run_cross (VjMllama *model, guint layer, guint cross_layer, const Stage *stage)
{
  for (gsize i = 0; i < stage->rows.n_cross; i++) {
    VjAttentionSegment *segment = &stage->rows.cross[i];
    vj_mllama_cache_show (model, vj_mllama_cache_at (model, stage->shown[i], segment->kv_count, cross_layer), segment->kv_count, segment);
  }
  if (stage->rows.image_rows > 0)
    vj_net_cross (&model->net, layer, &stage->rows, &stage->t);
}

static void
run_self (VjMllama *model, guint layer, guint self_layer, const Item *items, const Pass *pass)
{
  const VjMllamaNet *net = &model->net;
  const VjMllamaConfig *c = &model->plan->config;
  const Stage *all = &pass->all, *few = &pass->few;
  gsize KV = vj_mllama_kv_width (c);
  if (layer < c->last_self) {
    vj_net_self_begin (net, layer, &all->rows, &all->t);
    append (model, self_layer, items, &all->rows, vj_f32_at (all->t.qkv, c->hidden_size), c->hidden_size + 2 * KV);
    vj_net_self_end (net, layer, &all->rows, &all->t);
    return;
  }
  vj_net_last_begin (net, &all->rows, &all->t);
  append (model, self_layer, items, &few->rows, all->t.qkv, 2 * KV);
  if (few->t.x != all->t.x)
    vj_net_pick (net, &few->rows, all->t.x, few->t.x);
  vj_net_last_end (net, &few->rows, &few->t, all->t.qkv);
}

static void
run_layers (VjMllama *model, const Item *items, const Pass *pass)
{
  const VjMllamaConfig *c = &model->plan->config;
  const Stage *few = &pass->few;
  guint n_self = 0, n_cross = 0;
  vj_net_embed (&model->net, &pass->all.rows, pass->all.t.x);
  for (guint l = 0; l < c->num_hidden_layers; l++)
    if (c->is_cross[l])
      run_cross (model, l, n_cross++, l < c->last_self ? &pass->all : few);
    else
      run_self (model, l, n_self++, items, pass);
  if (few->rows.rows == 0)
    return;
  if (c->last_self == c->num_hidden_layers && few->t.x != pass->all.t.x)
    vj_net_pick (&model->net, &few->rows, pass->all.t.x, few->t.x);
  model->compute->ops->rms_norm (model->compute->device, few->rows.rows, c->hidden_size, c->rms_norm_eps, few->t.x, model->net.value[model->plan->norm],
                                 pass->normed, NULL);
  vj_net_linear (&model->net, few->rows.rows, pass->normed, model->plan->head, 1, -1, pass->logits, c->vocab_size);
}

/* Items with images come first. `segments` [4 n], `shown` [2 n] and `host` are the caller's. */
static gboolean
run (VjMllama *model, const Item *items, gsize n, VjAttentionSegment *segments, VjF32 **shown, gint32 *host, GError **error)
{
  const VjComputeOps *ops = model->compute->ops;
  const VjMllamaConfig *c = &model->plan->config;
  gsize V = c->vocab_size;
  Size size = { 0 };
  for (gsize i = 0; i < n; i++) {
    const VjMllamaStretch *stretch = items[i].stretch;
    gboolean image = stretch->sequence->prompt->n_visions > 0;
    size.rows += stretch->count;
    size.wanted += stretch->wanted;
    size.image_rows += image ? stretch->count : 0;
    size.image_wanted += image ? stretch->wanted : 0;
  }
  Pass pass = { 0 };
  VjArena count = { 0 };
  layout (c, &size, &count, &pass);
  if (!vj_mllama_reserve (model, count.used, error))
    return FALSE;
  layout (c, &size, &model->work, &pass);
  for (guint few = 0; few < 2; few++) {
    Stage *stage = few ? &pass.few : &pass.all;
    stage->rows.self = segments + 2 * few * n;
    stage->rows.cross = stage->rows.self + n;
    stage->shown = shown + few * n;
    fill_rows (model, items, n, few, stage, host + few * 6 * size.rows);
  }
  run_layers (model, items, &pass);
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
  VjF32 **shown = (VjF32 **) (segments + 4 * n);
  gint32 *host = (gint32 *) (shown + 2 * n);
  sort_items (stretches, n, c->vocab_size, ret_logits, items);
  for (gsize at = 0, taken; at < n; at += taken) {
    gsize together = items[at].stretch->count;
    for (taken = 1; at + taken < n && together + items[at + taken].stretch->count <= PASS_ROWS; taken++)
      together += items[at + taken].stretch->count;
    if (!run (model, items + at, taken, segments, shown, host, error))
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
