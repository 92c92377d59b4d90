/* majority: draws many answers to a closed question; the commonest is chosen, another one is
 * rejected (arXiv 2512.05145, closed solution space). No gold answer takes part. Answers that
 * differ only in how they are written count as one; a pair has the commonest way it was written. */
#include "text/choices.h"
#include "text/even.h"
#include "text/text.h"
#include <vj/plugin.h>

#include <string.h>

enum { REJECT_WEIGHTED, REJECT_UNIFORM };
static const char *const rejects[] = {"weighted", "uniform", NULL};

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
  VJ_OPTION_LIST (Majority, normalise, "case,punctuation,articles,number-words,numerals,fractions,percent,option-letters", vj_even_names,
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
  if (self->sampling.temperature == 0 || self->sampling.top_k == 1)
    return vj_fail (error, VJ_EXIT_RECIPE, "majority: '%s': all draws would be alike, so none could be outvoted and no pair come of it; "
                    "raise it", self->sampling.temperature == 0 ? "temperature" : "top_k");
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

/* -- voting ------------------------------------------------------------------------ */

/* One way to write an answer. */
typedef struct {
  char *text;
  guint votes;
} Spelling;

/* One distinct answer. */
typedef struct {
  char *key;
  GArray *spellings; /* of Spelling, in the order first drawn */
  guint votes;
} Party;

static void
spelling_clear (gpointer data)
{
  g_free (((Spelling *) data)->text);
}

static void
party_clear (gpointer data)
{
  Party *party = data;
  g_free (party->key);
  g_array_unref (party->spellings);
}

/* The commonest way it was written; of equals, that drawn first. */
static const char *
party_text (const Party *party)
{
  const Spelling *best = &g_array_index (party->spellings, Spelling, 0);
  for (guint i = 1; i < party->spellings->len; i++) {
    const Spelling *other = &g_array_index (party->spellings, Spelling, i);
    if (other->votes > best->votes)
      best = other;
  }
  return best->text;
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

static Party *
find_party (GArray *parties, const char *key)
{
  for (guint i = 0; i < parties->len; i++)
    if (strcmp (g_array_index (parties, Party, i).key, key) == 0)
      return &g_array_index (parties, Party, i);
  Party party = {.key = g_strdup (key), .spellings = g_array_new (FALSE, FALSE, sizeof (Spelling))};
  g_array_set_clear_func (party.spellings, spelling_clear);
  g_array_append_val (parties, party);
  return &g_array_index (parties, Party, parties->len - 1);
}

static void
vote (GArray *parties, const char *key, const char *text)
{
  Party *party = find_party (parties, key);
  party->votes++;
  for (guint i = 0; i < party->spellings->len; i++)
    if (strcmp (g_array_index (party->spellings, Spelling, i).text, text) == 0) {
      g_array_index (party->spellings, Spelling, i).votes++;
      return;
    }
  Spelling spelling = {g_strdup (text), 1};
  g_array_append_val (party->spellings, spelling);
}

/* Distinct answers, the commonest first, earlier drawn before later. Draws that were cut off or say nothing do not vote. */
static GArray *
count_votes (const Majority *self, const VjQuestion *question, const VjReplies *replies)
{
  GArray *parties = g_array_new (FALSE, FALSE, sizeof (Party));
  guint set = vj_even_set (self->normalise);
  g_autoptr (VjChoices) choices = vj_choices_new (set & VJ_EVEN (OPTION_LETTERS) ? question->prompt : "", set);
  g_array_set_clear_func (parties, party_clear);
  for (size_t i = 0; i < vj_replies_draws (replies, 0); i++) {
    g_autofree char *answer = answer_of (self, vj_replies_text (replies, 0, i));
    g_autofree char *even = answer ? vj_even (answer, set) : NULL;
    if (!even || !*even || vj_replies_finish (replies, 0, i) == VJ_FINISH_LENGTH)
      continue;
    const char letter[] = {vj_choices_letter (choices, answer), '\0'};
    vote (parties, *letter ? letter : even, answer);
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
      ret_pair->chosen = g_strdup (party_text (&g_array_index (parties, Party, 0)));
    return VJ_FLOW_SKIP;
  }
  for (guint i = 0; i < parties->len; i++)
    total += g_array_index (parties, Party, i).votes;
  const Party *winner = &g_array_index (parties, Party, 0), *loser = draw_loser (self, run, parties, total);
  ret_pair->chosen = g_strdup (party_text (winner));
  ret_pair->rejected = g_strdup (party_text (loser));
  ret_pair->how = g_strdup_printf ("majority %u of %u, against %u", winner->votes, total, loser->votes);
  return VJ_FLOW_OK;
}

VJ_DEFINE_SAMPLER (Majority, majority_tell, majority_ask,
                   .name = "majority", .version = "1.1", .license = "Apache-2.0",
                   .summary = "The commonest of many draws is chosen, another answer is rejected.",
                   .options = options, .start = majority_start, .stop = majority_stop)
