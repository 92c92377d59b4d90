/* record/spans: the differences found lead from one text to the other, are the fewest, and what does not hold is refused. */
#include "record/record.h"

#include <string.h>

/* "2+3>2+4" for each span: chosen offset and length, rejected offset and length. */
static char *
spans_text (const GArray *spans)
{
  GString *out = g_string_new (NULL);
  for (guint i = 0; i < spans->len; i++) {
    const VjSpan *span = &g_array_index (spans, VjSpan, i);
    g_string_append_printf (out, "%s%u+%u>%u+%u", i ? " " : "", span->chosen, span->n_chosen, span->rejected, span->n_rejected);
  }
  return g_string_free (out, FALSE);
}

static gboolean
holds (const char *a, const char *b, const GArray *spans)
{
  return vj_spans_hold (a, b, (const VjSpan *) spans->data, spans->len);
}

static void
test_table (void)
{
  static const struct {
    const char *a, *b, *spans;
  } rows[] = {
    {"", "", ""},
    {"same", "same", ""},
    {"", "new", "0+0>0+3"},
    {"old", "", "0+3>0+0"},
    {"a red cup", "a blue cup", "2+3>2+4"},
    {"a red cup", "a cup", "2+4>2+0"},
    {"a cup", "a red cup", "2+0>2+4"},
    {"a red cup.", "a red cup!", "9+1>9+1"},
    {"two red cups, one box", "three red cups, no box", "0+3>0+5 14+3>16+2"},
    {"two red cups", "three blue cups", "0+7>0+10"}, /* joined over the space */
    {"Red", "red", "0+3>0+3"},
    {"a  b", "a b", "1+2>1+1"},
    {"aaa aaa", "aaa aaa aaa", "7+0>7+4"},
    {"un caf\xc3\xa9 noir", "un th\xc3\xa9 noir", "3+4>3+3"},                         /* offsets are characters */
    {"e\xcc\x81t\xc3\xa9", "e\xcc\x80t\xc3\xa9", "0+4>0+4"},                          /* a mark belongs to its word */
    {"\xe4\xb8\x80\xe5\x8f\xaa\xe7\xba\xa2\xe7\x8c\xab", "\xe4\xb8\x80\xe5\x8f\xaa\xe8\x93\x9d\xe7\x8c\xab", "2+1>2+1"}, /* no spaces */
    {"\xf0\x9f\x98\x80 ok", "\xf0\x9f\x98\x81 ok", "0+1>0+1"},
    {"x\xe2\x80\x83y", "x y", "1+1>1+1"}, /* an em space */
    {"3 < 4", "3 > 4", "2+1>2+1"},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autoptr (GArray) spans = vj_spans_find (rows[i].a, rows[i].b);
    g_autofree char *text = spans_text (spans);
    if (strcmp (text, rows[i].spans) != 0)
      g_error ("'%s' -> '%s': %s, not %s", rows[i].a, rows[i].b, text, rows[i].spans);
    g_assert_true (holds (rows[i].a, rows[i].b, spans));
  }
}

/* Letters of a small alphabet, each a token of its own for being wide, or words and spaces. */
static char *
random_text (GRand *random, gboolean wide)
{
  static const char *const letters[] = {"\xe4\xb8\x80", "\xe4\xb8\x89", "\xe4\xba\x8c"};
  static const char *const words[] = {"a ", "b", " ", "\xc3\xa9", "a, ", "\n"};
  GString *text = g_string_new (NULL);
  for (gint n = g_rand_int_range (random, 0, 12); n > 0; n--)
    g_string_append (text, wide ? letters[g_rand_int_range (random, 0, 3)] : words[g_rand_int_range (random, 0, 6)]);
  return g_string_free (text, FALSE);
}

/* The least number of characters taken away and put in, by the table of common subsequences. */
static guint
least_edits (const char *a, const char *b)
{
  g_autofree gunichar *x = g_utf8_to_ucs4_fast (a, -1, NULL), *y = g_utf8_to_ucs4_fast (b, -1, NULL);
  guint n = 0, m = 0, longest[16][16] = {{0}};
  while (x[n])
    n++;
  while (y[m])
    m++;
  for (guint i = 1; i <= n; i++)
    for (guint j = 1; j <= m; j++)
      longest[i][j] = x[i - 1] == y[j - 1] ? longest[i - 1][j - 1] + 1 : MAX (longest[i - 1][j], longest[i][j - 1]);
  return n + m - 2 * longest[n][m];
}

static void
test_random (void)
{
  g_autoptr (GRand) random = g_rand_new_with_seed (7);
  for (guint i = 0; i < 20000; i++) {
    gboolean wide = i % 2;
    g_autofree char *a = random_text (random, wide), *b = random_text (random, wide);
    g_autoptr (GArray) spans = vj_spans_find (a, b);
    guint edits = 0;
    if (!holds (a, b, spans))
      g_error ("'%s' -> '%s' does not hold", a, b);
    for (guint j = 0; j < spans->len; j++)
      edits += g_array_index (spans, VjSpan, j).n_chosen + g_array_index (spans, VjSpan, j).n_rejected;
    if (wide && edits != least_edits (a, b))
      g_error ("'%s' -> '%s': %u edits instead of %u", a, b, edits, least_edits (a, b));
  }
}

/* Long texts with nothing, or with every other word, in common: bounded work, and one span. */
static void
test_bounds (void)
{
  g_autoptr (GString) a = g_string_new ("same "), b = g_string_new ("same "), c = g_string_new ("same ");
  for (guint i = 0; i < 200000; i++) {
    g_string_append_printf (a, "x%u ", i);
    g_string_append_printf (b, "y%u ", i);
    if (i < 700)
      g_string_append_printf (c, i % 2 ? "z%u " : "x%u ", i);
  }
  g_autofree char *start = g_strndup (a->str, strlen (c->str));
  g_autoptr (GArray) far = vj_spans_find (a->str, b->str), many = vj_spans_find (start, c->str);
  g_assert_cmpuint (far->len, ==, 1);
  g_assert_cmpuint (g_array_index (far, VjSpan, 0).chosen, ==, 5);
  g_assert_true (holds (a->str, b->str, far));
  g_assert_cmpuint (many->len, ==, 1);
  g_assert_true (holds (start, c->str, many));
}

static void
test_what_does_not_hold (void)
{
  static const VjSpan wrong[][2] = {
    {{2, 3, 2, 5}, {0}},          /* reaches too far                 */
    {{1, 3, 2, 4}, {0}},          /* what stands before is not alike */
    {{2, 2, 2, 4}, {0}},          /* what stands behind is not alike */
    {{2, 3, 2, 400}, {0}},        /* beyond the end                  */
    {{400, 3, 400, 4}, {0}},      /* begins beyond the end           */
    {{2, 3, 2, 4}, {1, 1, 1, 1}}, /* out of order                    */
    {{2, 3, 2, 4}, {3, 1, 4, 1}}, /* into each other                 */
    {{2, 3, 2, 4}, {6, 0, 7, 0}}, /* nothing                         */
    {{G_MAXUINT32, G_MAXUINT32, G_MAXUINT32, G_MAXUINT32}, {0}},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (wrong); i++)
    g_assert_false (vj_spans_hold ("a red cup", "a blue cup", wrong[i], i >= 5 && i < 8 ? 2 : 1));
  g_assert_false (vj_spans_hold ("a red cup", "a blue cup", NULL, 0));
  g_assert_true (vj_spans_hold ("a red cup", "a blue cup", (VjSpan[]){{2, 3, 2, 4}}, 1));
}

/* A pair's record says them, and one whose changes are not those of its answers is refused. */
static void
test_record (void)
{
  g_autoptr (VjRecord) record = vj_record_new (VJ_RECORD_PAIR, 1, "q.p"), again = NULL;
  g_autoptr (GError) error = NULL;
  vj_record_set_text (record, "chosen", "th\xc3\xa9 red");
  vj_record_set_text (record, "rejected", "th\xc3\xa9 blue");
  vj_record_set_text (record, "how", "color");
  g_autoptr (GArray) spans = vj_spans_find ("th\xc3\xa9 red", "th\xc3\xa9 blue");
  vj_record_set_changes (record, (const VjSpan *) spans->data, spans->len);
  g_assert_true (vj_record_check (record, &error));
  g_autofree char *text = vj_record_to_text (record), *twice = NULL;
  g_assert_nonnull (strstr (text, "\"changes\":[{\"after\":\"blue\",\"before\":\"red\",\"chosen\":4,\"rejected\":4}]"));
  again = vj_record_from_text (text, strlen (text), "here", &error);
  g_assert_no_error (error);
  twice = vj_record_to_text (again);
  g_assert_cmpstr (text, ==, twice);
  static const char *const wrong[] = {
    "[]", "7", "[7]", "[{}]", "[{\"after\":\"blue\",\"before\":\"red\",\"chosen\":4}]",
    "[{\"after\":\"blue\",\"before\":\"red\",\"chosen\":3,\"rejected\":4}]", "[{\"after\":\"blue\",\"before\":\"rod\",\"chosen\":4,\"rejected\":4}]",
    "[{\"after\":\"blue\",\"before\":\"red\",\"chosen\":-1,\"rejected\":4}]", "[{\"after\":\"blue\",\"before\":\"red\",\"chosen\":4,\"rejected\":4,\"x\":1}]",
    "[{\"after\":\"blue\",\"before\":\"red\",\"chosen\":9999999999,\"rejected\":4}]",
  };
  for (gsize i = 0; i < G_N_ELEMENTS (wrong); i++) {
    g_autofree char *bad = g_strdup_printf ("{\"id\":\"p\",\"kind\":\"pair\",\"iteration\":1,\"parents\":[],\"chosen\":\"th\xc3\xa9 red\","
                                            "\"rejected\":\"th\xc3\xa9 blue\",\"how\":\"x\",\"changes\":%s}", wrong[i]);
    g_autoptr (GError) fault = NULL;
    g_autoptr (VjRecord) read = vj_record_from_text (bad, strlen (bad), "here", &fault);
    if (read != NULL || strstr (fault->message, "'changes'") == NULL)
      g_error ("%s: %s", wrong[i], fault ? fault->message : "taken");
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/spans/table", test_table);
  g_test_add_func ("/spans/random", test_random);
  g_test_add_func ("/spans/bounds", test_bounds);
  g_test_add_func ("/spans/what-does-not-hold", test_what_does_not_hold);
  g_test_add_func ("/spans/record", test_record);
  return g_test_run ();
}
