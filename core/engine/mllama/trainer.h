/* What the files of the trainer share; nobody else includes it. */
#ifndef VJ_ENGINE_MLLAMA_TRAINER_H
#define VJ_ENGINE_MLLAMA_TRAINER_H

#include "engine/mllama/train.h"

struct VjMllamaTrainer {
  char *dir;
  VjTunerConfig config;
  VjCompute *compute;
  VjMllamaPlan *plan;
  VjMllamaNet net;
  VjF32 *state[4];     /* by VjMllamaState: flat, plan->n_elements each */
  guint64 steps;
  VjArena work;        /* activations of a micro-batch; grows */
  GHashTable *states;  /* vision frozen: pixel digest -> device memory [T N, H] */
  gsize states_bytes;
  VjMllamaProbe probe;
  void *probe_data;
};

/* Forward and backward of a micro-batch; gradients are added up, the loss (already divided by
 * `targets`, the target tokens of the whole step) is added to *loss. */
gboolean vj_mllama_micro_batch (VjMllamaTrainer *trainer, const VjMllamaExample *const *examples, gsize n, gsize targets,
                                double *loss, GError **error);

#endif
