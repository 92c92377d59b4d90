/* Lessons: what a small model is taught, skill by skill, until it can see scenes, tell
 * of them, rewrite what was told, and judge. The prompts below are the ones that recipes
 * use with the model (models/vj-tiny/README.md lists them). */
#ifndef SCENE_LESSON_H
#define SCENE_LESSON_H

#include "scene/scene.h"

#define SCENE_DESCRIBE_PROMPT "describe the image"

/* X (NAME, recipe name, with a picture, what the model learns by it) */
#define SCENE_SKILL_TABLE(X)                                                                       \
  X (COPY, "copy", FALSE, "repeats random words")                                                  \
  X (RECITE, "recite", FALSE, "repeats a description")                                             \
  X (DIFFER, "differ", FALSE, "names the words in which two answers differ, each with its letter") \
  X (REWRITE, "rewrite", FALSE, "repeats a description with one detail changed")                   \
  X (DESCRIBE, "describe", TRUE, "describes the picture")                                          \
  X (ANSWER, "answer", TRUE, "answers a closed question")                                          \
  X (CHOOSE, "choose", TRUE, "says which of two words, each with its letter, the picture shows")   \
  X (JUDGE, "judge", TRUE, "names the difference, the word seen, and the better answer")         \
  X (COUNT, "count", TRUE, "answers how many there are, the hardest of the closed questions")

typedef enum {
#define SCENE__SKILL(name, recipe, shown, what) SCENE_SKILL_##name,
  SCENE_SKILL_TABLE (SCENE__SKILL)
#undef SCENE__SKILL
  SCENE_N_SKILLS
} SceneSkill;

const char *scene_skill_name (SceneSkill skill);

typedef struct {
  Scene scene;     /* drawn only when `shown` */
  gboolean shown;
  gboolean open;   /* about a description, not a closed question */
  char *prompt;    /* owned */
  char *target;    /* owned */
} SceneLesson;

void scene_lesson_sample (SceneLesson *lesson, SceneSkill skill, SceneDice *dice);
void scene_lesson_clear (SceneLesson *lesson);

/* Two answers of which exactly one is right. */
typedef struct {
  gboolean open;
  char *question;
  char *right, *wrong; /* the answers                                        */
  char *lead;          /* what a trace opens with, up to where they differ: "at northwest ", "two shapes ; north " or "" */
  const char *seen;    /* the right answer's word there                      */
  const char *unseen;  /* the wrong one's                                    */
  const char *how;     /* a SceneKind's name, or a question form's           */
} ScenePair;

/* A pair about the scene: the true description against one with a changed word, or the right answer
 * of a closed question against a wrong one. */
void scene_pair_sample (ScenePair *pair, const Scene *scene, gboolean open, SceneDice *dice);
void scene_pair_clear (ScenePair *pair);

#endif
