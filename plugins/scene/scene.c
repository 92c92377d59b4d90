/* Drawing scenes: chance, then MagickWand. */
#include "scene/letters.h"

#include <string.h>
#include <wand/MagickWand.h>

/* Cells are 56 / 3 pixels wide; large shapes nearly fill them, small ones keep to 12 pixels,
 * below which a model of a few million weights learns shapes late. */
static const double diameters[2] = {12.0, 17.0};

static const guint8 paints[6][3] = {{214, 44, 44},  {44, 160, 62},  {48, 84, 214},
                                    {232, 214, 60}, {148, 62, 186}, {236, 138, 36}};

guint32
scene_roll (SceneDice *dice, guint32 below)
{
  guint64 z = (dice->state += G_GUINT64_CONSTANT (0x9e3779b97f4a7c15));

  z = (z ^ (z >> 30)) * G_GUINT64_CONSTANT (0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * G_GUINT64_CONSTANT (0x94d049bb133111eb);
  /* Multiply-shift: off uniform by less than below / 2^32. */
  return (guint32) ((((z ^ (z >> 31)) >> 32) * below) >> 32);
}

static guint8
jitter (guint8 value, guint32 range, SceneDice *dice)
{
  int moved = (int) value + (int) scene_roll (dice, 2 * range + 1) - (int) range;
  return (guint8) CLAMP (moved, 0, 255);
}

void
scene_sample (Scene *scene, SceneDice *dice)
{
  guint8 places[9] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  guint32 grey = scene_roll (dice, 2) ? 200 + scene_roll (dice, 50) : scene_roll (dice, 50);

  memset (scene, 0, sizeof *scene);
  scene->n = 1 + scene_roll (dice, SCENE_SHAPES_MAX);
  for (int c = 0; c < 3; c++)
    scene->ground[c] = jitter ((guint8) grey, 6, dice);

  /* A partial shuffle picks the places; sorted, so that item order is reading order. */
  for (guint i = 0; i < scene->n; i++) {
    guint j = i + scene_roll (dice, 9 - i);
    guint8 place = places[j];
    places[j] = places[i];
    guint at = i;
    for (; at > 0 && places[at - 1] > place; at--)
      places[at] = places[at - 1];
    places[at] = place;
  }

  for (guint i = 0; i < scene->n; i++) {
    scene->items[i].is[SCENE_PLACE] = places[i];
    for (SceneAspect a = SCENE_SIZE; a <= SCENE_SHAPE; a++)
      scene->items[i].is[a] = (guint8) scene_roll (dice, scene_words (a));
    scene->shift[i][0] = (gint8) ((int) scene_roll (dice, 3) - 1);
    scene->shift[i][1] = (gint8) ((int) scene_roll (dice, 3) - 1);
    for (int c = 0; c < 3; c++)
      scene->paint[i][c] = jitter (paints[scene->items[i].is[SCENE_COLOR]][c], 14, dice);
  }
}

static void
fill (PixelWand *pixel, const guint8 *rgb)
{
  PixelSetRedQuantum (pixel, (Quantum) (rgb[0] * (QuantumRange / 255)));
  PixelSetGreenQuantum (pixel, (Quantum) (rgb[1] * (QuantumRange / 255)));
  PixelSetBlueQuantum (pixel, (Quantum) (rgb[2] * (QuantumRange / 255)));
}

static void
draw_item (DrawingWand *pen, PixelWand *pixel, const Scene *scene, guint i)
{
  const SceneItem *item = &scene->items[i];
  double cell = SCENE_SIDE / 3.0, r = diameters[item->is[SCENE_SIZE]] / 2;
  double x = cell * (item->is[SCENE_PLACE] % 3 + 0.5) + scene->shift[i][0] - 0.5;
  double y = cell * (item->is[SCENE_PLACE] / 3 + 0.5) + scene->shift[i][1] - 0.5;
  PointInfo corners[3] = {{x, y - r}, {x + r, y + r}, {x - r, y + r}}, turned[3] = {{x - r, y}, {x + r, y - r}, {x + r, y + r}};
  double in = 0.35 * r;
  PointInfo tilted[4] = {{x - in, y - r}, {x + r, y - in}, {x + in, y + r}, {x - r, y + in}};

  fill (pixel, scene->paint[i]);
  DrawSetFillColor (pen, pixel);
  switch (item->is[SCENE_SHAPE]) {
  case 0: DrawCircle (pen, x, y, x + r, y); break;
  case 1:
    if (scene->style == SCENE_TURNED)
      DrawPolygon (pen, 4, tilted);
    else
      DrawRectangle (pen, x - r, y - r, x + r, y + r);
    break;
  default: DrawPolygon (pen, 3, scene->style == SCENE_TURNED ? turned : corners); break;
  }
}

static void
outline (DrawingWand *pen, PixelWand *pixel, const Scene *scene)
{
  const guint8 dark[3] = {0, 0, 0}, light[3] = {255, 255, 255};

  fill (pixel, scene->ground[1] < 128 ? light : dark);
  DrawSetStrokeColor (pen, pixel);
  DrawSetStrokeWidth (pen, 1);
}

/* Row by row from 28 below the background's colour to 28 above it. */
static void
shade (DrawingWand *pen, PixelWand *pixel, const Scene *scene)
{
  for (int y = 0; y < SCENE_SIDE; y++) {
    guint8 rgb[3];
    for (int c = 0; c < 3; c++)
      rgb[c] = (guint8) CLAMP (scene->ground[c] + y - SCENE_SIDE / 2, 0, 255);
    fill (pixel, rgb);
    DrawSetFillColor (pen, pixel);
    DrawRectangle (pen, 0, y, SCENE_SIDE - 1, y);
  }
}

/* The scene's background names the noise, so equal scenes stay equal pixels. */
static gboolean
disturb (const Scene *scene, MagickWand *wand)
{
  SceneDice dice = {(guint64) scene->ground[0] << 16 | (guint64) scene->ground[1] << 8 | scene->ground[2]};
  g_autofree guint8 *rgb = g_malloc (SCENE_BYTES);

  if (!MagickExportImagePixels (wand, 0, 0, SCENE_SIDE, SCENE_SIDE, "RGB", CharPixel, rgb))
    return FALSE;
  for (guint i = 0; i < SCENE_BYTES; i++)
    rgb[i] = jitter (rgb[i], 24, &dice);
  return MagickImportImagePixels (wand, 0, 0, SCENE_SIDE, SCENE_SIDE, "RGB", CharPixel, rgb);
}

/* A wand that holds the painted scene; NULL with the error set. */
static MagickWand *
paint (const Scene *scene, GError **error)
{
  MagickWand *wand = NewMagickWand ();
  DrawingWand *pen = NewDrawingWand ();
  PixelWand *pixel = NewPixelWand ();
  gboolean ok;

  fill (pixel, scene->ground);
  ok = MagickNewImage (wand, SCENE_SIDE, SCENE_SIDE, pixel);
  if (scene->style == SCENE_SHADED)
    shade (pen, pixel, scene);
  if (scene->style == SCENE_OUTLINED)
    outline (pen, pixel, scene);
  for (guint i = 0; i < scene->n; i++)
    draw_item (pen, pixel, scene, i);
  ok = ok && MagickDrawImage (wand, pen);
  if (*scene->text)
    ok = ok && scene_paint_text (scene, wand);
  if (scene->style == SCENE_NOISY)
    ok = ok && disturb (scene, wand);
  DestroyPixelWand (pixel);
  DestroyDrawingWand (pen);
  if (ok)
    return wand;
  DestroyMagickWand (wand);
  vj_fail (error, VJ_EXIT_PLUGIN, "scene: a picture of %u shapes: drawing failed: MagickWand refused; check its policy.xml",
           scene->n);
  return NULL;
}

gboolean
scene_draw (const Scene *scene, guint8 *ret_rgb, GError **error)
{
  MagickWand *wand = paint (scene, error);
  gboolean ok;

  if (!wand)
    return FALSE;
  ok = MagickExportImagePixels (wand, 0, 0, SCENE_SIDE, SCENE_SIDE, "RGB", CharPixel, ret_rgb);
  DestroyMagickWand (wand);
  return ok || vj_fail (error, VJ_EXIT_PLUGIN, "scene: pixels: export failed: MagickWand refused; check its policy.xml");
}

gboolean
scene_png (const Scene *scene, guint8 **ret_bytes, gsize *ret_length, GError **error)
{
  MagickWand *wand = paint (scene, error);
  unsigned char *blob = NULL;
  size_t length = 0;

  if (!wand)
    return FALSE;
  /* No time stamps: equal scenes are equal bytes. */
  MagickSetOption (wand, "png:exclude-chunks", "date,time,tEXt,zTXt");
  MagickSetImageDepth (wand, 8);
  if (MagickSetImageFormat (wand, "PNG24"))
    blob = MagickGetImageBlob (wand, &length);
  DestroyMagickWand (wand);
  if (!blob)
    return vj_fail (error, VJ_EXIT_PLUGIN, "scene: picture: writing PNG failed: MagickWand has no PNG coder; install it");
  *ret_bytes = g_memdup2 (blob, length);
  *ret_length = length;
  MagickRelinquishMemory (blob);
  return TRUE;
}
