/* The vision tower and projector, forward: see net.h and doc/mllama.md. */
#include "engine/mllama/net.h"

#include <math.h>
#include <string.h>

#define LAYER_NORM_EPS 1e-5f /* of the norms before and after the tower; those of its layers have norm_eps */

guint32
vj_net_padding (const VjMllamaConfig *config)
{
  return (8 - config->n_patches % 8) % 8;
}

static void
layout_encoder (const VjMllamaConfig *c, gsize rows, gboolean gated, VjArena *arena, VjMllamaEnc *e)
{
  gsize W = c->vision_hidden_size, M = c->vision_intermediate_size;
  e->n1 = vj_arena_take (arena, rows * W);
  e->qkv = vj_arena_take (arena, rows * 3 * W);
  e->att = vj_arena_take (arena, rows * W);
  e->branch = gated ? vj_arena_take (arena, rows * W) : NULL;
  e->x2 = vj_arena_take (arena, rows * W);
  e->n2 = vj_arena_take (arena, rows * W);
  e->f1 = vj_arena_take (arena, rows * M);
  e->act = vj_arena_take (arena, rows * M);
  e->mlp = gated ? vj_arena_take (arena, rows * W) : NULL;
}

static void
layout_kept (const VjMllamaConfig *c, gsize rows, VjArena *arena, VjMllamaEnc *e)
{
  e->stats1 = vj_arena_take (arena, rows * 2);
  e->stats2 = vj_arena_take (arena, rows * 2);
  e->lse = vj_arena_take (arena, rows * c->vision_heads);
}

/* Unless all is kept, layers share one set of buffers and only their outputs are their own: the projector reads them. */
static void
layout_tower (const VjMllamaConfig *c, VjMllamaKeep keep, VjArena *arena, VjMllamaImages *at)
{
  VjMllamaEnc shared = { 0 };
  VjF32 *first = vj_arena_take (arena, at->rows * c->vision_hidden_size), *x = first;
  if (keep != VJ_KEEP_ALL)
    layout_encoder (c, at->rows, TRUE, arena, &shared);
  if (keep == VJ_KEEP_OUTPUTS)
    layout_kept (c, at->rows, arena, &shared);
  for (guint pass = 0; pass < 2; pass++)
    for (guint l = 0; l < (pass ? c->vision_global_layers : c->vision_layers); l++) {
      VjMllamaEnc *e = pass ? &at->global[l] : &at->local[l];
      *e = shared;
      if (keep == VJ_KEEP_ALL) {
        layout_encoder (c, at->rows, pass == 1, arena, e);
        layout_kept (c, at->rows, arena, e);
      }
      e->x = pass == 1 && l == 0 ? at->post : x;
      e->out = x = vj_arena_take (arena, at->rows * c->vision_hidden_size);
    }
  at->local[0].x = first;
}

void
vj_net_images_layout (const VjMllamaConfig *config, gsize n, VjMllamaKeep keep, VjArena *arena, VjMllamaImages *ret_images)
{
  gsize T = config->max_num_tiles, N = config->n_patches, W = config->vision_hidden_size;
  VjMllamaImages *at = ret_images;
  memset (at, 0, sizeof *at);
  at->keep = keep;
  at->n_images = n;
  at->rows = n * T * (N + vj_net_padding (config));
  at->token_rows = n * T * N;
  at->patch_rows = n * T * (N - 1);
  VjI32 **indices[] = { &at->patch_index, &at->class_index, &at->tile_index, &at->position_index, &at->tile_position_index };
  for (guint i = 0; i < G_N_ELEMENTS (indices); i++)
    *indices[i] = (VjI32 *) vj_arena_take (arena, at->token_rows);
  at->token_index = (VjI32 *) vj_arena_take (arena, at->rows);
  at->post_tile_index = (VjI32 *) vj_arena_take (arena, at->rows);
  at->last = (VjI32 *) vj_arena_take (arena, at->rows);
  at->patches = vj_arena_take (arena, at->patch_rows * 3 * config->patch_size * config->patch_size);
  at->patch_out = vj_arena_take (arena, at->patch_rows * W);
  at->embed = vj_arena_take (arena, at->token_rows * W);
  at->pre = vj_arena_take (arena, at->token_rows * W);
  at->pre_stats = keep != VJ_KEEP_NONE ? vj_arena_take (arena, at->token_rows * 2) : NULL;
  at->post = vj_arena_take (arena, at->rows * W);
  at->post_stats = keep != VJ_KEEP_NONE ? vj_arena_take (arena, at->rows * 2) : NULL;
  at->features = vj_arena_take (arena, at->token_rows * W * (1 + (gsize) config->n_intermediate));
  at->states = vj_arena_take (arena, at->token_rows * config->hidden_size);
  layout_tower (config, keep, arena, at);
}

static gboolean
check_image (const VjMllamaConfig *c, const VjMllamaImage *image, GError **error)
{
  guint32 id = image->aspect_ratio_id;
  if (id < 1 || id > c->n_aspect_ratios || image->n_tiles != c->aspect_ratios[id - 1][0] * c->aspect_ratios[id - 1][1])
    return vj_fail (error, VJ_EXIT_DATA, "image: 'aspect_ratio_id %u': does not go with %u tiles: not a supported arrangement; preprocess the image for this model",
                    id, image->n_tiles);
  return TRUE;
}

/* Pixels of one tile [3, S, S] to rows of patches [side side, 3 P P], channels slowest. */
static void
unfold_tile (const VjMllamaConfig *c, const float *tile, float *rows)
{
  gsize S = c->image_size, P = c->patch_size, side = S / P;
  for (gsize y = 0; y < side; y++)
    for (gsize x = 0; x < side; x++)
      for (gsize channel = 0; channel < 3; channel++)
        for (gsize py = 0; py < P; py++, rows += P)
          memcpy (rows, tile + (channel * S + y * P + py) * S + x * P, P * sizeof *rows);
}

typedef struct {
  gint32 *patch, *class_token, *tile, *position, *tile_position, *token, *post_tile, *last;
} HostIndices;

static void
index_image (const VjMllamaConfig *c, gsize image, const VjMllamaImage *pixels, const HostIndices *at)
{
  gsize T = c->max_num_tiles, N = c->n_patches, P = vj_net_padding (c), rows = T * (N + P);
  gint32 real = (gint32) (pixels->n_tiles * N);
  for (gsize t = 0; t < T; t++) {
    gint32 tile = (gint32) (pixels->aspect_ratio_id * T + t);
    for (gsize p = 0; p < N; p++) {
      gsize token = (image * T + t) * N + p, row = image * rows + t * N + p;
      at->patch[token] = p == 0 ? -1 : (gint32) ((image * T + t) * (N - 1) + p - 1);
      at->class_token[token] = p == 0 ? 0 : -1;
      at->tile[token] = p == 0 ? -1 : tile;
      at->position[token] = (gint32) p;
      at->tile_position[token] = (gint32) ((gsize) tile * N + p);
      at->token[row] = (gint32) token;
      at->post_tile[row] = tile;
      at->last[row] = t < pixels->n_tiles ? (gint32) rows : real; /* padding does not look at padding */
    }
    for (gsize p = 0; p < P; p++) {
      gsize row = image * rows + T * N + t * P + p;
      at->token[row] = -1;
      at->post_tile[row] = tile;
      at->last[row] = real;
    }
  }
}

static void
upload_indices (const VjMllamaNet *net, const VjMllamaImages *at, const HostIndices *host)
{
  const struct { VjI32 *to; const gint32 *from; gsize n; } parts[] = {
    { at->patch_index, host->patch, at->token_rows }, { at->class_index, host->class_token, at->token_rows },
    { at->tile_index, host->tile, at->token_rows },   { at->position_index, host->position, at->token_rows },
    { at->tile_position_index, host->tile_position, at->token_rows }, { at->token_index, host->token, at->rows },
    { at->post_tile_index, host->post_tile, at->rows }, { at->last, host->last, at->rows },
  };
  for (guint i = 0; i < G_N_ELEMENTS (parts); i++)
    net->compute->ops->upload (net->compute->device, parts[i].to, parts[i].from, parts[i].n * 4);
}

gboolean
vj_net_images_upload (const VjMllamaNet *net, const VjMllamaImage *const *images, VjMllamaImages *at, GError **error)
{
  const VjMllamaConfig *c = &net->plan->config;
  gsize S = c->image_size, side = S / c->patch_size, width = 3 * (gsize) c->patch_size * c->patch_size;
  for (gsize i = 0; i < at->n_images; i++)
    if (!check_image (c, images[i], error))
      return FALSE;
  g_autofree gint32 *store = g_new (gint32, 5 * at->token_rows + 3 * at->rows);
  HostIndices host = { store, store + at->token_rows, store + 2 * at->token_rows, store + 3 * at->token_rows, store + 4 * at->token_rows,
                       store + 5 * at->token_rows, store + 5 * at->token_rows + at->rows, store + 5 * at->token_rows + 2 * at->rows };
  g_autofree float *patches = g_new0 (float, at->patch_rows * width);
  for (gsize i = 0; i < at->n_images; i++) {
    index_image (c, i, images[i], &host);
    for (gsize t = 0; t < images[i]->n_tiles; t++) /* padding tiles stay zero */
      unfold_tile (c, images[i]->tiles + t * 3 * S * S, patches + (i * c->max_num_tiles + t) * side * side * width);
    at->segments[i] = (VjAttentionSegment) { .q_row = i * (at->rows / at->n_images), .q_count = at->rows / at->n_images,
                                             .kv_count = at->rows / at->n_images };
  }
  upload_indices (net, at, &host);
  net->compute->ops->upload (net->compute->device, at->patches, patches, at->patch_rows * width * 4);
  return TRUE;
}

static void
embed_patches (const VjMllamaNet *net, const VjMllamaImages *at)
{
  const VjComputeOps *ops = net->compute->ops;
  const VjMllamaPlan *plan = net->plan;
  void *device = net->compute->device;
  gsize W = plan->config.vision_hidden_size;
  VjF32 *const *value = net->value;
  vj_net_linear (net, at->patch_rows, at->patches, plan->patch, 1, -1, at->patch_out, W);
  ops->zero (device, at->embed, at->token_rows * W * 4);
  ops->add_rows (device, at->token_rows, W, at->patch_out, at->patch_index, VJ_GATE_NONE, NULL, at->embed);
  vj_net_add_table (net, at->token_rows, W, plan->pre_tile, at->tile_index, VJ_GATE_TANH, plan->pre_tile_gate, at->embed);
  vj_net_add_table (net, at->token_rows, W, plan->class_token, at->class_index, VJ_GATE_NONE, -1, at->embed);
  vj_net_add_table (net, at->token_rows, W, plan->position, at->position_index, VJ_GATE_ONE_MINUS_TANH, plan->position_gate, at->embed);
  vj_net_add_table (net, at->token_rows, W, plan->tile_position, at->tile_position_index, VJ_GATE_TANH, plan->position_gate, at->embed);
  ops->layer_norm (device, at->token_rows, W, LAYER_NORM_EPS, at->embed, value[plan->pre_norm], value[plan->pre_norm_bias], at->pre, at->pre_stats);
}

/* What one of a layer's products joins the residual stream by: weights of its bias (-1: none) and gate, if it has one. */
static void
join (const VjMllamaNet *net, gsize rows, VjInput input, VjF32 *made, guint w, gssize bias, gboolean gated, guint gate, const VjF32 *x, VjF32 *branch,
      VjF32 *out)
{
  vj_net_product (net, &(VjMllamaProduct) { .rows = rows, .input = input, .made = made, .w = w, .joined = 1, .bias = bias, .add = x,
                                            .mode = gated ? VJ_GATE_TANH : VJ_GATE_NONE, .gate = gated ? net->value[gate] : NULL, .branch = branch, .y = out });
}

static VjInput
normed (const VjMllamaNet *net, const VjF32 *x, guint w, guint b)
{
  return (VjInput) { .kind = VJ_INPUT_LAYER_NORM, .x = x, .w = net->value[w], .b = net->value[b], .eps = net->plan->config.vision_norm_eps };
}

void
vj_net_vision_layer (const VjMllamaNet *net, const VjMllamaEncoder *w, gboolean gated, const VjMllamaImages *at, const VjMllamaEnc *e)
{
  const VjMllamaConfig *c = &net->plan->config;
  gsize W = c->vision_hidden_size, rows = at->rows;
  vj_net_product (net, &(VjMllamaProduct) { .rows = rows, .input = normed (net, e->x, w->input_norm, w->input_norm_bias), .made = e->n1, .stats = e->stats1,
                                            .w = w->q, .joined = 3, .bias = -1, .y = e->qkv });
  for (gsize i = 0; i < at->n_images; i++) {
    at->segments[i].k = vj_f32_at (e->qkv, at->segments[i].q_row * 3 * W + W);
    at->segments[i].v = vj_f32_at (e->qkv, at->segments[i].q_row * 3 * W + 2 * W);
  }
  VjAttention a = { .numbers = net->numbers, .n_segments = at->n_images, .segments = at->segments, .heads = c->vision_heads, .kv_heads = c->vision_heads,
                    .head_dim = W / c->vision_heads, .scale = 1 / sqrtf ((float) W / (float) c->vision_heads), .q = e->qkv, .ld_q = 3 * W,
                    .ld_kv = 3 * W, .last = at->last, .out = e->att, .lse = e->lse };
  net->compute->ops->attention (net->compute->device, &a);
  join (net, rows, (VjInput) { .x = e->att }, NULL, w->o, -1, gated, w->attn_gate, e->x, e->branch, e->x2);
  vj_net_product (net, &(VjMllamaProduct) { .rows = rows, .input = normed (net, e->x2, w->post_norm, w->post_norm_bias), .made = e->n2, .stats = e->stats2,
                                            .w = w->fc1, .joined = 1, .bias = w->fc1_bias, .y = e->f1 });
  join (net, rows, (VjInput) { .kind = VJ_INPUT_ACTIVATION, .x = e->f1, .act = (VjAct) c->vision_activation }, e->act, w->fc2, w->fc2_bias, gated,
        w->ffn_gate, e->x2, e->mlp, e->out);
}

/* [n T N, O]: the final state, then the taken layers' outputs interleaved, element by element, layer fastest. */
static void
gather_features (const VjMllamaNet *net, const VjMllamaImages *at, const VjF32 *final)
{
  const VjMllamaConfig *c = &net->plan->config;
  gsize W = c->vision_hidden_size, n = c->n_intermediate, O = W * (1 + n), rows = at->rows / at->n_images, tokens = at->token_rows / at->n_images;
  for (gsize i = 0; i < at->n_images; i++) {
    VjF32 *to = vj_f32_at (at->features, i * tokens * O);
    net->compute->ops->copy_2d (net->compute->device, tokens, W, vj_f32_at (final, i * rows * W), W, 1, to, O, 1, FALSE);
    for (gsize k = 0; k < n; k++)
      net->compute->ops->copy_2d (net->compute->device, tokens, W, vj_f32_at (at->local[c->intermediate_layers[k]].out, i * rows * W),
                                  W, 1, vj_f32_at (to, W + k), O, n, FALSE);
  }
}

void
vj_net_vision (const VjMllamaNet *net, const VjMllamaImages *at)
{
  const VjComputeOps *ops = net->compute->ops;
  const VjMllamaPlan *plan = net->plan;
  const VjMllamaConfig *c = &plan->config;
  void *device = net->compute->device;
  gsize W = c->vision_hidden_size;
  VjF32 *first = at->local[0].x;
  embed_patches (net, at);
  ops->zero (device, first, at->rows * W * 4);
  ops->add_rows (device, at->rows, W, at->pre, at->token_index, VJ_GATE_NONE, NULL, first);
  for (guint l = 0; l < c->vision_layers; l++)
    vj_net_vision_layer (net, &plan->local[l], FALSE, at, &at->local[l]);
  ops->layer_norm (device, at->rows, W, LAYER_NORM_EPS, c->vision_layers > 0 ? at->local[c->vision_layers - 1].out : first,
                   net->value[plan->post_norm], net->value[plan->post_norm_bias], at->post, at->post_stats);
  vj_net_add_table (net, at->rows, W, plan->post_tile, at->post_tile_index, VJ_GATE_TANH, plan->post_tile_gate, at->post);
  for (guint l = 0; l < c->vision_global_layers; l++)
    vj_net_vision_layer (net, &plan->global[l], TRUE, at, &at->global[l]);
  gather_features (net, at, c->vision_global_layers > 0 ? at->global[c->vision_global_layers - 1].out : at->post);
  vj_net_linear (net, at->token_rows, at->features, plan->projector, 1, (gssize) plan->projector_bias, at->states, c->hidden_size);
}
