#include "text.h"

#include <string.h>

/* -- templates ---------------------------------------------------------------- */

/* Length of the placeholder name at `text`; 0: none. */
static gsize
name_length (const char *text)
{
  gsize n = 0;
  if (!g_ascii_isalpha (text[0]) && text[0] != '_')
    return 0;
  while (g_ascii_isalnum (text[n]) || (text[n] && strchr ("_-.", text[n])))
    n++;
  return n;
}

char *
vj_text_fill (const char *text, VjTextLookup lookup, gpointer data, char **ret_unknown)
{
  g_autoptr (GString) out = g_string_new (NULL);
  while (*text) {
    gboolean literal = g_str_has_prefix (text, "{{");
    gsize n = *text == '{' ? name_length (text + 1 + literal) : 0;
    if (n && g_str_has_prefix (text + 1 + literal + n, literal ? "}}" : "}")) {
      g_autofree char *name = g_strndup (text + 1 + literal, n);
      const char *value = literal ? NULL : lookup (name, data);
      if (literal)
        g_string_append_printf (out, "{%s}", name);
      else if (value)
        g_string_append (out, value);
      else {
        *ret_unknown = g_steal_pointer (&name);
        return NULL;
      }
      text += n + 2 + 2 * (gsize) literal;
    } else
      g_string_append_c (out, *text++);
  }
  return g_string_free (g_steal_pointer (&out), FALSE);
}

const char *
vj_text_pair (const char *name, gpointer pairs)
{
  for (const VjTextPair *pair = pairs; pair->name; pair++)
    if (strcmp (pair->name, name) == 0)
      return pair->value;
  return NULL;
}

/* -- words ----------------------------------------------------------------------- */

static void
word_clear (gpointer data)
{
  VjWord *word = data;
  g_free (word->text);
  g_free (word->key);
}

/* `text` without the punctuation at its ends, case folded; NULL when nothing is left. */
static char *
word_key (const char *text)
{
  const char *first = NULL, *end = NULL;
  for (const char *at = text; *at; at = g_utf8_next_char (at))
    if (g_unichar_isalnum (g_utf8_get_char (at))) {
      first = first ? first : at;
      end = g_utf8_next_char (at);
    }
  return first ? g_utf8_casefold (first, end - first) : NULL;
}

/* Goes past the word at `text`: to its end, with *quoted as it is there. *ret_quoted: whether any letter or digit of it stood
 * in quotation marks. A plain mark behind a digit is an inch. */
static const char *
word_end (const char *text, gboolean *quoted, gboolean *ret_quoted)
{
  gunichar before = 0;
  *ret_quoted = FALSE;
  for (; *text && !g_unichar_isspace (g_utf8_get_char (text)); text = g_utf8_next_char (text)) {
    gunichar c = g_utf8_get_char (text);
    if (c == '"' && (*quoted || !g_unichar_isdigit (before)))
      *quoted = !*quoted;
    else if (c == 0x201c || c == 0x201e || c == 0xab || c == 0x300c)
      *quoted = TRUE;
    else if (c == 0x201d || c == 0xbb || c == 0x300d)
      *quoted = FALSE;
    else if (*quoted && g_unichar_isalnum (c))
      *ret_quoted = TRUE;
    before = c;
  }
  return text;
}

GArray *
vj_words_split (const char *text)
{
  gboolean quoted = FALSE;
  GArray *words = g_array_new (FALSE, FALSE, sizeof (VjWord));
  g_array_set_clear_func (words, word_clear);
  while (*text) {
    while (*text && g_unichar_isspace (g_utf8_get_char (text)))
      text = g_utf8_next_char (text);
    VjWord word = {0};
    const char *end = word_end (text, &quoted, &word.quoted);
    word.text = g_strndup (text, (gsize) (end - text));
    word.key = word_key (word.text);
    if (word.key)
      g_array_append_val (words, word);
    else
      g_free (word.text);
    text = end;
  }
  return words;
}

static gboolean
same_word (const GArray *a, guint i, const GArray *b, guint j)
{
  return strcmp (g_array_index (a, VjWord, i).key, g_array_index (b, VjWord, j).key) == 0;
}

/* Adds a hunk, joined to the one before where they touch. */
static void
add_hunk (GArray *hunks, guint a, guint n_a, guint b, guint n_b)
{
  if (hunks->len) {
    VjHunk *last = &g_array_index (hunks, VjHunk, hunks->len - 1);
    if (last->a + last->n_a == a && last->b + last->n_b == b) {
      last->n_a += n_a;
      last->n_b += n_b;
      return;
    }
  }
  VjHunk hunk = {a, n_a, b, n_b};
  g_array_append_val (hunks, hunk);
}

/* Differences of a[from, a_end) and b[from, b_end) by the table of common subsequence lengths. */
static void
diff_middle (const GArray *a, const GArray *b, guint from, guint a_end, guint b_end, GArray *hunks)
{
  guint n = a_end - from, m = b_end - from, i = 0, j = 0;
  g_autofree guint *longest = g_new0 (guint, (gsize) (n + 1) * (m + 1));
#define LONGEST(i_, j_) longest[(gsize) (i_) * (m + 1) + (j_)]
  for (guint x = n; x-- > 0;)
    for (guint y = m; y-- > 0;)
      LONGEST (x, y) = same_word (a, from + x, b, from + y) ? LONGEST (x + 1, y + 1) + 1
                                                            : MAX (LONGEST (x + 1, y), LONGEST (x, y + 1));
  while (i < n || j < m) {
    if (i < n && j < m && same_word (a, from + i, b, from + j))
      i++, j++;
    else if (j >= m || (i < n && LONGEST (i + 1, j) >= LONGEST (i, j + 1)))
      add_hunk (hunks, from + i, 1, from + j, 0), i++;
    else
      add_hunk (hunks, from + i, 0, from + j, 1), j++;
  }
#undef LONGEST
}

GArray *
vj_words_diff (const GArray *a, const GArray *b)
{
  GArray *hunks = g_array_new (FALSE, FALSE, sizeof (VjHunk));
  guint from = 0, a_end = a->len, b_end = b->len;
  while (from < a_end && from < b_end && same_word (a, from, b, from))
    from++;
  while (a_end > from && b_end > from && same_word (a, a_end - 1, b, b_end - 1))
    a_end--, b_end--;
  if ((guint64) (a_end - from) * (b_end - from) > 4000000)
    add_hunk (hunks, from, a_end - from, from, b_end - from);
  else
    diff_middle (a, b, from, a_end, b_end, hunks);
  return hunks;
}

gboolean
vj_words_same_bag (const GArray *a, const GArray *b)
{
  g_autoptr (GHashTable) counts = g_hash_table_new (g_str_hash, g_str_equal);
  if (a->len != b->len)
    return FALSE;
  for (guint i = 0; i < a->len; i++) {
    char *key = g_array_index (a, VjWord, i).key;
    g_hash_table_insert (counts, key, GINT_TO_POINTER (GPOINTER_TO_INT (g_hash_table_lookup (counts, key)) + 1));
  }
  for (guint i = 0; i < b->len; i++) {
    char *key = g_array_index (b, VjWord, i).key;
    int left = GPOINTER_TO_INT (g_hash_table_lookup (counts, key));
    if (left == 0)
      return FALSE;
    g_hash_table_insert (counts, key, GINT_TO_POINTER (left - 1));
  }
  return TRUE;
}

guint
vj_hunks_size (const GArray *hunks)
{
  guint size = 0;
  for (guint i = 0; i < hunks->len; i++) {
    const VjHunk *hunk = &g_array_index (hunks, VjHunk, i);
    size += MAX (hunk->n_a, hunk->n_b);
  }
  return size;
}

char *
vj_words_join (const GArray *words, guint from, guint n)
{
  GString *out = g_string_new (NULL);
  for (guint i = from; i < from + n; i++)
    g_string_append_printf (out, "%s%s", i > from ? " " : "", g_array_index (words, VjWord, i).key);
  return g_string_free (out, FALSE);
}

/* The characters between the bytes `from` and `to` of `text`. */
static guint32
characters (const char *text, gsize from, gsize to)
{
  return (guint32) g_utf8_strlen (text + from, (gssize) (to - from));
}

void
vj_spans_from_bytes (const char *chosen, const char *rejected, VjSpan *spans, gsize n)
{
  VjSpan bytes = {0}, at = {0}; /* as far as both texts have been counted */
  for (gsize i = 0; i < n; i++) {
    const VjSpan span = spans[i];
    at.chosen += characters (chosen, bytes.chosen, span.chosen);
    at.rejected += characters (rejected, bytes.rejected, span.rejected);
    at.n_chosen = characters (chosen, span.chosen, (gsize) span.chosen + span.n_chosen);
    at.n_rejected = characters (rejected, span.rejected, (gsize) span.rejected + span.n_rejected);
    spans[i] = at;
    bytes = span;
  }
}

char *
vj_hunks_describe (const GArray *a, const GArray *b, const GArray *hunks)
{
  GString *out = g_string_new (NULL);
  for (guint i = 0; i < hunks->len; i++) {
    const VjHunk *hunk = &g_array_index (hunks, VjHunk, i);
    g_autofree char *from = vj_words_join (a, hunk->a, hunk->n_a), *to = vj_words_join (b, hunk->b, hunk->n_b);
    g_string_append_printf (out, "%s%s -> %s", i ? "; " : "", *from ? from : "(nothing)", *to ? to : "(nothing)");
  }
  return g_string_free (out, FALSE);
}
