/* The list of weights, expanded for one configuration: see weights.h. */
#include "engine/mllama/weights.h"
#include "base/checked.h"
#include "base/random.h"

#include <math.h>
#include <string.h>

#define MAX_LISTED 10 /* faults of a kind named in one message */

#define DIMS(...) { __VA_ARGS__ }

/* Adds one weight and returns its index; a product that overflows leaves n_elements at 0 and *ok FALSE. */
static guint
add (VjMllamaPlan *plan, const char *prefix, const char *key, const gsize *dims, guint n_dims, VjMllamaPart part,
     VjMllamaStart start, gboolean *ok)
{
  VjMllamaWeight weight = { .n_dims = n_dims, .n_elements = 1, .part = part, .start = start };
  weight.key = g_strconcat (prefix, key, NULL);
  for (guint i = 0; i < n_dims; i++) {
    weight.dims[i] = dims[i];
    *ok = *ok && vj_checked_multiply (weight.n_elements, dims[i], &weight.n_elements);
  }
  weight.is_product = n_dims >= 2 && (g_str_has_suffix (key, "proj.weight") || strstr (key, "mlp.fc") != NULL || g_str_has_suffix (key, "lm_head.weight") ||
                                      start == VJ_START_PATCH || strcmp (key, "weight") == 0);
  /* Rows start on cache lines, except where a neighbour must follow without a gap. */
  if (!g_str_has_suffix (key, "k_proj.weight") && !g_str_has_suffix (key, "v_proj.weight") && !g_str_has_suffix (key, "up_proj.weight"))
    plan->n_elements = (plan->n_elements + 15) & ~(gsize) 15;
  weight.offset = plan->n_elements;
  *ok = *ok && vj_checked_add (plan->n_elements, weight.n_elements, &plan->n_elements) && plan->n_elements < G_MAXSSIZE / 16;
  g_array_append_val (plan->weights, weight);
  return plan->weights->len - 1;
}

#define ADD(member, key, dims, part, start)                                                                          \
  {                                                                                                                  \
    const gsize sizes[] = dims;                                                                                      \
    at->member = add (plan, prefix, key, sizes, G_N_ELEMENTS (sizes), VJ_PART_##part, VJ_START_##start, &ok);        \
  }

static gboolean
add_text (VjMllamaPlan *plan)
{
  const VjMllamaConfig *c = &plan->config;
  const gsize H = c->hidden_size, Q = H, D = c->head_dim, KV = (gsize) c->num_key_value_heads * D, F = c->intermediate_size,
              V = c->vocab_size, E = V + VJ_MLLAMA_EXTRA_EMBEDDINGS;
  gboolean ok = TRUE;
  for (guint l = 0; l < c->num_hidden_layers; l++) {
    g_autofree char *prefix = g_strdup_printf ("language_model.model.layers.%u.", l);
    if (c->is_cross[l]) {
      VjMllamaCross *at = &plan->layers[l].cross;
      VJ_MLLAMA_CROSS_WEIGHTS (ADD)
    } else {
      VjMllamaSelf *at = &plan->layers[l].self;
      VJ_MLLAMA_SELF_WEIGHTS (ADD)
    }
  }
  VjMllamaPlan *at = plan;
  const char *prefix = "language_model.model.";
  VJ_MLLAMA_TEXT_WEIGHTS (ADD)
  prefix = "language_model.";
  VJ_MLLAMA_HEAD_WEIGHTS (ADD)
  return ok;
}

static gboolean
add_vision (VjMllamaPlan *plan)
{
  const VjMllamaConfig *c = &plan->config;
  const gsize W = c->vision_hidden_size, M = c->vision_intermediate_size, S = c->patch_size, N = c->n_patches,
              T = c->max_num_tiles, A = (gsize) c->n_aspect_ratios + 1, H = c->hidden_size, O = W * (1 + (gsize) c->n_intermediate);
  gboolean ok = TRUE;
  {
    VjMllamaPlan *at = plan;
    const char *prefix = "vision_model.";
    VJ_MLLAMA_VISION_WEIGHTS (ADD)
    prefix = "multi_modal_projector.";
    VJ_MLLAMA_PROJECTOR_WEIGHTS (ADD)
  }
  for (guint l = 0; l < c->vision_layers; l++) {
    VjMllamaEncoder *at = &plan->local[l];
    g_autofree char *prefix = g_strdup_printf ("vision_model.transformer.layers.%u.", l);
    VJ_MLLAMA_LOCAL_WEIGHTS (ADD)
  }
  for (guint l = 0; l < c->vision_global_layers; l++) {
    VjMllamaEncoder *at = &plan->global[l];
    g_autofree char *prefix = g_strdup_printf ("vision_model.global_transformer.layers.%u.", l);
    VJ_MLLAMA_LOCAL_WEIGHTS (ADD)
    VJ_MLLAMA_GLOBAL_WEIGHTS (ADD)
  }
  return ok;
}

/* Whether the file's own head, if any, repeats the embedding: then training may keep them one. */
static gboolean
head_repeats_embedding (const VjMllamaPlan *plan, const VjSafetensors *file)
{
  const VjTensor *head = file == NULL ? NULL : vj_mllama_plan_find (plan, file, plan->head);
  const VjTensor *embed = file == NULL ? NULL : vj_mllama_plan_find (plan, file, plan->embed);
  if (head == NULL)
    return TRUE;
  return embed != NULL && head->dtype == embed->dtype && head->n_elements <= embed->n_elements &&
         memcmp (head->data, embed->data, head->n_elements * vj_dtype_size (head->dtype)) == 0;
}

VjMllamaPlan *
vj_mllama_plan_new (const VjMllamaConfig *config, const VjSafetensors *file, GError **error)
{
  g_autoptr (VjMllamaPlan) plan = g_new0 (VjMllamaPlan, 1);
  plan->config = *config;
  plan->weights = g_array_new (FALSE, TRUE, sizeof (VjMllamaWeight));
  if (!add_vision (plan) || !add_text (plan)) {
    vj_fail (error, VJ_EXIT_DATA, "config.json: 'text_config, vision_config': the weights they describe fit no memory: sizes overflow; check the file");
    return NULL;
  }
  plan->tied = config->tie_word_embeddings && head_repeats_embedding (plan, file);
  if (plan->tied) { /* the head is the last weight listed, so nothing moves */
    VjMllamaWeight *head = &g_array_index (plan->weights, VjMllamaWeight, plan->head);
    plan->n_elements -= head->n_elements;
    head->offset = vj_mllama_plan_at (plan, plan->embed)->offset;
  }
  return g_steal_pointer (&plan);
}

void
vj_mllama_plan_free (VjMllamaPlan *plan)
{
  if (plan == NULL)
    return;
  for (guint i = 0; i < plan->weights->len; i++)
    g_free (g_array_index (plan->weights, VjMllamaWeight, i).key);
  g_array_unref (plan->weights);
  g_free (plan);
}

/* transformers >= 4.52 saves "model.language_model.layers..." and "lm_head.weight" from its own attributes. */
char *
vj_mllama_newer_key (const char *key)
{
  if (strcmp (key, "language_model.lm_head.weight") == 0)
    return g_strdup ("lm_head.weight");
  if (g_str_has_prefix (key, "language_model.model."))
    return g_strconcat ("model.language_model.", key + strlen ("language_model.model."), NULL);
  return g_strconcat ("model.", key, NULL);
}

const VjTensor *
vj_mllama_plan_find (const VjMllamaPlan *plan, const VjSafetensors *file, guint i)
{
  const char *key = vj_mllama_plan_at (plan, i)->key;
  const VjTensor *tensor = vj_safetensors_find (file, key);
  if (tensor == NULL) {
    g_autofree char *newer = vj_mllama_newer_key (key);
    tensor = vj_safetensors_find (file, newer);
  }
  return tensor;
}

/* Why weight i is not usable: "missing", "of dtype I8", "[2, 3]". Owned. */
static char *
describe_fault (const VjMllamaPlan *plan, const VjSafetensors *file, guint i, const VjTensor *tensor)
{
  const char *key = vj_mllama_plan_at (plan, i)->key;
  g_autofree char *newer = vj_mllama_newer_key (key);
  const char *dtype = vj_safetensors_foreign (file, key);
  if (dtype == NULL)
    dtype = vj_safetensors_foreign (file, newer);
  if (tensor != NULL)
    return vj_tensor_describe (tensor->n_dims, tensor->dims);
  return dtype == NULL ? g_strdup ("missing") : g_strdup_printf ("of dtype %s (F32, BF16 and F16 are read)", dtype);
}

static gboolean
shape_fits (const VjMllamaWeight *weight, const VjTensor *tensor)
{
  if (tensor->n_dims != weight->n_dims)
    return FALSE;
  for (guint d = 0; d < weight->n_dims; d++)
    if (tensor->dims[d] != weight->dims[d])
      return FALSE;
  return TRUE;
}

/* Faults of one kind: all are counted, the first MAX_LISTED named. */
typedef struct {
  GString *text;
  guint n;
} Faults;

static void
add_fault (Faults *faults, const char *format, ...) G_GNUC_PRINTF (2, 3);

static void
add_fault (Faults *faults, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  if (faults->n++ < MAX_LISTED) {
    g_string_append (faults->text, "; ");
    g_string_append_vprintf (faults->text, format, args);
  }
  va_end (args);
}

/* Missing and misshapen weights; the tensors that are some go to `known`. */
static void
list_unusable (const VjMllamaPlan *plan, const VjSafetensors *file, GHashTable *known, Faults *faults)
{
  for (guint i = 0; i < plan->weights->len; i++) {
    const VjMllamaWeight *weight = vj_mllama_plan_at (plan, i);
    const VjTensor *tensor = vj_mllama_plan_find (plan, file, i);
    if (tensor != NULL)
      g_hash_table_add (known, (void *) tensor);
    if (tensor != NULL ? shape_fits (weight, tensor) : i == plan->head && plan->tied)
      continue;
    g_autofree char *want = vj_tensor_describe (weight->n_dims, weight->dims);
    g_autofree char *have = describe_fault (plan, file, i, tensor);
    add_fault (faults, "%s is %s, expected %s", weight->key, have, want);
  }
}

static void
list_unknown (const VjSafetensors *file, GHashTable *known, Faults *faults)
{
  gsize n;
  const VjTensor *list = vj_safetensors_list (file, &n);
  for (gsize i = 0; i < n; i++)
    if (!g_hash_table_contains (known, &list[i]) && !g_str_has_suffix (list[i].name, "rotary_emb.inv_freq"))
      add_fault (faults, "%s is not a weight of this model", list[i].name);
}

gboolean
vj_mllama_plan_check (const VjMllamaPlan *plan, const VjSafetensors *file, const char *dir, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GHashTable) known = g_hash_table_new (NULL, NULL);
  Faults unusable = { text, 0 }, unknown = { text, 0 };
  list_unusable (plan, file, known, &unusable);
  list_unknown (file, known, &unknown);
  guint n = unusable.n + unknown.n, named = MIN (unusable.n, MAX_LISTED) + MIN (unknown.n, MAX_LISTED);
  if (n > named)
    g_string_append_printf (text, "; and %u more", n - named);
  return n == 0 || vj_fail (error, VJ_EXIT_DATA,
                            "%s: 'weights': %u do not fit config.json: %s; fetch or export the model again", dir, n, text->str + 2);
}

static void
start_normal (const VjMllamaWeight *weight, double deviation, guint64 seed, float *values)
{
  VjRandom random;
  vj_random_init_named (&random, seed, "mllama-start", weight->key, 0);
  for (gsize i = 0; i < weight->n_elements; i++)
    values[i] = (float) (deviation * vj_random_normal (&random));
}

/* 2-D sin-cos over the patch grid, as strong as the patch embeddings: a position smaller than those is not
 * found in time, nor one whose waves are long against the grid. A quarter of the columns each for sin and cos
 * of y and of x; the waves run from two patches to four grids. The class token has none. */
static void
start_position (const VjMllamaPlan *plan, float *values)
{
  const gsize width = plan->config.vision_hidden_size, quarter = width / 4, side = plan->config.image_size / plan->config.patch_size;
  memset (values, 0, plan->config.n_patches * width * sizeof *values);
  for (gsize p = 0; p < side * side; p++)
    for (gsize i = 0; i < quarter; i++) {
      double fall = quarter > 1 ? (double) i / (double) (quarter - 1) : 0;
      double rate = 3 * pow (2 * (double) side, -fall), y = (double) (p / side) * rate, x = (double) (p % side) * rate;
      float *row = values + (p + 1) * width;
      row[i] = (float) (G_SQRT2 * sin (y));
      row[quarter + i] = (float) (G_SQRT2 * cos (y));
      row[2 * quarter + i] = (float) (G_SQRT2 * sin (x));
      row[3 * quarter + i] = (float) (G_SQRT2 * cos (x));
    }
}

void
vj_mllama_plan_start (const VjMllamaPlan *plan, guint i, guint64 seed, float *ret_values)
{
  const VjMllamaWeight *weight = vj_mllama_plan_at (plan, i);
  float constant = 0;
  switch (weight->start) {
  case VJ_START_NORMAL:
  case VJ_START_PATCH: /* fan-in scale: unit variance in, unit variance out */
    start_normal (weight, 1 / sqrt ((double) (weight->n_elements / weight->dims[0])), seed, ret_values);
    return;
  case VJ_START_CLASS:
    start_normal (weight, 1 / sqrt ((double) weight->dims[0]), seed, ret_values);
    return;
  case VJ_START_POSITION:
    start_position (plan, ret_values);
    return;
  case VJ_START_ONE: constant = 1; break;
  case VJ_START_ZERO: break;
  case VJ_START_OPEN_GATE: constant = 1; break; /* tanh (1) = 0.76 */
  case VJ_START_QUARTER_PI: constant = (float) (G_PI / 4); break;
  }
  for (gsize e = 0; e < weight->n_elements; e++)
    ret_values[e] = constant;
}
