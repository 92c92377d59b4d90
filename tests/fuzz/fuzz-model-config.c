/* config.json and preprocessor_config.json of any bytes: refused as data, or sizes that fit together. */
#include "replay.h"
#include "engine/mllama/weights.h"
#include "engine/preprocess.h"

#include <glib/gstdio.h>

static void
check_config (const VjMllamaConfig *c)
{
  g_autoptr (GError) error = NULL;
  guint32 cross = 0;
  for (guint32 l = 0; l < c->num_hidden_layers; l++)
    cross += c->is_cross[l];
  g_assert_cmpuint (cross, ==, c->n_cross);
  g_assert_cmpuint (c->head_dim * c->num_attention_heads, ==, c->hidden_size);
  g_assert_cmpuint (c->num_attention_heads % c->num_key_value_heads, ==, 0);
  for (guint32 i = 0; i < c->n_intermediate; i++)
    g_assert_cmpuint (c->intermediate_layers[i], <, c->vision_layers);
  for (guint32 i = 0; i < c->n_aspect_ratios; i++)
    g_assert_cmpuint (c->aspect_ratios[i][0] * c->aspect_ratios[i][1], <=, c->max_num_tiles);
  g_assert_cmpuint (c->image_token_index, <, c->vocab_size + VJ_MLLAMA_EXTRA_EMBEDDINGS);
  g_autoptr (VjMllamaPlan) plan = vj_mllama_plan_new (c, NULL, &error);
  if (plan == NULL)
    g_assert_cmpint (vj_error_exit (error), ==, VJ_EXIT_DATA);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL, other = NULL;
  g_autofree char *dir = g_dir_make_tmp ("vj-fuzz-XXXXXX", NULL), *file = g_build_filename (dir, "config.json", NULL);
  g_autofree VjMllamaConfig *config = g_new0 (VjMllamaConfig, 1);
  const char *bytes = size ? (const char *) data : "";
  VjPreprocess preprocess;
  g_assert_true (g_file_set_contents (file, bytes, (gssize) size, NULL));
  if (vj_mllama_config_load (dir, config, &error))
    check_config (config);
  else
    g_assert_cmpint (vj_error_exit (error), ==, VJ_EXIT_DATA);
  g_unlink (file);
  g_rmdir (dir);
  if (vj_preprocess_parse ("fuzz", bytes, size, &preprocess, &other))
    g_assert_true (preprocess.tile_size >= 1 && preprocess.tile_size <= 4096 && preprocess.max_tiles >= 1 &&
                   preprocess.max_tiles <= 64);
  else
    g_assert_cmpint (vj_error_exit (other), ==, VJ_EXIT_DATA);
  return 0;
}
