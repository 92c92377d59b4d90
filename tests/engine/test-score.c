/* Log-probabilities: of given continuations, equal to the model's logits after every token of the whole text; and of
 * the tokens that were drawn. */
#include "chats.h"
#include "engine/engine-private.h"

#include <math.h>

/* -- the long way ------------------------------------------------------------------------------ */

static VjMllamaVision *
encode (VjEngine *engine, const VjPixels *pixels)
{
  g_autoptr (GError) error = NULL;
  VjTiles tiles = {0};
  VjMllamaVision *vision;
  g_assert_true (vj_preprocess_image (&engine->preprocess, pixels, &tiles, &error));
  VjMllamaImage image = {tiles.pixels, tiles.n_tiles, tiles.aspect_ratio_id};
  g_assert_true (vj_mllama_encode (engine->model, &image, 1, &vision, &error));
  vj_tiles_clear (&tiles);
  return vision;
}

static GArray *
tokens_of (VjEngine *engine, const Chat *chat, const char *reply_text)
{
  g_auto (VjPrompt) prompt = {0};
  g_assert_true (vj_chat_render (&engine->chat, engine->tokenizer, chat->messages, chat->n, VJ_PROMPT_GENERATE, &prompt, NULL));
  g_assert_true (vj_tokenizer_encode (engine->tokenizer, reply_text, -1, prompt.tokens, NULL));
  return g_steal_pointer (&prompt.tokens);
}

/* Sum of log softmax over tokens [from, len): each by a prefill of all before it. */
static double
teacher_forced (VjEngine *engine, const Chat *chat, const GArray *tokens, guint from)
{
  gsize V = engine->config->vocab_size, n_images = chat->messages[0].n_images;
  g_autofree float *logits = g_new (float, V);
  VjMllamaVision *visions[MAX_IMAGES];
  double sum = 0;
  for (gsize i = 0; i < n_images; i++)
    visions[i] = encode (engine, &chat->images[0][i]);
  for (guint t = from; t < tokens->len; t++) {
    g_autoptr (VjMllamaSequence) sequence
        = vj_mllama_sequence_new (engine->model, (const guint32 *) (gpointer) tokens->data, t, visions, n_images, t, NULL);
    g_assert_true (vj_mllama_prefill (engine->model, &sequence, 1, logits, NULL));
    double total = 0;
    for (gsize v = 0; v < V; v++)
      total += exp ((double) logits[v]);
    sum += logits[g_array_index (tokens, guint32, t)] - log (total);
  }
  for (gsize i = 0; i < n_images; i++)
    vj_mllama_vision_unref (visions[i]);
  return sum;
}

/* -- scores --------------------------------------------------------------------------------------- */

static const char *const many[] = {"[[A]]", "[[B]]", "a", "left of the blue square, how many? ", "A", "a left", "12"};

static void
score (VjEngine *engine, const Chat *chat, const char *begun, gsize n, double *ret)
{
  g_autoptr (GError) error = NULL;
  g_assert_true (vj_engine_score (engine, &(VjScoreRequest){chat->messages, chat->n, begun, many, n}, ret, &error));
  g_assert_no_error (error);
}

/* Tokens that the texts of all continuations and the bare beginning have in common. */
static guint
shared_tokens (VjEngine *engine, const Chat *chat, const char *begun, gsize n)
{
  g_autoptr (GArray) bare = tokens_of (engine, chat, begun);
  guint shared = bare->len;
  for (gsize i = 0; i < n; i++) {
    g_autofree char *text = g_strconcat (begun, many[i], NULL);
    g_autoptr (GArray) tokens = tokens_of (engine, chat, text);
    guint k = 0;
    while (k < MIN (shared, tokens->len) && g_array_index (tokens, guint32, k) == g_array_index (bare, guint32, k))
      k++;
    shared = k;
  }
  return shared;
}

static void
check_scores (VjEngine *engine, const Chat *chat, const char *begun, gsize n)
{
  double scores[G_N_ELEMENTS (many)];
  guint shared = shared_tokens (engine, chat, begun, n);
  score (engine, chat, begun, n, scores);
  for (gsize i = 0; i < n; i++) {
    g_autofree char *text = g_strconcat (begun, many[i], NULL);
    g_autoptr (GArray) tokens = tokens_of (engine, chat, text);
    double expected = teacher_forced (engine, chat, tokens, shared);
    g_test_message ("'%s' + '%s': %.9f, expected %.9f over %u tokens", begun, many[i], scores[i], expected, tokens->len - shared);
    g_assert_cmpfloat (fabs (scores[i] - expected), <, 1e-9 * fabs (expected));
  }
}

/* "a bl" and "the blu" end within what would be a token with what follows. */
static void
test_scores_equal_teacher_forced_logits (void)
{
  static const char *const beginnings[] = {"", "the ", "Both name the circle. The verdict is [[", "a bl"};
  static const VjEngineConfig configs[] = {{.max_batch = 64}, {.max_batch = 1}, {.max_batch = 3, .step_tokens = 4}};
  for (guint c = 0; c < G_N_ELEMENTS (configs); c++) {
    g_autoptr (VjEngine) engine = open_engine (&configs[c]);
    for (guint images = 0; images < 3; images++) {
      g_autoptr (Chat) chat = plain_chat ("which is left?");
      for (guint i = 0; i < images; i++)
        put_image (chat, 0, 16, 16 + 8 * i, 1);
      for (guint b = 0; b < G_N_ELEMENTS (beginnings); b++) {
        check_scores (engine, chat, beginnings[b], G_N_ELEMENTS (many));
        check_scores (engine, chat, beginnings[b], 1);
      }
    }
  }
}

static void
test_what_scores_share_runs_once (void)
{
  g_autoptr (VjEngine) engine = open_engine (NULL);
  g_autoptr (Chat) chat = plain_chat ("which of the two is left of the blue square?");
  double first[2], again[2];
  put_image (chat, 0, 16, 16, 1);
  score (engine, chat, "the circle ", 2, first);
  guint64 tokens = vj_engine_work (engine).tokens;
  score (engine, chat, "the circle ", 2, again);
  g_assert_cmpmem (first, sizeof first, again, sizeof again);
  g_assert_cmpuint (vj_engine_work (engine).tokens - tokens, <, tokens / 2);
  g_assert_cmpuint (vj_engine_work (engine).images, ==, 1);
}

static void
test_unusable_scores_are_refused (void)
{
  g_autoptr (VjEngine) engine = open_engine (NULL);
  g_autoptr (Chat) chat = plain_chat ("hello");
  g_autofree char *lengthy = g_strnfill (3000, '?');
  const struct {
    const char *begun, *continuation;
  } faults[] = {{"a", ""}, {"", "\xff"}, {"\xff", "a"}, {lengthy, "a"}, {"", lengthy}};
  double score_ = 7;
  for (guint i = 0; i < G_N_ELEMENTS (faults); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_false (vj_engine_score (engine, &(VjScoreRequest){chat->messages, chat->n, faults[i].begun, &faults[i].continuation, 1}, &score_, &error));
    g_test_message ("%s", error->message);
    g_assert_cmpint (vj_error_exit (error), ==, VJ_EXIT_DATA);
  }
  g_assert_true (vj_engine_score (engine, &(VjScoreRequest){chat->messages, chat->n, NULL, NULL, 0}, &score_, NULL));
  g_assert_cmpfloat (score_, ==, 7);
}

/* -- drawn tokens --------------------------------------------------------------------------------- */

/* FALSE: the reply's text would be split into other tokens than those that were drawn. */
static gboolean
check_logprobs (VjEngine *engine, const Chat *chat, const VjGenerateOptions *options)
{
  VjGenerated now;
  g_autofree char *text = reply (engine, chat, options, 4, &now);
  g_autofree double *logprobs = now.logprobs;
  g_autoptr (GArray) tokens = tokens_of (engine, chat, text);
  double sum = 0, expected = teacher_forced (engine, chat, tokens, now.prompt_tokens);
  if (tokens->len != now.prompt_tokens + now.completion_tokens)
    return FALSE;
  for (guint i = 0; i < now.completion_tokens; i++)
    sum += logprobs[i];
  g_test_message ("%s: %.9f, expected %.9f", text, sum, expected);
  g_assert_cmpfloat (fabs (sum - expected), <, 1e-9 * fabs (expected));
  return TRUE;
}

/* The log-probabilities of a reply add up to its score, and neither penalty nor temperature enters them. */
static void
test_logprobs_are_the_models_own (void)
{
  g_autoptr (VjEngine) engine = open_engine (NULL);
  for (guint k = 0; k < 3; k++) {
    VjGenerateOptions options = {.temperature = k == 2 ? 1.5 : 0, .top_k = 40, .top_p = 1, .max_tokens = 4, .logprobs = TRUE,
                                 .repetition_penalty = k > 0 ? 1.4 : 1};
    guint checked = 0;
    for (guint q = 1; q < 60; q++) {
      g_autofree char *question = g_strnfill (q, "?! a"[q % 4]);
      g_autoptr (Chat) chat = plain_chat (question);
      checked += check_logprobs (engine, chat, &options);
    }
    g_assert_cmpuint (checked, >, 2);
  }
  g_autoptr (Chat) chat = plain_chat ("red");
  VjGenerated plain;
  g_free (reply (engine, chat, &(VjGenerateOptions){.top_p = 1, .max_tokens = 3}, 4, &plain));
  g_assert_null (plain.logprobs);
}

/* The greedy reply token by token, each by a prefill of all before it, the penalty put on a set of tokens. Owned. */
static char *
penalised_reply (VjEngine *engine, const Chat *chat, guint most, float penalty)
{
  gsize V = engine->config->vocab_size;
  g_autoptr (GArray) tokens = tokens_of (engine, chat, "");
  g_autofree float *logits = g_new (float, V);
  guint prompt = tokens->len;
  while (tokens->len < prompt + most) {
    g_autoptr (GHashTable) past = g_hash_table_new (NULL, NULL);
    g_autoptr (VjMllamaSequence) sequence
        = vj_mllama_sequence_new (engine->model, (const guint32 *) (gpointer) tokens->data, tokens->len, NULL, 0, tokens->len, NULL);
    g_assert_true (vj_mllama_prefill (engine->model, &sequence, 1, logits, NULL));
    for (guint i = 0; i < tokens->len; i++)
      g_hash_table_add (past, GUINT_TO_POINTER (g_array_index (tokens, guint32, i)));
    guint32 best = 0;
    for (guint32 v = 0; v < V; v++) {
      if (g_hash_table_contains (past, GUINT_TO_POINTER (v)))
        logits[v] = logits[v] > 0 ? logits[v] / penalty : logits[v] * penalty;
      best = logits[v] > logits[best] ? v : best;
    }
    for (guint i = 0; i < engine->ends->len; i++)
      if (g_array_index (engine->ends, guint32, i) == best)
        most = 0;
    if (most > 0)
      g_array_append_val (tokens, best);
  }
  return vj_tokenizer_decode (engine->tokenizer, (const guint32 *) (gpointer) tokens->data + prompt, tokens->len - prompt);
}

static void
test_penalty_counts_prompt_and_reply (void)
{
  g_autoptr (VjEngine) engine = open_engine (NULL);
  g_autoptr (Chat) chat = plain_chat ("left of the blue square, the square");
  g_autoptr (GHashTable) texts = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  static const double penalties[] = {1, 0.8, 1.1, 1.5, 1e6};
  for (guint i = 0; i < G_N_ELEMENTS (penalties); i++) {
    VjGenerateOptions options = {.top_p = 1, .max_tokens = 20, .repetition_penalty = penalties[i]};
    VjGenerated now;
    char *text = reply (engine, chat, &options, 0, &now);
    g_autofree char *expected = penalised_reply (engine, chat, 20, (float) penalties[i]);
    g_assert_cmpstr (text, ==, expected);
    g_hash_table_add (texts, text);
  }
  g_assert_cmpuint (g_hash_table_size (texts), >, 2);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/score/equals-teacher-forced-logits", test_scores_equal_teacher_forced_logits);
  g_test_add_func ("/score/what-is-shared-runs-once", test_what_scores_share_runs_once);
  g_test_add_func ("/score/unusable-is-refused", test_unusable_scores_are_refused);
  g_test_add_func ("/score/logprobs-are-the-models-own", test_logprobs_are_the_models_own);
  g_test_add_func ("/score/penalty-counts-prompt-and-reply", test_penalty_counts_prompt_and_reply);
  return g_test_run ();
}
