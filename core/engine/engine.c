/* Opening a model directory for generation: what belongs together is read,
 * checked against each other, and named by one digest. Running it: generate.c. */
#include "engine/engine-private.h"

#include <string.h>

#include "engine/json.h"
#include "engine/mllama/adapter.h"

/* Part of the identity: raised whenever the same prompt, options and seed would give another text. */
#define GENERATION_VERSION "vjrun generation 2"

#define FILE_LIMIT ((gsize) 64 << 20)
#define MAX_ENDS 64
/* -- tokens that end a reply ---------------------------------------------------- */

static void
add_end (VjEngine *engine, guint32 id)
{
  for (guint i = 0; i < engine->ends->len; i++)
    if (g_array_index (engine->ends, guint32, i) == id)
      return;
  g_array_append_val (engine->ends, id);
}

/* eos_token_id: a number, a list of numbers, or null. */
static gboolean
read_ends (VjEngine *engine, const char *where, const json_t *value, GError **error)
{
  gsize n = json_is_array (value) ? json_array_size (value) : 1;
  if (value == NULL || json_is_null (value))
    return TRUE;
  if (n > MAX_ENDS)
    return vj_fail (error, VJ_EXIT_DATA, "%s: 'eos_token_id': %" G_GSIZE_FORMAT " tokens; expected at most %d", where, n, MAX_ENDS);
  for (gsize i = 0; i < n; i++) {
    const json_t *id = json_is_array (value) ? json_array_get (value, i) : value;
    if (!json_is_integer (id) || json_integer_value (id) < 0 || json_integer_value (id) >= (json_int_t) engine->config->vocab_size)
      return vj_fail (error, VJ_EXIT_DATA, "%s: 'eos_token_id': not a token of the %u there are; mend the file", where, engine->config->vocab_size);
    add_end (engine, (guint32) json_integer_value (id));
  }
  return TRUE;
}

/* generation_config.json speaks before config.json; the end of a turn always ends a reply. */
static gboolean
open_ends (VjEngine *engine, GChecksum *sum, GError **error)
{
  g_autofree char *file = g_build_filename (engine->dir, "generation_config.json", NULL), *bytes = NULL;
  gsize length;
  engine->ends = g_array_new (FALSE, FALSE, sizeof (guint32));
  for (guint i = 0; i < engine->config->n_eos_token_ids; i++)
    add_end (engine, engine->config->eos_token_ids[i]);
  if (g_file_test (file, G_FILE_TEST_EXISTS)) {
    if ((bytes = vj_json_bytes (file, FILE_LIMIT, &length, error)) == NULL)
      return FALSE;
    json_t *root = vj_json_object (file, bytes, length, error);
    if (root == NULL)
      return FALSE;
    const json_t *value = json_object_get (root, "eos_token_id");
    if (value != NULL && !json_is_null (value))
      g_array_set_size (engine->ends, 0);
    gboolean read = read_ends (engine, file, value, error);
    json_decref (root);
    if (!read)
      return FALSE;
  }
  add_end (engine, engine->chat.end_of_turn);
  for (guint i = 0; i < engine->ends->len; i++) {
    guint32 id = GUINT32_TO_LE (g_array_index (engine->ends, guint32, i));
    g_checksum_update (sum, (const guchar *) &id, sizeof id);
  }
  return TRUE;
}

/* -- files ------------------------------------------------------------------------- */

/* The bytes of a file, also taken into the digest, length first. */
static char *
read_file (const char *path, GChecksum *sum, gsize *ret_length, GError **error)
{
  char *bytes = vj_json_bytes (path, FILE_LIMIT, ret_length, error);
  if (bytes == NULL)
    return NULL;
  guint64 length = GUINT64_TO_LE ((guint64) *ret_length);
  g_checksum_update (sum, (const guchar *) &length, sizeof length);
  g_checksum_update (sum, (const guchar *) bytes, (gssize) *ret_length);
  return bytes;
}

static gboolean
open_text (VjEngine *engine, GChecksum *sum, GError **error)
{
  gsize length;
  g_autofree char *path = g_build_filename (engine->dir, "tokenizer.json", NULL), *bytes = read_file (path, sum, &length, error);
  if (bytes == NULL)
    return FALSE;
  engine->tokenizer = vj_tokenizer_parse (path, bytes, length, error);
  return engine->tokenizer != NULL && vj_chat_recognise (engine->dir, engine->tokenizer, &engine->chat, error);
}

static gboolean
open_pixels (VjEngine *engine, GChecksum *sum, GError **error)
{
  gsize length;
  g_autofree char *path = vj_preprocess_file (engine->dir), *bytes = read_file (path, sum, &length, error);
  return bytes != NULL && vj_preprocess_parse (path, bytes, length, &engine->preprocess, error);
}

/* config.json was read by the model; here only its bytes count. */
static gboolean
add_config (VjEngine *engine, GChecksum *sum, GError **error)
{
  gsize length;
  g_autofree char *path = g_build_filename (engine->dir, "config.json", NULL), *bytes = read_file (path, sum, &length, error);
  return bytes != NULL;
}

/* Files of one directory that do not belong together would give nonsense, not an error. */
static gboolean
check_parts (const VjEngine *engine, GError **error)
{
  const VjMllamaConfig *c = engine->config;
  const VjPreprocess *p = &engine->preprocess;
  guint32 size = vj_tokenizer_size (engine->tokenizer);
  if (engine->chat.image != c->image_token_index)
    return vj_fail (error, VJ_EXIT_DATA, "%s: 'image_token_index': %u in config.json, but <|image|> is %u in tokenizer.json; they are of two models",
                    engine->dir, c->image_token_index, engine->chat.image);
  if (size > c->vocab_size + VJ_MLLAMA_EXTRA_EMBEDDINGS)
    return vj_fail (error, VJ_EXIT_DATA, "%s: 'vocab_size': %u in config.json, but tokenizer.json has %u tokens; they are of two models", engine->dir,
                    c->vocab_size, size);
  if (p->tile_size != c->image_size || p->max_tiles != c->max_num_tiles)
    return vj_fail (error, VJ_EXIT_DATA,
                    "%s: 'size': %u tiles of %u pixels in the preprocessor's file, but %u of %u in config.json; they are of two models", engine->dir,
                    p->max_tiles, p->tile_size, c->max_num_tiles, c->image_size);
  if (vj_preprocess_ratios (p->max_tiles) != c->n_aspect_ratios)
    return vj_fail (error, VJ_EXIT_DATA, "%s: 'supported_aspect_ratios': %u of them, but %u tiles make %u; mend config.json", engine->dir,
                    c->n_aspect_ratios, p->max_tiles, vj_preprocess_ratios (p->max_tiles));
  return TRUE;
}

static gboolean
open_parts (VjEngine *engine, const char *dir, const VjEngineConfig *config, GError **error)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  engine->model = vj_mllama_open (dir, config->compute, config->threads, config->dtype, error);
  if (engine->model == NULL)
    return FALSE;
  engine->config = vj_mllama_peek_config (engine->model);
  if (!add_config (engine, sum, error) || !open_text (engine, sum, error) || !open_pixels (engine, sum, error) || !check_parts (engine, error) ||
      !open_ends (engine, sum, error))
    return FALSE;
  engine->files_digest = g_strdup (g_checksum_get_string (sum));
  return TRUE;
}

/* -- the engine ---------------------------------------------------------------------- */

static guint
find_longest_token (const VjTokenizer *tokenizer)
{
  gsize longest = 1, length;
  for (guint32 id = 0; id < vj_tokenizer_size (tokenizer); id++) {
    vj_tokenizer_peek (tokenizer, id, &length);
    longest = MAX (longest, length);
  }
  return (guint) longest;
}

static char *
describe (const VjEngine *engine)
{
  double parameters = (double) vj_mllama_parameters (engine->model);
  gboolean large = parameters >= 1e9;
  g_autofree char *cache = engine->cache_limit == G_MAXSIZE ? g_strdup ("without limit") : g_strdup_printf ("up to %.0f MiB", (double) engine->cache_limit / (1 << 20));
  return g_strdup_printf ("mllama, %.1f %s parameters, %s, compute %s (%s); %u draws at a time; memory: activations %.0f MiB, caches %s",
                          parameters / (large ? 1e9 : 1e6), large ? "G" : "M", vj_mllama_peek_dtype (engine->model),
                          vj_mllama_peek_compute (engine->model), vj_mllama_peek_products (engine->model), engine->max_batch, (double) engine->work_bytes / (1 << 20), cache);
}

VjEngine *
vj_engine_open (const char *dir, const VjEngineConfig *config, GError **error)
{
  static const VjEngineConfig usual;
  g_autoptr (VjEngine) engine = g_new0 (VjEngine, 1);
  if (config == NULL)
    config = &usual;
  vj_image_store_init (&engine->images);
  vj_prefix_store_init (&engine->prefixes);
  engine->scheduler = vj_scheduler_new ();
  if ((engine->dir = vj_mllama_base_dir (dir, error)) == NULL || !open_parts (engine, dir, config, error) || !vj_engine_plan_memory (engine, config, error))
    return NULL;
  engine->longest_token = find_longest_token (engine->tokenizer);
  engine->summary = describe (engine);
  return g_steal_pointer (&engine);
}

void
vj_engine_free (VjEngine *engine)
{
  if (engine == NULL)
    return;
  vj_scheduler_free (engine->scheduler, engine);
  vj_prefix_store_done (&engine->prefixes);
  vj_image_store_done (&engine->images);
  vj_mllama_free (engine->model);
  vj_tokenizer_free (engine->tokenizer);
  g_clear_pointer (&engine->ends, g_array_unref);
  g_free (engine->dir);
  g_free (engine->files_digest);
  g_free (engine->identity);
  g_free (engine->summary);
  g_free (engine);
}

const char *
vj_engine_identity (VjEngine *engine)
{
  if (engine->identity == NULL) {
    g_autofree char *text = g_strdup_printf (GENERATION_VERSION "\n%s\n%s\n", engine->files_digest, vj_mllama_peek_digest (engine->model));
    engine->identity = g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, -1);
  }
  return engine->identity;
}

const char *
vj_engine_summary (const VjEngine *engine)
{
  return engine->summary;
}

VjEngineWork
vj_engine_work (const VjEngine *engine)
{
  return engine->work;
}
