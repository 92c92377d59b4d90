/* One micro-batch of training: examples packed without padding, forward, loss, backward. See trainer.h. */
#include "engine/mllama/batch.h"

#define STATES_CACHE_BYTES ((gsize) 512 << 20) /* of image states kept while the vision tower is frozen */

/* -- images ---------------------------------------------------------------- */

/* States of one image with the tower frozen. Always computed alone, so that its bits do not depend on when. */
static VjF32 *
encode_alone (VjMllamaBatch *b, const VjMllamaImage *image, GError **error)
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
place_frozen (VjMllamaBatch *b, const VjMllamaExample *e, gsize i, gsize at, GError **error)
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
make_states (VjMllamaBatch *b, GError **error)
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
point_self (const VjMllamaBatch *b, VjAttentionSegment *segments, const VjF32 *kv, gsize width)
{
  for (gsize i = 0; i < b->n; i++) {
    segments[i].k = vj_f32_at (kv, b->rows.self[i].q_row * width);
    segments[i].v = vj_f32_at (segments[i].k, vj_mllama_kv_width (b->c));
  }
}

static void
point_cross (const VjMllamaBatch *b, VjAttentionSegment *segments, const VjMllamaText *t)
{
  gsize KV = vj_mllama_kv_width (b->c), at = 0;
  for (gsize i = 0; i < b->n_shown; at += segments[i++].kv_count * KV) {
    segments[i].k = vj_f32_at (t->k, at);
    segments[i].v = vj_f32_at (t->v, at);
  }
}

static void
forward_layer (VjMllamaBatch *b, guint l)
{
  const VjMllamaNet *net = &b->trainer->net;
  const VjMllamaText *t = &b->layers[l];
  const VjMllamaRows *rows = l < b->c->last_self ? &b->rows : &b->few;
  gsize H = b->c->hidden_size, KV = vj_mllama_kv_width (b->c);
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
forward (VjMllamaBatch *b)
{
  const VjMllamaNet *net = &b->trainer->net;
  const VjComputeOps *ops = net->compute->ops;
  void *device = net->compute->device;
  vj_net_embed (net, &b->rows, b->layers[0].x);
  for (guint l = 0; l < b->c->num_hidden_layers; l++)
    forward_layer (b, l);
  if (b->c->last_self == b->c->num_hidden_layers)
    vj_net_pick (net, &b->few, b->layers[b->c->num_hidden_layers - 1].out, b->layers[b->c->num_hidden_layers].x);
  ops->rms_norm (device, b->few.rows, b->c->hidden_size, b->c->rms_norm_eps, b->layers[b->c->num_hidden_layers].x, net->value[net->plan->norm],
                 b->normed, b->final_rstd);
  vj_net_linear (net, b->few.rows, b->normed, net->plan->head, 1, -1, b->logits, b->c->vocab_size);
}

/* The lowest layer something trainable lies in or below. */
static guint
lowest_layer (const VjMllamaBatch *b)
{
  guint l = 0;
  while ((b->trainer->config.freeze & VJ_FREEZE_TEXT) && l < b->c->num_hidden_layers && !b->c->is_cross[l])
    l++;
  return l;
}

static void
backward (VjMllamaBatch *b)
{
  const VjMllamaNet *net = &b->trainer->net;
  const VjComputeOps *ops = net->compute->ops;
  void *device = net->compute->device;
  gsize H = b->c->hidden_size, n = b->few.rows;
  vj_net_linear_backward (net, n, b->normed, net->plan->head, 1, -1, b->logits, b->d_normed);
  ops->zero (device, b->s.d, n * H * 4);
  ops->rms_norm_backward (device, n, H, b->layers[b->c->num_hidden_layers].x, net->value[net->plan->norm], b->final_rstd, b->d_normed, b->s.d,
                          vj_net_grad (net, net->plan->norm));
  if (b->c->last_self == b->c->num_hidden_layers)
    vj_net_pick_backward (net, &b->rows, &b->few, &b->s);
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
  ops->add_rows_backward (device, b->rows.rows, H, NULL, b->rows.index, VJ_GATE_NONE, NULL, b->s.d, vj_net_grad (net, net->plan->embed), NULL);
  if (!b->train_vision || b->n_states == 0)
    return;
  ops->zero (device, b->d_encoded, b->at.token_rows * H * 4);
  ops->add_rows_backward (device, b->n_states, H, NULL, b->state_rows, VJ_GATE_NONE, NULL, b->d_states, b->d_encoded, NULL);
  vj_net_vision_backward (net, &b->at, b->d_encoded, &b->s, b->d_features);
}

static gboolean
run (VjMllamaBatch *b, gsize targets, double *loss, GError **error)
{
  VjMllamaTrainer *trainer = b->trainer;
  const VjComputeOps *ops = trainer->compute->ops;
  void *device = trainer->compute->device;
  gsize n = b->few.rows;
  vj_batch_fill (b, targets);
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

gboolean
vj_mllama_micro_batch (VjMllamaTrainer *trainer, const VjMllamaExample *const *examples, gsize n, gsize targets, double *loss, GError **error)
{
  g_autofree VjMllamaBatch *b = g_new0 (VjMllamaBatch, 1);
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
  gboolean ok = vj_batch_count (b, examples, n, error);
  if (ok && b->n > 0) { /* else nothing to learn from */
    b->rows.n_self = b->few.n_self = b->n;
    b->rows.n_cross = b->few.n_cross = b->n_shown;
    vj_batch_index_states (b);
    b->train_vision = !(trainer->config.freeze & VJ_FREEZE_VISION) && b->images->len > 0;
    b->at.segments = g_new0 (VjAttentionSegment, b->images->len + 1);
    vj_batch_layout (b, &arena);
    if ((ok = reserve (trainer, arena.used, error))) {
      vj_batch_layout (b, &trainer->work);
      ok = run (b, targets, loss, error);
    }
  }
  g_free (b->at.segments);
  g_free (b->state_index);
  g_free (b->examples);
  g_clear_pointer (&b->images, g_ptr_array_unref);
  return ok;
}
