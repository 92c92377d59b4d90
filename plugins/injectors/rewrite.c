/* rewrite: asks a model to alter a detail of the answer in the same style and length (arXiv 2512.05145,
 * "detail alteration"), and checks what comes back: it must be whole, changed in words rather than
 * in order or punctuation, near in length, changed in few words only, and changed in what was asked for, as far
 * as its words can tell. What fails is asked again. */
#include "text/kinds.h"
#include "text/text.h"
#include <vj/plugin.h>

#include <string.h>

static const char standard_instruction[] =
  "Below are a question about the image and an answer to it. Write the answer again with one meaningful error in it: "
  "change {detail}, so that the answer no longer agrees with the image. Everything else stays word for word: the same "
  "style, the same length, the same order. The error must be stated as plainly as the original, without a hint that "
  "anything was changed.\n"
  "\n"
  "Question: {question}\n"
  "\n"
  "Answer: {response}\n"
  "\n"
  "Reply with the changed answer alone.";

typedef struct {
  char **kinds, *instruction;
  int64_t tries, max_changed;
  double ratio;
  gboolean images, check_kind;
  VjSampling sampling;
} Rewrite;

static const VjOption options[] = {
  VJ_OPTION_LIST (Rewrite, kinds, "attribute,count,position,number,object,text", vj_kinds,
                  "Kinds of detail that may be altered; one is drawn for each answer."),
  VJ_OPTION_STRING (Rewrite, instruction, standard_instruction,
                    "What the model is asked, with {response} and, if wanted, {question}, {kind} (its name) and {detail} (what it means)."),
  VJ_OPTION_INT (Rewrite, tries, "3", 1, 100, "rounds", "How often the model is asked before the answer is given up."),
  VJ_OPTION_INT (Rewrite, max_changed, "8", 1, 1e6, "words", "Most words that may differ from the answer."),
  VJ_OPTION_REAL (Rewrite, ratio, "0.7", 0, 1, "", "Least ratio of the shorter text's number of words to the longer's."),
  VJ_OPTION_BOOL (Rewrite, check_kind, "true",
                  "Whether a rewrite must be of the kind that was asked for, as far as its words can tell; the words known are English."),
  VJ_OPTION_BOOL (Rewrite, images, "true", "Whether the model is shown the question's images along with the answer."),
  VJ_OPTIONS_SAMPLING (Rewrite, "0.8", "0", "0.95", "1024"),
  VJ_OPTION_END
};

static char *
fill (const Rewrite *self, const char *question, const char *response, const char *kind, char **ret_unknown)
{
  VjTextPair values[] = {{"question", question}, {"response", response}, {"kind", kind},
                         {"detail", vj_kind_meaning (kind)}, {NULL, NULL}};
  return vj_text_fill (self->instruction, vj_text_pair, values, ret_unknown);
}

static gboolean
rewrite_start (void *instance, VjRun *run, GError **error)
{
  const Rewrite *self = instance;
  g_autofree char *unknown = NULL, *filled = fill (self, "", "", vj_kinds[0], &unknown);
  (void) run;
  if (!filled)
    return vj_fail (error, VJ_EXIT_RECIPE,
                    "rewrite: 'instruction': no placeholder is called {%s}; use {response}, {question}, {kind} or {detail}, or "
                    "write {{%s}} for the plain text", unknown, unknown);
  if (!strstr (self->instruction, "{response}"))
    return vj_fail (error, VJ_EXIT_RECIPE, "rewrite: 'instruction': {response} is missing: there would be nothing to alter; add it");
  if (!self->kinds || !self->kinds[0])
    return vj_fail (error, VJ_EXIT_RECIPE, "rewrite: 'kinds': the list is empty; name at least one");
  return TRUE;
}

/* The kind for this record: the first draw of the stream, in `ask` and again in `tell`. */
static const char *
choose_kind (const Rewrite *self, VjRun *run)
{
  const char *chosen = self->kinds[vj_run_random (run, g_strv_length (self->kinds))];
  const char *const *kind = vj_kinds; /* of the table, which is static */
  while (strcmp (*kind, chosen) != 0)
    kind++;
  return *kind;
}

static VjFlow
rewrite_ask (const void *instance, VjRun *run, const VjQuestion *question, const char *response, const VjReplies *so_far,
             VjAsk *ask, GError **error)
{
  const Rewrite *self = instance;
  VjSampling sampling = self->sampling;
  g_autofree char *unknown = NULL, *text = fill (self, question->prompt, response, choose_kind (self, run), &unknown);
  (void) so_far, (void) error;
  sampling.n = 1;
  VjMessage message = {.speaker = VJ_SPEAKER_USER, .text = text, .images = question->images,
                       .n_images = self->images ? question->n_images : 0};
  vj_ask_messages (ask, &message, 1, &sampling);
  return VJ_FLOW_OK;
}

/* NULL and *ret_change when the rewrite is good, else why not. */
static const char *
check (const Rewrite *self, const char *kind, const char *response, const char *text, VjFinish finish, char **ret_change)
{
  g_autoptr (GArray) old = vj_words_split (response), new = vj_words_split (text);
  if (new->len == 0)
    return "the rewrite is empty";
  if (finish == VJ_FINISH_LENGTH)
    return "the rewrite was cut off";
  if (strcmp (response, text) == 0)
    return "the rewrite changed nothing";
  g_autoptr (GArray) hunks = vj_words_diff (old, new);
  if (hunks->len == 0)
    return "the rewrite changed only case or punctuation";
  if (vj_words_same_bag (old, new))
    return "the rewrite changed only the order of words";
  if (MIN (old->len, new->len) < self->ratio * MAX (old->len, new->len))
    return "the rewrite differs too much in length";
  if (vj_hunks_size (hunks) > self->max_changed)
    return "the rewrite changed too many words";
  const char *fault = self->check_kind ? vj_kind_fault (kind, old, new, hunks) : NULL;
  if (fault)
    return fault;
  *ret_change = vj_hunks_describe (old, new, hunks);
  return NULL;
}

static VjFlow
rewrite_tell (const void *instance, VjRun *run, const VjQuestion *question, const char *response, const VjReplies *replies,
              VjInjection *ret_injection, GError **error)
{
  const Rewrite *self = instance;
  size_t last = vj_replies_count (replies) - 1;
  g_autofree char *text = g_strstrip (g_strdup (vj_replies_text (replies, last, 0)));
  g_autofree char *original = g_strstrip (g_strdup (response)), *change = NULL;
  const char *kind = choose_kind (self, run);
  const char *fault = check (self, kind, original, text, vj_replies_finish (replies, last, 0), &change);
  (void) question, (void) error;
  if (fault && last + 1 < (size_t) self->tries)
    return VJ_FLOW_MORE;
  if (fault) {
    ret_injection->reason = g_strdup (fault);
    return VJ_FLOW_SKIP;
  }
  ret_injection->text = g_steal_pointer (&text);
  ret_injection->kind = kind;
  ret_injection->change = g_steal_pointer (&change);
  return VJ_FLOW_OK;
}

VJ_DEFINE_INJECTOR (Rewrite, rewrite_tell, rewrite_ask,
                    .name = "rewrite", .version = "1.1", .license = "Apache-2.0",
                    .summary = "Asks a model to alter a detail of the answer, and checks that it did.",
                    .options = options, .start = rewrite_start)
