/* Generation: prefill and decode equal transformers' logits, and no sequence's logits depend on its company. */
#include "tests/engine/mllama-cases.h"
#include "tests/engine/plugins.h"
#include "base/random.h"

#include <glib/gstdio.h>

static const char *const computes[] = { "ref", "cpu", "openblas", "onednn", "cublas-emulated", "cublas" };

static VjMllama *
open_model (const Model *model, const char *compute, guint threads)
{
  g_autoptr (GError) error = NULL;
  VjMllama *opened = vj_mllama_open (model->dir, compute, threads, "f32", &error);
  g_assert_no_error (error);
  return opened;
}

static VjMllamaSequence *
start (VjMllama *opened, const Case *c, gsize n_tokens, gsize capacity)
{
  g_autoptr (GError) error = NULL;
  VjMllamaVision *visions[MAX_IMAGES];
  g_assert_true (vj_mllama_encode (opened, c->images, c->n_images, visions, &error));
  VjMllamaSequence *sequence = vj_mllama_sequence_new (opened, c->tokens, n_tokens, visions, c->n_images, capacity, &error);
  g_assert_no_error (error);
  for (gsize i = 0; i < c->n_images; i++)
    vj_mllama_vision_unref (visions[i]);
  return sequence;
}

/* Tokens that must be in the prompt: up to the last image. */
static gsize
least_prompt (const Case *c, guint32 image)
{
  gsize n = 1;
  for (gsize i = 0; i < c->n_tokens; i++)
    if (c->tokens[i] == image)
      n = i + 1;
  return n;
}

/* Every split of every case into prompt and decoded tokens gives the recorded logits. */
static void
test_logits (const char *compute, const char *name)
{
  Model model = { 0 };
  model_load (name, &model);
  g_autoptr (VjMllama) opened = open_model (&model, compute, 2);
  gsize V = vj_mllama_peek_config (opened)->vocab_size;
  g_autofree float *logits = g_new (float, V);
  double worst = 0;
  for (guint i = 0; i < model.n; i++) {
    const Case *c = &model.cases[i];
    const float *want = expect (&model, "%u.logits", i)->data;
    for (gsize prompt = least_prompt (c, vj_mllama_peek_config (opened)->image_token_index); prompt <= c->n_tokens; prompt++) {
      g_autoptr (VjMllamaSequence) sequence = start (opened, c, prompt, c->n_tokens);
      g_assert_true (vj_mllama_prefill (opened, &sequence, 1, logits, NULL));
      worst = MAX (worst, distance (logits, want + (prompt - 1) * V, V));
      for (gsize t = prompt; t < c->n_tokens; t++) {
        g_assert_true (vj_mllama_decode (opened, &sequence, &c->tokens[t], 1, logits, NULL));
        worst = MAX (worst, distance (logits, want + t * V, V));
      }
    }
  }
  g_test_message ("%s on %s: logits %.1e", name, compute, worst);
  g_assert_cmpfloat (worst, <=, TOLERANCE);
  model_done (&model);
}

#define STEPS 6

/* The logits of `case` generated alone: prompt, then its own tokens again and again. [STEPS, V] */
static void
generate_alone (VjMllama *opened, const Case *c, float *ret_logits)
{
  gsize V = vj_mllama_peek_config (opened)->vocab_size;
  g_autoptr (VjMllamaSequence) sequence = start (opened, c, c->n_tokens, c->n_tokens + STEPS);
  g_assert_true (vj_mllama_prefill (opened, &sequence, 1, ret_logits, NULL));
  for (gsize s = 1; s < STEPS; s++)
    g_assert_true (vj_mllama_decode (opened, &sequence, &c->tokens[s % c->n_tokens == 0 ? 0 : c->n_tokens - 1], 1, ret_logits + s * V, NULL));
}

typedef struct {
  VjMllamaSequence *sequence;
  guint which;
  gsize done; /* logits already made */
} Runner;

/* Random crowds: sequences of random cases join, some by forking a prefilled one, advance in random subsets and
 * orders; every logit must have the bits it has alone, on one thread. */
static void
test_company (const char *compute, const char *name)
{
  Model model = { 0 };
  model_load (name, &model);
  g_autoptr (VjMllama) one = open_model (&model, compute, 1), many = open_model (&model, compute, 3);
  gsize V = vj_mllama_peek_config (one)->vocab_size, checked = 0;
  float *alone[MAX_CASES];
  VjRandom random;
  vj_random_init (&random, 5);
  for (guint i = 0; i < model.n; i++) {
    alone[i] = g_new (float, STEPS * V);
    generate_alone (one, &model.cases[i], alone[i]);
  }
  for (guint round = 0; round < 6; round++) {
    Runner runners[40];
    guint n = 2 + vj_random_below (&random, 38);
    VjMllamaSequence *batch[40];
    guint32 tokens[40], who[40];
    g_autofree float *logits = g_new (float, 40 * V);
    for (guint i = 0; i < n; i++) {
      runners[i] = (Runner) { NULL, vj_random_below (&random, model.n), 1 };
      const Case *c = &model.cases[runners[i].which];
      batch[i] = runners[i].sequence = start (many, c, c->n_tokens, c->n_tokens + STEPS);
    }
    g_assert_true (vj_mllama_prefill (many, batch, n, logits, NULL));
    for (guint i = 0; i < n; i++)
      g_assert_cmpmem (logits + i * V, V * 4, alone[runners[i].which], V * 4);
    for (guint turn = 0; turn < 4 * STEPS; turn++) {
      guint m = 0;
      for (guint i = 0; i < n; i++)
        if (runners[i].done < STEPS && vj_random_below (&random, 3) > 0) {
          const Case *c = &model.cases[runners[i].which];
          if (vj_random_below (&random, 4) == 0) { /* go on as a fork */
            VjMllamaSequence *fork = vj_mllama_sequence_fork (runners[i].sequence, c->n_tokens + STEPS, NULL);
            vj_mllama_sequence_free (runners[i].sequence);
            runners[i].sequence = fork;
          }
          guint at = vj_random_below (&random, m + 1);
          batch[m] = batch[at];
          tokens[m] = tokens[at];
          who[m++] = who[at];
          batch[at] = runners[i].sequence;
          tokens[at] = c->tokens[runners[i].done % c->n_tokens == 0 ? 0 : c->n_tokens - 1];
          who[at] = i;
        }
      if (m == 0)
        continue;
      g_assert_true (vj_mllama_decode (many, batch, tokens, m, logits, NULL));
      for (guint k = 0; k < m; k++, checked++)
        g_assert_cmpmem (logits + k * V, V * 4, alone[runners[who[k]].which] + runners[who[k]].done++ * V, V * 4);
    }
    for (guint i = 0; i < n; i++)
      vj_mllama_sequence_free (runners[i].sequence);
  }
  g_test_message ("%s on %s: %" G_GSIZE_FORMAT " rows of logits in company, bit for bit as alone", name, compute, checked);
  for (guint i = 0; i < model.n; i++)
    g_free (alone[i]);
  model_done (&model);
}

/* On CPUs, or on GPUs too: there a row of `linear` may have other bits among other rows. */
static void
for_all (void (*test) (const char *, const char *), gboolean gpus)
{
  for (guint c = 0; c < G_N_ELEMENTS (computes); c++) {
    if (!gpus && g_str_has_prefix (computes[c], "cublas"))
      continue;
    g_autofree char *missing = compute_missing (computes[c]);
    if (missing != NULL)
      g_test_message ("left out: %s", missing);
    for (guint m = 0; missing == NULL && m < G_N_ELEMENTS (model_names); m++)
      test (computes[c], model_names[m]);
  }
}

static void all_logits (void) { for_all (test_logits, TRUE); }
static void all_company (void) { for_all (test_company, FALSE); }

static void
test_refusals (void)
{
  Model model = { 0 };
  model_load ("one-tile", &model);
  g_autoptr (VjMllama) opened = open_model (&model, "ref", 1);
  const Case *c = &model.cases[0];
  g_autoptr (GError) error = NULL;
  guint32 wild = 48, plain = 5, full[1] = { 5 };
  VjMllamaImage image = c->images[0];
  VjMllamaVision *vision;
  g_assert_null (vj_mllama_sequence_new (opened, &wild, 1, NULL, 0, 4, &error)); /* no such token */
  g_assert_error (error, VJ_ERROR, VJ_EXIT_DATA);
  g_clear_error (&error);
  g_assert_null (vj_mllama_sequence_new (opened, c->tokens, c->n_tokens, NULL, 0, 64, &error)); /* an image token, no image */
  g_assert_error (error, VJ_ERROR, VJ_EXIT_DATA);
  g_clear_error (&error);
  g_assert_null (vj_mllama_sequence_new (opened, &plain, 1, NULL, 0, 1000, &error)); /* beyond the positions */
  g_assert_error (error, VJ_ERROR, VJ_EXIT_DATA);
  g_clear_error (&error);
  image.n_tiles = 2;
  g_assert_false (vj_mllama_encode (opened, &image, 1, &vision, &error));
  g_assert_error (error, VJ_ERROR, VJ_EXIT_DATA);
  g_clear_error (&error);
  g_autoptr (VjMllamaSequence) sequence = vj_mllama_sequence_new (opened, &plain, 1, NULL, 0, 1, &error);
  float logits[40];
  g_assert_true (vj_mllama_prefill (opened, &sequence, 1, logits, &error));
  g_assert_false (vj_mllama_decode (opened, &sequence, full, 1, logits, &error));
  g_assert_error (error, VJ_ERROR, VJ_EXIT_LIMIT);
  g_assert_cmpstr (vj_mllama_peek_digest (opened), ==, vj_mllama_peek_digest (opened));
  g_assert_cmpuint (strlen (vj_mllama_peek_digest (opened)), ==, 64);
  model_done (&model);
}

/* Faults of config.json: each text replacement is refused as data. */
static void
test_config_faults (void)
{
  static const struct { const char *from, *to; } faults[] = {
    { "\"model_type\": \"mllama\"", "\"model_type\": \"llava\"" },
    { "\"hidden_size\": 24", "\"hidden_size\": 25" },
    { "\"hidden_size\": 24", "\"hidden_size\": 4294967296" },
    { "\"hidden_size\": 24", "\"hidden_size\": -24" },
    { "\"hidden_size\": 24", "\"hidden_size\": 24.5" },
    { "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 100000" },
    { "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 2" },
    { "\"image_size\": 12", "\"image_size\": 16384" },
    { "\"patch_size\": 4", "\"patch_size\": 0" },
    { "\"vision_output_dim\": 32", "\"vision_output_dim\": 33" },
    { "\"rope_type\": \"default\"", "\"rope_type\": \"yarn\"" },
    { "\"hidden_act\": \"gelu\"", "\"hidden_act\": \"relu\"" },
    { "\"vocab_size\": 40", "\"vocab_size\": 39" },
    { "\"max_num_tiles\": 1", "\"max_num_tiles\": 0" },
  };
  Model model = { 0 };
  model_load ("one-tile", &model);
  g_autofree char *from = g_build_filename (model.dir, "config.json", NULL), *weights = g_build_filename (model.dir, "model.safetensors", NULL), *text = NULL;
  g_autofree char *dir = g_dir_make_tmp ("vj-config-XXXXXX", NULL), *to = g_build_filename (dir, "config.json", NULL), *link = g_build_filename (dir, "model.safetensors", NULL);
  g_assert_true (g_file_get_contents (from, &text, NULL, NULL));
  g_assert_cmpint (symlink (weights, link), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (faults); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (GString) changed = g_string_new (text);
    g_assert_cmpuint (g_string_replace (changed, faults[i].from, faults[i].to, 1), ==, 1);
    g_assert_true (g_file_set_contents (to, changed->str, -1, NULL));
    g_assert_null (vj_mllama_open (dir, "ref", 1, NULL, &error));
    g_test_message ("%s -> %s: %s", faults[i].from, faults[i].to, error->message);
    g_assert_error (error, VJ_ERROR, VJ_EXIT_DATA);
  }
  g_unlink (to);
  g_unlink (link);
  g_rmdir (dir);
  model_done (&model);
}

/* What is set aside for as many logits as rows is enough for any fewer. */
static void
test_memory (void)
{
  static const gsize rows[] = { 1, 2, 16, 64, 512 };
  for (guint m = 0; m < G_N_ELEMENTS (model_names); m++) {
    Model model = { 0 };
    model_load (model_names[m], &model);
    g_autoptr (VjMllama) opened = open_model (&model, "cpu", 1);
    for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
      for (gsize wanted = 0; wanted < rows[i]; wanted++) {
        g_assert_cmpuint (vj_mllama_work_bytes (opened, rows[i], wanted), <=, vj_mllama_work_bytes (opened, rows[i], wanted + 1));
        g_assert_cmpuint (vj_mllama_work_bytes (opened, rows[i], wanted), <=, vj_mllama_work_bytes (opened, rows[i] + 1, wanted));
      }
    model_done (&model);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  plugins_offer ();
  g_test_add_func ("/mllama/generate/equals-transformers", all_logits);
  g_test_add_func ("/mllama/generate/same-bits-in-company", all_company);
  g_test_add_func ("/mllama/refuses", test_refusals);
  g_test_add_func ("/mllama/config-faults", test_config_faults);
  g_test_add_func ("/mllama/memory", test_memory);
  return g_test_run ();
}
