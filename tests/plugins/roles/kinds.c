/* Kinds of rewrites, told from the words: each kind lets its own errors through and refuses others. */
#include "roles.h"
#include "text/kinds.h"
#include "text/lexicon.h"
#include "text/text.h"

#include <string.h>

#define COUNT "the rewrite changed other words than a count"
#define POSITION "the rewrite changed other words than a position"
#define RELATION "the rewrite changed other words than a relation"
#define NUMBER "the rewrite changed other words than a number"
#define COLOR "the rewrite changed other words than a color"
#define INSTEAD "the rewrite changed a count or a position instead"
#define TEXT "the rewrite changed other words than the text that is read"
#define TOOK "the rewrite only took words away"
#define ADDED "the rewrite only added words"

static const struct {
  const char *kind, *old, *new, *fault; /* fault NULL: it fits */
} cases[] = {
  {"attribute", "a red cup", "a blue cup", NULL},
  {"attribute", "a wooden table", "a metal table", NULL},
  {"attribute", "one shape ; north small red circle", "one shape ; north large red circle", NULL},
  {"attribute", "one shape ; north small red circle", "one shape ; south small red circle", INSTEAD},
  {"attribute", "two cups", "three cups", INSTEAD},
  {"attribute", "a cup", "two cups", INSTEAD},
  {"attribute", "two red cups", "two three cups", INSTEAD},
  {"attribute", "two red cups", "two cups on the left", INSTEAD},
  {"attribute", "a red cup", "a cup", TOOK},
  {"attribute", "a cup", "a red cup", ADDED},
  {"color", "a red cup", "a light blue cup", NULL},
  {"color", "The Red Cup.", "The turquoise cup.", NULL},
  {"color", "a red cup", "a large cup", COLOR},
  {"color", "a red cup", "a blue plate", COLOR},
  {"size", "a huge dog", "a tiny dog", NULL},
  {"size", "a huge dog", "five huge dogs", INSTEAD},
  {"count", "two plates", "three plates", NULL},
  {"count", "There are two dogs.", "There is one dog.", NULL},
  {"count", "A dog runs.", "Two dogs run.", NULL},
  {"count", "the cup stands", "three cups stand", NULL},
  {"count", "two men", "a man", NULL},
  {"count", "several berries", "no berries", NULL},
  {"count", "12 cups", "15 cups", NULL},
  {"count", "twenty-one cups", "thirty-two cups", NULL},
  {"count", "two shapes ; north small red circle", "four shapes ; north small red circle", NULL},
  {"count", "two plates", "three cups", COUNT},
  {"count", "two plates", "two cups", COUNT},
  {"count", "a red cup", "a blue cup", COUNT},
  {"count", "the left cup", "the right cup", COUNT},
  {"count", "a cup", "the cup", COUNT},        /* an article is not yet a count */
  {"count", "the cup", "the cups", COUNT},     /* nor is a plural               */
  {"count", "two cups", "cups", TOOK},
  {"position", "to the left of the cup", "to the right of the cup", NULL},
  {"position", "on the table", "under the table", NULL},
  {"position", "in front of the car", "behind the car", NULL},
  {"position", "in the top-left corner", "in the bottom-right corner", NULL},
  {"position", "one shape ; northwest small red circle", "one shape ; east small red circle", NULL},
  {"position", "left of the cup, above the box", "above the cup, left of the box", NULL},
  {"position", "to the left of the cup", "to the left of the plate", POSITION},
  {"position", "on the left", "on the sofa", POSITION},
  {"position", "one shape ; north small red circle", "one shape ; north small blue circle", POSITION},
  {"place", "in the kitchen", "in the garden", NULL},
  {"place", "in the kitchen", "", TOOK},
  {"relation", "a man holding a dog", "a man chasing a dog", NULL},
  {"relation", "he carries it", "he is pushing it", NULL},
  {"relation", "larger than the cup", "smaller than the cup", NULL},
  {"relation", "above the cup", "below the cup", NULL},
  {"relation", "a man holding a dog", "a man holding a cat", RELATION},
  {"relation", "a man holding a dog", "a woman chasing a dog", RELATION},
  {"number", "it costs 5 dollars", "it costs 7.50 dollars", NULL},
  {"number", "on May 5", "on June 5", NULL},
  {"number", "10:30 am", "11:45 am", NULL},
  {"number", "the third man", "the second man", NULL},
  {"number", "50% of $3", "60% of $4", NULL},
  {"number", "it costs 5 dollars", "it costs 5 euros", NUMBER},
  {"number", "B2", "C2", NUMBER},
  {"number", "a red cup", "a blue cup", NUMBER},
  {"object", "a cup on a table", "a bowl on a table", NULL},
  {"object", "a cup", "a cup and a plate", ADDED},
  {"object", "the left cup", "the right cup", INSTEAD},
  {"object-added", "A cup and a plate.", "A cup, a fork and a plate.", NULL},
  {"object-added", "There is a cup.", "There are a cup and a watch.", NULL},
  {"object-added", "a cup", "a cups and a fork", NULL},
  {"object-added", "A cup and a plate.", "A cup and a fork.", "the rewrite took words away"},
  {"object-added", "a cup", "a red cup", "the rewrite added no thing"},
  {"object-added", "a cup", "a cup and two cups", "the rewrite added no thing"},
  {"object-added", "a cup", "a cup on the left", "the rewrite added no thing"},
  {"object-added", "A cup and a plate.", "A cup.", "the rewrite took words away"},
  {"object-dropped", "A cup, a fork and a plate.", "A cup and a plate.", NULL},
  {"object-dropped", "There are a cup and a fork.", "There is a cup.", NULL},
  {"object-dropped", "A cup and a plate.", "A cup and a fork.", "the rewrite put other words in"},
  {"object-dropped", "a red cup", "a cup", "the rewrite left no thing out"},
  {"object-dropped", "a cup beside another cup", "a cup", "the rewrite left no thing out"},
  {"object-dropped", "a cup", "a cup and a plate", "the rewrite put other words in"},
  {"action", "a dog runs", "a dog sleeps", NULL},
  {"action", "two dogs run", "three dogs run", INSTEAD},
  {"text", "A sign reads \"STOP HERE\".", "A sign reads \"GO HERE\".", NULL},
  {"text", "A sign reads \xe2\x80\x9cstop\xe2\x80\x9d.", "A sign reads \xe2\x80\x9cgo\xe2\x80\x9d.", NULL},
  {"text", "A sign reads \"STOP\".", "A poster reads \"STOP\".", TEXT},
  {"text", "a 6\" pipe says \"hot\"", "a 6\" pipe says \"cold\"", NULL},
  {"text", "a 6\" pipe says \"hot\"", "a 6\" tube says \"hot\"", TEXT},
  {"text", "one shape ; east text CAT", "one shape ; east text DOG", NULL},
  {"text", "one shape ; east text CAT", "one shape ; west text CAT", TEXT},
  {"text", "the sign says stop", "the sign says go", "the answer quotes no text that could be changed"},
};

static void
test_kinds (void)
{
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GArray) old = vj_words_split (cases[i].old), new = vj_words_split (cases[i].new), hunks = vj_words_diff (old, new);
    const char *fault = vj_kind_fault (cases[i].kind, old, new, hunks);
    if (g_strcmp0 (fault, cases[i].fault) != 0)
      g_error ("%s: '%s' -> '%s': %s", cases[i].kind, cases[i].old, cases[i].new, fault ? fault : "taken");
  }
}

/* Every kind of the table has a case that fits and one that does not, and words of its own for the model. */
static void
test_table_is_covered (void)
{
  for (const char *const *kind = vj_kinds; *kind; kind++) {
    guint fits = 0, refused = 0;
    for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
      if (strcmp (cases[i].kind, *kind) == 0)
        *(cases[i].fault ? &refused : &fits) += 1;
    if (strcmp (*kind, "shape") != 0 && (!fits || !refused)) /* "shape" is checked as "size" is */
      g_error ("%s: %u cases fit, %u do not", *kind, fits, refused);
    for (const char *const *other = kind + 1; *other; other++)
      if (strcmp (*kind, "position") != 0)
        g_assert_cmpstr (vj_kind_meaning (*kind), !=, vj_kind_meaning (*other));
  }
}

static void
test_stems (void)
{
  static const char *const same[][2] = {{"cup", "cups"}, {"berries", "berry"}, {"box", "boxes"}, {"man", "men"}, {"stand", "stands"}, {"a", "a"}};
  static const char *const other[][2] = {{"cup", "cap"}, {"a", "as"}, {"cups", "cupss x"}, {"glass", "glas ses"}, {"do", "dog"}, {"", "s"}};
  for (size_t i = 0; i < G_N_ELEMENTS (same); i++)
    g_assert_true (vj_lexicon_same_stem (same[i][0], same[i][1]) && vj_lexicon_same_stem (same[i][1], same[i][0]));
  for (size_t i = 0; i < G_N_ELEMENTS (other); i++)
    g_assert_false (vj_lexicon_same_stem (other[i][0], other[i][1]) || vj_lexicon_same_stem (other[i][1], other[i][0]));
}

static void
test_hostile_words (void)
{
  static const char *const words[] = {"", "-", "--", "-a-", "\xe2\x80\x93", "s", "es", "ing", "ed", "'", "\xf0\x9f\x98\x80", "left right"};
  for (size_t i = 0; i < G_N_ELEMENTS (words); i++)
    g_assert_cmpuint (vj_lexicon_classes (words[i]), ==, 0);
}

void
add_kinds_tests (void)
{
  g_test_add_func ("/plugins/text/kinds", test_kinds);
  g_test_add_func ("/plugins/text/kinds-are-covered", test_table_is_covered);
  g_test_add_func ("/plugins/text/stems", test_stems);
  g_test_add_func ("/plugins/text/hostile-words", test_hostile_words);
}
