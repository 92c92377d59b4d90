/* Texts in pictures, for those who paint and test them; scene.h has the rest. */
#ifndef SCENE_LETTERS_H
#define SCENE_LETTERS_H

#include "scene/scene.h"
#include <wand/MagickWand.h>

/* Whether the glyph of `c` (A to Z, 0 to 9) has a dot there: 3 columns, 5 rows, from the top left. */
gboolean scene_glyph_dot (char c, guint column, guint row);

/* Where scene->text stands, in pixels; one column of dots is free between two glyphs. The scene must have a text. */
typedef struct {
  guint x, y, width, height;
  guint dot[2];  /* width and height of a dot */
  guint8 ink[3]; /* RGB, far from the ground  */
} SceneTextBox;
SceneTextBox scene_text_box (const Scene *scene);

/* FALSE when MagickWand fails. */
gboolean scene_paint_text (const Scene *scene, MagickWand *wand);

#endif
