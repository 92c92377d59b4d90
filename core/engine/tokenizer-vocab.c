/* Tokenizer: the vocabulary and the merges of tokenizer.json, read as they stand in the text. */
#include "engine/tokenizer-load.h"

#include <string.h>

#define MAX_MERGES (4u * VJ_TOKENIZER_MAX_TOKENS)

#define REFUSE(l, ...) vj_tokenizer_refuse ((l), error, __VA_ARGS__)

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

/* What should have been JSON is not: said as for any other file. */
static gboolean
broken (const VjTokenizerLoader *l, const char *member, GError **error)
{
  json_t *root = vj_json_object (l->where, l->bytes, l->length, error);
  json_decref (root);
  return root != NULL && REFUSE (l, "'%s': not valid JSON", member);
}

/* Puts the bytes spelled by `content` at `start`; FALSE on a character outside the byte alphabet. */
static gboolean
spell (const VjTokenizerLoader *l, const char *content, gsize length, char *start, guint32 *ret_length)
{
  guint32 n = 0;
  for (const char *c = content; c < content + length; c = g_utf8_next_char (c)) {
    gunichar character = g_utf8_get_char (c);
    if (character >= 512 || l->byte_of[character] < 0)
      return FALSE;
    start[n++] = (char) l->byte_of[character];
  }
  *ret_length = n;
  return TRUE;
}

static gboolean
find_bytes (const VjTokenizerLoader *l, const char *bytes, guint32 length, guint32 *ret_id)
{
  VjToken key = {.bytes = bytes, .length = length};
  gpointer id;
  if (!g_hash_table_lookup_extended (l->out->by_bytes, &key, NULL, &id))
    return FALSE;
  *ret_id = GPOINTER_TO_UINT (id);
  return TRUE;
}

/* -- vocabulary -------------------------------------------------------------------- */

static gboolean
claim_id (VjTokenizerLoader *l, const char *content, gint64 id, const VjToken *token, guint64 *most, GError **error)
{
  if (id < 0)
    return REFUSE (l, "'%s': its id is not a whole number", content);
  if (id >= VJ_TOKENIZER_MAX_TOKENS)
    return REFUSE (l, "'%s': id %" G_GINT64_FORMAT " leaves a gap, or there are more than %u tokens", content, id,
                   VJ_TOKENIZER_MAX_TOKENS);
  if (l->out->tokens[id].bytes != NULL)
    return REFUSE (l, "'%s': id %" G_GINT64_FORMAT " is given twice", content, id);
  l->out->tokens[id] = *token;
  l->out->size++;
  *most = MAX (*most, (guint64) id);
  return TRUE;
}

static gboolean
claim_added (VjTokenizerLoader *l, guint64 *most, GError **error)
{
  GHashTableIter iter;
  gpointer content, id;
  g_hash_table_iter_init (&iter, l->out->by_content);
  while (g_hash_table_iter_next (&iter, &content, &id))
    if (!claim_id (l, content, GPOINTER_TO_UINT (id), &(VjToken){"", 0, TRUE}, most, error))
      return FALSE;
  return TRUE;
}

/* One entry, its id read. `listed`: the added tokens that the vocabulary has had so far. */
static gboolean
take_entry (VjTokenizerLoader *l, const GString *content, gint64 id, GHashTable *listed, guint64 *most, GError **error)
{
  VjToken token = {.bytes = l->out->pool + l->pool_used};
  if (g_hash_table_contains (l->out->by_content, content->str)) {
    if (id != vj_tokenizer_control (l->out, content->str))
      return REFUSE (l, "'%s': one id as an added token and another in the vocabulary", content->str);
    return g_hash_table_add (listed, GUINT_TO_POINTER ((guint) id)) ||
           REFUSE (l, "'%s': a token given twice", content->str);
  }
  if (!spell (l, content->str, content->len, l->out->pool + l->pool_used, &token.length))
    return REFUSE (l, "'%s': a token with a character outside the byte alphabet", content->str);
  if (token.length == 0)
    return REFUSE (l, "'vocab': an empty token");
  l->pool_used += token.length;
  return claim_id (l, content->str, id, &token, most, error);
}

static gboolean
scan_vocab (VjTokenizerLoader *l, guint64 *most, GError **error)
{
  g_autoptr (GHashTable) listed = g_hash_table_new (NULL, NULL);
  g_autoptr (GString) content = g_string_new (NULL);
  gboolean fault = FALSE, more = vj_json_scan_mark (&l->vocab, '{') && !vj_json_scan_mark (&l->vocab, '}');
  for (; more; more = vj_json_scan_more (&l->vocab, '}', &fault)) {
    const char *text;
    gsize length;
    gint64 id = -1;
    if (!vj_json_scan_string (&l->vocab, &text, &length) || !vj_json_scan_mark (&l->vocab, ':'))
      return broken (l, "vocab", error);
    g_string_truncate (content, 0);
    g_string_append_len (content, text, (gssize) length);
    if (!vj_json_scan_integer (&l->vocab, &id) || id < 0)
      return REFUSE (l, "'%s': its id is not a whole number", content->str);
    if (!take_entry (l, content, id, listed, most, error))
      return FALSE;
  }
  return !fault || broken (l, "vocab", error);
}

static gboolean
index_tokens (VjTokenizerLoader *l, GError **error)
{
  for (int byte = 0; byte < 256; byte++)
    l->out->byte_ids[byte] = G_MAXUINT32;
  for (guint32 id = 0; id < l->out->size; id++) {
    VjToken *token = &l->out->tokens[id];
    if (token->control)
      continue;
    if (!g_hash_table_insert (l->out->by_bytes, token, GUINT_TO_POINTER (id)))
      return REFUSE (l, "'vocab': id %u repeats the token of an earlier one", id);
    if (token->length == 1)
      l->out->byte_ids[(guint8) token->bytes[0]] = id;
  }
  for (int byte = 0; byte < 256; byte++)
    if (l->out->byte_ids[byte] == G_MAXUINT32)
      return REFUSE (l, "'vocab': no token for the byte 0x%02x", (guint) byte);
  return TRUE;
}

gboolean
vj_tokenizer_read_vocab (VjTokenizerLoader *l, GError **error)
{
  guint64 most = 0;
  if (l->vocab.at == NULL)
    return REFUSE (l, "'vocab': not an object of tokens and ids");
  fill_byte_alphabet (l->byte_of);
  l->out->tokens = g_new0 (VjToken, VJ_TOKENIZER_MAX_TOKENS); /* untouched pages of it cost nothing */
  if (!claim_added (l, &most, error) || !scan_vocab (l, &most, error))
    return FALSE;
  if (l->out->size < 256)
    return REFUSE (l, "'vocab': %u tokens; expected 256 to %u", l->out->size, VJ_TOKENIZER_MAX_TOKENS);
  /* As many ids as tokens and none twice: none is missing unless one is out of range. */
  if (most >= l->out->size)
    return REFUSE (l, "'vocab': id %" G_GUINT64_FORMAT " leaves a gap among %u tokens", most, l->out->size);
  l->out->tokens = g_renew (VjToken, l->out->tokens, l->out->size);
  return index_tokens (l, error);
}

/* -- merges -------------------------------------------------------------------------- */

/* The two tokens of a merge and what they make, spelled side by side into the unused end of the pool: they are no
 * longer than the file left room for. */
typedef struct {
  char *bytes;
  guint32 left, right; /* lengths */
} Pair;

/* Either "left right" or ["left", "right"]. *ret_spelled: both are in the byte alphabet. FALSE: neither form. */
static gboolean
read_pair (VjTokenizerLoader *l, Pair *pair, gboolean *ret_spelled)
{
  const char *text, *space;
  gsize length;
  pair->bytes = l->out->pool + l->pool_used;
  if (vj_json_scan_mark (&l->merges, '[')) {
    if (!vj_json_scan_string (&l->merges, &text, &length))
      return FALSE;
    *ret_spelled = spell (l, text, length, pair->bytes, &pair->left);
    if (!vj_json_scan_mark (&l->merges, ',') || !vj_json_scan_string (&l->merges, &text, &length))
      return FALSE;
    *ret_spelled = *ret_spelled && spell (l, text, length, pair->bytes + pair->left, &pair->right);
    return vj_json_scan_mark (&l->merges, ']');
  }
  if (!vj_json_scan_string (&l->merges, &text, &length) || (space = memchr (text, ' ', length)) == NULL)
    return FALSE;
  gsize left = (gsize) (space - text), right = length - left - 1;
  *ret_spelled = spell (l, text, left, pair->bytes, &pair->left) &&
                 spell (l, space + 1, right, pair->bytes + pair->left, &pair->right);
  return memchr (space + 1, ' ', right) == NULL;
}

static gboolean
take_merge (VjTokenizerLoader *l, GArray *merges, GError **error)
{
  Pair pair = {0};
  guint32 left, right, joined;
  gboolean spelled = FALSE;
  if (!read_pair (l, &pair, &spelled))
    return REFUSE (l, "'merges': entry %u is not a pair of tokens", merges->len);
  if (!spelled || !find_bytes (l, pair.bytes, pair.left, &left) ||
      !find_bytes (l, pair.bytes + pair.left, pair.right, &right))
    return REFUSE (l, "'merges': entry %u joins a token that is not in the vocabulary", merges->len);
  if (!find_bytes (l, pair.bytes, pair.left + pair.right, &joined))
    return REFUSE (l, "'merges': entry %u makes a token that is not in the vocabulary", merges->len);
  if (merges->len == MAX_MERGES)
    return REFUSE (l, "'merges': more than %u of them", MAX_MERGES);
  VjMerge merge = {(guint64) left << 32 | right, merges->len, joined};
  g_array_append_val (merges, merge);
  return TRUE;
}

gboolean
vj_tokenizer_read_merges (VjTokenizerLoader *l, GError **error)
{
  g_autoptr (GArray) merges = g_array_new (FALSE, FALSE, sizeof (VjMerge));
  gboolean fault = FALSE;
  if (l->merges.at == NULL)
    return REFUSE (l, "'merges': not an array");
  gboolean more = vj_json_scan_mark (&l->merges, '[') && !vj_json_scan_mark (&l->merges, ']');
  for (; more; more = vj_json_scan_more (&l->merges, ']', &fault))
    if (!take_merge (l, merges, error))
      return FALSE;
  if (fault)
    return broken (l, "merges", error);
  gsize n;
  l->out->merges = g_array_steal (merges, &n);
  for (gsize i = 0; i < n; i++)
    if (!g_hash_table_add (l->out->by_pair, &l->out->merges[i]))
      return REFUSE (l, "'merges': entry %" G_GSIZE_FORMAT " repeats an earlier one", i);
  return TRUE;
}
