#include "roles.h"

#include "image/image.h"

#define QUESTION "Where is the cup?"
#define CHOSEN "The red cup stands on the table."

static void
test_replies (void)
{
  static const struct {
    const char *replies[5], *text, *change, *reason;
    guint rounds;
  } cases[] = {
    {{"Where is the plate?", " It lies on the floor.\n"}, "It lies on the floor.", "answers instead: Where is the plate?", NULL, 2},
    {{"**New question:** \"What is on the table?\"", "A fork and a knife."}, "A fork and a knife.", "answers instead: What is on the table?", NULL, 2},
    {{"Here is a new question:\n\nWhat is red?", "A cup is red, I think."}, "A cup is red, I think.", "answers instead: What is red?", NULL, 2},
    {{"Which of A: red, B: blue?", "B is the color, I think"}, "B is the color, I think", "answers instead: Which of A: red, B: blue?", NULL, 2},
    /* a question that will not do is asked for again */
    {{"where IS the cup", "What is red?", "The cup is."}, "The cup is.", "answers instead: What is red?", NULL, 3},
    /* so is one whose answer will not do */
    {{"What is red?", "the red cup stands on the table", "What is blue?", "The sky is blue today."}, "The sky is blue today.", "answers instead: What is blue?", NULL, 4},
    {{"", " . "}, NULL, NULL, "the other question is empty", 2},
    {{BENCH_CUT "What is", "Where is the cup?"}, NULL, NULL, "the other question is the same", 2},
    {{"where is the cup", BENCH_CUT "What is red?"}, NULL, NULL, "the other question was cut off", 2},
    {{"What is red?", "", "What is blue?", ""}, NULL, NULL, "the other answer is empty", 4},
    {{"What is red?", "", "What is blue?", BENCH_CUT "It stands on the"}, NULL, NULL, "the other answer was cut off", 4},
    {{"What is red?", "", "What is blue?", "Red."}, NULL, NULL, "the other answer differs too much in length", 4},
    {{"What is red?", "", ""}, NULL, NULL, "the other question is empty", 3},
  };
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_INJECTOR, "modified-instruction", "tries", "2", NULL);
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    const char *const *r = cases[i].replies;
    BenchInjection got = bench_inject (bench, QUESTION, CHOSEN, r[0], r[1], r[2], r[3], r[4], NULL);
    g_assert_cmpstr (got.reason, ==, cases[i].reason);
    g_assert_cmpstr (got.text, ==, cases[i].text);
    g_assert_cmpstr (got.change, ==, cases[i].change);
    g_assert_cmpstr (got.kind, ==, cases[i].text ? "modified-instruction" : NULL);
    g_assert_cmpuint (bench->rounds, ==, cases[i].rounds);
  }
}

/* What is asked first and second; the answer always sees the image. */
static void
test_what_is_asked (void)
{
  static const guint8 pixels[3] = {255, 0, 0};
  g_autoptr (VjImage) image = vj_image_new_from_rgb (pixels, 1, 1, NULL);
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_INJECTOR, "modified-instruction", "instruction", "other than {question}, said {response}", "prompt",
                                       "answer: {question}", "images", "false", "tries", "1", NULL);
  bench->image = image;
  bench_inject (bench, QUESTION, CHOSEN, "", NULL);
  g_assert_cmpstr (bench->asked, ==, "other than " QUESTION ", said " CHOSEN);
  g_assert_cmpuint (bench->shown, ==, 0);
  bench_inject (bench, QUESTION, CHOSEN, "What is {response}?", "A fork and a knife.", NULL);
  g_assert_cmpstr (bench->asked, ==, "answer: What is {response}?");
  g_assert_cmpuint (bench->shown, ==, 1);
  g_assert_cmpint (bench->sampling.n, ==, 1);
}

static void
test_options (void)
{
  g_autoptr (Bench) strict = bench_new (VJ_ROLE_INJECTOR, "modified-instruction", "tries", "1", "difference", "0.5", NULL);
  g_assert_cmpstr (bench_inject (strict, QUESTION, CHOSEN, "What is red?", "The blue cup stands on the table.", NULL).reason, ==,
                   "the other answer differs too little");
  g_autoptr (Bench) loose = bench_new (VJ_ROLE_INJECTOR, "modified-instruction", "ratio", "0", NULL);
  g_assert_cmpstr (bench_inject (loose, QUESTION, CHOSEN, "What is red?", "Red.", NULL).text, ==, "Red.");
  bench_refuse (VJ_ROLE_INJECTOR, "modified-instruction", VJ_EXIT_RECIPE, "{answer}", "instruction", "{question}{answer}", NULL);
  bench_refuse (VJ_ROLE_INJECTOR, "modified-instruction", VJ_EXIT_RECIPE, "{question} is missing", "instruction", "{response}", NULL);
  bench_refuse (VJ_ROLE_INJECTOR, "modified-instruction", VJ_EXIT_RECIPE, "{response}", "prompt", "{question}{response}", NULL);
}

void
add_modified_instruction_tests (void)
{
  g_test_add_func ("/plugins/modified-instruction/replies", test_replies);
  g_test_add_func ("/plugins/modified-instruction/what-is-asked", test_what_is_asked);
  g_test_add_func ("/plugins/modified-instruction/options", test_options);
}
