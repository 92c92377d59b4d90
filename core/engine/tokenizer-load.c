/* Tokenizer: reading tokenizer.json. Refuses what it would not reproduce exactly. */
#include "engine/json.h"
#include "engine/tokenizer-private.h"

#include <string.h>

#define FILE_LIMIT ((gsize) 64 << 20)
#define MAX_TOKENS 1000000u

/* How Llama 3 cuts text into pieces before merging (as its tokenizer.json spells it). */
#define LLAMA3_PATTERN                                                               \
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"          \
  " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* The same in PCRE2's terms. Its \p{L}, \p{N} and \s are those of Unicode 14 in Debian 12 (and \s holds U+180E, as
 * older Unicode had it); the library's are those of Unicode 16. So the newer ranges are added by hand:
 * `make_tokenizer_vectors.py --scan` compares all code points. */
#define LETTERS                                                                                                  \
  "\\p{L}"                                                                                                       \
  "\\x{1c89}-\\x{1c8a}\\x{a7cb}-\\x{a7cd}\\x{a7da}-\\x{a7dc}\\x{105c0}-\\x{105f3}\\x{10d4a}-\\x{10d65}" \
  "\\x{10d6f}-\\x{10d85}\\x{10ec2}-\\x{10ec4}\\x{1123f}-\\x{11240}\\x{11380}-\\x{11389}\\x{1138b}\\x{1138e}" \
  "\\x{11390}-\\x{113b5}\\x{113b7}\\x{113d1}\\x{113d3}\\x{11bc0}-\\x{11be0}\\x{11f02}\\x{11f04}-\\x{11f10}" \
  "\\x{11f12}-\\x{11f33}\\x{1342f}\\x{13441}-\\x{13446}\\x{13460}-\\x{143fa}\\x{16100}-\\x{1611d}" \
  "\\x{16d40}-\\x{16d6c}\\x{18cff}\\x{1b132}\\x{1b155}\\x{1df25}-\\x{1df2a}\\x{1e030}-\\x{1e06d}" \
  "\\x{1e4d0}-\\x{1e4eb}\\x{1e5d0}-\\x{1e5ed}\\x{1e5f0}\\x{2b739}\\x{2ebf0}-\\x{2ee5d}\\x{31350}-\\x{323af}"
#define NUMBERS \
  "\\p{N}" \
  "\\x{10d40}-\\x{10d49}\\x{116d0}-\\x{116e3}\\x{11bf0}-\\x{11bf9}\\x{11f50}-\\x{11f59}\\x{16130}-\\x{16139}" \
  "\\x{16d70}-\\x{16d79}\\x{1ccf0}-\\x{1ccf9}\\x{1d2c0}-\\x{1d2d3}\\x{1e4f0}-\\x{1e4f9}\\x{1e5f1}-\\x{1e5fa}"
#define SPACES "\\t-\\r\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define SPLITTER                                                                                                          \
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n" LETTERS NUMBERS "]?[" LETTERS "]+|[" NUMBERS "]{1,3}| ?[^" SPACES LETTERS NUMBERS "]+[\\r\\n]*|" \
  "[" SPACES "]*[\\r\\n]+|[" SPACES "]+(?![^" SPACES "])|[" SPACES "]+"

/* The file being read. */
typedef struct {
  const char *where;
  json_t *root, *model, *vocab, *added;
  VjTokenizer *out;
  gsize pool_used;
  gint16 byte_of[512]; /* byte of a character of the byte alphabet, or -1 */
} Loader;

#define REFUSE(l, ...) refuse ((l), error, __VA_ARGS__)
static gboolean refuse (const Loader *l, GError **error, const char *format, ...) G_GNUC_PRINTF (3, 4);

static gboolean
refuse (const Loader *l, GError **error, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *what = g_strdup_vprintf (format, args);
  va_end (args);
  return vj_fail (error, VJ_EXIT_DATA, "%s: %s; fetch the model anew, or use one with a Llama 3 tokenizer", l->where, what);
}

/* The byte alphabet of GPT-2: printable Latin-1 stands for itself, the other 68 bytes for U+0100 onwards. */
static void
fill_byte_alphabet (gint16 byte_of[512])
{
  int spare = 256;
  for (int c = 0; c < 512; c++)
    byte_of[c] = -1;
  for (int byte = 0; byte < 256; byte++) {
    gboolean printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    byte_of[printable ? byte : spare++] = (gint16) byte;
  }
}

/* -- what kind of tokenizer it is -------------------------------------------- */

static gboolean
is_type (const json_t *object, const char *type)
{
  return g_strcmp0 (vj_json_peek_string (object, "type"), type) == 0;
}

/* ByteLevel as a stage that only maps bytes: the pattern stage before it has split the text. */
static gboolean
is_plain_byte_level (const json_t *stage)
{
  return is_type (stage, "ByteLevel") && json_is_false (json_object_get (stage, "add_prefix_space")) &&
         json_is_false (json_object_get (stage, "use_regex"));
}

static gboolean
check_pre_tokenizer (const Loader *l, GError **error)
{
  const json_t *pre = json_object_get (l->root, "pre_tokenizer"), *stages = json_object_get (pre, "pretokenizers");
  const json_t *split = json_array_get (stages, 0);
  const char *pattern = vj_json_peek_string (json_object_get (split, "pattern"), "Regex");
  if (!is_type (pre, "Sequence") || json_array_size (stages) != 2 || !is_type (split, "Split") ||
      g_strcmp0 (vj_json_peek_string (split, "behavior"), "Isolated") != 0 || !json_is_false (json_object_get (split, "invert")) ||
      !is_plain_byte_level (json_array_get (stages, 1)))
    return REFUSE (l, "'pre_tokenizer': not Split (Isolated) followed by a plain ByteLevel");
  if (g_strcmp0 (pattern, LLAMA3_PATTERN) != 0)
    return REFUSE (l, "'pre_tokenizer': its splitting pattern is not that of Llama 3");
  return TRUE;
}

static gboolean
is_empty_text (const json_t *object, const char *key)
{
  return vj_json_is_null (object, key) || g_strcmp0 (vj_json_peek_string (object, key), "") == 0;
}

static gboolean
check_model_kind (Loader *l, GError **error)
{
  if (!vj_json_is_null (l->root, "normalizer"))
    return REFUSE (l, "'normalizer': not null, and none is known here");
  if (!is_type (json_object_get (l->root, "decoder"), "ByteLevel"))
    return REFUSE (l, "'decoder': not ByteLevel");
  if (!json_is_object (l->model) || !(is_type (l->model, "BPE") || vj_json_is_null (l->model, "type")))
    return REFUSE (l, "'model': not of type BPE");
  if (!vj_json_is_null (l->model, "dropout") || !vj_json_is_null (l->model, "unk_token") || json_is_true (json_object_get (l->model, "byte_fallback")))
    return REFUSE (l, "'model': dropout, unk_token or byte_fallback is set, which byte-level BPE has no use for");
  if (!is_empty_text (l->model, "continuing_subword_prefix") || !is_empty_text (l->model, "end_of_word_suffix"))
    return REFUSE (l, "'model': a subword prefix or word suffix is set, which byte-level BPE has no use for");
  return vj_json_get_bool (l->where, l->model, "ignore_merges", &l->out->ignore_merges, error);
}

/* -- tokens -------------------------------------------------------------------- */

static gboolean
claim_id (Loader *l, const char *content, const json_t *value, gsize total, guint32 *ret_id, GError **error)
{
  if (!json_is_integer (value) || json_integer_value (value) < 0)
    return REFUSE (l, "'%s': its id is not a whole number", content);
  if ((guint64) json_integer_value (value) >= total)
    return REFUSE (l, "'%s': id %" JSON_INTEGER_FORMAT " leaves a gap among %" G_GSIZE_FORMAT " tokens", content, json_integer_value (value), total);
  guint32 id = (guint32) json_integer_value (value);
  if (l->out->tokens[id].bytes != NULL)
    return REFUSE (l, "'%s': id %u is given twice", content, id);
  *ret_id = id;
  return TRUE;
}

/* Puts the bytes spelled by `content` at the end of the pool, whose size (that of the file) they cannot exceed. */
static gboolean
spell_token (Loader *l, const char *content, guint32 *ret_length, GError **error)
{
  char *start = l->out->pool + l->pool_used;
  guint32 length = 0;
  for (const char *c = content; *c != '\0'; c = g_utf8_next_char (c)) {
    gunichar character = g_utf8_get_char (c);
    if (character >= 512 || l->byte_of[character] < 0)
      return REFUSE (l, "'%s': a token with a character outside the byte alphabet", content);
    start[length++] = (char) l->byte_of[character];
  }
  if (length == 0)
    return REFUSE (l, "'vocab': an empty token");
  l->pool_used += length;
  *ret_length = length;
  return TRUE;
}

static gboolean
is_added (const Loader *l, const char *content)
{
  return g_hash_table_contains (l->out->by_content, content);
}

static gboolean
read_vocab (Loader *l, gsize total, GError **error)
{
  const char *content;
  json_t *value;
  json_object_foreach (l->vocab, content, value)
  {
    guint32 id, length = 0;
    if (is_added (l, content)) {
      if (!json_is_integer (value) || json_integer_value (value) != (json_int_t) vj_tokenizer_control (l->out, content))
        return REFUSE (l, "'%s': one id as an added token and another in the vocabulary", content);
      continue;
    }
    if (!claim_id (l, content, value, total, &id, error))
      return FALSE;
    VjToken *token = &l->out->tokens[id];
    const char *bytes = l->out->pool + l->pool_used;
    if (!spell_token (l, content, &length, error))
      return FALSE;
    *token = (VjToken){bytes, length, FALSE};
    g_hash_table_insert (l->out->by_bytes, token, GUINT_TO_POINTER (id));
    if (length == 1)
      l->out->byte_ids[(guint8) bytes[0]] = id;
  }
  for (int byte = 0; byte < 256; byte++)
    if (l->out->byte_ids[byte] == G_MAXUINT32)
      return REFUSE (l, "'vocab': no token for the byte 0x%02x", (guint) byte);
  return TRUE;
}

/* Added tokens, all of them control tokens: they get their ids first, the vocabulary fills the rest. */
static gboolean
read_added (Loader *l, gsize total, GError **error)
{
  gsize index;
  json_t *entry;
  json_array_foreach (l->added, index, entry)
  {
    const char *content = vj_json_peek_string (entry, "content");
    guint32 id;
    if (content == NULL || *content == '\0')
      return REFUSE (l, "'added_tokens': entry %" G_GSIZE_FORMAT " has no content", index);
    if (!json_is_true (json_object_get (entry, "special")))
      return REFUSE (l, "'%s': an added token that is not special, which is not known here", content);
    if (json_is_true (json_object_get (entry, "lstrip")) || json_is_true (json_object_get (entry, "rstrip")) ||
        json_is_true (json_object_get (entry, "single_word")))
      return REFUSE (l, "'%s': lstrip, rstrip or single_word is set, which is not known here", content);
    if (is_added (l, content))
      return REFUSE (l, "'%s': added twice", content);
    if (!claim_id (l, content, json_object_get (entry, "id"), total, &id, error))
      return FALSE;
    l->out->tokens[id] = (VjToken){"", 0, TRUE};
    g_hash_table_insert (l->out->by_content, g_strdup (content), GUINT_TO_POINTER (id));
  }
  return TRUE;
}

static gboolean
read_tokens (Loader *l, GError **error)
{
  l->vocab = json_object_get (l->model, "vocab");
  l->added = json_object_get (l->root, "added_tokens");
  if (!json_is_object (l->vocab))
    return REFUSE (l, "'vocab': not an object of tokens and ids");
  if (l->added != NULL && !json_is_array (l->added))
    return REFUSE (l, "'added_tokens': not an array");
  gsize total = json_object_size (l->vocab), index;
  json_t *entry;
  json_array_foreach (l->added, index, entry)
  {
    const char *content = vj_json_peek_string (entry, "content");
    total += content == NULL || json_object_get (l->vocab, content) == NULL;
  }
  if (total < 256 || total > MAX_TOKENS)
    return REFUSE (l, "'vocab': %" G_GSIZE_FORMAT " tokens; expected 256 to %u", total, MAX_TOKENS);
  l->out->size = (guint32) total;
  l->out->tokens = g_new0 (VjToken, total);
  for (int byte = 0; byte < 256; byte++)
    l->out->byte_ids[byte] = G_MAXUINT32;
  /* As many ids as tokens, none out of range and none twice: so none is missing. */
  return read_added (l, total, error) && read_vocab (l, total, error);
}

/* -- merges ---------------------------------------------------------------------- */

static gboolean
find_spelled (Loader *l, const char *content, gsize length, guint32 *ret_id)
{
  /* Spelled into the unused end of the pool: a part of a merge is no longer than the file left it room for. */
  char *scratch = l->out->pool + l->pool_used;
  guint32 n = 0;
  for (const char *c = content; c < content + length; c = g_utf8_next_char (c)) {
    gunichar character = g_utf8_get_char (c);
    if (character >= 512 || l->byte_of[character] < 0)
      return FALSE;
    scratch[n++] = (char) l->byte_of[character];
  }
  VjToken key = {.bytes = scratch, .length = n};
  gpointer id;
  if (n == 0 || !g_hash_table_lookup_extended (l->out->by_bytes, &key, NULL, &id))
    return FALSE;
  *ret_id = GPOINTER_TO_UINT (id);
  return TRUE;
}

/* Either "left right" or ["left", "right"]. */
static gboolean
split_merge (const json_t *entry, const char **ret_left, gsize *ret_left_length, const char **ret_right)
{
  if (json_is_string (entry)) {
    const char *space = strchr (json_string_value (entry), ' ');
    if (space == NULL || strchr (space + 1, ' ') != NULL)
      return FALSE;
    *ret_left = json_string_value (entry);
    *ret_left_length = (gsize) (space - *ret_left);
    *ret_right = space + 1;
    return TRUE;
  }
  if (!json_is_array (entry) || json_array_size (entry) != 2 || !json_is_string (json_array_get (entry, 0)) ||
      !json_is_string (json_array_get (entry, 1)))
    return FALSE;
  *ret_left = json_string_value (json_array_get (entry, 0));
  *ret_left_length = strlen (*ret_left);
  *ret_right = json_string_value (json_array_get (entry, 1));
  return TRUE;
}

static gboolean
find_joined (const Loader *l, guint32 left, guint32 right, guint32 *ret_id)
{
  const VjToken *a = &l->out->tokens[left], *b = &l->out->tokens[right];
  g_autofree char *joined = g_malloc ((gsize) a->length + b->length);
  memcpy (joined, a->bytes, a->length);
  memcpy (joined + a->length, b->bytes, b->length);
  VjToken key = {.bytes = joined, .length = a->length + b->length};
  gpointer id;
  if (!g_hash_table_lookup_extended (l->out->by_bytes, &key, NULL, &id))
    return FALSE;
  *ret_id = GPOINTER_TO_UINT (id);
  return TRUE;
}

static gboolean
read_merges (Loader *l, GError **error)
{
  const json_t *merges = json_object_get (l->model, "merges");
  if (!json_is_array (merges))
    return REFUSE (l, "'merges': not an array");
  gsize n = json_array_size (merges), index;
  if (n > 4u * MAX_TOKENS)
    return REFUSE (l, "'merges': %" G_GSIZE_FORMAT " of them; expected at most %u", n, 4u * MAX_TOKENS);
  l->out->merges = g_new0 (VjMerge, n + 1);
  json_t *entry;
  json_array_foreach (merges, index, entry)
  {
    const char *left, *right;
    gsize left_length;
    guint32 a, b, joined;
    if (!split_merge (entry, &left, &left_length, &right))
      return REFUSE (l, "'merges': entry %" G_GSIZE_FORMAT " is not a pair of tokens", index);
    if (!find_spelled (l, left, left_length, &a) || !find_spelled (l, right, strlen (right), &b))
      return REFUSE (l, "'merges': entry %" G_GSIZE_FORMAT " joins a token that is not in the vocabulary", index);
    if (!find_joined (l, a, b, &joined))
      return REFUSE (l, "'merges': entry %" G_GSIZE_FORMAT " makes a token that is not in the vocabulary", index);
    VjMerge *merge = &l->out->merges[index];
    *merge = (VjMerge){(guint64) a << 32 | b, (guint32) index, joined};
    if (!g_hash_table_add (l->out->by_pair, merge))
      return REFUSE (l, "'merges': entry %" G_GSIZE_FORMAT " repeats an earlier one", index);
  }
  return TRUE;
}

/* -- the rest -------------------------------------------------------------------- */

/* A TemplateProcessing that puts one control token before the text, or nothing. */
static gboolean
read_template (Loader *l, const json_t *stage, GError **error)
{
  const json_t *single = json_object_get (stage, "single");
  gsize n = json_array_size (single);
  const char *sequence = vj_json_peek_string (json_object_get (json_array_get (single, n - 1), "Sequence"), "id");
  if (n < 1 || n > 2 || g_strcmp0 (sequence, "A") != 0)
    return REFUSE (l, "'post_processor': its template is not one token before the text");
  if (n == 1)
    return TRUE;
  const char *content = vj_json_peek_string (json_object_get (json_array_get (single, 0), "SpecialToken"), "id");
  l->out->bos = content == NULL ? -1 : vj_tokenizer_control (l->out, content);
  return l->out->bos >= 0 || REFUSE (l, "'post_processor': its template names a token that is not an added one");
}

static gboolean
read_post_processor (Loader *l, GError **error)
{
  const json_t *post = json_object_get (l->root, "post_processor");
  if (post == NULL || json_is_null (post) || is_type (post, "ByteLevel"))
    return TRUE;
  if (is_type (post, "TemplateProcessing"))
    return read_template (l, post, error);
  const json_t *stages = json_object_get (post, "processors");
  if (!is_type (post, "Sequence") || json_array_size (stages) != 2 || !is_type (json_array_get (stages, 0), "ByteLevel") ||
      !is_type (json_array_get (stages, 1), "TemplateProcessing"))
    return REFUSE (l, "'post_processor': neither ByteLevel nor TemplateProcessing nor both in this order");
  return read_template (l, json_array_get (stages, 1), error);
}

static gboolean
compile_splitter (Loader *l, GError **error)
{
  int code;
  PCRE2_SIZE offset;
  l->out->splitter = pcre2_compile ((PCRE2_SPTR) SPLITTER, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &code, &offset, NULL);
  if (l->out->splitter == NULL)
    return vj_fail (error, VJ_EXIT_BUG, "%s: cannot compile the splitting pattern: PCRE2 error %d; is PCRE2 built with Unicode?", l->where, code);
  pcre2_jit_compile (l->out->splitter, PCRE2_JIT_COMPLETE); /* without it matching is slower, nothing else */
  return TRUE;
}

static gboolean
load (Loader *l, GError **error)
{
  l->model = json_object_get (l->root, "model");
  return check_model_kind (l, error) && check_pre_tokenizer (l, error) && read_tokens (l, error) && read_merges (l, error) &&
         read_post_processor (l, error) && compile_splitter (l, error);
}

VjTokenizer *
vj_tokenizer_parse (const char *where, const char *bytes, gsize length, GError **error)
{
  if (length > FILE_LIMIT) {
    vj_fail (error, VJ_EXIT_DATA, "%s: %" G_GSIZE_FORMAT " bytes: more than any tokenizer has; is it the right file?", where, length);
    return NULL;
  }
  Loader l = {.where = where, .root = vj_json_object (where, bytes, length, error)};
  if (l.root == NULL)
    return NULL;
  fill_byte_alphabet (l.byte_of);
  l.out = g_new0 (VjTokenizer, 1);
  l.out->bos = -1;
  /* A character in the file takes at least the one byte it spells, so all tokens and one part of a merge fit. */
  l.out->pool = g_malloc (length + 1);
  l.out->by_bytes = g_hash_table_new (vj_token_hash, vj_token_equal);
  l.out->by_content = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  l.out->by_pair = g_hash_table_new (vj_merge_hash, vj_merge_equal);
  gboolean loaded = load (&l, error);
  json_decref (l.root);
  if (!loaded)
    g_clear_pointer (&l.out, vj_tokenizer_free);
  return l.out;
}

VjTokenizer *
vj_tokenizer_load (const char *file, GError **error)
{
  gsize length;
  g_autofree char *bytes = vj_json_bytes (file, FILE_LIMIT, &length, error);
  return bytes == NULL ? NULL : vj_tokenizer_parse (file, bytes, length, error);
}
