/* Opening a model for generation and encoding images: see mllama.h. */
#include "base/machine.h"
#include "engine/mllama/model.h"

#include <math.h>
#include <string.h>

/* Part of every digest: raise it when the same weights give other bits. */
#define NUMERICAL_VERSION "mllama-7"
/* Weights up to this size are searched for broken values when they are opened. Larger ones are left in the file until
 * they are used; what breaks then shows in the logits, which are searched always. */
#define CHECKED_PARAMETERS ((gsize) 1 << 28)

static gboolean
all_finite (const float *values, gsize n)
{
  float sum = 0;
  for (gsize i = 0; i < n; i++)
    sum += values[i] * 0.0f; /* NaN for NaN and infinity, else 0 */
  return sum == 0;
}

static gboolean
bf16_finite (const guint16 *values, gsize n)
{
  guint bad = 0;
  for (gsize i = 0; i < n; i++)
    bad |= (values[i] & 0x7f80) == 0x7f80;
  return bad == 0;
}

static gboolean
fail_finite (const VjMllamaPlan *plan, guint i, GError **error)
{
  return vj_fail (error, VJ_EXIT_DATA, "model: '%s': holds a value that is not finite: broken weights; fetch or export the model again", vj_mllama_plan_at (plan, i)->key);
}

float *
vj_mllama_read_weight (const VjMllamaPlan *plan, const VjSafetensors *file, guint i, GError **error)
{
  const VjMllamaWeight *weight = vj_mllama_plan_at (plan, i);
  const VjTensor *tensor = vj_mllama_plan_find (plan, file, i == plan->head && plan->tied ? plan->embed : i);
  g_autofree float *values = g_try_new (float, weight->n_elements);
  if (values == NULL) {
    vj_fail (error, VJ_EXIT_LIMIT, "model: '%s': %" G_GSIZE_FORMAT " elements cannot be loaded: out of memory; use a smaller model", weight->key, weight->n_elements);
    return NULL;
  }
  vj_dtype_to_f32 (tensor->dtype, tensor->data, weight->n_elements, values);
  if (!all_finite (values, weight->n_elements)) {
    fail_finite (plan, i, error);
    return NULL;
  }
  return g_steal_pointer (&values);
}

/* The same, with what an adapter adds. */
static float *
read_merged (const VjMllama *model, guint i, GError **error)
{
  float *values = vj_mllama_read_weight (model->plan, model->file, i, error);
  if (values != NULL && model->adapter != NULL)
    vj_mllama_adapter_merge (model->adapter, model->plan, i, values);
  return values;
}

gboolean
vj_mllama_check_file (const VjMllama *model, GError **error)
{
  return !vj_safetensors_is_cut (model->file) ||
         vj_fail (error, VJ_EXIT_DATA, "%s: '*.safetensors': became shorter while it was read: another process writes there; try again when it is done", model->dir);
}

gboolean
vj_mllama_choose_numbers (const VjMllamaPlan *plan, const VjSafetensors *file, const char *dtype, VjNumbers *ret_numbers, GError **error)
{
  gboolean stored = file != NULL && vj_mllama_plan_find (plan, file, plan->embed)->dtype == VJ_DTYPE_BF16;
  if (dtype == NULL || strcmp (dtype, "auto") == 0)
    *ret_numbers = stored ? VJ_NUMBERS_BF16 : VJ_NUMBERS_F32;
  else if (strcmp (dtype, "bf16") == 0)
    *ret_numbers = VJ_NUMBERS_BF16;
  else if (strcmp (dtype, "f32") == 0)
    *ret_numbers = VJ_NUMBERS_F32;
  else
    return vj_fail (error, VJ_EXIT_USAGE, "model: 'dtype': '%s' is none: expected auto, f32 or bf16; correct it", dtype);
  return TRUE;
}

/* Whether the weight is kept as a matrix: every product, and with bf16 numbers the tables that rows are taken from. */
static gboolean
is_matrix (const VjMllama *model, const VjMllamaWeight *weight)
{
  return weight->is_product || (model->numbers == VJ_NUMBERS_BF16 && weight->n_dims >= 2);
}

/* Whether weight i is multiplied where it lies in its file. */
static gboolean
is_mapped (const VjMllama *model, guint i)
{
  const VjMllamaPlan *plan = model->plan;
  const VjTensor *tensor = vj_mllama_plan_find (plan, model->file, i == plan->head && plan->tied ? plan->embed : i);
  return model->numbers == VJ_NUMBERS_BF16 && is_matrix (model, vj_mllama_plan_at (plan, i)) && tensor->dtype == VJ_DTYPE_BF16 &&
         GPOINTER_TO_SIZE (tensor->data) % 2 == 0 && (model->adapter == NULL || vj_mllama_adapter_peek (model->adapter, i) == NULL);
}

/* The weight in bf16: in the file itself where it is stored so, else a rounded copy. */
static const void *
bf16_weight (VjMllama *model, const VjTensor *tensor, guint i, GError **error)
{
  if (is_mapped (model, i)) {
    if (model->check_values && !bf16_finite (tensor->data, tensor->n_elements)) {
      fail_finite (model->plan, i, error);
      return NULL;
    }
    return tensor->data;
  }
  g_autofree float *values = read_merged (model, i, error);
  if (values == NULL)
    return NULL;
  void *copy = g_malloc (vj_mllama_plan_at (model->plan, i)->n_elements * 2);
  vj_dtype_from_f32 (VJ_DTYPE_BF16, values, vj_mllama_plan_at (model->plan, i)->n_elements, copy);
  g_ptr_array_add (model->copies, copy);
  return copy;
}

static gboolean
load_matrix (VjMllama *model, guint i, GError **error)
{
  const VjMllamaPlan *plan = model->plan;
  const VjMllamaWeight *weight = vj_mllama_plan_at (plan, i);
  gsize k = weight->is_product || i == plan->embed ? weight->n_elements / weight->dims[0] : plan->config.vision_hidden_size;
  g_autofree float *values = NULL;
  const void *host;
  if (model->numbers == VJ_NUMBERS_F32)
    host = values = read_merged (model, i, error);
  else
    host = bf16_weight (model, vj_mllama_plan_find (plan, model->file, i == plan->head && plan->tied ? plan->embed : i), i, error);
  if (host == NULL)
    return FALSE;
  model->net.matrix[i] = model->compute->ops->matrix_new (model->compute->device, model->numbers, weight->n_elements / k, k, host, error);
  return model->net.matrix[i] != NULL;
}

static gboolean
load_weight (VjMllama *model, guint i, GError **error)
{
  const VjComputeOps *ops = model->compute->ops;
  void *device = model->compute->device;
  const VjMllamaWeight *weight = vj_mllama_plan_at (model->plan, i);
  if (is_matrix (model, weight))
    return load_matrix (model, i, error);
  g_autofree float *values = vj_mllama_read_weight (model->plan, model->file, i, error);
  if (values == NULL || (model->net.value[i] = ops->alloc (device, weight->n_elements * 4, error)) == NULL)
    return FALSE;
  ops->upload (device, model->net.value[i], values, weight->n_elements * 4);
  return TRUE;
}

gsize
vj_mllama_memory_left (const VjMllama *model)
{
  const VjComputeOps *ops = model->compute->ops;
  return ops == &vj_compute_cpu || ops == &vj_compute_ref ? vj_machine_memory () : G_MAXSIZE;
}

gsize
vj_mllama_mapped_bytes (const VjMllama *model)
{
  gsize bytes = 0;
  for (guint i = 0; i < model->plan->weights->len; i++)
    if (is_mapped (model, i) && (i != model->plan->head || !model->plan->tied))
      bytes += 2 * vj_mllama_plan_at (model->plan, i)->n_elements;
  return bytes;
}

/* What the machine cannot hold is refused before it is tried. Mapped weights are no part of it: they leave and come back. */
static gboolean
check_memory (const char *dir, const VjMllama *model, GError **error)
{
  gsize available = vj_mllama_memory_left (model), needed = 0;
  for (guint i = 0; i < model->plan->weights->len; i++)
    needed += is_mapped (model, i) ? 0 : 4 * vj_mllama_plan_at (model->plan, i)->n_elements;
  return needed <= available ||
         vj_fail (error, VJ_EXIT_LIMIT, "%s: its weights take %.1f MiB of memory: this machine has %.1f MiB available; use a smaller model, or a machine with more memory",
                  dir, (double) needed / (1 << 20), (double) available / (1 << 20));
}

static gboolean
load_rope (VjMllama *model, GError **error)
{
  const VjMllamaConfig *c = &model->plan->config;
  gsize n = (gsize) c->max_position_embeddings * c->head_dim;
  g_autofree float *table = g_try_new (float, n);
  model->net.rope = table == NULL ? NULL : model->compute->ops->alloc (model->compute->device, n * 4, error);
  if (model->net.rope == NULL)
    return table != NULL || vj_fail (error, VJ_EXIT_LIMIT, "model: 'max_position_embeddings': the table of positions cannot be allocated: out of memory; lower it in config.json");
  vj_net_rope_table (c, table);
  model->compute->ops->upload (model->compute->device, model->net.rope, table, n * 4);
  return TRUE;
}

VjMllama *
vj_mllama_open (const char *dir, const char *compute, guint threads, const char *dtype, GError **error)
{
  g_autoptr (VjMllama) model = g_new0 (VjMllama, 1);
  g_autofree VjMllamaConfig *config = g_new0 (VjMllamaConfig, 1);
  model->copies = g_ptr_array_new_with_free_func (g_free);
  if (!vj_mllama_adapter_open (dir, &model->adapter, error))
    return NULL;
  model->dir = g_strdup (dir = model->adapter == NULL ? dir : vj_mllama_adapter_peek_base (model->adapter));
  if (!vj_mllama_config_load (dir, config, error) || (model->file = vj_safetensors_open_dir (dir, error)) == NULL ||
      (model->plan = vj_mllama_plan_new (config, model->file, error)) == NULL || !vj_mllama_plan_check (model->plan, model->file, dir, error) ||
      (model->adapter != NULL && !vj_mllama_adapter_load (model->adapter, model->plan, error)) ||
      !vj_mllama_choose_numbers (model->plan, model->file, dtype, &model->numbers, error) ||
      (model->compute = vj_compute_open (compute, threads, error)) == NULL || !check_memory (dir, model, error))
    return NULL;
  model->net = (VjMllamaNet) { .compute = model->compute, .plan = model->plan, .numbers = model->numbers,
                               .value = g_new0 (VjF32 *, model->plan->weights->len), .matrix = g_new0 (VjMatrix *, model->plan->weights->len) };
  model->check_values = model->plan->n_elements <= CHECKED_PARAMETERS;
  for (guint i = 0; i < model->plan->weights->len; i++)
    if (!load_weight (model, i, error))
      return NULL;
  if (!load_rope (model, error))
    return NULL;
  model->products = model->numbers == VJ_NUMBERS_F32   ? g_strdup ("f32")
                    : model->compute->kernel == NULL ? g_strdup ("bf16")
                                                     : g_strdup_printf ("bf16 by %s", model->compute->kernel);
  vj_safetensors_rest (model->file); /* what was copied need not stay in memory twice */
  return vj_mllama_check_file (model, error) ? g_steal_pointer (&model) : NULL;
}

void
vj_mllama_free (VjMllama *model)
{
  if (model == NULL)
    return;
  if (model->compute != NULL) {
    const VjComputeOps *ops = model->compute->ops;
    void *device = model->compute->device;
    for (guint i = 0; model->net.value != NULL && i < model->plan->weights->len; i++) {
      ops->release (device, model->net.value[i]);
      ops->matrix_free (device, model->net.matrix[i]);
    }
    ops->release (device, model->net.rope);
    ops->release (device, model->work.base);
    vj_mllama_forget (model);
    vj_compute_close (model->compute);
  }
  g_free (model->net.value);
  g_free (model->net.matrix);
  g_clear_pointer (&model->copies, g_ptr_array_unref);
  vj_mllama_adapter_free (model->adapter);
  vj_mllama_plan_free (model->plan);
  vj_safetensors_free (model->file);
  g_free (model->dir);
  g_free (model->products);
  g_free (model->digest);
  g_free (model);
}

const VjMllamaConfig *
vj_mllama_peek_config (const VjMllama *model)
{
  return &model->plan->config;
}

const char *
vj_mllama_peek_compute (const VjMllama *model)
{
  return model->compute->name;
}

const char *
vj_mllama_peek_products (const VjMllama *model)
{
  return model->products;
}

const char *
vj_mllama_peek_dtype (const VjMllama *model)
{
  return vj_dtype_name (vj_mllama_plan_find (model->plan, model->file, model->plan->embed)->dtype);
}

guint64
vj_mllama_parameters (const VjMllama *model)
{
  guint64 n = 0;
  for (guint i = 0; i < model->plan->weights->len; i++)
    if (i != model->plan->head || !model->plan->tied)
      n += vj_mllama_plan_at (model->plan, i)->n_elements;
  return n;
}

const char *
vj_mllama_peek_digest (VjMllama *model)
{
  if (model->digest != NULL)
    return model->digest;
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  gsize n;
  const VjTensor *list = vj_safetensors_list (model->file, &n);
  g_checksum_update (sum, (const guchar *) NUMERICAL_VERSION, -1);
  g_checksum_update (sum, (const guchar *) (model->numbers == VJ_NUMBERS_BF16 ? " bf16" : " f32"), -1);
  for (gsize i = 0; i < n; i++) {
    g_autofree char *shape = vj_tensor_describe (list[i].n_dims, list[i].dims);
    g_autofree char *head = g_strdup_printf ("\n%s %s %s\n", list[i].name, vj_dtype_name (list[i].dtype), shape);
    g_checksum_update (sum, (const guchar *) head, -1);
    gsize bytes = list[i].n_elements * vj_dtype_size (list[i].dtype);
    for (gsize at = 0; at < bytes; at += 1 << 30) /* its length is signed */
      g_checksum_update (sum, (const guchar *) list[i].data + at, (gssize) MIN (bytes - at, (gsize) 1 << 30));
  }
  if (model->adapter != NULL)
    vj_mllama_adapter_digest (model->adapter, model->plan, sum);
  model->digest = g_strdup (g_checksum_get_string (sum));
  return model->digest;
}

gboolean
vj_mllama_reserve (VjMllama *model, gsize elements, GError **error)
{
  const VjComputeOps *ops = model->compute->ops;
  model->work.used = 0;
  if (elements <= model->work.size)
    return TRUE;
  VjF32 *bigger = ops->alloc (model->compute->device, elements * 4, error);
  if (bigger == NULL)
    return FALSE;
  ops->release (model->compute->device, model->work.base);
  model->work = (VjArena) { bigger, 0, elements };
  return TRUE;
}

/* -- images ---------------------------------------------------------------- */

gsize
vj_mllama_vision_bytes (const VjMllama *model)
{
  const VjMllamaConfig *c = &model->plan->config;
  return c->n_cross * vj_mllama_cache_bytes (model, (gsize) c->max_num_tiles * c->n_patches);
}

static VjMllamaVision *
vision_new (VjMllama *model, guint32 n_tiles, GError **error)
{
  VjF32 *kv = model->compute->ops->alloc (model->compute->device, vj_mllama_vision_bytes (model), error);
  if (kv == NULL)
    return NULL;
  VjMllamaVision *vision = g_atomic_rc_box_new0 (VjMllamaVision);
  *vision = (VjMllamaVision) { model, n_tiles, kv };
  return vision;
}

static void
vision_clear (gpointer data)
{
  VjMllamaVision *vision = data;
  vision->model->compute->ops->release (vision->model->compute->device, vision->kv);
}

VjMllamaVision *
vj_mllama_vision_ref (VjMllamaVision *vision)
{
  return g_atomic_rc_box_acquire (vision);
}

void
vj_mllama_vision_unref (VjMllamaVision *vision)
{
  if (vision != NULL)
    g_atomic_rc_box_release_full (vision, vision_clear);
}

/* Keys and values of an image's states in every cross layer; raw, k, v: [T N, KV]. */
static void
fill_vision (VjMllama *model, const VjMllamaImages *at, VjF32 *raw, VjF32 *k, VjF32 *v, VjMllamaVision *vision)
{
  const VjMllamaConfig *c = &model->plan->config;
  const VjCaches *caches = vj_mllama_caches (model);
  gsize n = at->token_rows, KV = (gsize) c->num_key_value_heads * c->head_dim;
  for (guint l = 0, cross = 0; l < c->num_hidden_layers; l++) {
    if (!c->is_cross[l])
      continue;
    VjF32 *cache = vj_mllama_cache_at (model, vision->kv, n, cross++);
    if (caches == NULL)
      vj_net_cross_states (&model->net, l, n, at->states, raw, NULL, cache, vj_f32_at (cache, n * KV));
    else {
      vj_net_cross_states (&model->net, l, n, at->states, raw, NULL, k, v);
      caches->store (model->compute->device, cache, n, c->num_key_value_heads, c->head_dim, 0, n, k, v, KV);
    }
  }
}

/* One image: its result must not depend on its neighbours, and a tile is work enough for all threads. */
static VjMllamaVision *
encode (VjMllama *model, const VjMllamaImage *image, GError **error)
{
  const VjMllamaConfig *c = &model->plan->config;
  g_autofree VjMllamaImages *at = g_new (VjMllamaImages, 1);
  VjArena count = { 0 };
  VjAttentionSegment segment;
  VjF32 *rows[3];
  vj_net_images_layout (c, 1, VJ_KEEP_NONE, &count, at);
  gsize size = at->token_rows * c->num_key_value_heads * c->head_dim;
  for (guint i = 0; i < 3; i++)
    vj_arena_take (&count, size);
  if (!vj_mllama_reserve (model, count.used, error))
    return NULL;
  vj_net_images_layout (c, 1, VJ_KEEP_NONE, &model->work, at);
  for (guint i = 0; i < 3; i++)
    rows[i] = vj_arena_take (&model->work, size);
  at->segments = &segment;
  if (!vj_net_images_upload (&model->net, &image, at, error))
    return NULL;
  VjMllamaVision *vision = vision_new (model, image->n_tiles, error);
  if (vision == NULL)
    return NULL;
  vj_net_vision (&model->net, at);
  fill_vision (model, at, rows[0], rows[1], rows[2], vision);
  return vision;
}

gboolean
vj_mllama_encode (VjMllama *model, const VjMllamaImage *images, gsize n, VjMllamaVision **ret_visions, GError **error)
{
  g_autoptr (GPtrArray) done = g_ptr_array_new_with_free_func ((GDestroyNotify) vj_mllama_vision_unref);
  if (!vj_mllama_check_file (model, error))
    return FALSE;
  for (gsize i = 0; i < n; i++) {
    VjMllamaVision *vision = encode (model, &images[i], error);
    if (vision == NULL)
      return FALSE;
    g_ptr_array_add (done, vision);
  }
  if (!model->compute->ops->finish (model->compute->device, error))
    return FALSE;
  for (gsize i = 0; i < n; i++)
    ret_visions[i] = vj_mllama_vision_ref (g_ptr_array_index (done, i));
  return TRUE;
}
