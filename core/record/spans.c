/* Spans: tokens, Myers' greedy search over them, and the JSON of a pair's changes. */
#include "record/spans.h"

#include <string.h>

#define EDITS_MAX 1000 /* tokens taken away or put in; the search's trace holds its square */
#define SPANS_MAX 256

/* -- tokens ------------------------------------------------------------------------ */

/* A word, a run of spaces, or one other character. Tokens of equal text have equal names. */
typedef struct {
  guint32 name;
  guint32 at; /* characters before it */
  gboolean space;
} Token;

typedef enum { CLASS_WORD, CLASS_SPACE, CLASS_OTHER } Class;

/* Scripts without spaces between words are compared character by character. */
static Class
class_of (gunichar c)
{
  if (g_unichar_isspace (c))
    return CLASS_SPACE;
  return (g_unichar_isalnum (c) || g_unichar_ismark (c)) && !g_unichar_iswide (c) ? CLASS_WORD : CLASS_OTHER;
}

/* Array of Token, and one more at its end that holds the length. */
static GArray *
tokens_of (const char *text, GHashTable *names)
{
  GArray *tokens = g_array_new (FALSE, FALSE, sizeof (Token));
  guint32 characters = 0;
  while (*text) {
    Class class = class_of (g_utf8_get_char (text));
    const char *end = text;
    Token token = {.at = characters, .space = class == CLASS_SPACE};
    do {
      end = g_utf8_next_char (end);
      characters++;
    } while (class != CLASS_OTHER && *end && class_of (g_utf8_get_char (end)) == class);
    char *word = g_strndup (text, (gsize) (end - text));
    gpointer known = g_hash_table_lookup (names, word);
    token.name = known ? GPOINTER_TO_UINT (known) : g_hash_table_size (names) + 1;
    if (known)
      g_free (word);
    else
      g_hash_table_insert (names, word, GUINT_TO_POINTER (token.name));
    g_array_append_val (tokens, token);
    text = end;
  }
  Token last = {.at = characters};
  g_array_append_val (tokens, last);
  return tokens;
}

#define TOKEN(tokens, i) (&g_array_index (tokens, Token, i))

/* -- the search --------------------------------------------------------------------- */

/* What the two texts do not share at their ends: tokens [from, from + n) and [from, from + m). */
typedef struct {
  const GArray *a, *b;
  gint64 from, n, m;
} Middle;

static gboolean
same (const Middle *middle, gint64 x, gint64 y)
{
  return TOKEN (middle->a, middle->from + x)->name == TOKEN (middle->b, middle->from + y)->name;
}

static void
add_span (GArray *spans, const Middle *middle, gint64 x, gint64 n_x, gint64 y, gint64 n_y)
{
  guint32 chosen = TOKEN (middle->a, middle->from + x)->at, rejected = TOKEN (middle->b, middle->from + y)->at;
  VjSpan span = {chosen, TOKEN (middle->a, middle->from + x + n_x)->at - chosen,
                 rejected, TOKEN (middle->b, middle->from + y + n_y)->at - rejected};
  g_array_append_val (spans, span);
}

/* The farthest x on each diagonal k of [-d, d] after d edits, one array after the other; the d of the end, or -1. */
static gint64
search (const Middle *middle, GArray *trace)
{
  gint64 n = middle->n, m = middle->m, most = MIN (n + m, EDITS_MAX);
  g_autofree gint32 *line = g_new0 (gint32, 2 * (gsize) most + 3);
  gint32 *far = line + most + 1;
  for (gint64 d = 0; d <= most; d++) {
    for (gint64 k = -d; k <= d; k += 2) {
      gint64 x = k == -d || (k != d && far[k - 1] < far[k + 1]) ? far[k + 1] : far[k - 1] + 1, y = x - k;
      while (x < n && y < m && y >= 0 && same (middle, x, y))
        x++, y++;
      far[k] = (gint32) x;
      if (x >= n && y >= m) {
        g_array_append_vals (trace, far - d, (guint) (2 * d + 1));
        return d;
      }
    }
    g_array_append_vals (trace, far - d, (guint) (2 * d + 1));
  }
  return -1;
}

/* Walks back from the end: marks the tokens that were taken away and those put in. */
static void
mark (const Middle *middle, const GArray *trace, gint64 d, guint8 *gone, guint8 *new)
{
  gint64 x = middle->n, y = middle->m;
  for (; d > 0; d--) {
    const gint32 *before = &g_array_index (trace, gint32, (d - 1) * (d - 1)) + (d - 1); /* 1 + 3 + ... stand before it */
    gint64 k = x - y, from;
    gboolean down = k == -d || (k != d && before[k - 1] < before[k + 1]);
    from = down ? k + 1 : k - 1;
    x = before[from];
    y = x - from;
    if (down)
      new[y] = 1;
    else
      gone[x] = 1;
  }
}

static void
add_marked (GArray *spans, const Middle *middle, const guint8 *gone, const guint8 *new)
{
  for (gint64 x = 0, y = 0; x < middle->n || y < middle->m;) {
    gint64 x0 = x, y0 = y;
    while (x < middle->n && gone[x])
      x++;
    while (y < middle->m && new[y])
      y++;
    if (x > x0 || y > y0)
      add_span (spans, middle, x0, x - x0, y0, y - y0);
    else
      x++, y++;
  }
}

/* -- finding -------------------------------------------------------------------------- */

/* Joins spans that only space keeps apart. */
static void
join_over_space (GArray *spans, const char *chosen)
{
  guint kept = 0;
  const char *at = chosen;
  guint32 passed = 0;
  for (guint i = 0; i < spans->len; i++) {
    VjSpan span = g_array_index (spans, VjSpan, i), *last = kept ? &g_array_index (spans, VjSpan, kept - 1) : NULL;
    gboolean space = TRUE;
    for (; passed < span.chosen; passed++, at = g_utf8_next_char (at))
      if (last && passed >= last->chosen + last->n_chosen)
        space = space && g_unichar_isspace (g_utf8_get_char (at));
    if (last && space) {
      last->n_chosen = span.chosen + span.n_chosen - last->chosen;
      last->n_rejected = span.rejected + span.n_rejected - last->rejected;
    } else
      g_array_index (spans, VjSpan, kept++) = span;
  }
  g_array_set_size (spans, kept);
}

/* What is left between the words that both texts begin and end with. */
static Middle
middle_of (const GArray *a, const GArray *b)
{
  gint64 n = a->len - 1, m = b->len - 1;
  Middle middle = {.a = a, .b = b};
  while (middle.from < MIN (n, m) && TOKEN (a, middle.from)->name == TOKEN (b, middle.from)->name)
    middle.from++;
  while (MIN (n, m) > middle.from && TOKEN (a, n - 1)->name == TOKEN (b, m - 1)->name)
    n--, m--;
  middle.n = n - middle.from;
  middle.m = m - middle.from;
  return middle;
}

GArray *
vj_spans_find (const char *chosen, const char *rejected)
{
  g_autoptr (GHashTable) names = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GArray) a = tokens_of (chosen, names), b = tokens_of (rejected, names);
  g_autoptr (GArray) trace = g_array_new (FALSE, FALSE, sizeof (gint32));
  GArray *spans = g_array_new (FALSE, FALSE, sizeof (VjSpan));
  Middle middle = middle_of (a, b);
  gint64 edits = search (&middle, trace);
  if (edits >= 0) {
    g_autofree guint8 *gone = g_malloc0 ((gsize) middle.n + 1), *new = g_malloc0 ((gsize) middle.m + 1);
    mark (&middle, trace, edits, gone, new);
    add_marked (spans, &middle, gone, new);
    join_over_space (spans, chosen);
  }
  if (edits < 0 || spans->len > SPANS_MAX) {
    g_array_set_size (spans, 0);
    add_span (spans, &middle, 0, middle.n, 0, middle.m);
  }
  return spans;
}

/* -- checking ------------------------------------------------------------------------- */

/* `text` moved by n characters; NULL when it ends before. */
static const char *
forward (const char *text, guint64 n)
{
  for (; text && n > 0; n--)
    text = *text ? g_utf8_next_char (text) : NULL;
  return text;
}

gboolean
vj_spans_hold (const char *chosen, const char *rejected, const VjSpan *spans, gsize n)
{
  guint64 c = 0, r = 0; /* characters passed */
  for (gsize i = 0; i < n; i++) {
    const VjSpan *span = &spans[i];
    if (span->chosen < c || span->rejected < r || span->n_chosen + (guint64) span->n_rejected == 0)
      return FALSE;
    const char *until_c = forward (chosen, span->chosen - c), *until_r = forward (rejected, span->rejected - r);
    if (!until_c || !until_r || until_c - chosen != until_r - rejected
        || memcmp (chosen, rejected, (gsize) (until_c - chosen)) != 0)
      return FALSE;
    chosen = forward (until_c, span->n_chosen);
    rejected = forward (until_r, span->n_rejected);
    if (!chosen || !rejected)
      return FALSE;
    c = span->chosen + (guint64) span->n_chosen;
    r = span->rejected + (guint64) span->n_rejected;
  }
  return strcmp (chosen, rejected) == 0;
}

/* -- JSON ------------------------------------------------------------------------------ */

json_t *
vj_spans_to_json (const char *chosen, const char *rejected, const VjSpan *spans, gsize n)
{
  json_t *list = json_array ();
  guint32 c = 0, r = 0;
  for (gsize i = 0; i < n; i++) {
    const VjSpan *span = &spans[i];
    chosen = forward (chosen, span->chosen - c);
    rejected = forward (rejected, span->rejected - r);
    const char *end_c = forward (chosen, span->n_chosen), *end_r = forward (rejected, span->n_rejected);
    json_array_append_new (list, json_pack ("{s:I, s:s%, s:I, s:s%}", "chosen", (json_int_t) span->chosen, "before", chosen,
                                            (size_t) (end_c - chosen), "rejected", (json_int_t) span->rejected, "after",
                                            rejected, (size_t) (end_r - rejected)));
    chosen = end_c;
    rejected = end_r;
    c = span->chosen + span->n_chosen;
    r = span->rejected + span->n_rejected;
  }
  return list;
}

static gboolean
read_side (const json_t *item, const char *at_key, const char *text_key, guint32 *ret_at, guint32 *ret_n)
{
  const json_t *at = json_object_get (item, at_key);
  const char *text = json_string_value (json_object_get (item, text_key));
  if (!json_is_integer (at) || json_integer_value (at) < 0 || json_integer_value (at) > G_MAXUINT32 || text == NULL)
    return FALSE;
  *ret_at = (guint32) json_integer_value (at);
  *ret_n = (guint32) g_utf8_strlen (text, -1);
  return TRUE;
}

gboolean
vj_spans_json_hold (const char *chosen, const char *rejected, const json_t *json)
{
  g_autoptr (GArray) spans = g_array_new (FALSE, FALSE, sizeof (VjSpan));
  for (gsize i = 0; i < json_array_size (json); i++) {
    const json_t *item = json_array_get (json, i);
    VjSpan span;
    if (json_object_size (item) != 4 || !read_side (item, "chosen", "before", &span.chosen, &span.n_chosen)
        || !read_side (item, "rejected", "after", &span.rejected, &span.n_rejected))
      return FALSE;
    g_array_append_val (spans, span);
  }
  if (spans->len == 0 || !vj_spans_hold (chosen, rejected, (const VjSpan *) spans->data, spans->len))
    return FALSE;
  json_t *made = vj_spans_to_json (chosen, rejected, (const VjSpan *) spans->data, spans->len); /* the texts are those of the places */
  gboolean same = json_equal (made, json);
  json_decref (made);
  return same;
}
