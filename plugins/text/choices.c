#include "choices.h"
#include "even.h"

#include <string.h>

#define LETTERS 10

struct VjChoices {
  char *texts[LETTERS]; /* evened out; [n] */
  guint n, set;
  GRegex *named; /* an answer that begins with a letter */
};

static const char upper[] = "(?:^|[\\s(\\[])([A-J])[).:\\]]\\s*(.+?)(?=[\\s,;]+[(\\[]?[A-J][).:\\]]\\s|\\s*\\n|\\s*$)";
static const char lower[] = "(?:^|[\\s(\\[])([a-j])[)\\]]\\s*(.+?)(?=[\\s,;]+[(\\[]?[a-j][)\\]]\\s|\\s*\\n|\\s*$)";
static const char named[] = "^\\W*(?:(?:the\\s+)?(?:(?:correct|right|best|final)\\s+)?(?:option|answer|choice)(?:\\s+is)?[\\s:*]*(?:option|choice)?\\s*)?"
                            "[(\\[*]*([A-J])(?:[).:\\]*]+(?:\\s+(.*))?|\\W*)$";

/* Texts by letter, up to the first letter that comes again; FALSE when they are not lettered from A on. */
static gboolean
find (VjChoices *choices, const char *pattern, const char *prompt)
{
  g_autoptr (GRegex) regex = g_regex_new (pattern, 0, 0, NULL);
  g_autoptr (GMatchInfo) match = NULL;
  guint found = 0;
  for (g_regex_match (regex, prompt, 0, &match); g_match_info_matches (match); g_match_info_next (match, NULL)) {
    g_autofree char *letter = g_match_info_fetch (match, 1), *text = g_match_info_fetch (match, 2);
    guint at = (guint) (g_ascii_toupper (*letter) - 'A');
    if (found & 1u << at)
      break;
    choices->texts[at] = vj_even (text, choices->set);
    found |= 1u << at;
  }
  while (choices->n < LETTERS && choices->texts[choices->n])
    choices->n++;
  if (choices->n >= 2 && found == (1u << choices->n) - 1)
    return TRUE;
  for (guint i = 0; i < LETTERS; i++)
    g_clear_pointer (&choices->texts[i], g_free);
  choices->n = 0;
  return FALSE;
}

VjChoices *
vj_choices_new (const char *prompt, guint set)
{
  VjChoices *choices = g_new0 (VjChoices, 1);
  choices->set = set;
  choices->named = g_regex_new (named, G_REGEX_CASELESS | G_REGEX_DOTALL, 0, NULL);
  if (!find (choices, upper, prompt))
    find (choices, lower, prompt);
  return choices;
}

void
vj_choices_free (VjChoices *choices)
{
  if (!choices)
    return;
  for (guint i = 0; i < LETTERS; i++)
    g_free (choices->texts[i]);
  g_regex_unref (choices->named);
  g_free (choices);
}

/* The one choice of that text; LETTERS: none, or several. */
static guint
by_text (const VjChoices *choices, const char *even)
{
  guint at = LETTERS;
  for (guint i = 0; i < choices->n; i++)
    if (strcmp (choices->texts[i], even) == 0) {
      if (at < LETTERS)
        return LETTERS;
      at = i;
    }
  return at;
}

/* Whether `text` speaks of a listed letter other than that at `own`, as a word of one capital. */
static gboolean
names_another (const VjChoices *choices, const char *text, guint own)
{
  for (const char *at = text; *at; at++) {
    guint letter = (guint) (*at - 'A');
    gboolean alone = (at == text || !g_ascii_isalnum (at[-1])) && !g_ascii_isalnum (at[1]) && at[1] != '\'';
    if (*at >= 'A' && letter < choices->n && letter != own && alone)
      return TRUE;
  }
  return FALSE;
}

char
vj_choices_letter (const VjChoices *choices, const char *answer)
{
  g_autoptr (GMatchInfo) match = NULL;
  g_autofree char *even = vj_even (answer, choices->set);
  if (choices->n == 0)
    return 0;
  guint whole = by_text (choices, even);
  if (!g_regex_match (choices->named, answer, 0, &match))
    return whole < LETTERS ? (char) ('A' + whole) : 0;
  g_autofree char *letter = g_match_info_fetch (match, 1), *rest = g_match_info_fetch (match, 2);
  guint at = (guint) (g_ascii_toupper (*letter) - 'A');
  if (at >= choices->n)
    return 0;
  g_autofree char *text = vj_even (rest ? rest : "", choices->set);
  guint told = by_text (choices, text);
  gboolean own = *text == '\0' || strcmp (text, choices->texts[at]) == 0;
  return own || (told == LETTERS && !names_another (choices, rest, at)) ? (char) ('A' + at) : 0;
}
