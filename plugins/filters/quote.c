/* quote: keeps a trace only when its reasons fit its verdict, judged by text alone: the words it says
 * the answers differ in must be words in which they do differ, the word it says the image shows must
 * be that of the answer it names, and that answer must be the one it prefers. Without such a check
 * traces that are right by luck, with nonsense for reasons, are learned too. No gold takes part.
 *
 * What a trace looks like is told by two regular expressions with named groups. The presets read
 *   at northwest red A blue B ; image shows blue B so [[B]]  */
#include "text/text.h"
#include <vj/plugin.h>

#include <string.h>

typedef struct {
  char *differ, *seen;
  gboolean all;
  GRegex *differ_regex, *seen_regex;
} Quote;

static const VjOption options[] = {
  VJ_OPTION_STRING (Quote, differ, "(?<a>\\S+) A (?<b>\\S+) B",
                    "Regular expression of one difference named by a trace: group a is answer A's wording, group b answer B's; "
                    "every match is checked, and one must be there."),
  VJ_OPTION_STRING (Quote, seen, "shows (?<word>\\S+) (?<letter>[AB])",
                    "Regular expression of what the trace saw: group word is the wording, group letter the answer that has it."),
  VJ_OPTION_BOOL (Quote, all, "true", "Whether the trace must name every difference, not only true ones; of differing words that touch, "
                  "it need name only some."),
  VJ_OPTION_END
};

static GRegex *
compile (const char *name, const char *pattern, const char *group, const char *other, GError **error)
{
  g_autoptr (GError) cause = NULL;
  g_autoptr (GRegex) regex = g_regex_new (pattern, G_REGEX_MULTILINE, 0, &cause);
  if (!regex)
    vj_fail (error, VJ_EXIT_RECIPE, "quote: '%s': not a regular expression: %s; mend it", name, cause->message);
  else if (g_regex_get_string_number (regex, group) < 0 || g_regex_get_string_number (regex, other) < 0)
    vj_fail (error, VJ_EXIT_RECIPE, "quote: '%s': it needs the groups (?<%s>...) and (?<%s>...); add them", name, group, other);
  else
    return g_steal_pointer (&regex);
  return NULL;
}

static gboolean
quote_start (void *instance, VjRun *run, GError **error)
{
  Quote *self = instance;
  (void) run;
  return (self->differ_regex = compile ("differ", self->differ, "a", "b", error))
         && (self->seen_regex = compile ("seen", self->seen, "word", "letter", error));
}

static void
quote_stop (void *instance)
{
  Quote *self = instance;
  g_clear_pointer (&self->differ_regex, g_regex_unref);
  g_clear_pointer (&self->seen_regex, g_regex_unref);
}

/* The words of a named group: array of VjWord. */
static GArray *
group_words (GMatchInfo *match, const char *name)
{
  g_autofree char *text = g_match_info_fetch_named (match, name);
  return vj_words_split (text ? text : "");
}

/* Whether `words` stand in `text` from word `at` on; the caller sees to it that they end inside. */
static gboolean
stand_at (const GArray *words, const GArray *text, guint at)
{
  for (guint i = 0; i < words->len; i++)
    if (strcmp (g_array_index (words, VjWord, i).key, g_array_index (text, VjWord, at + i).key) != 0)
      return FALSE;
  return TRUE;
}

static gboolean
same_words (const GArray *one, const GArray *other)
{
  return one->len == other->len && stand_at (one, other, 0);
}

/* Both answers and where they differ. */
typedef struct {
  GArray *a, *b, *hunks; /* of VjWord, VjWord, VjHunk */
  gboolean *named;       /* [hunks] */
} Answers;

static void
answers_init (Answers *answers, const VjTrace *trace)
{
  answers->a = vj_words_split (trace->chosen_is_a ? trace->chosen : trace->rejected);
  answers->b = vj_words_split (trace->chosen_is_a ? trace->rejected : trace->chosen);
  answers->hunks = vj_words_diff (answers->a, answers->b);
  answers->named = g_new0 (gboolean, answers->hunks->len + 1);
}

static void
answers_clear (Answers *answers)
{
  g_array_unref (answers->a);
  g_array_unref (answers->b);
  g_array_unref (answers->hunks);
  g_free (answers->named);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Answers, answers_clear)

/* Whether the words named stand in the hunk, `i` words from its begin in A and `j` in B. */
static gboolean
in_place (const Answers *answers, const VjHunk *hunk, const GArray *of_a, guint i, const GArray *of_b, guint j)
{
  return stand_at (of_a, answers->a, hunk->a + i) && stand_at (of_b, answers->b, hunk->b + j);
}

/* Whether words `of_a` of A stand where B has `of_b`. Differing words that touch are one hunk, "one shape" and "two shapes",
 * of which "one" against "two" is true as well. What stands against what is plain for the whole hunk, for all places of
 * two sides of equal length, and else for their first and their last words. */
static gboolean
hunk_has (const Answers *answers, const VjHunk *hunk, const GArray *of_a, const GArray *of_b)
{
  guint n = of_a->len;
  if (n == hunk->n_a && of_b->len == hunk->n_b)
    return in_place (answers, hunk, of_a, 0, of_b, 0);
  if (n == 0 || n != of_b->len || n > MIN (hunk->n_a, hunk->n_b) || same_words (of_a, of_b))
    return FALSE;
  guint last_a = hunk->n_a - n, last_b = hunk->n_b - n;
  for (guint i = 1; last_a == last_b && i < last_a; i++)
    if (in_place (answers, hunk, of_a, i, of_b, i))
      return TRUE;
  return in_place (answers, hunk, of_a, 0, of_b, 0) || in_place (answers, hunk, of_a, last_a, of_b, last_b);
}

/* Marks the differences that these words name; FALSE when there is none. */
static gboolean
mark_named (Answers *answers, const GArray *of_a, const GArray *of_b)
{
  gboolean found = FALSE;
  for (guint i = 0; i < answers->hunks->len; i++)
    if (hunk_has (answers, &g_array_index (answers->hunks, VjHunk, i), of_a, of_b))
      found = answers->named[i] = TRUE;
  return found;
}

/* NULL, or why the trace is dropped. */
static const char *
check (const Quote *self, const VjTrace *trace)
{
  g_auto (Answers) answers;
  g_autoptr (GMatchInfo) match = NULL, sight = NULL;
  answers_init (&answers, trace);
  if (!g_regex_match (self->differ_regex, trace->text, 0, &match))
    return "the trace names no difference";
  if (!g_regex_match (self->seen_regex, trace->text, 0, &sight))
    return "the trace does not say what the image shows";
  g_autoptr (GArray) word = group_words (sight, "word");
  g_autofree char *letter = g_match_info_fetch_named (sight, "letter");
  gboolean is_a = strcmp (letter, "A") == 0, fits = FALSE, all = TRUE;
  for (; g_match_info_matches (match); g_match_info_next (match, NULL)) {
    g_autoptr (GArray) of_a = group_words (match, "a"), of_b = group_words (match, "b");
    if (!mark_named (&answers, of_a, of_b))
      return "the trace names a difference that is none";
    fits = fits || same_words (word, is_a ? of_a : of_b);
  }
  for (guint i = 0; i < answers.hunks->len; i++)
    all = all && answers.named[i];
  if (self->all && !all)
    return "the trace misses a difference";
  if (!fits)
    return "the trace gives the wrong answer what it saw";
  return trace->verdict == (is_a ? VJ_VERDICT_A : VJ_VERDICT_B) ? NULL : "the trace's reason contradicts its verdict";
}

static VjFlow
quote_keep (void *self, VjRun *run, const VjTrace *trace, char **ret_reason, GError **error)
{
  const char *reason = check (self, trace);
  (void) run, (void) error;
  if (!reason)
    return VJ_FLOW_OK;
  *ret_reason = g_strdup (reason);
  return VJ_FLOW_SKIP;
}

VJ_DEFINE_FILTER (Quote, quote_keep, NULL,
                  .name = "quote", .version = "1.1", .license = "Apache-2.0",
                  .summary = "Keeps traces whose reasons fit the answers and the verdict.",
                  .options = options, .start = quote_start, .stop = quote_stop)
