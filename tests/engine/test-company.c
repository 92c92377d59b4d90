/* What a request is answered does not depend on what else is asked: not on the other requests and their order, the
 * batch, the threads, the memory, how prompts are cut, what is kept of earlier ones, nor on which of its draws were
 * answered in an earlier run. On every compute of a CPU. */
#include "chats.h"
#include "plugins.h"
#include "engine/engine-private.h"

#define N_CHATS 14
#define N_DRAWS 3
#define N_CROWDS 14

typedef struct {
  const char *compute, *dtype;
} Kind;

typedef struct {
  const char *compute, *dtype;
  Chat *chats[N_CHATS];
  VjGenerateOptions options[N_CHATS];
  guint64 seeds[N_CHATS][N_DRAWS];
  VjGenerated alone[N_CHATS][N_DRAWS]; /* what each says when alone */
  double scores[N_CHATS][2];           /* of `continuations`, when alone */
  gsize least;                         /* memory limit that is just enough for one at a time */
} Crowd;

static const char *const continuations[] = {"red", "blue square"};
static const char *const stop[] = {"e", "[[", NULL};

static void
crowd_init (Crowd *crowd, const Kind *kind)
{
  static const char *const words[] = {"red", "circle", "left", "of", "the", "blue", "square", "[[A]]", "how many", "12?"};
  VjRandom random;
  vj_random_init (&random, 99);
  *crowd = (Crowd){.compute = kind->compute, .dtype = kind->dtype};
  for (guint i = 0; i < N_CHATS; i++) {
    g_autoptr (GString) text = g_string_new (NULL);
    /* Chats 2k and 2k + 1 begin alike. */
    for (guint w = 0; w < 12; w++)
      g_string_append_printf (text, "%s ", words[(w * (i / 2) + 3) % G_N_ELEMENTS (words)]);
    for (guint w = 0; w < 1 + i % 5 * 4; w++)
      g_string_append_printf (text, "%s ", words[vj_random_below (&random, G_N_ELEMENTS (words))]);
    crowd->chats[i] = g_new0 (Chat, 1);
    put_message (crowd->chats[i], VJ_SPEAKER_USER, text->str);
    for (guint k = 0; k < i / 2 % 3; k++)
      put_image (crowd->chats[i], 0, 8 + 8 * (i / 2 % 4), 16 + 8 * k, k);
    crowd->options[i] = (VjGenerateOptions){.temperature = i % 4 * 0.5, .top_k = i % 2 * 20, .top_p = i % 3 ? 0.9 : 1, .max_tokens = 3 + i,
                                            .min_p = i % 5 == 1 ? 0.05 : 0, .repetition_penalty = i % 3 == 1 ? 1.3 : 1,
                                            .stop = i % 6 == 5 ? stop : NULL, .logprobs = TRUE};
    for (guint d = 0; d < N_DRAWS; d++)
      crowd->seeds[i][d] = vj_random_next (&random);
  }
}

static void
crowd_done (Crowd *crowd)
{
  for (guint i = 0; i < N_CHATS; i++) {
    chat_free (crowd->chats[i]);
    for (guint d = 0; d < N_DRAWS; d++) {
      g_free (crowd->alone[i][d].text);
      g_free (crowd->alone[i][d].logprobs);
    }
  }
}

static void
score (VjEngine *engine, const Chat *chat, double ret_scores[2])
{
  g_autoptr (GError) error = NULL;
  VjScoreRequest request = {chat->messages, chat->n, "the ", continuations, 2};
  g_assert_true (vj_engine_score (engine, &request, ret_scores, &error));
  g_assert_no_error (error);
}

static void
crowd_speak_alone (Crowd *crowd)
{
  for (guint i = 0; i < N_CHATS; i++) {
    VjEngineConfig config = {.compute = crowd->compute, .dtype = crowd->dtype, .threads = 1, .max_batch = 1, .step_tokens = 1000, .forget = TRUE};
    g_autoptr (VjEngine) engine = open_engine (&config);
    for (guint d = 0; d < N_DRAWS; d++)
      reply (engine, crowd->chats[i], &crowd->options[i], crowd->seeds[i][d], &crowd->alone[i][d]);
    score (engine, crowd->chats[i], crowd->scores[i]);
  }
}

/* The smallest memory limit, to the nearest 16 KiB, that every request fits alone. */
static gsize
find_least (const Crowd *crowd)
{
  g_autofree char *dir = model_dir ();
  gsize limit = 16384;
  for (gboolean fits = FALSE; !fits; limit += fits ? 0 : 16384) {
    g_autoptr (VjEngine) engine = vj_engine_open (dir, &(VjEngineConfig){.compute = crowd->compute, .dtype = crowd->dtype, .memory_limit = limit}, NULL);
    fits = engine != NULL;
    for (guint i = 0; fits && i < N_CHATS; i++) {
      VjGenerateRequest request = {crowd->chats[i]->messages, crowd->chats[i]->n, crowd->options[i], crowd->seeds[i], N_DRAWS};
      fits = vj_engine_submit (engine, i, &request, NULL);
    }
  }
  return limit;
}

static guint
check_spoken (const Crowd *crowd, VjEngine *engine, guint which[N_CHATS][N_DRAWS])
{
  VjGenerated now;
  if (!poll_one (engine, &now))
    return 0;
  const VjGenerated *alone = &crowd->alone[now.ticket][which[now.ticket][now.draw]];
  g_test_message ("chat %" G_GUINT64_FORMAT ", draw %u of %u", now.ticket, now.draw, which[now.ticket][now.draw]);
  g_assert_cmpstr (now.text, ==, alone->text);
  g_assert_cmpint (now.finish, ==, alone->finish);
  g_assert_cmpmem (now.logprobs, now.completion_tokens * sizeof (double), alone->logprobs, alone->completion_tokens * sizeof (double));
  g_free (now.text);
  g_free (now.logprobs);
  return 1;
}

/* Never more than the limit is taken; in the end, only what is kept in case. */
static void
check_memory (const VjEngine *engine, gboolean end)
{
  gsize kept = engine->images.idle.length * vj_mllama_vision_bytes (engine->model);
  g_assert_cmpuint (engine->memory_used, <=, engine->cache_limit);
  for (guint i = 0; i < engine->prefixes.all->len; i++)
    kept += ((const VjPrefix *) engine->prefixes.all->pdata[i])->bytes;
  if (end) {
    g_assert_cmpuint (engine->memory_used, ==, kept);
    g_assert_cmpuint (vj_mllama_spare_bytes (engine->model), <=, engine->cache_limit - kept);
    g_assert_cmpuint (engine->prefixes.idle.length, ==, engine->prefixes.all->len);
  }
}

/* Those draws of a chat that `half` holds, as when a run goes on with what is missing. */
static guint
some_draws (const Crowd *crowd, guint chat, guint half, guint which[N_DRAWS], guint64 seeds[N_DRAWS])
{
  guint n = 0;
  for (guint d = 0; d < N_DRAWS; d++)
    if (half == 2 || (crowd->seeds[chat][d] & 1) == half) {
      which[n] = d;
      seeds[n++] = crowd->seeds[chat][d];
    }
  return n;
}

/* All at once in another order, polls and scores in between. Returns the draws answered. */
static guint
crowd_speak_together (const Crowd *crowd, VjRandom *random, const VjEngineConfig *config, guint half)
{
  g_autoptr (VjEngine) engine = open_engine (config);
  guint order[N_CHATS], spoken = 0, which[N_CHATS][N_DRAWS];
  for (guint i = 0; i < N_CHATS; i++) {
    guint j = vj_random_below (random, i + 1);
    order[i] = order[j];
    order[j] = i;
  }
  for (guint i = 0; i < N_CHATS; i++) {
    guint chat = order[i], n;
    guint64 seeds[N_DRAWS];
    if ((n = some_draws (crowd, chat, half, which[chat], seeds)) > 0)
      submit (engine, chat, crowd->chats[chat], &crowd->options[chat], seeds, n);
    for (guint polls = vj_random_below (random, 3); polls > 0; polls--)
      spoken += check_spoken (crowd, engine, which);
    if (config->memory_limit == 0 && vj_random_below (random, 3) == 0) {
      double scores[2];
      score (engine, crowd->chats[chat], scores);
      g_assert_cmpmem (scores, sizeof scores, crowd->scores[chat], sizeof scores);
    }
  }
  for (guint one; (one = check_spoken (crowd, engine, which)) > 0; spoken += one)
    check_memory (engine, FALSE);
  check_memory (engine, TRUE);
  return spoken;
}

static void
test_answers_do_not_depend_on_company (gconstpointer data)
{
  static const guint batches[] = {0, 1, 2, 3, 5, 64}, steps[] = {0, 1, 3, 16, 1000};
  g_autofree char *missing = compute_missing (((const Kind *) data)->compute);
  Crowd crowd;
  VjRandom random;
  guint different = 0;
  if (missing != NULL) {
    g_test_skip (missing);
    return;
  }
  crowd_init (&crowd, data);
  crowd_speak_alone (&crowd);
  crowd.least = find_least (&crowd);
  for (guint i = 0; i < N_CHATS; i++)
    different += strcmp (crowd.alone[i][0].text, crowd.alone[i][1].text) != 0;
  g_assert_cmpuint (different, >, N_CHATS / 3); /* seeds matter, or this test says nothing */
  vj_random_init (&random, 4711);
  for (guint i = 0; i < N_CROWDS; i++) {
    VjEngineConfig config = {.compute = crowd.compute, .dtype = crowd.dtype, .threads = 1 + vj_random_below (&random, 3)};
    if (i % 3 == 2)
      config.memory_limit = crowd.least * (1 + vj_random_below (&random, 3));
    else {
      config.max_batch = batches[vj_random_below (&random, G_N_ELEMENTS (batches))];
      config.step_tokens = steps[vj_random_below (&random, G_N_ELEMENTS (steps))];
    }
    config.forget = vj_random_below (&random, 2) == 1;
    gboolean resumed = vj_random_below (&random, 3) == 0;
    g_test_message ("crowd %u: %u threads, batch %u, step %u, memory %" G_GSIZE_FORMAT ", forget %d, resumed %d", i, config.threads,
                    config.max_batch, config.step_tokens, config.memory_limit, config.forget, resumed);
    guint spoken = crowd_speak_together (&crowd, &random, &config, resumed ? 0 : 2);
    spoken += resumed ? crowd_speak_together (&crowd, &random, &config, 1) : 0;
    g_assert_cmpuint (spoken, ==, N_CHATS * N_DRAWS);
  }
  crowd_done (&crowd);
}

/* -- what is spared ------------------------------------------------------------------------ */

static const char long_question[] = "red circle left of the blue square how many 12 red circle left of the blue square how many 12 ";

static Chat *
question (const char *first, const char *second)
{
  g_autofree char *text = g_strconcat (long_question, first, " or ", second, NULL);
  Chat *chat = plain_chat (text);
  put_image (chat, 0, 16, 16, 1);
  return chat;
}

static void
drop_all (VjEngine *engine, guint expected)
{
  VjGenerated generated;
  guint n = 0;
  for (; poll_one (engine, &generated); n++)
    g_free (generated.text);
  g_assert_cmpuint (n, ==, expected);
}

/* Both orders of a pair at once, then a third prompt that begins alike when these are done. */
static void
test_what_prompts_share_runs_once (void)
{
  VjGenerateOptions options = {.top_p = 1, .max_tokens = 2};
  g_autoptr (Chat) ab = question ("seven", "eight"), ba = question ("eight", "seven"), other = question ("nine", "ten");
  guint64 seeds[3] = {1, 2, 3}, tokens[2] = {0}, reused = 0;
  for (guint forget = 0; forget < 2; forget++) {
    g_autoptr (VjEngine) engine = open_engine (&(VjEngineConfig){.forget = (gboolean) forget});
    submit (engine, 1, ab, &options, seeds, 1);
    submit (engine, 2, ba, &options, seeds, 1);
    drop_all (engine, 2);
    submit (engine, 3, other, &options, seeds, 3);
    drop_all (engine, 3);
    VjEngineWork work = vj_engine_work (engine);
    g_assert_cmpuint (work.images, ==, 1);
    tokens[forget] = work.tokens;
    reused = forget ? reused - work.reused : work.reused;
  }
  g_test_message ("%" G_GUINT64_FORMAT " rows, %" G_GUINT64_FORMAT " when nothing is kept; %" G_GUINT64_FORMAT " tokens spared", tokens[0], tokens[1], reused);
  g_assert_cmpuint (reused, >, 2 * 30);
  g_assert_cmpuint (tokens[0] + reused, ==, tokens[1]);
}

/* The next turn of a chat begins with the prompt and the reply before it, where the reply's text has the tokens that
 * were drawn: this model also says pieces of characters. */
static void
test_the_next_turn_reuses_the_reply (void)
{
  VjGenerateOptions options = {.temperature = 1, .top_p = 1, .max_tokens = 3};
  guint reused = 0;
  for (guint64 seed = 0; seed < 20; seed++) {
    char *texts[2];
    for (guint forget = 0; forget < 2; forget++) {
      g_autoptr (VjEngine) engine = open_engine (&(VjEngineConfig){.forget = (gboolean) forget});
      g_autoptr (Chat) chat = question ("seven", "eight");
      VjGenerated first, second;
      g_autofree char *said = reply (engine, chat, &options, seed, &first);
      put_message (chat, VJ_SPEAKER_ASSISTANT, said);
      put_message (chat, VJ_SPEAKER_USER, "why?");
      texts[forget] = reply (engine, chat, &options, seed, &second);
      reused += vj_engine_work (engine).reused > first.prompt_tokens;
    }
    g_assert_cmpstr (texts[0], ==, texts[1]);
    g_free (texts[0]);
    g_free (texts[1]);
  }
  g_test_message ("%u replies reused", reused);
  g_assert_cmpuint (reused, >, 3);
}

/* A seed whose reply is cut at its longest. */
static guint64
lasting_seed (const Chat *chat, const VjGenerateOptions *options)
{
  g_autoptr (VjEngine) engine = open_engine (NULL);
  for (guint64 seed = 0;; seed++) {
    VjGenerated generated;
    g_free (reply (engine, chat, options, seed, &generated));
    if (generated.completion_tokens == options->max_tokens)
      return seed;
  }
}

/* While a long prompt is run, a draw goes on with a token in every step, and no step is larger than asked. */
static void
test_a_long_prompt_does_not_stop_draws (void)
{
  g_autoptr (VjEngine) engine = open_engine (&(VjEngineConfig){.step_tokens = 8});
  g_autofree char *words = g_strnfill (220, '?');
  g_autoptr (Chat) brief = plain_chat ("?"), lengthy = plain_chat (words);
  VjGenerateOptions options = {.temperature = 1, .top_p = 1, .max_tokens = 12}, one = {.top_p = 1, .max_tokens = 1};
  guint64 seed = lasting_seed (brief, &options);
  VjGenerated generated;
  submit (engine, 1, brief, &options, &seed, 1);
  submit (engine, 2, lengthy, &one, &seed, 1);
  g_assert_true (poll_one (engine, &generated));
  VjEngineWork first = vj_engine_work (engine);
  g_assert_cmpuint (generated.ticket, ==, 1);
  g_assert_cmpuint (generated.completion_tokens, ==, 12);
  g_assert_cmpuint (first.steps, ==, (generated.prompt_tokens + 7) / 8 + 11);
  g_free (generated.text);
  g_assert_true (poll_one (engine, &generated));
  g_assert_cmpuint (generated.ticket, ==, 2);
  g_assert_cmpuint (generated.prompt_tokens, >, 8 * 12);
  g_free (generated.text);
  VjEngineWork all = vj_engine_work (engine);
  g_assert_cmpuint (all.tokens, <=, 8 * all.steps);
  g_assert_cmpuint (all.tokens, >, 7 * (all.steps - 2)); /* and the steps are used */
}

/* A prompt that waited for another comes to its end while every place is taken: its draw has to wait for one. */
static void
test_prompts_end_when_there_is_a_place (void)
{
  g_autoptr (VjEngine) engine = open_engine (&(VjEngineConfig){.max_batch = 3}), alone = open_engine (&(VjEngineConfig){.forget = TRUE});
  VjGenerateOptions options = {.temperature = 1, .top_p = 1, .max_tokens = 6};
  g_autoptr (Chat) first = question ("seven", "eight"), second = question ("seven", "nine"), third = plain_chat ("?");
  const Chat *chats[] = {first, second, third};
  char *expected[3];
  for (guint i = 0; i < 3; i++) {
    VjGenerated generated;
    guint64 seed = lasting_seed (chats[i], &options), seeds[3] = {seed, seed, seed};
    expected[i] = reply (alone, chats[i], &options, seed, &generated);
    submit (engine, i, chats[i], &options, seeds, i < 2 ? 1 : 3);
  }
  for (guint n = 0; n < 5; n++) {
    VjGenerated generated;
    g_assert_true (poll_one (engine, &generated));
    g_assert_cmpstr (generated.text, ==, expected[generated.ticket]);
    g_free (generated.text);
  }
  for (guint i = 0; i < 3; i++)
    g_free (expected[i]);
}

int
main (int argc, char **argv)
{
  static const char *const computes[] = {"ref", "cpu:generic", "cpu:avx512", "cpu:amx", "openblas", "onednn"};
  g_test_init (&argc, &argv, NULL);
  plugins_offer ();
  for (guint i = 0; i < 2 * G_N_ELEMENTS (computes); i++) {
    Kind kind = {computes[i / 2], i % 2 ? "bf16" : "f32"};
    g_autofree char *path = g_strdup_printf ("/company/answers-do-not-depend-on-it/%s/%s", kind.compute, kind.dtype);
    g_test_add_data_func_full (path, g_memdup2 (&kind, sizeof kind), test_answers_do_not_depend_on_company, g_free);
  }
  g_test_add_func ("/company/what-prompts-share-runs-once", test_what_prompts_share_runs_once);
  g_test_add_func ("/company/the-next-turn-reuses-the-reply", test_the_next_turn_reuses_the_reply);
  g_test_add_func ("/company/prompts-end-when-there-is-a-place", test_prompts_end_when_there_is_a_place);
  g_test_add_func ("/company/a-long-prompt-does-not-stop-draws", test_a_long_prompt_does_not_stop_draws);
  return g_test_run ();
}
