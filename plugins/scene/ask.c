/* Closed questions about scenes, and their answers. */
#include "scene/scene.h"

#include <string.h>

static const char *const none = "none";

const char *
scene_ask_form_name (SceneAskForm form)
{
  static const char *const names[SCENE_N_ASKS] = {"count", "color", "shape", "yes-no", "choice", "where"};
  return names[form];
}

/* Picks the second alternative: another word of the aspect than the first. */
static void
pick_other (SceneAsk *ask, SceneDice *dice)
{
  guint n = scene_words (ask->aspect);
  ask->other = (guint8) ((ask->item.is[ask->aspect] + 1 + scene_roll (dice, n - 1)) % n);
}

/* Random words for a form. */
static void
fill (SceneAsk *ask, SceneAskForm form, SceneDice *dice)
{
  memset (ask, 0, sizeof *ask);
  ask->form = form;
  for (SceneAspect a = SCENE_PLACE; a <= SCENE_SHAPE; a++)
    ask->item.is[a] = (guint8) scene_roll (dice, scene_words (a));
  if (form == SCENE_ASK_COUNT)
    ask->aspect = SCENE_SIZE + scene_roll (dice, 4);
  if (form == SCENE_ASK_CHOICE)
    ask->aspect = SCENE_SIZE + scene_roll (dice, 3);
  if (form == SCENE_ASK_CHOICE || form == SCENE_ASK_WHERE)
    pick_other (ask, dice);
}

void
scene_ask_sample (SceneAsk *ask, SceneDice *dice)
{
  fill (ask, (SceneAskForm) scene_roll (dice, SCENE_ASK_WHERE), dice);
}

void
scene_ask_about (SceneAsk *ask, const Scene *scene, SceneDice *dice)
{
  fill (ask, (SceneAskForm) scene_roll (dice, SCENE_N_ASKS), dice);
  if (scene_roll (dice, 5) == 0)
    return; /* a fifth keeps its random words, so that "none" is also learned */
  ask->item = scene->items[scene_roll (dice, scene->n)];
  if (ask->form == SCENE_ASK_EXISTS && scene_roll (dice, 2)) {
    SceneAspect a = scene_roll (dice, 2) ? SCENE_COLOR : SCENE_SHAPE;
    ask->item.is[a] = (guint8) scene_roll (dice, scene_words (a));
  }
  if (ask->form == SCENE_ASK_CHOICE || ask->form == SCENE_ASK_WHERE) {
    pick_other (ask, dice);
    if (scene_roll (dice, 2)) {
      guint8 first = ask->item.is[ask->aspect];
      ask->item.is[ask->aspect] = ask->other;
      ask->other = first;
    }
  }
}

static const char *
word (const SceneAsk *ask, SceneAspect aspect)
{
  return scene_word (aspect, ask->item.is[aspect]);
}

char *
scene_ask_text (const SceneAsk *ask)
{
  switch (ask->form) {
  case SCENE_ASK_COUNT:
    if (ask->aspect == SCENE_NUMBER)
      return g_strdup ("how many shapes ?");
    if (ask->aspect == SCENE_SHAPE)
      return g_strdup_printf ("how many %ss ?", word (ask, SCENE_SHAPE));
    return g_strdup_printf ("how many %s shapes ?", word (ask, ask->aspect));
  case SCENE_ASK_COLOR_AT: return g_strdup_printf ("what color is at %s ?", word (ask, SCENE_PLACE));
  case SCENE_ASK_SHAPE_AT: return g_strdup_printf ("what shape is at %s ?", word (ask, SCENE_PLACE));
  case SCENE_ASK_EXISTS:
    return g_strdup_printf ("is there any %s %s ?", word (ask, SCENE_COLOR), word (ask, SCENE_SHAPE));
  case SCENE_ASK_CHOICE:
    return g_strdup_printf ("at %s %s or %s ?", word (ask, SCENE_PLACE), word (ask, ask->aspect),
                            scene_word (ask->aspect, ask->other));
  default:
    return g_strdup_printf ("%s %s at %s or %s ?", word (ask, SCENE_COLOR), word (ask, SCENE_SHAPE),
                            word (ask, SCENE_PLACE), scene_word (SCENE_PLACE, ask->other));
  }
}

static const SceneItem *
item_at (const Scene *scene, guint8 place)
{
  for (guint i = 0; i < scene->n; i++)
    if (scene->items[i].is[SCENE_PLACE] == place)
      return &scene->items[i];
  return NULL;
}

/* Whether an item has the colour and shape asked about. */
static gboolean
is_asked (const SceneAsk *ask, const SceneItem *item)
{
  return item && item->is[SCENE_COLOR] == ask->item.is[SCENE_COLOR] && item->is[SCENE_SHAPE] == ask->item.is[SCENE_SHAPE];
}

const char *
scene_ask_answer (const SceneAsk *ask, const Scene *scene)
{
  const SceneItem *there = item_at (scene, ask->item.is[SCENE_PLACE]);
  guint number = 0;

  switch (ask->form) {
  case SCENE_ASK_COUNT:
    for (guint i = 0; i < scene->n; i++)
      number += ask->aspect == SCENE_NUMBER || scene->items[i].is[ask->aspect] == ask->item.is[ask->aspect];
    return scene_word (SCENE_NUMBER, number);
  case SCENE_ASK_COLOR_AT: return there ? scene_word (SCENE_COLOR, there->is[SCENE_COLOR]) : none;
  case SCENE_ASK_SHAPE_AT: return there ? scene_word (SCENE_SHAPE, there->is[SCENE_SHAPE]) : none;
  case SCENE_ASK_EXISTS:
    for (guint i = 0; i < scene->n; i++)
      number += is_asked (ask, &scene->items[i]);
    return number ? "yes" : "no";
  case SCENE_ASK_CHOICE:
    if (there && (there->is[ask->aspect] == ask->item.is[ask->aspect] || there->is[ask->aspect] == ask->other))
      return scene_word (ask->aspect, there->is[ask->aspect]);
    return none;
  default:
    if (is_asked (ask, there))
      return word (ask, SCENE_PLACE);
    return is_asked (ask, item_at (scene, ask->other)) ? scene_word (SCENE_PLACE, ask->other) : none;
  }
}

const char *
scene_ask_wrong (const SceneAsk *ask, const char *right, SceneDice *dice)
{
  static const SceneAspect sorts[SCENE_N_ASKS] = {SCENE_NUMBER, SCENE_COLOR, SCENE_SHAPE, SCENE_NUMBER, SCENE_NUMBER, SCENE_PLACE};
  SceneAspect sort = ask->form == SCENE_ASK_CHOICE ? ask->aspect : sorts[ask->form];
  const char *wrong = right;

  if (ask->form == SCENE_ASK_EXISTS)
    return strcmp (right, "yes") == 0 ? "no" : "yes";
  while (strcmp (wrong, right) == 0) {
    if (ask->form == SCENE_ASK_CHOICE || ask->form == SCENE_ASK_WHERE) {
      guint pick = scene_roll (dice, 3);
      wrong = pick == 0 ? none : scene_word (sort, pick == 1 ? ask->item.is[sort] : ask->other);
    } else if (sort != SCENE_NUMBER && scene_roll (dice, 4) == 0) {
      wrong = none;
    } else {
      wrong = scene_word (sort, scene_roll (dice, scene_words (sort)));
    }
  }
  return wrong;
}

char *
scene_ask_lead (const SceneAsk *ask)
{
  switch (ask->form) {
  case SCENE_ASK_COUNT:
    return g_strdup_printf ("count %s", ask->aspect == SCENE_NUMBER ? "shapes" : word (ask, ask->aspect));
  case SCENE_ASK_COLOR_AT:
  case SCENE_ASK_SHAPE_AT:
  case SCENE_ASK_CHOICE: return g_strdup_printf ("at %s", word (ask, SCENE_PLACE));
  default: return g_strdup_printf ("%s %s", word (ask, SCENE_COLOR), word (ask, SCENE_SHAPE));
  }
}
