/* The vision tower and projector, backward: twins of the functions in vision.c. See net.h. */
#include "engine/mllama/net.h"

#include <math.h>

static void
layer_norm_backward (const VjMllamaNet *net, gsize rows, const VjF32 *x, guint w, guint b, const VjF32 *stats, const VjF32 *dy, VjF32 *dx)
{
  net->compute->ops->layer_norm_backward (net->compute->device, rows, net->plan->config.vision_hidden_size, x, net->value[w], stats,
                                          dy, dx, vj_net_grad (net, w), vj_net_grad (net, b));
}

/* d of a branch from d of the sum it joined: through its gate into s->branch, or s->d itself. */
static const VjF32 *
part (const VjMllamaNet *net, gsize rows, const VjF32 *branch, gboolean gated, guint gate, const VjMllamaScratch *s)
{
  const VjComputeOps *ops = net->compute->ops;
  gsize W = net->plan->config.vision_hidden_size;
  if (!gated)
    return s->d;
  ops->zero (net->compute->device, s->branch, rows * W * 4);
  ops->add_rows_backward (net->compute->device, rows, W, branch, NULL, VJ_GATE_TANH, net->value[gate], s->d, s->branch, vj_net_grad (net, gate));
  return s->branch;
}

static void
encode_backward (const VjMllamaNet *net, const VjMllamaEncoder *w, gboolean gated, const VjMllamaImages *at, const VjMllamaEnc *e,
                 const VjMllamaScratch *s)
{
  const VjComputeOps *ops = net->compute->ops;
  const VjMllamaConfig *c = &net->plan->config;
  gsize W = c->vision_hidden_size, rows = at->rows, width = 3 * W;
  if (at->keep == VJ_KEEP_OUTPUTS)
    vj_net_vision_layer (net, w, gated, at, e);
  vj_net_linear_backward (net, rows, e->act, w->fc2, 1, (gssize) w->fc2_bias, part (net, rows, e->mlp, gated, w->ffn_gate, s), s->wide);
  ops->activation_backward (net->compute->device, (VjAct) c->vision_activation, rows * c->vision_intermediate_size, e->f1, s->wide, s->wide2);
  vj_net_linear_backward (net, rows, e->n2, w->fc1, 1, (gssize) w->fc1_bias, s->wide2, s->narrow);
  layer_norm_backward (net, rows, e->x2, w->post_norm, w->post_norm_bias, e->stats2, s->narrow, s->d);
  vj_net_linear_backward (net, rows, e->att, w->o, 1, -1, part (net, rows, e->branch, gated, w->attn_gate, s), s->narrow);
  for (gsize i = 0; i < at->n_images; i++) {
    gsize from = at->segments[i].q_row * width + W;
    at->segments[i].k = vj_f32_at (e->qkv, from);
    at->segments[i].v = vj_f32_at (e->qkv, from + W);
    at->segments[i].dk = vj_f32_at (s->qkv, from);
    at->segments[i].dv = vj_f32_at (s->qkv, from + W);
  }
  VjAttention a = { .numbers = net->numbers, .n_segments = at->n_images, .segments = at->segments, .heads = c->vision_heads, .kv_heads = c->vision_heads,
                    .head_dim = W / c->vision_heads, .scale = 1 / sqrtf ((float) W / (float) c->vision_heads), .q = e->qkv, .ld_q = width,
                    .ld_kv = width, .last = at->last, .out = e->att, .lse = e->lse, .dout = s->narrow, .dq = s->qkv, .ld_dq = width, .ld_dkv = width };
  ops->attention_backward (net->compute->device, &a);
  vj_net_linear_backward (net, rows, e->n1, w->q, 3, -1, s->qkv, s->narrow);
  layer_norm_backward (net, rows, e->x, w->input_norm, w->input_norm_bias, e->stats1, s->narrow, s->d);
}

/* Adds to d [B, W] what the features took of a state: columns `from`, `from` + step, ... of d_features. */
static void
take (const VjMllamaNet *net, const VjMllamaImages *at, const VjF32 *d_features, gsize from, gsize step, VjF32 *d)
{
  const VjMllamaConfig *c = &net->plan->config;
  gsize W = c->vision_hidden_size, O = W * (1 + (gsize) c->n_intermediate), rows = at->rows / at->n_images, tokens = at->token_rows / at->n_images;
  for (gsize i = 0; i < at->n_images; i++)
    net->compute->ops->copy_2d (net->compute->device, tokens, W, vj_f32_at (d_features, i * tokens * O + from), O, step,
                                vj_f32_at (d, i * rows * W), W, 1, TRUE);
}

static void
embed_backward (const VjMllamaNet *net, const VjMllamaImages *at, const VjMllamaScratch *s)
{
  const VjComputeOps *ops = net->compute->ops;
  const VjMllamaPlan *plan = net->plan;
  void *device = net->compute->device;
  gsize W = plan->config.vision_hidden_size, n = at->token_rows;
  VjF32 *const *value = net->value, *d = s->narrow;
  ops->zero (device, s->branch, n * W * 4);
  ops->add_rows_backward (device, at->rows, W, NULL, at->token_index, VJ_GATE_NONE, NULL, s->d, s->branch, NULL);
  ops->zero (device, d, n * W * 4);
  layer_norm_backward (net, n, at->embed, plan->pre_norm, plan->pre_norm_bias, at->pre_stats, s->branch, d);
  ops->add_rows_backward (device, n, W, value[plan->tile_position], at->tile_position_index, VJ_GATE_TANH, value[plan->position_gate], d,
                          vj_net_grad (net, plan->tile_position), vj_net_grad (net, plan->position_gate));
  ops->add_rows_backward (device, n, W, value[plan->position], at->position_index, VJ_GATE_ONE_MINUS_TANH, value[plan->position_gate], d,
                          vj_net_grad (net, plan->position), vj_net_grad (net, plan->position_gate));
  ops->add_rows_backward (device, n, W, value[plan->class_token], at->class_index, VJ_GATE_NONE, NULL, d, vj_net_grad (net, plan->class_token), NULL);
  ops->add_rows_backward (device, n, W, value[plan->pre_tile], at->tile_index, VJ_GATE_TANH, value[plan->pre_tile_gate], d,
                          vj_net_grad (net, plan->pre_tile), vj_net_grad (net, plan->pre_tile_gate));
  ops->zero (device, s->branch, at->patch_rows * W * 4);
  ops->add_rows_backward (device, n, W, NULL, at->patch_index, VJ_GATE_NONE, NULL, d, s->branch, NULL);
  vj_net_linear_backward (net, at->patch_rows, at->patches, plan->patch, 1, -1, s->branch, NULL);
}

void
vj_net_vision_backward (const VjMllamaNet *net, const VjMllamaImages *at, const VjF32 *d_states, const VjMllamaScratch *s,
                        VjF32 *d_features)
{
  const VjComputeOps *ops = net->compute->ops;
  const VjMllamaPlan *plan = net->plan;
  const VjMllamaConfig *c = &plan->config;
  void *device = net->compute->device;
  gsize W = c->vision_hidden_size, size = at->rows * W * 4;
  vj_net_linear_backward (net, at->token_rows, at->features, plan->projector, 1, (gssize) plan->projector_bias, d_states, d_features);
  ops->zero (device, s->d, size);
  take (net, at, d_features, 0, 1, s->d);
  for (guint l = c->vision_global_layers; l-- > 0;)
    encode_backward (net, &plan->global[l], TRUE, at, &at->global[l], s);
  ops->add_rows_backward (device, at->rows, W, net->value[plan->post_tile], at->post_tile_index, VJ_GATE_TANH, net->value[plan->post_tile_gate],
                          s->d, vj_net_grad (net, plan->post_tile), vj_net_grad (net, plan->post_tile_gate));
  ops->zero (device, s->narrow, size);
  layer_norm_backward (net, at->rows, c->vision_layers > 0 ? at->local[c->vision_layers - 1].out : at->local[0].x, plan->post_norm,
                       plan->post_norm_bias, at->post_stats, s->d, s->narrow);
  ops->copy_2d (device, at->rows, W, s->narrow, W, 1, s->d, W, 1, FALSE);
  for (guint l = c->vision_layers; l-- > 0;) {
    for (guint k = 0; k < c->n_intermediate; k++)
      if (c->intermediate_layers[k] == l)
        take (net, at, d_features, W + k, c->n_intermediate, s->d);
    encode_backward (net, &plan->local[l], FALSE, at, &at->local[l], s);
  }
  embed_backward (net, at, s);
}
