/* config.json of mllama: see config.h. Defaults are those of transformers' MllamaConfig. */
#include "engine/mllama/config.h"

#include <string.h>

#include "engine/json.h"

#define DEFAULT_BOS 128000
#define DEFAULT_EOS 128001
#define DEFAULT_PAD 128004
#define FILE_LIMIT ((gsize) 1 << 20)

/* Where a fault is, for messages. */
typedef struct {
  const char *path;    /* of config.json */
  const char *section; /* "text_config" */
  const json_t *object;
  GError **error;
} Reader;

static gboolean
refuse (const Reader *reader, const char *key, const char *cause)
{
  return vj_fail (reader->error, VJ_EXIT_DATA, "%s: '%s%s%s': not a usable mllama configuration: %s; check that the directory holds a Llama-3.2-Vision model",
                  reader->path, reader->section, *reader->section ? "." : "", key, cause);
}

/* An integer in [low, high]; `fallback` when absent or null (G_MAXUINT32: it must be there). */
static gboolean
read_count (const Reader *reader, const char *key, guint32 low, guint32 high, guint32 fallback, guint32 *ret_value)
{
  const json_t *value = json_object_get (reader->object, key);
  if (value == NULL || json_is_null (value)) {
    if (fallback == G_MAXUINT32)
      return refuse (reader, key, "missing");
    *ret_value = fallback;
    return TRUE;
  }
  if (!json_is_integer (value) || json_integer_value (value) < low || json_integer_value (value) > high) {
    g_autofree char *cause = g_strdup_printf ("expected a whole number in [%u, %u]", low, high);
    return refuse (reader, key, cause);
  }
  *ret_value = (guint32) json_integer_value (value);
  return TRUE;
}

static gboolean
read_real (const Reader *reader, const char *key, double low, double high, double fallback, float *ret_value)
{
  const json_t *value = json_object_get (reader->object, key);
  double number = value == NULL || json_is_null (value) ? fallback : json_number_value (value);
  if ((value != NULL && !json_is_null (value) && !json_is_number (value)) || !(number >= low && number <= high))
    return refuse (reader, key, "not a number in its range");
  *ret_value = (float) number;
  return TRUE;
}

/* Strictly: every element an integer below `below`. */
static gboolean
read_indices (const Reader *reader, const char *key, guint32 below, const guint32 *fallback, guint32 n_fallback,
              guint32 *ret_indices, guint32 *ret_n)
{
  const json_t *list = json_object_get (reader->object, key);
  gsize n = list == NULL || json_is_null (list) ? n_fallback : json_array_size (list);
  if ((list != NULL && !json_is_null (list) && !json_is_array (list)) || n > VJ_MLLAMA_MAX_LAYERS)
    return refuse (reader, key, "not a list of layer indices");
  for (gsize i = 0; i < n; i++) {
    const json_t *item = json_array_get (list, i);
    json_int_t index = list == NULL || json_is_null (list) ? fallback[i] : json_is_integer (item) ? json_integer_value (item) : -1;
    if (index < 0 || index >= (json_int_t) below)
      return refuse (reader, key, "an index is not that of a layer");
    ret_indices[i] = (guint32) index;
  }
  *ret_n = (guint32) n;
  return TRUE;
}

static gboolean
read_activation (const Reader *reader, const char *key, const char *fallback, VjMllamaActivation *ret_activation)
{
  static const char *const names[] = { "gelu", "quick_gelu", "silu" };
  const json_t *value = json_object_get (reader->object, key);
  const char *name = value == NULL ? fallback : json_string_value (value);
  for (guint i = 0; name != NULL && i < G_N_ELEMENTS (names); i++)
    if (strcmp (name, names[i]) == 0) {
      *ret_activation = (VjMllamaActivation) i;
      return TRUE;
    }
  return refuse (reader, key, "an activation other than gelu, quick_gelu, silu");
}

/* Newer files: rope_parameters with rope_theta inside; older ones: rope_theta beside rope_scaling. */
static gboolean
read_rope (const Reader *reader, VjMllamaConfig *config)
{
  const json_t *newer = json_object_get (reader->object, "rope_parameters");
  const json_t *scaling = json_is_object (newer) ? newer : json_object_get (reader->object, "rope_scaling");
  Reader inner = { reader->path, "text_config.rope", scaling, reader->error };
  const Reader *where_theta = json_object_get (scaling, "rope_theta") != NULL ? &inner : reader;
  if (!read_real (where_theta, "rope_theta", 1, 1e12, 500000, &config->rope_theta))
    return FALSE;
  const json_t *named = json_object_get (scaling, "rope_type");
  const char *type = json_string_value (named != NULL ? named : json_object_get (scaling, "type"));
  config->rope_type = VJ_ROPE_DEFAULT;
  if (!json_is_object (scaling) || type == NULL || strcmp (type, "default") == 0)
    return TRUE;
  config->rope_type = strcmp (type, "llama3") == 0 ? VJ_ROPE_LLAMA3 : VJ_ROPE_LINEAR;
  if (config->rope_type == VJ_ROPE_LINEAR && strcmp (type, "linear") != 0)
    return refuse (&inner, "rope_type", "a kind other than default, linear, llama3");
  if (!read_real (&inner, "factor", 1, 1e6, 0, &config->rope_factor))
    return FALSE;
  if (config->rope_type == VJ_ROPE_LINEAR)
    return TRUE;
  return read_real (&inner, "low_freq_factor", 1e-6, 1e6, 0, &config->rope_low_freq_factor) &&
         read_real (&inner, "high_freq_factor", 1e-6, 1e6, 0, &config->rope_high_freq_factor) &&
         (config->rope_high_freq_factor > config->rope_low_freq_factor || refuse (&inner, "high_freq_factor", "not above low_freq_factor")) &&
         read_count (&inner, "original_max_position_embeddings", 1, 1 << 28, config->max_position_embeddings,
                     &config->rope_original_max_position_embeddings);
}

static gboolean
read_token_ids (const Reader *reader, VjMllamaConfig *config)
{
  guint32 rows = config->vocab_size + VJ_MLLAMA_EXTRA_EMBEDDINGS;
  const json_t *eos = json_object_get (reader->object, "eos_token_id");
  gsize n = json_is_array (eos) ? json_array_size (eos) : json_is_null (eos) ? 0 : 1;
  if (eos == NULL)
    n = rows > DEFAULT_EOS;
  if (n > G_N_ELEMENTS (config->eos_token_ids))
    return refuse (reader, "eos_token_id", "more than 8 ids");
  for (gsize i = 0; i < n; i++) {
    const json_t *item = json_is_array (eos) ? json_array_get (eos, i) : eos;
    json_int_t id = eos == NULL ? DEFAULT_EOS : json_is_integer (item) ? json_integer_value (item) : -1;
    if (id < 0 || id >= rows)
      return refuse (reader, "eos_token_id", "not a token of the vocabulary");
    config->eos_token_ids[i] = (guint32) id;
  }
  config->n_eos_token_ids = (guint32) n;
  const json_t *pad = json_object_get (reader->object, "pad_token_id");
  config->pad_token_id = pad == NULL && rows > DEFAULT_PAD ? DEFAULT_PAD : G_MAXUINT32;
  if (json_is_integer (pad) && json_integer_value (pad) >= 0 && json_integer_value (pad) < rows)
    config->pad_token_id = (guint32) json_integer_value (pad);
  return read_count (reader, "bos_token_id", 0, rows - 1, rows > DEFAULT_BOS ? DEFAULT_BOS : 0,
                     &config->bos_token_id);
}

static gboolean
read_text (const Reader *reader, VjMllamaConfig *config)
{
  static const guint32 default_cross[] = { 3, 8, 13, 18, 23, 28, 33, 38 };
  guint32 cross[VJ_MLLAMA_MAX_LAYERS], n_cross;
  VjMllamaActivation activation;
  if (!read_count (reader, "vocab_size", 1, 1 << 22, 128256, &config->vocab_size) ||
      !read_count (reader, "hidden_size", 1, 1 << 16, 4096, &config->hidden_size) ||
      !read_count (reader, "intermediate_size", 1, 1 << 18, 14336, &config->intermediate_size) ||
      !read_count (reader, "num_hidden_layers", 1, VJ_MLLAMA_MAX_LAYERS, 40, &config->num_hidden_layers) ||
      !read_count (reader, "num_attention_heads", 1, 1 << 12, 32, &config->num_attention_heads) ||
      !read_count (reader, "num_key_value_heads", 1, 1 << 12, 8, &config->num_key_value_heads) ||
      !read_count (reader, "max_position_embeddings", 1, 1 << 22, 131072, &config->max_position_embeddings) ||
      !read_real (reader, "rms_norm_eps", 0, 1, 1e-5, &config->rms_norm_eps) ||
      !read_activation (reader, "hidden_act", "silu", &activation) ||
      !read_indices (reader, "cross_attention_layers", config->num_hidden_layers, default_cross, G_N_ELEMENTS (default_cross), cross, &n_cross))
    return FALSE;
  if (activation != VJ_ACTIVATION_SILU)
    return refuse (reader, "hidden_act", "the decoder of this family uses silu");
  if (config->hidden_size % config->num_attention_heads != 0 || config->num_attention_heads % config->num_key_value_heads != 0)
    return refuse (reader, "num_attention_heads", "does not divide hidden_size, or is no multiple of num_key_value_heads");
  config->head_dim = config->hidden_size / config->num_attention_heads;
  if (config->head_dim % 2 != 0)
    return refuse (reader, "num_attention_heads", "the head size must be even for rotary positions");
  memset (config->is_cross, 0, sizeof config->is_cross);
  config->n_cross = 0;
  for (guint32 i = 0; i < n_cross; i++) {
    config->n_cross += !config->is_cross[cross[i]];
    config->is_cross[cross[i]] = TRUE;
  }
  config->last_self = config->num_hidden_layers;
  for (guint32 l = 0; l < config->num_hidden_layers; l++)
    config->last_self = config->is_cross[l] ? config->last_self : l;
  config->tie_word_embeddings = json_is_true (json_object_get (reader->object, "tie_word_embeddings"));
  return read_rope (reader, config) && read_token_ids (reader, config);
}

static gboolean
read_aspect_ratios (const Reader *reader, VjMllamaConfig *config)
{
  static const guint32 defaults[][2] = { { 1, 1 }, { 1, 2 }, { 1, 3 }, { 1, 4 }, { 2, 1 }, { 2, 2 }, { 3, 1 }, { 4, 1 } };
  const json_t *list = json_object_get (reader->object, "supported_aspect_ratios");
  gboolean absent = list == NULL || json_is_null (list);
  gsize n = absent ? G_N_ELEMENTS (defaults) : json_array_size (list);
  if (n < 1 || n > VJ_MLLAMA_MAX_ASPECT_RATIOS)
    return refuse (reader, "supported_aspect_ratios", "not a list of 1 to 128 pairs");
  for (gsize i = 0; i < n; i++) {
    const json_t *pair = json_array_get (list, i);
    json_int_t down = absent ? defaults[i][0] : json_integer_value (json_array_get (pair, 0));
    json_int_t across = absent ? defaults[i][1] : json_integer_value (json_array_get (pair, 1));
    if ((!absent && json_array_size (pair) != 2) || down < 1 || across < 1 || down > config->max_num_tiles ||
        across > config->max_num_tiles || down * across > config->max_num_tiles)
      return refuse (reader, "supported_aspect_ratios", "a ratio needs more tiles than max_num_tiles");
    config->aspect_ratios[i][0] = (guint32) down;
    config->aspect_ratios[i][1] = (guint32) across;
  }
  config->n_aspect_ratios = (guint32) n;
  return TRUE;
}

/* An int, or a list of two equal ints. */
static gboolean
read_square (const Reader *reader, const char *key, guint32 low, guint32 high, guint32 fallback, guint32 *ret_value)
{
  const json_t *value = json_object_get (reader->object, key);
  if (!json_is_array (value))
    return read_count (reader, key, low, high, fallback, ret_value);
  json_int_t side = json_integer_value (json_array_get (value, 0));
  if (json_array_size (value) != 2 || side != json_integer_value (json_array_get (value, 1)) || side < low || side > high)
    return refuse (reader, key, "not one size for both sides, or out of range");
  *ret_value = (guint32) side;
  return TRUE;
}

static gboolean
read_vision (const Reader *reader, VjMllamaConfig *config)
{
  static const guint32 default_taken[] = { 3, 7, 15, 23, 30 };
  guint32 output;
  const char *heads = json_object_get (reader->object, "attention_heads") != NULL ? "attention_heads" : "num_attention_heads";
  if (!read_count (reader, "hidden_size", 1, 1 << 16, 1280, &config->vision_hidden_size) ||
      !read_count (reader, "intermediate_size", 1, 1 << 18, 5120, &config->vision_intermediate_size) ||
      !read_count (reader, heads, 1, 1 << 12, 16, &config->vision_heads) ||
      !read_count (reader, "num_hidden_layers", 0, VJ_MLLAMA_MAX_LAYERS, 32, &config->vision_layers) ||
      !read_count (reader, "num_global_layers", 0, VJ_MLLAMA_MAX_LAYERS, 8, &config->vision_global_layers) ||
      !read_count (reader, "num_channels", 3, 3, 3, &config->num_channels) ||
      !read_count (reader, "max_num_tiles", 1, VJ_MLLAMA_MAX_TILES, 4, &config->max_num_tiles) ||
      !read_square (reader, "image_size", 1, 1 << 14, 448, &config->image_size) ||
      !read_square (reader, "patch_size", 1, 1 << 14, 14, &config->patch_size) ||
      !read_real (reader, "norm_eps", 0, 1, 1e-5, &config->vision_norm_eps) ||
      !read_activation (reader, "hidden_act", "gelu", &config->vision_activation) ||
      !read_indices (reader, "intermediate_layers_indices", config->vision_layers, default_taken, G_N_ELEMENTS (default_taken),
                     config->intermediate_layers, &config->n_intermediate) ||
      !read_aspect_ratios (reader, config))
    return FALSE;
  if (config->vision_hidden_size % config->vision_heads != 0)
    return refuse (reader, heads, "does not divide hidden_size");
  if (config->patch_size > config->image_size)
    return refuse (reader, "patch_size", "larger than image_size");
  guint32 side = config->image_size / config->patch_size;
  config->n_patches = side * side + 1;
  /* Sizes that no machine holds are refused here, before they are multiplied into an allocation. */
  if ((guint64) config->n_patches * config->max_num_tiles > 1 << 20)
    return refuse (reader, "image_size", "more than a million patches in an image");
  guint32 expected = config->vision_hidden_size * (1 + config->n_intermediate);
  return read_count (reader, "vision_output_dim", 1, 1 << 24, expected, &output) &&
         (output == expected || refuse (reader, "vision_output_dim", "not hidden_size times (1 + the intermediate layers)"));
}

static gboolean
read_all (const char *path, const json_t *root, VjMllamaConfig *config, GError **error)
{
  const char *family = json_string_value (json_object_get (root, "model_type"));
  if (family == NULL || strcmp (family, "mllama") != 0)
    return vj_fail (error, VJ_EXIT_DATA, "%s: 'model_type': unsupported model family: '%s'; this engine runs 'mllama' (Llama-3.2-Vision)",
                    path, family == NULL ? "(none)" : family);
  Reader text = { path, "text_config", json_object_get (root, "text_config"), error };
  Reader vision = { path, "vision_config", json_object_get (root, "vision_config"), error };
  Reader top = { path, "", root, error };
  const json_t *quantized = json_object_get (root, "quantization_config");
  if (quantized != NULL && !json_is_null (quantized))
    return vj_fail (error, VJ_EXIT_DATA,
                    "%s: 'quantization_config': quantized weights are not known here; fetch the model in bf16", path);
  if (!json_is_object (text.object) || !json_is_object (vision.object))
    return refuse (&top, json_is_object (text.object) ? "vision_config" : "text_config", "missing");
  if (!read_text (&text, config) || !read_vision (&vision, config))
    return FALSE;
  if (json_is_true (json_object_get (root, "tie_word_embeddings")))
    config->tie_word_embeddings = TRUE;
  return read_count (&top, "image_token_index", 0, config->vocab_size + VJ_MLLAMA_EXTRA_EMBEDDINGS - 1, config->vocab_size,
                     &config->image_token_index);
}

gboolean
vj_mllama_config_load (const char *dir, VjMllamaConfig *ret_config, GError **error)
{
  g_autofree char *path = g_build_filename (dir, "config.json", NULL);
  g_autofree VjMllamaConfig *config = g_new0 (VjMllamaConfig, 1);
  gsize length;
  g_autofree char *text = vj_json_bytes (path, FILE_LIMIT, &length, error);
  json_t *root = text == NULL ? NULL : vj_json_object (path, text, length, error);
  if (root == NULL)
    return FALSE;
  gboolean ok = read_all (path, root, config, error);
  json_decref (root);
  if (ok)
    *ret_config = *config;
  return ok;
}
