#include "kinds.h"
#include "lexicon.h"
#include "text.h"

#include <string.h>

typedef enum {
  CHECK_STATEMENT,    /* words on both sides, of them some that tell no number or position */
  CHECK_SUBSTITUTION, /* words on both sides                                               */
  CHECK_COLOR,
  CHECK_COUNT,
  CHECK_POSITION,
  CHECK_RELATION,
  CHECK_NUMBER,
  CHECK_ADDED,
  CHECK_DROPPED,
  CHECK_TEXT
} Check;

static const struct {
  const char *kind, *meaning;
  Check check;
} kinds[] = {
#define KIND_ROW(kind_, check_, meaning_) {kind_, meaning_, CHECK_##check_},
  VJ_KIND_TABLE (KIND_ROW)
#undef KIND_ROW
};

const char *const vj_kinds[] = {
#define KIND_NAME(kind_, check_, meaning_) kind_,
  VJ_KIND_TABLE (KIND_NAME)
#undef KIND_NAME
  NULL
};

static gsize
find_kind (const char *kind)
{
  gsize i = 0;
  while (i + 1 < G_N_ELEMENTS (kinds) && strcmp (kinds[i].kind, kind) != 0)
    i++;
  return i;
}

const char *
vj_kind_meaning (const char *kind)
{
  return kinds[find_kind (kind)].meaning;
}

/* -- what differs -------------------------------------------------------------------- */

/* The words that differ, on one side: VjWord, borrowed. */
static GPtrArray *
words_of (const GArray *words, const GArray *hunks, gboolean of_new)
{
  GPtrArray *found = g_ptr_array_new ();
  for (guint i = 0; i < hunks->len; i++) {
    const VjHunk *hunk = &g_array_index (hunks, VjHunk, i);
    guint from = of_new ? hunk->b : hunk->a, n = of_new ? hunk->n_b : hunk->n_a;
    for (guint j = from; j < from + n; j++)
      g_ptr_array_add (found, &g_array_index (words, VjWord, j));
  }
  return found;
}

/* Words by what they are to a kind: hits say what the kind is about, foreign ones say something else, and what only holds a
 * sentence together is neither. */
typedef struct {
  guint hits, foreign;
} Tally;

typedef struct {
  GPtrArray *old, *new; /* words that differ; NULL where a word was another form of one on the other side */
  Tally before, after;
  gboolean inflected;   /* "cup" became "cups": such words count nowhere */
} Difference;

static const char *
key_at (const GPtrArray *words, guint i)
{
  const VjWord *word = words->pdata[i];
  return word ? word->key : NULL;
}

static gboolean
is_hit (const char *key, guint wanted)
{
  return (vj_lexicon_classes (key) & wanted) != 0;
}

/* Takes out pairs of words that are one another's forms, those that the kind is about excepted. */
static void
cancel_forms (Difference *difference, guint wanted)
{
  for (guint i = 0; i < difference->old->len; i++)
    for (guint j = 0; j < difference->new->len; j++) {
      const char *a = key_at (difference->old, i), *b = key_at (difference->new, j);
      if (!a || !b || is_hit (a, wanted) || is_hit (b, wanted) || !vj_lexicon_same_stem (a, b))
        continue;
      difference->inflected = difference->inflected || strcmp (a, b) != 0;
      difference->old->pdata[i] = difference->new->pdata[j] = NULL;
      break;
    }
}

static Tally
tally (const GPtrArray *words, guint wanted)
{
  Tally tally = {0};
  for (guint i = 0; i < words->len; i++) {
    const char *key = key_at (words, i);
    guint classes = key ? vj_lexicon_classes (key) : VJ_LEX_FUNCTION;
    if (classes & wanted)
      tally.hits++;
    else if (!(classes & VJ_LEX_FUNCTION))
      tally.foreign++;
  }
  return tally;
}

static Difference
difference_of (const GArray *old, const GArray *new, const GArray *hunks, guint wanted)
{
  Difference difference = {.old = words_of (old, hunks, FALSE), .new = words_of (new, hunks, TRUE)};
  cancel_forms (&difference, wanted);
  difference.before = tally (difference.old, wanted);
  difference.after = tally (difference.new, wanted);
  return difference;
}

static void
difference_done (Difference *difference)
{
  g_ptr_array_unref (difference->old);
  g_ptr_array_unref (difference->new);
}

/* -- the checks ------------------------------------------------------------------------ */

/* What was only left out is seldom false, and what was only put in may be true. */
static const char *
check_both_sides (const GArray *hunks)
{
  guint taken = 0, put = 0;
  for (guint i = 0; i < hunks->len; i++) {
    taken += g_array_index (hunks, VjHunk, i).n_a;
    put += g_array_index (hunks, VjHunk, i).n_b;
  }
  return !put ? "the rewrite only took words away" : !taken ? "the rewrite only added words" : NULL;
}

static const char *
check_only (const GArray *old, const GArray *new, const GArray *hunks, guint wanted, const char *reason)
{
  Difference difference = difference_of (old, new, hunks, wanted);
  gboolean good = difference.before.hits && difference.after.hits && !difference.before.foreign && !difference.after.foreign;
  difference_done (&difference);
  return good ? NULL : reason;
}

/* Numbers on both sides, or on one beside a noun that changed its number: "the cup" -> "three cups". */
static const char *
check_count (const GArray *old, const GArray *new, const GArray *hunks)
{
  Difference difference = difference_of (old, new, hunks, VJ_LEX_NUMBER | VJ_LEX_QUANTITY);
  gboolean counts = (difference.before.hits && difference.after.hits)
                    || (difference.inflected && difference.before.hits + difference.after.hits > 0);
  gboolean good = counts && !difference.before.foreign && !difference.after.foreign;
  difference_done (&difference);
  return good ? NULL : "the rewrite changed other words than a count";
}

static const char *
check_statement (const GArray *old, const GArray *new, const GArray *hunks)
{
  Difference difference = difference_of (old, new, hunks, VJ_LEX_NUMBER | VJ_LEX_QUANTITY | VJ_LEX_POSITION);
  gboolean good = difference.before.foreign && difference.after.foreign;
  difference_done (&difference);
  return good ? NULL : "the rewrite changed a count or a position instead";
}

/* Whether the whole text has another form of `key`. */
static gboolean
mentions (const GArray *words, const char *key)
{
  for (guint i = 0; i < words->len; i++)
    if (vj_lexicon_same_stem (g_array_index (words, VjWord, i).key, key))
      return TRUE;
  return FALSE;
}

/* Words of these classes name no thing; a verb's may ("watch"). */
#define NO_THING (VJ_LEX_NUMBER | VJ_LEX_QUANTITY | VJ_LEX_DATE | VJ_LEX_POSITION | VJ_LEX_COLOR | VJ_LEX_FUNCTION)

/* `more` is `less` with something put in: nothing but forms and function words is missing, and one of the words put in
 * could name a thing of which `less` does not speak. `hunks` leads from `less` to `more`. */
static const char *
check_put_in (const GArray *less, const GArray *more, const GArray *hunks, const char *foreign, const char *nothing)
{
  Difference difference = difference_of (less, more, hunks, 0);
  gboolean thing = FALSE, missing = difference.before.foreign > 0;
  for (guint i = 0; i < difference.new->len; i++) {
    const char *key = key_at (difference.new, i);
    thing = thing || (key && !(vj_lexicon_classes (key) & NO_THING) && !mentions (less, key));
  }
  difference_done (&difference);
  return missing ? foreign : thing ? NULL : nothing;
}

/* The hunks from the new text to the old one. */
static GArray *
turned_round (const GArray *hunks)
{
  GArray *turned = g_array_new (FALSE, FALSE, sizeof (VjHunk));
  for (guint i = 0; i < hunks->len; i++) {
    const VjHunk *hunk = &g_array_index (hunks, VjHunk, i);
    VjHunk other = {.a = hunk->b, .n_a = hunk->n_b, .b = hunk->a, .n_b = hunk->n_a};
    g_array_append_val (turned, other);
  }
  return turned;
}

static const char *
check_dropped (const GArray *old, const GArray *new, const GArray *hunks)
{
  g_autoptr (GArray) turned = turned_round (hunks);
  return check_put_in (new, old, turned, "the rewrite put other words in", "the rewrite left no thing out");
}

/* At least two letters or digits, none of them in lower case, one of them a capital: "EXIT", "B52". */
static gboolean
is_capital (const VjWord *word)
{
  guint letters = 0, capitals = 0;
  for (const char *at = word->text; *at; at = g_utf8_next_char (at)) {
    gunichar c = g_utf8_get_char (at);
    if (g_unichar_islower (c))
      return FALSE;
    letters += g_unichar_isalnum (c) ? 1 : 0;
    capitals += g_unichar_isupper (c) ? 1 : 0;
  }
  return letters > 1 && capitals > 0;
}

static gboolean
is_quoted (const VjWord *word)
{
  return word->quoted;
}

static gboolean
all_are (const GArray *words, const GArray *hunks, gboolean of_new, gboolean (*is) (const VjWord *))
{
  g_autoptr (GPtrArray) found = words_of (words, hunks, of_new);
  for (guint i = 0; i < found->len; i++)
    if (!is (found->pdata[i]))
      return FALSE;
  return TRUE;
}

static gboolean
any_is (const GArray *words, gboolean (*is) (const VjWord *))
{
  for (guint i = 0; i < words->len; i++)
    if (is (&g_array_index (words, VjWord, i)))
      return TRUE;
  return FALSE;
}

/* What an answer says that the image reads stands in quotation marks or in capitals. */
static const char *
check_text (const GArray *old, const GArray *new, const GArray *hunks)
{
  gboolean (*is) (const VjWord *) = any_is (old, is_quoted) ? is_quoted : any_is (old, is_capital) ? is_capital : NULL;
  if (!is)
    return "the answer quotes no text that could be changed";
  return all_are (old, hunks, FALSE, is) && all_are (new, hunks, TRUE, is)
           ? NULL
           : "the rewrite changed other words than the text that is read";
}

static const char *
check (Check check, const GArray *old, const GArray *new, const GArray *hunks)
{
  switch (check) {
  case CHECK_STATEMENT: return check_statement (old, new, hunks);
  case CHECK_COLOR: return check_only (old, new, hunks, VJ_LEX_COLOR, "the rewrite changed other words than a color");
  case CHECK_COUNT: return check_count (old, new, hunks);
  case CHECK_POSITION: return check_only (old, new, hunks, VJ_LEX_POSITION, "the rewrite changed other words than a position");
  case CHECK_RELATION:
    return check_only (old, new, hunks, VJ_LEX_RELATION | VJ_LEX_POSITION, "the rewrite changed other words than a relation");
  case CHECK_NUMBER:
    return check_only (old, new, hunks, VJ_LEX_NUMBER | VJ_LEX_DATE, "the rewrite changed other words than a number");
  case CHECK_TEXT: return check_text (old, new, hunks);
  default: return NULL;
  }
}

const char *
vj_kind_fault (const char *kind, const GArray *old, const GArray *new, const GArray *hunks)
{
  Check which = kinds[find_kind (kind)].check;
  if (which == CHECK_ADDED)
    return check_put_in (old, new, hunks, "the rewrite took words away", "the rewrite added no thing");
  if (which == CHECK_DROPPED)
    return check_dropped (old, new, hunks);
  const char *one_sided = check_both_sides (hunks);
  return one_sided ? one_sided : check (which, old, new, hunks);
}
