/* Helper of check_mllama_reverse.py: save-mllama VECTORS-FOLDER OUTPUT trains two steps, saves OUTPUT/f32 and
 * OUTPUT/bf16, and writes the logits after each case's last token, by the saved weights, to OUTPUT/f32.logits and
 * OUTPUT/bf16.logits; then two steps of LoRA on all linear layers, saved as OUTPUT/adapter with OUTPUT/adapter.logits. */
#include "tests/engine/mllama-cases.h"

#include <stdio.h>
#include <stdlib.h>

static void
die (GError *error)
{
  if (error != NULL) {
    fprintf (stderr, "%s\n", error->message);
    exit (4);
  }
}

static void
write_logits (const Model *model, const char *dir, GError **error)
{
  g_autoptr (VjMllama) opened = vj_mllama_open (dir, "cpu", 2, "f32", error);
  if (opened == NULL)
    return;
  gsize V = vj_mllama_peek_config (opened)->vocab_size;
  g_autofree char *file = g_strconcat (dir, ".logits", NULL);
  g_autofree float *logits = g_new (float, model->n * V);
  VjTensor tensors[MAX_CASES];
  char names[MAX_CASES][8];
  for (guint i = 0; i < model->n; i++) {
    const Case *c = &model->cases[i];
    VjMllamaVision *visions[MAX_IMAGES];
    if (!vj_mllama_encode (opened, c->images, c->n_images, visions, error))
      return;
    g_autoptr (VjMllamaSequence) sequence = vj_mllama_sequence_new (opened, c->tokens, c->n_tokens, visions, c->n_images, c->n_tokens, error);
    for (gsize k = 0; k < c->n_images; k++)
      vj_mllama_vision_unref (visions[k]);
    if (sequence == NULL || !vj_mllama_prefill (opened, &sequence, 1, logits + i * V, error))
      return;
    g_snprintf (names[i], sizeof names[i], "%u", i);
    tensors[i] = (VjTensor) { .name = names[i], .n_dims = 1, .dims = { V }, .n_elements = V, .data = logits + i * V };
  }
  vj_safetensors_save (file, tensors, model->n, NULL, error);
}

static void
save_adapter (const Model *model, const char *from, const char *to, const VjMllamaExample *examples, GError **error)
{
  static const char *const targets[] = { VJ_LORA_TARGETS, NULL };
  VjTunerConfig config = { .beta1 = 0.9, .beta2 = 0.98, .epsilon = 1e-8, .weight_decay = 0.1, .max_grad_norm = 1,
                           .lora = { .rank = 3, .alpha = 5, .dropout = 0.1, .targets = targets, .parts = 7, .seed = 2, .adapter = TRUE } };
  g_autoptr (VjMllamaTrainer) trainer = vj_mllama_trainer_open (from, "cpu", 2, "f32", &config, NULL, error);
  for (guint i = 0; i < 2 && trainer != NULL && *error == NULL; i++) {
    VjTunerStep step;
    vj_mllama_trainer_step (trainer, examples, model->n, 0.01, &step, error);
  }
  if (*error == NULL && vj_mllama_trainer_save (trainer, to, VJ_DTYPE_F32, error))
    write_logits (model, to, error);
}

int
main (int argc, char **argv)
{
  if (argc != 3)
    return 2;
  VjTunerConfig config = { .beta1 = 0.9, .beta2 = 0.98, .epsilon = 1e-8, .weight_decay = 0.1, .max_grad_norm = 1 };
  GError *error = NULL;
  Model model = { 0 };
  VjMllamaExample examples[MAX_CASES];
  g_autofree char *name = g_path_get_basename (argv[1]);
  g_autofree char *f32 = g_build_filename (argv[2], "f32", NULL), *bf16 = g_build_filename (argv[2], "bf16", NULL);
  g_autofree char *vectors = g_path_get_dirname (argv[1]), *tests = g_path_get_dirname (vectors), *up = g_path_get_dirname (tests), *source = g_path_get_dirname (up);
  g_setenv ("VJ_SRCDIR", source, TRUE);
  model_load (name, &model);
  model_examples (&model, examples);
  g_autoptr (VjMllamaTrainer) trainer = vj_mllama_trainer_open (argv[1], "cpu", 2, "f32", &config, NULL, &error);
  die (error);
  for (guint i = 0; i < 2; i++) {
    VjTunerStep step;
    vj_mllama_trainer_step (trainer, examples, model.n, 0.01, &step, &error);
    die (error);
  }
  if (vj_mllama_trainer_save (trainer, f32, VJ_DTYPE_F32, &error) && vj_mllama_trainer_save (trainer, bf16, VJ_DTYPE_BF16, &error)) {
    write_logits (&model, f32, &error);
    die (error);
    write_logits (&model, bf16, &error);
  }
  die (error);
  g_autofree char *adapter = g_build_filename (argv[2], "adapter", NULL);
  save_adapter (&model, argv[1], adapter, examples, &error);
  die (error);
  model_done (&model);
  return 0;
}
