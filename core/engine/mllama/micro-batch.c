/* One micro-batch of training: examples packed without padding, forward, loss, backward. See trainer.h. */
#include "base/random.h"
#include "engine/mllama/trainer.h"

#include <string.h>

#define STATES_CACHE_BYTES ((gsize) 512 << 20) /* of image states kept while the vision tower is frozen */

typedef struct {
  VjMllamaTrainer *trainer;
  const VjMllamaConfig *c;
  const VjMllamaExample **examples; /* with images first */
  gsize n, n_shown;                 /* examples with targets; those of them with images */
  gsize n_states;                   /* X: states of all images of all examples */
  gboolean train_vision;
  GPtrArray *images;                /* const VjMllamaImage: the distinct ones */
  gint32 *state_index;              /* [X] row of the encoded distinct images */
  gint32 *host;                     /* index arrays before upload */
  /* device */
  VjMllamaRows rows, few;           /* few: rows that predict a target, from the last self-attention layer on */
  VjMllamaText *layers;             /* [num_hidden_layers + 1]; the last one's x is the decoder's output, of few */
  VjMllamaText last;                /* the last self-attention layer's few; its keys and values are in layers */
  gsize taken[VJ_N_ROW_KINDS];      /* rows of each kind that dropout has seeds for */
  VjMllamaImages at;
  VjI32 *state_rows, *target_tokens;
  VjF32 *target_weights, *losses;
  VjF32 *states, *d_states, *d_encoded, *d_features;
  VjF32 *normed, *final_rstd, *logits, *d_normed;
  VjMllamaScratch s;
} Batch;

static gsize
kv_width (const VjMllamaConfig *c)
{
  return (gsize) c->num_key_value_heads * c->head_dim;
}

/* -- examples to indices --------------------------------------------------- */

static gboolean
check_example (const VjMllamaConfig *c, const VjMllamaExample *e, GError **error)
{
  if (e->n_tokens == 0 || e->n_tokens > c->max_position_embeddings)
    return vj_fail (error, VJ_EXIT_DATA, "train: 'example of %" G_GSIZE_FORMAT " tokens': does not fit: the model has %u positions; shorten or drop it",
                    e->n_tokens, c->max_position_embeddings);
  for (gsize i = 0; i < e->n_tokens; i++) {
    if (e->tokens[i] >= c->vocab_size + VJ_MLLAMA_EXTRA_EMBEDDINGS)
      return vj_fail (error, VJ_EXIT_DATA, "train: 'token %u': is not in a vocabulary of %u: tokenizer and model do not belong together; use the model's own", e->tokens[i], c->vocab_size);
    if (i > 0 && e->targets[i] && e->tokens[i] >= c->vocab_size)
      return vj_fail (error, VJ_EXIT_DATA, "train: 'token %u': cannot be a target: the model puts out %u tokens; mark only assistant text", e->tokens[i], c->vocab_size);
  }
  return TRUE;
}

/* Rows up to the last one that predicts a target, which see nothing of those after them, and up to the last image. */
static gsize
rows_of (const VjMllamaConfig *c, const VjMllamaExample *e)
{
  gsize rows = 0;
  for (gsize t = 1; t < e->n_tokens; t++)
    rows = e->targets[t] ? t : rows;
  for (gsize t = rows; rows > 0 && t < e->n_tokens; t++)
    rows = e->tokens[t] == c->image_token_index ? t + 1 : rows;
  return rows;
}

static gsize
targets_of (const VjMllamaExample *e)
{
  gsize n = 0;
  for (gsize t = 1; t < e->n_tokens; t++)
    n += e->targets[t] != 0;
  return n;
}

/* Examples without a target are checked and left out. */
static gboolean
count (Batch *b, const VjMllamaExample *const *examples, gsize n, GError **error)
{
  b->examples = g_new (const VjMllamaExample *, n);
  for (guint without = 0; without < 2; without++)
    for (gsize i = 0; i < n; i++) {
      const VjMllamaExample *e = examples[i];
      if ((e->n_images == 0) != (without == 1))
        continue;
      if (!check_example (b->c, e, error))
        return FALSE;
      gsize rows = rows_of (b->c, e), targets = targets_of (e);
      if (targets == 0)
        continue;
      b->examples[b->n++] = e;
      b->n_shown += e->n_images > 0;
      b->rows.rows += rows;
      b->rows.image_rows += e->n_images > 0 ? rows : 0;
      b->few.rows += targets;
      b->few.image_rows += e->n_images > 0 ? targets : 0;
      b->n_states += e->n_images * b->c->max_num_tiles * b->c->n_patches;
    }
  return TRUE;
}

/* The number of the image among the distinct ones. */
static gsize
distinct (Batch *b, GHashTable *seen, const VjMllamaExample *e, gsize i)
{
  const char *digest = e->digests == NULL ? NULL : e->digests[i];
  gpointer number;
  if (digest != NULL && g_hash_table_lookup_extended (seen, digest, NULL, &number))
    return GPOINTER_TO_SIZE (number);
  g_ptr_array_add (b->images, (gpointer) &e->images[i]);
  if (digest != NULL)
    g_hash_table_insert (seen, (gpointer) digest, GSIZE_TO_POINTER (b->images->len - 1));
  return b->images->len - 1;
}

/* An example's states: real tiles of all its images, then padding tiles. */
static void
index_states (Batch *b)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  gsize all = (gsize) b->c->max_num_tiles * b->c->n_patches, at = 0;
  b->images = g_ptr_array_new ();
  b->state_index = g_new (gint32, b->n_states + 1);
  for (gsize e = 0; e < b->n_shown; e++)
    for (guint padding = 0; padding < 2; padding++)
      for (gsize i = 0; i < b->examples[e]->n_images; i++) {
        gsize number = distinct (b, seen, b->examples[e], i), real = (gsize) b->examples[e]->images[i].n_tiles * b->c->n_patches;
        for (gsize r = padding ? real : 0; r < (padding ? all : MIN (real, all)); r++)
          b->state_index[at++] = (gint32) (number * all + r);
      }
}

/* -- layout ---------------------------------------------------------------- */

static void
layout_rows (VjMllamaRows *r, VjArena *arena)
{
  VjI32 **wide[] = { &r->tokens, &r->positions, &r->self_last }, **narrow[] = { &r->cross_first, &r->cross_last, &r->seen };
  for (guint i = 0; i < 3; i++) {
    *wide[i] = (VjI32 *) vj_arena_take (arena, r->rows);
    *narrow[i] = (VjI32 *) vj_arena_take (arena, r->image_rows);
  }
}

/* What a layer's products read but backward can make anew, for the layer or for all of them. */
static void
layout_made (Batch *b, gsize rows, VjMllamaText *t, VjArena *arena)
{
  t->n1 = vj_arena_take (arena, rows * b->c->hidden_size);
  t->n2 = vj_arena_take (arena, rows * b->c->hidden_size);
  t->act = vj_arena_take (arena, rows * b->c->intermediate_size);
}

/* All of layer l but x and out, by which layers are joined. */
static void
layout_layer (Batch *b, guint l, const VjMllamaText *made, VjMllamaText *t, VjArena *arena)
{
  const VjMllamaConfig *c = b->c;
  const VjMllamaRows *rows = l < c->last_self ? &b->rows : &b->few;
  gboolean cross = c->is_cross[l];
  gsize H = c->hidden_size, F = c->intermediate_size, KV = kv_width (c), n = cross ? rows->image_rows : rows->rows;
  *t = (VjMllamaText) { .n1 = made->n1, .n2 = made->n2, .act = made->act };
  if (!b->trainer->net.remake)
    layout_made (b, n, t, arena);
  t->rstd1 = vj_arena_take (arena, n);
  t->qkv = vj_arena_take (arena, n * (cross || l == c->last_self ? H : H + 2 * KV));
  if (cross) {
    t->q = vj_arena_take (arena, n * H);
    t->q_rstd = vj_arena_take (arena, n * c->num_attention_heads);
    t->k_raw = vj_arena_take (arena, b->n_states * KV);
    t->k_rstd = vj_arena_take (arena, b->n_states * c->num_key_value_heads);
    t->k = vj_arena_take (arena, b->n_states * KV);
    t->v = vj_arena_take (arena, b->n_states * KV);
    t->branch = vj_arena_take (arena, n * H);
    t->mlp = vj_arena_take (arena, n * H);
  }
  t->att = vj_arena_take (arena, n * H);
  t->lse = vj_arena_take (arena, n * c->num_attention_heads);
  t->x2 = vj_arena_take (arena, rows->rows * H);
  t->rstd2 = vj_arena_take (arena, n);
  t->gu = vj_arena_take (arena, n * 2 * F);
}

/* Keys and values of all rows in the last self-attention layer. */
static void
layout_keys (Batch *b, const VjMllamaText *made, VjMllamaText *t, VjArena *arena)
{
  gsize R = b->rows.rows;
  *t = (VjMllamaText) { .n1 = b->trainer->net.remake ? made->n1 : vj_arena_take (arena, R * b->c->hidden_size) };
  t->rstd1 = vj_arena_take (arena, R);
  t->qkv = vj_arena_take (arena, R * 2 * kv_width (b->c));
}

/* When activations are made again in backward, layers of a kind share all but their outputs. */
static void
layout_layers (Batch *b, VjArena *arena)
{
  const VjMllamaConfig *c = b->c;
  gsize H = c->hidden_size;
  VjMllamaText shared[2], made = { 0 };
  gboolean there[2] = { FALSE, FALSE };
  VjF32 *x = vj_arena_take (arena, b->rows.rows * H);
  if (b->trainer->net.remake)
    layout_made (b, b->rows.rows, &made, arena);
  for (guint l = 0; l < c->num_hidden_layers; l++) {
    gboolean last = l == c->last_self, recompute = b->trainer->config.recompute;
    gsize n = l < c->last_self ? b->rows.rows : b->few.rows;
    guint kind = c->is_cross[l] ? 1 : 0;
    VjMllamaText *t = last ? &b->last : &b->layers[l];
    if (!recompute || !there[kind]) /* no later one of its kind has more rows */
      layout_layer (b, l, &made, &shared[kind], arena);
    there[kind] = TRUE;
    *t = shared[kind];
    if (last) {
      layout_keys (b, &made, &b->layers[l], arena);
      b->last.x = vj_arena_take (arena, n * H);
    }
    b->layers[l].x = x;
    t->out = x = vj_arena_take (arena, n * H);
  }
  b->layers[c->num_hidden_layers].x = x;
}

static void
layout_scratch (Batch *b, VjArena *arena)
{
  const VjMllamaConfig *c = b->c;
  gsize H = c->hidden_size, W = c->vision_hidden_size, KV = kv_width (c), R = b->rows.rows, B = b->train_vision ? b->at.rows : 0;
  gsize wide = MAX (R * 2 * c->intermediate_size, B * c->vision_intermediate_size), narrow = MAX (R * H, B * W);
  b->s.d = vj_arena_take (arena, narrow);
  b->s.narrow = vj_arena_take (arena, narrow);
  b->s.branch = vj_arena_take (arena, narrow);
  b->s.wide = vj_arena_take (arena, wide);
  b->s.wide2 = vj_arena_take (arena, wide);
  b->s.qkv = vj_arena_take (arena, MAX (R * (H + 2 * KV), B * 3 * W));
  b->s.k = vj_arena_take (arena, b->n_states * KV);
  b->s.v = vj_arena_take (arena, b->n_states * KV);
  b->s.raw = vj_arena_take (arena, b->n_states * KV);
}

static void
layout (Batch *b, VjArena *arena)
{
  const VjMllamaConfig *c = b->c;
  gsize H = c->hidden_size, n = b->few.rows;
  VjAttentionSegment *segments = b->at.segments;
  layout_rows (&b->rows, arena);
  layout_rows (&b->few, arena);
  b->state_rows = (VjI32 *) vj_arena_take (arena, b->n_states);
  b->target_tokens = (VjI32 *) vj_arena_take (arena, n);
  b->target_weights = vj_arena_take (arena, n);
  b->losses = vj_arena_take (arena, n);
  if (b->train_vision) {
    vj_net_images_layout (c, b->images->len, b->trainer->config.recompute ? VJ_KEEP_OUTPUTS : VJ_KEEP_ALL, arena, &b->at);
    b->at.segments = segments;
    b->d_encoded = vj_arena_take (arena, b->at.token_rows * H);
    b->d_features = vj_arena_take (arena, b->at.token_rows * c->vision_hidden_size * (1 + (gsize) c->n_intermediate));
  }
  b->states = vj_arena_take (arena, b->n_states * H);
  b->d_states = vj_arena_take (arena, b->n_states * H);
  layout_layers (b, arena);
  b->normed = vj_arena_take (arena, n * H);
  b->d_normed = vj_arena_take (arena, n * H);
  b->final_rstd = vj_arena_take (arena, n);
  b->logits = vj_arena_take (arena, n * c->vocab_size);
  layout_scratch (b, arena);
  if (b->trainer->net.lora == NULL)
    return;
  b->taken[VJ_ROWS_TEXT] = b->rows.rows;
  b->taken[VJ_ROWS_FEW] = n;
  b->taken[VJ_ROWS_STATES] = b->n_states;
  b->taken[VJ_ROWS_VISION] = b->train_vision ? b->at.rows : 0;
  vj_net_lora_layout (b->trainer->plan, b->trainer->net.lora, b->taken, arena);
}

static gboolean
reserve (VjMllamaTrainer *trainer, gsize elements, GError **error)
{
  const VjComputeOps *ops = trainer->compute->ops;
  trainer->work.used = 0;
  if (elements <= trainer->work.size)
    return TRUE;
  ops->release (trainer->compute->device, trainer->work.base);
  trainer->work = (VjArena) { 0 };
  elements += elements / 8; /* the next batch may be a little larger */
  trainer->work.base = ops->alloc (trainer->compute->device, elements * 4, error);
  trainer->work.size = trainer->work.base == NULL ? 0 : elements;
  return trainer->work.base != NULL;
}

/* -- upload ---------------------------------------------------------------- */

static gboolean
fill_example (Batch *b, const VjMllamaExample *e, gsize row, gint32 *const column[6], gboolean *seen, GError **error)
{
  g_autofree guint32 *tiles = g_new (guint32, e->n_images + 1);
  gsize n = rows_of (b->c, e);
  for (gsize i = 0; i < e->n_images; i++)
    tiles[i] = e->images[i].n_tiles;
  if (!vj_net_cross_ranges (b->c, e->tokens, n, tiles, e->n_images, column[3] + row, column[4] + row, seen))
    return vj_fail (error, VJ_EXIT_DATA, "train: 'image tokens': their number is not that of the images (%" G_GSIZE_FORMAT "): one image token must stand for each image; build the example with the model's chat template", e->n_images);
  for (gsize p = 0; p < n; p++) {
    column[0][row + p] = (gint32) e->tokens[p];
    column[1][row + p] = (gint32) p;
    column[2][row + p] = (gint32) p + 1;
    column[5][row + p] = seen[p] ? (gint32) (row + p) : -1;
  }
  return TRUE;
}

static void
upload (Batch *b, void *to, const void *from, gsize n)
{
  b->trainer->compute->ops->upload (b->trainer->compute->device, to, from, n * 4);
}

static void
upload_rows (Batch *b, const VjMllamaRows *r, gint32 *const column[6])
{
  VjI32 *const to[6] = { r->tokens, r->positions, r->self_last, r->cross_first, r->cross_last, r->seen };
  for (guint i = 0; i < 6; i++)
    upload (b, to[i], column[i], i < 3 ? r->rows : r->image_rows);
}

/* The columns of `few` from those of all rows, and what its rows predict. */
static void
fill_few (Batch *b, gint32 *const all[6], gsize targets)
{
  gsize n = b->few.rows, at = 0, row = 0;
  g_autofree gint32 *store = g_new (gint32, 7 * n);
  g_autofree float *weights = g_new (float, n);
  gint32 *const column[6] = { store, store + n, store + 2 * n, store + 3 * n, store + 4 * n, store + 5 * n }, *tokens = store + 6 * n;
  for (gsize i = 0; i < b->n; row += rows_of (b->c, b->examples[i++])) {
    const VjMllamaExample *e = b->examples[i];
    b->few.self[i] = (VjAttentionSegment) { .q_row = at, .q_count = targets_of (e), .kv_count = b->rows.self[i].kv_count };
    if (i < b->n_shown)
      b->few.cross[i] = (VjAttentionSegment) { .q_row = at, .q_count = targets_of (e), .kv_count = b->rows.cross[i].kv_count };
    for (gsize t = 1; t < e->n_tokens; t++) {
      if (!e->targets[t])
        continue;
      gsize from = row + t - 1;
      column[0][at] = (gint32) from;
      for (guint j = 1; j < 5; j++)
        column[j][at] = all[j][from];
      column[5][at] = all[5][from] < 0 ? -1 : (gint32) at;
      tokens[at] = (gint32) e->tokens[t];
      weights[at++] = (float) (e->weight / (double) targets);
    }
  }
  upload_rows (b, &b->few, column);
  upload (b, b->target_tokens, tokens, n);
  upload (b, b->target_weights, weights, n);
}

static gboolean
fill_rows (Batch *b, gsize targets, GError **error)
{
  gsize R = b->rows.rows, all = (gsize) b->c->max_num_tiles * b->c->n_patches;
  g_autofree gint32 *store = g_new (gint32, 7 * R);
  gint32 *const column[6] = { store, store + R, store + 2 * R, store + 3 * R, store + 4 * R, store + 5 * R };
  for (gsize i = 0, row = 0; i < b->n; row += b->rows.self[i++].q_count) {
    gsize n = rows_of (b->c, b->examples[i]);
    b->rows.self[i] = (VjAttentionSegment) { .q_row = row, .q_count = n, .kv_count = n };
    if (i < b->n_shown)
      b->rows.cross[i] = (VjAttentionSegment) { .q_row = row, .q_count = n, .kv_count = b->examples[i]->n_images * all };
    if (!fill_example (b, b->examples[i], row, column, store + 6 * R, error))
      return FALSE;
  }
  upload_rows (b, &b->rows, column);
  upload (b, b->state_rows, b->state_index, b->n_states);
  fill_few (b, column, targets);
  return TRUE;
}

/* Seeds of dropout: for a row of text or states its example's number in the step and its place there, so that they do not
 * depend on how the step is cut; images are those of the micro-batch, named by its first example. */
static void
fill_seeds (Batch *b)
{
  const VjMllamaTrainer *trainer = b->trainer;
  gsize at[VJ_N_ROW_KINDS] = { 0 }, all = (gsize) b->c->max_num_tiles * b->c->n_patches;
  gint32 *seeds[VJ_N_ROW_KINDS];
  guint64 step = vj_random_seed_named (trainer->config.lora.seed, "dropout", NULL, trainer->steps);
  for (guint kind = 0; kind < VJ_N_ROW_KINDS; kind++)
    seeds[kind] = g_new (gint32, b->taken[kind] + 1);
  for (gsize i = 0; i < b->n; i++) {
    const VjMllamaExample *e = b->examples[i];
    guint64 number = (guint64) (e - trainer->first);
    for (gsize p = 0; p < b->rows.self[i].q_count; p++) {
      gint32 seed = vj_lora_seed (step, VJ_ROWS_TEXT, number, p);
      seeds[VJ_ROWS_TEXT][at[VJ_ROWS_TEXT]++] = seed;
      if (p + 1 < e->n_tokens && e->targets[p + 1])
        seeds[VJ_ROWS_FEW][at[VJ_ROWS_FEW]++] = seed;
    }
    for (gsize p = 0; p < e->n_images * all; p++)
      seeds[VJ_ROWS_STATES][at[VJ_ROWS_STATES]++] = vj_lora_seed (step, VJ_ROWS_STATES, number, p);
  }
  for (gsize r = 0; r < b->taken[VJ_ROWS_VISION]; r++)
    seeds[VJ_ROWS_VISION][r] = vj_lora_seed (step, VJ_ROWS_VISION, (guint64) (b->examples[0] - trainer->first), r);
  for (guint kind = 0; kind < VJ_N_ROW_KINDS; kind++) {
    upload (b, trainer->net.lora->seeds[kind], seeds[kind], b->taken[kind]);
    g_free (seeds[kind]);
  }
}

/* -- images ---------------------------------------------------------------- */

/* States of one image with the tower frozen. Always computed alone, so that its bits do not depend on when. */
static VjF32 *
encode_alone (Batch *b, const VjMllamaImage *image, GError **error)
{
  VjMllamaTrainer *trainer = b->trainer;
  const VjComputeOps *ops = trainer->compute->ops;
  g_autofree VjMllamaImages *at = g_new (VjMllamaImages, 1);
  VjAttentionSegment segment;
  VjArena arena = { 0 };
  vj_net_images_layout (b->c, 1, VJ_KEEP_NONE, &arena, at);
  VjF32 *memory = ops->alloc (trainer->compute->device, arena.used * 4, error);
  if (memory == NULL)
    return NULL;
  arena = (VjArena) { memory, 0, arena.used };
  vj_net_images_layout (b->c, 1, VJ_KEEP_NONE, &arena, at);
  at->segments = &segment;
  gsize n = at->token_rows * b->c->hidden_size;
  VjF32 *states = NULL;
  if (vj_net_images_upload (&trainer->net, &image, at, error) && (states = ops->alloc (trainer->compute->device, n * 4, error)) != NULL) {
    vj_net_vision (&trainer->net, at);
    ops->copy_2d (trainer->compute->device, 1, n, at->states, n, 1, states, n, 1, FALSE);
  }
  ops->release (trainer->compute->device, memory);
  return states;
}

static gboolean
place_frozen (Batch *b, const VjMllamaExample *e, gsize i, gsize at, GError **error)
{
  VjMllamaTrainer *trainer = b->trainer;
  const VjComputeOps *ops = trainer->compute->ops;
  gsize all = (gsize) b->c->max_num_tiles * b->c->n_patches, H = b->c->hidden_size;
  const char *digest = e->digests == NULL ? NULL : e->digests[i];
  VjF32 *states = digest == NULL ? NULL : g_hash_table_lookup (trainer->states, digest);
  gboolean fresh = states == NULL;
  if (fresh && (states = encode_alone (b, &e->images[i], error)) == NULL)
    return FALSE;
  gsize base = 0, pads = 0, real = (gsize) e->images[i].n_tiles * b->c->n_patches;
  for (gsize j = 0; j < e->n_images; j++) { /* real tiles of all images, then padding tiles */
    gsize r = (gsize) e->images[j].n_tiles * b->c->n_patches;
    base += j < i ? r : 0;
    pads += r + (j < i ? all - r : 0);
  }
  ops->copy_2d (trainer->compute->device, 1, real * H, states, 0, 1, vj_f32_at (b->states, (at + base) * H), 0, 1, FALSE);
  if (all > real)
    ops->copy_2d (trainer->compute->device, 1, (all - real) * H, vj_f32_at (states, real * H), 0, 1, vj_f32_at (b->states, (at + pads) * H), 0, 1, FALSE);
  if (fresh && digest != NULL && trainer->states_bytes + all * H * 4 <= STATES_CACHE_BYTES) {
    g_hash_table_insert (trainer->states, g_strdup (digest), states);
    trainer->states_bytes += all * H * 4;
  } else if (fresh) {
    ops->release (trainer->compute->device, states);
  }
  return TRUE;
}

static gboolean
make_states (Batch *b, GError **error)
{
  VjMllamaTrainer *trainer = b->trainer;
  const VjComputeOps *ops = trainer->compute->ops;
  gsize H = b->c->hidden_size, at = 0;
  if (b->n_states == 0)
    return TRUE;
  if (b->train_vision) {
    if (!vj_net_images_upload (&trainer->net, (const VjMllamaImage *const *) b->images->pdata, &b->at, error))
      return FALSE;
    vj_net_vision (&trainer->net, &b->at);
    ops->zero (trainer->compute->device, b->states, b->n_states * H * 4);
    ops->add_rows (trainer->compute->device, b->n_states, H, b->at.states, b->state_rows, VJ_GATE_NONE, NULL, b->states);
    return TRUE;
  }
  for (gsize e = 0; e < b->n_shown; e++) {
    for (gsize i = 0; i < b->examples[e]->n_images; i++)
      if (!place_frozen (b, b->examples[e], i, at, error))
        return FALSE;
    at += b->examples[e]->n_images * b->c->max_num_tiles * b->c->n_patches;
  }
  return TRUE;
}

/* -- passes ---------------------------------------------------------------- */

/* Segments see keys and values from `kv` on, `width` apart. */
static void
point_self (const Batch *b, VjAttentionSegment *segments, const VjF32 *kv, gsize width)
{
  for (gsize i = 0; i < b->n; i++) {
    segments[i].k = vj_f32_at (kv, b->rows.self[i].q_row * width);
    segments[i].v = vj_f32_at (segments[i].k, kv_width (b->c));
  }
}

static void
point_cross (const Batch *b, VjAttentionSegment *segments, const VjMllamaText *t)
{
  gsize KV = kv_width (b->c), at = 0;
  for (gsize i = 0; i < b->n_shown; at += segments[i++].kv_count * KV) {
    segments[i].k = vj_f32_at (t->k, at);
    segments[i].v = vj_f32_at (t->v, at);
  }
}

static void
forward_layer (Batch *b, guint l)
{
  const VjMllamaNet *net = &b->trainer->net;
  const VjMllamaText *t = &b->layers[l];
  const VjMllamaRows *rows = l < b->c->last_self ? &b->rows : &b->few;
  gsize H = b->c->hidden_size, KV = kv_width (b->c);
  if (b->c->is_cross[l]) {
    if (b->n_states > 0)
      vj_net_cross_states (net, l, b->n_states, b->states, t->k_raw, t->k_rstd, t->k, t->v);
    point_cross (b, rows->cross, t);
    vj_net_cross (net, l, rows, t);
  } else if (l < b->c->last_self) {
    vj_net_self_begin (net, l, rows, t);
    point_self (b, rows->self, vj_f32_at (t->qkv, H), H + 2 * KV);
    vj_net_self_end (net, l, rows, t);
  } else {
    vj_net_last_begin (net, &b->rows, t);
    point_self (b, rows->self, t->qkv, 2 * KV);
    vj_net_pick (net, rows, t->x, b->last.x);
    vj_net_last_end (net, rows, &b->last, t->qkv);
  }
}

static void
forward (Batch *b)
{
  const VjMllamaNet *net = &b->trainer->net;
  const VjComputeOps *ops = net->compute->ops;
  void *device = net->compute->device;
  vj_net_embed (net, &b->rows, b->layers[0].x);
  for (guint l = 0; l < b->c->num_hidden_layers; l++)
    forward_layer (b, l);
  ops->rms_norm (device, b->few.rows, b->c->hidden_size, b->c->rms_norm_eps, b->layers[b->c->num_hidden_layers].x, net->value[net->plan->norm],
                 b->normed, b->final_rstd);
  vj_net_linear (net, b->few.rows, b->normed, net->plan->head, 1, -1, b->logits, b->c->vocab_size);
}

/* The lowest layer something trainable lies in or below. */
static guint
lowest_layer (const Batch *b)
{
  guint l = 0;
  while ((b->trainer->config.freeze & VJ_FREEZE_TEXT) && l < b->c->num_hidden_layers && !b->c->is_cross[l])
    l++;
  return l;
}

static void
backward (Batch *b)
{
  const VjMllamaNet *net = &b->trainer->net;
  const VjComputeOps *ops = net->compute->ops;
  void *device = net->compute->device;
  gsize H = b->c->hidden_size, n = b->few.rows;
  vj_net_linear_backward (net, n, b->normed, net->plan->head, 1, -1, b->logits, b->d_normed);
  ops->zero (device, b->s.d, n * H * 4);
  ops->rms_norm_backward (device, n, H, b->layers[b->c->num_hidden_layers].x, net->value[net->plan->norm], b->final_rstd, b->d_normed, b->s.d,
                          vj_net_grad (net, net->plan->norm));
  if (b->train_vision)
    ops->zero (device, b->d_states, b->n_states * H * 4);
  for (guint l = b->c->num_hidden_layers; l-- > lowest_layer (b);) {
    if (b->trainer->config.recompute && l + 1 < b->c->num_hidden_layers)
      forward_layer (b, l);
    if (b->c->is_cross[l])
      vj_net_cross_backward (net, l, l < b->c->last_self ? &b->rows : &b->few, b->n_states, b->states, &b->layers[l], &b->s, b->train_vision ? b->d_states : NULL);
    else if (l < b->c->last_self)
      vj_net_self_backward (net, l, &b->rows, &b->layers[l], &b->s);
    else
      vj_net_last_backward (net, &b->rows, &b->few, &b->layers[l], &b->last, &b->s);
  }
  ops->add_rows_backward (device, b->rows.rows, H, NULL, b->rows.tokens, VJ_GATE_NONE, NULL, b->s.d, vj_net_grad (net, net->plan->embed), NULL);
  if (!b->train_vision || b->n_states == 0)
    return;
  ops->zero (device, b->d_encoded, b->at.token_rows * H * 4);
  ops->add_rows_backward (device, b->n_states, H, NULL, b->state_rows, VJ_GATE_NONE, NULL, b->d_states, b->d_encoded, NULL);
  vj_net_vision_backward (net, &b->at, b->d_encoded, &b->s, b->d_features);
}

static gboolean
run (Batch *b, gsize targets, double *loss, GError **error)
{
  VjMllamaTrainer *trainer = b->trainer;
  const VjComputeOps *ops = trainer->compute->ops;
  void *device = trainer->compute->device;
  gsize n = b->few.rows;
  if (!fill_rows (b, targets, error))
    return FALSE;
  if (trainer->net.lora != NULL && trainer->net.lora->dropout > 0)
    fill_seeds (b);
  if (!make_states (b, error))
    return FALSE;
  forward (b);
  if (trainer->probe != NULL)
    trainer->probe (trainer->probe_data, &trainer->net, &b->rows, &b->few, b->layers, b->states, b->n_states);
  ops->cross_entropy (device, n, b->c->vocab_size, b->logits, b->target_tokens, b->target_weights, b->losses);
  backward (b);
  g_autofree float *losses = g_new (float, n);
  if (!ops->finish (device, error))
    return FALSE;
  ops->download (device, losses, b->losses, n * 4);
  for (gsize i = 0; i < n; i++)
    *loss += losses[i];
  return TRUE;
}

gboolean
vj_mllama_micro_batch (VjMllamaTrainer *trainer, const VjMllamaExample *const *examples, gsize n, gsize targets, double *loss, GError **error)
{
  g_autofree Batch *b = g_new0 (Batch, 1);
  VjArena arena = { 0 };
  b->trainer = trainer;
  b->c = &trainer->plan->config;
  g_autofree VjMllamaText *layers = g_new0 (VjMllamaText, b->c->num_hidden_layers + 1);
  g_autofree VjAttentionSegment *segments = g_new0 (VjAttentionSegment, 4 * n);
  b->layers = layers;
  b->rows.self = segments;
  b->rows.cross = segments + n;
  b->few.self = segments + 2 * n;
  b->few.cross = segments + 3 * n;
  gboolean ok = count (b, examples, n, error);
  if (ok && b->n > 0) { /* else nothing to learn from */
    b->rows.n_self = b->few.n_self = b->n;
    b->rows.n_cross = b->few.n_cross = b->n_shown;
    index_states (b);
    b->train_vision = !(trainer->config.freeze & VJ_FREEZE_VISION) && b->images->len > 0;
    b->at.segments = g_new0 (VjAttentionSegment, b->images->len + 1);
    layout (b, &arena);
    if ((ok = reserve (trainer, arena.used, error))) {
      layout (b, &trainer->work);
      ok = run (b, targets, loss, error);
    }
  }
  g_free (b->at.segments);
  g_free (b->state_index);
  g_free (b->examples);
  g_clear_pointer (&b->images, g_ptr_array_unref);
  return ok;
}
