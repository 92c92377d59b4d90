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

#define ALL_PARTS (VJ_FREEZE_VISION | VJ_FREEZE_CROSS | VJ_FREEZE_TEXT)

/* Where layers of these names are. */
static const struct {
  const char *name;
  guint parts;
} target_parts[] = {
  { "q_proj", ALL_PARTS }, { "k_proj", ALL_PARTS }, { "v_proj", ALL_PARTS }, { "o_proj", ALL_PARTS },
  { "gate_proj", VJ_FREEZE_CROSS | VJ_FREEZE_TEXT }, { "up_proj", VJ_FREEZE_CROSS | VJ_FREEZE_TEXT }, { "down_proj", VJ_FREEZE_CROSS | VJ_FREEZE_TEXT },
  { "fc1", VJ_FREEZE_VISION }, { "fc2", VJ_FREEZE_VISION }, { "multi_modal_projector", VJ_FREEZE_VISION },
};

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

gboolean
vj_mllama_trainer_check (const VjTunerConfig *config, GError **error)
{
  gboolean sound = config->beta1 >= 0 && config->beta1 < 1 && config->beta2 >= 0 && config->beta2 < 1 && config->epsilon > 0 &&
                   config->weight_decay >= 0 && config->max_grad_norm >= 0;
  if (!sound)
    return vj_fail (error, VJ_EXIT_USAGE, "train: 'optimizer': a setting is out of range: beta1, beta2 lie in [0, 1), epsilon is above 0, weight_decay and max_grad_norm are not negative; correct it");
  const VjLoraConfig *lora = &config->lora;
  if (lora->rank > 0 && (lora->alpha <= 0 || lora->dropout < 0 || lora->dropout >= 1 || lora->targets == NULL))
    return vj_fail (error, VJ_EXIT_USAGE, "train: 'lora': a setting is out of range: alpha is above 0, dropout lies in [0, 1), targets are named; correct it");
  if (lora->rank == 0 && lora->adapter)
    return vj_fail (error, VJ_EXIT_USAGE, "train: 'save': an adapter is to be saved, but there is none without a rank; set lora_rank, or save: merged");
  if ((config->freeze & ALL_PARTS) == ALL_PARTS)
    return vj_fail (error, VJ_EXIT_USAGE, "train: 'freeze': everything is frozen: nothing would be trained; leave a part free");
  if (lora->rank == 0)
    return TRUE;
  guint parts = lora->parts & ALL_PARTS & ~config->freeze, held = 0;
  for (guint i = 0; i < G_N_ELEMENTS (target_parts); i++)
    held |= g_strv_contains (lora->targets, target_parts[i].name) ? target_parts[i].parts : 0;
  return (parts & held) != 0 ||
         vj_fail (error, VJ_EXIT_USAGE, "train: '%s': %s: nothing would be trained; name other targets or parts, or freeze less", parts == 0 ? "lora_parts" : "lora_targets",
                  parts == 0 ? "no part is named that is not frozen" : "none of these layers is in the parts that are trained");
}

/* An adapter says what changes in weights that lie on disk. */
static gboolean
check_base (const VjMllamaTrainer *trainer, const guint64 *seed, GError **error)
{
  if (!trainer->config.lora.adapter || (seed == NULL && (trainer->adapter == NULL || trainer->continued)))
    return TRUE;
  return vj_fail (error, VJ_EXIT_USAGE, "train: 'save': an adapter alone would have no base: %s; set save: merged",
                  seed != NULL ? "the weights are drawn anew" : "the model is an adapter of another rank, scale or targets, merged before training");
}

/* As for generation, but here bf16 saves no memory: `auto` takes it only where it is faster. */
static gboolean
choose_numbers (const VjMllamaTrainer *trainer, const char *dtype, VjNumbers *ret_numbers, GError **error)
{
  gboolean open = dtype == NULL || strcmp (dtype, "auto") == 0;
  return vj_mllama_choose_numbers (trainer->plan, trainer->file, open && !trainer->compute->has_bf16 ? "f32" : dtype, ret_numbers, error);
}

/* The model's files, weights and plan, of the base where `dir` is an adapter. */
static gboolean
open_files (VjMllamaTrainer *trainer, const char *dir, gboolean weights, GError **error)
{
  g_autofree VjMllamaConfig *shape = g_new0 (VjMllamaConfig, 1);
  if (!vj_mllama_adapter_open (dir, &trainer->adapter, error))
    return FALSE;
  trainer->dir = g_strdup (trainer->adapter == NULL ? dir : vj_mllama_adapter_peek_base (trainer->adapter));
  if (!weights)
    g_clear_pointer (&trainer->adapter, vj_mllama_adapter_free);
  return vj_mllama_config_load (trainer->dir, shape, error) &&
         (!weights || (trainer->file = vj_safetensors_open_dir (trainer->dir, error)) != NULL) &&
         (trainer->plan = vj_mllama_plan_new (shape, trainer->file, error)) != NULL &&
         (trainer->file == NULL || vj_mllama_plan_check (trainer->plan, trainer->file, trainer->dir, error)) &&
         (trainer->adapter == NULL || vj_mllama_adapter_load (trainer->adapter, trainer->plan, error));
}

VjMllamaTrainer *
vj_mllama_trainer_open (const char *dir, const char *compute, guint threads, const char *dtype, const VjTunerConfig *config, const guint64 *seed, GError **error)
{
  g_autoptr (VjMllamaTrainer) trainer = g_new0 (VjMllamaTrainer, 1);
  VjNumbers numbers;
  trainer->config = *config;
  trainer->states = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  if (!vj_mllama_trainer_check (config, error) || !open_files (trainer, dir, seed == NULL, error) || (trainer->compute = vj_compute_open (compute, threads, error)) == NULL ||
      !choose_numbers (trainer, dtype, &numbers, error) || !vj_trainer_place (trainer, error) || !check_base (trainer, seed, error) ||
      !load_rope (trainer, error))
    return NULL;
  trainer->net.numbers = numbers;
  trainer->net.remake = trainer->plan->n_elements >= LARGE_ELEMENTS && !config->recompute; /* which makes all again */
  if (!vj_trainer_load (trainer, seed, error))
    return NULL;
  trainer->config.lora.targets = NULL; /* borrowed while opening */
  if (trainer->mapped_bytes == 0)
    g_clear_pointer (&trainer->file, vj_safetensors_free);
  if (trainer->file != NULL)
    vj_safetensors_rest (trainer->file); /* what was copied need not stay in memory twice */
  return g_steal_pointer (&trainer);
}

void
vj_mllama_trainer_free (VjMllamaTrainer *trainer)
{
  if (trainer == NULL)
    return;
  if (trainer->compute != NULL) {
    vj_trainer_forget_states (trainer);
    vj_trainer_release (trainer);
    trainer->compute->ops->release (trainer->compute->device, trainer->net.rope);
    trainer->compute->ops->release (trainer->compute->device, trainer->work.base);
    vj_compute_close (trainer->compute);
  }
  if (trainer->net.lora != NULL)
    g_free (trainer->net.lora->of);
  g_free (trainer->net.lora);
  g_free (trainer->net.value);
  g_free (trainer->net.matrix);
  g_free (trainer->net.grad);
  g_free (trainer->net.fresh);
  g_free (trainer->held);
  g_free (trainer->loose);
  g_clear_pointer (&trainer->trained, g_array_unref);
  g_hash_table_unref (trainer->states);
  vj_mllama_adapter_free (trainer->adapter);
  vj_mllama_plan_free (trainer->plan);
  vj_safetensors_free (trainer->file);
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
zero_gradient (VjMllamaTrainer *trainer, guint t)
{
  const VjMllamaTrained *trained = vj_trained_at (trainer, t);
  trainer->compute->ops->zero (trainer->compute->device, vj_f32_at (trainer->state[VJ_STATE_GRAD], trained->offset), trained->n_elements * 4);
}

/* Gradients that products make, nearly all there are, need no zeros to start from, unless the embedding adds to them as well.
 * Those of factors are small. */
static void
begin_gradient (VjMllamaTrainer *trainer)
{
  const VjMllamaPlan *plan = trainer->plan;
  for (guint t = 0; t < trainer->trained->len; t++) {
    const VjMllamaTrained *trained = vj_trained_at (trainer, t);
    gboolean fresh = trained->factor == VJ_FACTOR_NONE && vj_mllama_plan_at (plan, trained->weight)->is_product;
    trainer->net.fresh[trained->weight] = fresh;
    if (!fresh)
      zero_gradient (trainer, t);
  }
}

/* What no product came to: weights of images when there was none. */
static void
end_gradient (VjMllamaTrainer *trainer)
{
  for (guint t = 0; t < trainer->trained->len; t++)
    if (trainer->net.fresh[vj_trained_at (trainer, t)->weight])
      zero_gradient (trainer, t);
}

gboolean
vj_mllama_trainer_gradient (VjMllamaTrainer *trainer, const VjMllamaExample *examples, gsize n, VjTunerStep *ret_step, GError **error)
{
  const VjComputeOps *ops = trainer->compute->ops;
  VjTunerStep step = { 0 };
  if (trainer->file != NULL && vj_safetensors_is_cut (trainer->file))
    return vj_fail (error, VJ_EXIT_DATA, "%s: '*.safetensors': became shorter while it was read: another process writes there; try again when it is done", trainer->dir);
  trainer->first = examples;
  count_targets (examples, n, &step);
  if (step.tokens == 0)
    return vj_fail (error, VJ_EXIT_DATA, "train: '%" G_GSIZE_FORMAT " examples': no target token among them: nothing to learn; give examples that end with an assistant message", n);
  begin_gradient (trainer);
  gsize most = trainer->plan->n_elements < LARGE_ELEMENTS ? MICRO_BATCH_ROWS : MICRO_BATCH_ROWS_LARGE;
  g_autofree const VjMllamaExample **taken = g_new (const VjMllamaExample *, n);
  for (gsize at = 0; at < n;) {
    gsize rows = 0, m = 0;
    do {
      rows += vj_mllama_example_rows (&examples[at]);
      taken[m++] = &examples[at++];
    } while (at < n && rows + vj_mllama_example_rows (&examples[at]) <= most);
    if (!vj_mllama_micro_batch (trainer, taken, m, step.tokens, &step.loss, error))
      return FALSE;
  }
  end_gradient (trainer);
  step.grad_norm = sqrt (ops->sum_squares (trainer->compute->device, trainer->n_trained, trainer->state[VJ_STATE_GRAD]));
  step.finite = isfinite (step.loss) && isfinite (step.grad_norm);
  *ret_step = step;
  return TRUE;
}

/* Neighbours that are treated alike go in one call: their gaps hold zeros, which stay zeros. */
static void
update (VjMllamaTrainer *trainer, VjAdamw adamw)
{
  guint n = trainer->trained->len;
  for (guint t = 0, next; t < n; t = next) {
    const VjMllamaTrained *first = vj_trained_at (trainer, t);
    for (next = t + 1; next < n && (vj_trained_at (trainer, next)->n_dims >= 2) == (first->n_dims >= 2); next++)
      ;
    const VjMllamaTrained *last = vj_trained_at (trainer, next - 1);
    VjAdamw call = adamw;
    if (first->n_dims < 2)
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
