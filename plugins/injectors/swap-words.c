/* swap-words: makes an answer wrong by rule, without a model: it replaces a color, a number, a
 * position or a size by another of its group. Capitals stay as they were and "a" or "an" before
 * the word follows it. One and 1 are left alone: swapping them would need other plurals. */
#include "text/text.h"
#include <vj/plugin.h>

#include <string.h>

enum { KIND_COLOR, KIND_NUMBER, KIND_POSITION, KIND_SIZE };
static const char *const kinds[] = {"color", "number", "position", "size", NULL};

/* A word is replaced by another one of its row; it belongs to the first row that has it. Numbers stand in order.
 * Colors are not here: the recipe lists them. */
static const struct {
  int kind;
  const char *const *words;
} groups[] = {
#define ROW(kind_, ...) {KIND_##kind_, (const char *const[]){__VA_ARGS__, NULL}}
  ROW (NUMBER, "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
  ROW (NUMBER, "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"),
  ROW (POSITION, "left", "right"),
  ROW (POSITION, "leftmost", "rightmost"),
  ROW (POSITION, "top", "bottom"),
  ROW (POSITION, "topmost", "bottommost"),
  ROW (POSITION, "upper", "lower"),
  ROW (POSITION, "above", "below"),
  ROW (POSITION, "over", "under"),
  ROW (POSITION, "beneath", "above"),
  ROW (POSITION, "inside", "outside"),
  ROW (POSITION, "behind", "before"),
  ROW (POSITION, "foreground", "background"),
  ROW (POSITION, "north", "south", "east", "west"),
  ROW (POSITION, "northeast", "northwest", "southeast", "southwest"),
  ROW (SIZE, "big", "little"),
  ROW (SIZE, "bigger", "smaller"),
  ROW (SIZE, "biggest", "smallest"),
  ROW (SIZE, "large", "small"),
  ROW (SIZE, "larger", "smaller"),
  ROW (SIZE, "largest", "smallest"),
  ROW (SIZE, "huge", "tiny"),
  ROW (SIZE, "tall", "short"),
  ROW (SIZE, "taller", "shorter"),
  ROW (SIZE, "tallest", "shortest"),
  ROW (SIZE, "long", "short"),
  ROW (SIZE, "longer", "shorter"),
  ROW (SIZE, "longest", "shortest"),
  ROW (SIZE, "wide", "narrow"),
  ROW (SIZE, "thick", "thin"),
#undef ROW
};

typedef struct {
  char **kinds, **colors;
  int64_t distance;
  gboolean everywhere;
} SwapWords;

static const VjOption options[] = {
  VJ_OPTION_LIST (SwapWords, kinds, "color,number,position,size", kinds, "What may be swapped."),
  VJ_OPTION_LIST (SwapWords, colors, "red,orange,yellow,green,blue,purple,pink,brown,black,white,gray", NULL,
                  "Colors that are swapped for one another, in lower case; grey counts as gray."),
  VJ_OPTION_INT (SwapWords, distance, "3", 1, 1000, "units", "Farthest a number may move: so many up or down, or so many words of its row."),
  VJ_OPTION_BOOL (SwapWords, everywhere, "false", "Swap all occurrences of the word instead of one."),
  VJ_OPTION_END
};

/* A word that can be swapped: bytes [at, at + length) of the response. */
typedef struct {
  size_t at, length;
  int kind, group; /* group: row of `groups`; or one of these */
} Spot;
enum { GROUP_NUMERAL = -1, GROUP_COLORS = -2, GROUP_NONE = -3 };

static gboolean
wants (const SwapWords *self, int kind)
{
  return self->kinds && g_strv_contains ((const char *const *) self->kinds, kinds[kind]);
}

static const char *
color_of (const char *word)
{
  return strcmp (word, "grey") == 0 ? "gray" : word;
}

static int
group_of (const SwapWords *self, const char *word)
{
  if (self->colors && g_strv_contains ((const char *const *) self->colors, color_of (word)))
    return GROUP_COLORS;
  for (size_t i = 0; i < G_N_ELEMENTS (groups); i++)
    for (const char *const *other = groups[i].words; *other; other++)
      if (strcmp (*other, word) == 0)
        return (int) i;
  return GROUP_NONE;
}

/* A whole number from 2 to a million that stands alone: no decimals, no ordinals, no part of a name. */
static gboolean
is_numeral (const char *text, size_t at, size_t length)
{
  char before = at ? text[at - 1] : ' ', after = text[at + length];
  gboolean goes_on = after && strchr (".,:/-", after) && g_ascii_isdigit (text[at + length + 1]);
  return length <= 6 && text[at] != '0' && (length > 1 || text[at] != '1') && !goes_on && !strchr (".,:/-_#", before);
}

/* All spots, in order. Words are runs of ASCII letters or of digits; bytes above 127 belong to words we do not know. */
static GArray *
find_spots (const SwapWords *self, const char *text)
{
  GArray *spots = g_array_new (FALSE, FALSE, sizeof (Spot));
  for (size_t at = 0; text[at];) {
    size_t n = 0, digits = 0;
    for (; g_ascii_isalnum (text[at + n]) || (guchar) text[at + n] > 127; n++)
      digits += g_ascii_isdigit (text[at + n]) ? 1 : 0;
    if (n == 0) {
      at++;
      continue;
    }
    Spot spot = {.at = at, .length = n, .kind = KIND_NUMBER, .group = GROUP_NUMERAL};
    g_autofree char *raw = g_strndup (text + at, n), *word = g_ascii_strdown (raw, -1);
    if (digits != n) {
      spot.group = group_of (self, word);
      spot.kind = spot.group >= 0 ? groups[spot.group].kind : spot.group == GROUP_COLORS ? KIND_COLOR : -1;
    } else if (!is_numeral (text, at, n))
      spot.kind = -1;
    if (spot.kind >= 0 && wants (self, spot.kind))
      g_array_append_val (spots, spot);
    at += n;
  }
  return spots;
}

/* Another number at most `distance` away and never below 2. */
static char *
other_numeral (const SwapWords *self, VjRun *run, const char *word)
{
  gint64 number = g_ascii_strtoll (word, NULL, 10);
  gint64 low = MAX (2, number - self->distance), high = number + self->distance;
  gint64 pick = low + vj_run_random (run, (uint32_t) (high - low));
  return g_strdup_printf ("%" G_GINT64_FORMAT, pick + (pick >= number));
}

/* Another word of the row `words`, at most `distance` places away. NULL when there is none. */
static char *
other_word (VjRun *run, const char *const *words, const char *word, int64_t distance)
{
  gint64 n = g_strv_length ((char **) words), own = 0;
  while (strcmp (words[own], word) != 0)
    own++;
  gint64 low = MAX (0, own - distance), high = MIN (n - 1, own + distance);
  if (high == low)
    return NULL;
  gint64 pick = low + vj_run_random (run, (uint32_t) (high - low));
  return g_strdup (words[pick + (pick >= own)]);
}

/* What takes the place of `word`. NULL: nothing, the recipe lists a single color. */
static char *
other_than (const SwapWords *self, VjRun *run, const Spot *spot, const char *word)
{
  if (spot->group == GROUP_NUMERAL)
    return other_numeral (self, run, word);
  if (spot->group == GROUP_COLORS)
    return other_word (run, (const char *const *) self->colors, color_of (word), G_MAXINT32);
  return other_word (run, groups[spot->group].words, word, spot->kind == KIND_NUMBER ? self->distance : G_MAXINT32);
}

/* `word` with the capitals of `like`: none, the first, or all. */
static char *
with_case_of (const char *word, const char *like)
{
  char *out = g_strdup (word);
  if (g_ascii_isupper (like[0]) && g_ascii_isupper (like[1]))
    for (char *at = out; *at; at++)
      *at = g_ascii_toupper (*at);
  else if (g_ascii_isupper (like[0]))
    out[0] = g_ascii_toupper (out[0]);
  return out;
}

static gboolean
sounds_like_vowel (const char *word)
{
  return strchr ("aeiouAEIOU", word[0]) || g_str_has_prefix (word, "8") || strcmp (word, "11") == 0 || strcmp (word, "18") == 0;
}

/* Makes an article that ends `out` agree with the word to come: "a " or "an ". By how much it grew. */
static int
mend_article (GString *out, const char *word)
{
  gsize n = out->len, letters = 0;
  if (n < 2 || out->str[n - 1] != ' ')
    return 0;
  while (letters < n - 1 && g_ascii_isalpha (out->str[n - 2 - letters]))
    letters++;
  const char *article = out->str + n - 1 - letters;
  if (letters == 1 && (*article == 'a' || *article == 'A') && sounds_like_vowel (word)) {
    g_string_insert_c (out, (gssize) n - 1, 'n');
    return 1;
  }
  if (letters == 2 && g_ascii_strncasecmp (article, "an", 2) == 0 && !sounds_like_vowel (word)) {
    g_string_erase (out, (gssize) n - 2, 1);
    return -1;
  }
  return 0;
}

static void
add_span (GArray *spans, gsize at, gsize length, gsize new_at, gsize new_length)
{
  VjSpan span = {(uint32_t) at, (uint32_t) length, (uint32_t) new_at, (uint32_t) new_length};
  g_array_append_val (spans, span);
}

/* The response with the words at `spots` that equal `word` replaced: all of them, or that at `only`. Adds what it changed to
 * `spans` (VjSpan), in bytes. */
static char *
replace (const SwapWords *self, const char *response, const GArray *spots, guint only, const char *word, const char *other,
         GArray *spans)
{
  GString *out = g_string_new (NULL);
  size_t done = 0;
  for (guint i = 0; i < spots->len; i++) {
    const Spot *spot = &g_array_index (spots, Spot, i);
    g_autofree char *like = g_strndup (response + spot->at, spot->length);
    if (i != only && (!self->everywhere || g_ascii_strcasecmp (like, word) != 0))
      continue;
    g_autofree char *cased = with_case_of (other, like);
    g_string_append_len (out, response + done, (gssize) (spot->at - done));
    int grown = mend_article (out, cased);
    if (grown != 0) {
      gsize before = grown > 0 ? 1 : 2, after = grown > 0 ? 2 : 1; /* "a" and "an", with a space behind */
      add_span (spans, spot->at - 1 - before, before, out->len - 1 - after, after);
    }
    add_span (spans, spot->at, spot->length, out->len, strlen (cased));
    g_string_append (out, cased);
    done = spot->at + spot->length;
  }
  g_string_append (out, response + done);
  return g_string_free (out, FALSE);
}

static VjFlow
swap_words_tell (const void *instance, VjRun *run, const VjQuestion *question, const char *response, const VjReplies *replies,
                 VjInjection *ret_injection, GError **error)
{
  const SwapWords *self = instance;
  g_autoptr (GArray) spots = find_spots (self, response);
  (void) question, (void) replies, (void) error;
  if (spots->len == 0) {
    ret_injection->reason = g_strdup ("no word to swap");
    return VJ_FLOW_SKIP;
  }
  guint at = vj_run_random (run, spots->len);
  const Spot *spot = &g_array_index (spots, Spot, at);
  g_autofree char *raw = g_strndup (response + spot->at, spot->length), *word = g_ascii_strdown (raw, -1);
  g_autofree char *other = other_than (self, run, spot, word);
  if (!other) {
    ret_injection->reason = g_strdup ("no other word of its kind");
    return VJ_FLOW_SKIP;
  }
  g_autoptr (GArray) spans = g_array_new (FALSE, FALSE, sizeof (VjSpan));
  ret_injection->text = replace (self, response, spots, at, word, other, spans);
  vj_spans_from_bytes (response, ret_injection->text, (VjSpan *) spans->data, spans->len);
  ret_injection->n_spans = spans->len;
  ret_injection->spans = (VjSpan *) g_array_free (g_steal_pointer (&spans), FALSE);
  ret_injection->kind = kinds[spot->kind];
  ret_injection->change = g_strdup_printf ("%s -> %s", word, other);
  return VJ_FLOW_OK;
}

VJ_DEFINE_INJECTOR (SwapWords, swap_words_tell, NULL,
                    .name = "swap-words", .version = "1.1", .license = "Apache-2.0",
                    .summary = "Replaces a color, number, position or size by another, without a model.",
                    .options = options)
