/* Model directories in every layout that published and exported checkpoints come in
 * (tests/peers/make_format_vectors.py): older and newer names, shards, dtypes, tied heads, spellings of config.json and
 * of the preprocessor's file. Each opens as it is, and prompts, logits and 64 greedy tokens are those of transformers.
 * VJ_FORMAT_VECTORS names another folder of such directories. */
#include "engine/chat.h"
#include "engine/mllama/mllama.h"
#include "engine/preprocess.h"
#include "tensor/safetensors.h"
#include "tests/engine/chats.h"

#include <math.h>

#define TOLERANCE 1e-4 /* of the largest logit */

/* One directory, opened part by part. */
typedef struct {
  VjMllama *model;
  VjTokenizer *tokenizer;
  VjChat chat;
  VjPreprocess preprocess;
  VjSafetensors *logits;
  json_t *cases;
  double worst;
  gsize compared; /* rows of logits */
} Parts;

static char *
formats_dir (void)
{
  const char *other = g_getenv ("VJ_FORMAT_VECTORS");
  return other ? g_strdup (other) : g_build_filename (g_getenv ("VJ_SRCDIR"), "tests/vectors/formats", NULL);
}

static void
parts_open (const char *dir, Parts *parts)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *tokenizer = g_build_filename (dir, "tokenizer.json", NULL), *pixels = vj_preprocess_file (dir),
                  *logits = g_build_filename (dir, "logits.safetensors", NULL),
                  *cases = g_build_filename (dir, "expected.json", NULL);
  *parts = (Parts){0};
  parts->model = vj_mllama_open (dir, "cpu", 2, "f32", &error);
  g_assert_no_error (error);
  parts->tokenizer = vj_tokenizer_load (tokenizer, &error);
  g_assert_no_error (error);
  g_assert_true (vj_chat_recognise (dir, parts->tokenizer, &parts->chat, &error));
  g_assert_true (vj_preprocess_load (pixels, &parts->preprocess, &error));
  parts->logits = vj_safetensors_open (logits, &error);
  g_assert_no_error (error);
  parts->cases = json_load_file (cases, 0, NULL);
  g_assert_cmpuint (json_array_size (parts->cases), >=, 5);
}

static void
parts_close (Parts *parts)
{
  vj_mllama_free (parts->model);
  vj_tokenizer_free (parts->tokenizer);
  vj_safetensors_free (parts->logits);
  json_decref (parts->cases);
}

/* The chat's tokens, which are those of transformers, and its images, encoded. Owned: the sequence. */
static VjMllamaSequence *
start (Parts *parts, const Chat *chat, const json_t *prompt, gsize capacity)
{
  g_autoptr (GError) error = NULL;
  g_auto (VjPrompt) rendered = {0};
  VjMllamaVision *visions[MAX_MESSAGES * MAX_IMAGES];
  gsize n = 0;
  g_assert_true (
      vj_chat_render (&parts->chat, parts->tokenizer, chat->messages, chat->n, VJ_PROMPT_GENERATE, &rendered, &error));
  g_assert_cmpuint (rendered.tokens->len, ==, json_array_size (prompt));
  for (guint i = 0; i < rendered.tokens->len; i++)
    g_assert_cmpuint (g_array_index (rendered.tokens, guint32, i), ==, json_integer_value (json_array_get (prompt, i)));
  for (gsize m = 0; m < chat->n; m++)
    for (gsize i = 0; i < chat->messages[m].n_images; i++) {
      g_auto (VjTiles) tiles = {0};
      g_assert_true (vj_preprocess_image (&parts->preprocess, &chat->images[m][i], &tiles, &error));
      VjMllamaImage image = {tiles.pixels, tiles.n_tiles, tiles.aspect_ratio_id};
      g_assert_true (vj_mllama_encode (parts->model, &image, 1, &visions[n++], &error));
    }
  VjMllamaSequence *sequence =
      vj_mllama_sequence_new (parts->model, (const guint32 *) (gpointer) rendered.tokens->data, rendered.tokens->len,
                              visions, n, rendered.tokens->len + capacity, &error);
  g_assert_no_error (error);
  for (gsize i = 0; i < n; i++)
    vj_mllama_vision_unref (visions[i]);
  return sequence;
}

/* The logits before token `step` of chat `i`, where they were kept; and always which of them is the largest. */
static void
check_step (Parts *parts, gsize i, gsize step, const float *logits, gsize V, guint32 reply)
{
  g_autofree char *name = g_strdup_printf ("%" G_GSIZE_FORMAT ".%" G_GSIZE_FORMAT, i, step);
  const VjTensor *tensor = vj_safetensors_find (parts->logits, name);
  gsize best = 0;
  for (gsize v = 1; v < V; v++)
    best = logits[v] > logits[best] ? v : best;
  g_assert_cmpuint (best, ==, reply);
  if (tensor == NULL)
    return;
  const float *want = tensor->data;
  double worst = 0, scale = 0;
  g_assert_cmpuint (tensor->n_elements, ==, V);
  for (gsize v = 0; v < V; v++) {
    double d = fabs ((double) logits[v] - want[v]);
    worst = d > worst || isnan (d) ? d : worst;
    scale = MAX (scale, fabs ((double) want[v]));
  }
  g_assert_cmpfloat (worst / scale, <=, TOLERANCE);
  parts->worst = MAX (parts->worst, worst / scale);
  parts->compared++;
}

static void
check_case (Parts *parts, gsize i, const json_t *item)
{
  const json_t *reply = json_object_get (item, "reply");
  gsize n = json_array_size (reply), V = vj_mllama_peek_config (parts->model)->vocab_size;
  g_autoptr (Chat) chat = read_chat (json_object_get (item, "messages"));
  g_autoptr (VjMllamaSequence) sequence = start (parts, chat, json_object_get (item, "prompt"), n);
  g_autofree float *logits = g_new (float, V);
  g_autofree guint32 *tokens = g_new (guint32, n);
  g_assert_cmpuint (n, ==, 64);
  g_assert_true (vj_mllama_prefill (parts->model, &sequence, 1, logits, NULL));
  for (gsize step = 0; step < n; step++) {
    tokens[step] = (guint32) json_integer_value (json_array_get (reply, step));
    check_step (parts, i, step, logits, V, tokens[step]);
    if (step + 1 < n)
      g_assert_true (vj_mllama_decode (parts->model, &sequence, &tokens[step], 1, logits, NULL));
  }
  g_autofree char *text = vj_tokenizer_decode (parts->tokenizer, tokens, n);
  g_assert_cmpstr (text, ==, vj_json_peek_string (item, "text"));
}

/* The same through the engine's own door, all chats at once. */
static void
check_engine (const char *dir, const json_t *cases)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VjEngine) engine = vj_engine_open (dir, &(VjEngineConfig){.dtype = "f32"}, &error);
  g_assert_no_error (error);
  json_t *item;
  gsize i, answered = 0;
  json_array_foreach (cases, i, item)
  {
    g_autoptr (Chat) chat = read_chat (json_object_get (item, "messages"));
    guint64 seed = i;
    VjGenerateRequest request = {chat->messages,
                                 chat->n,
                                 {.top_p = 1, .max_tokens = (guint) json_array_size (json_object_get (item, "reply"))},
                                 &seed,
                                 1};
    g_assert_true (vj_engine_submit (engine, i, &request, &error));
  }
  for (gboolean done = FALSE; !done;) {
    VjGenerated generated;
    g_assert_true (vj_engine_poll (engine, &generated, &done, &error));
    if (done)
      break;
    g_assert_cmpstr (generated.text, ==,
                     vj_json_peek_string (json_array_get (cases, (gsize) generated.ticket), "text"));
    g_free (generated.text);
    answered++;
  }
  g_assert_cmpuint (answered, ==, json_array_size (cases));
}

static void
test_equals_transformers (gconstpointer dir)
{
  Parts parts;
  json_t *item;
  gsize i;
  parts_open (dir, &parts);
  json_array_foreach (parts.cases, i, item) check_case (&parts, i, item);
  check_engine (dir, parts.cases);
  g_test_message ("%" G_GSIZE_FORMAT " chats of 64 equal tokens, %" G_GSIZE_FORMAT
                  " rows of logits: largest difference %.1e",
                  json_array_size (parts.cases), parts.compared, parts.worst);
  g_assert_cmpuint (parts.compared, >=, 4 * json_array_size (parts.cases));
  parts_close (&parts);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_autofree char *top = formats_dir ();
  g_autoptr (GDir) dir = g_dir_open (top, 0, NULL);
  g_autoptr (GPtrArray) paths = g_ptr_array_new_with_free_func (g_free);
  g_assert_nonnull (dir);
  for (const char *name; (name = g_dir_read_name (dir)) != NULL;) {
    g_autofree char *path = g_strconcat ("/formats/", name, NULL);
    g_ptr_array_add (paths, g_build_filename (top, name, NULL));
    g_test_add_data_func (path, g_ptr_array_index (paths, paths->len - 1), test_equals_transformers);
  }
  g_assert_cmpuint (paths->len, >=, 1);
  return g_test_run ();
}
