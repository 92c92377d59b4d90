/* modified-instruction: a good answer to another question is a bad answer to this one (Self-Taught Evaluators, arXiv
 * 2408.02666). The model first makes a question that is close to the one asked but not the same, then answers that one about
 * the image; its answer becomes the rejected one. A question or an answer that will not do begins anew. */
#include "text/other-answer.h"
#include "text/text.h"
#include <vj/plugin.h>

#include <string.h>

static const char standard_instruction[] =
  "Below are a question about the image and a good answer to it. Make up another question about the same image: highly "
  "relevant to the first one and worded much like it, but not asking for the same thing, so that a good answer to the new "
  "question would be a bad answer to the old one.\n"
  "\n"
  "Question: {question}\n"
  "\n"
  "Answer: {response}\n"
  "\n"
  "Reply with the new question alone.";

typedef struct {
  char *instruction, *prompt;
  int64_t tries;
  double difference, ratio;
  gboolean images;
  VjSampling sampling;
} ModifiedInstruction;

static const VjOption options[] = {
  VJ_OPTION_STRING (ModifiedInstruction, instruction, standard_instruction,
                    "How the model is asked for another question, with {question} and, if wanted, {response}."),
  VJ_OPTION_STRING (ModifiedInstruction, prompt, "{question}", "How the other question is asked, with {question}."),
  VJ_OPTION_INT (ModifiedInstruction, tries, "3", 1, 20, "questions", "How many other questions are asked for before the answer is given up."),
  VJ_OPTION_REAL (ModifiedInstruction, difference, "0.1", 0, 1, "", "Least share of the longer answer's words in which the two differ."),
  VJ_OPTION_REAL (ModifiedInstruction, ratio, "0.3", 0, 1, "", "Least ratio of the shorter answer's number of words to the longer's."),
  VJ_OPTION_BOOL (ModifiedInstruction, images, "true", "Whether the images are shown when the other question is asked for; its answer always sees them."),
  VJ_OPTIONS_SAMPLING (ModifiedInstruction, "0.7", "0", "0.9", "1024"),
  VJ_OPTION_END
};

static char *
fill (const char *template, const char *question, const char *response, char **ret_unknown)
{
  VjTextPair values[] = {{"question", question}, {response ? "response" : NULL, response}, {NULL, NULL}};
  return vj_text_fill (template, vj_text_pair, values, ret_unknown);
}

static gboolean
check_template (const char *option, const char *template, const char *response, GError **error)
{
  g_autofree char *unknown = NULL, *filled = fill (template, "", response, &unknown);
  if (!filled)
    return vj_fail (error, VJ_EXIT_RECIPE, "modified-instruction: '%s': no placeholder is called {%s}; use {question}%s, or write "
                    "{{%s}} for the plain text", option, unknown, response ? " or {response}" : "", unknown);
  if (!strstr (template, "{question}"))
    return vj_fail (error, VJ_EXIT_RECIPE, "modified-instruction: '%s': {question} is missing; add it", option);
  return TRUE;
}

static gboolean
modified_instruction_start (void *instance, VjRun *run, GError **error)
{
  const ModifiedInstruction *self = instance;
  (void) run;
  return check_template ("instruction", self->instruction, "", error) && check_template ("prompt", self->prompt, NULL, error);
}

/* -- reading replies ----------------------------------------------------------------- */

/* Takes a first line such as "Here is a new question:" and a label such as "New question:" off. */
static char *
without_label (char *text)
{
  char *colon = strchr (text, ':'), *line_end = text + strcspn (text, "\n");
  g_autofree char *label = colon && colon < line_end ? g_ascii_strdown (text, colon - text) : NULL;
  if (label && (g_str_has_suffix (label, "question") || g_str_has_suffix (label, "instruction")
                || g_str_has_suffix (label, "question**") || g_str_has_suffix (label, "instruction**")))
    text = colon + 1;
  return g_strstrip (text);
}

/* The question in a reply, without what models like to put round it. Owned. */
static char *
read_question (const char *reply)
{
  g_autofree char *copy = g_strdup (reply);
  char *text = without_label (g_strstrip (copy));
  while (g_str_has_prefix (text, "**"))
    text = g_strchug (text + 2);
  gsize n = strlen (text);
  while (n > 1 && g_str_has_suffix (text, "**"))
    text[n -= 2] = '\0';
  if (n > 1 && text[0] == '"' && text[n - 1] == '"') {
    text[n - 1] = '\0';
    text++;
  }
  return g_strdup (g_strstrip (text));
}

static const char *
question_fault (const char *old, const char *new, VjFinish finish)
{
  g_autoptr (GArray) words = vj_words_split (new);
  if (words->len == 0)
    return "the other question is empty";
  if (finish == VJ_FINISH_LENGTH)
    return "the other question was cut off";
  return vj_same_words (old, new) ? "the other question is the same" : NULL;
}

/* Where the replies so far have led: they alternate as long as each will do. */
typedef struct {
  char *other;       /* owned: the question whose answer is wanted, or was good; NULL: a question is wanted */
  const char *answer; /* borrowed: good; NULL: none yet                                                      */
  const char *fault; /* of the last reply                                                                   */
  int64_t asked;     /* questions asked for                                                                 */
} Progress;

static Progress
walk (const ModifiedInstruction *self, const VjQuestion *question, const char *response, const VjReplies *replies)
{
  Progress progress = {0};
  for (size_t i = 0; i < vj_replies_count (replies); i++) {
    const char *text = vj_replies_text (replies, i, 0);
    VjFinish finish = vj_replies_finish (replies, i, 0);
    if (!progress.other) {
      progress.asked++;
      g_autofree char *other = read_question (text);
      progress.fault = question_fault (question->prompt, other, finish);
      progress.other = progress.fault ? NULL : g_steal_pointer (&other);
      continue;
    }
    progress.fault = vj_other_answer_fault (response, text, finish, self->difference, self->ratio);
    if (progress.fault)
      g_clear_pointer (&progress.other, g_free);
    else
      progress.answer = text;
  }
  return progress;
}

/* -- verbs ---------------------------------------------------------------------------- */

static VjFlow
modified_instruction_ask (const void *instance, VjRun *run, const VjQuestion *question, const char *response,
                          const VjReplies *so_far, VjAsk *ask, GError **error)
{
  const ModifiedInstruction *self = instance;
  VjSampling sampling = self->sampling;
  Progress progress = walk (self, question, response, so_far);
  g_autofree char *other = progress.other, *unknown = NULL;
  g_autofree char *text = other ? fill (self->prompt, other, NULL, &unknown)
                                : fill (self->instruction, question->prompt, response, &unknown);
  VjMessage message = {.speaker = VJ_SPEAKER_USER, .text = text, .images = question->images,
                       .n_images = self->images || other ? question->n_images : 0};
  (void) run, (void) error;
  sampling.n = 1;
  vj_ask_messages (ask, &message, 1, &sampling);
  return VJ_FLOW_OK;
}

static VjFlow
modified_instruction_tell (const void *instance, VjRun *run, const VjQuestion *question, const char *response,
                           const VjReplies *replies, VjInjection *ret_injection, GError **error)
{
  const ModifiedInstruction *self = instance;
  Progress progress = walk (self, question, response, replies);
  g_autofree char *other = progress.other;
  (void) run, (void) error;
  if (progress.answer) {
    ret_injection->text = g_strstrip (g_strdup (progress.answer));
    ret_injection->kind = "modified-instruction";
    ret_injection->change = g_strdup_printf ("answers instead: %s", other);
    return VJ_FLOW_OK;
  }
  if (other || progress.asked < self->tries)
    return VJ_FLOW_MORE;
  ret_injection->reason = g_strdup (progress.fault);
  return VJ_FLOW_SKIP;
}

VJ_DEFINE_INJECTOR (ModifiedInstruction, modified_instruction_tell, modified_instruction_ask,
                    .name = "modified-instruction", .version = "1.0", .license = "Apache-2.0",
                    .summary = "Answers a question close to the one asked; that answer is the rejected one.",
                    .options = options, .start = modified_instruction_start)
