/* scene-pairs - a benchmark of answer pairs about scenes drawn on the spot: the true description
 * against one with a changed word, the right short answer against a wrong one. Gold by
 * construction, for measuring alone; the host has them judged in both orders. */
#include "scene/strange.h"
#include <vj/plugin.h>

typedef struct {
  int64_t count, seed;
  double closed, unseen;
} Pairs;

static VjFlow
next (void *self, VjRun *run, VjDraft *draft, GError **error)
{
  const Pairs *pairs = self;
  uint64_t index = vj_run_index (run);
  SceneDice dice = {(uint64_t) pairs->seed};
  g_autofree guint8 *png = NULL;
  gboolean closed, strange;
  ScenePair pair;
  Scene scene;
  gsize length;

  if (index >= (uint64_t) pairs->count)
    return VJ_FLOW_END;
  /* The benchmark is its own: the same pairs in every run, whatever the run's seed. */
  dice.state += (index + 1) * G_GUINT64_CONSTANT (0xd1342543de82ef95);
  /* Chance of its own, so that the usual pairs stay what they are without the strange ones. */
  SceneDice other = {dice.state ^ G_GUINT64_CONSTANT (0x5851f42d4c957f2d)};
  strange = scene_roll (&other, 1000) < pairs->unseen * 1000;
  if (strange) {
    closed = scene_roll (&other, 1000) < pairs->closed * 1000;
    scene_strange_sample (&pair, &scene, (SceneStrange) scene_roll (&other, SCENE_N_STRANGE), !closed, &other);
  } else {
    scene_sample (&scene, &dice);
    closed = scene_roll (&dice, 1000) < pairs->closed * 1000;
    scene_pair_sample (&pair, &scene, !closed, &dice);
  }
  if (!scene_png (&scene, &png, &length, error) || !vj_draft_image_bytes (draft, png, length, error)) {
    scene_pair_clear (&pair);
    return VJ_FLOW_ERROR;
  }
  vj_draft_question (draft, pair.open ? VJ_FORM_OPEN : VJ_FORM_CLOSED, pair.question, pair.how);
  vj_draft_pair (draft, pair.right, pair.wrong, pair.how);
  scene_pair_clear (&pair);
  return VJ_FLOW_OK;
}

static const VjOption options[] = {
  VJ_OPTION_INT (Pairs, count, "500", 1, 1e7, "pairs", "Number of pairs."),
  VJ_OPTION_INT (Pairs, seed, "1", 0, 1e15, "", "Which pairs: equal seeds give equal pairs, whatever the run."),
  VJ_OPTION_REAL (Pairs, closed, "0.5", 0, 1, "", "Share of pairs about closed questions."),
  VJ_OPTION_REAL (Pairs, unseen, "0", 0, 1, "",
                  "Share of pairs strange to all lessons: other styles of drawing, wordings, or kinds of fault."),
  VJ_OPTION_END,
};

VJ_DEFINE_EVALUATOR (Pairs, next, NULL, NULL, .name = "scene-pairs", .version = "1.0", .license = "Apache-2.0",
                     .options = options, .summary = "Judges pairs of answers about drawn scenes, one of them wrong by construction.")
