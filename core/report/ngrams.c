/* N-grams of an answer. */
#include "report/ngrams.h"

#include <string.h>

/* Lower case, each run of white space one space, none at the ends; character by character, so that no locale matters.
 */
static GString *
normalize (const char *text, const char *begin, const char *end)
{
  GString *out = g_string_new (begin);
  gboolean gap = FALSE;

  for (const char *p = text; *p != '\0'; p = g_utf8_next_char (p)) {
    gunichar c = g_utf8_get_char (p);
    if (g_unichar_isspace (c)) {
      gap = TRUE;
      continue;
    }
    if (gap && out->len > strlen (begin))
      g_string_append_c (out, ' ');
    gap = FALSE;
    g_string_append_unichar (out, g_unichar_tolower (c));
  }
  return g_string_append (out, end);
}

static gboolean
is_word (gunichar c)
{
  return g_unichar_isalnum (c) || c == '_';
}

gboolean
vj_ngrams_next_word (const char **p, const char **ret_word, gsize *ret_length)
{
  const char *at = *p;
  while (*at == ' ')
    at++;
  if (*at == '\0')
    return FALSE;
  *ret_word = at;
  if (is_word (g_utf8_get_char (at)))
    while (*at != '\0' && is_word (g_utf8_get_char (at)))
      at = g_utf8_next_char (at);
  else
    at = g_utf8_next_char (at);
  *ret_length = (gsize) (at - *ret_word);
  *p = at;
  return TRUE;
}

char *
vj_ngrams_normalize (const char *text)
{
  return g_string_free (normalize (text, "", ""), FALSE);
}

guint
vj_ngrams_words (const char *text)
{
  g_autoptr (GString) normal = normalize (text, "", "");
  const char *p = normal->str, *word;
  gsize length;
  guint count = 0;
  while (vj_ngrams_next_word (&p, &word, &length))
    count++;
  return count;
}

/* "how many |": what answers to questions of one kind are crossed with. */
static GString *
first_words (const char *question)
{
  g_autoptr (GString) normal = normalize (question, "", "");
  GString *out = g_string_new (NULL);
  const char *p = normal->str, *word;
  gsize length;
  for (guint i = 0; i < 2 && vj_ngrams_next_word (&p, &word, &length); i++) {
    g_string_append_len (out, word, (gssize) length);
    g_string_append_c (out, ' ');
  }
  return g_string_append (out, "| ");
}

static void
each_words (const GString *text, GString *head, VjNgramFunc each, gpointer data)
{
  g_autoptr (GString) two = g_string_new (NULL);
  const char *p = text->str, *word, *before = NULL;
  gsize length, length_before = 0, head_length = head->len;

  while (vj_ngrams_next_word (&p, &word, &length)) {
    each (data, VJ_NGRAM_WORD, word, length);
    g_string_append_len (g_string_truncate (head, head_length), word, (gssize) length);
    each (data, VJ_NGRAM_CROSSED, head->str, head->len);
    if (before != NULL) {
      g_string_append_c (g_string_append_len (g_string_truncate (two, 0), before, (gssize) length_before), ' ');
      g_string_append_len (two, word, (gssize) length);
      each (data, VJ_NGRAM_TWO_WORDS, two->str, two->len);
    }
    before = word;
    length_before = length;
  }
}

static void
each_characters (const GString *text, VjNgramFunc each, gpointer data)
{
  const char *first = text->str, *second = g_utf8_next_char (first);
  if (*second == '\0')
    return;
  for (const char *third = g_utf8_next_char (second); *third != '\0';) {
    const char *after = g_utf8_next_char (third);
    each (data, VJ_NGRAM_CHARACTERS, first, (gsize) (after - first));
    first = second;
    second = third;
    third = after;
  }
}

void
vj_ngrams_each (const char *question, const char *answer, VjNgramFunc each, gpointer data)
{
  g_autoptr (GString) text = normalize (answer, VJ_NGRAM_BEGIN, VJ_NGRAM_END), head = first_words (question);
  each_words (text, head, each, data);
  each_characters (text, each, data);
}

char *
vj_ngram_describe (VjNgramKind kind, const char *text)
{
  static const char *const names[] = {"word", "words", "characters", "question | word"};
  g_autofree char *shown = g_strdup (text);
  g_strdelimit (g_strdelimit (shown, VJ_NGRAM_BEGIN, '^'), VJ_NGRAM_END, '$');
  return g_strdup_printf ("%s '%s'", names[kind], shown);
}
