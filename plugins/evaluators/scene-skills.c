/* scene-skills - can a model see scenes, answer about them, and rewrite what was told? Asks it
 * to describe, to answer and to rewrite, in turn, and marks the replies by what was drawn. */
#include "scene/lesson.h"
#include <vj/plugin.h>

#include <string.h>

typedef struct {
  int64_t count, seed, tries;
  double temperature;
  char *prompt, *rewrite;
} Skills;

enum { DESCRIBE, ANSWER, REWRITE, N_TASKS };

static void
draft_rewrite (const Skills *skills, VjDraft *draft, const char *description, SceneDice *dice)
{
  const char *kind = scene_kind_name ((SceneKind) scene_roll (dice, SCENE_N_KINDS));
  g_autoptr (GString) prompt = g_string_new (skills->rewrite);

  g_string_replace (prompt, "{kind}", kind, 0);
  g_string_replace (prompt, "{response}", description, 0);
  vj_draft_question (draft, VJ_FORM_OPEN, prompt->str, kind);
  vj_draft_gold (draft, description);
}

static VjFlow
next (void *self, VjRun *run, VjDraft *draft, GError **error)
{
  const Skills *skills = self;
  uint64_t index = vj_run_index (run);
  SceneDice dice = {(uint64_t) skills->seed};
  g_autofree guint8 *png = NULL;
  g_autofree char *description = NULL;
  SceneAccount truth;
  Scene scene;
  gsize length;

  if (index >= (uint64_t) skills->count * N_TASKS)
    return VJ_FLOW_END;
  /* Another stream than that of scene-pairs with the same seed. */
  dice.state += (index + 1) * G_GUINT64_CONSTANT (0xaf251af3b0f025b5);
  scene_sample (&scene, &dice);
  scene_account (&scene, &truth);
  description = scene_account_text (&truth);
  if (index % N_TASKS == REWRITE) {
    draft_rewrite (skills, draft, description, &dice);
    return VJ_FLOW_OK;
  }
  if (!scene_png (&scene, &png, &length, error) || !vj_draft_image_bytes (draft, png, length, error))
    return VJ_FLOW_ERROR;
  if (index % N_TASKS == DESCRIBE) {
    vj_draft_question (draft, VJ_FORM_OPEN, skills->prompt, "describe");
    vj_draft_gold (draft, description);
  } else {
    g_autofree char *text = NULL;
    SceneAsk ask;
    scene_ask_sample (&ask, &dice);
    text = scene_ask_text (&ask);
    vj_draft_question (draft, VJ_FORM_CLOSED, text, scene_ask_form_name (ask.form));
    vj_draft_gold (draft, scene_ask_answer (&ask, &scene));
  }
  return VJ_FLOW_OK;
}

/* What a case asks: closed questions are closed, descriptions have the category of that name. */
static int
task_of (const VjCase *gold)
{
  if (gold->question.form == VJ_FORM_CLOSED)
    return ANSWER;
  return strcmp (gold->question.category, "describe") == 0 ? DESCRIBE : REWRITE;
}

static VjFlow
ask (const void *self, VjRun *run, const VjCase *gold, const VjReplies *so_far, VjAsk *request, GError **error)
{
  const Skills *skills = self;
  VjSampling sampling = {.temperature = 0, .top_p = 1, .max_tokens = 64, .n = 1};

  (void) run;
  (void) so_far;
  (void) error;
  if (task_of (gold) == REWRITE) {
    sampling.temperature = skills->temperature;
    sampling.n = skills->tries;
  }
  vj_ask_text (request, &gold->question, gold->question.prompt, &sampling);
  return VJ_FLOW_OK;
}

static void
mark_description (VjScores *scores, const SceneAccount *truth, const char *gold, const char *reply)
{
  static const char *const names[SCENE_N_ASPECTS] = {"attributes: place", "attributes: size", "attributes: color",
                                                     "attributes: shape", "attributes: number"};
  SceneMarks marks = {0};

  scene_account_mark (reply, truth, &marks);
  for (SceneAspect a = 0; a < SCENE_N_ASPECTS; a++) {
    vj_scores_add (scores, "attributes", marks.right[a], marks.stated[a]);
    vj_scores_add (scores, names[a], marks.right[a], marks.stated[a]);
  }
  vj_scores_add (scores, "descriptions without fault", strcmp (reply, gold) == 0, 1);
}

static void
mark_answer (VjScores *scores, const VjCase *gold, const char *reply)
{
  g_autofree char *metric = g_strdup_printf ("closed: %s", gold->question.category);
  double right = strcmp (reply, gold->gold) == 0;

  vj_scores_add (scores, "closed", right, 1);
  vj_scores_add (scores, metric, right, 1);
  if (strcmp (gold->gold, "none") != 0 && strcmp (gold->gold, "no") != 0 && strcmp (gold->gold, "zero") != 0)
    vj_scores_add (scores, "closed: something there", right, 1);
}

static void
mark_rewrites (VjScores *scores, const VjCase *gold, const SceneAccount *truth, const VjReplies *replies)
{
  g_autofree char *metric = g_strdup_printf ("rewrite: %s", gold->question.category);
  gboolean first = FALSE, any = FALSE, as_asked = FALSE;

  for (size_t i = 0; i < vj_replies_draws (replies, 0); i++) {
    int kind = scene_account_changed (truth, vj_replies_text (replies, 0, i));
    first |= i == 0 && kind >= 0;
    any |= kind >= 0;
    as_asked |= kind >= 0 && strcmp (scene_kind_name ((SceneKind) kind), gold->question.category) == 0;
  }
  vj_scores_add (scores, "rewrite: first try", first, 1);
  vj_scores_add (scores, "rewrite: within all tries", any, 1);
  vj_scores_add (scores, "rewrite: of the kind asked for", as_asked, 1);
  vj_scores_add (scores, metric, any, 1);
}

static VjFlow
tell (const void *self, VjRun *run, const VjCase *gold, const VjReplies *replies, VjScores *scores, GError **error)
{
  SceneAccount truth;
  int task = task_of (gold);

  (void) self;
  (void) run;
  if (task == ANSWER) {
    mark_answer (scores, gold, vj_replies_text (replies, 0, 0));
    return VJ_FLOW_OK;
  }
  if (!gold->gold || !scene_account_read (gold->gold, &truth)) {
    vj_fail (error, VJ_EXIT_BUG, "scene-skills: '%s': gold is no description", gold->question.id);
    return VJ_FLOW_ERROR;
  }
  if (task == DESCRIBE)
    mark_description (scores, &truth, gold->gold, vj_replies_text (replies, 0, 0));
  else
    mark_rewrites (scores, gold, &truth, replies);
  return VJ_FLOW_OK;
}

static const VjOption options[] = {
  VJ_OPTION_INT (Skills, count, "1000", 1, 1e7, "scenes", "Number of scenes for each of the three tasks."),
  VJ_OPTION_INT (Skills, seed, "1", 0, 1e15, "", "Which scenes: equal seeds give equal scenes, whatever the run."),
  VJ_OPTION_INT (Skills, tries, "3", 1, 100, "draws", "Rewrites drawn for one description."),
  VJ_OPTION_REAL (Skills, temperature, "0.8", 0, 100, "", "Sampling temperature of rewrites; all else is greedy."),
  VJ_OPTION_STRING (Skills, prompt, SCENE_DESCRIBE_PROMPT, "What asks for a description."),
  VJ_OPTION_STRING (Skills, rewrite, "rewrite {kind} : {response}", "What asks for a rewrite."),
  VJ_OPTION_END,
};

VJ_DEFINE_EVALUATOR (Skills, next, ask, tell, .name = "scene-skills", .version = "1.0", .license = "Apache-2.0",
                     .options = options, .summary = "Marks a model's descriptions, answers and rewrites by what was drawn.")
