/* Pairs that no lesson shows. */
#include "scene/strange.h"

#include <string.h>

const char *
scene_strange_name (SceneStrange strange)
{
  static const char *const names[SCENE_N_STRANGE] = {
#define SCENE__NAME(name, shown) shown,
    SCENE_STRANGE_TABLE (SCENE__NAME)
#undef SCENE__NAME
  };
  return names[strange];
}

/* -- faults -------------------------------------------------------------------- */

/* Two shapes exchange a detail in which they differ. FALSE: no two do. */
static gboolean
swap (SceneAccount *account, SceneDice *dice)
{
  struct {
    guint8 i, j, aspect;
  } choices[SCENE_SHAPES_MAX * SCENE_SHAPES_MAX * 3];
  guint n = 0;

  for (guint i = 0; i < account->n; i++)
    for (guint j = i + 1; j < account->n; j++)
      for (SceneAspect a = SCENE_SIZE; a <= SCENE_SHAPE; a++)
        if (account->items[i].is[a] != account->items[j].is[a]) {
          choices[n].i = (guint8) i;
          choices[n].j = (guint8) j;
          choices[n++].aspect = (guint8) a;
        }
  if (n == 0)
    return FALSE;
  guint pick = scene_roll (dice, n), a = choices[pick].aspect;
  guint8 *first = &account->items[choices[pick].i].is[a], *second = &account->items[choices[pick].j].is[a], held = *first;
  *first = *second;
  *second = held;
  return TRUE;
}

static gboolean
drop (SceneAccount *account, SceneDice *dice)
{
  if (account->n < 2)
    return FALSE;
  guint at = scene_roll (dice, account->n);
  memmove (&account->items[at], &account->items[at + 1], (account->n - at - 1) * sizeof account->items[0]);
  account->number = --account->n;
  return TRUE;
}

/* In the order of places, as the truth is told. */
static gboolean
add (SceneAccount *account, SceneDice *dice)
{
  gboolean taken[9] = {FALSE};
  guint at = 0;
  guint8 place;

  if (account->n == SCENE_SHAPES_MAX)
    return FALSE;
  for (guint i = 0; i < account->n; i++)
    taken[account->items[i].is[SCENE_PLACE]] = TRUE;
  do
    place = (guint8) scene_roll (dice, 9);
  while (taken[place]);
  while (at < account->n && account->items[at].is[SCENE_PLACE] < place)
    at++;
  memmove (&account->items[at + 1], &account->items[at], (account->n - at) * sizeof account->items[0]);
  account->items[at].is[SCENE_PLACE] = place;
  for (SceneAspect a = SCENE_SIZE; a <= SCENE_SHAPE; a++)
    account->items[at].is[a] = (guint8) scene_roll (dice, scene_words (a));
  account->number = ++account->n;
  return TRUE;
}

static gboolean
fault (SceneStrange strange, SceneAccount *account, SceneDice *dice)
{
  return strange == SCENE_STRANGE_SWAPPED   ? swap (account, dice)
         : strange == SCENE_STRANGE_DROPPED ? drop (account, dice)
                                            : add (account, dice);
}

static void
fault_pair (ScenePair *pair, Scene *scene, SceneStrange strange, SceneDice *dice)
{
  SceneAccount truth, altered;

  do {
    scene_sample (scene, dice);
    scene_account (scene, &truth);
    altered = truth;
  } while (!fault (strange, &altered, dice));
  pair->open = TRUE;
  pair->question = g_strdup (SCENE_DESCRIBE_PROMPT);
  pair->right = scene_account_text (&truth);
  pair->wrong = scene_account_text (&altered);
}

/* -- wordings -------------------------------------------------------------------- */

/* Every word of these is one of the usual questions'; only their order is new. */
static char *
reworded (const SceneAsk *ask)
{
  const char *place = scene_word (SCENE_PLACE, ask->item.is[SCENE_PLACE]), *color = scene_word (SCENE_COLOR, ask->item.is[SCENE_COLOR]),
             *shape = scene_word (SCENE_SHAPE, ask->item.is[SCENE_SHAPE]);

  switch (ask->form) {
  case SCENE_ASK_COUNT:
    if (ask->aspect == SCENE_NUMBER)
      return g_strdup ("shapes : how many ?");
    return ask->aspect == SCENE_SHAPE ? g_strdup_printf ("%ss : how many ?", shape)
                                      : g_strdup_printf ("%s shapes : how many ?", scene_word (ask->aspect, ask->item.is[ask->aspect]));
  case SCENE_ASK_COLOR_AT: return g_strdup_printf ("at %s is what color ?", place);
  case SCENE_ASK_SHAPE_AT: return g_strdup_printf ("at %s is what shape ?", place);
  case SCENE_ASK_EXISTS: return g_strdup_printf ("any %s %s there ?", color, shape);
  default:
    return g_strdup_printf ("%s or %s at %s ?", scene_word (ask->aspect, ask->item.is[ask->aspect]),
                            scene_word (ask->aspect, ask->other), place);
  }
}

static void
wording_pair (ScenePair *pair, Scene *scene, SceneDice *dice)
{
  SceneAsk ask;

  scene_sample (scene, dice);
  do
    scene_ask_about (&ask, scene, dice);
  while (ask.form == SCENE_ASK_WHERE);
  pair->question = reworded (&ask);
  pair->right = g_strdup (scene_ask_answer (&ask, scene));
  pair->wrong = g_strdup (scene_ask_wrong (&ask, pair->right, dice));
}

void
scene_strange_sample (ScenePair *pair, Scene *scene, SceneStrange strange, gboolean open, SceneDice *dice)
{
  memset (pair, 0, sizeof *pair);
  if (strange == SCENE_STRANGE_STYLE) {
    scene_sample (scene, dice);
    scene->style = SCENE_OUTLINED + scene_roll (dice, SCENE_N_STYLES - SCENE_OUTLINED);
    scene_pair_sample (pair, scene, open, dice);
  } else if (strange == SCENE_STRANGE_WORDING) {
    wording_pair (pair, scene, dice);
  } else {
    fault_pair (pair, scene, strange, dice);
  }
  pair->how = scene_strange_name (strange);
}
