/* bench-generate: how fast the engine reads and speaks. A worker (see bench-kit.h) with the rows
 *
 *   prefill   encodes the images of the first case and runs its tokens, up to the first logits
 *   decode    the same once, then appends --tokens tokens one by one; only these are timed
 *   replies   puts every prompt to the engine, with --draws draws each, and waits for all of them
 *
 * No repetition finds an image or a prompt of the one before: images are renamed, sequences made anew. */
#include "bench-kit.h"

#include "engine/mllama/mllama.h"
#include "engine/preprocess.h"

#include <string.h>

/* -- the model itself: prefill, decode ------------------------------------------------- */

typedef struct {
  const BenchOptions *options;
  const BenchCase *bench_case;
  VjMllama *model;
  VjPreprocess preprocess;
  VjMllamaSequence *base; /* decode: the prompt, run once */
  float *logits;          /* [V] */
} Model;

static VjMllamaSequence *
run_prompt (Model *m, GError **error)
{
  const BenchCase *c = m->bench_case;
  g_autofree VjTiles *tiles = g_new0 (VjTiles, c->n_images + 1);
  g_autofree VjMllamaImage *images = g_new0 (VjMllamaImage, c->n_images + 1);
  g_autofree VjMllamaVision **visions = g_new0 (VjMllamaVision *, c->n_images + 1);
  gboolean ok = TRUE;
  for (gsize i = 0; ok && i < c->n_images; i++) {
    ok = vj_preprocess_image (&m->preprocess, &c->images[i], &tiles[i], error);
    images[i] = (VjMllamaImage) { tiles[i].pixels, tiles[i].n_tiles, tiles[i].aspect_ratio_id };
  }
  ok = ok && (c->n_images == 0 || vj_mllama_encode (m->model, images, c->n_images, visions, error));
  const guint32 *tokens = (const guint32 *) (gpointer) c->tokens->data;
  g_autoptr (VjMllamaSequence) sequence = NULL;
  if (ok)
    sequence = vj_mllama_sequence_new (m->model, tokens, c->tokens->len, visions, c->n_images,
                                       c->tokens->len + m->options->tokens, error);
  for (gsize i = 0; i < c->n_images; i++) {
    vj_tiles_clear (&tiles[i]);
    g_clear_pointer (&visions[i], vj_mllama_vision_unref);
  }
  if (sequence == NULL || !vj_mllama_prefill (m->model, &sequence, 1, m->logits, error))
    return NULL;
  return g_steal_pointer (&sequence);
}

static gboolean
prefill_step (void *data, BenchSample *sample, GError **error)
{
  Model *m = data;
  bench_clock_start (sample);
  g_autoptr (VjMllamaSequence) sequence = run_prompt (m, error);
  bench_clock_stop (sample);
  sample->prompt = m->bench_case->tokens->len;
  return sequence != NULL;
}

static guint32
most_likely (const float *logits, guint32 n)
{
  guint32 best = 0;
  for (guint32 i = 1; i < n; i++)
    best = logits[i] > logits[best] ? i : best;
  return best;
}

static gboolean
decode_step (void *data, BenchSample *sample, GError **error)
{
  Model *m = data;
  guint32 vocab = vj_mllama_peek_config (m->model)->vocab_size;
  if (m->base == NULL && (m->base = run_prompt (m, error)) == NULL)
    return FALSE;
  const GArray *prompt = m->bench_case->tokens;
  g_autoptr (VjMllamaSequence) sequence = vj_mllama_sequence_fork (m->base, prompt->len + m->options->tokens, error);
  if (sequence == NULL)
    return FALSE;
  guint32 token = g_array_index (prompt, guint32, prompt->len - 1);
  g_autofree float *logits = g_new (float, vocab);
  bench_clock_start (sample);
  for (guint i = 0; i < m->options->tokens; i++) {
    if (!vj_mllama_decode (m->model, &sequence, &token, 1, logits, error))
      return FALSE;
    token = most_likely (logits, vocab);
  }
  bench_clock_stop (sample);
  sample->reply = m->options->tokens;
  return TRUE;
}

static gboolean
serve_model (const BenchOptions *options, BenchStep step, GError **error)
{
  Model m = { .options = options, .bench_case = options->cases->pdata[0] };
  g_autofree char *file = g_build_filename (options->model, "preprocessor_config.json", NULL);
  g_autofree char *summary = NULL;
  const VjEngineConfig *engine = &options->engine;
  gboolean ok = vj_preprocess_load (file, &m.preprocess, error)
                && (m.model = vj_mllama_open (options->model, engine->compute, engine->threads, engine->dtype, error)) != NULL;
  if (ok) {
    m.logits = g_new (float, vj_mllama_peek_config (m.model)->vocab_size);
    summary = g_strdup_printf ("%s, compute %s", vj_mllama_peek_dtype (m.model), vj_mllama_peek_compute (m.model));
    ok = bench_serve (summary, step, &m, error);
  }
  g_clear_pointer (&m.base, vj_mllama_sequence_free);
  g_clear_pointer (&m.model, vj_mllama_free);
  g_free (m.logits);
  return ok;
}

/* -- the engine: replies ------------------------------------------------------------------ */

typedef struct {
  const BenchOptions *options;
  VjEngine *engine;
  guint round;
} Speaker;

static gboolean
submit (Speaker *s, guint i, GError **error)
{
  const BenchCase *c = s->options->cases->pdata[i];
  g_autofree guint64 *seeds = g_new (guint64, s->options->draws);
  g_autofree VjPixels *images = g_memdup2 (c->images, (c->n_images + 1) * sizeof *images);
  for (guint d = 0; d < s->options->draws; d++)
    seeds[d] = ((guint64) s->round * s->options->cases->len + i) * s->options->draws + d;
  for (gsize k = 0; k < c->n_images; k++)
    images[k].digest = g_strdup_printf ("%s-%u", c->images[k].digest, s->round);
  VjChatMessage message = { .speaker = VJ_SPEAKER_USER, .text = c->prompt, .images = images, .n_images = c->n_images };
  VjGenerateOptions how = { .temperature = s->options->temperature, .top_p = 1, .max_tokens = s->options->tokens };
  VjGenerateRequest request = { &message, 1, how, seeds, s->options->draws };
  gboolean ok = vj_engine_submit (s->engine, i, &request, error);
  for (gsize k = 0; k < c->n_images; k++)
    g_free ((void *) images[k].digest);
  return ok;
}

static gboolean
replies_step (void *data, BenchSample *sample, GError **error)
{
  Speaker *s = data;
  gboolean done = FALSE;
  bench_clock_start (sample);
  for (guint i = 0; i < s->options->cases->len; i++)
    if (!submit (s, i, error))
      return FALSE;
  s->round++;
  while (!done) {
    VjGenerated generated = { 0 };
    if (!vj_engine_poll (s->engine, &generated, &done, error))
      return FALSE;
    sample->prompt += generated.draw == 0 ? generated.prompt_tokens : 0;
    sample->reply += generated.completion_tokens;
    g_free (generated.text);
  }
  bench_clock_stop (sample);
  return TRUE;
}

static gboolean
serve_engine (const BenchOptions *options, GError **error)
{
  g_autoptr (VjEngine) engine = vj_engine_open (options->model, &options->engine, error);
  Speaker s = { .options = options, .engine = engine };
  return engine != NULL && bench_serve (vj_engine_summary (engine), replies_step, &s, error);
}

int
main (int argc, char **argv)
{
  g_auto (BenchOptions) options = { 0 };
  GError *error = NULL;
  if (!bench_options_init (&options, argc, argv, &error))
    return bench_exit (error);
  if (strcmp (options.row, "prefill") == 0)
    serve_model (&options, prefill_step, &error);
  else if (strcmp (options.row, "decode") == 0)
    serve_model (&options, decode_step, &error);
  else if (strcmp (options.row, "replies") == 0)
    serve_engine (&options, &error);
  else
    vj_fail (&error, VJ_EXIT_USAGE, "bench-generate: '%s': no such row; there are prefill, decode and replies",
             options.row);
  return bench_exit (error);
}
