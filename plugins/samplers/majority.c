/* majority: draws many answers to a closed question; the commonest is chosen, another one is
 * rejected (arXiv 2512.05145, closed solution space). No gold answer takes part. Answers that
 * differ only in how they are written count as one. */
#include "text/text.h"
#include <vj/plugin.h>

#include <string.h>

enum { REJECT_WEIGHTED, REJECT_UNIFORM };
static const char *const rejects[] = {"weighted", "uniform", NULL};
static const char *const steps[] = {"case", "punctuation", "articles", "number-words", "option-letters", NULL};

typedef struct {
  char *prompt, *extract, **normalise;
  int64_t n, threshold, reject;
  gboolean at_least;
  VjSampling sampling;
  GRegex *pattern; /* of `extract`; NULL: none */
} Majority;

static const VjOption options[] = {
  VJ_OPTION_STRING (Majority, prompt, "{question}", "What is asked, with {question}."),
  VJ_OPTION_STRING (Majority, extract, NULL,
                    "Regular expression for the answer within a reply: its last match counts, or the match's first group; "
                    "a reply without a match is not counted."),
  VJ_OPTION_INT (Majority, n, "16", 2, 1024, "draws", "Answers drawn for each question."),
  VJ_OPTION_INT (Majority, threshold, "5", 1, 1024, "votes", "Votes the chosen answer needs."),
  VJ_OPTION_BOOL (Majority, at_least, "true", "Whether exactly `threshold` votes are enough."),
  VJ_OPTION_CHOICE (Majority, reject, "weighted", rejects,
                    "How the rejected answer is drawn: by its votes, or each distinct answer alike."),
  VJ_OPTION_LIST (Majority, normalise, "case,punctuation,articles,number-words,option-letters", steps,
                  "What is evened out before answers are compared; space always is."),
  VJ_OPTIONS_SAMPLING (Majority, "0.6", "50", "0.9", "64"),
  VJ_OPTION_END
};

static gboolean
majority_start (void *instance, VjRun *run, GError **error)
{
  Majority *self = instance;
  VjTextPair known[] = {{"question", ""}, {NULL, NULL}};
  g_autofree char *unknown = NULL, *filled = vj_text_fill (self->prompt, vj_text_pair, known, &unknown);
  g_autoptr (GError) cause = NULL;
  (void) run;
  if (!filled || !strstr (self->prompt, "{question}"))
    return vj_fail (error, VJ_EXIT_RECIPE, "majority: 'prompt': %s%s; the one placeholder is {question}, and it must be there",
                    unknown ? "unknown placeholder: " : "no {question}", unknown ? unknown : "");
  if (self->threshold > self->n || (!self->at_least && self->threshold == self->n))
    return vj_fail (error, VJ_EXIT_RECIPE, "majority: 'threshold': %" G_GINT64_FORMAT " votes cannot be reached with n = %" G_GINT64_FORMAT
                    " draws; lower it or raise n", self->threshold, self->n);
  if (self->extract && !(self->pattern = g_regex_new (self->extract, G_REGEX_MULTILINE, 0, &cause)))
    return vj_fail (error, VJ_EXIT_RECIPE, "majority: 'extract': not a regular expression: %s; mend it", cause->message);
  return TRUE;
}

static void
majority_stop (void *instance)
{
  g_clear_pointer (&((Majority *) instance)->pattern, g_regex_unref);
}

static VjFlow
majority_ask (const void *instance, VjRun *run, const VjQuestion *question, const VjReplies *so_far, VjAsk *ask, GError **error)
{
  const Majority *self = instance;
  VjSampling sampling = self->sampling;
  VjTextPair values[] = {{"question", question->prompt}, {NULL, NULL}};
  g_autofree char *unknown = NULL, *text = vj_text_fill (self->prompt, vj_text_pair, values, &unknown);
  (void) run, (void) so_far, (void) error;
  sampling.n = self->n;
  vj_ask_text (ask, question, text, &sampling);
  return VJ_FLOW_OK;
}

/* -- what an answer counts as ---------------------------------------------------- */

static gboolean
does (const Majority *self, int step)
{
  return self->normalise && g_strv_contains ((const char *const *) self->normalise, steps[step]);
}

static const char *
number_of (const char *word)
{
  static const char *const numbers[][2] = {
    {"zero", "0"}, {"one", "1"}, {"two", "2"}, {"three", "3"}, {"four", "4"}, {"five", "5"}, {"six", "6"},
    {"seven", "7"}, {"eight", "8"}, {"nine", "9"}, {"ten", "10"}, {"eleven", "11"}, {"twelve", "12"}, {"thirteen", "13"},
    {"fourteen", "14"}, {"fifteen", "15"}, {"sixteen", "16"}, {"seventeen", "17"}, {"eighteen", "18"}, {"nineteen", "19"},
    {"twenty", "20"}, {"thirty", "30"}, {"forty", "40"}, {"fifty", "50"}, {"sixty", "60"}, {"seventy", "70"},
    {"eighty", "80"}, {"ninety", "90"}, {"hundred", "100"},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (numbers); i++)
    if (g_ascii_strcasecmp (word, numbers[i][0]) == 0)
      return numbers[i][1];
  return word;
}

static gboolean
is_article (const char *word)
{
  return g_ascii_strcasecmp (word, "a") == 0 || g_ascii_strcasecmp (word, "an") == 0 || g_ascii_strcasecmp (word, "the") == 0;
}

/* Takes punctuation off both ends of a word, in place; "-3" and "50%" keep theirs. */
static char *
strip_punctuation (char *word)
{
  gsize n = strlen (word);
  while (n && strchr (".,;:!?\"'`*()[]{}", word[n - 1]))
    word[--n] = '\0';
  return word + strspn (word, ".,;:!?\"'`*()[]{}");
}

/* Words joined by single spaces, evened out as asked. Articles go unless the answer is nothing else ("A"). */
static char *
even_out (const Majority *self, const char *answer)
{
  g_autofree char *folded = does (self, 0) ? g_utf8_casefold (answer, -1) : g_strdup (answer);
  g_auto (GStrv) words = g_strsplit_set (folded, " \t\r\n\f\v", -1);
  g_autoptr (GString) out = g_string_new (NULL), bare = g_string_new (NULL);
  for (char **at = words; *at; at++) {
    const char *word = does (self, 1) ? strip_punctuation (*at) : *at;
    word = does (self, 3) ? number_of (word) : word;
    if (!*word)
      continue;
    g_string_append_printf (out, "%s%s", out->len ? " " : "", word);
    if (!is_article (word))
      g_string_append_printf (bare, "%s%s", bare->len ? " " : "", word);
  }
  return g_strdup (does (self, 2) && bare->len ? bare->str : out->str);
}

/* Options that the question lists, as "A) red", "(B) blue" or "C. green": letter -> evened-out text. */
static GHashTable *
find_options (const Majority *self, const char *prompt)
{
  GHashTable *found = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_autoptr (GRegex) regex = g_regex_new ("(?:^|[\\s(])([A-J])[).:]\\s*(.+?)(?=[\\s,;]+\\(?[A-J][).:]\\s|\\s*\\n|\\s*$)", 0, 0, NULL);
  g_autoptr (GMatchInfo) match = NULL;
  for (g_regex_match (regex, prompt, 0, &match); g_match_info_matches (match); g_match_info_next (match, NULL)) {
    g_autofree char *text = g_match_info_fetch (match, 2);
    g_hash_table_insert (found, g_match_info_fetch (match, 1), even_out (self, text));
  }
  if (g_hash_table_size (found) < 2)
    g_hash_table_remove_all (found);
  return found;
}

/* The letter of the option that `answer` names: by letter ("B", "(b)", "B. blue", "option B") or by text. NULL: none. */
static char *
option_letter (GHashTable *listed, const char *answer, const char *even)
{
  g_autoptr (GRegex) regex = g_regex_new ("^\\W*(?:(?:the\\s+)?(?:option|answer|choice)(?:\\s+is)?\\s*:?\\s*)?\\(?([A-Ja-j])(?:[).:]+(?:\\s.*)?|\\W*)$",
                                          G_REGEX_CASELESS | G_REGEX_DOTALL, 0, NULL);
  g_autoptr (GMatchInfo) match = NULL;
  GHashTableIter iter;
  gpointer letter, text;
  if (g_hash_table_size (listed) == 0)
    return NULL;
  if (g_regex_match (regex, answer, 0, &match)) {
    g_autofree char *raw = g_match_info_fetch (match, 1), *upper = g_ascii_strup (raw, -1);
    if (g_hash_table_contains (listed, upper))
      return g_steal_pointer (&upper);
  }
  g_hash_table_iter_init (&iter, listed);
  while (g_hash_table_iter_next (&iter, &letter, &text))
    if (strcmp (text, even) == 0)
      return g_strdup (letter);
  return NULL;
}

/* -- voting ------------------------------------------------------------------------ */

/* One distinct answer. */
typedef struct {
  char *key, *text; /* text: as first drawn */
  guint votes;
} Party;

static void
party_clear (gpointer data)
{
  Party *party = data;
  g_free (party->key);
  g_free (party->text);
}

/* The answer within a reply, trimmed; NULL when there is none. Owned. */
static char *
answer_of (const Majority *self, const char *reply)
{
  g_autofree char *answer = self->pattern ? NULL : g_strdup (reply);
  g_autoptr (GMatchInfo) match = NULL;
  if (self->pattern)
    for (g_regex_match (self->pattern, reply, 0, &match); g_match_info_matches (match); g_match_info_next (match, NULL)) {
      g_free (answer);
      answer = g_match_info_fetch (match, g_match_info_get_match_count (match) > 1 ? 1 : 0);
    }
  return answer && *g_strstrip (answer) ? g_steal_pointer (&answer) : NULL;
}

static void
vote (GArray *parties, const char *key, const char *text)
{
  for (guint i = 0; i < parties->len; i++)
    if (strcmp (g_array_index (parties, Party, i).key, key) == 0) {
      g_array_index (parties, Party, i).votes++;
      return;
    }
  Party party = {.key = g_strdup (key), .text = g_strdup (text), .votes = 1};
  g_array_append_val (parties, party);
}

/* Distinct answers, the commonest first, earlier drawn before later. Draws that were cut off or say nothing do not vote. */
static GArray *
count_votes (const Majority *self, const VjQuestion *question, const VjReplies *replies)
{
  GArray *parties = g_array_new (FALSE, FALSE, sizeof (Party));
  g_autoptr (GHashTable) listed = find_options (self, question->prompt);
  g_array_set_clear_func (parties, party_clear);
  for (size_t i = 0; i < vj_replies_draws (replies, 0); i++) {
    g_autofree char *answer = answer_of (self, vj_replies_text (replies, 0, i));
    g_autofree char *even = answer ? even_out (self, answer) : NULL;
    if (!even || !*even || vj_replies_finish (replies, 0, i) == VJ_FINISH_LENGTH)
      continue;
    g_autofree char *letter = does (self, 4) ? option_letter (listed, answer, even) : NULL;
    vote (parties, letter ? letter : even, answer);
  }
  for (guint i = 1; i < parties->len; i++)
    for (guint j = i; j > 0 && g_array_index (parties, Party, j).votes > g_array_index (parties, Party, j - 1).votes; j--) {
      Party swap = g_array_index (parties, Party, j);
      g_array_index (parties, Party, j) = g_array_index (parties, Party, j - 1);
      g_array_index (parties, Party, j - 1) = swap;
    }
  return parties;
}

/* One of the answers that lost, by votes or each alike. */
static const Party *
draw_loser (const Majority *self, VjRun *run, const GArray *parties, guint total)
{
  guint lost = total - g_array_index (parties, Party, 0).votes, at = 1;
  if (self->reject == REJECT_UNIFORM)
    at += vj_run_random (run, parties->len - 1);
  else
    for (guint left = vj_run_random (run, lost); left >= g_array_index (parties, Party, at).votes; at++)
      left -= g_array_index (parties, Party, at).votes;
  return &g_array_index (parties, Party, at);
}

static const char agreed[] = "all draws agree";

static const char *
why_not (const Majority *self, const GArray *parties)
{
  if (parties->len == 0)
    return "no usable draw";
  guint most = g_array_index (parties, Party, 0).votes;
  if (most < self->threshold + !self->at_least)
    return "no answer has enough votes";
  if (parties->len == 1)
    return agreed;
  return g_array_index (parties, Party, 1).votes == most ? "two answers have equally many votes" : NULL;
}

static VjFlow
majority_tell (const void *instance, VjRun *run, const VjQuestion *question, const VjReplies *replies, VjSampledPair *ret_pair,
               GError **error)
{
  const Majority *self = instance;
  g_autoptr (GArray) parties = count_votes (self, question, replies);
  const char *reason = why_not (self, parties);
  guint total = 0;
  (void) error;
  if (reason) {
    ret_pair->reason = g_strdup (reason);
    if (reason == agreed) /* no pair, but an answer */
      ret_pair->chosen = g_strdup (g_array_index (parties, Party, 0).text);
    return VJ_FLOW_SKIP;
  }
  for (guint i = 0; i < parties->len; i++)
    total += g_array_index (parties, Party, i).votes;
  const Party *winner = &g_array_index (parties, Party, 0), *loser = draw_loser (self, run, parties, total);
  ret_pair->chosen = g_strdup (winner->text);
  ret_pair->rejected = g_strdup (loser->text);
  ret_pair->how = g_strdup_printf ("majority %u of %u, against %u", winner->votes, total, loser->votes);
  return VJ_FLOW_OK;
}

VJ_DEFINE_SAMPLER (Majority, majority_tell, majority_ask,
                   .name = "majority", .version = "1.0", .license = "Apache-2.0",
                   .summary = "The commonest of many draws is chosen, another answer is rejected.",
                   .options = options, .start = majority_start, .stop = majority_stop)
