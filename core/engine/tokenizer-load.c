/* Tokenizer: reading tokenizer.json, all but its two long members (tokenizer-vocab.c). Refuses what it would not
 * reproduce exactly. */
#include "engine/tokenizer-load.h"

#include <string.h>

#define FILE_LIMIT ((gsize) 64 << 20)

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

#define REFUSE(l, ...) vj_tokenizer_refuse ((l), error, __VA_ARGS__)

gboolean
vj_tokenizer_refuse (const VjTokenizerLoader *l, GError **error, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *what = g_strdup_vprintf (format, args);
  va_end (args);
  return vj_fail (error, VJ_EXIT_DATA, "%s: %s; fetch the model anew, or use one with a Llama 3 tokenizer", l->where, what);
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
check_pre_tokenizer (const VjTokenizerLoader *l, GError **error)
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
check_model_kind (VjTokenizerLoader *l, GError **error)
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

/* -- added tokens ------------------------------------------------------------------ */

static gboolean
check_added (const VjTokenizerLoader *l, const json_t *entry, gsize index, GError **error)
{
  const char *content = vj_json_peek_string (entry, "content");
  if (content == NULL || *content == '\0')
    return REFUSE (l, "'added_tokens': entry %" G_GSIZE_FORMAT " has no content", index);
  if (!json_is_true (json_object_get (entry, "special")))
    return REFUSE (l, "'%s': an added token that is not special, which is not known here", content);
  if (json_is_true (json_object_get (entry, "lstrip")) || json_is_true (json_object_get (entry, "rstrip")) ||
      json_is_true (json_object_get (entry, "single_word")))
    return REFUSE (l, "'%s': lstrip, rstrip or single_word is set, which is not known here", content);
  if (!json_is_integer (json_object_get (entry, "id")) || json_integer_value (json_object_get (entry, "id")) < 0)
    return REFUSE (l, "'%s': its id is not a whole number", content);
  return TRUE;
}

/* Added tokens, all of them control tokens. Whether their ids are sound shows when the vocabulary is known. */
static gboolean
read_added (VjTokenizerLoader *l, GError **error)
{
  const json_t *added = json_object_get (l->root, "added_tokens");
  gsize index;
  json_t *entry;
  if (added != NULL && !json_is_array (added))
    return REFUSE (l, "'added_tokens': not an array");
  if (json_array_size (added) > VJ_TOKENIZER_MAX_TOKENS)
    return REFUSE (l, "'added_tokens': %" G_GSIZE_FORMAT " of them; expected at most %u", json_array_size (added),
                   VJ_TOKENIZER_MAX_TOKENS);
  json_array_foreach (added, index, entry)
  {
    if (!check_added (l, entry, index, error))
      return FALSE;
    const char *content = vj_json_peek_string (entry, "content");
    guint64 id = (guint64) json_integer_value (json_object_get (entry, "id"));
    if (g_hash_table_contains (l->out->by_content, content))
      return REFUSE (l, "'%s': added twice", content);
    g_hash_table_insert (l->out->by_content, g_strdup (content), GUINT_TO_POINTER ((guint) MIN (id, G_MAXUINT32)));
  }
  return TRUE;
}

/* -- the rest -------------------------------------------------------------------- */

/* A TemplateProcessing that puts one control token before the text, or nothing. */
static gboolean
read_template (VjTokenizerLoader *l, const json_t *stage, GError **error)
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
read_post_processor (VjTokenizerLoader *l, GError **error)
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
compile_splitter (VjTokenizerLoader *l, GError **error)
{
  int code;
  PCRE2_SIZE offset;
  l->out->splitter = pcre2_compile ((PCRE2_SPTR) SPLITTER, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &code, &offset, NULL);
  if (l->out->splitter == NULL)
    return vj_fail (error, VJ_EXIT_BUG, "%s: cannot compile the splitting pattern: PCRE2 error %d; is PCRE2 built with Unicode?", l->where, code);
  pcre2_jit_compile (l->out->splitter, PCRE2_JIT_COMPLETE); /* without it matching is slower, nothing else */
  return TRUE;
}

/* -- the file ---------------------------------------------------------------------- */

/* What is to be cut out of the text: the object of model.vocab and the array of model.merges. */
typedef struct {
  const char *begin, *end; /* NULL: not there, or of another type */
} Span;

/* Finds the spans in one object, the file's own or (`inner`) that of its model. FALSE: not sound JSON. */
static gboolean
find_spans (VjJsonScan *scan, gboolean inner, Span *vocab, Span *merges)
{
  gboolean broken = FALSE, more = vj_json_scan_mark (scan, '{') && !vj_json_scan_mark (scan, '}');
  while (more) {
    const char *key;
    gsize length;
    if (!vj_json_scan_string (scan, &key, &length))
      return FALSE;
    g_autofree char *name = g_strndup (key, length);
    Span *span = !inner ? NULL : strcmp (name, "vocab") == 0 ? vocab : strcmp (name, "merges") == 0 ? merges : NULL;
    if (!vj_json_scan_mark (scan, ':'))
      return FALSE;
    const char *begin = vj_json_scan_peek (scan);
    if (!inner && strcmp (name, "model") == 0 && begin != NULL && *begin == '{') {
      if (!find_spans (scan, TRUE, vocab, merges))
        return FALSE;
    } else if (begin == NULL || !vj_json_scan_skip (scan)) {
      return FALSE;
    } else if (span != NULL && span->begin == NULL && *begin == (span == vocab ? '{' : '[')) {
      *span = (Span){begin, scan->at};
    }
    more = vj_json_scan_more (scan, '}', &broken);
  }
  return !broken;
}

static void
cut_out (GString *rest, const char **at, const Span *span)
{
  g_string_append_len (rest, *at, span->begin - *at);
  g_string_append_c (rest, '0');
  *at = span->end;
}

/* The file without its two long members, built; these as scans. What is not JSON is read whole, for the message. */
static json_t *
read_root (VjTokenizerLoader *l, GError **error)
{
  const char *bytes = l->bytes;
  gsize length = l->length;
  Span vocab = {0}, merges = {0};
  const char *at = bytes;
  g_autoptr (GString) rest = g_string_new (NULL);
  l->vocab = l->merges = (VjJsonScan){bytes, bytes + length, l->scratch};
  if (!find_spans (&l->vocab, FALSE, &vocab, &merges))
    return vj_json_object (l->where, bytes, length, error);
  const Span *first = vocab.begin < merges.begin ? &vocab : &merges, *second = first == &vocab ? &merges : &vocab;
  if (first->begin != NULL)
    cut_out (rest, &at, first);
  if (second->begin != NULL)
    cut_out (rest, &at, second);
  g_string_append_len (rest, at, bytes + length - at);
  l->vocab = (VjJsonScan){vocab.begin, vocab.end, l->scratch};
  l->merges = (VjJsonScan){merges.begin, merges.end, l->scratch};
  json_t *root = vj_json_object (l->where, rest->str, rest->len, NULL);
  return root != NULL ? root : vj_json_object (l->where, bytes, length, error);
}

static gboolean
load (VjTokenizerLoader *l, GError **error)
{
  l->model = json_object_get (l->root, "model");
  return check_model_kind (l, error) && check_pre_tokenizer (l, error) && read_added (l, error) && vj_tokenizer_read_vocab (l, error) &&
         vj_tokenizer_read_merges (l, error) && read_post_processor (l, error) && compile_splitter (l, error);
}

VjTokenizer *
vj_tokenizer_parse (const char *where, const char *bytes, gsize length, GError **error)
{
  if (length > FILE_LIMIT) {
    vj_fail (error, VJ_EXIT_DATA, "%s: %" G_GSIZE_FORMAT " bytes: more than any tokenizer has; is it the right file?", where, length);
    return NULL;
  }
  g_autoptr (GString) scratch = g_string_new (NULL);
  VjTokenizerLoader l = {.where = where, .bytes = bytes, .length = length, .scratch = scratch};
  if ((l.root = read_root (&l, error)) == NULL)
    return NULL;
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
