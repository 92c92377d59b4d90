/* Lessons and pairs. */
#include "scene/lesson.h"

#include <string.h>

const char *
scene_skill_name (SceneSkill skill)
{
  static const char *const names[SCENE_N_SKILLS] = {
#define SCENE__NAME(name, recipe, shown, what) recipe,
    SCENE_SKILL_TABLE (SCENE__NAME)
#undef SCENE__NAME
  };
  return names[skill];
}

/* The one word that `text` begins with, as the scene world has it. Static. */
static const char *
first_word (const char *text)
{
  gsize length = strcspn (text, " ");

  for (SceneAspect a = 0; a < SCENE_N_ASPECTS; a++) {
    int index = scene_word_find (a, text, length);
    if (index >= 0)
      return scene_word (a, (guint) index);
  }
  g_return_val_if_reached (NULL);
}

/* The words that both descriptions share until they differ, and the first in which they do. A trace repeats them: copying from
 * two texts word by word is something a small decoder learns in minutes; saying at once where they differ it does not. */
static void
find_difference (ScenePair *pair)
{
  gsize word = 0;

  for (gsize i = 0; pair->right[i] == pair->wrong[i]; i++)
    if (pair->right[i] == ' ')
      word = i + 1;
  pair->lead = g_strndup (pair->right, word);
  pair->seen = first_word (pair->right + word);
  pair->unseen = first_word (pair->wrong + word);
}

static void
open_pair (ScenePair *pair, const Scene *scene, SceneDice *dice)
{
  SceneKind kind = (SceneKind) scene_roll (dice, SCENE_N_KINDS);
  SceneAccount truth, altered;

  scene_account (scene, &truth);
  altered = truth;
  scene_account_alter (&altered, kind, dice);
  pair->question = g_strdup (SCENE_DESCRIBE_PROMPT);
  pair->right = scene_account_text (&truth);
  pair->wrong = scene_account_text (&altered);
  pair->how = scene_kind_name (kind);
  find_difference (pair);
}

void
scene_pair_sample (ScenePair *pair, const Scene *scene, gboolean open, SceneDice *dice)
{
  SceneAsk ask;

  memset (pair, 0, sizeof *pair);
  pair->open = open;
  if (open) {
    open_pair (pair, scene, dice);
    return;
  }
  if (scene_roll (dice, 2))
    scene_ask_sample (&ask, dice);
  else
    do
      scene_ask_about (&ask, scene, dice);
    while (ask.form == SCENE_ASK_WHERE);
  pair->question = scene_ask_text (&ask);
  g_autofree char *lead = scene_ask_lead (&ask);
  pair->lead = g_strconcat (lead, " ", NULL);
  pair->how = scene_ask_form_name (ask.form);
  pair->seen = scene_ask_answer (&ask, scene);
  pair->unseen = scene_ask_wrong (&ask, pair->seen, dice);
  pair->right = g_strdup (pair->seen);
  pair->wrong = g_strdup (pair->unseen);
}

void
scene_pair_clear (ScenePair *pair)
{
  g_free (pair->question);
  g_free (pair->right);
  g_free (pair->wrong);
  g_free (pair->lead);
  memset (pair, 0, sizeof *pair);
}

/* -- text alone ------------------------------------------------------------------ */

static void
copy_lesson (SceneLesson *lesson, SceneDice *dice)
{
  GString *words = g_string_new (NULL);
  guint n = 2 + scene_roll (dice, 14);

  for (guint i = 0; i < n; i++) {
    SceneAspect a = scene_roll (dice, SCENE_N_ASPECTS);
    g_string_append_printf (words, "%s%s", i ? " " : "", scene_word (a, scene_roll (dice, scene_words (a))));
  }
  lesson->target = g_string_free (words, FALSE);
  lesson->prompt = g_strdup_printf ("copy : %s", lesson->target);
}

static void
recite_lesson (SceneLesson *lesson)
{
  SceneAccount truth;

  scene_account (&lesson->scene, &truth);
  lesson->target = scene_account_text (&truth);
  lesson->prompt = g_strdup_printf ("copy : %s", lesson->target);
}

static void
rewrite_lesson (SceneLesson *lesson, SceneDice *dice)
{
  SceneKind kind = (SceneKind) scene_roll (dice, SCENE_N_KINDS);
  g_autofree char *text = NULL;
  SceneAccount account;

  scene_account (&lesson->scene, &account);
  text = scene_account_text (&account);
  lesson->prompt = g_strdup_printf ("rewrite %s : %s", scene_kind_name (kind), text);
  scene_account_alter (&account, kind, dice);
  lesson->target = scene_account_text (&account);
}

/* -- pairs ------------------------------------------------------------------------ */

/* One pair in three forms: a question to name the difference; a difference named, and which of the two
 * the picture shows; both together, which is judging. A letter always follows its word: with the letter
 * first a small decoder copies the words but not the verdict. */
static void
pair_lesson (SceneLesson *lesson, SceneSkill skill, SceneDice *dice)
{
  gboolean right_is_a = scene_roll (dice, 2) == 0;
  const char *letter = right_is_a ? "A" : "B";
  g_autofree char *difference = NULL, *verdict = NULL, *asked = NULL;
  ScenePair pair;

  lesson->open = scene_roll (dice, 5) < 3;
  scene_pair_sample (&pair, &lesson->scene, lesson->open, dice);
  difference = g_strdup_printf ("%s%s A %s B", pair.lead, right_is_a ? pair.seen : pair.unseen,
                                right_is_a ? pair.unseen : pair.seen);
  verdict = g_strdup_printf ("image shows %s %s so [[%s]]", pair.seen, letter, letter);
  asked = g_strdup_printf ("%s A : %s B : %s", pair.question, right_is_a ? pair.right : pair.wrong,
                           right_is_a ? pair.wrong : pair.right);
  if (skill == SCENE_SKILL_DIFFER) {
    lesson->prompt = g_strdup_printf ("differ : %s", asked);
    lesson->target = g_steal_pointer (&difference);
  } else if (skill == SCENE_SKILL_CHOOSE) {
    lesson->prompt = g_strdup_printf ("choose : %s", difference);
    lesson->target = g_steal_pointer (&verdict);
  } else {
    lesson->prompt = g_strdup_printf ("judge : %s", asked);
    lesson->target = g_strdup_printf ("%s ; %s", difference, verdict);
  }
  scene_pair_clear (&pair);
}

static void
answer_lesson (SceneLesson *lesson, gboolean count, SceneDice *dice)
{
  SceneAsk ask;

  do
    if (scene_roll (dice, 3) == 0)
      scene_ask_sample (&ask, dice);
    else
      scene_ask_about (&ask, &lesson->scene, dice);
  while (count && ask.form != SCENE_ASK_COUNT);
  lesson->prompt = scene_ask_text (&ask);
  lesson->target = g_strdup (scene_ask_answer (&ask, &lesson->scene));
}

static void
describe_lesson (SceneLesson *lesson)
{
  SceneAccount truth;

  scene_account (&lesson->scene, &truth);
  lesson->prompt = g_strdup (SCENE_DESCRIBE_PROMPT);
  lesson->target = scene_account_text (&truth);
}

void
scene_lesson_sample (SceneLesson *lesson, SceneSkill skill, SceneDice *dice)
{
  memset (lesson, 0, sizeof *lesson);
  scene_sample (&lesson->scene, dice);
  lesson->shown = skill >= SCENE_SKILL_DESCRIBE;
  lesson->open = skill != SCENE_SKILL_ANSWER && skill != SCENE_SKILL_COUNT;
  switch (skill) {
  case SCENE_SKILL_COPY: copy_lesson (lesson, dice); break;
  case SCENE_SKILL_RECITE: recite_lesson (lesson); break;
  case SCENE_SKILL_REWRITE: rewrite_lesson (lesson, dice); break;
  case SCENE_SKILL_DESCRIBE: describe_lesson (lesson); break;
  case SCENE_SKILL_ANSWER:
  case SCENE_SKILL_COUNT: answer_lesson (lesson, skill == SCENE_SKILL_COUNT, dice); break;
  default: pair_lesson (lesson, skill, dice); break;
  }
}

void
scene_lesson_clear (SceneLesson *lesson)
{
  g_free (lesson->prompt);
  g_free (lesson->target);
  memset (lesson, 0, sizeof *lesson);
}
