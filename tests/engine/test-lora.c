/* LoRA against PEFT, transformers and torch (tests/peers/make_lora_vectors.py): logits, gradients, courses; and the laws of
 * our own: resume, threads, dropout, memory, what is saved, what is refused. */
#include "engine/mllama/adapter.h"
#include "tests/engine/mllama-cases.h"
#include "tests/engine/plugins.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

typedef struct {
  const char *name;
  guint rank;
  double alpha;
  const char *targets[8];
  guint parts;
} Lora;

/* As make_lora_vectors.py has them. */
static const Lora loras[] = {
  { "one-tile", 3, 6, { "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj" }, VJ_FREEZE_TEXT | VJ_FREEZE_CROSS },
  { "four-tiles", 2, 5, { "q_proj", "v_proj", "fc1", "fc2", "multi_modal_projector" }, VJ_FREEZE_TEXT | VJ_FREEZE_CROSS | VJ_FREEZE_VISION },
  { "tied", 4, 4, { "k_proj", "o_proj", "down_proj" }, VJ_FREEZE_TEXT },
};

typedef struct {
  const Lora *lora;
  Model model;
  char *dir;            /* the adapter's */
  VjSafetensors *peft;  /* what PEFT and torch computed */
  VjMllamaExample examples[MAX_CASES];
  char *scratch;        /* a directory of our own */
} Bench;

static void
bench_open (const Lora *lora, Bench *b)
{
  g_autoptr (GError) error = NULL;
  *b = (Bench) { .lora = lora };
  model_load (lora->name, &b->model);
  model_examples (&b->model, b->examples);
  b->dir = g_build_filename (g_getenv ("VJ_SRCDIR"), "tests/vectors/lora", lora->name, NULL);
  g_autofree char *file = g_build_filename (b->dir, "expected.safetensors", NULL);
  b->peft = vj_safetensors_open (file, &error);
  g_assert_no_error (error);
  b->scratch = g_dir_make_tmp ("vj-lora-XXXXXX", NULL);
}

static void
bench_close (Bench *b)
{
  g_autofree char *remove = g_strdup_printf ("rm -r '%s'", b->scratch);
  g_assert_cmpint (system (remove), ==, 0);
  vj_safetensors_free (b->peft);
  model_done (&b->model);
  g_free (b->dir);
  g_free (b->scratch);
}

static VjTunerConfig
config_of (const Bench *b, double dropout)
{
  return (VjTunerConfig) { .beta1 = 0.9, .beta2 = 0.98, .epsilon = 1e-8, .weight_decay = 0.1, .max_grad_norm = 0.5,
                           .lora = { .rank = b->lora->rank, .alpha = b->lora->alpha, .dropout = dropout, .targets = b->lora->targets,
                                     .parts = b->lora->parts, .seed = 11 } };
}

static VjMllamaTrainer *
open_with (const char *dir, const char *compute, guint threads, const char *dtype, const VjTunerConfig *config)
{
  g_autoptr (GError) error = NULL;
  VjMllamaTrainer *trainer = vj_mllama_trainer_open (dir, compute, threads, dtype, config, NULL, &error);
  g_assert_no_error (error);
  return trainer;
}

static double
loss_of (VjMllamaTrainer *trainer, const Bench *b)
{
  VjTunerStep step;
  g_autoptr (GError) error = NULL;
  g_assert_true (vj_mllama_trainer_gradient (trainer, b->examples, b->model.n, &step, &error));
  g_assert_no_error (error);
  return step.loss;
}

static void
take_steps (VjMllamaTrainer *trainer, const Bench *b, guint until)
{
  while (vj_mllama_trainer_steps (trainer) < until) {
    VjTunerStep step;
    guint64 at = vj_mllama_trainer_steps (trainer);
    g_assert_true (vj_mllama_trainer_step (trainer, b->examples + at % 2, b->model.n - at % 2, 0.01, &step, NULL));
    g_assert_true (step.finite);
  }
}

static float *
values_of (VjMllamaTrainer *trainer, VjMllamaState state, guint t)
{
  guint n;
  float *values = g_new (float, vj_mllama_trainer_peek_trained (trainer, &n)[t].n_elements);
  vj_mllama_trainer_get_trained (trainer, state, t, values);
  return values;
}

static void
assert_same (VjMllamaTrainer *a, VjMllamaTrainer *b, VjMllamaState state)
{
  guint n, m;
  const VjMllamaTrained *list = vj_mllama_trainer_peek_trained (a, &n);
  vj_mllama_trainer_peek_trained (b, &m);
  g_assert_cmpuint (n, ==, m);
  for (guint t = 0; t < n; t++) {
    g_autofree float *x = values_of (a, state, t), *y = values_of (b, state, t);
    g_assert_cmpmem (x, list[t].n_elements * 4, y, list[t].n_elements * 4);
  }
}

/* Worst distance of all logits of a model directory from the expected ones. */
static double
logits_distance (const Bench *b, const char *dir, const char *compute)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VjMllama) model = vj_mllama_open (dir, compute, 2, "f32", &error);
  g_assert_no_error (error);
  double worst = 0;
  for (guint i = 0; i < b->model.n; i++) {
    const Case *c = &b->model.cases[i];
    g_autofree char *name = g_strdup_printf ("%u.logits", i);
    const VjTensor *want = vj_safetensors_find (b->peft, name);
    g_autofree float *have = g_new (float, want->n_elements);
    VjMllamaVision *visions[MAX_IMAGES];
    g_assert_true (vj_mllama_encode (model, c->images, c->n_images, visions, NULL));
    g_autoptr (VjMllamaSequence) sequence = vj_mllama_sequence_new (model, c->tokens, c->n_tokens, visions, c->n_images, c->n_tokens, &error);
    g_assert_no_error (error);
    for (gsize k = 0; k < c->n_images; k++)
      vj_mllama_vision_unref (visions[k]);
    VjMllamaStretch stretch = { sequence, c->tokens, c->n_tokens, c->n_tokens };
    g_assert_true (vj_mllama_extend (model, &stretch, 1, have, NULL));
    worst = MAX (worst, distance (have, want->data, want->n_elements));
  }
  return worst;
}

/* -- against PEFT -------------------------------------------------------------- */

static void
test_logits (const char *compute, const Lora *lora)
{
  Bench b;
  bench_open (lora, &b);
  g_autoptr (VjMllama) plain = vj_mllama_open (b.model.dir, compute, 1, "f32", NULL), changed = vj_mllama_open (b.dir, compute, 1, "f32", NULL);
  g_assert_cmpstr (vj_mllama_peek_digest (plain), !=, vj_mllama_peek_digest (changed)); /* no ledger takes one for the other */
  double with = logits_distance (&b, b.dir, compute), without = logits_distance (&b, b.model.dir, compute);
  g_test_message ("%s on %s: logits %.1e; without the adapter %.1e", lora->name, compute, with, without);
  g_assert_cmpfloat (with, <=, TOLERANCE);
  g_assert_cmpfloat (without, >, 0.05);
  bench_close (&b);
}

/* The adapter that PEFT wrote goes on training with PEFT's gradients; merged, it has the same loss under any other training. */
static void
test_gradients (const char *compute, const Lora *lora)
{
  Bench b;
  guint n;
  double worst = 0;
  bench_open (lora, &b);
  VjTunerConfig config = config_of (&b, 0), whole = config, other = config;
  g_autoptr (VjMllamaTrainer) trainer = open_with (b.dir, compute, 2, "f32", &config);
  double want = ((const float *) vj_safetensors_find (b.peft, "loss")->data)[0];
  g_assert_cmpfloat (fabs (loss_of (trainer, &b) / want - 1), <=, TOLERANCE);
  const VjMllamaTrained *list = vj_mllama_trainer_peek_trained (trainer, &n);
  for (guint t = 0; t < n; t++) {
    g_autofree float *have = values_of (trainer, VJ_STATE_GRAD, t);
    g_autofree char *name = g_strconcat ("grad.", list[t].key, NULL);
    const VjTensor *tensor = vj_safetensors_find (b.peft, name);
    g_assert_nonnull (tensor);
    worst = MAX (worst, distance (have, tensor->data, list[t].n_elements));
  }
  g_test_message ("%s on %s: %u tensors, gradients %.1e", lora->name, compute, n, worst);
  g_assert_cmpfloat (worst, <=, TOLERANCE);
  whole.lora.rank = 0;
  other.lora.rank++;
  g_autoptr (VjMllamaTrainer) merged = open_with (b.dir, compute, 2, "f32", &whole), added = open_with (b.dir, compute, 2, "f32", &other);
  g_assert_cmpfloat (fabs (loss_of (merged, &b) / want - 1), <=, TOLERANCE);
  g_assert_cmpfloat (fabs (loss_of (added, &b) / want - 1), <=, TOLERANCE);
  bench_close (&b);
}

/* Ten steps of accumulation, clipping, decay and a falling rate: the losses of torch; and under bf16 those of its autocast. What
 * bf16 rounds differently in one step moves the norms of all later ones: the first is held to torch closely, the whole course to
 * twice the distance that bf16 takes torch itself from its f32. */
static void
test_course (const char *compute, const Lora *lora)
{
  static const struct { const char *dtype, *curve, *norms; double tolerance; } numbers[] = { { "f32", "curve", "norms", 2e-5 }, { "bf16", "curve16", "norms16", 5e-3 } };
  Bench b;
  bench_open (lora, &b);
  const float *rates = vj_safetensors_find (b.peft, "rates")->data, *exact = vj_safetensors_find (b.peft, "curve")->data;
  for (guint k = 0; k < G_N_ELEMENTS (numbers); k++) {
    VjTunerConfig config = config_of (&b, 0);
    g_autoptr (VjMllamaTrainer) trainer = open_with (b.dir, compute, 2, numbers[k].dtype, &config);
    float losses[10], norms[10];
    for (guint i = 0; i < 10; i++) {
      VjTunerStep step;
      g_assert_true (vj_mllama_trainer_step (trainer, b.examples, b.model.n, rates[i], &step, NULL));
      losses[i] = (float) step.loss;
      norms[i] = (float) step.grad_norm;
    }
    double d = distance (losses, vj_safetensors_find (b.peft, numbers[k].curve)->data, 10), e = distance (norms, vj_safetensors_find (b.peft, numbers[k].norms)->data, 10);
    double f = distance (losses, exact, 10);
    g_test_message ("%s on %s, %s: losses %.1e, gradient norms %.1e, from f32 %.1e", lora->name, compute, numbers[k].dtype, d, e, f);
    g_assert_cmpfloat (d, <=, numbers[k].tolerance);
    const float *torch = vj_safetensors_find (b.peft, numbers[k].norms)->data;
    double drift = distance (torch, vj_safetensors_find (b.peft, "norms")->data, 10);
    g_assert_cmpfloat (distance (norms, torch, 1), <=, numbers[k].tolerance);
    g_assert_cmpfloat (e, <=, k == 0 ? 12 * numbers[k].tolerance : MAX (4 * numbers[k].tolerance, 2 * drift));
    if (k == 1) /* the products are not those of f32 */
      g_assert_cmpfloat (f, >, 1e-5);
  }
  bench_close (&b);
}

/* -- laws -------------------------------------------------------------------------- */

/* With dropout: the same bits on any number of threads, with activations made again, and when stopped and resumed. */
static void
test_exact (const char *compute, const Lora *lora)
{
  Bench b;
  bench_open (lora, &b);
  VjTunerConfig config = config_of (&b, 0.3), again = config;
  again.recompute = TRUE;
  g_autofree char *file = g_build_filename (b.scratch, "checkpoint", NULL);
  g_autoptr (VjMllamaTrainer) one = open_with (b.model.dir, compute, 1, NULL, &config), three = open_with (b.model.dir, compute, 3, NULL, &config);
  g_autoptr (VjMllamaTrainer) less = open_with (b.model.dir, compute, 2, NULL, &again), half = open_with (b.model.dir, compute, 2, NULL, &config);
  g_autoptr (VjMllamaTrainer) resumed = open_with (b.model.dir, compute, 2, NULL, &config);
  take_steps (one, &b, 6);
  take_steps (three, &b, 6);
  take_steps (less, &b, 6);
  take_steps (half, &b, 3);
  g_assert_true (vj_mllama_trainer_checkpoint (half, file, NULL));
  g_assert_true (vj_mllama_trainer_restore (resumed, file, NULL));
  take_steps (resumed, &b, 6);
  for (guint s = 0; s < 4; s++) {
    assert_same (one, three, (VjMllamaState) s);
    assert_same (one, less, (VjMllamaState) s);
    assert_same (one, resumed, (VjMllamaState) s);
  }
  g_assert_cmpuint (vj_mllama_trainer_memory (less).activations, <, vj_mllama_trainer_memory (one).activations);
  bench_close (&b);
}

/* With dropout the gradient is that of the very loss that was computed: along a random direction, by differences. And
 * dropout drops: the loss is another than without it. */
static void
test_dropout (const char *compute, const Lora *lora)
{
  Bench b;
  guint n;
  double along = 0, size = 0;
  bench_open (lora, &b);
  VjTunerConfig config = config_of (&b, 0.4), none = config_of (&b, 0);
  g_autoptr (VjMllamaTrainer) trainer = open_with (b.dir, compute, 2, "f32", &config), without = open_with (b.dir, compute, 2, "f32", &none);
  double loss = loss_of (trainer, &b), step = 1e-2, sides[2];
  g_assert_cmpfloat (fabs (loss / loss_of (without, &b) - 1), >, 1e-3);
  const VjMllamaTrained *list = vj_mllama_trainer_peek_trained (trainer, &n);
  g_autoptr (GPtrArray) values = g_ptr_array_new_with_free_func (g_free), gradients = g_ptr_array_new_with_free_func (g_free);
  for (guint t = 0; t < n; t++) {
    g_ptr_array_add (values, values_of (trainer, VJ_STATE_PARAM, t));
    g_ptr_array_add (gradients, values_of (trainer, VJ_STATE_GRAD, t));
    for (gsize e = 0; e < list[t].n_elements; e++)
      size += pow (((float *) gradients->pdata[t])[e], 2);
  }
  for (guint side = 0; side < 2; side++) { /* along the gradient itself: the slope is its norm */
    for (guint t = 0; t < n; t++) {
      g_autofree float *moved = g_memdup2 (values->pdata[t], list[t].n_elements * 4);
      for (gsize e = 0; e < list[t].n_elements; e++)
        moved[e] += (float) ((side == 0 ? -step : step) * ((float *) gradients->pdata[t])[e] / sqrt (size));
      vj_mllama_trainer_set_trained (trainer, VJ_STATE_PARAM, t, moved);
    }
    sides[side] = loss_of (trainer, &b);
  }
  along = (sides[1] - sides[0]) / (2 * step);
  g_test_message ("%s on %s: slope %.5f, gradient norm %.5f", lora->name, compute, along, sqrt (size));
  g_assert_cmpfloat (fabs (along / sqrt (size) - 1), <=, 5e-3);
  bench_close (&b);
}

#define BETWEEN 8 /* examples, long ones, that fill a micro-batch */

/* Masks follow an example's number in the step and the place in it, for the few rows of the last layers as for all: whether a
 * micro-batch ends between two examples changes nothing. Those between them are long or short, and hardly weigh anything. */
static void
test_dropout_cut (const char *compute, const Lora *lora)
{
  Bench b;
  guint n;
  double worst = 0, scale = 0;
  guint32 tokens[120];
  guint8 targets[2][120] = { { 0, 1 }, { 0 } };
  VjMllamaExample examples[BETWEEN + 2];
  targets[1][119] = 1;
  for (guint i = 0; i < 120; i++)
    tokens[i] = 3 + i % 20;
  bench_open (lora, &b);
  VjTunerConfig config = config_of (&b, 0.4);
  config.lora.parts &= ~(guint) VJ_FREEZE_VISION; /* whose masks are the micro-batch's */
  g_autoptr (VjMllamaTrainer) cut = open_with (b.dir, compute, 2, "f32", &config), whole = open_with (b.dir, compute, 2, "f32", &config);
  for (guint between = 0; between < 2; between++) {
    VjTunerStep step;
    for (guint i = 0; i < BETWEEN + 2; i++)
      examples[i] = i == 0 ? b.examples[0] : i > BETWEEN ? b.examples[1]
                                           : (VjMllamaExample) { .tokens = tokens, .targets = targets[between], .n_tokens = 120, .weight = 1e-30 };
    g_assert_true (vj_mllama_trainer_gradient (between == 1 ? cut : whole, examples, BETWEEN + 2, &step, NULL));
  }
  const VjMllamaTrained *list = vj_mllama_trainer_peek_trained (cut, &n);
  for (guint t = 0; t < n; t++) {
    g_autofree float *x = values_of (cut, VJ_STATE_GRAD, t), *y = values_of (whole, VJ_STATE_GRAD, t);
    for (gsize e = 0; e < list[t].n_elements; e++) {
      worst = MAX (worst, fabs ((double) x[e] - y[e]));
      scale = MAX (scale, fabs (y[e]));
    }
  }
  g_test_message ("%s on %s: gradients differ by %.1e of the largest", lora->name, compute, worst / scale);
  g_assert_cmpfloat (worst / scale, <=, 1e-5);
  bench_close (&b);
}

/* A merged model: the layers with factors are w + scale B A, every other tensor has the base's bytes. Adapter and merged
 * model have the same logits, and the adapter goes on with the loss it was left at. */
static void
test_save (const char *compute, const Lora *lora)
{
  Bench b;
  g_autoptr (GError) error = NULL;
  bench_open (lora, &b);
  VjTunerConfig config = config_of (&b, 0), alone = config;
  alone.lora.adapter = TRUE;
  g_autofree char *merged = g_build_filename (b.scratch, "merged", NULL), *adapter = g_build_filename (b.scratch, "adapter", NULL);
  g_autoptr (VjMllamaTrainer) trainer = open_with (b.dir, compute, 2, "f32", &config), second = open_with (b.dir, compute, 2, "f32", &alone);
  VjDtype dtype = g_str_equal (lora->name, "tied") ? VJ_DTYPE_BF16 : VJ_DTYPE_F32; /* as the base is stored */
  g_assert_true (vj_mllama_trainer_save (trainer, merged, dtype, &error));
  g_assert_true (vj_mllama_trainer_save (second, adapter, dtype, &error));
  g_assert_no_error (error);
  if (dtype == VJ_DTYPE_F32)
    g_assert_cmpfloat (logits_distance (&b, merged, compute), <=, TOLERANCE);
  g_assert_cmpfloat (logits_distance (&b, adapter, compute), <=, TOLERANCE);
  g_autoptr (VjSafetensors) base = vj_safetensors_open_dir (b.model.dir, NULL), saved = vj_safetensors_open_dir (merged, NULL);
  const VjMllamaPlan *plan = vj_mllama_trainer_peek_plan (trainer);
  guint changed = 0, n;
  vj_mllama_trainer_peek_trained (trainer, &n);
  for (guint i = 0; i < plan->weights->len; i++) {
    const VjTensor *x = vj_mllama_plan_find (plan, base, i == plan->head && plan->tied ? plan->embed : i), *y = vj_mllama_plan_find (plan, saved, i);
    changed += memcmp (x->data, y->data, y->n_elements * vj_dtype_size (y->dtype)) != 0;
    g_assert_cmpint (x->dtype, ==, y->dtype);
  }
  g_assert_cmpuint (changed, ==, n / 2);
  g_autoptr (VjMllamaTrainer) reopened = open_with (adapter, compute, 2, "f32", &config);
  assert_same (reopened, second, VJ_STATE_PARAM);
  g_autofree char *nothing = g_build_filename (adapter, "tokenizer.json", NULL);
  g_assert_false (g_file_test (nothing, G_FILE_TEST_EXISTS)); /* the base has it */
  bench_close (&b);
}

/* What is trained takes four numbers; what stays lies in its files, in the dtype they have. */
static void
test_memory (const char *compute, const Lora *lora)
{
  Bench b;
  guint n;
  gsize elements = 0, vectors = 0, all = 0;
  bench_open (lora, &b);
  VjTunerConfig config = config_of (&b, 0);
  g_autoptr (VjMllamaTrainer) trainer = open_with (b.model.dir, compute, 2, NULL, &config);
  const VjMllamaTrained *list = vj_mllama_trainer_peek_trained (trainer, &n);
  const VjMllamaPlan *plan = vj_mllama_trainer_peek_plan (trainer);
  for (guint t = 0; t < n; t++)
    elements += (list[t].n_elements + 15) / 16 * 16;
  for (guint i = 0; i < plan->weights->len; i++) {
    const VjMllamaWeight *weight = vj_mllama_plan_at (plan, i);
    vectors += weight->n_dims < 2 ? weight->n_elements * 4 : 0;
    all += i == plan->head && plan->tied ? 0 : weight->n_elements;
  }
  VjTunerMemory memory = vj_mllama_trainer_memory (trainer);
  gboolean half = g_str_equal (lora->name, "tied");
  g_assert_cmpuint (memory.trained, <=, 16 * elements);
  g_assert_cmpuint (memory.held, ==, half ? vectors : 0);
  g_assert_cmpuint (memory.mapped, ==, half ? 2 * (all - vectors / 4) : 4 * all);
  bench_close (&b);
}

/* -- kill -9 --------------------------------------------------------------------------- */

/* Trains to 60 steps with dropout, a checkpoint after every second, and saves the adapter; goes on where it was killed. */
static void
child (const Bench *b, const char *file, const char *out)
{
  VjTunerConfig config = config_of (b, 0.3);
  config.lora.adapter = TRUE;
  VjMllamaTrainer *trainer = vj_mllama_trainer_open (b->model.dir, "cpu", 2, "f32", &config, NULL, NULL);
  if (trainer == NULL || (g_file_test (file, G_FILE_TEST_EXISTS) && !vj_mllama_trainer_restore (trainer, file, NULL)))
    _exit (2);
  while (vj_mllama_trainer_steps (trainer) < 60) {
    take_steps (trainer, b, (guint) vj_mllama_trainer_steps (trainer) + 2);
    if (!vj_mllama_trainer_checkpoint (trainer, file, NULL))
      _exit (3);
  }
  _exit (g_file_test (out, G_FILE_TEST_EXISTS) || vj_mllama_trainer_save (trainer, out, VJ_DTYPE_F32, NULL) ? 0 : 4);
}

/* Runs children until one ends by itself, killing those before it at random moments; how many were killed. */
static guint
run_children (const Bench *b, const char *file, const char *out, guint kills)
{
  for (guint killed = 0;; killed++) {
    pid_t pid = fork ();
    g_assert_cmpint (pid, >=, 0);
    if (pid == 0)
      child (b, file, out);
    if (killed < kills) {
      g_usleep ((gulong) g_test_rand_int_range (1000, 60000));
      kill (pid, SIGKILL);
    }
    int status;
    g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
    if (WIFEXITED (status)) {
      g_assert_cmpint (WEXITSTATUS (status), ==, 0);
      return killed;
    }
  }
}

static void
test_kill (void)
{
  Bench b;
  bench_open (&loras[0], &b);
  g_autofree char *file = g_build_filename (b.scratch, "checkpoint", NULL), *other = g_build_filename (b.scratch, "other", NULL);
  g_autofree char *out = g_build_filename (b.scratch, "out", NULL), *whole = g_build_filename (b.scratch, "whole", NULL);
  g_autofree char *mine = g_build_filename (out, VJ_ADAPTER_MODEL, NULL), *theirs = g_build_filename (whole, VJ_ADAPTER_MODEL, NULL), *x = NULL, *y = NULL;
  gsize n, m;
  g_assert_cmpuint (run_children (&b, other, whole, 0), ==, 0);
  guint killed = run_children (&b, file, out, 40);
  g_test_message ("%u kills", killed);
  g_assert_true (g_file_get_contents (mine, &x, &n, NULL) && g_file_get_contents (theirs, &y, &m, NULL));
  g_assert_cmpmem (x, n, y, m);
  bench_close (&b);
}

/* -- refusals ------------------------------------------------------------------------- */

static void
write_adapter (const Bench *b, const char *dir, const char *from, const char *to, gboolean drop, gboolean bend)
{
  g_autofree char *config = g_build_filename (b->dir, VJ_ADAPTER_CONFIG, NULL), *model = g_build_filename (b->dir, VJ_ADAPTER_MODEL, NULL), *text = NULL;
  g_autofree char *out_config = g_build_filename (dir, VJ_ADAPTER_CONFIG, NULL), *out_model = g_build_filename (dir, VJ_ADAPTER_MODEL, NULL);
  g_autoptr (VjSafetensors) file = vj_safetensors_open (model, NULL);
  gsize n;
  const VjTensor *list = vj_safetensors_list (file, &n);
  g_autofree VjTensor *tensors = g_memdup2 (list, n * sizeof *list);
  g_assert_true (g_file_get_contents (config, &text, NULL, NULL));
  g_autofree char *absolute = g_strdup_printf ("\"%s\"", b->model.dir);
  g_auto (GStrv) base = g_strsplit (text, "\"../../mllama/one-tile\"", -1);
  g_autofree char *based = g_strjoinv (absolute, base);
  g_assert_cmpuint (g_strv_length (base), ==, 2);
  g_auto (GStrv) parts = g_strsplit (based, from, -1);
  g_autofree char *changed = g_strjoinv (to, parts);
  g_assert_cmpuint (g_strv_length (parts), >=, 2);
  if (bend) {
    tensors[0].dims[0] = list[0].dims[1];
    tensors[0].dims[1] = list[0].dims[0];
  }
  g_assert_true (g_file_set_contents (out_config, changed, -1, NULL));
  g_assert_true (vj_safetensors_save (out_model, tensors + (drop ? 1 : 0), n - (drop ? 1 : 0), NULL, NULL));
}

static void
test_refusals (void)
{
  static const struct { const char *from, *to; gboolean drop, bend; const char *words; } cases[] = {
    { "\"r\": 3", "\"r\": 4", FALSE, FALSE, "has another shape" },
    { "\"r\": 3", "\"r\": 0", FALSE, FALSE, "'r'" },
    { "\"r\": 3", "\"r\": 3", TRUE, FALSE, "has no partner" },
    { "\"r\": 3", "\"r\": 3", FALSE, TRUE, "has another shape" },
    { "\"cross_attn.o_proj\"", "\"cross_attn.o_projs\"", FALSE, FALSE, "cross_attn.o_proj.lora_A.weight is of no module that target_modules names" },
    { "\"cross_attn.o_proj\"", "\"cross_attn.o_proj\", \"fc1\"", FALSE, FALSE, "fc1 is named by target_modules, but has no factors" },
    { "\"target_modules\": [", "\"target_modules\": \"(\", \"other\": [", FALSE, FALSE, "not a regular expression that can be read here" },
    { "\"target_modules\": [", "\"target_modules\": 3, \"other\": [", FALSE, FALSE, "neither a list of names nor a regular expression" },
    { "\"target_modules\": [", "\"target_modules\": \"(a*)*(.*)*b\", \"other\": [", FALSE, FALSE, "is of no module that target_modules names" },
    { "\"use_dora\": false", "\"use_dora\": true", FALSE, FALSE, "'use_dora'" },
    { "\"bias\": \"none\"", "\"bias\": \"all\"", FALSE, FALSE, "'bias'" },
    { "\"modules_to_save\": null", "\"modules_to_save\": [\"lm_head\"]", FALSE, FALSE, "'modules_to_save'" },
    { "\"rank_pattern\": {}", "\"rank_pattern\": {\"q_proj\": 9}", FALSE, FALSE, "'rank_pattern'" },
    { "\"peft_type\": \"LORA\"", "\"peft_type\": \"IA3\"", FALSE, FALSE, "'peft_type'" },
    { "mllama/one-tile", "mllama/nowhere", FALSE, FALSE, "is no model directory here" },
    { "mllama/one-tile", "mllama/tied", FALSE, FALSE, "is no factor of a linear layer of the base" },
    { "mllama/one-tile", "lora/one-tile", FALSE, FALSE, "is an adapter itself" },
  };
  Bench b;
  bench_open (&loras[0], &b);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL, again = NULL;
    VjTunerConfig config = config_of (&b, 0);
    write_adapter (&b, b.scratch, cases[i].from, cases[i].to, cases[i].drop, cases[i].bend);
    g_autoptr (VjMllama) model = vj_mllama_open (b.scratch, "ref", 1, "f32", &error);
    if (model != NULL)
      g_error ("case %u is not refused", i);
    g_assert_error (error, VJ_ERROR, VJ_EXIT_DATA);
    if (strstr (error->message, cases[i].words) == NULL)
      g_error ("case %u: %s", i, error->message);
    g_assert_null (vj_mllama_trainer_open (b.scratch, "ref", 1, "f32", &config, NULL, &again));
    g_assert_cmpstr (again->message, ==, error->message);
  }
  bench_close (&b);
}

/* What is told without a model is what a model shows: a target in a part is refused where no layer of any model has it there. */
static void
test_settings_without_a_model (void)
{
  static const char *const targets[] = { VJ_LORA_TARGETS };
  Bench b;
  bench_open (&loras[1], &b);
  VjTunerConfig sound = config_of (&b, 0);
  g_autoptr (VjMllamaTrainer) trainer = open_with (b.model.dir, "ref", 1, "f32", &sound);
  const VjMllamaPlan *plan = vj_mllama_trainer_peek_plan (trainer);
  for (guint t = 0; t < G_N_ELEMENTS (targets); t++)
    for (guint part = 0; part < 3; part++) {
      const char *const list[] = { targets[t], NULL };
      g_autoptr (GError) error = NULL;
      VjTunerConfig config = config_of (&b, 0);
      gboolean found = FALSE;
      for (guint i = 0; i < plan->weights->len; i++)
        found |= vj_mllama_plan_at (plan, i)->part == part && vj_mllama_is_target (plan, i, list);
      config.lora.targets = list;
      config.lora.parts = 1u << part;
      g_assert_cmpint (vj_tuner_check (&config, &error), ==, found);
      if (!found)
        g_assert_error (error, VJ_ERROR, VJ_EXIT_USAGE);
    }
  bench_close (&b);
}

/* Settings that would train nothing, or save what cannot be used, are refused before any work. */
static void
test_settings (void)
{
  Bench b;
  guint64 seed = 1;
  bench_open (&loras[0], &b);
  static const char *const vision_only[] = { "fc1", NULL };
  for (guint i = 0; i < 5; i++) {
    g_autoptr (GError) error = NULL;
    VjTunerConfig config = config_of (&b, 0);
    const char *dir = b.model.dir;
    if (i == 0)
      config.lora.targets = vision_only; /* not in text or cross */
    if (i == 1)
      config.freeze = VJ_FREEZE_TEXT | VJ_FREEZE_CROSS; /* where the targets are */
    if (i >= 2)
      config.lora.adapter = TRUE;
    if (i == 3)
      config.lora.rank = 0;
    if (i == 4) {
      config.lora.rank = 5; /* merged before training: no directory holds that base */
      dir = b.dir;
    }
    g_assert_null (vj_mllama_trainer_open (dir, "ref", 1, "f32", &config, i == 2 ? &seed : NULL, &error));
    g_assert_error (error, VJ_ERROR, VJ_EXIT_USAGE);
  }
  bench_close (&b);
}

/* Weights that are read where they lie: a file cut short since is noticed before it is read on. */
static void
test_cut (void)
{
  Bench b;
  g_autoptr (GError) error = NULL;
  VjTunerStep step;
  bench_open (&loras[2], &b);
  VjTunerConfig config = config_of (&b, 0);
  g_autofree char *copy = g_strdup_printf ("cp '%s'/config.json '%s'/model.safetensors '%s'", b.model.dir, b.model.dir, b.scratch);
  g_autofree char *file = g_build_filename (b.scratch, "model.safetensors", NULL);
  g_assert_cmpint (system (copy), ==, 0);
  g_autoptr (VjMllamaTrainer) trainer = open_with (b.scratch, "cpu", 2, "f32", &config);
  g_assert_true (vj_mllama_trainer_step (trainer, b.examples, b.model.n, 0.01, &step, &error));
  g_assert_cmpint (truncate (file, 5000), ==, 0);
  g_assert_false (vj_mllama_trainer_step (trainer, b.examples, b.model.n, 0.01, &step, &error));
  g_assert_error (error, VJ_ERROR, VJ_EXIT_DATA);
  bench_close (&b);
}

/* A checkpoint of another kind of training is refused, and known not to fit, before anything changes. */
static void
test_other_checkpoint (void)
{
  Bench b;
  gboolean fits = TRUE;
  g_autoptr (GError) error = NULL;
  bench_open (&loras[0], &b);
  VjTunerConfig config = config_of (&b, 0), whole = config;
  whole.lora.rank = 0;
  g_autofree char *file = g_build_filename (b.scratch, "checkpoint", NULL);
  g_autoptr (VjMllamaTrainer) full = open_with (b.model.dir, "cpu", 2, "f32", &whole), trainer = open_with (b.model.dir, "cpu", 2, "f32", &config);
  g_assert_true (vj_mllama_trainer_checkpoint (full, file, NULL));
  g_assert_true (vj_mllama_trainer_fits (trainer, file, &fits, NULL));
  g_assert_false (fits);
  g_assert_true (vj_mllama_trainer_fits (full, file, &fits, NULL));
  g_assert_true (fits);
  g_assert_false (vj_mllama_trainer_restore (trainer, file, &error));
  g_assert_error (error, VJ_ERROR, VJ_EXIT_DATA);
  bench_close (&b);
}

static void
for_all (void (*test) (const char *, const Lora *), gboolean emulated)
{
  static const char *const computes[] = { "ref", "cpu", "openblas", "onednn", "cublas-emulated", "cublas" };
  for (guint c = 0; c < G_N_ELEMENTS (computes); c++) {
    if (!emulated && g_str_equal (computes[c], "cublas-emulated")) /* it is slow */
      continue;
    g_autofree char *missing = compute_missing (computes[c]);
    if (missing != NULL)
      g_test_message ("left out: %s", missing);
    for (guint m = 0; missing == NULL && m < G_N_ELEMENTS (loras); m++)
      test (computes[c], &loras[m]);
  }
}

static void all_logits (void) { for_all (test_logits, FALSE); }
static void all_gradients (void) { for_all (test_gradients, TRUE); }
static void all_courses (void) { for_all (test_course, FALSE); }
static void all_exact (void) { for_all (test_exact, FALSE); }
static void all_dropout (void) { for_all (test_dropout, FALSE); }
static void all_dropout_cut (void) { for_all (test_dropout_cut, FALSE); }
static void all_save (void) { for_all (test_save, FALSE); }

static void
all_memory (void)
{
  for (guint m = 0; m < G_N_ELEMENTS (loras); m++)
    test_memory ("cpu", &loras[m]);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  plugins_offer ();
  g_test_add_func ("/lora/logits-equal-peft", all_logits);
  g_test_add_func ("/lora/gradients-equal-peft", all_gradients);
  g_test_add_func ("/lora/course-equals-torch", all_courses);
  g_test_add_func ("/lora/exact", all_exact);
  g_test_add_func ("/lora/kill", test_kill);
  g_test_add_func ("/lora/dropout", all_dropout);
  g_test_add_func ("/lora/dropout-cut", all_dropout_cut);
  g_test_add_func ("/lora/save", all_save);
  g_test_add_func ("/lora/memory", all_memory);
  g_test_add_func ("/lora/refusals", test_refusals);
  g_test_add_func ("/lora/settings", test_settings);
  g_test_add_func ("/lora/settings-without-a-model", test_settings_without_a_model);
  g_test_add_func ("/lora/cut", test_cut);
  g_test_add_func ("/lora/other-checkpoint", test_other_checkpoint);
  return g_test_run ();
}
