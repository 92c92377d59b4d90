/* The decoder, backward: twins of the functions in text.c. See net.h. */
#include "engine/mllama/net.h"

#include <math.h>

static void
norm_backward (const VjMllamaNet *net, gsize rows, gsize cols, const VjF32 *x, guint w, const VjF32 *rstd, const VjF32 *dy, VjF32 *dx)
{
  net->compute->ops->rms_norm_backward (net->compute->device, rows, cols, x, net->value[w], rstd, dy, dx, vj_net_grad (net, w));
}

/* y as forward had it, where that was not kept. */
static void
norm_again (const VjMllamaNet *net, gsize rows, const VjF32 *x, guint w, VjF32 *y)
{
  const VjMllamaConfig *c = &net->plan->config;
  if (net->remake)
    net->compute->ops->rms_norm (net->compute->device, rows, c->hidden_size, c->rms_norm_eps, x, net->value[w], y, NULL);
}

static VjAttention
attention (const VjMllamaNet *net, const VjMllamaText *t)
{
  const VjMllamaConfig *c = &net->plan->config;
  return (VjAttention) { .numbers = net->numbers, .heads = c->num_attention_heads, .kv_heads = c->num_key_value_heads, .head_dim = c->head_dim,
                         .scale = 1 / sqrtf ((float) c->head_dim), .out = t->att, .lse = t->lse };
}

/* The MLP both layer kinds share: from d of its output [rows, H] to d of its input, in s->narrow. */
static void
mlp_backward (const VjMllamaNet *net, gsize rows, guint post_norm, guint gate, guint down, const VjMllamaText *t, const VjF32 *d_out, const VjMllamaScratch *s)
{
  gsize F = net->plan->config.intermediate_size;
  if (net->remake)
    net->compute->ops->swiglu (net->compute->device, rows, F, t->gu, t->act);
  vj_net_linear_backward (net, rows, t->act, down, 1, -1, d_out, s->wide2);
  net->compute->ops->swiglu_backward (net->compute->device, rows, F, t->gu, s->wide2, s->wide);
  norm_again (net, rows, t->x2, post_norm, t->n2);
  vj_net_linear_backward (net, rows, t->n2, gate, 2, -1, s->wide, s->narrow);
}

/* From d of a self layer's output (s->d) to d of its attention's (s->narrow). */
static void
output_backward (const VjMllamaNet *net, gsize rows, const VjMllamaSelf *w, const VjMllamaText *t, const VjMllamaScratch *s)
{
  mlp_backward (net, rows, w->post_norm, w->gate, w->down, t, s->d, s);
  norm_backward (net, rows, net->plan->config.hidden_size, t->x2, w->post_norm, t->rstd2, s->narrow, s->d);
  vj_net_linear_backward (net, rows, t->att, w->o, 1, -1, s->d, s->narrow);
}

/* From d of the attention's output (s->narrow) to d of its queries (s->qkv); gradients lie as far apart as what they are of. */
static void
attention_backward (const VjMllamaNet *net, VjAttention a, const VjMllamaScratch *s)
{
  a.ld_dq = a.ld_q;
  a.ld_dkv = a.ld_kv;
  a.dout = s->narrow;
  a.dq = s->qkv;
  net->compute->ops->attention_backward (net->compute->device, &a);
}

static void
self_attention_backward (const VjMllamaNet *net, const VjMllamaRows *rows, const VjMllamaText *t, gsize ld_q, gsize ld_kv, const VjMllamaScratch *s)
{
  VjAttention a = attention (net, t);
  a.n_segments = rows->n_self;
  a.segments = rows->self;
  a.q = t->qkv;
  a.ld_q = ld_q;
  a.ld_kv = ld_kv;
  a.last = rows->self_last;
  attention_backward (net, a, s);
}

void
vj_net_self_backward (const VjMllamaNet *net, guint layer, const VjMllamaRows *rows, const VjMllamaText *t, const VjMllamaScratch *s)
{
  const VjMllamaConfig *c = &net->plan->config;
  const VjMllamaSelf *w = &net->plan->layers[layer].self;
  gsize H = c->hidden_size, n = rows->rows, heads = c->num_attention_heads + c->num_key_value_heads;
  gsize KV = vj_mllama_kv_width (c), width = H + 2 * KV;
  output_backward (net, n, w, t, s);
  for (gsize i = 0; i < rows->n_self; i++) {
    gsize at = rows->self[i].q_row * width + H;
    rows->self[i].k = vj_f32_at (t->qkv, at);
    rows->self[i].v = vj_f32_at (t->qkv, at + KV);
    rows->self[i].dk = vj_f32_at (s->qkv, at);
    rows->self[i].dv = vj_f32_at (s->qkv, at + KV);
  }
  self_attention_backward (net, rows, t, width, width, s);
  net->compute->ops->rope (net->compute->device, n, heads, c->head_dim, s->qkv, width, rows->positions, net->rope, TRUE);
  norm_again (net, n, t->x, w->input_norm, t->n1);
  vj_net_linear_backward (net, n, t->n1, w->q, 3, -1, s->qkv, s->narrow);
  norm_backward (net, n, H, t->x, w->input_norm, t->rstd1, s->narrow, s->d);
}

void
vj_net_pick_backward (const VjMllamaNet *net, const VjMllamaRows *rows, const VjMllamaRows *few, const VjMllamaScratch *s)
{
  const VjComputeOps *ops = net->compute->ops;
  void *device = net->compute->device;
  gsize H = net->plan->config.hidden_size;
  ops->copy_2d (device, few->rows, H, s->d, H, 1, s->branch, H, 1, FALSE);
  ops->zero (device, s->d, rows->rows * H * 4);
  ops->add_rows_backward (device, few->rows, H, NULL, few->index, VJ_GATE_NONE, NULL, s->branch, s->d, NULL);
}

void
vj_net_last_backward (const VjMllamaNet *net, const VjMllamaRows *rows, const VjMllamaRows *few, const VjMllamaText *t, const VjMllamaText *last,
                      const VjMllamaScratch *s)
{
  const VjComputeOps *ops = net->compute->ops;
  void *device = net->compute->device;
  const VjMllamaConfig *c = &net->plan->config;
  const VjMllamaSelf *w = &net->plan->layers[c->last_self].self;
  gsize H = c->hidden_size, n = few->rows, KV = vj_mllama_kv_width (c);
  VjF32 *dkv = vj_f32_at (s->qkv, n * H);
  output_backward (net, n, w, last, s);
  for (gsize i = 0; i < few->n_self; i++) {
    gsize at = rows->self[i].q_row * 2 * KV;
    few->self[i].k = vj_f32_at (t->qkv, at);
    few->self[i].v = vj_f32_at (t->qkv, at + KV);
    few->self[i].dk = vj_f32_at (dkv, at);
    few->self[i].dv = vj_f32_at (dkv, at + KV);
  }
  self_attention_backward (net, few, last, H, 2 * KV, s);
  ops->rope (device, n, c->num_attention_heads, c->head_dim, s->qkv, H, few->positions, net->rope, TRUE);
  ops->rope (device, rows->rows, c->num_key_value_heads, c->head_dim, dkv, 2 * KV, rows->positions, net->rope, TRUE);
  norm_again (net, n, last->x, w->input_norm, last->n1);
  vj_net_linear_backward (net, n, last->n1, w->q, 1, -1, s->qkv, s->narrow);
  norm_backward (net, n, H, last->x, w->input_norm, last->rstd1, s->narrow, s->d);
  vj_net_pick_backward (net, rows, few, s);
  norm_again (net, rows->rows, t->x, w->input_norm, t->n1);
  vj_net_linear_backward (net, rows->rows, t->n1, w->k, 2, -1, dkv, s->narrow);
  norm_backward (net, rows->rows, H, t->x, w->input_norm, t->rstd1, s->narrow, s->d);
}

/* From dk (s->k) and dv (s->v) of the normed keys and the values to the states. */
static void
states_backward (const VjMllamaNet *net, const VjMllamaCross *w, gsize n_states, const VjF32 *states, const VjMllamaText *t,
                 const VjMllamaScratch *s, VjF32 *d_states)
{
  const VjComputeOps *ops = net->compute->ops;
  const VjMllamaConfig *c = &net->plan->config;
  gsize KV = vj_mllama_kv_width (c);
  ops->zero (net->compute->device, s->raw, n_states * KV * 4);
  norm_backward (net, n_states * c->num_key_value_heads, c->head_dim, t->k_raw, w->k_norm, t->k_rstd, s->k, s->raw);
  vj_net_linear_backward_add (net, n_states, states, w->k, s->raw, d_states);
  vj_net_linear_backward_add (net, n_states, states, w->v, s->v, d_states);
}

void
vj_net_cross_backward (const VjMllamaNet *net, guint layer, const VjMllamaRows *rows, gsize n_states, const VjF32 *states,
                       const VjMllamaText *t, const VjMllamaScratch *s, VjF32 *d_states)
{
  const VjComputeOps *ops = net->compute->ops;
  void *device = net->compute->device;
  const VjMllamaConfig *c = &net->plan->config;
  const VjMllamaCross *w = &net->plan->layers[layer].cross;
  gsize H = c->hidden_size, n = rows->image_rows, KV = vj_mllama_kv_width (c);
  if (n == 0)
    return;
  ops->zero (device, s->branch, n * H * 4);
  ops->add_rows_backward (device, n, H, t->mlp, rows->seen, VJ_GATE_TANH, net->value[w->mlp_gate], s->d, s->branch, vj_net_grad (net, w->mlp_gate));
  mlp_backward (net, n, w->post_norm, w->gate, w->down, t, s->branch, s);
  norm_backward (net, n, H, t->x2, w->post_norm, t->rstd2, s->narrow, s->d);
  ops->zero (device, s->branch, n * H * 4);
  ops->add_rows_backward (device, n, H, t->branch, NULL, VJ_GATE_TANH, net->value[w->attn_gate], s->d, s->branch, vj_net_grad (net, w->attn_gate));
  vj_net_linear_backward (net, n, t->att, w->o, 1, -1, s->branch, s->narrow);
  for (gsize i = 0, at = 0; i < rows->n_cross; at += rows->cross[i++].kv_count * KV) {
    rows->cross[i].k = vj_f32_at (t->k, at);
    rows->cross[i].v = vj_f32_at (t->v, at);
    rows->cross[i].dk = vj_f32_at (s->k, at);
    rows->cross[i].dv = vj_f32_at (s->v, at);
  }
  VjAttention a = attention (net, t);
  a.n_segments = rows->n_cross;
  a.segments = rows->cross;
  a.q = t->q;
  a.ld_q = H;
  a.ld_kv = KV;
  a.first = rows->cross_first;
  a.last = rows->cross_last;
  attention_backward (net, a, s);
  ops->zero (device, s->branch, n * H * 4);
  norm_backward (net, n * c->num_attention_heads, c->head_dim, t->qkv, w->q_norm, t->q_rstd, s->qkv, s->branch);
  norm_again (net, n, t->x, w->input_norm, t->n1);
  vj_net_linear_backward (net, n, t->n1, w->q, 1, -1, s->branch, s->narrow);
  norm_backward (net, n, H, t->x, w->input_norm, t->rstd1, s->narrow, s->d);
  states_backward (net, w, n_states, states, t, s, d_states);
}
