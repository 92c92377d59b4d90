/* What no lesson and no question of the loop shows: other styles of drawing, other wordings, other kinds of fault.
 * For measuring alone, so that a judge is also tried on what it was not made for. */
#ifndef SCENE_STRANGE_H
#define SCENE_STRANGE_H

#include "scene/lesson.h"

/* X (NAME, what the report calls it): pairs that differ from the usual ones in one respect. */
#define SCENE_STRANGE_TABLE(X)                                                         \
  X (STYLE, "unseen style")     /* drawn with outlines, on a slope of light, noisy, or with shapes turned   */ \
  X (WORDING, "unseen wording") /* the same question in another order of words                              */ \
  X (SWAPPED, "unseen: swapped") /* two shapes have exchanged a detail: two words differ                    */ \
  X (DROPPED, "unseen: dropped") /* one shape is not told of, and the number fits what is told               */ \
  X (ADDED, "unseen: added")     /* one shape is told of that is not there, and the number fits              */

typedef enum {
#define SCENE__STRANGE(name, shown) SCENE_STRANGE_##name,
  SCENE_STRANGE_TABLE (SCENE__STRANGE)
#undef SCENE__STRANGE
  SCENE_N_STRANGE
} SceneStrange;

const char *scene_strange_name (SceneStrange strange);

/* A pair about a scene that is sampled here, strange in the respect asked for. Kinds of fault make open pairs; a style goes
 * with either form as `open` says, a wording with closed questions alone. */
void scene_strange_sample (ScenePair *pair, Scene *scene, SceneStrange strange, gboolean open, SceneDice *dice);

#endif
