/* vj/engine.h - the native vision-language engine, as its thin adapters see it
 * (plugins/backends/native.c, plugins/trainers/sft.c, `vjrun judge`).
 *
 * It knows models, prompts, pixels and tensors; nothing of recipes, records or
 * the store. Not thread-safe: one engine is driven by one thread, and runs its
 * own pool of workers inside. A result never depends on what else is in the
 * batch, on the number of threads, or on what was asked before. */
#ifndef VJ_ENGINE_H
#define VJ_ENGINE_H

#include <vj/chat.h>

G_BEGIN_DECLS

typedef struct VjEngine VjEngine;
typedef struct VjTuner VjTuner;

/* -- prompts --------------------------------------------------------------- */

/* One message of a chat: its images come before its text, as the family's template puts them. */
typedef struct {
  VjSpeaker speaker;
  const char *text; /* UTF-8; control tokens inside it are plain text, never tokens */
  const VjPixels *images; /* borrowed; the engine caches encoded images under their digest */
  gsize n_images;
} VjChatMessage;

/* -- opening --------------------------------------------------------------- */

/* The numbers that products multiply. auto: bf16 where the weights are stored in it (in training: and the machine
 * multiplies it faster), else f32. Sums and all other operations are in f32. */
#define VJ_ENGINE_DTYPES "auto", "f32", "bf16"

typedef struct {
  const char *compute;   /* name of a compute plugin, "auto", or NULL for "auto"              */
  guint threads;         /* 0: all processors of the process                                  */
  const char *dtype;     /* one of VJ_ENGINE_DTYPES; NULL: "auto"                             */
  gsize memory_limit;    /* bytes for activations, caches and encoded images, beside the weights;
                          * 0: half of what the machine has available once they are loaded    */
  guint max_batch;       /* sequences decoded together; 0: the engine chooses                 */
  guint step_tokens;     /* tokens of one forward pass, prompts being cut to fit; 0: the engine chooses */
  gboolean forget;       /* prompts that were answered are not kept for prompts that begin alike */
} VjEngineConfig;

/* Opens the Hugging Face model directory `dir` (config.json, *.safetensors, tokenizer.json,
 * preprocessor_config.json, optional generation_config.json), or a LoRA adapter in PEFT's layout (adapter_config.json,
 * adapter_model.safetensors), which names such a directory as its base and is merged into it in memory. Every fault of a hostile directory
 * is VJ_EXIT_DATA; a model, batch or memory limit that the machine's memory cannot hold is
 * VJ_EXIT_LIMIT, before it is tried. Free with vj_engine_free. */
VJ_API VjEngine *vj_engine_open (const char *dir, const VjEngineConfig *config, GError **error);
VJ_API void vj_engine_free (VjEngine *engine);

/* Lower-case SHA-256 over config, weights, tokenizer, preprocessing and generation version. Borrowed. */
VJ_API const char *vj_engine_identity (VjEngine *engine);

/* One line on what was opened: family, parameters, dtype, compute, batch, memory. Borrowed. */
VJ_API const char *vj_engine_summary (const VjEngine *engine);

/* -- generation ------------------------------------------------------------ */

/* temperature 0 is greedy. top_k 0, top_p 1, min_p 0 and repetition_penalty 0 or 1 switch those off. */
typedef struct {
  double temperature; /* [0, inf)                                          */
  guint top_k;        /* keep the k most likely; 0: all                    */
  double top_p;       /* (0, 1]: smallest set of at least this probability */
  guint max_tokens;   /* at least 1                                        */
  const char *const *stop; /* NULL-terminated strings that end the text and are cut off; NULL: none */
  double min_p;       /* [0, 1]: keep tokens at least this times as likely as the likeliest */
  double repetition_penalty; /* [0, inf): logits of the tokens of prompt and reply so far are divided by it when
                              * above 0, else multiplied, before all the rest (transformers' rule) */
  gboolean logprobs;  /* return the log-probability of each token          */
} VjGenerateOptions;

typedef struct {
  const VjChatMessage *messages;
  gsize n_messages;
  VjGenerateOptions options;
  const guint64 *seeds; /* [n]: one random stream per draw */
  guint n;              /* draws of this prompt; the prompt is prefilled once */
} VjGenerateRequest;

typedef struct {
  guint64 ticket;
  guint draw;           /* which of the n */
  char *text;           /* owned by the receiver; valid UTF-8 */
  VjFinish finish;
  guint prompt_tokens, completion_tokens;
  double *logprobs;     /* [completion_tokens], owned by the receiver; NULL unless asked for. Natural logarithms under
                         * the model's own distribution, before penalty, temperature and cuts. */
} VjGenerated;

/* Queues n draws under `ticket` (the caller's number, handed back with each draw). Copies what it needs.
 * A prompt that does not fit the model's positions or the memory limit is VJ_EXIT_DATA or VJ_EXIT_LIMIT. */
VJ_API gboolean vj_engine_submit (VjEngine *engine, guint64 ticket, const VjGenerateRequest *request, GError **error);

/* Runs the batch until one draw is finished and returns it. *ret_done is TRUE, with nothing returned,
 * when nothing is queued. Draws come in any order; their texts do not depend on it. */
VJ_API gboolean vj_engine_poll (VjEngine *engine, VjGenerated *ret_generated, gboolean *ret_done, GError **error);

/* A prompt, what the assistant has said since, and how it might go on. */
typedef struct {
  const VjChatMessage *messages;
  gsize n_messages;
  const char *begun;                /* the beginning of the reply; NULL or "": nothing yet */
  const char *const *continuations; /* [n] */
  gsize n;
} VjScoreRequest;

/* ret_logprobs[n] = the log-probability of each continuation given prompt and beginning (natural logarithm): the sum
 * over its tokens. Each continuation is split into tokens together with the beginning; where that splits the end of the
 * beginning differently, counting starts where the texts part, for all alike. So what is meaningful is the difference of
 * two. What they share runs once, continuations in batches. Draws in progress are neither disturbed nor moved on; when
 * they leave no memory it is VJ_EXIT_LIMIT. VJ_EXIT_DATA as vj_engine_submit, and for a continuation without a token. */
VJ_API gboolean vj_engine_score (VjEngine *engine, const VjScoreRequest *request, double *ret_logprobs, GError **error);

/* What was run and what was spared, since opening. */
typedef struct {
  guint64 steps;                /* forward passes                                   */
  guint64 tokens;               /* rows of them: prompts and replies                */
  guint64 reused;               /* prompt tokens taken over from a prompt that began alike, or shared by draws */
  guint64 images;               /* encodings made                                   */
} VjEngineWork;

VJ_API VjEngineWork vj_engine_work (const VjEngine *engine);

/* -- fine-tuning ----------------------------------------------------------- */

/* X (member, recipe name): parts of a model that can be held fixed. */
typedef enum {
  VJ_FREEZE_NONE = 0,
  VJ_FREEZE_VISION = 1 << 0, /* vision tower and projector   */
  VJ_FREEZE_CROSS = 1 << 1,  /* cross-attention layers       */
  VJ_FREEZE_TEXT = 1 << 2    /* self-attention layers, norms, embeddings, head */
} VjFreeze;

/* Linear layers by the last name of their modules, as Hugging Face calls them; fc1, fc2 and the projector are vision's. */
#define VJ_LORA_TARGETS \
  "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "fc1", "fc2", "multi_modal_projector"

/* Low-rank adaptation (Hu et al., 2021), as PEFT computes it: y = x w^T + alpha / rank (drop (x) A^T) B^T. A starts uniform in
 * +-1 / sqrt (inputs), B at zero. Only A and B are trained; the weights stay in their files, as they are stored. */
typedef struct {
  guint rank;                 /* 0: none, all weights are trained                                             */
  double alpha;               /* above 0                                                                      */
  double dropout;             /* [0, 1): of each input of A; drawn from seed, step, example and place         */
  const char *const *targets; /* NULL-terminated, of VJ_LORA_TARGETS; borrowed while opening                  */
  guint parts;                /* VjFreeze bits: where targets are looked for                                  */
  guint64 seed;               /* of A's start and of dropout                                                  */
  gboolean adapter;           /* vj_tuner_save writes A and B in PEFT's layout instead of the merged model    */
} VjLoraConfig;

/* AdamW (Loshchilov and Hutter, 2019), decoupled decay on matrices only. */
typedef struct {
  double beta1, beta2, epsilon, weight_decay;
  double max_grad_norm; /* 0: no clipping */
  guint freeze;         /* VjFreeze bits: no gradient is made for these parts, no moments kept */
  gboolean recompute;   /* of the layers' activations only the outputs are kept, the rest is made again in backward; the
                         * same bits, in less memory and a fifth to a third more time */
  VjLoraConfig lora;
} VjTunerConfig;

/* A conversation whose assistant messages are the targets: the loss counts their tokens and the
 * end-of-turn after each, nothing else. `weight` scales the example's loss; usually 1. */
typedef struct {
  const VjChatMessage *messages;
  gsize n_messages;
  double weight;
} VjTunerExample;

typedef struct {
  double loss;      /* mean cross-entropy per target token, nats */
  double grad_norm; /* before clipping */
  gsize tokens;     /* target tokens */
  gsize context;    /* all text tokens */
  gboolean finite;  /* FALSE: the step was not applied */
} VjTunerStep;

/* Bytes, after the steps so far. */
typedef struct {
  gsize trained;     /* what is trained, its gradients and moments, f32        */
  gsize held;        /* copies of weights that stay as they are                */
  gsize mapped;      /* weights that stay and are used where they lie in files */
  gsize activations; /* of the largest micro-batch                             */
} VjTunerMemory;

/* What can be told of settings without a model: VJ_EXIT_USAGE where no model could be trained with them. */
VJ_API gboolean vj_tuner_check (const VjTunerConfig *config, GError **error);

/* Opens `dir` for training. What is trained, its gradients and moments are f32; weights that stay as they are lie in their
 * files where they can. `engine->dtype` says what products multiply. With `init_seed` not NULL the weights are drawn anew
 * from it and the directory needs no *.safetensors. `dir` may hold an adapter in PEFT's layout: with a LoRA of the same
 * rank, scale and layers its training goes on; else it is merged first. */
VJ_API VjTuner *vj_tuner_open (const char *dir, const VjEngineConfig *engine, const VjTunerConfig *config,
                               const guint64 *init_seed, GError **error);
VJ_API void vj_tuner_free (VjTuner *tuner);

/* One optimizer step over `n` examples at `learning_rate`: forward, backward, clip, update.
 * Bit-equal for the same examples and state, whatever the number of threads. */
VJ_API gboolean vj_tuner_step (VjTuner *tuner, const VjTunerExample *examples, gsize n, double learning_rate,
                               VjTunerStep *ret_step, GError **error);

/* Writes a model directory that `transformers` opens: weights as `dtype` ("bf16" or "f32"), every other
 * file copied from the opened directory. With lora.adapter: one that PEFT opens, adapter_config.json and
 * adapter_model.safetensors (f32), whose base is the opened directory by its absolute path. `dir` must not exist; it
 * appears whole or not at all. */
VJ_API gboolean vj_tuner_save (VjTuner *tuner, const char *dir, const char *dtype, GError **error);

/* The full training state (what is trained in f32, moments, step; weights that are in no file), for exact resume. The file appears whole or not at all. */
VJ_API gboolean vj_tuner_checkpoint (const VjTuner *tuner, const char *file, GError **error);
VJ_API gboolean vj_tuner_restore (VjTuner *tuner, const char *file, GError **error);
/* Whether a checkpoint holds all that is trained here: one of other parts or of a LoRA does not. */
VJ_API gboolean vj_tuner_fits (const VjTuner *tuner, const char *file, gboolean *ret_fits, GError **error);
VJ_API guint64 vj_tuner_steps (const VjTuner *tuner); /* steps applied so far */
VJ_API VjTunerMemory vj_tuner_memory (const VjTuner *tuner);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjEngine, vj_engine_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjTuner, vj_tuner_free)

G_END_DECLS
#endif
