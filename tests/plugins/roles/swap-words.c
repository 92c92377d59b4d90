#include "roles.h"

static void
test_swaps (void)
{
  static const struct {
    const char *kinds, *response, *pattern, *kind; /* pattern: a regular expression; NULL: nothing to swap */
  } cases[] = {
    {"position", "It is on the Left.", "It is on the Right\\.", "position"},
    {"position", "at mid-left", "at mid-right", "position"},
    {"position", "ABOVE it", "BELOW it", "position"},
    {"size", "a huge dog", "a tiny dog", "size"},
    {"color", "An orange hat", "(A (red|yellow|green|blue|purple|pink|brown|black|white|gray)) hat", "color"},
    {"color", "grey", "(red|orange|yellow|green|blue|purple|pink|brown|black|white)", "color"},
    {"number", "seven cats", "(four|five|six|eight|nine|ten) cats", "number"},
    {"number", "12 cats", "(9|10|11|13|14|15) cats", "number"},
    {"number", "2 cats.", "[345] cats\\.", "number"},
    {"color,size", "2 cats on the left", NULL, NULL},
    {"number", "one cat, 1 dog, 3.5 m, 2-3 x, B2, 1st, 0, 007, 10:30, #4", NULL, NULL},
    {"color", "redo the bluer r\xc3\xa9" "d", NULL, NULL},
    {"color,number,position,size", "", NULL, NULL},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Bench) bench = bench_new (VJ_ROLE_INJECTOR, "swap-words", "kinds", cases[i].kinds, NULL);
    BenchInjection got = bench_inject (bench, "?", cases[i].response, NULL);
    g_autofree char *whole = g_strdup_printf ("^%s$", cases[i].pattern);
    g_assert_cmpstr (got.kind, ==, cases[i].kind);
    if (!cases[i].pattern)
      g_assert_cmpstr (got.reason, ==, "no word to swap");
    else if (!g_regex_match_simple (whole, got.text, 0, 0))
      g_error ("'%s' became '%s'", cases[i].response, got.text);
  }
}

/* Every swap changes exactly the word it tells, whatever the stream. */
static void
test_many_streams (void)
{
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_INJECTOR, "swap-words", NULL);
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  for (int i = 0; i < 300; i++) {
    g_autofree char *id = g_strdup_printf ("q%d", i);
    bench->record = id;
    BenchInjection got = bench_inject (bench, "?", "two small red cups left of an old box", NULL);
    g_assert_cmpstr (got.text, !=, "two small red cups left of an old box");
    g_hash_table_add (seen, g_strdup (got.change));
  }
  g_assert_cmpuint (g_hash_table_size (seen), ==, 3 + 1 + 10 + 1); /* numbers, size, colors, position */
}

/* What changed is told where it stands, in characters, the article included; the bench holds it to both texts. */
static void
test_spans (void)
{
  static const struct {
    const char *everywhere, *response, *text, *spans;
  } cases[] = {
    {"false", "It is on the left.", "It is on the right.", "13+4>13+5"},
    {"false", "caf\xc3\xa9 on the left", "caf\xc3\xa9 on the right", "12+4>12+5"},
    {"false", "an upper caf\xc3\xa9", "a lower caf\xc3\xa9", "0+2>0+1 3+5>2+5"},
    {"false", "\xc3\xa9t\xc3\xa9: a lower one", "\xc3\xa9t\xc3\xa9: an upper one", "5+1>5+2 7+5>8+5"},
    {"true", "left, \xe2\x82\xac" "3, LEFT", "right, \xe2\x82\xac" "3, RIGHT", "0+4>0+5 10+4>11+5"},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Bench) bench = bench_new (VJ_ROLE_INJECTOR, "swap-words", "kinds", "position", "everywhere", cases[i].everywhere, NULL);
    BenchInjection got = bench_inject (bench, "?", cases[i].response, NULL);
    g_assert_cmpstr (got.text, ==, cases[i].text);
    g_assert_cmpstr (got.spans, ==, cases[i].spans);
  }
}

static void
test_options (void)
{
  g_autoptr (Bench) few = bench_new (VJ_ROLE_INJECTOR, "swap-words", "colors", "red,mauve", NULL);
  g_assert_cmpstr (bench_inject (few, "?", "a red and blue cup", NULL).text, ==, "a mauve and blue cup");
  g_autoptr (Bench) lone = bench_new (VJ_ROLE_INJECTOR, "swap-words", "colors", "red", NULL);
  g_assert_cmpstr (bench_inject (lone, "?", "a red cup", NULL).reason, ==, "no other word of its kind");
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_INJECTOR, "swap-words", "everywhere", "true", "kinds", "position", NULL);
  BenchInjection got = bench_inject (bench, "?", "Left is left, top is top", NULL);
  g_assert_true (g_str_equal (got.text, "Right is right, top is top") || g_str_equal (got.text, "Left is left, bottom is bottom"));
}

void
add_swap_words_tests (void)
{
  g_test_add_func ("/plugins/swap-words/swaps", test_swaps);
  g_test_add_func ("/plugins/swap-words/many-streams", test_many_streams);
  g_test_add_func ("/plugins/swap-words/options", test_options);
  g_test_add_func ("/plugins/swap-words/spans", test_spans);
}
