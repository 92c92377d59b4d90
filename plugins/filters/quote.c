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
  VJ_OPTION_BOOL (Quote, all, "true", "Whether the trace must name every difference, not only true ones."),
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

/* The words of a named group, as they are compared. */
static char *
group_words (GMatchInfo *match, const char *name)
{
  g_autofree char *text = g_match_info_fetch_named (match, name);
  g_autoptr (GArray) words = vj_words_split (text ? text : "");
  return vj_words_join (words, 0, words->len);
}

/* Pairs of wordings "a\nb" in which the answers really differ. */
static GHashTable *
real_differences (const char *answer_a, const char *answer_b)
{
  GHashTable *found = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GArray) a = vj_words_split (answer_a), b = vj_words_split (answer_b);
  g_autoptr (GArray) hunks = vj_words_diff (a, b);
  for (guint i = 0; i < hunks->len; i++) {
    const VjHunk *hunk = &g_array_index (hunks, VjHunk, i);
    g_autofree char *of_a = vj_words_join (a, hunk->a, hunk->n_a), *of_b = vj_words_join (b, hunk->b, hunk->n_b);
    g_hash_table_add (found, g_strconcat (of_a, "\n", of_b, NULL));
  }
  return found;
}

/* NULL, or why the trace is dropped. */
static const char *
check (const Quote *self, const VjTrace *trace)
{
  const char *answer_a = trace->chosen_is_a ? trace->chosen : trace->rejected;
  const char *answer_b = trace->chosen_is_a ? trace->rejected : trace->chosen;
  g_autoptr (GHashTable) real = real_differences (answer_a, answer_b);
  g_autoptr (GHashTable) named = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GMatchInfo) match = NULL, sight = NULL;
  if (!g_regex_match (self->differ_regex, trace->text, 0, &match))
    return "the trace names no difference";
  if (!g_regex_match (self->seen_regex, trace->text, 0, &sight))
    return "the trace does not say what the image shows";
  g_autofree char *word = group_words (sight, "word"), *letter = g_match_info_fetch_named (sight, "letter");
  gboolean is_a = strcmp (letter, "A") == 0, fits = FALSE;
  for (; g_match_info_matches (match); g_match_info_next (match, NULL)) {
    g_autofree char *of_a = group_words (match, "a"), *of_b = group_words (match, "b");
    g_autofree char *both = g_strconcat (of_a, "\n", of_b, NULL);
    if (!g_hash_table_contains (real, both))
      return "the trace names a difference that is none";
    fits = fits || strcmp (word, is_a ? of_a : of_b) == 0;
    g_hash_table_add (named, g_steal_pointer (&both));
  }
  if (self->all && g_hash_table_size (named) < g_hash_table_size (real))
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
                  .name = "quote", .version = "1.0", .license = "Apache-2.0",
                  .summary = "Keeps traces whose reasons fit the answers and the verdict.",
                  .options = options, .start = quote_start, .stop = quote_stop)
