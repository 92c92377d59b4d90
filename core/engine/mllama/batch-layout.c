/* Where the rows, activations and scratch of a micro-batch lie: see batch.h. */
#include "engine/mllama/batch.h"

/* What a layer's products read but backward can make anew, for the layer or for all of them. */
static void
layout_made (VjMllamaBatch *b, gsize rows, VjMllamaText *t, VjArena *arena)
{
  t->n1 = vj_arena_take (arena, rows * b->c->hidden_size);
  t->n2 = vj_arena_take (arena, rows * b->c->hidden_size);
  t->act = vj_arena_take (arena, rows * b->c->intermediate_size);
}

/* All of layer l but x and out, by which layers are joined. */
static void
layout_layer (VjMllamaBatch *b, guint l, const VjMllamaText *made, VjMllamaText *t, VjArena *arena)
{
  const VjMllamaConfig *c = b->c;
  const VjMllamaRows *rows = l < c->last_self ? &b->rows : &b->few;
  gboolean cross = c->is_cross[l];
  gsize H = c->hidden_size, F = c->intermediate_size, KV = vj_mllama_kv_width (c), n = cross ? rows->image_rows : rows->rows;
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
layout_keys (VjMllamaBatch *b, const VjMllamaText *made, VjMllamaText *t, VjArena *arena)
{
  gsize R = b->rows.rows;
  *t = (VjMllamaText) { .n1 = b->trainer->net.remake ? made->n1 : vj_arena_take (arena, R * b->c->hidden_size) };
  t->rstd1 = vj_arena_take (arena, R);
  t->qkv = vj_arena_take (arena, R * 2 * vj_mllama_kv_width (b->c));
}

/* When activations are made again in backward, layers of a kind share all but their outputs. */
static void
layout_layers (VjMllamaBatch *b, VjArena *arena)
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
  b->layers[c->num_hidden_layers].x = c->last_self < c->num_hidden_layers ? x : vj_arena_take (arena, b->few.rows * H);
}

static void
layout_scratch (VjMllamaBatch *b, VjArena *arena)
{
  const VjMllamaConfig *c = b->c;
  gsize H = c->hidden_size, W = c->vision_hidden_size, KV = vj_mllama_kv_width (c), R = b->rows.rows, B = b->train_vision ? b->at.rows : 0;
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

void
vj_batch_layout (VjMllamaBatch *b, VjArena *arena)
{
  const VjMllamaConfig *c = b->c;
  gsize H = c->hidden_size, n = b->few.rows;
  VjAttentionSegment *segments = b->at.segments;
  vj_net_rows_layout (&b->rows, arena);
  vj_net_rows_layout (&b->few, arena);
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
