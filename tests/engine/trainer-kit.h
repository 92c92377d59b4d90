/* What the tests of the trainer share: its settings, opening it, and every compute with every model of the vectors. */
#ifndef VJ_TESTS_TRAINER_KIT_H
#define VJ_TESTS_TRAINER_KIT_H

#include "tests/engine/mllama-cases.h"
#include "tests/engine/plugins.h"

static const VjTunerConfig plain = { .beta1 = 0.9, .beta2 = 0.98, .epsilon = 1e-8, .weight_decay = 0.1, .max_grad_norm = 1 };

static VjMllamaTrainer *
open_trainer (const Model *model, const char *compute, guint freeze)
{
  g_autoptr (GError) error = NULL;
  VjTunerConfig config = plain;
  config.freeze = freeze;
  VjMllamaTrainer *trainer = vj_mllama_trainer_open (model->dir, compute, 2, "f32", &config, NULL, &error);
  g_assert_no_error (error);
  return trainer;
}

static const char *const computes[] = { "ref", "cpu", "openblas", "onednn", "cublas-emulated", "cublas" };

/* The emulated GPU is slow: it computes gradients, which use every operation, and leaves the trainer's own laws to others. */
static void
for_all (void (*test) (const char *, const char *), gboolean emulated)
{
  for (guint c = 0; c < G_N_ELEMENTS (computes); c++) {
    if (!emulated && g_str_equal (computes[c], "cublas-emulated"))
      continue;
    g_autofree char *missing = compute_missing (computes[c]);
    if (missing != NULL)
      g_test_message ("left out: %s", missing);
    for (guint m = 0; missing == NULL && m < G_N_ELEMENTS (model_names); m++)
      test (computes[c], model_names[m]);
  }
}

#endif
