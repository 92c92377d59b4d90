/* Log-probabilities of given continuations: what they share is run once, from where it parts from a prompt in memory;
 * then each is a fork of it, and as many run together as the batch has rows for. */
#include "engine/scheduler.h"

#include <math.h>

typedef struct {
  VjEngine *engine;
  GPtrArray *images; /* VjShownImage *, held */
  GArray **texts;    /* [n] guint32: prompt, beginning and continuation */
  gsize n, shared;   /* tokens that all texts begin with */
  VjPrefix *base;    /* these, once run */
  VjMllamaSequence **forks; /* [n]; NULL: not running */
  double *logprobs;  /* [n] */
} Scoring;

static void
scoring_done (Scoring *scoring)
{
  for (gsize i = 0; i < scoring->n; i++) {
    g_clear_pointer (&scoring->texts[i], g_array_unref);
    vj_mllama_sequence_free (scoring->forks[i]);
  }
  vj_images_release (scoring->engine, scoring->images);
  g_free (scoring->texts);
  g_free (scoring->forks);
  g_free (scoring->logprobs);
}

static guint32
token_at (const GArray *tokens, gsize i)
{
  return g_array_index (tokens, guint32, i);
}

/* -- tokens ---------------------------------------------------------------------------- */

/* The prompt followed by the tokens of a reply. Owned. */
static GArray *
with_reply (const VjEngine *engine, const GArray *prompt, const char *begun, const char *continuation, GError **error)
{
  g_autofree char *reply = g_strconcat (begun, continuation, NULL);
  g_autoptr (GArray) tokens = g_array_new (FALSE, FALSE, sizeof (guint32));
  g_array_append_vals (tokens, prompt->data, prompt->len);
  return vj_tokenizer_encode (engine->tokenizer, reply, -1, tokens, error) ? g_steal_pointer (&tokens) : NULL;
}

static gsize
common (const GArray *a, const GArray *b, gsize most)
{
  gsize n = 0;
  most = MIN (most, MIN (a->len, b->len));
  while (n < most && token_at (a, n) == token_at (b, n))
    n++;
  return n;
}

static gboolean
read_texts (Scoring *scoring, const VjScoreRequest *given, GError **error)
{
  VjEngine *engine = scoring->engine;
  const char *begun = given->begun != NULL ? given->begun : "";
  g_autoptr (GArray) prompt = vj_prompt_tokens (engine, "score", given->messages, given->n_messages, error);
  g_autoptr (GArray) bare = prompt == NULL ? NULL : with_reply (engine, prompt, begun, "", error);
  if (bare == NULL || !vj_chat_hold_images (engine, "score", given->messages, given->n_messages, scoring->images,
                                            error))
    return FALSE;
  scoring->shared = bare->len;
  for (gsize i = 0; i < given->n; i++) {
    if ((scoring->texts[i] = with_reply (engine, prompt, begun, given->continuations[i], error)) == NULL)
      return FALSE;
    scoring->shared = common (bare, scoring->texts[i], scoring->shared);
  }
  for (gsize i = 0; i < given->n; i++)
    if (scoring->texts[i]->len <= scoring->shared
        || scoring->texts[i]->len - 1 > engine->config->max_position_embeddings)
      return vj_fail (error, VJ_EXIT_DATA,
                      "score: continuation %" G_GSIZE_FORMAT ": it has no token of its own, or the model has not the %u positions; "
                      "ask for another, or a shorter one", i + 1, scoring->texts[i]->len);
  return TRUE;
}

/* -- what all share ---------------------------------------------------------------------- */

/* Runs the shared tokens; the first token of every continuation is weighed by the logits after them. */
static gboolean
run_base (Scoring *scoring, GError **error)
{
  VjEngine *engine = scoring->engine;
  VjMllamaSequence *sequence = scoring->base->sequence;
  const guint32 *tokens = (const guint32 *) (gpointer) scoring->base->tokens->data;
  float *logits = engine->scheduler->logits;
  gsize shared;
  const VjPrefix *donor = vj_prefix_find (engine, scoring->base->shown, scoring->base->tokens, TRUE, &shared);
  if (donor != NULL)
    vj_mllama_sequence_adopt (sequence, donor->sequence, shared);
  engine->work.reused += donor != NULL ? shared : 0;
  for (gsize at; (at = vj_mllama_sequence_length (sequence)) < scoring->shared;) {
    gsize count = MIN (scoring->shared - at, engine->step_tokens);
    VjMllamaStretch stretch = {sequence, tokens + at, count, at + count == scoring->shared};
    engine->work.tokens += count;
    engine->work.steps++;
    if (!vj_mllama_extend (engine->model, &stretch, 1, logits, error))
      return FALSE;
  }
  for (gsize i = 0; i < scoring->n; i++)
    scoring->logprobs[i]
        = vj_log_probability (logits, engine->config->vocab_size, token_at (scoring->texts[i], scoring->shared));
  return TRUE;
}

static gboolean
no_memory (const VjEngine *engine, GError **error)
{
  return vj_fail (error, VJ_EXIT_LIMIT,
                  "score: no memory is left for the continuations: the memory limit leaves %" G_GSIZE_FORMAT
                  " bytes for caches, and draws in progress take %" G_GSIZE_FORMAT "; raise the limit, or ask when they are done",
                  engine->cache_limit, engine->memory_used);
}

static gboolean
begin_base (Scoring *scoring, GError **error)
{
  VjEngine *engine = scoring->engine;
  g_autofree char *shown = vj_images_shown (scoring->images);
  g_autoptr (GArray) tokens = g_array_new (FALSE, FALSE, sizeof (guint32));
  gsize bytes = vj_mllama_sequence_bytes (engine->model, scoring->shared);
  g_array_append_vals (tokens, scoring->texts[0]->data, (guint) scoring->shared);
  vj_prefix_touch (engine, shown, tokens);
  if (!vj_engine_make_room (engine, bytes + vj_mllama_joined_bytes (engine->model, scoring->images->len)))
    return no_memory (engine, error);
  if (!vj_images_encode (engine, (VjShownImage *const *) scoring->images->pdata, scoring->images->len, error))
    return FALSE;
  VjMllamaSequence *sequence = vj_prompt_sequence (engine, tokens, scoring->images, scoring->shared, error);
  if (sequence == NULL)
    return FALSE;
  engine->memory_used += bytes;
  scoring->base = vj_prefix_new (engine, shown, tokens, sequence, bytes);
  return TRUE;
}

/* -- continuations ------------------------------------------------------------------------- */

/* Forks for the continuations from `first` on that have more than one token, as many as memory and batch allow. Returns
 * the one after the last, `first` when there is no memory. */
static gsize
begin_forks (Scoring *scoring, gsize first, gsize *ret_bytes, GError **error)
{
  VjEngine *engine = scoring->engine;
  gsize i = first, taken = 0, running = 0;
  for (; i < scoring->n && running < engine->max_batch; i++) {
    gsize capacity = scoring->texts[i]->len - 1, bytes = vj_mllama_sequence_bytes (engine->model, capacity);
    if (capacity == scoring->shared)
      continue;
    if (!vj_engine_make_room (engine, bytes) ||
        (scoring->forks[i] = vj_mllama_sequence_fork (scoring->base->sequence, capacity, error)) == NULL)
      break;
    engine->memory_used += bytes;
    taken += bytes;
    running++;
  }
  *ret_bytes = taken;
  return i;
}

/* One pass over the forks [first, last): as many rows as there is room for logits. *ret_rows 0: all have run. */
static gboolean
run_forks (Scoring *scoring, gsize first, gsize last, gsize *ret_rows, GError **error)
{
  VjEngine *engine = scoring->engine;
  VjScheduler *s = engine->scheduler;
  gsize n = 0, rows = 0;
  g_autofree gsize *who = g_new (gsize, last - first);
  for (gsize i = first; i < last && rows < engine->max_batch; i++) {
    gsize at = scoring->forks[i] == NULL ? 0 : vj_mllama_sequence_length (scoring->forks[i]);
    gsize left = scoring->texts[i]->len - 1 - at;
    if (scoring->forks[i] == NULL || left == 0)
      continue;
    gsize count = MIN (left, engine->max_batch - rows);
    s->stretches[n] = (VjMllamaStretch){scoring->forks[i], &g_array_index (scoring->texts[i], guint32, at), count,
                                        count};
    who[n++] = i;
    rows += count;
  }
  *ret_rows = rows;
  if (rows == 0)
    return TRUE;
  engine->work.tokens += rows;
  engine->work.steps++;
  if (!vj_mllama_extend (engine->model, s->stretches, n, s->logits, error))
    return FALSE;
  const float *logits = s->logits;
  for (gsize k = 0; k < n; k++) {
    const GArray *text = scoring->texts[who[k]];
    gsize at = vj_mllama_sequence_length (s->stretches[k].sequence) - s->stretches[k].count;
    for (gsize t = 0; t < s->stretches[k].count; t++, logits += engine->config->vocab_size)
      scoring->logprobs[who[k]] += vj_log_probability (logits, engine->config->vocab_size, token_at (text, at + t + 1));
  }
  return TRUE;
}

static gboolean
run_continuations (Scoring *scoring, GError **error)
{
  VjEngine *engine = scoring->engine;
  for (gsize first = 0, last; first < scoring->n; first = last) {
    gsize bytes, rows;
    gboolean sound;
    g_autoptr (GError) cause = NULL;
    last = begin_forks (scoring, first, &bytes, &cause);
    if (last == first && cause != NULL) {
      g_propagate_error (error, g_steal_pointer (&cause));
      return FALSE;
    }
    if (last == first)
      return no_memory (engine, error);
    do
      sound = run_forks (scoring, first, last, &rows, error);
    while (sound && rows > 0);
    for (gsize i = first; i < last; i++)
      g_clear_pointer (&scoring->forks[i], vj_mllama_sequence_free);
    engine->memory_used -= bytes;
    if (!sound)
      return FALSE;
  }
  return TRUE;
}

/* With the images in use. */
static gboolean
score (Scoring *scoring, GError **error)
{
  VjEngine *engine = scoring->engine;
  gsize joined = vj_mllama_joined_bytes (engine->model, scoring->images->len);
  if (!begin_base (scoring, error))
    return FALSE;
  engine->memory_used += joined;
  gboolean sound = run_base (scoring, error) && run_continuations (scoring, error);
  vj_prefix_rest (engine, scoring->base);
  engine->memory_used -= joined;
  return sound;
}

gboolean
vj_engine_score (VjEngine *engine, const VjScoreRequest *given, double *ret_logprobs, GError **error)
{
  Scoring scoring = {.engine = engine, .images = g_ptr_array_new (), .texts = g_new0 (GArray *, given->n + 1),
                     .n = given->n,
                     .forks = g_new0 (VjMllamaSequence *, given->n + 1), .logprobs = g_new0 (double, given->n + 1)};
  gboolean sound = given->n == 0 || (vj_scheduler_reserve (engine, error) && read_texts (&scoring, given, error));
  if (sound && given->n > 0) {
    for (guint i = 0; i < scoring.images->len; i++)
      vj_image_use (engine, scoring.images->pdata[i]);
    sound = score (&scoring, error);
    for (guint i = 0; i < scoring.images->len; i++)
      vj_image_rest (engine, scoring.images->pdata[i]);
  }
  for (gsize i = 0; sound && i < given->n; i++) {
    if (isnan (scoring.logprobs[i]))
      sound = vj_fail (error, VJ_EXIT_DATA, "score: the model's output is not a number; its weights are broken");
    else
      ret_logprobs[i] = scoring.logprobs[i];
  }
  scoring_done (&scoring);
  return sound;
}
