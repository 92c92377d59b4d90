/* What the files of the trainer share; nobody else includes it. */
#ifndef VJ_ENGINE_MLLAMA_TRAINER_H
#define VJ_ENGINE_MLLAMA_TRAINER_H

#include "engine/mllama/adapter.h"
#include "engine/mllama/train.h"

struct VjMllamaTrainer {
  char *dir;             /* of config, tokenizer and weights: an adapter's base */
  VjTunerConfig config;  /* freeze: all parts in which nothing is trained */
  VjCompute *compute;
  VjMllamaPlan *plan;
  VjSafetensors *file;   /* weights that stay; NULL when they were drawn anew */
  VjMllamaAdapter *adapter; /* that `dir` held; NULL: none */
  gboolean continued;    /* its factors are what is trained; else it is merged into the weights */
  VjMllamaNet net;
  GArray *trained;       /* VjMllamaTrained, in the order of their offsets */
  gsize n_trained;       /* elements of each state, gaps included */
  VjF32 *state[4];       /* by VjMllamaState: flat, n_trained each */
  VjF32 **held;          /* [weights] memory of our own for a weight that stays; NULL: it lies in the file */
  gboolean *loose;       /* [weights] the copy's values are in no file: drawn anew, or restored */
  gsize held_bytes, mapped_bytes;
  guint64 steps;
  const VjMllamaExample *first; /* of the step at work: an example's number counts from here */
  VjArena work;          /* activations of a micro-batch; grows */
  GHashTable *states;    /* vision frozen: pixel digest -> device memory [T N, H] */
  gsize states_bytes;
  VjMllamaProbe probe;
  void *probe_data;
};

static inline const VjMllamaTrained *
vj_trained_at (const VjMllamaTrainer *trainer, guint t)
{
  return &g_array_index (trainer->trained, VjMllamaTrained, t);
}

/* -- trainer-weights.c: what is trained, and what stays ------------------------ */

/* Lists what is trained, takes memory for it, and gives every weight its place; values follow. */
gboolean vj_trainer_place (VjMllamaTrainer *trainer, GError **error);

/* Values from the file or from *seed. */
gboolean vj_trainer_load (VjMllamaTrainer *trainer, const guint64 *seed, GError **error);
void vj_trainer_release (VjMllamaTrainer *trainer);

/* Weight i, which is not trained, is given a copy of its own with these values. */
gboolean vj_trainer_hold (VjMllamaTrainer *trainer, guint i, const float *values, GError **error);

/* Forgets image states: the vision tower has changed. */
void vj_trainer_forget_states (VjMllamaTrainer *trainer);

/* -- trainer-adapter.c ------------------------------------------------------------- */

/* adapter_config.json and adapter_model.safetensors into the existing `dir`. VJ_EXIT_STORE. */
gboolean vj_trainer_write_adapter (VjMllamaTrainer *trainer, const char *dir, GError **error);

/* Adds scale B A of the trained factors of weight i, if it has some, to its values. */
void vj_trainer_merge (VjMllamaTrainer *trainer, guint i, float *values);

/* -- micro-batch.c --------------------------------------------------------------- */

/* Rows that an example takes: up to the last one that predicts a target, for it sees nothing of those after it; 0 without targets. */
gsize vj_mllama_example_rows (const VjMllamaExample *e);

/* Forward and backward of a micro-batch; gradients are added up, the loss (already divided by
 * `targets`, the target tokens of the whole step) is added to *loss. */
gboolean vj_mllama_micro_batch (VjMllamaTrainer *trainer, const VjMllamaExample *const *examples, gsize n, gsize targets,
                                double *loss, GError **error);

#endif
