/* Descriptions of scenes: words, telling, reading back, changing one detail. */
#include "scene/scene.h"

#include <string.h>

#define WORDS_MAX 9

static const struct {
  guint n;
  const char *words[WORDS_MAX];
} aspects[SCENE_N_ASPECTS] = {
  [SCENE_PLACE] = {9, {"northwest", "north", "northeast", "west", "center", "east", "southwest", "south", "southeast"}},
  [SCENE_SIZE] = {2, {"small", "large"}},
  [SCENE_COLOR] = {6, {"red", "green", "blue", "yellow", "purple", "orange"}},
  [SCENE_SHAPE] = {3, {"circle", "square", "triangle"}},
  [SCENE_NUMBER] = {5, {"zero", "one", "two", "three", "four"}},
};

guint
scene_words (SceneAspect aspect)
{
  return aspects[aspect].n;
}

const char *
scene_word (SceneAspect aspect, guint index)
{
  return aspects[aspect].words[index];
}

int
scene_word_find (SceneAspect aspect, const char *word, gsize length)
{
  for (guint i = 0; i < aspects[aspect].n; i++)
    if (strlen (aspects[aspect].words[i]) == length && memcmp (aspects[aspect].words[i], word, length) == 0)
      return (int) i;
  return -1;
}

void
scene_account (const Scene *scene, SceneAccount *ret_account)
{
  memset (ret_account, 0, sizeof *ret_account);
  ret_account->number = ret_account->n = scene->n;
  memcpy (ret_account->items, scene->items, sizeof scene->items);
  memcpy (ret_account->text, scene->text, sizeof scene->text);
  ret_account->text_place = scene->text_place;
}

char *
scene_account_text (const SceneAccount *account)
{
  GString *text = g_string_new (scene_word (SCENE_NUMBER, account->number));

  g_string_append (text, account->number == 1 ? " shape" : " shapes");
  for (guint i = 0; i < account->n; i++) {
    g_string_append (text, " ;");
    for (SceneAspect a = SCENE_PLACE; a <= SCENE_SHAPE; a++)
      g_string_append_printf (text, " %s", scene_word (a, account->items[i].is[a]));
  }
  if (*account->text)
    g_string_append_printf (text, " ; %s text %s", scene_word (SCENE_PLACE, account->text_place), account->text);
  return g_string_free (text, FALSE);
}

/* Takes one space-separated word that tells `aspect` off *text; -1 if it is another. */
static int
take (const char **text, SceneAspect aspect)
{
  gsize length = strcspn (*text, " ");
  int index = scene_word_find (aspect, *text, length);

  if (index >= 0)
    *text += length + ((*text)[length] == ' ');
  return index;
}

/* Reads "east text CAT" and nothing behind it. FALSE leaves *account as it was. */
static gboolean
read_text (const char *text, SceneAccount *account)
{
  int place = take (&text, SCENE_PLACE);
  gsize length;

  if (place < 0 || !g_str_has_prefix (text, "text "))
    return FALSE;
  text += strlen ("text ");
  length = strspn (text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
  if (length == 0 || length > SCENE_TEXT_MAX || text[length])
    return FALSE;
  account->text_place = (guint8) place;
  memcpy (account->text, text, length);
  return TRUE;
}

gboolean
scene_account_read (const char *text, SceneAccount *ret_account)
{
  SceneAccount account = {0};
  int number = take (&text, SCENE_NUMBER);

  if (number < 0 || !g_str_has_prefix (text, "shape"))
    return FALSE;
  account.number = (guint) number;
  text += strlen ("shape");
  text += *text == 's';
  while (*text) {
    if (!g_str_has_prefix (text, account.n == 0 ? " ; " : "; "))
      return FALSE;
    text += account.n == 0 ? 3 : 2;
    if (read_text (text, &account))
      break;
    if (account.n == SCENE_SHAPES_MAX)
      return FALSE;
    for (SceneAspect a = SCENE_PLACE; a <= SCENE_SHAPE; a++) {
      int index = take (&text, a);
      if (index < 0)
        return FALSE;
      account.items[account.n].is[a] = (guint8) index;
    }
    account.n++;
  }
  *ret_account = account;
  return TRUE;
}

static const SceneItem *
item_at (const SceneAccount *account, guint8 place)
{
  for (guint i = 0; i < account->n; i++)
    if (account->items[i].is[SCENE_PLACE] == place)
      return &account->items[i];
  return NULL;
}

void
scene_account_mark (const char *text, const SceneAccount *truth, SceneMarks *marks)
{
  SceneAccount account;

  marks->stated[SCENE_NUMBER]++;
  if (!scene_account_read (text, &account))
    return;
  marks->right[SCENE_NUMBER] += account.number == truth->n;
  for (guint i = 0; i < account.n; i++) {
    const SceneItem *there = item_at (truth, account.items[i].is[SCENE_PLACE]);
    marks->stated[SCENE_PLACE]++;
    marks->right[SCENE_PLACE] += there != NULL;
    for (SceneAspect a = SCENE_SIZE; there && a <= SCENE_SHAPE; a++) {
      marks->stated[a]++;
      marks->right[a] += there->is[a] == account.items[i].is[a];
    }
  }
}

const char *
scene_kind_name (SceneKind kind)
{
  static const char *const names[SCENE_N_KINDS] = {"attribute", "count", "position"};
  return names[kind];
}

/* Another index below n than `old`. */
static guint8
other_index (guint old, guint n, SceneDice *dice)
{
  return (guint8) ((old + 1 + scene_roll (dice, n - 1)) % n);
}

void
scene_account_alter (SceneAccount *account, SceneKind kind, SceneDice *dice)
{
  SceneItem *item = &account->items[scene_roll (dice, MAX (account->n, 1))];

  if (kind == SCENE_COUNT || account->n == 0) {
    /* "zero" is left out: no picture is empty. */
    account->number = 1 + other_index (account->number - 1, SCENE_SHAPES_MAX, dice);
  } else if (kind == SCENE_ATTRIBUTE) {
    SceneAspect a = SCENE_SIZE + scene_roll (dice, 3);
    item->is[a] = other_index (item->is[a], scene_words (a), dice);
  } else {
    guint8 place;
    gboolean taken;
    do {
      place = (guint8) scene_roll (dice, 9);
      taken = FALSE;
      for (guint i = 0; i < account->n; i++)
        taken |= account->items[i].is[SCENE_PLACE] == place;
      taken |= *account->text && account->text_place == place;
    } while (taken);
    item->is[SCENE_PLACE] = place;
  }
}

int
scene_account_changed (const SceneAccount *original, const char *text)
{
  SceneAccount altered;
  int kind = -1;
  guint changes = 0;

  if (!scene_account_read (text, &altered) || altered.n != original->n || altered.text_place != original->text_place
      || strcmp (altered.text, original->text) != 0)
    return -1;
  if (altered.number != original->number) {
    kind = SCENE_COUNT;
    changes++;
  }
  for (guint i = 0; i < original->n; i++)
    for (SceneAspect a = SCENE_PLACE; a <= SCENE_SHAPE; a++)
      if (altered.items[i].is[a] != original->items[i].is[a]) {
        kind = a == SCENE_PLACE ? SCENE_POSITION : SCENE_ATTRIBUTE;
        changes++;
      }
  return changes == 1 ? kind : -1;
}
