/* The trainer against transformers: activations, loss, gradients, ten AdamW steps. And that these tests can
 * fail: every weight, spoiled, is noticed. Its own laws: test-trainer.c. */
#include "tests/engine/trainer-kit.h"

typedef struct {
  const Model *model;
  double worst;
  char where[64];
} Probe;

static void
note (Probe *probe, double d, const char *format, guint a, guint b)
{
  if (d > probe->worst) {
    probe->worst = d;
    g_snprintf (probe->where, sizeof probe->where, format, a, b);
  }
}

/* Of what transformers has for all tokens of a case, the rows that layer l was asked for: all up to the last one that predicts a
 * target, or from the last self-attention layer on those that do. Returns how many; `want` [tokens, H] is packed in place. */
static gsize
keep_rows (const Case *k, gboolean few, gsize H, float *want)
{
  gsize n = 0, last = 0;
  for (gsize t = 1; t < k->n_tokens; t++)
    last = k->targets[t] ? t : last;
  for (gsize t = 1; t <= last; t++)
    if (!few || k->targets[t])
      memmove (want + n++ * H, want + (t - 1) * H, H * sizeof *want);
  return n;
}

/* Rows of decoder layer outputs and image states against the recorded ones. Examples with images come first. */
static void
compare_activations (void *data, const VjMllamaNet *net, const VjMllamaRows *rows, const VjMllamaRows *few, const VjMllamaText *layers,
                     const VjF32 *states, gsize n_states)
{
  Probe *probe = data;
  const VjMllamaConfig *c = &net->plan->config;
  const VjComputeOps *ops = net->compute->ops;
  gsize H = c->hidden_size, segment = 0, state = 0, all = (gsize) c->max_num_tiles * c->n_patches;
  for (guint without = 0; without < 2; without++)
    for (guint i = 0; i < probe->model->n; i++) {
      const Case *k = &probe->model->cases[i];
      if ((k->n_images == 0) != (without == 1))
        continue;
      gsize row = rows->self[segment].q_row, few_row = few->self[segment++].q_row;
      for (guint l = 0; l < c->num_hidden_layers; l++) {
        const VjTensor *want = expect (probe->model, "%u.layer.%u", i, l);
        if (want == NULL) /* transformers skips cross layers where there is no image */
          continue;
        g_autofree float *have = g_new (float, want->n_elements), *wanted = g_memdup2 (want->data, want->n_elements * 4);
        gboolean late = l >= c->last_self;
        gsize n = keep_rows (k, late, H, wanted);
        g_assert_cmpuint (n, ==, late ? few->self[segment - 1].q_count : rows->self[segment - 1].q_count);
        ops->download (net->compute->device, have, vj_f32_at (layers[l + 1].x, (late ? few_row : row) * H), n * H * 4);
        note (probe, distance (have, wanted, n * H), "layer %u of case %u", l, i);
      }
      if (k->n_images == 1) { /* with several the order of states differs by design */
        const VjTensor *want = expect (probe->model, "%u.states", i);
        g_autofree float *have = g_new (float, want->n_elements);
        ops->download (net->compute->device, have, vj_f32_at (states, state * H), want->n_elements * 4);
        note (probe, distance (have, want->data, want->n_elements), "states of case %u (%u)", i, 0);
      }
      state += k->n_images * all;
    }
  g_assert_cmpuint (state, ==, n_states);
}

/* Distance of weight i's gradient. That of a gate is one number, what is left of many that cancel out: of four-tiles' first MLP
 * gate half a hundredth of what another is, and off by 1e-4 of itself with some sums of f32. So one below a twentieth of the
 * largest gate of its part is held to that twentieth instead of to itself. */
static double
gradient_distance (VjMllamaTrainer *trainer, const Model *model, guint i)
{
  const VjMllamaPlan *plan = vj_mllama_trainer_peek_plan (trainer);
  const VjMllamaWeight *weight = vj_mllama_plan_at (plan, i);
  const VjTensor *want = expect (model, "grad.%s", weight->key);
  g_assert_nonnull (want);
  g_autofree float *have = g_new (float, weight->n_elements);
  vj_mllama_trainer_get (trainer, VJ_STATE_GRAD, i, have);
  if (weight->n_elements > 1)
    return distance (have, want->data, want->n_elements);
  double wanted = *(const float *) want->data, scale = fabs (wanted);
  for (guint other = 0; other < plan->weights->len; other++) {
    const VjMllamaWeight *gate = vj_mllama_plan_at (plan, other);
    if (gate->n_elements == 1 && gate->part == weight->part)
      scale = MAX (scale, fabs (*(const float *) expect (model, "grad.%s", gate->key)->data) / 20);
  }
  double off = fabs (have[0] - wanted) / scale;
  return isnan (off) ? HUGE_VAL : off;
}

/* Worst distance of the gradients; names the weight. */
static double
compare_gradients (VjMllamaTrainer *trainer, const Model *model, const char **ret_key)
{
  const VjMllamaPlan *plan = vj_mllama_trainer_peek_plan (trainer);
  double worst = 0;
  *ret_key = "none";
  for (guint i = 0; i < plan->weights->len - (plan->tied ? 1 : 0); i++) {
    const VjMllamaWeight *weight = vj_mllama_plan_at (plan, i);
    double d = gradient_distance (trainer, model, i);
    if (d > worst) {
      worst = d;
      *ret_key = weight->key;
    }
  }
  return worst;
}

static void
test_gradients (const char *compute, const char *name)
{
  g_autoptr (GError) error = NULL;
  Model model = { 0 };
  model_load (name, &model);
  g_autoptr (VjMllamaTrainer) trainer = open_trainer (&model, compute, 0);
  VjMllamaExample examples[MAX_CASES];
  model_examples (&model, examples);
  Probe probe = { .model = &model };
  vj_mllama_trainer_set_probe (trainer, compare_activations, &probe);
  VjTunerStep step;
  g_assert_true (vj_mllama_trainer_gradient (trainer, examples, model.n, &step, &error));
  g_assert_no_error (error);
  float loss = (float) step.loss;
  const char *key;
  double loss_distance = distance (&loss, expect (&model, "loss")->data, 1), gradient = compare_gradients (trainer, &model, &key);
  g_test_message ("%s on %s: activations %.1e (%s), loss %.1e, gradients %.1e (%s)", name, compute, probe.worst, probe.where, loss_distance, gradient, key);
  g_assert_cmpfloat (probe.worst, <=, TOLERANCE);
  g_assert_cmpfloat (loss_distance, <=, TOLERANCE);
  g_assert_cmpfloat (gradient, <=, TOLERANCE);
  model_done (&model);
}

static void
test_curve (const char *compute, const char *name)
{
  g_autoptr (GError) error = NULL;
  Model model = { 0 };
  model_load (name, &model);
  g_autoptr (VjMllamaTrainer) trainer = open_trainer (&model, compute, 0);
  VjMllamaExample examples[MAX_CASES];
  model_examples (&model, examples);
  float losses[10], norms[10];
  for (guint i = 0; i < 10; i++) {
    VjTunerStep step;
    g_assert_true (vj_mllama_trainer_step (trainer, examples, model.n, 0.01, &step, &error));
    g_assert_true (step.finite);
    losses[i] = (float) step.loss;
    norms[i] = (float) step.grad_norm;
  }
  double d = distance (losses, expect (&model, "curve")->data, 10), e = distance (norms, expect (&model, "norms")->data, 10);
  g_test_message ("%s on %s: ten losses %.1e, ten gradient norms %.1e", name, compute, d, e);
  g_assert_cmpfloat (d, <=, 2e-3); /* differences in the last bit grow through ten steps of AdamW, whose first ones are signs */
  g_assert_cmpfloat (e, <=, 5e-3);
  model_done (&model);
}

/* Spoiling any one weight must be noticed by the comparison that the tests above rely on. */
static void
test_notices (const char *compute, const char *name)
{
  Model model = { 0 };
  model_load (name, &model);
  g_autoptr (VjMllamaTrainer) trainer = open_trainer (&model, compute, 0);
  const VjMllamaPlan *plan = vj_mllama_trainer_peek_plan (trainer);
  VjMllamaExample examples[MAX_CASES];
  model_examples (&model, examples);
  for (guint i = 0; i < plan->weights->len - (plan->tied ? 1 : 0); i++) {
    gsize n = vj_mllama_plan_at (plan, i)->n_elements;
    g_autofree float *values = g_new (float, n), *spoiled = g_new (float, n);
    vj_mllama_trainer_get (trainer, VJ_STATE_PARAM, i, values);
    for (gsize e = 0; e < n; e++)
      spoiled[e] = values[e] * 1.02f;
    vj_mllama_trainer_set (trainer, VJ_STATE_PARAM, i, spoiled);
    VjTunerStep step;
    const char *key;
    g_assert_true (vj_mllama_trainer_gradient (trainer, examples, model.n, &step, NULL));
    double d = compare_gradients (trainer, &model, &key);
    if (d <= TOLERANCE)
      g_test_message ("%s: a spoiled %s goes unnoticed (%.1e)", name, vj_mllama_plan_at (plan, i)->key, d);
    g_assert_cmpfloat (d, >, TOLERANCE);
    vj_mllama_trainer_set (trainer, VJ_STATE_PARAM, i, values);
  }
  model_done (&model);
}

/* Of the gradient as a whole: the square of its distance from the recorded one, relative to the square of that one. */
static double
gradient_error (VjMllamaTrainer *trainer, const Model *model)
{
  const VjMllamaPlan *plan = vj_mllama_trainer_peek_plan (trainer);
  double error = 0, power = 0;
  for (guint i = 0; i < plan->weights->len - (plan->tied ? 1 : 0); i++) {
    const VjMllamaWeight *weight = vj_mllama_plan_at (plan, i);
    const float *want = expect (model, "grad.%s", weight->key)->data;
    g_autofree float *have = g_new (float, weight->n_elements);
    vj_mllama_trainer_get (trainer, VJ_STATE_GRAD, i, have);
    for (gsize e = 0; e < weight->n_elements; e++) {
      error += ((double) have[e] - want[e]) * ((double) have[e] - want[e]);
      power += (double) want[e] * want[e];
    }
  }
  return error / power;
}

/* With bf16 numbers loss and gradients are those of f32 but for the rounding of what products multiply. */
static void
test_rounded (const char *compute, const char *name)
{
  g_autoptr (GError) error = NULL;
  Model model = { 0 };
  VjMllamaExample examples[MAX_CASES];
  VjTunerStep step;
  model_load (name, &model);
  model_examples (&model, examples);
  g_autoptr (VjMllamaTrainer) trainer = vj_mllama_trainer_open (model.dir, compute, 2, "bf16", &plain, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (vj_mllama_trainer_gradient (trainer, examples, model.n, &step, &error));
  float loss = (float) step.loss;
  double loss_distance = distance (&loss, expect (&model, "loss")->data, 1), gradient = gradient_error (trainer, &model);
  g_test_message ("%s on %s with bf16 numbers: loss %.1e, gradient %.1e", name, compute, loss_distance, gradient);
  g_assert_cmpfloat (loss_distance, <=, 2e-3);
  g_assert_cmpfloat (gradient, <=, 1e-3);
  g_assert_cmpfloat (gradient, >, 1e-7); /* f32 would be nearer: bf16 it must have been */
  model_done (&model);
}

/* Freezing a part leaves the gradients of the others as they were, makes none for it, and changes none of its weights. */
static void
test_freeze (const char *compute, const char *name)
{
  Model model = { 0 };
  VjMllamaExample examples[MAX_CASES];
  VjTunerStep step;
  model_load (name, &model);
  model_examples (&model, examples);
  for (guint freeze = 1; freeze < 7; freeze++) {
    g_autoptr (VjMllamaTrainer) trainer = open_trainer (&model, compute, freeze), start = open_trainer (&model, compute, 0);
    const VjMllamaPlan *plan = vj_mllama_trainer_peek_plan (trainer);
    g_assert_true (vj_mllama_trainer_step (trainer, examples, model.n, 0.01, &step, NULL));
    for (guint i = 0; i < plan->weights->len - (plan->tied ? 1 : 0); i++) {
      const VjMllamaWeight *weight = vj_mllama_plan_at (plan, i);
      g_autofree float *have = g_new (float, weight->n_elements), *before = g_new (float, weight->n_elements);
      if (freeze >> weight->part & 1) {
        vj_mllama_trainer_get (trainer, VJ_STATE_PARAM, i, have);
        vj_mllama_trainer_get (start, VJ_STATE_PARAM, i, before);
        g_assert_cmpmem (have, weight->n_elements * 4, before, weight->n_elements * 4);
      } else {
        g_assert_cmpfloat (gradient_distance (trainer, &model, i), <=, TOLERANCE);
      }
    }
  }
  model_done (&model);
}

static void all_gradients (void) { for_all (test_gradients, TRUE); }
static void all_curves (void) { for_all (test_curve, FALSE); }
static void all_rounded (void) { for_all (test_rounded, FALSE); }
static void all_freeze (void) { for_all (test_freeze, FALSE); }
static void all_notices (void) { for_all (test_notices, FALSE); }

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  plugins_offer ();
  g_test_add_func ("/mllama/train/equals-transformers", all_gradients);
  g_test_add_func ("/mllama/train/ten-steps", all_curves);
  g_test_add_func ("/mllama/train/rounded", all_rounded);
  g_test_add_func ("/mllama/train/freeze", all_freeze);
  g_test_add_func ("/mllama/train/notices-every-weight", all_notices);
  return g_test_run ();
}
