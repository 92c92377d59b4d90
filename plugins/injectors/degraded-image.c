/* degraded-image: the question is asked again with the image made worse, so that the model fills in what it no longer sees;
 * its answer becomes the rejected one if it differs enough (after POVID, arXiv 2402.11411, which noises the image). An answer
 * that speaks of the spoilt image is refused: it would be known for what it is by that word. */
#include "text/other-answer.h"
#include "text/text.h"
#include <vj/plugin.h>

#include <string.h>

/* In the order of VjDegrade. */
static const char *const ways[] = {"noise", "blur", "mask", "blank", "erase", NULL};
static const char *const kinds[] = {"degraded-noise", "degraded-blur", "degraded-mask", "degraded-blank", "degraded-erase"};

typedef struct {
  char **how, *prompt, **telltales;
  int64_t tries;
  double strength, share, difference, ratio;
  VjSampling sampling;
} DegradedImage;

static const VjOption options[] = {
  VJ_OPTION_LIST (DegradedImage, how, "noise,blur,mask,blank", ways, "Ways to make the image worse; one is drawn each time. What a mask hides, erase replaces by what is around it."),
  VJ_OPTION_REAL (DegradedImage, strength, "0.8", 0.01, 1, "",
                  "How strong noise and blur are: 1 leaves nothing but noise, or blurs by an eighth of the shorter side."),
  VJ_OPTION_REAL (DegradedImage, share, "0.6", 0.01, 1, "", "Share of the image that masks and erasures cover."),
  VJ_OPTION_STRING (DegradedImage, prompt, "{question}", "What is asked, with {question}."),
  VJ_OPTION_INT (DegradedImage, tries, "3", 1, 60, "rounds", "How often the model is asked before the answer is given up, each time with another image."),
  VJ_OPTION_REAL (DegradedImage, difference, "0.1", 0, 1, "", "Least share of the longer answer's words in which the two differ."),
  VJ_OPTION_REAL (DegradedImage, ratio, "0.5", 0, 1, "", "Least ratio of the shorter answer's number of words to the longer's."),
  VJ_OPTION_LIST (DegradedImage, telltales,
                  "blur,blurry,blurred,blurriness,out of focus,unfocused,noise,noisy,grain,grainy,static,pixelated,distorted,"
                  "distortion,obscured,censored,covered up,blacked out,grayed out,gray rectangle,gray rectangles,gray square,"
                  "gray squares,gray box,gray boxes,gray background,gray image,blank,unclear,low quality,poor quality,"
                  "cannot see,can't see,not visible,unable to,difficult to,hard to,no image", NULL,
                  "An answer with one of these phrases is refused, unless the chosen one has it too."),
  VJ_OPTIONS_SAMPLING (DegradedImage, "0.6", "50", "0.9", "1024"),
  VJ_OPTION_END
};

static char *
fill (const DegradedImage *self, const char *question, char **ret_unknown)
{
  VjTextPair values[] = {{"question", question}, {NULL, NULL}};
  return vj_text_fill (self->prompt, vj_text_pair, values, ret_unknown);
}

static gboolean
degraded_image_start (void *instance, VjRun *run, GError **error)
{
  const DegradedImage *self = instance;
  g_autofree char *unknown = NULL, *filled = fill (self, "", &unknown);
  (void) run;
  if (!filled || !strstr (self->prompt, "{question}"))
    return vj_fail (error, VJ_EXIT_RECIPE, "degraded-image: 'prompt': %s%s; the one placeholder is {question}, and it must be there",
                    unknown ? "unknown placeholder: " : "no {question}", unknown ? unknown : "");
  if (!self->how || !self->how[0])
    return vj_fail (error, VJ_EXIT_RECIPE, "degraded-image: 'how': the list is empty; name at least one");
  return TRUE;
}

/* What one round shows: the way, and a worse image for each of the question's. `ask` and `tell` make the same. */
typedef struct {
  VjDegrade how;
  VjImage **images; /* [n], owned */
  size_t n;
  gboolean changed; /* at least one differs from its original */
} Shown;

static void
shown_clear (Shown *shown)
{
  for (size_t i = 0; i < shown->n; i++)
    vj_image_unref (shown->images[i]);
  g_clear_pointer (&shown->images, g_free);
  shown->n = 0;
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Shown, shown_clear)

static gboolean
shown_init (Shown *shown, const DegradedImage *self, VjRun *run, const VjQuestion *question, GError **error)
{
  const char *how = self->how[vj_run_random (run, g_strv_length (self->how))];
  while (strcmp (ways[shown->how], how) != 0)
    shown->how++;
  shown->images = g_new0 (VjImage *, question->n_images + 1);
  for (; shown->n < question->n_images; shown->n++) {
    const VjImage *image = question->images[shown->n];
    VjImage *worse = vj_image_degrade (image, shown->how, self->strength, self->share, vj_run_seed (run), error);
    if (!worse)
      return FALSE;
    shown->images[shown->n] = worse;
    shown->changed = shown->changed || strcmp (vj_image_digest (worse), vj_image_digest (image)) != 0;
  }
  return TRUE;
}

static VjFlow
degraded_image_ask (const void *instance, VjRun *run, const VjQuestion *question, const char *response, const VjReplies *so_far,
                    VjAsk *ask, GError **error)
{
  const DegradedImage *self = instance;
  VjSampling sampling = self->sampling;
  g_autofree char *unknown = NULL, *text = fill (self, question->prompt, &unknown);
  g_auto (Shown) shown = {0};
  (void) response, (void) so_far;
  if (!shown_init (&shown, self, run, question, error))
    return VJ_FLOW_ERROR;
  VjMessage message = {.speaker = VJ_SPEAKER_USER, .text = text, .images = (const VjImage *const *) shown.images, .n_images = shown.n};
  sampling.n = 1;
  if (shown.changed) /* else `tell` says why nothing was asked */
    vj_ask_messages (ask, &message, 1, &sampling);
  return VJ_FLOW_OK;
}

static const char *
fault_of (const DegradedImage *self, const char *response, const VjReplies *replies)
{
  size_t last = vj_replies_count (replies) - 1;
  const char *text = vj_replies_text (replies, last, 0);
  const char *fault = vj_other_answer_fault (response, text, vj_replies_finish (replies, last, 0), self->difference, self->ratio);
  if (!fault && vj_has_phrase (text, self->telltales) && !vj_has_phrase (response, self->telltales))
    return "the other answer speaks of the spoilt image";
  return fault;
}

/* What was done to the image, for people. Owned. */
static char *
describe (const DegradedImage *self, VjDegrade how)
{
  char number[G_ASCII_DTOSTR_BUF_SIZE];
  g_ascii_formatd (number, sizeof number, "%g", how == VJ_DEGRADE_MASK || how == VJ_DEGRADE_ERASE ? self->share : self->strength);
  return how == VJ_DEGRADE_BLANK ? g_strdup ("said of a blank image")
                                 : g_strdup_printf ("said of the image with %s %s", ways[how], number);
}

static VjFlow
degraded_image_tell (const void *instance, VjRun *run, const VjQuestion *question, const char *response, const VjReplies *replies,
                     VjInjection *ret_injection, GError **error)
{
  const DegradedImage *self = instance;
  g_auto (Shown) shown = {0};
  if (!shown_init (&shown, self, run, question, error))
    return VJ_FLOW_ERROR;
  const char *fault = shown.n == 0       ? "the question has no image"
                      : !shown.changed ? "making the image worse changed no pixel"
                                       : fault_of (self, response, replies);
  if (fault && shown.changed && vj_run_round (run) + 1 < self->tries)
    return VJ_FLOW_MORE;
  if (fault) {
    ret_injection->reason = g_strdup (fault);
    return VJ_FLOW_SKIP;
  }
  ret_injection->text = g_strstrip (g_strdup (vj_replies_text (replies, vj_replies_count (replies) - 1, 0)));
  ret_injection->kind = kinds[shown.how];
  ret_injection->change = describe (self, shown.how);
  ret_injection->n_images = shown.n;
  ret_injection->images = g_steal_pointer (&shown.images);
  shown.n = 0;
  return VJ_FLOW_OK;
}

VJ_DEFINE_INJECTOR (DegradedImage, degraded_image_tell, degraded_image_ask,
                    .name = "degraded-image", .version = "1.1", .license = "Apache-2.0",
                    .summary = "Answers the question from a worse image; that answer is the rejected one.",
                    .options = options, .start = degraded_image_start)
