/* Word differences, templates, spans and votes over any two texts (the input, cut at its first NUL): hunks and spans tell
 * exactly how one text becomes the other, filling a template neither loses nor interprets what is put in, and whatever is
 * asked of kinds, votes and choices has an answer. */
#include "record/spans.h"
#include "replay.h"
#include "text/choices.h"
#include "text/even.h"
#include "text/kinds.h"
#include "text/text.h"

#include <string.h>

/* Replaces the hunks of `a` by those of `b`; it must come out as `b`. */
static void
check_diff (const GArray *a, const GArray *b)
{
  g_autoptr (GArray) hunks = vj_words_diff (a, b);
  g_autoptr (GPtrArray) made = g_ptr_array_new ();
  guint at = 0;
  for (guint i = 0; i <= hunks->len; i++) {
    const VjHunk *hunk = i < hunks->len ? &g_array_index (hunks, VjHunk, i) : NULL;
    for (guint end = hunk ? hunk->a : a->len; at < end; at++)
      g_ptr_array_add (made, g_array_index (a, VjWord, at).key);
    for (guint j = 0; hunk && j < hunk->n_b; j++)
      g_ptr_array_add (made, g_array_index (b, VjWord, hunk->b + j).key);
    at += hunk ? hunk->n_a : 0;
  }
  g_assert_cmpuint (made->len, ==, b->len);
  for (guint i = 0; i < b->len; i++)
    g_assert_cmpstr (made->pdata[i], ==, g_array_index (b, VjWord, i).key);
}

static void
check_spans (const char *one, const char *two)
{
  g_autoptr (GArray) spans = vj_spans_find (one, two);
  g_assert_true (vj_spans_hold (one, two, (const VjSpan *) spans->data, spans->len));
  g_assert_true (spans->len > 0 || strcmp (one, two) == 0);
}

/* Reasons are phrases; what counts is UTF-8 that stays what it is; a letter is one that is listed. */
static void
check_answers (const char *one, const char *two, const GArray *a, const GArray *b)
{
  g_autoptr (GArray) hunks = vj_words_diff (a, b);
  for (const char *const *kind = vj_kinds; hunks->len && *kind; kind++) {
    const char *fault = vj_kind_fault (*kind, a, b, hunks);
    g_assert_true (!fault || *fault);
  }
  g_autofree char *even = vj_even (one, ~0u), *again = vj_even (even, ~0u);
  g_assert_true (g_utf8_validate (even, -1, NULL) && g_utf8_validate (again, -1, NULL));
  g_autoptr (VjChoices) choices = vj_choices_new (two, ~0u);
  char letter = vj_choices_letter (choices, one);
  g_assert_true (!letter || (letter >= 'A' && letter <= 'J'));
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  data = size ? data : (const uint8_t *) "";
  size_t cut = strnlen ((const char *) data, size);
  g_autofree char *one = g_utf8_make_valid ((const char *) data, (gssize) cut);
  size_t from = MIN (cut + 1, size);
  g_autofree char *two = g_utf8_make_valid ((const char *) data + from, (gssize) strnlen ((const char *) data + from, size - from));
  g_autoptr (GArray) a = vj_words_split (one), b = vj_words_split (two);
  g_autofree char *unknown = NULL, *framed = NULL, *filled = NULL;
  VjTextPair pairs[] = {{"x", one}, {NULL, NULL}};
  check_diff (a, b);
  check_diff (a, a);
  check_spans (one, two);
  check_answers (one, two, a, b);
  framed = vj_text_fill ("<{x}|{{x}}>", vj_text_pair, pairs, &unknown);
  g_assert_true (g_str_has_prefix (framed, "<") && g_str_has_suffix (framed, "|{x}>"));
  g_assert_cmpuint (strlen (framed), ==, strlen (one) + 6);
  filled = vj_text_fill (one, vj_text_pair, pairs, &unknown); /* the input as a template */
  g_assert_true (!filled == !!unknown);
  return 0;
}
