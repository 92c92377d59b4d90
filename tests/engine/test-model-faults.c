/* Model directories that are not what they should be: each is refused as data, with a message that says what is wrong
 * and names it. The sound directory is one of tests/vectors/formats. */
#include "vj/engine.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const parts[] = {"config.json", "generation_config.json", "preprocessor_config.json",
                                    "tokenizer.json", "model.safetensors"};

static void
copy_sound (const char *to)
{
  for (guint i = 0; i < G_N_ELEMENTS (parts); i++) {
    g_autofree char *from = g_build_filename (g_getenv ("VJ_SRCDIR"), "tests/vectors/formats/half-precision", parts[i],
                                              NULL),
                    *copy = g_build_filename (to, parts[i], NULL), *bytes = NULL;
    gsize length;
    g_assert_true (g_file_get_contents (from, &bytes, &length, NULL));
    g_assert_true (g_file_set_contents (copy, bytes, (gssize) length, NULL));
  }
}

static void
remove_all (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  for (const char *name; (name = g_dir_read_name (dir)) != NULL;) {
    g_autofree char *file = g_build_filename (path, name, NULL);
    g_unlink (file);
  }
  g_rmdir (path);
}

/* Opens `dir`, which must fail with both parts in its message. */
static void
expect_refusal (const char *dir, const char *says, const char *also)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VjEngine) engine = vj_engine_open (dir, NULL, &error);
  g_assert_null (engine);
  g_test_message ("%s", error->message);
  g_assert_cmpint (vj_error_exit (error), ==, VJ_EXIT_DATA);
  g_assert_nonnull (strstr (error->message, says));
  g_assert_nonnull (strstr (error->message, also));
}

/* -- the weights against config.json --------------------------------------------------- */

/* Replaces every `from` in the header of model.safetensors. */
static void
edit_header (const char *dir, const char *from, const char *to)
{
  g_autofree char *file = g_build_filename (dir, "model.safetensors", NULL), *bytes = NULL;
  gsize length;
  guint64 header;
  g_assert_true (g_file_get_contents (file, &bytes, &length, NULL));
  memcpy (&header, bytes, 8);
  header = GUINT64_FROM_LE (header);
  g_autoptr (GString) text = g_string_new_len (bytes + 8, (gssize) header);
  g_assert_cmpuint (g_string_replace (text, from, to, 0), >, 0);
  guint64 le = GUINT64_TO_LE ((guint64) text->len);
  g_autoptr (GString) all = g_string_new_len ((const char *) &le, 8);
  g_string_append_len (all, text->str, (gssize) text->len);
  g_string_append_len (all, bytes + 8 + header, (gssize) (length - 8 - header));
  g_assert_true (g_file_set_contents (file, all->str, (gssize) all->len, NULL));
}

static void
test_weights_that_do_not_fit_are_listed (void)
{
  static const struct {
    const char *from, *to, *says, *also;
  } faults[] = {
      {"\"language_model.lm_head.weight\"", "\"language_model.lm_head.weighs\"",
       "language_model.lm_head.weight is missing, expected [308, 24]",
       "language_model.lm_head.weighs is not a weight of this model"},
      {"\"F16\",\"shape\":[308,24]", "\"F16\",\"shape\":[24,308]", "'weights': 1 do not fit",
       "language_model.lm_head.weight is [24, 308], expected [308, 24]"},
      {"\"F16\",\"shape\":[308,24]", "\"F16\",\"shape\":[7392]", "'weights': 1 do not fit",
       "language_model.lm_head.weight is [7392], expected [308, 24]"},
      {"\"F16\",\"shape\":[308,24]", "\"I16\",\"shape\":[308,24]", "'weights': 1 do not fit",
       "language_model.lm_head.weight is of dtype I16"},
      {".layers.0.", ".layers.9.", "vision_model.transformer.layers.0.input_layernorm.weight is missing",
       "; and 50 more"},
      {".layers.0.", ".layers.9.", "language_model.model.layers.9.input_layernorm.weight is not a weight",
       "'weights': 70 do not fit"},
      {"multi_modal_projector.", "multi_modal_projection.", "multi_modal_projector.bias is missing",
       "multi_modal_projection.bias is not a weight"},
  };
  for (guint i = 0; i < G_N_ELEMENTS (faults); i++) {
    g_autofree char *dir = g_dir_make_tmp ("vj-model-XXXXXX", NULL);
    copy_sound (dir);
    edit_header (dir, faults[i].from, faults[i].to);
    expect_refusal (dir, faults[i].says, faults[i].also);
    expect_refusal (dir, faults[i].says, dir);
    remove_all (dir);
  }
}

/* A weight under both of its names is one too many. */
static void
test_weight_under_two_names_is_refused (void)
{
  g_autofree char *dir = g_dir_make_tmp ("vj-model-XXXXXX", NULL);
  copy_sound (dir);
  edit_header (dir, "{\"__metadata__\":{\"format\":\"pt\"},",
               "{\"lm_head.weight\":{\"dtype\":\"F16\",\"shape\":[0],\"data_offsets\":[0,0]},");
  expect_refusal (dir, "lm_head.weight is not a weight of this model", "'weights': 1 do not fit");
  remove_all (dir);
}

/* Bytes that are no numbers: f16 0xffff is not one. */
static void
test_weights_that_are_no_numbers_are_refused (void)
{
  g_autofree char *dir = g_dir_make_tmp ("vj-model-XXXXXX", NULL),
                  *file = g_build_filename (dir, "model.safetensors", NULL), *bytes = NULL;
  gsize length;
  guint64 header;
  copy_sound (dir);
  g_assert_true (g_file_get_contents (file, &bytes, &length, NULL));
  memcpy (&header, bytes, 8);
  header = 8 + GUINT64_FROM_LE (header);
  memset (bytes + header, 0xff, length - header);
  g_assert_true (g_file_set_contents (file, bytes, (gssize) length, NULL));
  expect_refusal (dir, "not finite", "weight");
  remove_all (dir);
}

/* -- files in the place of others -------------------------------------------------------- */

static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 4976698672\n";

/* `remove` goes, `name` comes with `bytes`. */
typedef struct {
  const char *name, *remove, *bytes, *says, *also;
} Fault;

static const Fault faults[] = {
    {"pytorch_model.bin", "model.safetensors", "\x80\x02", "only a pickle file, which is never opened",
     "export it as safetensors"},
    {"pytorch_model-00001-of-00002.bin", "model.safetensors", "\x80\x02", "only a pickle file",
     "export it as safetensors"},
    {"consolidated.00.pth", "model.safetensors", "PK", "only a pickle file", "export it as safetensors"},
    {"model.pt", "model.safetensors", "PK", "only a pickle file", "export it as safetensors"},
    {"model.Q4_K_M.gguf", "model.safetensors", "GGUF", "only a GGUF file", "fetch the Hugging Face model"},
    {"adapter_model.safetensors", "model.safetensors", "", "only an adapter", "merge it"},
    {"model-00001-of-00005.safetensors", "model.safetensors", "", "without their model.safetensors.index.json",
     "fetch that file"},
    {"notes.txt", "model.safetensors", "", "nothing to read weights from", "Hugging Face model directory"},
    {"params.json", "config.json", "{}", "config.json: cannot open", "Hugging Face model directory"},
    {"model.safetensors", NULL, pointer, "model.safetensors': a Git LFS pointer", "git lfs pull"},
    {"tokenizer.json", NULL, pointer, "tokenizer.json: a Git LFS pointer", "git lfs pull"},
    {"config.json", NULL, pointer, "config.json: a Git LFS pointer", "git lfs pull"},
    {"model.safetensors", NULL, "", "empty", "fetch or export"},
    {"model.safetensors.index.json", NULL, "{\"weight_map\":{\"a\":\"model-00001-of-00002.safetensors\"}}",
     "model-00001-of-00002.safetensors': cannot be opened", "fetch"},
    {"model.safetensors.index.json", NULL, "{\"weight_map\":{\"a\":\"../model.safetensors\"}}",
     "not the plain name of a .safetensors file in this directory", "'a'"},
    {"model.safetensors.index.json", NULL, "{\"weight_map\":{\"a\":\"model.safetensors\"}}", "no shard holds it",
     "'a'"},
    {"model.safetensors.index.json", NULL, "{\"weight_map\":{\"a\":\"model.safetensors\",\"a\":\"model.safetensors\"}}",
     "duplicate", "index.json"},
    {"config.json", NULL,
     "{\"model_type\":\"mllama\",\"quantization_config\":{\"quant_method\":\"bitsandbytes\"},\"text_config\":{},"
     "\"vision_config\":{}}",
     "quantized weights", "bf16"},
    {"config.json", NULL, "{\"model_type\":\"mllama\",\"text_config\":{}}", "'vision_config'", "missing"},
    {"config.json", NULL, "{\"model_type\":\"mllama_text_model\"}", "'model_type'", "mllama_text_model"},
    {"config.json", NULL,
     "{\"model_type\":\"mllama\",\"text_config\":{\"vocab_size\":4194304,\"hidden_size\":65536,\"num_attention_heads\":"
     "64},\"vision_config\":{}}",
     "do not fit config.json", "; and "},
};

static void
test_other_file_is_refused (gconstpointer data)
{
  const Fault *fault = data;
  g_autofree char *dir = g_dir_make_tmp ("vj-model-XXXXXX", NULL), *file = g_build_filename (dir, fault->name, NULL);
  copy_sound (dir);
  if (fault->remove != NULL) {
    g_autofree char *gone = g_build_filename (dir, fault->remove, NULL);
    g_unlink (gone);
  }
  g_assert_true (g_file_set_contents (file, fault->bytes, -1, NULL));
  expect_refusal (dir, fault->says, fault->also);
  remove_all (dir);
}

/* Files that are no files would hold the program for ever. */
static void
test_pipes_are_refused (void)
{
  static const char *const names[] = {"config.json",    "generation_config.json", "preprocessor_config.json",
                                      "tokenizer.json", "model.safetensors",      "model.safetensors.index.json"};
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *dir = g_dir_make_tmp ("vj-model-XXXXXX", NULL), *file = g_build_filename (dir, names[i], NULL);
    copy_sound (dir);
    g_unlink (file);
    g_assert_cmpint (mkfifo (file, 0600), ==, 0);
    expect_refusal (dir, names[i], "not a regular file");
    remove_all (dir);
  }
}

/* An index longer than any: refused by its length, not read. */
static void
test_endless_index_is_refused (void)
{
  g_autofree char *dir = g_dir_make_tmp ("vj-model-XXXXXX", NULL),
                  *file = g_build_filename (dir, "model.safetensors.index.json", NULL);
  copy_sound (dir);
  g_assert_true (g_file_set_contents (file, "{", 1, NULL));
  g_assert_cmpint (truncate (file, (off_t) 1 << 34), ==, 0);
  expect_refusal (dir, "model.safetensors.index.json", "at most 100,000,000 bytes");
  remove_all (dir);
}

/* Weights are used where they lie in the file; one that is cut short under a running engine is told, not died of. */
static void
test_file_cut_short_while_in_use (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *dir = g_dir_make_tmp ("vj-model-XXXXXX", NULL), *file = g_build_filename (dir, "model.safetensors", NULL);
  VjChatMessage message = {.speaker = VJ_SPEAKER_USER, .text = "what?"};
  guint64 seed = 1;
  VjGenerateRequest request = {&message, 1, {.top_p = 1, .max_tokens = 4}, &seed, 1};
  VjGenerated generated;
  gboolean done;
  copy_sound (dir);
  VjEngine *engine = vj_engine_open (dir, &(VjEngineConfig){.dtype = "bf16"}, &error);
  g_assert_no_error (error);
  g_assert_cmpint (truncate (file, 4096), ==, 0);
  g_assert_true (vj_engine_submit (engine, 1, &request, &error));
  g_assert_false (vj_engine_poll (engine, &generated, &done, &error));
  g_assert_cmpint (vj_error_exit (error), ==, VJ_EXIT_DATA);
  g_assert_nonnull (strstr (error->message, "became shorter"));
  vj_engine_free (engine);
  remove_all (dir);
}

/* A Hugging Face cache: every file a link into a folder of blobs. It opens. */
static void
test_links_are_followed (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *blobs = g_dir_make_tmp ("vj-model-XXXXXX", NULL), *dir = g_dir_make_tmp ("vj-model-XXXXXX", NULL);
  copy_sound (blobs);
  for (guint i = 0; i < G_N_ELEMENTS (parts); i++) {
    g_autofree char *blob = g_build_filename (blobs, parts[i], NULL), *link = g_build_filename (dir, parts[i], NULL);
    g_assert_cmpint (symlink (blob, link), ==, 0);
  }
  g_autoptr (VjEngine) engine = vj_engine_open (dir, NULL, &error);
  g_assert_no_error (error);
  g_assert_nonnull (engine);
  remove_all (dir);
  remove_all (blobs);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/model-faults/weights-that-do-not-fit-are-listed", test_weights_that_do_not_fit_are_listed);
  g_test_add_func ("/model-faults/weight-under-two-names-is-refused", test_weight_under_two_names_is_refused);
  g_test_add_func ("/model-faults/weights-that-are-no-numbers-are-refused", test_weights_that_are_no_numbers_are_refused);
  for (guint i = 0; i < G_N_ELEMENTS (faults); i++) {
    g_autofree char *path = g_strdup_printf ("/model-faults/%u-%s", i, faults[i].name);
    g_test_add_data_func (path, &faults[i], test_other_file_is_refused);
  }
  g_test_add_func ("/model-faults/pipes-are-refused", test_pipes_are_refused);
  g_test_add_func ("/model-faults/endless-index-is-refused", test_endless_index_is_refused);
  g_test_add_func ("/model-faults/file-cut-short-while-in-use", test_file_cut_short_while_in_use);
  g_test_add_func ("/model-faults/links-are-followed", test_links_are_followed);
  return g_test_run ();
}
