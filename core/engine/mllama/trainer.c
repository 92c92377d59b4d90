/* The trainer: parameters, optimizer, steps. See train.h. */
#include "engine/mllama/trainer.h"
#include "engine/mllama/model.h"

#include <math.h>
#include <string.h>

/* Text rows of a micro-batch: weights are rounded anew for each, so there should be few; activations take memory. Of a large
 * model what takes little to make anew is not kept. How a step is cut depends on the model and the examples alone. */
#define MICRO_BATCH_ROWS 512
#define MICRO_BATCH_ROWS_LARGE 1280
#define LARGE_ELEMENTS ((gsize) 32 << 20)

static gboolean
alloc_states (VjMllamaTrainer *trainer, GError **error)
{
  for (guint i = 0; i < G_N_ELEMENTS (trainer->state); i++)
    if ((trainer->state[i] = trainer->compute->ops->alloc (trainer->compute->device, trainer->plan->n_elements * 4, error)) == NULL)
      return FALSE;
  VjF32 **value = g_new (VjF32 *, trainer->plan->weights->len);
  for (guint i = 0; i < trainer->plan->weights->len; i++)
    value[i] = vj_f32_at (trainer->state[VJ_STATE_PARAM], vj_mllama_plan_at (trainer->plan, i)->offset);
  trainer->net = (VjMllamaNet) { .compute = trainer->compute, .plan = trainer->plan, .value = value,
                                 .grad = trainer->state[VJ_STATE_GRAD], .fresh = g_new0 (gboolean, trainer->plan->weights->len), .freeze = trainer->config.freeze,
                                 .remake = trainer->plan->n_elements >= LARGE_ELEMENTS };
  return TRUE;
}

static gboolean
load_rope (VjMllamaTrainer *trainer, GError **error)
{
  const VjMllamaConfig *c = &trainer->plan->config;
  gsize n = (gsize) c->max_position_embeddings * c->head_dim;
  g_autofree float *table = g_new (float, n);
  if ((trainer->net.rope = trainer->compute->ops->alloc (trainer->compute->device, n * 4, error)) == NULL)
    return FALSE;
  vj_net_rope_table (c, table);
  trainer->compute->ops->upload (trainer->compute->device, trainer->net.rope, table, n * 4);
  return TRUE;
}

static gboolean
load_weights (VjMllamaTrainer *trainer, const VjSafetensors *file, const guint64 *seed, GError **error)
{
  for (guint i = 0; i < trainer->plan->weights->len; i++) {
    if (i == trainer->plan->head && trainer->plan->tied)
      continue;
    g_autofree float *values = NULL;
    if (seed != NULL) {
      values = g_new (float, vj_mllama_plan_at (trainer->plan, i)->n_elements);
      vj_mllama_plan_start (trainer->plan, i, *seed, values);
    } else if ((values = vj_mllama_read_weight (trainer->plan, file, i, error)) == NULL) {
      return FALSE;
    }
    vj_mllama_trainer_set (trainer, VJ_STATE_PARAM, i, values);
  }
  return TRUE;
}

static gboolean
check_config (const VjTunerConfig *config, GError **error)
{
  gboolean sound = config->beta1 >= 0 && config->beta1 < 1 && config->beta2 >= 0 && config->beta2 < 1 && config->epsilon > 0 &&
                   config->weight_decay >= 0 && config->max_grad_norm >= 0;
  if (!sound)
    return vj_fail (error, VJ_EXIT_USAGE, "train: 'optimizer': a setting is out of range: beta1, beta2 lie in [0, 1), epsilon is above 0, weight_decay and max_grad_norm are not negative; correct it");
  if ((config->freeze & 7) == 7)
    return vj_fail (error, VJ_EXIT_USAGE, "train: 'freeze': everything is frozen: nothing would be trained; leave a part free");
  return TRUE;
}

/* As for generation, but here bf16 saves no memory: `auto` takes it only where it is faster. */
static gboolean
choose_numbers (const VjMllamaTrainer *trainer, const VjSafetensors *file, const char *dtype, VjNumbers *ret_numbers, GError **error)
{
  gboolean open = dtype == NULL || strcmp (dtype, "auto") == 0;
  return vj_mllama_choose_numbers (trainer->plan, file, open && !trainer->compute->has_bf16 ? "f32" : dtype, ret_numbers, error);
}

static void
states_free (VjMllamaTrainer *trainer)
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

VjMllamaTrainer *
vj_mllama_trainer_open (const char *dir, const char *compute, guint threads, const char *dtype, const VjTunerConfig *config, const guint64 *seed, GError **error)
{
  g_autoptr (VjMllamaTrainer) trainer = g_new0 (VjMllamaTrainer, 1);
  g_autoptr (VjSafetensors) file = NULL;
  g_autofree VjMllamaConfig *shape = g_new0 (VjMllamaConfig, 1);
  VjNumbers numbers;
  trainer->dir = g_strdup (dir);
  trainer->config = *config;
  trainer->states = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  if (!check_config (config, error) || !vj_mllama_config_load (dir, shape, error) ||
      (seed == NULL && (file = vj_safetensors_open_dir (dir, error)) == NULL) ||
      (trainer->plan = vj_mllama_plan_new (shape, file, error)) == NULL ||
      (file != NULL && !vj_mllama_plan_check (trainer->plan, file, error)) ||
      (trainer->compute = vj_compute_open (compute, threads, error)) == NULL ||
      !choose_numbers (trainer, file, dtype, &numbers, error) || !alloc_states (trainer, error) ||
      !load_rope (trainer, error) || !load_weights (trainer, file, seed, error))
    return NULL;
  trainer->net.numbers = numbers;
  return g_steal_pointer (&trainer);
}

void
vj_mllama_trainer_free (VjMllamaTrainer *trainer)
{
  if (trainer == NULL)
    return;
  if (trainer->compute != NULL) {
    const VjComputeOps *ops = trainer->compute->ops;
    states_free (trainer);
    for (guint i = 0; i < G_N_ELEMENTS (trainer->state); i++)
      ops->release (trainer->compute->device, trainer->state[i]);
    ops->release (trainer->compute->device, trainer->net.rope);
    ops->release (trainer->compute->device, trainer->work.base);
    vj_compute_close (trainer->compute);
  }
  g_hash_table_unref (trainer->states);
  g_free (trainer->net.value);
  g_free (trainer->net.fresh);
  vj_mllama_plan_free (trainer->plan);
  g_free (trainer->dir);
  g_free (trainer);
}

const VjMllamaPlan *
vj_mllama_trainer_peek_plan (const VjMllamaTrainer *trainer)
{
  return trainer->plan;
}

guint64
vj_mllama_trainer_steps (const VjMllamaTrainer *trainer)
{
  return trainer->steps;
}

void
vj_mllama_trainer_set_probe (VjMllamaTrainer *trainer, VjMllamaProbe probe, void *data)
{
  trainer->probe = probe;
  trainer->probe_data = data;
}

void
vj_mllama_trainer_set_remake (VjMllamaTrainer *trainer, gboolean remake)
{
  trainer->net.remake = remake;
}

void
vj_mllama_trainer_get (VjMllamaTrainer *trainer, VjMllamaState state, guint i, float *ret_values)
{
  const VjMllamaWeight *weight = vj_mllama_plan_at (trainer->plan, i);
  trainer->compute->ops->download (trainer->compute->device, ret_values, vj_f32_at (trainer->state[state], weight->offset), weight->n_elements * 4);
}

void
vj_mllama_trainer_set (VjMllamaTrainer *trainer, VjMllamaState state, guint i, const float *values)
{
  const VjMllamaWeight *weight = vj_mllama_plan_at (trainer->plan, i);
  trainer->compute->ops->upload (trainer->compute->device, vj_f32_at (trainer->state[state], weight->offset), values, weight->n_elements * 4);
  if (state == VJ_STATE_PARAM && weight->part == VJ_PART_VISION)
    states_free (trainer);
}

/* -- steps ----------------------------------------------------------------- */

static void
count_targets (const VjMllamaExample *examples, gsize n, VjTunerStep *step)
{
  for (gsize i = 0; i < n; i++) {
    step->context += examples[i].n_tokens;
    for (gsize t = 1; t < examples[i].n_tokens; t++)
      step->tokens += examples[i].targets[t] != 0;
  }
}

static void
zero_gradient (VjMllamaTrainer *trainer, guint i)
{
  const VjMllamaWeight *weight = vj_mllama_plan_at (trainer->plan, i);
  trainer->compute->ops->zero (trainer->compute->device, vj_f32_at (trainer->state[VJ_STATE_GRAD], weight->offset), weight->n_elements * 4);
}

/* Gradients that products make, nearly all there are, need no zeros to start from, unless the embedding adds to them as well. */
static void
begin_gradient (VjMllamaTrainer *trainer)
{
  const VjMllamaPlan *plan = trainer->plan;
  for (guint i = 0; i < plan->weights->len; i++) {
    trainer->net.fresh[i] = vj_mllama_plan_at (plan, i)->is_product && !(plan->tied && i == plan->head);
    if (!trainer->net.fresh[i])
      zero_gradient (trainer, i);
  }
}

/* What no product came to: frozen weights, or those of images when there was none. */
static void
end_gradient (VjMllamaTrainer *trainer)
{
  for (guint i = 0; i < trainer->plan->weights->len; i++)
    if (trainer->net.fresh[i])
      zero_gradient (trainer, i);
}

gboolean
vj_mllama_trainer_gradient (VjMllamaTrainer *trainer, const VjMllamaExample *examples, gsize n, VjTunerStep *ret_step, GError **error)
{
  const VjComputeOps *ops = trainer->compute->ops;
  VjTunerStep step = { 0 };
  count_targets (examples, n, &step);
  if (step.tokens == 0)
    return vj_fail (error, VJ_EXIT_DATA, "train: '%" G_GSIZE_FORMAT " examples': no target token among them: nothing to learn; give examples that end with an assistant message", n);
  begin_gradient (trainer);
  gsize most = trainer->net.remake ? MICRO_BATCH_ROWS_LARGE : MICRO_BATCH_ROWS;
  g_autofree const VjMllamaExample **taken = g_new (const VjMllamaExample *, n);
  for (gsize at = 0; at < n;) {
    gsize rows = 0, m = 0;
    do {
      rows += examples[at].n_tokens;
      taken[m++] = &examples[at++];
    } while (at < n && rows + examples[at].n_tokens <= most);
    if (!vj_mllama_micro_batch (trainer, taken, m, step.tokens, &step.loss, error))
      return FALSE;
  }
  end_gradient (trainer);
  step.grad_norm = sqrt (ops->sum_squares (trainer->compute->device, trainer->plan->n_elements, trainer->state[VJ_STATE_GRAD]));
  step.finite = isfinite (step.loss) && isfinite (step.grad_norm);
  *ret_step = step;
  return TRUE;
}

static gboolean
decays (const VjMllamaWeight *weight)
{
  return weight->n_dims >= 2;
}

/* Neighbours that are treated alike go in one call: their gaps hold zeros, which stay zeros. */
static void
update (VjMllamaTrainer *trainer, VjAdamw adamw)
{
  const VjMllamaPlan *plan = trainer->plan;
  guint n = plan->weights->len - (plan->tied ? 1 : 0); /* a tied head is the last weight and has no own values */
  for (guint i = 0, next; i < n; i = next) {
    const VjMllamaWeight *first = vj_mllama_plan_at (plan, i);
    for (next = i + 1; next < n; next++) {
      const VjMllamaWeight *weight = vj_mllama_plan_at (plan, next);
      if (weight->part != first->part || decays (weight) != decays (first))
        break;
    }
    if (trainer->config.freeze >> first->part & 1)
      continue;
    const VjMllamaWeight *last = vj_mllama_plan_at (plan, next - 1);
    VjAdamw call = adamw;
    if (!decays (first))
      call.weight_decay = 0;
    VjF32 *at[4];
    for (guint s = 0; s < 4; s++)
      at[s] = vj_f32_at (trainer->state[s], first->offset);
    trainer->compute->ops->adamw (trainer->compute->device, last->offset + last->n_elements - first->offset, &call, at[VJ_STATE_PARAM],
                                  at[VJ_STATE_GRAD], at[VJ_STATE_M], at[VJ_STATE_V]);
  }
}

gboolean
vj_mllama_trainer_step (VjMllamaTrainer *trainer, const VjMllamaExample *examples, gsize n, double learning_rate,
                        VjTunerStep *ret_step, GError **error)
{
  const VjTunerConfig *config = &trainer->config;
  VjTunerStep step;
  if (!vj_mllama_trainer_gradient (trainer, examples, n, &step, error))
    return FALSE;
  if (step.finite) {
    double t = (double) (trainer->steps + 1), limit = config->max_grad_norm;
    VjAdamw adamw = { .learning_rate = (float) learning_rate, .beta1 = (float) config->beta1, .beta2 = (float) config->beta2,
                      .epsilon = (float) config->epsilon, .weight_decay = (float) config->weight_decay,
                      .grad_scale = limit > 0 && step.grad_norm > limit ? (float) (limit / (step.grad_norm + 1e-6)) : 1.0f,
                      .correction1 = (float) (1 - pow (config->beta1, t)), .correction2 = (float) (1 - pow (config->beta2, t)) };
    update (trainer, adamw);
    if (!trainer->compute->ops->finish (trainer->compute->device, error))
      return FALSE;
    trainer->steps++;
  }
  *ret_step = step;
  return TRUE;
}
