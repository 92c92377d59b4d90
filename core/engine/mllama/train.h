/* Training an mllama on token ids and pixels: forward, backward, AdamW, saving. Text and pixels become
 * examples in engine/tuner.c. Deterministic: the same state and examples give the same bits, whatever the
 * number of threads and whatever was trained before. Driven by one thread. */
#ifndef VJ_ENGINE_MLLAMA_TRAIN_H
#define VJ_ENGINE_MLLAMA_TRAIN_H

#include "engine/mllama/net.h"
#include "vj/engine.h"

typedef struct VjMllamaTrainer VjMllamaTrainer;

/* One sequence. Borrowed for the call. */
typedef struct {
  const guint32 *tokens;       /* [n_tokens]; image_token_index once per image */
  const guint8 *targets;       /* [n_tokens]: 1 where the token is to be predicted from those before it; [0] is ignored */
  gsize n_tokens;
  const VjMllamaImage *images; /* [n_images] in the order of their tokens */
  const char *const *digests;  /* [n_images] names of the pixels: equal name, equal pixels. NULL: no name */
  gsize n_images;
  double weight;               /* scales the loss of this example, > 0 */
} VjMllamaExample;

/* vj_tuner_check. */
VJ_API gboolean vj_mllama_trainer_check (const VjTunerConfig *config, GError **error);

/* Weights from `dir`, which may be an adapter's (adapter.h), or fresh ones from *seed when it is not NULL; `dtype` as in VjEngineConfig. VJ_EXIT_DATA, VJ_EXIT_LIMIT. */
VJ_API VjMllamaTrainer *vj_mllama_trainer_open (const char *dir, const char *compute, guint threads, const char *dtype, const VjTunerConfig *config,
                                                const guint64 *seed, GError **error);
VJ_API void vj_mllama_trainer_free (VjMllamaTrainer *trainer);
VJ_API const VjMllamaPlan *vj_mllama_trainer_peek_plan (const VjMllamaTrainer *trainer);

/* Loss and gradient of the examples; the weights stay. ret_step as vj_tuner_step, grad_norm included. */
VJ_API gboolean vj_mllama_trainer_gradient (VjMllamaTrainer *trainer, const VjMllamaExample *examples, gsize n,
                                            VjTunerStep *ret_step, GError **error);

/* The same, then clipping and AdamW, unless something is not finite. */
VJ_API gboolean vj_mllama_trainer_step (VjMllamaTrainer *trainer, const VjMllamaExample *examples, gsize n, double learning_rate,
                                        VjTunerStep *ret_step, GError **error);
VJ_API guint64 vj_mllama_trainer_steps (const VjMllamaTrainer *trainer);

typedef enum { VJ_STATE_PARAM, VJ_STATE_GRAD, VJ_STATE_M, VJ_STATE_V } VjMllamaState;

/* Copies weight i's values (of the model as opened, without factors that are trained), gradient (of the last call) or
 * moments (zeros where there are none); [n_elements]. Setting: FALSE when the weight has no such state, or no memory. */
VJ_API void vj_mllama_trainer_get (VjMllamaTrainer *trainer, VjMllamaState state, guint i, float *ret_values);
VJ_API gboolean vj_mllama_trainer_set (VjMllamaTrainer *trainer, VjMllamaState state, guint i, const float *values);

/* A tensor that is trained: a weight, or one of its factors. */
typedef enum { VJ_FACTOR_NONE, VJ_FACTOR_A, VJ_FACTOR_B } VjMllamaFactor;

typedef struct {
  char *key;             /* of the weight, or PEFT's of the factor */
  guint weight;          /* index in the plan */
  VjMllamaFactor factor;
  guint n_dims;
  gsize dims[4], n_elements;
  gsize offset;          /* elements, in the flat states */
} VjMllamaTrained;

VJ_API const VjMllamaTrained *vj_mllama_trainer_peek_trained (const VjMllamaTrainer *trainer, guint *ret_n);
VJ_API void vj_mllama_trainer_get_trained (VjMllamaTrainer *trainer, VjMllamaState state, guint t, float *ret_values);
VJ_API void vj_mllama_trainer_set_trained (VjMllamaTrainer *trainer, VjMllamaState state, guint t, const float *values);
VJ_API VjTunerMemory vj_mllama_trainer_memory (const VjMllamaTrainer *trainer);

/* As vj_tuner_save, vj_tuner_checkpoint and vj_tuner_restore. */
VJ_API gboolean vj_mllama_trainer_save (VjMllamaTrainer *trainer, const char *dir, VjDtype dtype, GError **error);
VJ_API gboolean vj_mllama_trainer_checkpoint (VjMllamaTrainer *trainer, const char *file, GError **error);
VJ_API gboolean vj_mllama_trainer_restore (VjMllamaTrainer *trainer, const char *file, GError **error);
VJ_API gboolean vj_mllama_trainer_fits (const VjMllamaTrainer *trainer, const char *file, gboolean *ret_fits, GError **error);

/* For tests: what the last forward pass of one micro-batch left. x of layer l is what layer l - 1 put out: for all rows up to
 * the last self-attention layer, from there on for `few`, those that predict a target. */
typedef void (*VjMllamaProbe) (void *data, const VjMllamaNet *net, const VjMllamaRows *rows, const VjMllamaRows *few, const VjMllamaText *layers,
                               const VjF32 *states, gsize n_states);
VJ_API void vj_mllama_trainer_set_probe (VjMllamaTrainer *trainer, VjMllamaProbe probe, void *data);

/* For tests: whether layers share what backward can make anew; at first they do in large models. */
VJ_API void vj_mllama_trainer_set_remake (VjMllamaTrainer *trainer, gboolean remake);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjMllamaTrainer, vj_mllama_trainer_free)

#endif
