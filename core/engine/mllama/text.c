/* The decoder, forward: see net.h and doc/mllama.md. */
#include "engine/mllama/net.h"

#include <math.h>

VjF32 *
vj_arena_take (VjArena *arena, gsize elements)
{
  VjF32 *at = vj_f32_at (arena->base, arena->used);
  arena->used += (elements + 15) & ~(gsize) 15;
  g_assert (arena->base == NULL || arena->used <= arena->size);
  return at;
}

static void
norm (const VjMllamaNet *net, gsize rows, gsize cols, const VjF32 *x, guint w, VjF32 *y, VjF32 *rstd)
{
  net->compute->ops->rms_norm (net->compute->device, rows, cols, net->plan->config.rms_norm_eps, x, net->value[w], y, rstd);
}

/* The rms norm of x by weight w, as a product's input. */
static VjInput
normed (const VjMllamaNet *net, const VjF32 *x, guint w)
{
  return (VjInput) { .kind = VJ_INPUT_RMS_NORM, .x = x, .w = net->value[w], .eps = net->plan->config.rms_norm_eps };
}

static VjAttention
attention (const VjMllamaNet *net, const VjMllamaText *t)
{
  const VjMllamaConfig *c = &net->plan->config;
  return (VjAttention) { .numbers = net->numbers, .heads = c->num_attention_heads, .kv_heads = c->num_key_value_heads, .head_dim = c->head_dim,
                         .scale = 1 / sqrtf ((float) c->head_dim), .out = t->att, .lse = t->lse };
}

void
vj_net_rows_layout (VjMllamaRows *rows, VjArena *arena)
{
  VjI32 **all[] = { &rows->index, &rows->positions, &rows->self_last }, **image[] = { &rows->cross_first, &rows->cross_last, &rows->seen };
  for (guint i = 0; i < 3; i++) {
    *all[i] = (VjI32 *) vj_arena_take (arena, rows->rows);
    *image[i] = (VjI32 *) vj_arena_take (arena, rows->image_rows);
  }
}

void
vj_net_rows_upload (const VjCompute *compute, const VjMllamaRows *rows, gint32 *const columns[6])
{
  VjI32 *const to[6] = { rows->index, rows->positions, rows->self_last, rows->cross_first, rows->cross_last, rows->seen };
  for (guint i = 0; i < 6; i++)
    compute->ops->upload (compute->device, to[i], columns[i], (i < 3 ? rows->rows : rows->image_rows) * 4);
}

void
vj_net_embed (const VjMllamaNet *net, const VjMllamaRows *rows, VjF32 *ret_x)
{
  gsize H = net->plan->config.hidden_size;
  net->compute->ops->zero (net->compute->device, ret_x, rows->rows * H * 4);
  vj_net_add_table (net, rows->rows, H, net->plan->embed, rows->index, VJ_GATE_NONE, -1, ret_x);
}

void
vj_net_self_begin (const VjMllamaNet *net, guint layer, const VjMllamaRows *rows, const VjMllamaText *t)
{
  const VjMllamaConfig *c = &net->plan->config;
  const VjMllamaSelf *w = &net->plan->layers[layer].self;
  gsize heads = c->num_attention_heads + c->num_key_value_heads, width = (heads + c->num_key_value_heads) * c->head_dim;
  vj_net_product (net, &(VjMllamaProduct) { .rows = rows->rows, .input = normed (net, t->x, w->input_norm), .made = t->n1, .stats = t->rstd1,
                                            .w = w->q, .joined = 3, .bias = -1, .y = t->qkv });
  net->compute->ops->rope (net->compute->device, rows->rows, heads, c->head_dim, t->qkv, width, rows->positions, net->rope, FALSE);
}

/* From queries in t->qkv, ld_q apart, to the layer's output. kv: the new keys and values, ld_kv apart. */
static void
self_end (const VjMllamaNet *net, guint layer, const VjMllamaRows *rows, const VjMllamaText *t, gsize ld_q, const VjF32 *kv, gsize ld_kv)
{
  const VjMllamaConfig *c = &net->plan->config;
  const VjMllamaSelf *w = &net->plan->layers[layer].self;
  gsize KV = vj_mllama_kv_width (c);
  VjAttention a = attention (net, t);
  a.n_segments = rows->n_self;
  a.segments = rows->self;
  a.q = t->qkv;
  a.ld_q = ld_q;
  a.ld_kv = net->training ? ld_kv : KV;
  a.last = rows->self_last;
  if (rows->self->cache != NULL) {
    a.new_k = kv;
    a.new_v = vj_f32_at (kv, KV);
    a.ld_new = ld_kv;
  }
  net->compute->ops->attention (net->compute->device, &a);
  if (rows->rows == 0)
    return;
  vj_net_product (net, &(VjMllamaProduct) { .rows = rows->rows, .input = { .x = t->att }, .w = w->o, .joined = 1, .bias = -1, .add = t->x, .y = t->x2 });
  vj_net_product (net, &(VjMllamaProduct) { .rows = rows->rows, .input = normed (net, t->x2, w->post_norm), .made = t->n2, .stats = t->rstd2,
                                            .w = w->gate, .joined = 2, .bias = -1, .y = t->gu });
  vj_net_product (net, &(VjMllamaProduct) { .rows = rows->rows, .input = { .kind = VJ_INPUT_SWIGLU, .x = t->gu }, .made = t->act, .w = w->down,
                                            .joined = 1, .bias = -1, .add = t->x2, .y = t->out });
}

void
vj_net_self_end (const VjMllamaNet *net, guint layer, const VjMllamaRows *rows, const VjMllamaText *t)
{
  const VjMllamaConfig *c = &net->plan->config;
  gsize width = (c->num_attention_heads + 2 * (gsize) c->num_key_value_heads) * c->head_dim;
  self_end (net, layer, rows, t, width, vj_f32_at (t->qkv, c->hidden_size), width);
}

void
vj_net_last_begin (const VjMllamaNet *net, const VjMllamaRows *rows, const VjMllamaText *t)
{
  const VjMllamaConfig *c = &net->plan->config;
  const VjMllamaSelf *w = &net->plan->layers[c->last_self].self;
  vj_net_product (net, &(VjMllamaProduct) { .rows = rows->rows, .input = normed (net, t->x, w->input_norm), .made = t->n1, .stats = t->rstd1,
                                            .w = w->k, .joined = 2, .bias = -1, .y = t->qkv });
  net->compute->ops->rope (net->compute->device, rows->rows, c->num_key_value_heads, c->head_dim, t->qkv, 2 * vj_mllama_kv_width (c),
                           rows->positions, net->rope, FALSE);
}

void
vj_net_pick (const VjMllamaNet *net, const VjMllamaRows *few, const VjF32 *x, VjF32 *ret_x)
{
  gsize H = net->plan->config.hidden_size;
  net->compute->ops->zero (net->compute->device, ret_x, few->rows * H * 4);
  net->compute->ops->add_rows (net->compute->device, few->rows, H, x, few->index, VJ_GATE_NONE, NULL, ret_x);
}

void
vj_net_last_end (const VjMllamaNet *net, const VjMllamaRows *few, const VjMllamaText *last, const VjF32 *kv)
{
  const VjMllamaConfig *c = &net->plan->config;
  const VjMllamaSelf *w = &net->plan->layers[c->last_self].self;
  if (few->rows > 0) {
    vj_net_product (net, &(VjMllamaProduct) { .rows = few->rows, .input = normed (net, last->x, w->input_norm), .made = last->n1, .stats = last->rstd1, .w = w->q,
                                              .joined = 1, .bias = -1, .y = last->qkv });
    net->compute->ops->rope (net->compute->device, few->rows, c->num_attention_heads, c->head_dim, last->qkv, c->hidden_size, few->positions, net->rope, FALSE);
  }
  self_end (net, c->last_self, few, last, c->hidden_size, kv, 2 * vj_mllama_kv_width (c));
}

void
vj_net_cross_states (const VjMllamaNet *net, guint layer, gsize n_states, const VjF32 *states, VjF32 *k_raw,
                     VjF32 *k_rstd, VjF32 *ret_k, VjF32 *ret_v)
{
  const VjMllamaConfig *c = &net->plan->config;
  const VjMllamaCross *w = &net->plan->layers[layer].cross;
  gsize KV = vj_mllama_kv_width (c);
  vj_net_linear (net, n_states, states, w->k, 1, -1, k_raw, KV);
  norm (net, n_states * c->num_key_value_heads, c->head_dim, k_raw, w->k_norm, ret_k, k_rstd);
  vj_net_linear (net, n_states, states, w->v, 1, -1, ret_v, KV);
}

/* Rows from n on, of sequences without images, pass through unchanged, as when transformers skips the layer. */
static void
pass_through (const VjMllamaNet *net, gsize n, gsize rows, const VjF32 *x, VjF32 *y)
{
  gsize H = net->plan->config.hidden_size;
  if (rows > n)
    net->compute->ops->copy_2d (net->compute->device, rows - n, H, vj_f32_at (x, n * H), H, 1, vj_f32_at (y, n * H), H, 1, FALSE);
}

/* A row that sees no image still attends, to all states; only its MLP is masked: a quirk the published weights know. */
void
vj_net_cross (const VjMllamaNet *net, guint layer, const VjMllamaRows *rows, const VjMllamaText *t)
{
  const VjMllamaConfig *c = &net->plan->config;
  const VjMllamaCross *w = &net->plan->layers[layer].cross;
  gsize n = rows->image_rows;
  pass_through (net, n, rows->rows, t->x, t->x2);
  pass_through (net, n, rows->rows, t->x2, t->out);
  if (n == 0)
    return;
  vj_net_product (net, &(VjMllamaProduct) { .rows = n, .input = normed (net, t->x, w->input_norm), .made = t->n1, .stats = t->rstd1, .w = w->q,
                                            .joined = 1, .bias = -1, .y = t->qkv });
  norm (net, n * c->num_attention_heads, c->head_dim, t->qkv, w->q_norm, t->q, t->q_rstd);
  VjAttention a = attention (net, t);
  a.n_segments = rows->n_cross;
  a.segments = rows->cross;
  a.q = t->q;
  a.ld_q = c->hidden_size;
  a.ld_kv = vj_mllama_kv_width (c);
  a.first = rows->cross_first;
  a.last = rows->cross_last;
  net->compute->ops->attention (net->compute->device, &a);
  vj_net_product (net, &(VjMllamaProduct) { .rows = n, .input = { .x = t->att }, .w = w->o, .joined = 1, .bias = -1, .add = t->x, .mode = VJ_GATE_TANH,
                                            .gate = net->value[w->attn_gate], .branch = t->branch, .y = t->x2 });
  vj_net_product (net, &(VjMllamaProduct) { .rows = n, .input = normed (net, t->x2, w->post_norm), .made = t->n2, .stats = t->rstd2, .w = w->gate,
                                            .joined = 2, .bias = -1, .y = t->gu });
  vj_net_product (net, &(VjMllamaProduct) { .rows = n, .input = { .kind = VJ_INPUT_SWIGLU, .x = t->gu }, .made = t->act, .w = w->down, .joined = 1,
                                            .bias = -1, .add = t->x2, .mode = VJ_GATE_TANH, .gate = net->value[w->mlp_gate], .only = rows->seen,
                                            .branch = t->mlp, .y = t->out });
}

/* Inverse frequencies in f32, with the llama3 stretching of low ones (transformers, modeling_rope_utils). */
static float
frequency (const VjMllamaConfig *c, guint32 i)
{
  float rate = 1.0f / powf (c->rope_theta, (float) (2 * i) / (float) c->head_dim);
  if (c->rope_type == VJ_ROPE_LINEAR)
    return rate / c->rope_factor;
  if (c->rope_type != VJ_ROPE_LLAMA3)
    return rate;
  float context = (float) c->rope_original_max_position_embeddings, length = 2 * (float) G_PI / rate;
  if (length < context / c->rope_high_freq_factor)
    return rate;
  if (length > context / c->rope_low_freq_factor)
    return rate / c->rope_factor;
  float smooth = (context / length - c->rope_low_freq_factor) / (c->rope_high_freq_factor - c->rope_low_freq_factor);
  return (1 - smooth) * rate / c->rope_factor + smooth * rate;
}

void
vj_net_rope_table (const VjMllamaConfig *config, float *ret_table)
{
  guint32 half = config->head_dim / 2;
  for (guint32 i = 0; i < half; i++) {
    float rate = frequency (config, i);
    for (gsize p = 0; p < config->max_position_embeddings; p++) {
      float angle = (float) p * rate;
      ret_table[p * config->head_dim + i] = cosf (angle);
      ret_table[p * config->head_dim + half + i] = sinf (angle);
    }
  }
}

/* An image is seen from its token up to the next image's; images whose tokens stand side by side are seen
 * together, up to where the last of them ends. So what a token sees is one run of images, and with real tiles
 * stored before padding ones, one run of states. */
gboolean
vj_net_cross_ranges (const VjMllamaConfig *config, const guint32 *tokens, gsize n_tokens, const guint32 *tiles,
                     gsize n_images, gint32 *ret_first, gint32 *ret_last, gboolean *ret_seen)
{
  gsize next = 0, end = 0, begin = 0, last_position = 0;
  gint32 all = (gint32) (n_images * config->max_num_tiles * config->n_patches);
  for (gsize p = 0; p < n_tokens; p++) {
    if (tokens[p] == config->image_token_index) {
      if (next == n_images)
        return FALSE;
      if (next == 0 || last_position + 1 != p)
        begin = end; /* a new run of images */
      end += (gsize) tiles[next++] * config->n_patches;
      last_position = p;
    }
    ret_seen[p] = next > 0;
    ret_first[p] = next > 0 ? (gint32) begin : 0;
    ret_last[p] = next > 0 ? (gint32) end : all;
  }
  return next == n_images;
}
