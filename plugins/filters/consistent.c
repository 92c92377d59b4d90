/* consistent: keeps a trace in plain language only when its reasoning bears out its verdict, judged by text
 * alone: the last preference it states must be the verdict's, and what it puts in quotation marks as the words
 * of answer A or B must stand in that answer. (The filter quote does the like for traces of a fixed form.)
 *
 * What a statement of preference looks like is a list of regular expressions. A statement that something before
 * it in its clause takes back ("I do not think that ...", "although ...") is no preference. What stands in
 * quotation marks is somebody else's: it states nothing. And where the last statement is, to the word, also found
 * in one of the answers, nobody can tell whose it is: such a trace is dropped, so that an answer which says
 * "Answer A is better" gains nothing by being repeated. */
#include "text/text.h"
#include <vj/plugin.h>

#include <string.h>

typedef struct {
  char *mention, **prefers, **rejects, **unless, **elsewhere;
  int64_t min_words;
  gboolean required;

  GPtrArray *statements; /* of GRegex: those of `prefers`, then those of `rejects` */
  guint n_prefers;
  GRegex *mention_regex, *after_regex, *unless_regex, *elsewhere_regex, *clause_regex, *gap_regex;
} Consistent;

/* Fragments that patterns may name, beside {mention}: an answer or its bare letter; a verb with what may follow it; what
 * an answer can be more or less of; that it holds without restriction: "better at naming colors" does not. */
#define ANSWER "(?:(?:the\\s+)?{mention}|\\b(?<letter>(?-i:[AB]))\\b)"
#define IS                                                                                                             \
  "(?:'s|\\s+(?:is|was|seems|appears|looks|remains|provides|gives|offers|has))(?:\\s+(?:to|be|the|a|an|clearly|much|far|" \
  "slightly|somewhat|overall|definitely|significantly|generally|considerably|also|still|thus|therefore|both|simply|bit|" \
  "lot))*\\s+"
#define GOOD "(?:accurate|correct|precise|faithful|truthful|reliable|helpful|appropriate|convincing|consistent)"
#define OVERALL "\\b(?!\\s+(?:at|in|on|for|with|about|regarding)\\b)"

/* Longest quotation, clause and sentence, in bytes: what keeps the time linear in the length of a trace. */
#define REACH 2000

/* What follows a quotation, from its closing mark on: "two dogs" in answer B; "two dogs" (answer B). */
#define AFTER "^[^\\w\\s]?(?:,?\\s+(?:in|from|by|of|according\\s+to)\\s+(?:the\\s+)?{mention}|\\s*\\(\\s*{mention}\\s*\\))"

/* Patterns of a list cannot hold a comma. */
static const VjOption options[] = {
  VJ_OPTION_STRING (Consistent, mention,
                    "\\b(?:answer|response|assistant)\\s+\\(?(?<letter>(?-i:[AB12]))\\b\\)?"
                    "|\\b(?<letter>first|second)\\s+(?:answer|response|assistant)\\b",
                    "Regular expression of how a trace names an answer; group letter is A, 1 or first, or else B."),
  VJ_OPTION_LIST (Consistent, prefers,
                  "{answer}{is}(?:better|best|superior|preferable|preferred|stronger|winner|more\\s+{good}){overall},"
                  "{answer}\\s+(?:clearly\\s+)?(?:wins|prevails|outperforms)\\b,"
                  "{answer}\\s+(?:should|must|is\\s+to)\\s+be\\s+(?:preferred|chosen|selected)\\b,"
                  "\\b(?:prefer|choose|chose|pick|favou?r|select)\\s+{answer},"
                  "\\b(?:better|best|superior|preferable|stronger|winning|winner|preferred|more\\s+{good})"
                  "(?:\\s+(?:answer|response|assistant|one|choice))?(?:\\s+overall)?(?:\\s+(?:is|was|remains)|\\s*:)\\s+{answer}",
                  NULL,
                  "Regular expressions of a statement that prefers an answer. {mention} stands for the option of that name, "
                  "{answer} for that or a bare letter, {is} for a verb with adverbs, {good} for what an answer can be more of, "
                  "{overall} for no restriction behind it; group letter, in {answer} and {mention}, says which."),
  VJ_OPTION_LIST (Consistent, rejects,
                  "{answer}{is}(?:worse|worst|inferior|weaker|less\\s+{good}){overall},"
                  "{answer}\\s+(?:clearly\\s+)?loses\\b",
                  NULL, "The same of a statement that prefers the other answer."),
  VJ_OPTION_LIST (Consistent, unless,
                  "not,n't,never,no,cannot,hardly,neither,nor,if,unless,whether,although,though,while,despite,even,once,assuming,"
                  "claims,says,said,states,asserts",
                  NULL, "Words that take a statement back when they stand before it in its clause."),
  VJ_OPTION_LIST (Consistent, elsewhere,
                  "not,n't,never,no,without,omits,omit,omitting,misses,missing,lacks,fails,ignores,instead,rather,than,should,"
                  "image,picture,photo,question,prompt,user",
                  NULL,
                  "Words that, between the mention of an answer and a quotation, say that the quotation is not from that answer."),
  VJ_OPTION_INT (Consistent, min_words, "2", 1, 1e6, "words", "Shortest quotation that is looked up."),
  VJ_OPTION_BOOL (Consistent, required, "false", "Whether a trace that states no preference before its verdict is dropped."),
  VJ_OPTION_END
};

/* -- starting --------------------------------------------------------------------------- */

static GRegex *
compile (const char *option, const char *pattern, GError **error)
{
  g_autoptr (GError) cause = NULL;
  GRegex *regex = g_regex_new (pattern, G_REGEX_CASELESS | G_REGEX_DUPNAMES | G_REGEX_OPTIMIZE, 0, &cause);
  if (!regex)
    vj_fail (error, VJ_EXIT_RECIPE, "consistent: '%s': not a regular expression: %s; mend it", option, cause->message);
  return regex;
}

/* With the fragments filled in; it must have the group letter. */
static GRegex *
compile_statement (const Consistent *self, const char *option, const char *pattern, GError **error)
{
  g_autofree char *mention = g_strdup_printf ("(?:%s)", self->mention), *unknown = NULL;
  VjTextPair only[] = {{"mention", mention}, {NULL, NULL}};
  g_autofree char *answer = vj_text_fill (ANSWER, vj_text_pair, only, &unknown);
  VjTextPair values[] = {{"mention", mention}, {"answer", answer}, {"is", IS}, {"good", GOOD}, {"overall", OVERALL}, {NULL, NULL}};
  g_autofree char *filled = vj_text_fill (pattern, vj_text_pair, values, &unknown);
  GRegex *regex = filled ? compile (option, filled, error) : NULL;
  if (!filled)
    vj_fail (error, VJ_EXIT_RECIPE, "consistent: '%s': no placeholder is called {%s}; there are {mention}, {answer}, {is}, {good} and "
             "{overall}", option, unknown);
  else if (regex && !strstr (filled, "(?<letter>")) /* GLib finds no number for a name that is given twice */
    vj_fail (error, VJ_EXIT_RECIPE, "consistent: '%s': it needs the group (?<letter>...), by itself or from {answer}; add it", option);
  else
    return regex;
  g_clear_pointer (&regex, g_regex_unref);
  return NULL;
}

/* Any of the words; an empty list matches nothing. */
static GRegex *
compile_words (const char *option, char **words, GError **error)
{
  g_autoptr (GString) pattern = g_string_new ("(?!)");
  for (; words && *words; words++) {
    g_autofree char *word = g_regex_escape_string (*words, -1);
    if (strcmp (*words, "n't") == 0)
      g_string_append (pattern, "|n['\u2019]t\\b");
    else
      g_string_append_printf (pattern, "|\\b%s\\b", word);
  }
  return compile (option, pattern->str, error);
}

static gboolean
add_statements (Consistent *self, const char *option, char **patterns, GError **error)
{
  for (; patterns && *patterns; patterns++) {
    GRegex *regex = compile_statement (self, option, *patterns, error);
    if (!regex)
      return FALSE;
    g_ptr_array_add (self->statements, regex);
  }
  return TRUE;
}

static gboolean
consistent_start (void *instance, VjRun *run, GError **error)
{
  Consistent *self = instance;
  (void) run;
  self->statements = g_ptr_array_new_with_free_func ((GDestroyNotify) g_regex_unref);
  if (!add_statements (self, "prefers", self->prefers, error))
    return FALSE;
  self->n_prefers = self->statements->len;
  return add_statements (self, "rejects", self->rejects, error)
         && (self->mention_regex = compile_statement (self, "mention", "{mention}", error))
         && (self->after_regex = compile_statement (self, "mention", AFTER, error))
         && (self->unless_regex = compile_words ("unless", self->unless, error))
         && (self->elsewhere_regex = compile_words ("elsewhere", self->elsewhere, error))
         && (self->clause_regex = compile ("clause", "[.,;:!?\\n]|\\b(?:but|however|so|therefore|thus|hence|yet|because|since)\\b", error))
         && (self->gap_regex = compile ("gap", "\\[?(?:\\.\\.\\.|\u2026)\\]?", error));
}

static void
consistent_stop (void *instance)
{
  Consistent *self = instance;
  g_clear_pointer (&self->statements, g_ptr_array_unref);
  g_clear_pointer (&self->mention_regex, g_regex_unref);
  g_clear_pointer (&self->after_regex, g_regex_unref);
  g_clear_pointer (&self->unless_regex, g_regex_unref);
  g_clear_pointer (&self->elsewhere_regex, g_regex_unref);
  g_clear_pointer (&self->clause_regex, g_regex_unref);
  g_clear_pointer (&self->gap_regex, g_regex_unref);
}

/* -- texts ----------------------------------------------------------------------------------- */

/* A trace being checked. */
typedef struct {
  const Consistent *self;
  const VjTrace *trace;
  GArray *quotes;    /* of Span, in order                                                        */
  char *own;         /* the text, of equal length, with quotations and emphasis marks blanked   */
  char *answers[2];  /* words of A and of B, as they are compared, a space around each           */
} Check;

/* Bytes [from, end) of a text. */
typedef struct {
  gsize from, end;
} Span;

/* " one two three " */
static char *
spaced_words (const char *text)
{
  g_autoptr (GArray) words = vj_words_split (text);
  g_autofree char *joined = vj_words_join (words, 0, words->len);
  return g_strconcat (" ", joined, " ", NULL);
}

static gboolean
is_in (const Check *check, guint answer, const char *text)
{
  g_autofree char *words = spaced_words (text);
  return strstr (check->answers[answer], words) != NULL;
}

/* The mark that closes what `mark` opens; 0: it opens nothing. */
static gunichar
closing_of (gunichar mark)
{
  return mark == '"' || mark == '\'' ? mark : mark == 0x201c ? 0x201d : mark == 0x2018 ? 0x2019 : 0;
}

static gboolean
is_word_char (const char *at)
{
  return *at && g_unichar_isalnum (g_utf8_get_char (at));
}

/* The quotation whose opening mark stands at `at`, within its line. A straight mark opens only before and closes only
 * after a word, and neither amid one: 5" and dog's are none. */
static gboolean
quotation_at (const char *text, const char *at, Span *ret_span)
{
  gunichar mark = closing_of (g_utf8_get_char (at));
  const char *inside = mark ? g_utf8_next_char (at) : NULL;
  if (!mark || g_unichar_isspace (g_utf8_get_char (inside))
      || (at > text && is_word_char (g_utf8_find_prev_char (text, at))))
    return FALSE;
  for (const char *end = inside; *end && *end != '\n' && end - inside < REACH; end = g_utf8_next_char (end))
    if (g_utf8_get_char (end) == mark && end > inside && !is_word_char (g_utf8_next_char (end))
        && !g_unichar_isspace (g_utf8_get_char (g_utf8_find_prev_char (text, end)))) {
      *ret_span = (Span){(gsize) (inside - text), (gsize) (end - text)};
      return TRUE;
    }
  return FALSE;
}

static void
find_quotations (Check *check)
{
  const char *text = check->trace->text;
  for (const char *at = text; *at;) {
    Span span;
    if (quotation_at (text, at, &span)) {
      g_array_append_val (check->quotes, span);
      /* A quotation that ends its sentence does so behind its mark too. */
      gboolean ends = strchr (".!?,;:", text[span.end - 1]) != NULL;
      memset (check->own + span.from, ' ', span.end - span.from - ends);
      at = text + span.end;
    }
    at = g_utf8_next_char (at);
  }
  g_strdelimit (check->own, "*_`", ' ');
}

static gboolean
holds (const GRegex *regex, const char *text, gsize from, gsize end)
{
  g_autofree char *part = g_strndup (text + from, end - from);
  return g_regex_match (regex, part, 0, NULL);
}

/* The beginning of the clause that reaches to byte `end`. */
static gsize
clause_start (const Check *check, gsize end)
{
  gsize start = end > REACH ? end - REACH : 0;
  while (start < end && (check->own[start] & 0xc0) == 0x80) /* amid a character */
    start++;
  g_autofree char *part = g_strndup (check->own + start, end - start);
  g_autoptr (GMatchInfo) match = NULL;
  int from, to = 0;
  for (g_regex_match (check->self->clause_regex, part, 0, &match); g_match_info_matches (match); g_match_info_next (match, NULL))
    g_match_info_fetch_pos (match, 0, &from, &to);
  return start + (gsize) to;
}

/* 0: answer A, 1: B. */
static guint
answer_named (GMatchInfo *match)
{
  g_autofree char *letter = g_match_info_fetch_named (match, "letter");
  return letter && (strcmp (letter, "A") == 0 || strcmp (letter, "1") == 0 || g_ascii_strcasecmp (letter, "first") == 0) ? 0 : 1;
}

/* -- preference --------------------------------------------------------------------------------- */

typedef struct {
  gboolean found;
  Span span;
  guint answer; /* preferred */
} Preference;

/* Keeps what `match` states in *last if it is stated later and is not taken back. */
static void
consider (const Check *check, GMatchInfo *match, gboolean rejects, Preference *last)
{
  int from = 0, end = 0;
  g_match_info_fetch_pos (match, 0, &from, &end);
  gsize clause = clause_start (check, (gsize) from);
  if (holds (check->self->unless_regex, check->own, clause, (gsize) from))
    return;
  if (last->found && (gsize) end <= last->span.end)
    return;
  *last = (Preference){TRUE, {(gsize) from, (gsize) end}, answer_named (match) ^ (rejects ? 1u : 0u)};
}

/* FALSE: a regular expression gave up on this text. */
static gboolean
last_preference (const Check *check, Preference *ret_last)
{
  const Consistent *self = check->self;
  Preference last = {0};
  for (guint i = 0; i < self->statements->len; i++) {
    g_autoptr (GMatchInfo) match = NULL;
    g_autoptr (GError) error = NULL;
    g_regex_match_full (self->statements->pdata[i], check->own, -1, 0, 0, &match, &error);
    while (!error && g_match_info_matches (match)) {
      consider (check, match, i >= self->n_prefers, &last);
      g_match_info_next (match, &error);
    }
    if (error)
      return FALSE;
  }
  *ret_last = last;
  return TRUE;
}

static const char *
check_preference (const Check *check)
{
  Preference last;
  if (!last_preference (check, &last))
    return "the trace's preference cannot be read";
  if (!last.found)
    return check->self->required ? "the trace states no preference" : NULL;
  g_autofree char *words = g_strndup (check->own + last.span.from, last.span.end - last.span.from);
  if (is_in (check, 0, words) || is_in (check, 1, words))
    return "the trace's preference may be an answer's own words";
  return check->trace->verdict == (last.answer == 0 ? VJ_VERDICT_A : VJ_VERDICT_B) ? NULL
                                                                                    : "the trace's reason contradicts its verdict";
}

/* -- quotations ----------------------------------------------------------------------------------- */

/* Whose words the quotation is said to be: 0 or 1; 2: nobody's. Named behind it (`"two dogs" in answer B`), or the last
 * one named before it in its sentence. */
static guint
attributed_to (const Check *check, const Span *quote)
{
  const Consistent *self = check->self;
  g_autoptr (GMatchInfo) behind = NULL, before = NULL;
  const char *sentence = check->own + quote->from;
  if (g_regex_match (self->after_regex, check->own + quote->end, 0, &behind))
    return answer_named (behind);
  while (sentence > check->own && check->own + quote->from - sentence < REACH && !strchr (".!?\n", sentence[-1]))
    sentence = g_utf8_find_prev_char (check->own, sentence);
  g_autofree char *part = g_strndup (sentence, quote->from - (gsize) (sentence - check->own));
  guint answer = 2;
  int from, end = 0;
  for (g_regex_match (self->mention_regex, part, 0, &before); g_match_info_matches (before); g_match_info_next (before, NULL)) {
    g_match_info_fetch_pos (before, 0, &from, &end);
    answer = answer_named (before);
  }
  return answer < 2 && holds (self->elsewhere_regex, part, (gsize) end, strlen (part)) ? 2 : answer;
}

/* Parts around "..." are looked for one by one. */
static gboolean
is_quoted_right (const Check *check, guint answer, const char *quotation)
{
  g_auto (GStrv) parts = g_regex_split (check->self->gap_regex, quotation, 0);
  for (char **part = parts; *part; part++) {
    g_autoptr (GArray) words = vj_words_split (*part);
    if (words->len && !is_in (check, answer, *part))
      return FALSE;
  }
  return TRUE;
}

static const char *
check_quotations (const Check *check)
{
  for (guint i = 0; i < check->quotes->len; i++) {
    const Span *quote = &g_array_index (check->quotes, Span, i);
    g_autofree char *quotation = g_strndup (check->trace->text + quote->from, quote->end - quote->from);
    g_autoptr (GArray) words = vj_words_split (quotation);
    guint answer = words->len >= check->self->min_words ? attributed_to (check, quote) : 2;
    if (answer < 2 && !is_quoted_right (check, answer, quotation))
      return "the trace misquotes an answer";
  }
  return NULL;
}

/* -- the verb ----------------------------------------------------------------------------------------- */

static VjFlow
consistent_keep (void *self, VjRun *run, const VjTrace *trace, char **ret_reason, GError **error)
{
  Check check = {.self = self, .trace = trace, .quotes = g_array_new (FALSE, FALSE, sizeof (Span)), .own = g_strdup (trace->text)};
  (void) run, (void) error;
  check.answers[0] = spaced_words (trace->chosen_is_a ? trace->chosen : trace->rejected);
  check.answers[1] = spaced_words (trace->chosen_is_a ? trace->rejected : trace->chosen);
  find_quotations (&check);
  const char *reason = trace->verdict == VJ_VERDICT_UNPARSED ? "unparsed verdict" : check_preference (&check);
  reason = reason ? reason : check_quotations (&check);
  g_array_unref (check.quotes);
  g_free (check.own);
  g_free (check.answers[0]);
  g_free (check.answers[1]);
  if (!reason)
    return VJ_FLOW_OK;
  *ret_reason = g_strdup (reason);
  return VJ_FLOW_SKIP;
}

VJ_DEFINE_FILTER (Consistent, consistent_keep, NULL,
                  .name = "consistent", .version = "1.0", .license = "Apache-2.0",
                  .summary = "Keeps traces in plain language whose stated preference and quotations fit the verdict and the answers.",
                  .options = options, .start = consistent_start, .stop = consistent_stop)
