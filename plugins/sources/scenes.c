/* scenes - pictures of coloured shapes, drawn on the spot, with questions about them.
 *
 * The questions are made of random words, without a look at what was drawn; the right
 * answers go to `gold`, which serves measuring alone. Draws everything from the stream
 * of the call: a scene depends on the run's seed and its number, on nothing else. */
#include "scene/lesson.h"
#include <vj/plugin.h>

typedef struct {
  double closed, text;
  char *prompt;
} Scenes;

static VjFlow
next (void *self, VjRun *run, VjDraft *draft, GError **error)
{
  Scenes *options = self;
  SceneDice dice = {vj_run_seed (run)};
  g_autofree guint8 *png = NULL;
  g_autofree char *text = NULL;
  gboolean ask_text = FALSE;
  gsize length;
  Scene scene;

  scene_sample (&scene, &dice);
  gboolean closed = vj_run_real (run) < options->closed;
  /* From dice of their own: with texts or without, shapes and questions stay the same. */
  if (vj_run_real (run) < options->text) {
    SceneDice own = {vj_run_seed (run)};
    scene_sample_text (&scene, &own);
    ask_text = closed && scene_roll (&own, 2) == 0;
  }
  if (!scene_png (&scene, &png, &length, error) || !vj_draft_image_bytes (draft, png, length, error))
    return VJ_FLOW_ERROR;
  if (ask_text) {
    vj_draft_question (draft, VJ_FORM_CLOSED, SCENE_ASK_TEXT, "text");
    vj_draft_gold (draft, scene.text);
  } else if (closed) {
    SceneAsk ask;
    scene_ask_sample (&ask, &dice);
    text = scene_ask_text (&ask);
    vj_draft_question (draft, VJ_FORM_CLOSED, text, scene_ask_form_name (ask.form));
    vj_draft_gold (draft, scene_ask_answer (&ask, &scene));
  } else {
    SceneAccount truth;
    scene_account (&scene, &truth);
    text = scene_account_text (&truth);
    vj_draft_question (draft, VJ_FORM_OPEN, options->prompt, "describe");
    vj_draft_gold (draft, text);
  }
  return VJ_FLOW_OK;
}

static const VjOption options[] = {
  VJ_OPTION_REAL (Scenes, closed, "0.5", 0, 1, "", "Share of closed questions (counts, colours, yes or no, choices)."),
  VJ_OPTION_REAL (Scenes, text, "0", 0, 1, "", "Share of scenes with a short word or number in them, which half of their closed questions ask for."),
  VJ_OPTION_STRING (Scenes, prompt, SCENE_DESCRIBE_PROMPT, "What open questions ask."),
  VJ_OPTION_END,
};

VJ_DEFINE_SOURCE (Scenes, next, .name = "scenes", .version = "1.0", .license = "Apache-2.0", .options = options,
                  .summary = "Draws pictures of coloured shapes and asks about them.")
