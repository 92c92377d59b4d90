/* The engine whole: from chats with pixels to text. Greedy replies equal to
 * transformers' (tests/peers/make_generate_vectors.py), sampled ones the same
 * whatever runs beside them, and directories that do not hold together refused. */
#include "chats.h"

#include <glib/gstdio.h>
#include <math.h>

/* -- equality with transformers -------------------------------------------------------- */

static void
check_expected (const json_t *item, const VjGenerated *generated)
{
  g_test_message ("case %" G_GUINT64_FORMAT ": %s", generated->ticket, vj_json_peek_string (item, "text"));
  g_assert_true (g_utf8_validate (generated->text, -1, NULL));
  g_assert_cmpstr (generated->text, ==, vj_json_peek_string (item, "text"));
  g_assert_cmpuint (generated->prompt_tokens, ==, json_integer_value (json_object_get (item, "prompt_tokens")));
  g_assert_cmpuint (generated->completion_tokens, ==, json_integer_value (json_object_get (item, "completion_tokens")));
  g_assert_cmpint (generated->finish, ==, json_is_true (json_object_get (item, "stopped")) ? VJ_FINISH_STOP : VJ_FINISH_LENGTH);
}

static void
test_greedy_equals_transformers (void)
{
  g_autofree char *dir = model_dir (), *file = g_build_filename (dir, "expected.json", NULL);
  g_autoptr (VjEngine) engine = open_engine (NULL);
  json_t *cases = json_load_file (file, 0, NULL), *item;
  VjGenerated generated;
  gsize i, answered = 0;
  g_assert_cmpuint (json_array_size (cases), >=, 5);
  json_array_foreach (cases, i, item)
  {
    g_autoptr (Chat) chat = read_chat (json_object_get (item, "messages"));
    VjGenerateOptions options = {.top_p = 1, .max_tokens = (guint) json_integer_value (json_object_get (item, "max_tokens"))};
    guint64 seed = i;
    submit (engine, i, chat, &options, &seed, 1);
  }
  for (; poll_one (engine, &generated); answered++) {
    check_expected (json_array_get (cases, (gsize) generated.ticket), &generated);
    g_free (generated.text);
  }
  g_assert_cmpuint (answered, ==, json_array_size (cases));
  json_decref (cases);
}

/* -- pixels ------------------------------------------------------------------------------ */

/* What the image shows reaches the text. */
static void
test_pixels_matter (void)
{
  g_autoptr (VjEngine) engine = open_engine (NULL);
  VjGenerateOptions options = {.top_p = 1, .max_tokens = 12};
  VjGenerated generated;
  g_autoptr (GHashTable) texts = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  for (guint i = 0; i < 6; i++) {
    g_autoptr (Chat) chat = g_new0 (Chat, 1);
    put_message (chat, VJ_SPEAKER_USER, "What is this?");
    if (i > 0)
      put_image (chat, 0, 8 * i, 16, i % 2);
    g_hash_table_add (texts, reply (engine, chat, &options, 0, &generated));
  }
  g_assert_cmpuint (g_hash_table_size (texts), >, 2);
}

/* -- ends ---------------------------------------------------------------------------------- */

static void
test_stop_strings_are_cut_off (void)
{
  g_autoptr (VjEngine) engine = open_engine (NULL);
  g_autoptr (Chat) chat = plain_chat ("the red circle");
  VjGenerateOptions options = {.temperature = 1, .top_p = 1, .max_tokens = 30};
  VjGenerated whole, cut;
  g_autofree char *text = reply (engine, chat, &options, 5, &whole);
  /* Every piece of three characters of the reply, which may begin within a token and end within another. */
  glong n = g_utf8_strlen (text, -1), tried = 0;
  g_assert_cmpint (n, >, 10);
  for (glong i = 0; i + 3 <= n; i += 2, tried++) {
    g_autofree char *piece = g_utf8_substring (text, i, i + 3);
    if (strstr (piece, "\xef\xbf\xbd") != NULL)
      continue;
    const char *const stop[] = {"never said", piece, NULL};
    options.stop = stop;
    g_autofree char *before = reply (engine, chat, &options, 5, &cut);
    g_autofree char *expected = g_strndup (text, (gsize) (strstr (text, piece) - text));
    g_assert_cmpstr (before, ==, expected);
    g_assert_cmpint (cut.finish, ==, VJ_FINISH_STOP);
    g_assert_cmpuint (cut.completion_tokens, <=, whole.completion_tokens);
  }
  g_assert_cmpint (tried, >, 3);
}

static void
test_longest_reply_is_exact (void)
{
  g_autoptr (VjEngine) engine = open_engine (NULL);
  g_autoptr (Chat) chat = plain_chat ("how many?");
  VjGenerated generated;
  for (guint most = 1; most < 6; most++) {
    VjGenerateOptions options = {.top_p = 1, .max_tokens = most};
    g_free (reply (engine, chat, &options, 0, &generated));
    g_assert_cmpuint (generated.completion_tokens, <=, most);
    if (generated.finish == VJ_FINISH_LENGTH)
      g_assert_cmpuint (generated.completion_tokens, ==, most);
  }
  /* More than the model has positions for: it speaks to the last of them. */
  VjGenerateOptions options = {.temperature = 2, .top_p = 1, .max_tokens = 100000};
  g_free (reply (engine, chat, &options, 3, &generated));
  if (generated.finish == VJ_FINISH_LENGTH)
    g_assert_cmpuint (generated.prompt_tokens + generated.completion_tokens, ==, 257);
}

static void
test_unfinished_work_is_freed (void)
{
  g_autoptr (VjEngine) engine = open_engine (&(VjEngineConfig){.max_batch = 4});
  VjGenerateOptions options = {.temperature = 1, .top_p = 1, .max_tokens = 20};
  guint64 seeds[3] = {1, 2, 3};
  VjGenerated generated;
  for (guint i = 0; i < 5; i++) {
    g_autoptr (Chat) chat = plain_chat ("left");
    put_image (chat, 0, 16, 16, i % 2);
    submit (engine, i, chat, &options, seeds, 3);
  }
  g_assert_true (poll_one (engine, &generated));
  g_free (generated.text);
}

/* -- refusals -------------------------------------------------------------------------------- */

static void
refuse (VjEngine *engine, const VjGenerateRequest *request, VjExit exit)
{
  g_autoptr (GError) error = NULL;
  g_assert_false (vj_engine_submit (engine, 1, request, &error));
  g_test_message ("%s", error->message);
  g_assert_cmpint (vj_error_exit (error), ==, exit);
}

static void
test_unusable_requests_are_refused (void)
{
  g_autoptr (VjEngine) engine = open_engine (NULL);
  g_autoptr (Chat) chat = plain_chat ("hello");
  g_autofree char *many = g_strnfill (3000, '?');
  g_autoptr (Chat) longest = plain_chat (many);
  g_autoptr (Chat) broken = plain_chat ("\xff\xfe");
  guint64 seed = 1;
  VjGenerated rest;
  VjGenerateOptions fine = {.top_p = 1, .max_tokens = 5};
  VjPixels nothing = {NULL, 3, 3, "x"};
  VjChatMessage seen = {VJ_SPEAKER_USER, "x", &nothing, 1};
  refuse (engine, &(VjGenerateRequest){chat->messages, 1, {.temperature = -1, .top_p = 1, .max_tokens = 5}, &seed, 1}, VJ_EXIT_DATA);
  refuse (engine, &(VjGenerateRequest){chat->messages, 1, {.temperature = NAN, .top_p = 1, .max_tokens = 5}, &seed, 1}, VJ_EXIT_DATA);
  refuse (engine, &(VjGenerateRequest){chat->messages, 1, {.top_p = 0, .max_tokens = 5}, &seed, 1}, VJ_EXIT_DATA);
  refuse (engine, &(VjGenerateRequest){chat->messages, 1, {.top_p = 1, .max_tokens = 0}, &seed, 1}, VJ_EXIT_DATA);
  refuse (engine, &(VjGenerateRequest){chat->messages, 1, fine, &seed, 0}, VJ_EXIT_DATA);
  refuse (engine, &(VjGenerateRequest){chat->messages, 0, fine, &seed, 1}, VJ_EXIT_DATA);
  refuse (engine, &(VjGenerateRequest){broken->messages, 1, fine, &seed, 1}, VJ_EXIT_DATA);
  refuse (engine, &(VjGenerateRequest){longest->messages, 1, fine, &seed, 1}, VJ_EXIT_DATA);
  refuse (engine, &(VjGenerateRequest){&seen, 1, fine, &seed, 1}, VJ_EXIT_DATA);
  g_assert_false (poll_one (engine, &rest));
}

/* Just above what opening needs, a short reply fits and a long one does not. */
static void
test_memory_limit_is_kept (void)
{
  g_autofree char *dir = model_dir ();
  g_autoptr (Chat) chat = plain_chat ("hello");
  guint64 seed = 1;
  VjGenerated rest;
  gsize limit = 0;
  g_autoptr (VjEngine) engine = NULL;
  while (engine == NULL) {
    g_autoptr (GError) error = NULL;
    engine = vj_engine_open (dir, &(VjEngineConfig){.memory_limit = limit += 4096}, &error);
    g_assert_true (engine != NULL || vj_error_exit (error) == VJ_EXIT_LIMIT);
    if (limit == 4096) {
      g_test_message ("%s", error->message);
      g_assert_nonnull (strstr (error->message, "lower max_batch"));
    }
  }
  refuse (engine, &(VjGenerateRequest){chat->messages, 1, {.top_p = 1, .max_tokens = 250}, &seed, 1}, VJ_EXIT_LIMIT);
  g_free (reply (engine, chat, &(VjGenerateOptions){.top_p = 1, .max_tokens = 5}, 1, &rest));
}

/* -- directories ------------------------------------------------------------------------------ */

static const char *const parts[] = {"config.json", "generation_config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors"};

/* A copy of the model directory in which `name` holds `bytes` (NULL: is missing). Owned. */
static char *
copy_dir (const char *name, const char *bytes, gsize length)
{
  g_autofree char *dir = model_dir ();
  char *copy = g_dir_make_tmp ("vj-engine-XXXXXX", NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (parts); i++) {
    g_autofree char *from = g_build_filename (dir, parts[i], NULL), *to = g_build_filename (copy, parts[i], NULL), *content = NULL;
    gsize size;
    g_assert_true (g_file_get_contents (from, &content, &size, NULL));
    if (g_strcmp0 (name, parts[i]) != 0)
      g_assert_true (g_file_set_contents (to, content, (gssize) size, NULL));
    else if (bytes != NULL)
      g_assert_true (g_file_set_contents (to, bytes, (gssize) length, NULL));
  }
  return copy;
}

static void
remove_dir (const char *dir)
{
  for (gsize i = 0; i < G_N_ELEMENTS (parts); i++) {
    g_autofree char *file = g_build_filename (dir, parts[i], NULL);
    g_remove (file);
  }
  g_rmdir (dir);
}

/* The file with the first `old` replaced. Owned. */
static char *
edited (const char *name, const char *old, const char *new)
{
  g_autofree char *dir = model_dir (), *file = g_build_filename (dir, name, NULL), *text = NULL;
  g_assert_true (g_file_get_contents (file, &text, NULL, NULL));
  char *at = strstr (text, old);
  g_assert_nonnull (at);
  return g_strdup_printf ("%.*s%s%s", (int) (at - text), text, new, at + strlen (old));
}

typedef struct {
  const char *name, *file, *old, *new, *part; /* old NULL: `new` is the whole file, or NULL: no file */
} Fault;

static const Fault faults[] = {
    {"no configuration", "config.json", NULL, NULL, "config.json"},
    {"no tokenizer", "tokenizer.json", NULL, NULL, "tokenizer.json"},
    {"no preprocessing", "preprocessor_config.json", NULL, NULL, "preprocessor_config.json"},
    {"no weights", "model.safetensors", NULL, NULL, "safetensors"},
    {"an empty configuration", "config.json", NULL, "", "config.json"},
    {"an empty tokenizer", "tokenizer.json", NULL, "{}", "tokenizer.json"},
    {"another chat family", "tokenizer.json", "<|eot_id|>", "<|im_end|>", "family"},
    {"another image token", "config.json", "\"image_token_index\": 908", "\"image_token_index\": 907", "image"},
    {"a vocabulary too small", "config.json", "\"vocab_size\": 908", "\"vocab_size\": 800", "config.json"},
    {"another tile size", "preprocessor_config.json", "\"height\": 16,\n    \"width\": 16", "\"height\": 32, \"width\": 32", "'size'"},
    {"more tiles", "preprocessor_config.json", "\"max_image_tiles\": 4", "\"max_image_tiles\": 6", "'size'"},
    {"an end that is no token", "generation_config.json", "901", "99999", "'eos_token_id'"},
    {"an end that is text", "generation_config.json", "901", "\"x\"", "'eos_token_id'"},
    {"a broken generation configuration", "generation_config.json", NULL, "[", "JSON"},
    {"absurd layers", "config.json", "\"num_hidden_layers\": 4", "\"num_hidden_layers\": 400000000", "num_hidden_layers"},
    {"absurd width", "config.json", "\"hidden_size\": 32", "\"hidden_size\": 2000000000", "config.json"},
    {"a negative width", "config.json", "\"hidden_size\": 32", "\"hidden_size\": -32", "config.json"},
    {"heads that do not divide", "config.json", "\"num_attention_heads\": 4", "\"num_attention_heads\": 5", "num_attention_heads"},
    {"another model", "config.json", "\"model_type\": \"mllama\"", "\"model_type\": \"bert\"", "model_type"},
    {"weights that are no safetensors", "model.safetensors", NULL, "\x80\x04pickle", "safetensors"},
};

static void
test_broken_directory_is_refused (gconstpointer data)
{
  const Fault *fault = data;
  g_autoptr (GError) error = NULL;
  g_autofree char *text = fault->old ? edited (fault->file, fault->old, fault->new) : g_strdup (fault->new);
  g_autofree char *dir = copy_dir (fault->file, text, text ? strlen (text) : 0);
  g_autoptr (VjEngine) engine = vj_engine_open (dir, NULL, &error);
  remove_dir (dir);
  g_assert_null (engine);
  g_test_message ("%s", error->message);
  g_assert_cmpint (vj_error_exit (error), ==, VJ_EXIT_DATA);
  g_assert_nonnull (strstr (error->message, fault->part));
}

static char *
identity_of (const char *name, const char *bytes, gsize length)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *dir = copy_dir (name, bytes, length);
  g_autoptr (VjEngine) engine = vj_engine_open (dir, NULL, &error);
  g_assert_no_error (error);
  char *identity = g_strdup (vj_engine_identity (engine));
  remove_dir (dir);
  return identity;
}

static void
test_identity_names_everything (void)
{
  g_autofree char *dir = model_dir (), *file = g_build_filename (dir, "model.safetensors", NULL), *weights = NULL;
  g_autofree char *same = identity_of (NULL, NULL, 0), *again = identity_of (NULL, NULL, 0);
  gsize length;
  g_assert_true (g_file_get_contents (file, &weights, &length, NULL));
  weights[length - 1] ^= 1;
  g_autofree char *mean = edited ("preprocessor_config.json", "0.48145466", "0.49145466");
  g_autofree char *end = edited ("generation_config.json", "901", "902");
  g_autofree char *by_weight = identity_of ("model.safetensors", weights, length);
  g_autofree char *by_mean = identity_of ("preprocessor_config.json", mean, strlen (mean));
  g_autofree char *by_end = identity_of ("generation_config.json", end, strlen (end));
  g_assert_cmpuint (strlen (same), ==, 64);
  g_assert_cmpstr (same, ==, again);
  g_assert_cmpstr (same, !=, by_weight);
  g_assert_cmpstr (same, !=, by_mean);
  g_assert_cmpstr (same, !=, by_end);
  g_autoptr (VjEngine) engine = open_engine (NULL);
  g_test_message ("%s", vj_engine_summary (engine));
  g_assert_nonnull (strstr (vj_engine_summary (engine), "mllama"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/engine/greedy-equals-transformers", test_greedy_equals_transformers);
  g_test_add_func ("/engine/pixels-matter", test_pixels_matter);
  g_test_add_func ("/engine/stop-strings-are-cut-off", test_stop_strings_are_cut_off);
  g_test_add_func ("/engine/longest-reply-is-exact", test_longest_reply_is_exact);
  g_test_add_func ("/engine/unfinished-work-is-freed", test_unfinished_work_is_freed);
  g_test_add_func ("/engine/unusable-requests-are-refused", test_unusable_requests_are_refused);
  g_test_add_func ("/engine/memory-limit-is-kept", test_memory_limit_is_kept);
  g_test_add_func ("/engine/identity-names-everything", test_identity_names_everything);
  for (gsize i = 0; i < G_N_ELEMENTS (faults); i++) {
    g_autofree char *path = g_strdup_printf ("/engine/refused/%s", faults[i].name);
    g_test_add_data_func (path, &faults[i], test_broken_directory_is_refused);
  }
  return g_test_run ();
}
