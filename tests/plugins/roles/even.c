/* What short answers count as: each line holds ways to write one answer, and what looks alike but is another. */
#include "roles.h"
#include "text/choices.h"
#include "text/even.h"

#include <jansson.h>
#include <string.h>

#define ALL (~0u)

static const struct {
  const char *even, *same[8];
} classes[] = {
  {"3", {"3", "three", "Three.", " 3 ", "3.0", "3.00", "+3", "(3)"}},
  {"3", {"**3**", "\"3\"", "3.", "three\n"}},
  {"3", {"'three'", ("\xe2\x80\x9c" "3\xe2\x80\x9d"), "3\n", ("\xc2\xa0" "3\xe2\x80\x83"), "3!", "the 3"}},
  {"0", {"0", "zero", "0.0", "-0", "+0.00", "Zero."}},
  {"-3", {"-3", ("\xe2\x88\x92" "3"), "-3.0"}},
  {"0.5", {"0.5", ".5", "0.50", "1/2", "\xc2\xbd", "half", "a half", "One half."}},
  {"2/4", {"2/4"}},
  {"10/10", {"10/10"}},
  {"0.75", {"3/4", "\xc2\xbe", "0.750", "three quarters", "Three fourths"}},
  {"1.5", {"1.5", "1 1/2", "1\xc2\xbd", "one and a half", "1.50", "1 and a half", "3/2"}},
  {"2/3", {"2/3", "two thirds", "\xe2\x85\x94"}},
  {"4/3", {"1 1/3", "4/3", "one and one third"}},
  {"1000", {"1000", "1,000", "a thousand", "One thousand", "1 thousand", "1000.0"}},
  {"1234567.5", {"1,234,567.5", "1234567.50"}},
  {"3000000", {"3 million", "three million", "3,000,000", "3000000"}},
  {"21", {"21", "twenty-one", "Twenty one", "twenty\xc2\xa0one"}},
  {"105", {"one hundred and five", "a hundred five", "105"}},
  {"2024", {"two thousand twenty-four", "two thousand and twenty four", "2024", "2,024"}},
  {"100", {"hundred", "a hundred", "100", "one hundred"}},
  {"900000000001", {"nine hundred billion and one", "900,000,000,001"}},
  {"50%", {"50%", "50 %", "fifty percent", "50 per cent", "50.0%", "50 Percent.", "50 pct"}},
  {"0.5%", {"0.5%", ".5 percent", "half percent", "1/2 %"}},
  {"3 cups", {"3 cups", "three cups", "the three cups", "Three Cups!"}},
  {"1000 km", {"1,000 km", "1000.0 km", "a thousand km"}},
  {"1000km", {"1,000km", "1000km"}},
  {"$1000.5", {"$1,000.50", "$1000.5"}},
  {"20\xc2\xb0", {"20\xc2\xb0", "20.0\xc2\xb0"}},
  {"cup", {"a cup", "The Cup!", "cup", "CUP...", "*cup*", "_cup_", "an cup"}},
  {"a", {"A", "a.", "(a)"}},
  {"the", {"The", "the"}},
  {"room 6", {"room 6", "\"room 6\"", "'Room 6'.", "room six"}},
  {"caf\xc3\xa9", {"caf\xc3\xa9", "cafe\xcc\x81", "CAF\xc3\x89"}},
  {"left of box", {"left of the box", "Left, of the box."}},
};

/* Each of these is another answer than the one beside it. */
static const char *const different[][2] = {
  {"3", "-3"}, {"3", "0.3"}, {".5", "5"}, {"1,5", "15"}, {"1,5", "1.5"}, {"2.500", "2.5"}, {"2.500", "2500"}, {"007", "7"},
  {"1,0000", "10000"}, {"12,34", "1234"}, {"2/4", "1/2"}, {"10/10", "1"}, {"1/2/2024", "1/2"}, {"50%", "50"}, {"50%", "0.5"},
  {"100%", "1"}, {"6'", "6\""}, {"6'", "6"}, {"5 cm", "5 mm"}, {"5cm", "5 cm"}, {"cup", "cups"}, {"$5", "5"}, {"5\xc2\xb0", "5"},
  {"3:00", "3"}, {"3-4", "34"}, {"#3", "3"}, {"one two", "12"}, {"nineteen eighty four", "1984"}, {"two three", "23"},
  {"third", "1/3"}, {"the third man", "1/3 man"}, {"3rd", "3"}, {"1e3", "1000"}, {"1.2.3", "1.23"}, {"10:30", "10"}, {"3x", "3"},
  {"ten hundred", "1000"}, {"twenty twenty", "40"}, {"one hundred", "1"}, {"yes", "no"}, {"1/0", "0"}, {"B2", "2"}, {"x+1", "x1"},
  {"a dozen", "12"}, {"\xc2\xbd", "\xc2\xbc"}, {"3 and 4", "7"}, {"hundred and", "100"}, {"-", "3"}, {"left", "right"},
};

static void
test_classes (void)
{
  for (size_t i = 0; i < G_N_ELEMENTS (classes); i++)
    for (size_t j = 0; j < G_N_ELEMENTS (classes[i].same) && classes[i].same[j]; j++) {
      g_autofree char *even = vj_even (classes[i].same[j], ALL), *again = vj_even (even, ALL);
      if (strcmp (even, classes[i].even) != 0)
        g_error ("'%s' counts as '%s', not '%s'", classes[i].same[j], even, classes[i].even);
      g_assert_cmpstr (again, ==, even); /* nothing is left to even out */
    }
  for (size_t i = 0; i < G_N_ELEMENTS (different); i++) {
    g_autofree char *a = vj_even (different[i][0], ALL), *b = vj_even (different[i][1], ALL);
    if (strcmp (a, b) == 0)
      g_error ("'%s' and '%s' both count as '%s'", different[i][0], different[i][1], a);
  }
}

/* Numbers as num2words spells them (tests/peers/make_pair_vectors.py). */
static void
test_spelled_numbers (void)
{
  g_autofree char *path = g_build_filename (g_getenv ("VJ_SRCDIR"), "tests", "vectors", "pairs", "vectors.json", NULL);
  json_t *vectors = json_load_file (path, 0, NULL), *numbers = json_object_get (vectors, "numbers"), *number;
  gsize i;
  g_assert_cmpuint (json_array_size (numbers), >, 300);
  json_array_foreach (numbers, i, number) {
    const char *words = json_string_value (json_array_get (number, 0)), *digits = json_string_value (json_array_get (number, 1));
    g_autofree char *even = vj_even (words, ALL);
    if (strcmp (even, digits) != 0)
      g_error ("'%s' counts as '%s', not '%s'", words, even, digits);
  }
  json_decref (vectors);
}

/* Each step can be left out: then its own difference stays, and no other. */
static void
test_switches (void)
{
  static const struct {
    guint step;
    const char *a, *b;
  } steps[] = {
    {VJ_EVEN (CASE), "Cup", "cup"}, {VJ_EVEN (PUNCTUATION), "cup.", "cup"}, {VJ_EVEN (ARTICLES), "the cup", "cup"},
    {VJ_EVEN (NUMBER_WORDS), "three", "3"}, {VJ_EVEN (NUMERALS), "3.0", "3"}, {VJ_EVEN (FRACTIONS), "1/2", "0.5"},
    {VJ_EVEN (PERCENT), "50 percent", "50%"},
  };
  g_assert_cmpuint (G_N_ELEMENTS (steps) + 1, ==, g_strv_length ((char **) vj_even_names)); /* option letters: see below */
  for (size_t left_out = 0; left_out < G_N_ELEMENTS (steps); left_out++)
    for (size_t i = 0; i < G_N_ELEMENTS (steps); i++) {
      g_autofree char *a = vj_even (steps[i].a, ALL & ~steps[left_out].step), *b = vj_even (steps[i].b, ALL & ~steps[left_out].step);
      g_assert_cmpint (strcmp (a, b) == 0, ==, i != left_out);
    }
  g_autofree char *none = vj_even (" A  Cup. ", 0), *words = vj_even ("Three  Cups", VJ_EVEN (NUMBER_WORDS));
  g_assert_cmpstr (none, ==, "A Cup.");
  g_assert_cmpstr (words, ==, "3 Cups");
}

static void
test_hostile (void)
{
  static const char *const texts[] = {
    "", " ", "...", "\xff\xfe", "\"", "'\"'", "-", "+", ".", ",", "1,", ",1", "/", "1/", "/2", "%", "$", "and", "and and", "a", "a a a",
    "half half half", "hundred hundred", "million billion", "zero zero", "99999999999999999999999999999999999999", "1/99999999999",
    "99999999999/2", "\xe2\x88\x92", "1 1/2 1/2", "one and", "one and a", "one hundred and and five", "a hundred a", "--", "twenty-",
    "-twenty", "twenty--one", "\xc2\xbd\xc2\xbd", "\xf0\x9f\x98\x80", ("\xe2\x80\xae" "3"), "3\xe2\x80\x8b", "(((((", "1,000,000,000,000,000,000,000,000",
  };
  for (size_t i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autofree char *even = vj_even (texts[i], ALL), *again = vj_even (even, ALL);
    g_assert_true (g_utf8_validate (even, -1, NULL));
    g_assert_cmpstr (even, ==, again);
  }
  g_autofree char *long_one = g_strnfill (300000, '9'), *even = vj_even (long_one, ALL);
  g_assert_cmpstr (even, ==, long_one);
}

static void
test_choices (void)
{
  static const char colors[] = "Which color? A) red B) a blue one C) green", lines[] = "Pick one.\n(A) 3\n(B) 1,000\n(C) 30%\n";
  static const struct {
    const char *prompt, *answer;
    char letter; /* 0: none */
  } cases[] = {
    {colors, "B", 'B'}, {colors, "(B)", 'B'}, {colors, "B.", 'B'}, {colors, "b", 'B'}, {colors, "B)", 'B'}, {colors, "[B]", 'B'},
    {colors, "**B**", 'B'}, {colors, "Answer: B", 'B'}, {colors, "**Answer:** B", 'B'}, {colors, "The correct answer is (B).", 'B'},
    {colors, "option B", 'B'}, {colors, "The answer is option B", 'B'}, {colors, "B) a blue one", 'B'}, {colors, "B: Blue one.", 'B'},
    {colors, "blue one", 'B'}, {colors, "The Blue One", 'B'}, {colors, "red", 'A'}, {colors, "A", 'A'}, {colors, "a", 'A'},
    {colors, "B. It is between the others.", 'B'}, {colors, "c", 'C'},
    {colors, "A) green", 0}, {colors, "A or B", 0}, {colors, "A, B", 0}, {colors, "A) or B)", 0}, {colors, "B. Not A.", 0}, {colors, "D", 0},
    {colors, "a red one", 0}, {colors, "Because it is blue", 0}, {colors, "", 0}, {colors, "purple", 0}, {colors, "E.", 0}, {colors, "AB", 0},
    {lines, "three", 'A'}, {lines, "1000", 'B'}, {lines, "a thousand", 'B'}, {lines, "30 percent", 'C'}, {lines, "30", 0},
    {"Which? (a) cat (b) dog", "b", 'B'}, {"Which? (a) cat (b) dog", "Dog", 'B'}, {"Which? A. cat\nB. dog", "B", 'B'},
    {"Which? A: cat, B: cat", "cat", 0}, /* two of the same text */
    {"Which? A) cat B) dog\nFor example: A) hat B) bag", "dog", 'B'}, {"Which? A) cat A) dog B) hat", "cat", 0},
    {"Is plan B) good?", "B", 0}, {"B) x C) y", "B", 0}, {"A) x C) y", "A", 0}, {"how many?", "A", 0}, {"", "A", 0},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (VjChoices) choices = vj_choices_new (cases[i].prompt, ALL);
    char letter = vj_choices_letter (choices, cases[i].answer);
    if (letter != cases[i].letter)
      g_error ("'%s': '%s' names '%c', not '%c'", cases[i].prompt, cases[i].answer, letter ? letter : '-', cases[i].letter ? cases[i].letter : '-');
  }
}

/* A prompt that lists on and on: the first ten at most are looked at, else this would take minutes. */
static void
test_many_choices (void)
{
  g_autoptr (GString) prompt = g_string_new ("Which? A) red B) blue ");
  for (guint i = 0; i < 200000; i++)
    g_string_append (prompt, "C) x ");
  g_autoptr (VjChoices) choices = vj_choices_new (prompt->str, ALL);
  g_assert_cmpint (vj_choices_letter (choices, "red"), ==, 'A');
  g_assert_cmpint (vj_choices_letter (choices, "(C)"), ==, 'C');
}

void
add_even_tests (void)
{
  g_test_add_func ("/plugins/text/even/classes", test_classes);
  g_test_add_func ("/plugins/text/even/spelled-numbers", test_spelled_numbers);
  g_test_add_func ("/plugins/text/even/switches", test_switches);
  g_test_add_func ("/plugins/text/even/hostile", test_hostile);
  g_test_add_func ("/plugins/text/even/choices", test_choices);
  g_test_add_func ("/plugins/text/even/many-choices", test_many_choices);
}
