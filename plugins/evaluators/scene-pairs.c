/* scene-pairs - a benchmark of answer pairs about scenes drawn on the spot: the true description
 * against one with a changed word, the right short answer against a wrong one. Gold by
 * construction, for measuring alone; the host has them judged in both orders. */
#include "scene/lesson.h"
#include <vj/plugin.h>

typedef struct {
  int64_t count, seed;
  double closed;
} Pairs;

static VjFlow
next (void *self, VjRun *run, VjDraft *draft, GError **error)
{
  const Pairs *pairs = self;
  uint64_t index = vj_run_index (run);
  SceneDice dice = {(uint64_t) pairs->seed};
  g_autofree guint8 *png = NULL;
  gboolean closed;
  ScenePair pair;
  Scene scene;
  gsize length;

  if (index >= (uint64_t) pairs->count)
    return VJ_FLOW_END;
  /* The benchmark is its own: the same pairs in every run, whatever the run's seed. */
  dice.state += (index + 1) * G_GUINT64_CONSTANT (0xd1342543de82ef95);
  scene_sample (&scene, &dice);
  if (!scene_png (&scene, &png, &length, error) || !vj_draft_image_bytes (draft, png, length, error))
    return VJ_FLOW_ERROR;
  closed = scene_roll (&dice, 1000) < pairs->closed * 1000;
  scene_pair_sample (&pair, &scene, !closed, &dice);
  vj_draft_question (draft, closed ? VJ_FORM_CLOSED : VJ_FORM_OPEN, pair.question, pair.how);
  vj_draft_pair (draft, pair.right, pair.wrong, pair.how);
  scene_pair_clear (&pair);
  return VJ_FLOW_OK;
}

static const VjOption options[] = {
  VJ_OPTION_INT (Pairs, count, "500", 1, 1e7, "pairs", "Number of pairs."),
  VJ_OPTION_INT (Pairs, seed, "1", 0, 1e15, "", "Which pairs: equal seeds give equal pairs, whatever the run."),
  VJ_OPTION_REAL (Pairs, closed, "0.5", 0, 1, "", "Share of pairs about closed questions."),
  VJ_OPTION_END,
};

VJ_DEFINE_EVALUATOR (Pairs, next, NULL, NULL, .name = "scene-pairs", .version = "1.0", .license = "Apache-2.0",
                     .options = options, .summary = "Judges pairs of answers about drawn scenes, one of them wrong by construction.")
