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

static void
add (const VjMllamaNet *net, gsize rows, const VjF32 *x, VjF32 *y)
{
  net->compute->ops->add_rows (net->compute->device, rows, net->plan->config.hidden_size, x, NULL, VJ_GATE_NONE, NULL, y);
}

static VjAttention
attention (const VjMllamaNet *net, const VjMllamaText *t)
{
  const VjMllamaConfig *c = &net->plan->config;
  return (VjAttention) { .numbers = net->numbers, .heads = c->num_attention_heads, .kv_heads = c->num_key_value_heads, .head_dim = c->head_dim,
                         .scale = 1 / sqrtf ((float) c->head_dim), .out = t->att, .lse = t->lse };
}

void
vj_net_embed (const VjMllamaNet *net, const VjMllamaRows *rows, VjF32 *ret_x)
{
  gsize H = net->plan->config.hidden_size;
  net->compute->ops->zero (net->compute->device, ret_x, rows->rows * H * 4);
  vj_net_add_table (net, rows->rows, H, net->plan->embed, rows->tokens, VJ_GATE_NONE, -1, ret_x);
}

void
vj_net_self_begin (const VjMllamaNet *net, guint layer, const VjMllamaRows *rows, const VjMllamaText *t)
{
  const VjMllamaConfig *c = &net->plan->config;
  const VjMllamaSelf *w = &net->plan->layers[layer].self;
  gsize heads = c->num_attention_heads + c->num_key_value_heads, width = (heads + c->num_key_value_heads) * c->head_dim;
  norm (net, rows->rows, c->hidden_size, t->x, w->input_norm, t->n1, t->rstd1);
  vj_net_linear (net, rows->rows, t->n1, w->q, 3, -1, t->qkv, width);
  net->compute->ops->rope (net->compute->device, rows->rows, heads, c->head_dim, t->qkv, width, rows->positions, net->rope, FALSE);
}

void
vj_net_self_end (const VjMllamaNet *net, guint layer, const VjMllamaRows *rows, const VjMllamaText *t)
{
  const VjMllamaConfig *c = &net->plan->config;
  const VjMllamaSelf *w = &net->plan->layers[layer].self;
  gsize width = (c->num_attention_heads + 2 * (gsize) c->num_key_value_heads) * c->head_dim, F = c->intermediate_size;
  VjAttention a = attention (net, t);
  a.n_segments = rows->n_self;
  a.segments = rows->self;
  a.q = t->qkv;
  a.ld_q = width;
  a.ld_kv = net->training ? width : (gsize) c->num_key_value_heads * c->head_dim;
  a.last = rows->self_last;
  if (rows->self->cache != NULL) {
    a.new_k = vj_f32_at (t->qkv, c->hidden_size);
    a.new_v = vj_f32_at (a.new_k, (gsize) c->num_key_value_heads * c->head_dim);
    a.ld_new = width;
  }
  net->compute->ops->attention (net->compute->device, &a);
  vj_net_linear (net, rows->rows, t->att, w->o, 1, -1, t->x2, c->hidden_size);
  add (net, rows->rows, t->x, t->x2);
  norm (net, rows->rows, c->hidden_size, t->x2, w->post_norm, t->n2, t->rstd2);
  vj_net_linear (net, rows->rows, t->n2, w->gate, 2, -1, t->gu, 2 * F);
  net->compute->ops->swiglu (net->compute->device, rows->rows, F, t->gu, t->act);
  vj_net_linear (net, rows->rows, t->act, w->down, 1, -1, t->out, c->hidden_size);
  add (net, rows->rows, t->x2, t->out);
}

void
vj_net_cross_states (const VjMllamaNet *net, guint layer, gsize n_states, const VjF32 *states, VjF32 *k_raw,
                     VjF32 *k_rstd, VjF32 *ret_k, VjF32 *ret_v)
{
  const VjMllamaConfig *c = &net->plan->config;
  const VjMllamaCross *w = &net->plan->layers[layer].cross;
  gsize KV = (gsize) c->num_key_value_heads * c->head_dim;
  vj_net_linear (net, n_states, states, w->k, 1, -1, k_raw, KV);
  norm (net, n_states * c->num_key_value_heads, c->head_dim, k_raw, w->k_norm, ret_k, k_rstd);
  vj_net_linear (net, n_states, states, w->v, 1, -1, ret_v, KV);
}

/* Rows of sequences without images pass through unchanged, as when transformers skips the layer. A row that
 * sees no image still attends, to all states; only its MLP is masked: a quirk the published weights know. */
void
vj_net_cross (const VjMllamaNet *net, guint layer, const VjMllamaRows *rows, const VjMllamaText *t)
{
  const VjComputeOps *ops = net->compute->ops;
  void *device = net->compute->device;
  const VjMllamaConfig *c = &net->plan->config;
  const VjMllamaCross *w = &net->plan->layers[layer].cross;
  gsize H = c->hidden_size, F = c->intermediate_size, n = rows->image_rows;
  ops->copy_2d (device, rows->rows, H, t->x, H, 1, t->x2, H, 1, FALSE);
  if (n > 0) {
    norm (net, n, H, t->x, w->input_norm, t->n1, t->rstd1);
    vj_net_linear (net, n, t->n1, w->q, 1, -1, t->qkv, H);
    norm (net, n * c->num_attention_heads, c->head_dim, t->qkv, w->q_norm, t->q, t->q_rstd);
    VjAttention a = attention (net, t);
    a.n_segments = rows->n_cross;
    a.segments = rows->cross;
    a.q = t->q;
    a.ld_q = H;
    a.ld_kv = (gsize) c->num_key_value_heads * c->head_dim;
    a.first = rows->cross_first;
    a.last = rows->cross_last;
    ops->attention (device, &a);
    vj_net_linear (net, n, t->att, w->o, 1, -1, t->branch, H);
    ops->add_rows (device, n, H, t->branch, NULL, VJ_GATE_TANH, net->value[w->attn_gate], t->x2);
  }
  ops->copy_2d (device, rows->rows, H, t->x2, H, 1, t->out, H, 1, FALSE);
  if (n > 0) {
    norm (net, n, H, t->x2, w->post_norm, t->n2, t->rstd2);
    vj_net_linear (net, n, t->n2, w->gate, 2, -1, t->gu, 2 * F);
    ops->swiglu (device, n, F, t->gu, t->act);
    vj_net_linear (net, n, t->act, w->down, 1, -1, t->mlp, H);
    ops->add_rows (device, n, H, t->mlp, rows->seen, VJ_GATE_TANH, net->value[w->mlp_gate], t->out);
  }
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
