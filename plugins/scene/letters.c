/* Texts in pictures: a small font of our own, for no font file is sure to be there. */
#include "scene/letters.h"

#include <string.h>
#include <wand/MagickWand.h>

#define GLYPH_COLUMNS 3
#define GLYPH_ROWS 5

/* A glyph is five octal digits, its rows from the top; the bits of a digit are the dots of its row from the left. */
static const guint16 letters[26] = {
  025755, 065656, 034443, 065556, 074647, 074644, 034553, 055755, 072227, 011152, 055655, 044447, 057755, /* A to M */
  065555, 025552, 065644, 025573, 065655, 034216, 072222, 055557, 055552, 055775, 055255, 055222, 071247, /* N to Z */
};
static const guint16 digits[10] = {075557, 026227, 061247, 061216, 055711, 074616, 034652, 071222, 025252, 025316};

static const char *const words[] = {"A",   "K",   "X",   "Z",   "GO",  "IN",   "NO",   "ON",   "UP",   "ART",  "BOX",  "BUS",
                                    "CAT", "DOG", "HAT", "KEY", "SUN", "BIRD", "CAFE", "FISH", "MOON", "OPEN", "QUIZ", "STOP",
                                    "TREE", "VIEW", "YARD"};

/* Pixels of a dot by the length of the text, so that any of them fits a cell of 18 pixels: width, height. */
static const guint8 dots[SCENE_TEXT_MAX][2] = {{3, 3}, {2, 2}, {1, 2}, {1, 2}};

gboolean
scene_glyph_dot (char c, guint column, guint row)
{
  guint16 glyph = g_ascii_isdigit (c) ? digits[c - '0'] : g_ascii_isupper (c) ? letters[c - 'A'] : 0;
  return glyph >> (3 * (GLYPH_ROWS - 1 - row) + GLYPH_COLUMNS - 1 - column) & 1;
}

void
scene_sample_text (Scene *scene, SceneDice *dice)
{
  gboolean taken;

  if (scene_roll (dice, 2) == 0)
    g_strlcpy (scene->text, words[scene_roll (dice, G_N_ELEMENTS (words))], sizeof scene->text);
  else {
    guint n = 1 + scene_roll (dice, SCENE_TEXT_MAX);
    for (guint i = 0; i < n; i++)
      scene->text[i] = (char) (i == 0 && n > 1 ? '1' + scene_roll (dice, 9) : '0' + scene_roll (dice, 10));
    scene->text[n] = '\0';
  }
  do {
    scene->text_place = (guint8) scene_roll (dice, 9);
    taken = FALSE;
    for (guint i = 0; i < scene->n; i++)
      taken |= scene->items[i].is[SCENE_PLACE] == scene->text_place;
  } while (taken);
}

SceneTextBox
scene_text_box (const Scene *scene)
{
  guint n = (guint) strlen (scene->text), dx = dots[n - 1][0], dy = dots[n - 1][1];
  SceneTextBox box = {.dot = {dx, dy}, .width = ((GLYPH_COLUMNS + 1) * n - 1) * dx, .height = GLYPH_ROWS * dy};

  /* The middle of its cell, in whole pixels. */
  box.x = (2 * (scene->text_place % 3) + 1) * SCENE_SIDE / 6 - box.width / 2;
  box.y = (2 * (scene->text_place / 3) + 1) * SCENE_SIDE / 6 - box.height / 2;
  for (int c = 0; c < 3; c++)
    box.ink[c] = scene->ground[1] < 128 ? 240 : 16;
  return box;
}

/* Dots are set as they are, without the soft edges of drawing: small letters live by them. */
gboolean
scene_paint_text (const Scene *scene, MagickWand *wand)
{
  SceneTextBox box = scene_text_box (scene);
  guint8 dot[3 * 3 * 3];
  gboolean ok = TRUE;

  for (guint i = 0; i < G_N_ELEMENTS (dot); i++)
    dot[i] = box.ink[i % 3];
  for (guint i = 0; scene->text[i]; i++)
    for (guint row = 0; row < GLYPH_ROWS; row++)
      for (guint column = 0; column < GLYPH_COLUMNS; column++)
        if (scene_glyph_dot (scene->text[i], column, row))
          ok &= MagickImportImagePixels (wand, (ssize_t) (box.x + ((GLYPH_COLUMNS + 1) * i + column) * box.dot[0]),
                                         (ssize_t) (box.y + row * box.dot[1]), box.dot[0], box.dot[1], "RGB", CharPixel, dot)
                != MagickFalse;
  return ok;
}
