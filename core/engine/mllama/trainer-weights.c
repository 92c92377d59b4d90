/* The weights of a training: what is trained lies flat in f32, what stays lies in its file where it can. See trainer.h. */
#include "engine/mllama/trainer.h"
#include "engine/mllama/model.h"
#include "base/random.h"

#include <math.h>
#include <string.h>

/* Weights up to this size are searched for broken values when they are opened; what breaks in larger ones shows in the loss. */
#define CHECKED_PARAMETERS ((gsize) 1 << 28)

/* -- the list ---------------------------------------------------------------- */

static gboolean
is_tied_head (const VjMllamaPlan *plan, guint i)
{
  return plan->tied && i == plan->head;
}

static gboolean
has_factors (const VjMllamaTrainer *trainer, guint i)
{
  const VjLoraConfig *lora = &trainer->config.lora;
  guint part = vj_mllama_plan_at (trainer->plan, i)->part;
  return lora->rank > 0 && (lora->parts >> part & 1) && !(trainer->config.freeze >> part & 1) && vj_mllama_is_target (trainer->plan, i, lora->targets);
}

/* Whether the factors that `dir` held are those that are to be trained. */
static gboolean
continues (const VjMllamaTrainer *trainer)
{
  const VjLoraConfig *lora = &trainer->config.lora;
  if (trainer->adapter == NULL || lora->rank != vj_mllama_adapter_rank (trainer->adapter) ||
      fabs (lora->alpha / MAX (lora->rank, 1) / vj_mllama_adapter_scale (trainer->adapter) - 1) > 1e-6)
    return FALSE;
  for (guint i = 0; i < trainer->plan->weights->len; i++)
    if (has_factors (trainer, i) != (vj_mllama_adapter_peek (trainer->adapter, i) != NULL))
      return FALSE;
  return TRUE;
}

static void
list_one (VjMllamaTrainer *trainer, VjMllamaTrained trained, gboolean follows)
{
  if (!follows) /* rows start on cache lines, except where a neighbour must follow without a gap */
    trainer->n_trained = (trainer->n_trained + 15) & ~(gsize) 15;
  trained.offset = trainer->n_trained;
  trainer->n_trained += trained.n_elements;
  g_array_append_val (trainer->trained, trained);
}

static void
list_whole (VjMllamaTrainer *trainer, guint i)
{
  const VjMllamaWeight *weight = vj_mllama_plan_at (trainer->plan, i);
  const VjMllamaTrained *before = trainer->trained->len == 0 ? NULL : vj_trained_at (trainer, trainer->trained->len - 1);
  const VjMllamaWeight *last = before == NULL ? NULL : vj_mllama_plan_at (trainer->plan, before->weight);
  VjMllamaTrained trained = { .key = g_strdup (weight->key), .weight = i, .n_dims = weight->n_dims, .n_elements = weight->n_elements };
  memcpy (trained.dims, weight->dims, sizeof trained.dims);
  list_one (trainer, trained, last != NULL && last->offset + last->n_elements == weight->offset && before->weight + 1 == i);
}

static void
list_factors (VjMllamaTrainer *trainer, guint i)
{
  const VjMllamaWeight *weight = vj_mllama_plan_at (trainer->plan, i);
  gsize n = weight->dims[0], k = weight->n_elements / n, rank = trainer->config.lora.rank;
  g_autofree char *module = vj_mllama_module (trainer->plan, i);
  VjMllamaTrained a = { .key = g_strconcat (VJ_ADAPTER_PREFIX, module, ".lora_A.weight", NULL), .weight = i, .factor = VJ_FACTOR_A, .n_dims = 2, .dims = { rank, k }, .n_elements = rank * k };
  VjMllamaTrained b = { .key = g_strconcat (VJ_ADAPTER_PREFIX, module, ".lora_B.weight", NULL), .weight = i, .factor = VJ_FACTOR_B, .n_dims = 2, .dims = { n, rank }, .n_elements = n * rank };
  list_one (trainer, a, FALSE);
  list_one (trainer, b, FALSE);
}

static void
trained_clear (gpointer trained)
{
  g_free (((VjMllamaTrained *) trained)->key);
}

static gboolean
list_trained (VjMllamaTrainer *trainer, GError **error)
{
  guint idle = VJ_FREEZE_VISION | VJ_FREEZE_CROSS | VJ_FREEZE_TEXT;
  trainer->trained = g_array_new (FALSE, TRUE, sizeof (VjMllamaTrained));
  g_array_set_clear_func (trainer->trained, trained_clear);
  for (guint i = 0; i < trainer->plan->weights->len; i++) {
    guint part = vj_mllama_plan_at (trainer->plan, i)->part;
    if (is_tied_head (trainer->plan, i))
      continue;
    if (has_factors (trainer, i))
      list_factors (trainer, i);
    else if (trainer->config.lora.rank == 0 && !(trainer->config.freeze >> part & 1))
      list_whole (trainer, i);
    else
      continue;
    idle &= ~(1u << part);
  }
  trainer->config.freeze = idle;
  return trainer->trained->len > 0 ||
         vj_fail (error, VJ_EXIT_USAGE, "train: 'lora': no layer of the model is a target: nothing would be trained; name other targets or parts, or freeze less");
}

/* -- places ---------------------------------------------------------------------- */

static gboolean
place_factors (VjMllamaTrainer *trainer)
{
  const VjLoraConfig *lora = &trainer->config.lora;
  if (lora->rank == 0)
    return TRUE;
  trainer->net.lora = g_new0 (VjMllamaLoras, 1);
  *trainer->net.lora = (VjMllamaLoras) { .rank = lora->rank, .scale = (float) (lora->alpha / lora->rank), .dropout = (float) lora->dropout,
                                         .of = g_new0 (VjMllamaLora, trainer->plan->weights->len) };
  for (guint t = 0; t < trainer->trained->len; t++) {
    const VjMllamaTrained *trained = vj_trained_at (trainer, t);
    VjMllamaLora *of = &trainer->net.lora->of[trained->weight];
    *(trained->factor == VJ_FACTOR_A ? &of->a : &of->b) = vj_f32_at (trainer->state[VJ_STATE_PARAM], trained->offset);
    *(trained->factor == VJ_FACTOR_A ? &of->da : &of->db) = vj_f32_at (trainer->state[VJ_STATE_GRAD], trained->offset);
  }
  return TRUE;
}

gboolean
vj_trainer_place (VjMllamaTrainer *trainer, GError **error)
{
  const VjComputeOps *ops = trainer->compute->ops;
  guint n = trainer->plan->weights->len;
  trainer->continued = continues (trainer);
  if (!list_trained (trainer, error))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (trainer->state); i++)
    if ((trainer->state[i] = ops->alloc (trainer->compute->device, trainer->n_trained * 4, error)) == NULL)
      return FALSE;
  trainer->held = g_new0 (VjF32 *, n);
  trainer->loose = g_new0 (gboolean, n);
  trainer->net = (VjMllamaNet) { .compute = trainer->compute, .plan = trainer->plan, .training = TRUE, .value = g_new0 (VjF32 *, n),
                                 .matrix = g_new0 (VjMatrix *, n), .grad = g_new0 (VjF32 *, n), .fresh = g_new0 (gboolean, n) };
  for (guint t = 0; t < trainer->trained->len; t++) {
    const VjMllamaTrained *trained = vj_trained_at (trainer, t);
    if (trained->factor != VJ_FACTOR_NONE)
      continue;
    trainer->net.value[trained->weight] = vj_f32_at (trainer->state[VJ_STATE_PARAM], trained->offset);
    trainer->net.grad[trained->weight] = vj_f32_at (trainer->state[VJ_STATE_GRAD], trained->offset);
  }
  if (trainer->plan->tied) {
    trainer->net.value[trainer->plan->head] = trainer->net.value[trainer->plan->embed];
    trainer->net.grad[trainer->plan->head] = trainer->net.grad[trainer->plan->embed];
  }
  return place_factors (trainer);
}

/* -- weights that stay --------------------------------------------------------------- */

static void
let_go (VjMllamaTrainer *trainer, guint i)
{
  const VjComputeOps *ops = trainer->compute->ops;
  ops->matrix_free (trainer->compute->device, trainer->net.matrix[i]);
  trainer->net.matrix[i] = NULL;
  if (trainer->held[i] != NULL)
    trainer->held_bytes -= vj_mllama_plan_at (trainer->plan, i)->n_elements * 4;
  ops->release (trainer->compute->device, trainer->held[i]);
  trainer->held[i] = trainer->net.value[i] = NULL;
}

gboolean
vj_trainer_hold (VjMllamaTrainer *trainer, guint i, const float *values, GError **error)
{
  const VjMllamaPlan *plan = trainer->plan;
  gsize bytes = vj_mllama_plan_at (plan, i)->n_elements * 4;
  VjF32 *memory = trainer->compute->ops->alloc (trainer->compute->device, bytes, error);
  if (memory == NULL)
    return FALSE;
  trainer->compute->ops->upload (trainer->compute->device, memory, values, bytes);
  let_go (trainer, i);
  trainer->held[i] = trainer->net.value[i] = memory;
  trainer->held_bytes += bytes;
  trainer->loose[i] = TRUE;
  if (plan->tied && i == plan->embed) {
    let_go (trainer, plan->head);
    trainer->net.value[plan->head] = memory;
  }
  if (vj_mllama_plan_at (plan, i)->part == VJ_PART_VISION)
    vj_trainer_forget_states (trainer);
  return TRUE;
}

/* Whether a stored weight can be read where it lies: bf16 matrices anywhere, f32 where device memory is the host's. */
static gboolean
lies_well (const VjMllamaTrainer *trainer, guint i, const VjTensor *tensor)
{
  const VjComputeOps *ops = trainer->compute->ops;
  gboolean host = ops == &vj_compute_cpu || ops == &vj_compute_ref;
  if (trainer->adapter != NULL && !trainer->continued && vj_mllama_adapter_peek (trainer->adapter, i) != NULL)
    return FALSE;
  if (tensor->dtype == VJ_DTYPE_BF16)
    return vj_mllama_plan_at (trainer->plan, i)->n_dims >= 2 && GPOINTER_TO_SIZE (tensor->data) % 2 == 0;
  return tensor->dtype == VJ_DTYPE_F32 && host && GPOINTER_TO_SIZE (tensor->data) % 4 == 0;
}

static gboolean
keep_mapped (VjMllamaTrainer *trainer, guint i, const VjTensor *tensor, GError **error)
{
  const VjMllamaPlan *plan = trainer->plan;
  const VjMllamaWeight *weight = vj_mllama_plan_at (plan, i);
  if (!is_tied_head (plan, i))
    trainer->mapped_bytes += weight->n_elements * vj_dtype_size (tensor->dtype);
  if (tensor->dtype == VJ_DTYPE_F32) {
    trainer->net.value[i] = (VjF32 *) (gpointer) tensor->data;
    return TRUE;
  }
  gsize k = weight->is_product || i == plan->embed ? weight->n_elements / weight->dims[0] : plan->config.vision_hidden_size;
  trainer->net.matrix[i] = trainer->compute->ops->matrix_new (trainer->compute->device, VJ_NUMBERS_BF16, weight->n_elements / k, k, tensor->data, error);
  return trainer->net.matrix[i] != NULL;
}

static gboolean
keep (VjMllamaTrainer *trainer, guint i, GError **error)
{
  const VjMllamaPlan *plan = trainer->plan;
  const VjTensor *tensor = vj_mllama_plan_find (plan, trainer->file, is_tied_head (plan, i) ? plan->embed : i);
  gboolean mapped = lies_well (trainer, i, tensor);
  if (is_tied_head (plan, i) && !mapped) {
    trainer->net.value[i] = trainer->net.value[plan->embed];
    return TRUE;
  }
  if (mapped && plan->n_elements > CHECKED_PARAMETERS)
    return keep_mapped (trainer, i, tensor, error);
  g_autofree float *values = vj_mllama_read_weight (plan, trainer->file, i, error);
  if (values == NULL)
    return FALSE;
  if (mapped)
    return keep_mapped (trainer, i, tensor, error);
  if (trainer->adapter != NULL && !trainer->continued)
    vj_mllama_adapter_merge (trainer->adapter, plan, i, values);
  gboolean ok = vj_trainer_hold (trainer, i, values, error);
  trainer->loose[i] = FALSE;
  return ok;
}

/* What widening a mapped matrix takes. */
static gboolean
prepare_wide (VjMllamaTrainer *trainer, GError **error)
{
  const VjComputeOps *ops = trainer->compute->ops;
  gsize rows = 0, cols = 0;
  for (guint i = 0; i < trainer->plan->weights->len; i++)
    if (trainer->net.matrix[i] != NULL && vj_mllama_plan_at (trainer->plan, i)->is_product) {
      const VjMllamaWeight *weight = vj_mllama_plan_at (trainer->plan, i);
      rows = MAX (rows, weight->dims[0]);
      cols = MAX (cols, weight->n_elements / weight->dims[0]);
    }
  if (rows == 0)
    return TRUE;
  g_autofree gint32 *counts = g_new (gint32, rows);
  for (gsize r = 0; r < rows; r++)
    counts[r] = (gint32) r;
  if ((trainer->net.wide = ops->alloc (trainer->compute->device, MAX (VJ_WIDE_ELEMENTS, cols) * 4, error)) == NULL ||
      (trainer->net.counts = ops->alloc (trainer->compute->device, rows * 4, error)) == NULL)
    return FALSE;
  ops->upload (trainer->compute->device, trainer->net.counts, counts, rows * 4);
  return TRUE;
}

/* -- values -------------------------------------------------------------------------- */

/* As PEFT starts them (Kaiming's uniform with a = sqrt 5); or as the adapter has them, which goes on. */
static void
start_factor (VjMllamaTrainer *trainer, guint t)
{
  const VjMllamaTrained *trained = vj_trained_at (trainer, t);
  g_autofree float *values = g_new0 (float, trained->n_elements);
  if (trainer->continued) {
    const VjMllamaFactors *factors = vj_mllama_adapter_peek (trainer->adapter, trained->weight);
    memcpy (values, trained->factor == VJ_FACTOR_A ? factors->a : factors->b, trained->n_elements * sizeof *values);
  } else if (trained->factor == VJ_FACTOR_A) {
    double bound = 1 / sqrt ((double) trained->dims[1]);
    VjRandom random;
    vj_random_init_named (&random, trainer->config.lora.seed, "lora-start", trained->key, 0);
    for (gsize e = 0; e < trained->n_elements; e++)
      values[e] = (float) ((2 * vj_random_real (&random) - 1) * bound);
  }
  vj_mllama_trainer_set_trained (trainer, VJ_STATE_PARAM, t, values);
}

/* Drawn anew, or read from the file with what an adapter that does not go on adds. */
static float *
first_values (VjMllamaTrainer *trainer, guint i, const guint64 *seed, GError **error)
{
  if (seed == NULL) {
    float *values = vj_mllama_read_weight (trainer->plan, trainer->file, i, error);
    if (values != NULL && trainer->adapter != NULL)
      vj_mllama_adapter_merge (trainer->adapter, trainer->plan, i, values);
    return values;
  }
  float *values = g_new (float, vj_mllama_plan_at (trainer->plan, i)->n_elements);
  vj_mllama_plan_start (trainer->plan, i, *seed, values);
  return values;
}

gboolean
vj_trainer_load (VjMllamaTrainer *trainer, const guint64 *seed, GError **error)
{
  for (guint t = 0; t < trainer->trained->len; t++) {
    const VjMllamaTrained *trained = vj_trained_at (trainer, t);
    if (trained->factor != VJ_FACTOR_NONE) {
      start_factor (trainer, t);
      continue;
    }
    g_autofree float *values = first_values (trainer, trained->weight, seed, error);
    if (values == NULL)
      return FALSE;
    vj_mllama_trainer_set_trained (trainer, VJ_STATE_PARAM, t, values);
  }
  for (guint i = 0; i < trainer->plan->weights->len; i++) {
    if (trainer->net.grad[i] != NULL || (is_tied_head (trainer->plan, i) && trainer->net.value[i] != NULL))
      continue;
    if (seed == NULL && !keep (trainer, i, error))
      return FALSE;
    g_autofree float *values = seed == NULL ? NULL : first_values (trainer, i, seed, error);
    if (values != NULL && !vj_trainer_hold (trainer, i, values, error))
      return FALSE;
  }
  return prepare_wide (trainer, error);
}

void
vj_trainer_release (VjMllamaTrainer *trainer)
{
  const VjComputeOps *ops = trainer->compute->ops;
  void *device = trainer->compute->device;
  for (guint i = 0; trainer->held != NULL && i < trainer->plan->weights->len; i++) {
    ops->release (device, trainer->held[i]);
    ops->matrix_free (device, trainer->net.matrix[i]);
  }
  for (guint i = 0; i < G_N_ELEMENTS (trainer->state); i++)
    ops->release (device, trainer->state[i]);
  ops->release (device, trainer->net.wide);
  ops->release (device, trainer->net.counts);
}

void
vj_trainer_forget_states (VjMllamaTrainer *trainer)
{
  GHashTableIter iter;
  gpointer states;
  if (trainer->states == NULL)
    return;
  g_hash_table_iter_init (&iter, trainer->states);
  while (g_hash_table_iter_next (&iter, NULL, &states))
    trainer->compute->ops->release (trainer->compute->device, states);
  g_hash_table_remove_all (trainer->states);
  trainer->states_bytes = 0;
}

/* -- reading and writing them -------------------------------------------------------- */

const VjMllamaTrained *
vj_mllama_trainer_peek_trained (const VjMllamaTrainer *trainer, guint *ret_n)
{
  *ret_n = trainer->trained->len;
  return (const VjMllamaTrained *) (gpointer) trainer->trained->data;
}

void
vj_mllama_trainer_get_trained (VjMllamaTrainer *trainer, VjMllamaState state, guint t, float *ret_values)
{
  const VjMllamaTrained *trained = vj_trained_at (trainer, t);
  trainer->compute->ops->download (trainer->compute->device, ret_values, vj_f32_at (trainer->state[state], trained->offset), trained->n_elements * 4);
}

void
vj_mllama_trainer_set_trained (VjMllamaTrainer *trainer, VjMllamaState state, guint t, const float *values)
{
  const VjMllamaTrained *trained = vj_trained_at (trainer, t);
  trainer->compute->ops->upload (trainer->compute->device, vj_f32_at (trainer->state[state], trained->offset), values, trained->n_elements * 4);
  if (state == VJ_STATE_PARAM && vj_mllama_plan_at (trainer->plan, trained->weight)->part == VJ_PART_VISION)
    vj_trainer_forget_states (trainer);
}

void
vj_mllama_trainer_get (VjMllamaTrainer *trainer, VjMllamaState state, guint i, float *ret_values)
{
  const VjMllamaWeight *weight = vj_mllama_plan_at (trainer->plan, i);
  gboolean trained = trainer->net.grad[i] != NULL;
  gsize at = trained ? (gsize) (GPOINTER_TO_SIZE (trainer->net.grad[i]) - GPOINTER_TO_SIZE (trainer->state[VJ_STATE_GRAD])) / 4 : 0;
  if (trained)
    trainer->compute->ops->download (trainer->compute->device, ret_values, vj_f32_at (trainer->state[state], at), weight->n_elements * 4);
  else if (state != VJ_STATE_PARAM)
    memset (ret_values, 0, weight->n_elements * 4);
  else if (trainer->held[i] != NULL)
    trainer->compute->ops->download (trainer->compute->device, ret_values, trainer->held[i], weight->n_elements * 4);
  else if (is_tied_head (trainer->plan, i) && trainer->held[trainer->plan->embed] != NULL)
    trainer->compute->ops->download (trainer->compute->device, ret_values, trainer->held[trainer->plan->embed], weight->n_elements * 4);
  else {
    const VjTensor *tensor = vj_mllama_plan_find (trainer->plan, trainer->file, is_tied_head (trainer->plan, i) ? trainer->plan->embed : i);
    vj_dtype_to_f32 (tensor->dtype, tensor->data, weight->n_elements, ret_values);
  }
}

gboolean
vj_mllama_trainer_set (VjMllamaTrainer *trainer, VjMllamaState state, guint i, const float *values)
{
  for (guint t = 0; t < trainer->trained->len; t++)
    if (vj_trained_at (trainer, t)->weight == i && vj_trained_at (trainer, t)->factor == VJ_FACTOR_NONE) {
      vj_mllama_trainer_set_trained (trainer, state, t, values);
      return TRUE;
    }
  return state == VJ_STATE_PARAM && vj_trainer_hold (trainer, i, values, NULL);
}

VjTunerMemory
vj_mllama_trainer_memory (const VjMllamaTrainer *trainer)
{
  return (VjTunerMemory) { .trained = G_N_ELEMENTS (trainer->state) * trainer->n_trained * 4, .held = trainer->held_bytes, .mapped = trainer->mapped_bytes,
                           .activations = trainer->work.size * 4 };
}
