/* scene-lessons - what a small model is taught about scenes, before any judging of its own:
 * questions whose `gold` is the text to learn. For the recipe section `pretrain` only; the
 * self-improving loop never sees these. */
#include "scene/lesson.h"
#include <vj/plugin.h>

#include <string.h>

typedef struct {
  char **skills;
  guint32 shares[SCENE_N_SKILLS], total; /* in thousandths */
} Lessons;

static gboolean
add_share (Lessons *lessons, const char *item, GError **error)
{
  const char *sign = strchr (item, '=');
  gsize length = sign ? (gsize) (sign - item) : strlen (item);
  char *end = NULL;
  double share = sign ? g_ascii_strtod (sign + 1, &end) : 1;

  if (sign && (end == sign + 1 || *end || !(share > 0 && share <= 1000)))
    return vj_fail (error, VJ_EXIT_RECIPE, "scene-lessons: skills: '%s': not a share: expected SKILL=NUMBER, above 0 and at most 1000",
                    item);
  for (SceneSkill s = 0; s < SCENE_N_SKILLS; s++)
    if (strlen (scene_skill_name (s)) == length && memcmp (scene_skill_name (s), item, length) == 0) {
      guint32 parts = (guint32) MAX (share * 1000, 1);
      lessons->shares[s] += parts;
      lessons->total += parts;
      return TRUE;
    }
  return vj_fail (error, VJ_EXIT_RECIPE,
                  "scene-lessons: skills: '%s': no such skill: expected copy, recite, differ, rewrite, describe, answer, "
                  "choose, judge or count, each with an optional =SHARE",
                  item);
}

static gboolean
start (void *self, VjRun *run, GError **error)
{
  Lessons *lessons = self;
  (void) run;

  for (char **item = lessons->skills; item && *item; item++)
    if (!add_share (lessons, *item, error))
      return FALSE;
  return lessons->total > 0 || vj_fail (error, VJ_EXIT_RECIPE, "scene-lessons: skills: the list is empty; name at least one skill");
}

static VjFlow
next (void *self, VjRun *run, VjDraft *draft, GError **error)
{
  Lessons *lessons = self;
  SceneDice dice = {vj_run_seed (run)};
  guint32 at = vj_run_random (run, lessons->total);
  VjFlow flow = VJ_FLOW_OK;
  SceneLesson lesson;
  SceneSkill skill = 0;

  while (at >= lessons->shares[skill])
    at -= lessons->shares[skill++];
  scene_lesson_sample (&lesson, skill, &dice);
  if (lesson.shown) {
    g_autofree guint8 *png = NULL;
    gsize length;
    if (!scene_png (&lesson.scene, &png, &length, error) || !vj_draft_image_bytes (draft, png, length, error))
      flow = VJ_FLOW_ERROR;
  }
  if (flow == VJ_FLOW_OK) {
    vj_draft_question (draft, lesson.open ? VJ_FORM_OPEN : VJ_FORM_CLOSED, lesson.prompt, scene_skill_name (skill));
    vj_draft_gold (draft, lesson.target);
  }
  scene_lesson_clear (&lesson);
  return flow;
}

static const VjOption options[] = {
  VJ_OPTION_LIST (Lessons, skills, "describe,answer", NULL,
                  "What is taught: copy, recite, differ, rewrite, describe, answer, choose, judge, count, each with an optional =SHARE."),
  VJ_OPTION_END,
};

VJ_DEFINE_SOURCE (Lessons, next, .name = "scene-lessons", .version = "1.0", .license = "Apache-2.0", .options = options,
                  .start = start, .summary = "Lessons that teach a small model to see scenes, tell of them and judge.")
