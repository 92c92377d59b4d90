/* The trainer's own laws: the same bits whatever the threads, the room and the moment it was stopped; what is frozen stays as it
 * was; saved is what was trained. Its numbers are held against transformers in test-mllama-train.c. */
#include "tests/engine/trainer-kit.h"

#include <glib/gstdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static VjMllamaTrainer *
steps_taken (const Model *model, const char *compute, const char *dtype, guint threads, guint freeze, guint n, const char *restored)
{
  g_autoptr (GError) error = NULL;
  VjTunerConfig config = plain;
  VjMllamaExample examples[MAX_CASES];
  guint64 seed = 3;
  config.freeze = freeze;
  VjMllamaTrainer *trainer = vj_mllama_trainer_open (model->dir, compute, threads, dtype, &config, &seed, &error);
  g_assert_no_error (error);
  model_examples (model, examples);
  if (restored != NULL) {
    g_assert_true (vj_mllama_trainer_restore (trainer, restored, &error));
    g_assert_no_error (error);
  }
  while (vj_mllama_trainer_steps (trainer) < n) { /* another choice of examples in each step */
    VjTunerStep step;
    guint64 at = vj_mllama_trainer_steps (trainer);
    g_assert_true (vj_mllama_trainer_step (trainer, examples + at % 2, model->n - at % 2, 0.01, &step, &error));
    g_assert_true (step.finite);
  }
  return trainer;
}

static void
assert_same_state (VjMllamaTrainer *a, VjMllamaTrainer *b)
{
  const VjMllamaPlan *plan = vj_mllama_trainer_peek_plan (a);
  for (guint i = 0; i < plan->weights->len; i++)
    for (guint s = 0; s < 4; s++) {
      gsize n = vj_mllama_plan_at (plan, i)->n_elements;
      g_autofree float *x = g_new (float, n), *y = g_new (float, n);
      if (s == VJ_STATE_GRAD)
        continue;
      vj_mllama_trainer_get (a, (VjMllamaState) s, i, x);
      vj_mllama_trainer_get (b, (VjMllamaState) s, i, y);
      g_assert_cmpmem (x, n * 4, y, n * 4);
    }
}

/* Six steps from fresh weights: the same bits on 1, 2 and 3 threads, and when stopped and resumed in the middle. */
static void
exact (const char *compute, const char *name, const char *dtype)
{
  Model model = { 0 };
  g_autofree char *dir = g_dir_make_tmp ("vj-train-XXXXXX", NULL), *file = g_build_filename (dir, "checkpoint", NULL);
  model_load (name, &model);
  for (guint freeze = 0; freeze < 7; freeze += 3) { /* nothing; vision and cross; cross and text */
    g_autoptr (VjMllamaTrainer) one = steps_taken (&model, compute, dtype, 1, freeze, 6, NULL), three = steps_taken (&model, compute, dtype, 3, freeze, 6, NULL);
    assert_same_state (one, three);
    g_autoptr (VjMllamaTrainer) half = steps_taken (&model, compute, dtype, 2, freeze, 3, NULL);
    g_assert_true (vj_mllama_trainer_checkpoint (half, file, NULL));
    g_autoptr (VjMllamaTrainer) resumed = steps_taken (&model, compute, dtype, 2, freeze, 6, file);
    assert_same_state (one, resumed);
  }
  g_unlink (file);
  g_rmdir (dir);
  model_done (&model);
}

static void
test_exact (const char *compute, const char *name)
{
  exact (compute, name, "f32");
  exact (compute, name, "bf16");
}

static void
assert_same_gradient (VjMllamaTrainer *a, VjMllamaTrainer *b)
{
  const VjMllamaPlan *plan = vj_mllama_trainer_peek_plan (a);
  for (guint i = 0; i < plan->weights->len; i++) {
    gsize n = vj_mllama_plan_at (plan, i)->n_elements;
    g_autofree float *x = g_new (float, n), *y = g_new (float, n);
    vj_mllama_trainer_get (a, VJ_STATE_GRAD, i, x);
    vj_mllama_trainer_get (b, VJ_STATE_GRAD, i, y);
    g_assert_cmpmem (x, n * 4, y, n * 4);
  }
}

/* A gradient is the same whether layers keep what backward reads or share it, and nothing
 * of it stays for the next one, which no image may come to. */
static void
test_anew (const char *compute, const char *name)
{
  Model model = { 0 };
  VjMllamaExample examples[MAX_CASES];
  VjTunerStep step;
  gsize n = 0;
  model_load (name, &model);
  model_examples (&model, examples);
  g_autoptr (VjMllamaTrainer) kept = open_trainer (&model, compute, 0), remade = open_trainer (&model, compute, 0), unused = open_trainer (&model, compute, 0);
  vj_mllama_trainer_set_remake (kept, FALSE);
  vj_mllama_trainer_set_remake (remade, TRUE);
  g_assert_true (vj_mllama_trainer_gradient (kept, examples, model.n, &step, NULL));
  g_assert_true (vj_mllama_trainer_gradient (remade, examples, model.n, &step, NULL));
  assert_same_gradient (kept, remade);
  for (guint i = 0; i < model.n; i++)
    if (examples[i].n_images == 0)
      examples[n++] = examples[i];
  g_assert_cmpuint (n, >, 0);
  g_assert_true (vj_mllama_trainer_gradient (remade, examples, n, &step, NULL));
  g_assert_true (vj_mllama_trainer_gradient (unused, examples, n, &step, NULL));
  assert_same_gradient (remade, unused);
  model_done (&model);
}

/* What is frozen takes no memory for gradients and moments, lies in its file where that is host memory, and has the same bytes
 * in the saved model, in whatever dtype it is stored. */
static void
test_frozen_bytes (const char *compute, const char *name)
{
  g_autoptr (GError) error = NULL;
  Model model = { 0 };
  VjMllamaExample examples[MAX_CASES];
  VjTunerStep step;
  model_load (name, &model);
  model_examples (&model, examples);
  g_autoptr (VjSafetensors) file = vj_safetensors_open_dir (model.dir, &error);
  for (guint freeze = 1; freeze < 7; freeze++) {
    gsize elements = 0, same = 0;
    g_autofree char *dir = g_dir_make_tmp ("vj-train-XXXXXX", NULL), *saved = g_build_filename (dir, "saved", NULL), *remove = g_strdup_printf ("rm -r '%s'", dir);
    g_autoptr (VjMllamaTrainer) trainer = open_trainer (&model, compute, freeze);
    const VjMllamaPlan *plan = vj_mllama_trainer_peek_plan (trainer);
    VjDtype dtype = vj_mllama_plan_find (plan, file, plan->embed)->dtype;
    g_assert_true (vj_mllama_trainer_step (trainer, examples, model.n, 0.01, &step, NULL));
    g_assert_true (vj_mllama_trainer_save (trainer, saved, dtype, &error));
    g_autoptr (VjSafetensors) written = vj_safetensors_open_dir (saved, &error);
    g_assert_no_error (error);
    for (guint i = 0; i < plan->weights->len; i++) {
      const VjMllamaWeight *weight = vj_mllama_plan_at (plan, i);
      const VjTensor *x = vj_mllama_plan_find (plan, file, i), *y = vj_mllama_plan_find (plan, written, i);
      if (i == plan->head && plan->tied)
        continue;
      elements += freeze >> weight->part & 1 ? 0 : (weight->n_elements + 15) / 16 * 16;
      if (freeze >> weight->part & 1)
        g_assert_cmpmem (x->data, x->n_elements * vj_dtype_size (dtype), y->data, y->n_elements * vj_dtype_size (dtype));
      else
        same += memcmp (x->data, y->data, x->n_elements * vj_dtype_size (dtype)) == 0;
    }
    g_assert_cmpuint (same, ==, 0); /* what is trained has changed */
    g_assert_cmpuint (vj_mllama_trainer_memory (trainer).trained, <=, 16 * elements);
    if (strcmp (compute, "cpu") == 0)
      g_assert_cmpuint (vj_mllama_trainer_memory (trainer).mapped, >, 0);
    g_assert_cmpint (system (remove), ==, 0);
  }
  model_done (&model);
}

static void
assert_same_gradients (VjMllamaTrainer *a, VjMllamaTrainer *b)
{
  guint n;
  const VjMllamaTrained *list = vj_mllama_trainer_peek_trained (a, &n);
  for (guint t = 0; t < n; t++) {
    g_autofree float *x = g_new (float, list[t].n_elements), *y = g_new (float, list[t].n_elements);
    vj_mllama_trainer_get_trained (a, VJ_STATE_GRAD, t, x);
    vj_mllama_trainer_get_trained (b, VJ_STATE_GRAD, t, y);
    g_assert_cmpmem (x, list[t].n_elements * 4, y, list[t].n_elements * 4);
  }
}

/* Activations made again in backward: the same bits in less memory, with the towers trained or not. */
static void
test_recompute (const char *compute, const char *name)
{
  Model model = { 0 };
  VjMllamaExample examples[MAX_CASES];
  VjTunerStep a, b;
  model_load (name, &model);
  model_examples (&model, examples);
  for (guint freeze = 0; freeze < 4; freeze++) {
    VjTunerConfig config = plain;
    config.freeze = freeze;
    config.recompute = TRUE;
    g_autoptr (VjMllamaTrainer) all = open_trainer (&model, compute, freeze), less = vj_mllama_trainer_open (model.dir, compute, 2, "f32", &config, NULL, NULL);
    g_assert_true (vj_mllama_trainer_gradient (all, examples, model.n, &a, NULL));
    g_assert_true (vj_mllama_trainer_gradient (less, examples, model.n, &b, NULL));
    g_assert_cmpfloat (a.loss, ==, b.loss);
    g_assert_cmpfloat (a.grad_norm, ==, b.grad_norm);
    assert_same_gradients (all, less);
    gsize kept = vj_mllama_trainer_memory (all).activations, made = vj_mllama_trainer_memory (less).activations;
    g_test_message ("%s on %s, frozen %u: activations %.0f KiB, made again %.0f KiB", name, compute, freeze, (double) kept / 1024, (double) made / 1024);
    g_assert_cmpuint (made, <, kept);
  }
  model_done (&model);
}

typedef struct {
  gsize batches, rows;
} Packed;

static void
count_rows (void *data, G_GNUC_UNUSED const VjMllamaNet *net, const VjMllamaRows *rows, G_GNUC_UNUSED const VjMllamaRows *few,
            G_GNUC_UNUSED const VjMllamaText *layers, G_GNUC_UNUSED const VjF32 *states, G_GNUC_UNUSED gsize n_states)
{
  Packed *packed = data;
  packed->batches++;
  packed->rows += rows->rows;
}

/* Examples, with images and without, always share rows up to a budget, without a row of padding and without seeing each
 * other: loss and gradients are those of every example alone, each counted by its targets. */
static void
test_packed (const char *compute, const char *name)
{
  Model model = { 0 };
  VjMllamaExample examples[MAX_CASES];
  VjTunerStep together, alone;
  Packed packed = { 0 };
  guint n;
  gsize needed = 0; /* rows up to the last target's */
  double worst = 0, loss = 0;
  model_load (name, &model);
  model_examples (&model, examples);
  g_autoptr (VjMllamaTrainer) trainer = open_trainer (&model, compute, 0);
  vj_mllama_trainer_set_probe (trainer, count_rows, &packed);
  g_assert_true (vj_mllama_trainer_gradient (trainer, examples, model.n, &together, NULL));
  vj_mllama_trainer_set_probe (trainer, NULL, NULL);
  const VjMllamaTrained *list = vj_mllama_trainer_peek_trained (trainer, &n);
  g_autoptr (GPtrArray) whole = g_ptr_array_new_with_free_func (g_free), sums = g_ptr_array_new_with_free_func (g_free);
  g_autofree double *scale = g_new0 (double, n); /* of what is summed: examples may cancel, their rounding does not */
  for (guint t = 0; t < n; t++) {
    g_ptr_array_add (whole, g_new (float, list[t].n_elements));
    g_ptr_array_add (sums, g_new0 (float, list[t].n_elements));
    vj_mllama_trainer_get_trained (trainer, VJ_STATE_GRAD, t, whole->pdata[t]);
  }
  for (guint i = 0; i < model.n; i++) {
    g_assert_true (vj_mllama_trainer_gradient (trainer, &examples[i], 1, &alone, NULL));
    float share = (float) alone.tokens / (float) together.tokens;
    loss += alone.loss * share;
    for (gsize t = examples[i].n_tokens - 1, more = 0; t > 0 && more == 0; t--)
      needed += more = examples[i].targets[t] ? t : 0;
    for (guint t = 0; t < n; t++) {
      g_autofree float *part = g_new (float, list[t].n_elements);
      vj_mllama_trainer_get_trained (trainer, VJ_STATE_GRAD, t, part);
      float most = 0;
      for (gsize e = 0; e < list[t].n_elements; e++) {
        ((float *) sums->pdata[t])[e] += share * part[e];
        most = MAX (most, share * fabsf (part[e]));
      }
      scale[t] += most;
    }
  }
  for (guint t = 0; t < n; t++)
    for (gsize e = 0; e < list[t].n_elements; e++) {
      double d = fabs ((double) ((float *) whole->pdata[t])[e] - ((float *) sums->pdata[t])[e]) / MAX (scale[t], 1e-6);
      worst = d > worst || isnan (d) ? d : worst;
    }
  g_test_message ("%s on %s: %u examples in %u rows: loss %.1e, gradients %.1e from those alone", name, compute, model.n, (guint) packed.rows, fabs (together.loss / loss - 1), worst);
  g_assert_cmpuint (packed.batches, ==, 1);
  g_assert_cmpuint (packed.rows, ==, needed);
  g_assert_cmpfloat (fabs (together.loss / loss - 1), <=, 1e-6);
  g_assert_cmpfloat (worst, <=, 1e-5); /* sums of f32 in another order */
  model_done (&model);
}

#define COPIES 40 /* of all examples: more rows than a micro-batch takes */

/* The example with three tokens more that are no targets. */
static void
lengthen (const VjMllamaExample *e, GPtrArray *made, VjMllamaExample *ret)
{
  guint32 *tokens = g_new (guint32, e->n_tokens + 3);
  guint8 *targets = g_new0 (guint8, e->n_tokens + 3);
  memcpy (tokens, e->tokens, e->n_tokens * sizeof *tokens);
  memcpy (targets, e->targets, e->n_tokens);
  for (guint t = 0; t < 3; t++)
    tokens[e->n_tokens + t] = 5 + t;
  g_ptr_array_add (made, tokens);
  g_ptr_array_add (made, targets);
  *ret = *e;
  ret->tokens = tokens;
  ret->targets = targets;
  ret->n_tokens += 3;
}

/* Tokens after the last target, and examples without a target, change no bit: only their targets' rows ever mattered. */
static void
test_unneeded (const char *compute, const char *name)
{
  Model model = { 0 };
  VjMllamaExample needed[MAX_CASES * COPIES], longer[MAX_CASES * COPIES + 1];
  VjTunerStep a, b;
  Packed packed = { 0 };
  model_load (name, &model);
  for (guint i = 0; i < COPIES; i++)
    model_examples (&model, needed + i * model.n);
  g_autoptr (GPtrArray) made = g_ptr_array_new_with_free_func (g_free);
  guint n = model.n * COPIES;
  for (guint i = 0; i < n; i++)
    lengthen (&needed[i], made, &longer[i + 1]);
  longer[0] = needed[0];
  longer[0].targets = g_new0 (guint8, longer[0].n_tokens);
  g_ptr_array_add (made, (gpointer) longer[0].targets);
  g_autoptr (VjMllamaTrainer) first = open_trainer (&model, compute, 0), second = open_trainer (&model, compute, 0);
  vj_mllama_trainer_set_probe (first, count_rows, &packed);
  g_assert_true (vj_mllama_trainer_gradient (first, needed, n, &a, NULL));
  g_assert_cmpuint (packed.batches, >, 1);
  g_assert_true (vj_mllama_trainer_gradient (second, longer, n + 1, &b, NULL));
  g_assert_cmpfloat (a.loss, ==, b.loss);
  assert_same_gradients (first, second);
  model_done (&model);
}

static double
loss_of (VjMllamaTrainer *trainer, VjMllamaExample e, const guint8 *targets)
{
  VjTunerStep step;
  g_autoptr (GError) error = NULL;
  e.targets = targets;
  g_assert_true (vj_mllama_trainer_gradient (trainer, &e, 1, &step, &error));
  g_assert_no_error (error);
  return step.loss;
}

static guint later_images; /* examples tried: not every model has some that begin with words */

/* A target before an image, and none after it: what the target's row sees of the image is there all the same. */
static void
test_later_images (const char *compute, const char *name)
{
  Model model = { 0 };
  VjMllamaExample examples[MAX_CASES];
  model_load (name, &model);
  model_examples (&model, examples);
  g_autoptr (VjMllamaTrainer) trainer = open_trainer (&model, compute, 0);
  guint32 image = vj_mllama_trainer_peek_plan (trainer)->config.image_token_index;
  for (guint i = 0; i < model.n; i++) {
    const VjMllamaExample *e = &examples[i];
    gsize last = 0, early;
    for (gsize t = 1; t < e->n_tokens; t++)
      last = e->tokens[t] == image ? t : last;
    for (early = 1; early < last && e->tokens[early] == image; early++)
      ;
    if (early >= last || last + 1 >= e->n_tokens)
      continue;
    later_images++;
    g_autofree guint8 *one = g_new0 (guint8, e->n_tokens), *other = g_new0 (guint8, e->n_tokens), *both = g_new0 (guint8, e->n_tokens);
    one[early] = other[e->n_tokens - 1] = both[early] = both[e->n_tokens - 1] = 1;
    g_assert_cmpfloat (fabs ((loss_of (trainer, *e, one) + loss_of (trainer, *e, other)) / 2 / loss_of (trainer, *e, both) - 1), <=, 1e-6);
  }
  model_done (&model);
}

/* A decoder of cross-attention alone: no layer's keys come from text, and rows drop out before the head. The loss changes along
 * the gradient as the gradient says. */
static void
test_cross_alone (const char *compute, const char *name)
{
  Model model = { 0 };
  g_autoptr (GError) error = NULL;
  VjMllamaExample examples[MAX_CASES];
  VjTunerStep step;
  VjTunerConfig config = plain;
  const guint64 seed = 3;
  guint n;
  double size = 0, sides[2], along = 3e-3;
  if (!g_str_equal (name, "one-tile"))
    return;
  model_load (name, &model);
  model_examples (&model, examples);
  g_autofree char *dir = g_dir_make_tmp ("vj-train-XXXXXX", NULL), *remove = g_strdup_printf ("rm -r '%s'", dir);
  g_autofree char *from = g_build_filename (model.dir, "config.json", NULL), *to = g_build_filename (dir, "config.json", NULL), *text = NULL;
  g_assert_true (g_file_get_contents (from, &text, NULL, NULL));
  g_autoptr (GRegex) layers = g_regex_new ("\"cross_attention_layers\": \\[[^]]*\\]", 0, 0, NULL);
  g_autofree char *all = g_regex_replace_literal (layers, text, -1, 0, "\"cross_attention_layers\": [0, 1, 2]", 0, NULL);
  g_assert_cmpstr (all, !=, text);
  g_assert_true (g_file_set_contents (to, all, -1, NULL));
  g_autoptr (VjMllamaTrainer) trainer = vj_mllama_trainer_open (dir, compute, 2, "f32", &config, &seed, &error);
  g_assert_no_error (error);
  g_assert_true (vj_mllama_trainer_gradient (trainer, examples, model.n, &step, NULL));
  const VjMllamaTrained *list = vj_mllama_trainer_peek_trained (trainer, &n);
  g_autoptr (GPtrArray) values = g_ptr_array_new_with_free_func (g_free), gradients = g_ptr_array_new_with_free_func (g_free);
  for (guint t = 0; t < n; t++) {
    g_ptr_array_add (values, g_new (float, list[t].n_elements));
    g_ptr_array_add (gradients, g_new (float, list[t].n_elements));
    vj_mllama_trainer_get_trained (trainer, VJ_STATE_PARAM, t, values->pdata[t]);
    vj_mllama_trainer_get_trained (trainer, VJ_STATE_GRAD, t, gradients->pdata[t]);
    for (gsize e = 0; e < list[t].n_elements; e++)
      size += pow (((float *) gradients->pdata[t])[e], 2);
  }
  for (guint side = 0; side < 2; side++) {
    for (guint t = 0; t < n; t++) {
      g_autofree float *moved = g_memdup2 (values->pdata[t], list[t].n_elements * 4);
      for (gsize e = 0; e < list[t].n_elements; e++)
        moved[e] += (float) ((side == 0 ? -along : along) * ((float *) gradients->pdata[t])[e] / sqrt (size));
      vj_mllama_trainer_set_trained (trainer, VJ_STATE_PARAM, t, moved);
    }
    g_assert_true (vj_mllama_trainer_gradient (trainer, examples, model.n, &step, NULL));
    sides[side] = step.loss;
  }
  g_test_message ("%s: slope %.5f, gradient norm %.5f", compute, (sides[1] - sides[0]) / (2 * along), sqrt (size));
  g_assert_cmpfloat (fabs ((sides[1] - sides[0]) / (2 * along) / sqrt (size) - 1), <=, 5e-3);
  g_assert_cmpint (system (remove), ==, 0);
  model_done (&model);
}

/* A course after a course: what the first one's state holds is taken over in f32, for parts that are frozen now too, and not
 * from the model it saved in bf16; a part that was frozen then has no moments there, and begins without. */
static void
test_courses (const char *compute, const char *name)
{
  Model model = { 0 };
  g_autoptr (GError) error = NULL;
  g_autofree char *dir = g_dir_make_tmp ("vj-train-XXXXXX", NULL), *saved = g_build_filename (dir, "saved", NULL), *remove = g_strdup_printf ("rm -r '%s'", dir);
  g_autofree char *state = g_build_filename (dir, "state", NULL), *next = g_build_filename (dir, "next", NULL);
  model_load (name, &model);
  g_autoptr (VjMllamaTrainer) first = steps_taken (&model, compute, "f32", 2, 0, 2, NULL);
  g_assert_true (vj_mllama_trainer_checkpoint (first, state, &error) && vj_mllama_trainer_save (first, saved, VJ_DTYPE_BF16, &error));
  VjTunerConfig config = plain;
  config.freeze = VJ_FREEZE_VISION;
  g_autoptr (VjMllamaTrainer) second = vj_mllama_trainer_open (saved, compute, 2, "f32", &config, NULL, &error);
  g_assert_true (vj_mllama_trainer_restore (second, state, &error) && vj_mllama_trainer_checkpoint (second, next, &error));
  g_autoptr (VjMllamaTrainer) third = vj_mllama_trainer_open (saved, compute, 2, "f32", &plain, NULL, &error);
  g_assert_true (vj_mllama_trainer_restore (third, next, &error));
  g_assert_no_error (error);
  const VjMllamaPlan *plan = vj_mllama_trainer_peek_plan (first);
  for (guint i = 0; i < plan->weights->len; i++) {
    const VjMllamaWeight *weight = vj_mllama_plan_at (plan, i);
    gsize n = weight->n_elements;
    g_autofree float *x = g_new (float, n), *y = g_new (float, n), *none = g_new0 (float, n);
    vj_mllama_trainer_get (first, VJ_STATE_PARAM, i, x);
    vj_mllama_trainer_get (second, VJ_STATE_PARAM, i, y);
    g_assert_cmpmem (x, n * 4, y, n * 4);
    vj_mllama_trainer_get (third, VJ_STATE_PARAM, i, y);
    g_assert_cmpmem (x, n * 4, y, n * 4);
    vj_mllama_trainer_get (first, VJ_STATE_V, i, x);
    vj_mllama_trainer_get (third, VJ_STATE_V, i, y);
    g_assert_cmpmem (weight->part == VJ_PART_VISION ? none : x, n * 4, y, n * 4);
  }
  g_assert_cmpint (system (remove), ==, 0);
  model_done (&model);
}

/* Beside a model lie files of other purposes: what is none of its own, or would never end, does not follow. */
static void
save_beside (VjMllamaTrainer *opened, const char *from, const char *to)
{
  g_autofree char *pipe = g_build_filename (from, "pipe.json", NULL), *large = g_build_filename (from, "other.gguf", NULL);
  g_autofree char *own = g_build_filename (to, "config.json", NULL), *no_pipe = g_build_filename (to, "pipe.json", NULL);
  g_autofree char *no_large = g_build_filename (to, "other.gguf", NULL);
  g_autoptr (GError) error = NULL;
  g_assert_cmpint (mkfifo (pipe, 0600), ==, 0);
  g_assert_true (g_file_set_contents (large, "", 0, NULL));
  g_assert_cmpint (truncate (large, (off_t) 300 << 20), ==, 0);
  g_assert_true (vj_mllama_trainer_save (opened, to, VJ_DTYPE_F32, &error));
  g_assert_no_error (error);
  g_assert_true (g_file_test (own, G_FILE_TEST_IS_REGULAR));
  g_assert_false (g_file_test (no_pipe, G_FILE_TEST_EXISTS));
  g_assert_false (g_file_test (no_large, G_FILE_TEST_EXISTS));
}

/* A weight that is not finite is noticed and nothing changes; the saved directory opens with equal weights. */
static void
test_save (const char *compute, const char *name)
{
  g_autoptr (GError) error = NULL;
  Model model = { 0 };
  VjMllamaExample examples[MAX_CASES];
  VjTunerStep step;
  model_load (name, &model);
  model_examples (&model, examples);
  g_autofree char *dir = g_dir_make_tmp ("vj-train-XXXXXX", NULL), *saved = g_build_filename (dir, "saved", NULL), *bf16 = g_build_filename (dir, "bf16", NULL);
  g_autoptr (VjMllamaTrainer) trainer = steps_taken (&model, compute, "f32", 2, 0, 2, NULL);
  g_assert_true (vj_mllama_trainer_save (trainer, saved, VJ_DTYPE_F32, &error));
  g_assert_true (vj_mllama_trainer_save (trainer, bf16, VJ_DTYPE_BF16, &error));
  g_assert_false (vj_mllama_trainer_save (trainer, saved, VJ_DTYPE_F32, &error)); /* exists */
  g_assert_error (error, VJ_ERROR, VJ_EXIT_STORE);
  g_clear_error (&error);
  g_autoptr (VjMllamaTrainer) opened = vj_mllama_trainer_open (saved, compute, 2, "f32", &plain, NULL, &error);
  g_assert_no_error (error);
  const VjMllamaPlan *plan = vj_mllama_trainer_peek_plan (trainer);
  g_assert_cmpint (vj_mllama_trainer_peek_plan (opened)->tied, ==, plan->tied);
  for (guint i = 0; i < plan->weights->len; i++) {
    gsize n = vj_mllama_plan_at (plan, i)->n_elements;
    g_autofree float *x = g_new (float, n), *y = g_new (float, n);
    vj_mllama_trainer_get (trainer, VJ_STATE_PARAM, i, x);
    vj_mllama_trainer_get (opened, VJ_STATE_PARAM, i, y);
    g_assert_cmpmem (x, n * 4, y, n * 4);
  }
  g_autofree char *again = g_build_filename (dir, "again", NULL);
  save_beside (opened, saved, again);
  g_autofree float *bad = g_new0 (float, vj_mllama_plan_at (plan, plan->norm)->n_elements);
  bad[1] = NAN;
  vj_mllama_trainer_set (trainer, VJ_STATE_PARAM, plan->norm, bad);
  g_assert_true (vj_mllama_trainer_step (trainer, examples, model.n, 0.01, &step, &error));
  g_assert_false (step.finite);
  g_assert_cmpuint (vj_mllama_trainer_steps (trainer), ==, 2);
  g_autofree char *remove = g_strdup_printf ("rm -r '%s'", dir);
  g_assert_cmpint (system (remove), ==, 0);
  model_done (&model);
}

static void all_exact (void) { for_all (test_exact, FALSE); }
static void all_anew (void) { for_all (test_anew, FALSE); }
static void all_frozen_bytes (void) { for_all (test_frozen_bytes, FALSE); }
static void all_recompute (void) { for_all (test_recompute, FALSE); }
static void all_packed (void) { for_all (test_packed, FALSE); }
static void all_unneeded (void) { for_all (test_unneeded, FALSE); }
static void all_later_images (void) { for_all (test_later_images, FALSE); g_assert_cmpuint (later_images, >, 4); }
static void all_cross_alone (void) { for_all (test_cross_alone, FALSE); }
static void all_courses (void) { for_all (test_courses, FALSE); }
static void all_save (void) { for_all (test_save, FALSE); }

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  plugins_offer ();
  g_test_add_func ("/mllama/train/exact", all_exact);
  g_test_add_func ("/mllama/train/anew", all_anew);
  g_test_add_func ("/mllama/train/frozen-bytes", all_frozen_bytes);
  g_test_add_func ("/mllama/train/recompute", all_recompute);
  g_test_add_func ("/mllama/train/packed", all_packed);
  g_test_add_func ("/mllama/train/unneeded", all_unneeded);
  g_test_add_func ("/mllama/train/later-images", all_later_images);
  g_test_add_func ("/mllama/train/cross-alone", all_cross_alone);
  g_test_add_func ("/mllama/train/courses", all_courses);
  g_test_add_func ("/mllama/train/save", all_save);
  return g_test_run ();
}
