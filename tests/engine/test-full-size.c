/* A checkpoint of 11B parameters in the published layout (tests/tools/make-full-size.py, sparse files): opened as a
 * map, its 906 tensors are those that the published config.json calls for, numbers come from the right places, and
 * little of it becomes resident. */
#include "engine/mllama/mllama.h"
#include "engine/mllama/weights.h"
#include "engine/preprocess.h"
#include "engine/tokenizer.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WEIGHT_BYTES G_GUINT64_CONSTANT (21340441670) /* metadata.total_size of the published index */
#define MAX_RESIDENT (G_GUINT64_CONSTANT (256) << 20) /* of 21 GB */

#define NO_ROOM 77 /* exit code of the script */

typedef struct {
  char *dir;
  gboolean made;
} Full;

/* Filled tensors of the script. */
static const struct {
  const char *key;
  gsize first, n;
} filled[] = {
    {"language_model.model.norm.weight", 0, 4096},
    {"language_model.model.layers.38.cross_attn.k_norm.weight", 0, 128},
    {"language_model.model.layers.3.cross_attn_attn_gate", 0, 1},
    {"language_model.model.embed_tokens.weight", (gsize) 128263 * 4096, 4096},
    {"language_model.lm_head.weight", (gsize) 128256 * 4096 - 100, 100},
    {"vision_model.class_embedding", 0, 1280},
    {"vision_model.global_transformer.layers.7.gate_ffn", 0, 1},
    {"multi_modal_projector.bias", 0, 4096},
};

static guint64
resident_bytes (void)
{
  g_autofree char *text = NULL;
  guint64 pages = 0;
  g_assert_true (g_file_get_contents ("/proc/self/statm", &text, NULL, NULL));
  g_assert_cmpint (sscanf (text, "%*u %" G_GUINT64_FORMAT, &pages), ==, 1);
  return pages * (guint64) sysconf (_SC_PAGESIZE);
}

static void
full_make (Full *full)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *script = g_build_filename (g_getenv ("VJ_SRCDIR"), "tests/tools/make-full-size.py", NULL),
                  *said = NULL;
  const char *argv[] = {"python3", script, NULL, NULL};
  int status;
  full->dir = g_dir_make_tmp ("vj-full-size-XXXXXX", &error);
  g_assert_no_error (error);
  argv[2] = full->dir;
  g_assert_true (
      g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &said, NULL, &status, &error));
  full->made = status == 0;
  if (!full->made) {
    g_test_message ("%s", said);
    g_assert_true (WIFEXITED (status) && WEXITSTATUS (status) == NO_ROOM);
  }
}

static void
full_remove (Full *full)
{
  g_autoptr (GDir) dir = g_dir_open (full->dir, 0, NULL);
  for (const char *name; (name = g_dir_read_name (dir)) != NULL;) {
    g_autofree char *file = g_build_filename (full->dir, name, NULL);
    unlink (file);
  }
  rmdir (full->dir);
  g_free (full->dir);
}

static gboolean
needs (const Full *full)
{
  if (!full->made)
    g_test_skip ("no sparse files of 5 GB in the folder for temporary files");
  return full->made;
}

static VjMllamaConfig *
config_of (const char *dir)
{
  g_autoptr (GError) error = NULL;
  VjMllamaConfig *config = g_new0 (VjMllamaConfig, 1);
  vj_mllama_config_load (dir, config, &error);
  g_assert_no_error (error);
  return config;
}

/* config.json as published, read whole. */
static void
test_config (gconstpointer data)
{
  const Full *full = data;
  if (!needs (full))
    return;
  g_autofree VjMllamaConfig *c = config_of (full->dir);
  g_assert_cmpuint (c->n_cross, ==, 8);
  g_assert_true (c->is_cross[3] && c->is_cross[38] && !c->is_cross[4]);
  g_assert_cmpuint (c->num_hidden_layers, ==, 40);
  g_assert_cmpuint (c->head_dim, ==, 128);
  g_assert_cmpuint (c->num_key_value_heads, ==, 8);
  g_assert_cmpint (c->rope_type, ==, VJ_ROPE_LLAMA3);
  g_assert_cmpfloat (c->rope_theta, ==, 500000);
  g_assert_cmpfloat (c->rope_factor, ==, 8);
  g_assert_cmpuint (c->rope_original_max_position_embeddings, ==, 8192);
  g_assert_cmpuint (c->n_eos_token_ids, ==, 3);
  g_assert_cmpuint (c->image_token_index, ==, 128256);
  g_assert_cmpuint (c->n_patches, ==, 1601);
  g_assert_cmpuint (c->n_aspect_ratios, ==, 8);
  g_assert_cmpuint (c->n_intermediate, ==, 5);
  g_assert_false (c->tie_word_embeddings);
}

/* The same model as other versions of transformers spell it: newer names, or only what differs from the defaults. */
static void
test_spellings (gconstpointer data)
{
#define ROPE                                                                                                           \
  "\"factor\":8.0,\"high_freq_factor\":4.0,\"low_freq_factor\":1.0,\"original_max_position_embeddings\":8192,\"rope_"  \
  "type\":\"llama3\""
  static const char *const spellings[] = {
      "{\"model_type\":\"mllama\",\"dtype\":\"bfloat16\",\"image_token_index\":128256,\"text_config\":{\"dtype\":"
      "\"bfloat16\",\"vocab_size\":128256,\"eos_token_id\":[128001,128008,128009],"
      "\"rope_parameters\":{\"rope_theta\":500000.0," ROPE
      "},\"tie_word_embeddings\":false},\"vision_config\":{\"image_size\":560,\"num_attention_heads\":16},\"tie_word_"
      "embeddings\":false}",
      "{\"model_type\":\"mllama\",\"text_config\":{\"eos_token_id\":[128001,128008,128009],\"rope_scaling\":{" ROPE
      "}},\"vision_config\":{\"image_size\":560}}",
      "{\"model_type\":\"mllama\",\"text_config\":{\"eos_token_id\":[128001,128008,128009],\"rope_scaling\":{" ROPE
      ",\"type\":\"llama3\"},\"rope_parameters\":null},"
      "\"vision_config\":{\"image_size\":[560,560],\"patch_size\":[14,14],\"supported_aspect_ratios\":null}}",
  };
  const Full *full = data;
  if (!needs (full))
    return;
  g_autofree VjMllamaConfig *published = config_of (full->dir);
  g_autofree char *dir = g_dir_make_tmp ("vj-config-XXXXXX", NULL), *file = g_build_filename (dir, "config.json", NULL);
  for (guint i = 0; i < G_N_ELEMENTS (spellings); i++) {
    g_assert_true (g_file_set_contents (file, spellings[i], -1, NULL));
    g_autofree VjMllamaConfig *config = config_of (dir);
    g_assert_cmpmem (config, sizeof *config, published, sizeof *published);
  }
  unlink (file);
  rmdir (dir);
}

static void
check_filled (const VjSafetensors *file)
{
  for (guint f = 0; f < G_N_ELEMENTS (filled); f++) {
    const VjTensor *tensor = vj_safetensors_find (file, filled[f].key);
    g_assert_cmpuint (filled[f].first + filled[f].n, ==, tensor->n_elements);
    g_autofree float *values = g_new (float, filled[f].n);
    vj_dtype_to_f32 (tensor->dtype, (const guint8 *) tensor->data + filled[f].first * vj_dtype_size (tensor->dtype),
                     filled[f].n, values);
    for (gsize i = 0; i < filled[f].n; i++)
      g_assert_cmpfloat (values[i], ==, (float) ((7 * (filled[f].first + i) + 3) % 128));
  }
  /* Their neighbours are zero. */
  const VjTensor *embed = vj_safetensors_find (file, "language_model.model.embed_tokens.weight");
  g_assert_cmpuint (((const guint16 *) embed->data)[filled[3].first - 1], ==, 0);
}

static void
test_weights (gconstpointer data)
{
  const Full *full = data;
  g_autoptr (GError) error = NULL;
  guint64 before = resident_bytes (), bytes = 0;
  gsize n;
  if (!needs (full))
    return;
  g_autoptr (VjSafetensors) file = vj_safetensors_open_dir (full->dir, &error);
  g_assert_no_error (error);
  g_autofree VjMllamaConfig *config = config_of (full->dir);
  g_autoptr (VjMllamaPlan) plan = vj_mllama_plan_new (config, file, &error);
  g_assert_no_error (error);
  vj_mllama_plan_check (plan, file, full->dir, &error);
  g_assert_no_error (error);
  const VjTensor *list = vj_safetensors_list (file, &n);
  g_assert_cmpuint (n, ==, 906);
  g_assert_cmpuint (plan->weights->len, ==, 906);
  for (gsize i = 0; i < n; i++)
    bytes += list[i].n_elements * vj_dtype_size (list[i].dtype);
  g_assert_cmpuint (bytes, ==, WEIGHT_BYTES);
  check_filled (file);
  guint64 grown = resident_bytes () - before;
  g_test_message ("resident: %" G_GUINT64_FORMAT " KiB more", grown >> 10);
  g_assert_cmpuint (grown, <, MAX_RESIDENT);
}

static void
test_text_and_pixels (gconstpointer data)
{
  const Full *full = data;
  g_autoptr (GError) error = NULL;
  if (!needs (full))
    return;
  g_autofree char *words = g_build_filename (full->dir, "tokenizer.json", NULL),
                  *pixels = vj_preprocess_file (full->dir);
  g_autoptr (VjTokenizer) tokenizer = vj_tokenizer_load (words, &error);
  VjPreprocess preprocess;
  g_assert_no_error (error);
  g_assert_cmpuint (vj_tokenizer_size (tokenizer), ==, 128257);
  g_assert_cmpint (vj_tokenizer_control (tokenizer, "<|image|>"), ==, 128256);
  g_assert_cmpint (vj_tokenizer_control (tokenizer, "<|eot_id|>"), ==, 128009);
  g_assert_cmpint (vj_tokenizer_bos (tokenizer), ==, 128000);
  g_assert_true (vj_preprocess_load (pixels, &preprocess, &error));
  g_assert_cmpuint (preprocess.tile_size, ==, 560);
}

/* The model opens for generation without reading its weights: they are used where they lie. */
static void
test_model_opens_lazily (gconstpointer data)
{
  const Full *full = data;
  g_autoptr (GError) error = NULL;
  if (!needs (full))
    return;
  guint64 before = resident_bytes ();
  g_autoptr (VjMllama) model = vj_mllama_open (full->dir, "cpu", 2, NULL, &error);
  g_assert_no_error (error);
  guint64 mapped = vj_mllama_mapped_bytes (model), taken = resident_bytes () - before;
  g_test_message ("%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " bytes mapped, %" G_GUINT64_FORMAT " MiB resident", mapped, WEIGHT_BYTES, taken >> 20);
  g_assert_cmpuint (mapped, >, WEIGHT_BYTES / 1000 * 999);
  g_assert_cmpuint (mapped, <, WEIGHT_BYTES);
  g_assert_cmpuint (taken, <, MAX_RESIDENT);
}

int
main (int argc, char **argv)
{
  Full full = {0};
  g_test_init (&argc, &argv, NULL);
  full_make (&full);
  g_test_add_data_func ("/full-size/config-as-published", &full, test_config);
  g_test_add_data_func ("/full-size/model-opens-lazily", &full, test_model_opens_lazily);
  g_test_add_data_func ("/full-size/config-in-other-spellings", &full, test_spellings);
  g_test_add_data_func ("/full-size/weights-in-five-shards", &full, test_weights);
  g_test_add_data_func ("/full-size/text-and-pixels", &full, test_text_and_pixels);
  int status = g_test_run ();
  full_remove (&full);
  return status;
}
