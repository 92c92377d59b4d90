#include "even.h"
#include "lexicon.h"

#include <string.h>

const char *const vj_even_names[] = {
#define EVEN_NAME(name, text) text,
  VJ_EVEN_TABLE (EVEN_NAME)
#undef EVEN_NAME
  NULL
};

guint
vj_even_set (char *const *names)
{
  guint set = 0;
  for (guint i = 0; vj_even_names[i]; i++)
    if (names && g_strv_contains ((const char *const *) names, vj_even_names[i]))
      set |= 1u << i;
  return set;
}

/* -- numerals -------------------------------------------------------------------------- */

/* Digits in groups of three after commas, or without any: the length of the whole part at `text`; 0: none. */
static gsize
whole_length (const char *text)
{
  gsize first = strspn (text, "0123456789"), n = first;
  if (first < 1 || first > 3 || text[first] != ',')
    return first;
  while (text[n] == ',' && strspn (text + n + 1, "0123456789") == 3)
    n += 4;
  /* "1,5" and "1,0000" are numbers of other habits */
  return text[n] == ',' && g_ascii_isdigit (text[n + 1]) ? 0 : n;
}

/* A decimal number at `text`: its plain form, appended to `out`, and its length; 0, nothing appended: none, or one that can
 * be read in two ways. Leading zeros make a code ("007"), and "2.500" may be thousands. */
static gsize
append_numeral (GString *out, const char *text)
{
  gboolean minus = *text == '-' || g_str_has_prefix (text, "\xe2\x88\x92");
  gsize sign = *text == '+' || *text == '-' ? 1 : minus ? 3 : 0, n = whole_length (text + sign), decimals = 0;
  const char *whole = text + sign;
  if (whole[n] == '.')
    decimals = strspn (whole + n + 1, "0123456789");
  if ((n == 0 && decimals == 0) || (n > 1 && *whole == '0') || (decimals == 3 && n >= 1 && n <= 3 && *whole != '0'))
    return 0;
  gsize length = sign + n + (decimals ? decimals + 1 : 0), significant = decimals;
  while (significant && whole[n + significant] == '0')
    significant--;
  gboolean zero = !significant && n <= 1 && (n == 0 || *whole == '0');
  if (minus && !zero)
    g_string_append_c (out, '-');
  if (n == 0)
    g_string_append_c (out, '0');
  for (gsize i = 0; i < n; i++)
    if (whole[i] != ',')
      g_string_append_c (out, whole[i]);
  if (significant)
    g_string_append_printf (out, ".%.*s", (int) significant, whole + n + 1);
  return length;
}

/* What may stand behind a number as its unit: letters, a degree or percent sign. */
static gboolean
is_unit (const char *text)
{
  for (; *text; text = g_utf8_next_char (text)) {
    gunichar c = g_utf8_get_char (text);
    if (!g_unichar_isalpha (c) && c != '%' && c != 0xb0)
      return FALSE;
  }
  return TRUE;
}

/* A number with the unit or currency that is written to it; NULL: none. Owned. */
static char *
plain_numeral (const char *word)
{
  g_autoptr (GString) out = g_string_new (NULL);
  const char *number = word;
  if (*word == '$' || g_str_has_prefix (word, "\xe2\x82\xac") || g_str_has_prefix (word, "\xc2\xa3") || g_str_has_prefix (word, "\xc2\xa5"))
    number = g_utf8_next_char (word);
  g_string_append_len (out, word, number - word);
  gsize n = append_numeral (out, number);
  if (n == 0 || !is_unit (number + n))
    return NULL;
  g_string_append (out, number + n);
  return g_string_free (g_steal_pointer (&out), FALSE);
}

static gboolean
is_whole_number (const char *word)
{
  gsize n = strlen (word);
  return n > 0 && strspn (word, "0123456789") == n && (n == 1 || *word != '0');
}

/* -- number words ------------------------------------------------------------------------ */

/* A number being read, word by word, as English builds it: [units] hundred [and] tens units thousand ... */
typedef struct {
  guint64 total, current, scale; /* scale: the last that was read, 0: none */
  gboolean begun, closed, after_hundred;
} Reading;

/* Takes the next word if the number can go on with it. */
static gboolean
take_number (Reading *reading, const char *word)
{
  guint value;
  guint64 scale;
  if (reading->closed || !vj_lexicon_number (word, &value, &scale))
    return FALSE;
  if (scale == 100) {
    if (reading->after_hundred || reading->current > 9)
      return FALSE;
    reading->current = MAX (reading->current, 1) * 100;
    reading->after_hundred = TRUE;
  } else if (scale) {
    if ((reading->begun && reading->current == 0) || (reading->scale && scale >= reading->scale))
      return FALSE;
    reading->total += MAX (reading->current, 1) * scale;
    reading->current = 0;
    reading->scale = scale;
    reading->after_hundred = FALSE;
  } else {
    guint64 low = reading->current % 100;
    gboolean fits = !reading->begun || low == 0 || (low >= 20 && low % 10 == 0 && value > 0 && value < 10);
    if (!fits || (value == 0 && reading->begun) || (reading->begun && low == 0 && reading->current == 0 && !reading->scale))
      return FALSE;
    reading->current += value;
    reading->closed = value == 0;
  }
  reading->begun = TRUE;
  return TRUE;
}

static const char *
word_at (const GPtrArray *words, guint i)
{
  return i < words->len ? words->pdata[i] : "";
}

/* Takes a hyphenated number as a whole: "twenty-one". */
static gboolean
take_compound (Reading *reading, const char *word)
{
  g_auto (GStrv) parts = g_strsplit (word, "-", 4);
  Reading ahead = *reading;
  for (char **part = parts; *part; part++)
    if (!take_number (&ahead, *part))
      return FALSE;
  *reading = ahead;
  return parts[0] != NULL;
}

static gboolean
take_word (Reading *reading, const char *word)
{
  return strchr (word, '-') ? take_compound (reading, word) : take_number (reading, word);
}

/* How many words from `at` on are one number, and which; 0: none. "a hundred" and "3 million" begin one. */
static guint
read_number (const GPtrArray *words, guint at, guint64 *ret_value)
{
  Reading reading = {0};
  guint n = 0, value;
  guint64 scale;
  const char *first = word_at (words, at);
  gboolean scaled = vj_lexicon_number (word_at (words, at + 1), &value, &scale) && scale;
  if (scaled && (g_ascii_strcasecmp (first, "a") == 0 || (is_whole_number (first) && strlen (first) <= 3 && *first != '0'))) {
    reading.current = g_ascii_isalpha (*first) ? 1 : g_ascii_strtoull (first, NULL, 10);
    reading.begun = TRUE;
    n = 1;
    if (scale == 100 && reading.current > 9)
      return 0;
  }
  for (; at + n < words->len; n++) {
    const char *word = word_at (words, at + n);
    if (n && g_ascii_strcasecmp (word, "and") == 0 && (reading.after_hundred || reading.scale) && reading.current % 100 == 0) {
      Reading ahead = reading;
      if (take_word (&ahead, word_at (words, at + n + 1))) {
        reading = ahead;
        n++;
        continue;
      }
    }
    if (!take_word (&reading, word))
      break;
  }
  *ret_value = reading.total + reading.current;
  return n;
}

/* Puts one word, taken over, in the place of `n`. */
static void
put_in_place (GPtrArray *words, guint at, guint n, char *word)
{
  g_free (words->pdata[at]);
  words->pdata[at] = word;
  if (n > 1)
    g_ptr_array_remove_range (words, at + 1, n - 1);
}

static void
even_number_words (GPtrArray *words)
{
  for (guint i = 0; i < words->len; i++) {
    guint64 value;
    guint n = read_number (words, i, &value);
    if (n > 0)
      put_in_place (words, i, n, g_strdup_printf ("%" G_GUINT64_FORMAT, value));
  }
}

/* -- fractions ------------------------------------------------------------------------------ */

static const struct {
  const char *sign;
  guint n, d;
} signs[] = {
  {"\xc2\xbd", 1, 2}, {"\xc2\xbc", 1, 4}, {"\xc2\xbe", 3, 4}, {"\xe2\x85\x93", 1, 3}, {"\xe2\x85\x94", 2, 3},
  {"\xe2\x85\x95", 1, 5}, {"\xe2\x85\x96", 2, 5}, {"\xe2\x85\x97", 3, 5}, {"\xe2\x85\x98", 4, 5}, {"\xe2\x85\x99", 1, 6},
  {"\xe2\x85\x9a", 5, 6}, {"\xe2\x85\x9b", 1, 8}, {"\xe2\x85\x9c", 3, 8}, {"\xe2\x85\x9d", 5, 8}, {"\xe2\x85\x9e", 7, 8},
};

static const struct {
  const char *word;
  guint d;
} parts[] = {{"half", 2}, {"halves", 2}, {"third", 3}, {"thirds", 3}, {"quarter", 4}, {"quarters", 4}, {"fourth", 4}, {"fourths", 4},
             {"fifth", 5}, {"fifths", 5}, {"sixth", 6}, {"sixths", 6}, {"eighth", 8}, {"eighths", 8}, {"tenth", 10}, {"tenths", 10}};

static guint
greatest_divisor (guint a, guint b)
{
  while (b) {
    guint rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

/* whole + n/d as a decimal where it ends, else as n/d. NULL: not in lowest terms, which may be a score or a date. Owned. */
static char *
fraction_text (guint whole, guint n, guint d)
{
  if (d < 2 || d > 1000 || n == 0 || n > 100000 || whole > 100000 || greatest_divisor (n, d) != 1)
    return NULL;
  guint twos = 0, fives = 0, rest = d;
  for (; rest % 2 == 0; rest /= 2)
    twos++;
  for (; rest % 5 == 0; rest /= 5)
    fives++;
  if (rest != 1)
    return g_strdup_printf ("%u/%u", whole * d + n, d);
  guint64 power = 1;
  guint digits = MAX (twos, fives);
  for (guint i = 0; i < digits; i++)
    power *= 10;
  guint64 scaled = ((guint64) whole * d + n) * (power / d); /* d divides that power of ten */
  return g_strdup_printf ("%" G_GUINT64_FORMAT ".%0*" G_GUINT64_FORMAT, scaled / power, (int) digits, scaled % power);
}

/* "3/4" or a fraction sign, which a whole number may stand before ("1½"): TRUE with all three. */
static gboolean
read_fraction (const char *word, guint *ret_whole, guint *ret_n, guint *ret_d)
{
  gsize n = strspn (word, "0123456789");
  if (n > 5 || (n > 1 && *word == '0'))
    return FALSE;
  guint first = (guint) g_ascii_strtoull (word, NULL, 10);
  for (gsize i = 0; i < G_N_ELEMENTS (signs); i++)
    if (strcmp (word + n, signs[i].sign) == 0) {
      *ret_whole = n ? first : 0;
      *ret_n = signs[i].n;
      *ret_d = signs[i].d;
      return TRUE;
    }
  if (n == 0 || word[n] != '/' || !is_whole_number (word + n + 1) || strlen (word + n + 1) > 4)
    return FALSE;
  *ret_whole = 0;
  *ret_n = first;
  *ret_d = (guint) g_ascii_strtoull (word + n + 1, NULL, 10);
  return TRUE;
}

static guint
part_of (const char *word)
{
  for (gsize i = 0; i < G_N_ELEMENTS (parts); i++)
    if (g_ascii_strcasecmp (word, parts[i].word) == 0)
      return parts[i].d;
  return 0;
}

/* A small whole number, in digits or as "a" or a word; 0: none. */
static guint
small_number (const char *word)
{
  guint value = 0;
  guint64 scale;
  if (is_whole_number (word) && strlen (word) <= 5)
    return (guint) g_ascii_strtoull (word, NULL, 10);
  if (g_ascii_strcasecmp (word, "a") == 0)
    return 1;
  return vj_lexicon_number (word, &value, &scale) && !scale ? value : 0;
}

/* "half"; "a half", "two thirds", "3 quarters" where the answer ends or goes on with "of": "a third" may be an ordinal. */
static guint
read_spoken (const GPtrArray *words, guint at, guint *ret_n, guint *ret_d)
{
  guint n = small_number (word_at (words, at)), d = part_of (word_at (words, at + 1));
  const char *next = word_at (words, at + 2);
  if (n && d && (d == 2 || !*next || g_ascii_strcasecmp (next, "of") == 0)) {
    *ret_n = n;
    *ret_d = d;
    return 2;
  }
  if (g_ascii_strcasecmp (word_at (words, at), "half") != 0)
    return 0;
  *ret_n = 1;
  *ret_d = 2;
  return 1;
}

/* How many words from `at` on are a fraction: "1/2", "1 1/2", "a half", "one and a half". Its parts are set. */
static guint
read_mixed (const GPtrArray *words, guint at, guint *ret_whole, guint *ret_n, guint *ret_d)
{
  guint whole = small_number (word_at (words, at)), taken;
  gboolean is_number = whole && g_ascii_strcasecmp (word_at (words, at), "a") != 0;
  if (read_fraction (word_at (words, at), ret_whole, ret_n, ret_d))
    return 1;
  if (is_number && read_fraction (word_at (words, at + 1), ret_whole, ret_n, ret_d) && *ret_whole == 0 && *ret_n < *ret_d) {
    *ret_whole = whole;
    return 2;
  }
  if (is_number && g_ascii_strcasecmp (word_at (words, at + 1), "and") == 0
      && (taken = read_spoken (words, at + 2, ret_n, ret_d)) > 0 && *ret_n < *ret_d) {
    *ret_whole = whole;
    return 2 + taken;
  }
  *ret_whole = 0;
  return read_spoken (words, at, ret_n, ret_d);
}

static void
even_fractions (GPtrArray *words)
{
  for (guint i = 0; i < words->len; i++) {
    guint whole = 0, n = 0, d = 0, taken = read_mixed (words, i, &whole, &n, &d);
    char *text = taken ? fraction_text (whole, n, d) : NULL;
    if (text)
      put_in_place (words, i, taken, text);
  }
}

/* -- percent ----------------------------------------------------------------------------------- */

static gboolean
is_number (const char *word)
{
  g_autoptr (GString) plain = g_string_new (NULL);
  gsize n = append_numeral (plain, word);
  return n > 0 && word[n] == '\0';
}

/* "50 %", "50 percent", "50 per cent" -> "50%". */
static void
even_percent (GPtrArray *words)
{
  for (guint i = 0; i + 1 < words->len; i++) {
    const char *next = word_at (words, i + 1);
    guint taken = g_ascii_strcasecmp (next, "%") == 0 || g_ascii_strcasecmp (next, "percent") == 0 || g_ascii_strcasecmp (next, "pct") == 0     ? 2
                  : g_ascii_strcasecmp (next, "per") == 0 && g_ascii_strcasecmp (word_at (words, i + 2), "cent") == 0 ? 3
                                                                                              : 0;
    if (taken && is_number (word_at (words, i)))
      put_in_place (words, i, taken, g_strconcat (word_at (words, i), "%", NULL));
  }
}

/* -- words --------------------------------------------------------------------------------------- */

static gboolean
is_mark (gunichar c)
{
  if (c < 128)
    return c != 0 && strchr (".,;:!?\"'`*()[]{}_", (int) c) != NULL;
  /* Quotation marks, dots, and the marks of East Asian text; not signs such as degree or minus. */
  return (c >= 0x2018 && c <= 0x201f) || c == 0xab || c == 0xbb || c == 0xbf || c == 0xa1 || c == 0x2022 || c == 0x2026
         || (c >= 0x3001 && c <= 0x3002) || (c >= 0x3008 && c <= 0x3011) || c == 0xff01 || c == 0xff08 || c == 0xff09
         || c == 0xff0c || c == 0xff1a || c == 0xff1b || c == 0xff1f;
}

/* Takes marks off both ends; a point before a digit is a decimal one, and a mark of feet or inches stays at its digit unless
 * the word also begins with it. Owned. */
static char *
without_marks (const char *word)
{
  const char *first = word, *end = word + strlen (word);
  while (*first && is_mark (g_utf8_get_char (first)) && !(*first == '.' && g_ascii_isdigit (first[1])))
    first = g_utf8_next_char (first);
  while (end > first) {
    const char *last = g_utf8_prev_char (end);
    if (!is_mark (g_utf8_get_char (last)))
      break;
    if ((*last == '"' || *last == '\'') && last > first && g_ascii_isdigit (last[-1]) && *word != *last)
      break;
    end = last;
  }
  return g_strndup (first, (gsize) (end - first));
}

/* An answer in quotation marks as a whole loses them: `"room 6".` */
static char *
unquoted (const char *answer)
{
  g_autofree char *copy = g_strstrip (g_strdup (answer));
  gsize n = strlen (copy);
  if (n > 2 && strchr (".,", copy[n - 1]))
    n--;
  if (n < 3 || (copy[0] != '"' && copy[0] != '\'') || copy[n - 1] != copy[0])
    return g_steal_pointer (&copy);
  return g_strndup (copy + 1, n - 2);
}

/* Array of owned words, none empty. */
static GPtrArray *
split (const char *answer, guint set)
{
  GPtrArray *words = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *valid = g_utf8_make_valid (answer, -1), *composed = g_utf8_normalize (valid, -1, G_NORMALIZE_DEFAULT_COMPOSE);
  g_autofree char *bare = set & VJ_EVEN (PUNCTUATION) ? unquoted (composed) : g_strdup (composed);
  g_autofree char *folded = set & VJ_EVEN (CASE) ? g_utf8_casefold (bare, -1) : g_strdup (bare);
  for (const char *at = folded; *at;) {
    const char *end = at;
    while (*end && !g_unichar_isspace (g_utf8_get_char (end)))
      end = g_utf8_next_char (end);
    g_autofree char *raw = g_strndup (at, (gsize) (end - at));
    char *word = set & VJ_EVEN (PUNCTUATION) ? without_marks (raw) : g_steal_pointer (&raw);
    if (*word)
      g_ptr_array_add (words, word);
    else
      g_free (word);
    at = *end ? g_utf8_next_char (end) : end;
  }
  return words;
}

static void
even_numerals (GPtrArray *words)
{
  for (guint i = 0; i < words->len; i++) {
    char *plain = plain_numeral (words->pdata[i]);
    if (plain)
      put_in_place (words, i, 1, plain);
  }
}

static gboolean
is_article (const char *word)
{
  return g_ascii_strcasecmp (word, "a") == 0 || g_ascii_strcasecmp (word, "an") == 0 || g_ascii_strcasecmp (word, "the") == 0;
}

char *
vj_even (const char *answer, guint set)
{
  g_autoptr (GPtrArray) words = split (answer, set);
  g_autoptr (GString) all = g_string_new (NULL), bare = g_string_new (NULL);
  if (set & VJ_EVEN (NUMERALS))
    even_numerals (words);
  if (set & VJ_EVEN (FRACTIONS)) /* before "one half" becomes "1 half" */
    even_fractions (words);
  if (set & VJ_EVEN (NUMBER_WORDS))
    even_number_words (words);
  if (set & VJ_EVEN (PERCENT))
    even_percent (words);
  for (guint i = 0; i < words->len; i++) {
    const char *word = words->pdata[i];
    g_string_append_printf (all, "%s%s", all->len ? " " : "", word);
    if (!is_article (word))
      g_string_append_printf (bare, "%s%s", bare->len ? " " : "", word);
  }
  return g_strdup (set & VJ_EVEN (ARTICLES) && bare->len ? bare->str : all->str);
}
