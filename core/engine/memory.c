/* The budget: what a model needs beside its weights is known before anything runs, from its configuration, the batch
 * and the positions. Activations and logits are taken once; the rest of the limit is for caches and encoded images, and
 * nothing is begun that does not fit into it. */
#include "engine/engine-private.h"

/* Draws decoded together: small models gain from many rows, large ones pay for them in memory. */
#define BATCH_SMALL 128u
#define BATCH_LARGE 16u
#define LARGE_PARAMETERS 1000000000u
/* Tokens of a forward pass: enough to keep the products busy, few enough not to make running draws wait. */
#define STEP_TOKENS 512u
#define LEAST_STEP 16u
/* A cache shorter than this is of no use. */
#define LEAST_TOKENS 64u

/* Activations of the largest step, its logits on device and host, and one more row of them for each prompt. */
static gsize
work_bytes (const VjEngine *engine)
{
  gsize rows = MAX (engine->step_tokens, engine->max_batch), V = engine->config->vocab_size;
  gsize logits = 2 * (gsize) engine->max_batch * V * sizeof (float);
  return vj_mllama_work_bytes (engine->model, rows, engine->max_batch) + logits;
}

/* What one prompt of LEAST_TOKENS with one image needs. */
static gsize
least_bytes (const VjEngine *engine)
{
  return vj_mllama_sequence_bytes (engine->model, MIN (LEAST_TOKENS, engine->config->max_position_embeddings)) +
         vj_mllama_vision_bytes (engine->model);
}

/* What the caller left to the engine is made smaller until half the limit remains for caches. */
static void
fit (VjEngine *engine, const VjEngineConfig *config, gsize limit)
{
  gboolean large = vj_mllama_parameters (engine->model) > LARGE_PARAMETERS;
  engine->max_batch = config->max_batch > 0 ? config->max_batch : large ? BATCH_LARGE : BATCH_SMALL;
  engine->step_tokens = config->step_tokens > 0 ? config->step_tokens : STEP_TOKENS;
  while (work_bytes (engine) > limit / 2) {
    gboolean step = config->step_tokens == 0 && engine->step_tokens > LEAST_STEP;
    gboolean batch = config->max_batch == 0 && engine->max_batch > 1;
    if (!step && !batch)
      break;
    if (step)
      engine->step_tokens /= 2;
    if (batch)
      engine->max_batch /= 2;
  }
}

static double
mebi (gsize bytes)
{
  return (double) bytes / (1 << 20);
}

gboolean
vj_engine_plan_memory (VjEngine *engine, const VjEngineConfig *config, GError **error)
{
  gsize available = vj_mllama_memory_left (engine->model), limit = config->memory_limit;
  const char *whose = "the limit";
  if (limit == 0) {
    /* A second model may be opened beside this one, and mapped weights want to stay in memory, as far as they can. */
    gsize mapped = vj_mllama_mapped_bytes (engine->model);
    limit = available == G_MAXSIZE ? G_MAXSIZE : (available - MIN (mapped, available / 4 * 3)) / 2;
    whose = "half of what this machine has available beside them";
  } else if (limit > available) {
    limit = available;
    whose = "what this machine has available, which is less than the limit";
  }
  fit (engine, config, limit);
  engine->forget = config->forget;
  engine->work_bytes = work_bytes (engine);
  if (engine->work_bytes > limit || least_bytes (engine) > limit - engine->work_bytes)
    return vj_fail (error, VJ_EXIT_LIMIT,
                    "%s: 'memory_limit': beside its weights the model needs at least %.1f MiB: %.1f for the activations of %u tokens and %u draws "
                    "at a time, %.1f for the cache of %u tokens and one image; %s is %.1f MiB; raise the limit, lower max_batch, or use a "
                    "smaller model",
                    engine->dir, mebi (engine->work_bytes + least_bytes (engine)), mebi (engine->work_bytes),
                    MAX (engine->step_tokens, engine->max_batch), engine->max_batch, mebi (least_bytes (engine)),
                    LEAST_TOKENS, whose, mebi (limit));
  engine->cache_limit = limit == G_MAXSIZE ? G_MAXSIZE : limit - engine->work_bytes;
  return TRUE;
}

gboolean
vj_engine_make_room (VjEngine *engine, gsize bytes)
{
  for (;;) {
    gsize taken = engine->memory_used + vj_mllama_spare_bytes (engine->model);
    if (bytes <= engine->cache_limit && taken <= engine->cache_limit - bytes)
      return TRUE;
    if (vj_mllama_spare_bytes (engine->model) > 0)
      vj_mllama_trim (engine->model);
    else if (!vj_prefixes_drop (engine) && !vj_images_drop (engine))
      return FALSE;
  }
}
