/* Word differences and templates over any two texts (the input, cut at its first NUL): the hunks tell exactly how one
 * text's words become the other's, and filling a template neither loses nor interprets what is put in. */
#include "replay.h"
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
  framed = vj_text_fill ("<{x}|{{x}}>", vj_text_pair, pairs, &unknown);
  g_assert_true (g_str_has_prefix (framed, "<") && g_str_has_suffix (framed, "|{x}>"));
  g_assert_cmpuint (strlen (framed), ==, strlen (one) + 6);
  filled = vj_text_fill (one, vj_text_pair, pairs, &unknown); /* the input as a template */
  g_assert_true (!filled == !!unknown);
  return 0;
}
