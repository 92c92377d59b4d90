/* The helpers that plugins share: templates and word differences. */
#include "roles.h"
#include "text/text.h"

static void
test_fill (void)
{
  VjTextPair pairs[] = {{"a", "1"}, {"b", "{a}"}, {NULL, NULL}};
  static const struct {
    const char *text, *filled, *unknown;
  } cases[] = {
    {"{a}{b}", "1{a}", NULL}, /* a value's braces are text */
    {"{{a}} {a", "{a} {a", NULL},
    {"{\"a\": {}}", "{\"a\": {}}", NULL},
    {"x{c}", NULL, "c"},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *unknown = NULL, *filled = vj_text_fill (cases[i].text, vj_text_pair, pairs, &unknown);
    g_assert_cmpstr (filled, ==, cases[i].filled);
    g_assert_cmpstr (unknown, ==, cases[i].unknown);
  }
}

static void
test_diff (void)
{
  static const struct {
    const char *a, *b, *change;
    guint size;
  } cases[] = {
    {"a red cup", "A blue cup.", "red -> blue", 1},
    {"one two three", "one three", "two -> (nothing)", 1},
    {"a b c d", "a x y d e", "b c -> x y; (nothing) -> e", 3},
    {"same - words", "Same words!", "", 0},
    {"", "new", "(nothing) -> new", 1},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GArray) a = vj_words_split (cases[i].a), b = vj_words_split (cases[i].b), hunks = vj_words_diff (a, b);
    g_autofree char *change = vj_hunks_describe (a, b, hunks);
    g_assert_cmpstr (change, ==, cases[i].change);
    g_assert_cmpuint (vj_hunks_size (hunks), ==, cases[i].size);
  }
}

/* Long texts with nothing in common: no quadratic table. */
static void
test_diff_is_bounded (void)
{
  g_autoptr (GString) x = g_string_new (NULL), y = g_string_new (NULL);
  for (int i = 0; i < 20000; i++) {
    g_string_append_printf (x, "x%d ", i);
    g_string_append_printf (y, "y%d ", i);
  }
  g_autoptr (GArray) a = vj_words_split (x->str), b = vj_words_split (y->str), hunks = vj_words_diff (a, b);
  g_assert_cmpuint (hunks->len, ==, 1);
  g_assert_false (vj_words_same_bag (a, b));
}

void
add_text_tests (void)
{
  g_test_add_func ("/plugins/text/fill", test_fill);
  g_test_add_func ("/plugins/text/diff", test_diff);
  g_test_add_func ("/plugins/text/diff-is-bounded", test_diff_is_bounded);
}
