/* Tokenizer: encoding and decoding. */
#include "engine/tokenizer-private.h"

#include <string.h>

/* A splitting that needs more steps than this for one piece is a fault, not a text. */
#define MATCH_LIMIT 50000000u
#define HEAP_LIMIT_KIB 262144u

guint
vj_token_hash (gconstpointer token)
{
  const VjToken *t = token;
  guint32 hash = 2166136261u; /* FNV-1a */
  for (guint32 i = 0; i < t->length; i++)
    hash = (hash ^ (guint8) t->bytes[i]) * 16777619u;
  return hash;
}

gboolean
vj_token_equal (gconstpointer a, gconstpointer b)
{
  const VjToken *x = a, *y = b;
  return x->length == y->length && memcmp (x->bytes, y->bytes, x->length) == 0;
}

guint
vj_merge_hash (gconstpointer merge)
{
  guint64 z = ((const VjMerge *) merge)->pair * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);
  return (guint) (z >> 32);
}

gboolean
vj_merge_equal (gconstpointer a, gconstpointer b)
{
  return ((const VjMerge *) a)->pair == ((const VjMerge *) b)->pair;
}

void
vj_tokenizer_free (VjTokenizer *tokenizer)
{
  if (tokenizer == NULL)
    return;
  g_clear_pointer (&tokenizer->by_bytes, g_hash_table_unref);
  g_clear_pointer (&tokenizer->by_content, g_hash_table_unref);
  g_clear_pointer (&tokenizer->by_pair, g_hash_table_unref);
  pcre2_code_free (tokenizer->splitter);
  g_free (tokenizer->tokens);
  g_free (tokenizer->pool);
  g_free (tokenizer->merges);
  g_free (tokenizer);
}

guint32
vj_tokenizer_size (const VjTokenizer *tokenizer)
{
  return tokenizer->size;
}

gint64
vj_tokenizer_control (const VjTokenizer *tokenizer, const char *content)
{
  gpointer id;
  return g_hash_table_lookup_extended (tokenizer->by_content, content, NULL, &id) ? (gint64) GPOINTER_TO_UINT (id) : -1;
}

gint64
vj_tokenizer_bos (const VjTokenizer *tokenizer)
{
  return tokenizer->bos;
}

/* -- merging ----------------------------------------------------------------- */

/* One symbol of a piece, in a doubly linked list. `id` is DEAD once its left neighbour has taken it in. */
typedef struct {
  guint32 id;
  gint32 previous, next;
} Symbol;

#define DEAD G_MAXUINT32

/* A merge that was possible when it was found: of symbol `at` and its right neighbour, into `id`. */
typedef struct {
  guint32 rank;
  gint32 at;
  guint32 id;
} Candidate;

/* Scratch of one encode call. */
typedef struct {
  const VjTokenizer *tokenizer;
  GArray *symbols; /* Symbol */
  GArray *heap;    /* Candidate, a binary heap: the lowest rank first, then the leftmost */
} Merger;

static gboolean
before (const Candidate *a, const Candidate *b)
{
  return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void
heap_push (GArray *heap, Candidate item)
{
  g_array_append_val (heap, item);
  Candidate *h = (Candidate *) (void *) heap->data;
  guint i = heap->len - 1;
  for (; i > 0 && before (&item, &h[(i - 1) / 2]); i = (i - 1) / 2)
    h[i] = h[(i - 1) / 2];
  h[i] = item;
}

static Candidate
heap_pop (GArray *heap)
{
  Candidate *h = (Candidate *) (void *) heap->data;
  Candidate top = h[0], last = h[heap->len - 1];
  guint n = heap->len - 1, i = 0;
  for (guint child; (child = 2 * i + 1) < n; i = child) {
    if (child + 1 < n && before (&h[child + 1], &h[child]))
      child++;
    if (!before (&h[child], &last))
      break;
    h[i] = h[child];
  }
  h[i] = last;
  g_array_set_size (heap, n);
  return top;
}

static const VjMerge *
find_merge (const Merger *merger, gint32 at)
{
  const Symbol *s = (const Symbol *) (const void *) merger->symbols->data;
  if (at < 0 || s[at].next < 0)
    return NULL;
  VjMerge key = {.pair = (guint64) s[at].id << 32 | s[s[at].next].id};
  return g_hash_table_lookup (merger->tokenizer->by_pair, &key);
}

static void
propose (Merger *merger, gint32 at)
{
  const VjMerge *merge = find_merge (merger, at);
  if (merge != NULL)
    heap_push (merger->heap, (Candidate){.rank = merge->rank, .at = at, .id = merge->id});
}

/* Appends the ids of one piece. */
static void
encode_piece (Merger *merger, const char *piece, guint32 length, GArray *ids)
{
  const VjTokenizer *tokenizer = merger->tokenizer;
  if (tokenizer->ignore_merges) {
    VjToken key = {.bytes = piece, .length = length};
    gpointer id;
    if (g_hash_table_lookup_extended (tokenizer->by_bytes, &key, NULL, &id)) {
      guint32 whole = GPOINTER_TO_UINT (id);
      g_array_append_val (ids, whole);
      return;
    }
  }
  g_array_set_size (merger->symbols, length);
  Symbol *s = (Symbol *) (void *) merger->symbols->data;
  for (guint32 i = 0; i < length; i++)
    s[i] = (Symbol){tokenizer->byte_ids[(guint8) piece[i]], (gint32) i - 1, i + 1 < length ? (gint32) i + 1 : -1};
  for (guint32 i = 0; i + 1 < length; i++)
    propose (merger, (gint32) i);
  while (merger->heap->len > 0) {
    Candidate c = heap_pop (merger->heap);
    /* Found for neighbours that have since changed: dropped, unless what stands there now gives the same token. */
    const VjMerge *merge = s[c.at].id == DEAD ? NULL : find_merge (merger, c.at);
    if (merge == NULL || merge->id != c.id)
      continue;
    gint32 right = s[c.at].next;
    s[c.at].id = c.id;
    s[c.at].next = s[right].next;
    s[right].id = DEAD;
    if (s[c.at].next >= 0)
      s[s[c.at].next].previous = c.at;
    propose (merger, s[c.at].previous);
    propose (merger, c.at);
  }
  for (gint32 i = 0; i >= 0; i = s[i].next)
    g_array_append_val (ids, s[i].id);
}

/* -- encoding ---------------------------------------------------------------- */

/* The next piece of text[from, length): [*ret_start, *ret_end), or nothing left to match (both `length`). */
static gboolean
next_piece (const VjTokenizer *tokenizer, pcre2_match_data *match, pcre2_match_context *limits, const char *text, gsize length, gsize from,
            gsize *ret_start, gsize *ret_end, GError **error)
{
  /* The text was checked once as a whole; checking it again at every piece would be quadratic. */
  int rc = pcre2_match (tokenizer->splitter, (PCRE2_SPTR) text, length, from, PCRE2_NO_UTF_CHECK, match, limits);
  if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
    rc = pcre2_match (tokenizer->splitter, (PCRE2_SPTR) text, length, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, match, limits);
  if (rc == PCRE2_ERROR_NOMATCH) {
    *ret_start = *ret_end = length;
    return TRUE;
  }
  if (rc < 0) {
    PCRE2_UCHAR reason[128] = "";
    pcre2_get_error_message (rc, reason, sizeof reason);
    return vj_fail (error, VJ_EXIT_DATA, "tokenizer: byte %" G_GSIZE_FORMAT " of the text: cannot split: %s; shorten the text", from, (char *) reason);
  }
  const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer (match);
  *ret_start = bounds[0];
  *ret_end = bounds[1];
  return TRUE;
}

static gboolean
encode_pieces (Merger *merger, pcre2_match_data *match, pcre2_match_context *limits, const char *text, gsize length, GArray *ids, GError **error)
{
  gsize at = 0;
  while (at < length) {
    gsize start = at, end = at;
    if (!next_piece (merger->tokenizer, match, limits, text, length, at, &start, &end, error))
      return FALSE;
    if (start > at) /* what no alternative of the pattern takes is a piece of its own */
      encode_piece (merger, text + at, (guint32) (start - at), ids);
    if (end > start)
      encode_piece (merger, text + start, (guint32) (end - start), ids);
    at = MAX (end, start);
  }
  return TRUE;
}

gboolean
vj_tokenizer_encode (const VjTokenizer *tokenizer, const char *text, gssize given, GArray *ids, GError **error)
{
  gsize length = given < 0 ? strlen (text) : (gsize) given;
  if (length > G_MAXINT32 / 2)
    return vj_fail (error, VJ_EXIT_DATA, "tokenizer: a text of %" G_GSIZE_FORMAT " bytes: longer than 1 GiB; shorten the text", length);
  if (!g_utf8_validate_len (text, length, NULL))
    return vj_fail (error, VJ_EXIT_DATA, "tokenizer: the text is not UTF-8 without NUL; convert it first");
  pcre2_match_data *match = pcre2_match_data_create (1, NULL);
  pcre2_match_context *limits = pcre2_match_context_create (NULL);
  pcre2_set_match_limit (limits, MATCH_LIMIT);
  pcre2_set_heap_limit (limits, HEAP_LIMIT_KIB);
  Merger merger = {tokenizer, g_array_new (FALSE, FALSE, sizeof (Symbol)), g_array_new (FALSE, FALSE, sizeof (Candidate))};
  guint before_call = ids->len;
  gboolean done = encode_pieces (&merger, match, limits, text, length, ids, error);
  if (!done)
    g_array_set_size (ids, before_call);
  g_array_free (merger.symbols, TRUE);
  g_array_free (merger.heap, TRUE);
  pcre2_match_context_free (limits);
  pcre2_match_data_free (match);
  return done;
}

/* -- decoding ---------------------------------------------------------------- */

const char *
vj_tokenizer_peek (const VjTokenizer *tokenizer, guint32 id, gsize *ret_length)
{
  gboolean speaks = id < tokenizer->size && !tokenizer->tokens[id].control;
  *ret_length = speaks ? tokenizer->tokens[id].length : 0;
  return speaks ? tokenizer->tokens[id].bytes : "";
}

/* The length of the well-formed character at s[0, n), or 0; then *ret_skip is how many bytes one U+FFFD stands
 * for: the longest start of a well-formed character (Unicode 3.9, "substitution of maximal subparts"). */
static guint
well_formed (const guint8 *s, gsize n, guint *ret_skip)
{
  *ret_skip = 1;
  if (s[0] < 0x80)
    return s[0] != 0;
  guint need = s[0] >= 0xc2 && s[0] <= 0xdf ? 2 : s[0] >= 0xe0 && s[0] <= 0xef ? 3 : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4 : 0;
  guint8 low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80; /* no overlong form  */
  guint8 high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf; /* no surrogate, nothing above U+10FFFF */
  for (guint i = 1; i < need; i++) {
    if (i >= n || s[i] < low || s[i] > high) {
      *ret_skip = i;
      return 0;
    }
    low = 0x80;
    high = 0xbf;
  }
  return need;
}

char *
vj_tokenizer_valid (const char *bytes, gsize length)
{
  GString *text = g_string_sized_new (length);
  for (gsize i = 0; i < length;) {
    guint skip, n = well_formed ((const guint8 *) bytes + i, length - i, &skip);
    if (n > 0)
      g_string_append_len (text, bytes + i, (gssize) n);
    else
      g_string_append (text, "\xef\xbf\xbd");
    i += n > 0 ? n : skip;
  }
  return g_string_free (text, FALSE);
}

char *
vj_tokenizer_decode (const VjTokenizer *tokenizer, const guint32 *ids, gsize n)
{
  g_autoptr (GString) bytes = g_string_new (NULL);
  for (gsize i = 0; i < n; i++) {
    gsize length;
    const char *token = vj_tokenizer_peek (tokenizer, ids[i], &length);
    g_string_append_len (bytes, token, (gssize) length);
  }
  return vj_tokenizer_valid (bytes->str, bytes->len);
}
