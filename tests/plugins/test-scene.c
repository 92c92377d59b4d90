/* The scene world: what is told of a scene is true, what is altered is wrong by one word, and
 * every lesson is spelled in whole tokens of models/vj-tiny. */
#include "engine/tokenizer.h"
#include "scene/lesson.h"
#include "scene/letters.h"
#include "scene/strange.h"

#include <string.h>
#include <wand/MagickWand.h>

#define ROUNDS 2000

static void
test_descriptions (void)
{
  SceneDice dice = {1};

  for (int i = 0; i < ROUNDS; i++) {
    g_autofree char *text = NULL, *again = NULL;
    SceneAccount truth, read;
    SceneMarks marks = {0};
    Scene scene;

    scene_sample (&scene, &dice);
    scene_account (&scene, &truth);
    text = scene_account_text (&truth);
    g_assert_true (scene_account_read (text, &read));
    again = scene_account_text (&read);
    g_assert_cmpstr (text, ==, again);
    scene_account_mark (text, &truth, &marks);
    for (SceneAspect a = 0; a < SCENE_N_ASPECTS; a++) {
      g_assert_cmpuint (marks.right[a], ==, marks.stated[a]);
      g_assert_cmpuint (marks.stated[a], ==, a == SCENE_NUMBER ? 1 : scene.n);
    }
  }
}

static void
test_unreadable (void)
{
  static const char *const texts[] = {
    "", "two", "two shapes ;", "two shapes; north small red circle", "two shapes ; north small red",
    "two shapes ; small north red circle", "two shapes ; north small red circle ;", "five shapes",
    "two shapes ; north small red circle blue", "two  shapes", "two shapes ; north small red circles",
    "one shape ; north text", "one shape ; north text cat", "one shape ; north text ABCDE", "one shape ; text CAT",
    "one shape ; north text CAT ; south text DOG",
  };
  SceneAccount account = {.number = 7};

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_assert_false (scene_account_read (texts[i], &account));
    g_assert_cmpuint (account.number, ==, 7);
  }
  g_assert_true (scene_account_read ("one shape ; north small red circle", &account));
}

static void
test_alterations (void)
{
  SceneDice dice = {2};

  for (int i = 0; i < ROUNDS; i++) {
    SceneKind kind = (SceneKind) (i % SCENE_N_KINDS);
    g_autofree char *text = NULL, *same = NULL;
    guint right = 0, stated = 0;
    SceneAccount truth, altered;
    SceneMarks marks = {0};
    Scene scene;

    scene_sample (&scene, &dice);
    scene_account (&scene, &truth);
    altered = truth;
    scene_account_alter (&altered, kind, &dice);
    text = scene_account_text (&altered);
    same = scene_account_text (&truth);
    g_assert_cmpint (scene_account_changed (&truth, text), ==, kind);
    g_assert_cmpint (scene_account_changed (&truth, same), ==, -1);
    scene_account_mark (text, &truth, &marks);
    for (SceneAspect a = 0; a < SCENE_N_ASPECTS; a++) {
      right += marks.right[a];
      stated += marks.stated[a];
    }
    g_assert_cmpuint (right, ==, stated - 1);
  }
}

/* The answer of each question, worked out from the description's words alone. */
static void
test_answers (void)
{
  SceneDice dice = {3};
  guint none = 0;

  for (int i = 0; i < ROUNDS; i++) {
    const char *answer;
    g_autofree char *question = NULL;
    SceneAsk ask;
    Scene scene;

    scene_sample (&scene, &dice);
    if (i % 2)
      scene_ask_sample (&ask, &dice);
    else
      scene_ask_about (&ask, &scene, &dice);
    question = scene_ask_text (&ask);
    answer = scene_ask_answer (&ask, &scene);
    none += strcmp (answer, "none") == 0;
    g_assert_cmpstr (scene_ask_wrong (&ask, answer, &dice), !=, answer);
    if (strcmp (question, "how many shapes ?") == 0)
      g_assert_cmpstr (answer, ==, scene_word (SCENE_NUMBER, scene.n));
    if (ask.form == SCENE_ASK_COLOR_AT) {
      const char *truth = "none";
      for (guint k = 0; k < scene.n; k++)
        if (scene.items[k].is[SCENE_PLACE] == ask.item.is[SCENE_PLACE])
          truth = scene_word (SCENE_COLOR, scene.items[k].is[SCENE_COLOR]);
      g_assert_cmpstr (answer, ==, truth);
    }
    if (ask.form == SCENE_ASK_CHOICE || ask.form == SCENE_ASK_WHERE)
      g_assert_cmpuint (ask.item.is[ask.aspect], !=, ask.other);
  }
  g_assert_cmpuint (none, >, ROUNDS / 20);
}

static void
test_pictures (void)
{
  SceneDice dice = {4};

  for (int i = 0; i < 100; i++) {
    guint8 rgb[SCENE_BYTES], again[SCENE_BYTES];
    g_autoptr (GError) error = NULL;
    Scene scene;

    scene_sample (&scene, &dice);
    g_assert_true (scene_draw (&scene, rgb, &error));
    g_assert_no_error (error);
    g_assert_true (scene_draw (&scene, again, &error));
    g_assert_cmpmem (rgb, sizeof rgb, again, sizeof again);
    if (scene.items[0].is[SCENE_PLACE] != 0)
      g_assert_cmpmem (rgb, 3, scene.ground, 3);
    for (guint k = 0; k < scene.n; k++) {
      guint place = scene.items[k].is[SCENE_PLACE];
      guint x = (guint) (SCENE_SIDE * (place % 3 + 0.5) / 3), y = (guint) (SCENE_SIDE * (place / 3 + 0.5) / 3);
      g_assert_cmpmem (rgb + (y * SCENE_SIDE + x) * 3, 3, scene.paint[k], 3);
    }
  }
}

static void
test_png (void)
{
  static const guint8 signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  g_autofree guint8 *bytes = NULL, *again = NULL;
  g_autoptr (GError) error = NULL;
  gsize length, length_again;
  SceneDice dice = {5};
  Scene scene;

  scene_sample (&scene, &dice);
  g_assert_true (scene_png (&scene, &bytes, &length, &error));
  g_assert_no_error (error);
  g_assert_true (scene_png (&scene, &again, &length_again, &error));
  g_assert_cmpmem (bytes, 8, signature, 8);
  g_assert_cmpmem (bytes, length, again, length_again);
}

/* Reads the text off the pixels by the font, and nothing else than ink and ground may stand in its box. */
static char *
read_pixels (const guint8 *rgb, const Scene *scene)
{
  static const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  SceneTextBox box = scene_text_box (scene);
  GString *read = g_string_new (NULL);

  for (guint at = 0; at < box.width; at += 4 * box.dot[0]) {
    guint dots = 0;
    for (guint y = 0; y < box.height; y++)
      for (guint x = 0; x < 3 * box.dot[0]; x++) {
        const guint8 *pixel = rgb + ((box.y + y) * SCENE_SIDE + box.x + at + x) * 3;
        gboolean ink = memcmp (pixel, box.ink, 3) == 0;
        g_assert_true (ink || memcmp (pixel, scene->ground, 3) == 0);
        if (x % box.dot[0] == 0 && y % box.dot[1] == 0)
          dots = 2 * dots + ink;
      }
    for (const char *c = all; *c; c++) {
      guint glyph = 0;
      for (guint k = 0; k < 15; k++)
        glyph = 2 * glyph + scene_glyph_dot (*c, k % 3, k / 3);
      if (glyph == dots)
        g_string_append_c (read, *c);
    }
  }
  return g_string_free (read, FALSE);
}

/* Every glyph is another, so what is read is exactly what was written. */
static void
test_texts (void)
{
  SceneDice dice = {7}, own = {8};
  guint lengths[SCENE_TEXT_MAX + 1] = {0}, numbers = 0;

  for (int i = 0; i < ROUNDS / 4; i++) {
    guint8 rgb[SCENE_BYTES], again[SCENE_BYTES];
    g_autoptr (GError) error = NULL;
    g_autofree char *told = NULL, *seen = NULL;
    SceneAccount account, read;
    Scene scene;

    scene_sample (&scene, &dice);
    scene_sample_text (&scene, &own);
    lengths[strlen (scene.text)]++;
    numbers += g_ascii_isdigit (scene.text[0]) != 0;
    g_assert_true (scene_draw (&scene, rgb, &error) && scene_draw (&scene, again, &error));
    g_assert_cmpmem (rgb, sizeof rgb, again, sizeof again);
    seen = read_pixels (rgb, &scene);
    g_assert_cmpstr (seen, ==, scene.text);

    scene_account (&scene, &account);
    told = scene_account_text (&account);
    g_assert_true (g_str_has_suffix (told, scene.text));
    g_assert_true (scene_account_read (told, &read));
    g_assert_cmpstr (read.text, ==, scene.text);
    g_assert_cmpuint (read.text_place, ==, scene.text_place);
    g_assert_cmpint (scene_account_changed (&account, told), ==, -1);
    scene_account_alter (&read, SCENE_POSITION, &own);
    for (guint k = 0; k < read.n; k++)
      g_assert_cmpuint (read.items[k].is[SCENE_PLACE], !=, scene.text_place);
    g_autofree char *altered = scene_account_text (&read);
    g_assert_cmpint (scene_account_changed (&account, altered), ==, SCENE_POSITION);
  }
  for (guint n = 1; n <= SCENE_TEXT_MAX; n++)
    g_assert_cmpuint (lengths[n], >, 30);
  g_assert_cmpuint (numbers, >, ROUNDS / 4 / 3);
}

/* Words, "[[A]]" (three tokens) and nothing else. */
static guint
expected_tokens (const char *text)
{
  g_auto (GStrv) words = g_strsplit (text, " ", -1);
  guint n = g_strv_length (words);

  return n + (strstr (text, "[[") ? 2 : 0);
}

static void
test_lessons (void)
{
  g_autofree char *file = g_build_filename (g_getenv ("VJ_SRCDIR"), "models", "vj-tiny", "tokenizer.json", NULL);
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (guint32));
  g_autoptr (GError) error = NULL;
  g_autoptr (VjTokenizer) tokenizer = vj_tokenizer_load (file, &error);
  guint letters[2] = {0};
  SceneDice dice = {6};

  g_assert_no_error (error);
  for (int i = 0; i < ROUNDS; i++) {
    SceneLesson lesson;
    scene_lesson_sample (&lesson, (SceneSkill) (i % SCENE_N_SKILLS), &dice);
    const char *texts[] = {lesson.prompt, lesson.target};
    for (int k = 0; k < 2; k++) {
      g_array_set_size (ids, 0);
      g_assert_true (vj_tokenizer_encode (tokenizer, texts[k], -1, ids, &error));
      if (ids->len != expected_tokens (texts[k]))
        g_error ("'%s' is %u tokens, not %u", texts[k], ids->len, expected_tokens (texts[k]));
    }
    g_assert_cmpint (lesson.shown, ==, i % SCENE_N_SKILLS >= SCENE_SKILL_DESCRIBE);
    letters[0] += strstr (lesson.target, "[[A]]") != NULL;
    letters[1] += strstr (lesson.target, "[[B]]") != NULL;
    scene_lesson_clear (&lesson);
  }
  g_assert_cmpuint (letters[0], >, 200);
  g_assert_cmpuint (letters[1], >, 200);
}

/* The middle of every shape has its colour in every style, so that what is told of a strange picture is as true as ever. */
static void
test_styles (void)
{
  SceneDice dice = {9};

  for (int i = 0; i < 200; i++) {
    guint8 plain[SCENE_BYTES], rgb[SCENE_BYTES], again[SCENE_BYTES];
    g_autoptr (GError) error = NULL;
    Scene scene;

    scene_sample (&scene, &dice);
    g_assert_true (scene_draw (&scene, plain, &error));
    scene.style = (guint8) (1 + i % (SCENE_N_STYLES - 1));
    scene.items[0].is[SCENE_SHAPE] = 2; /* a circle turned is the same */
    g_assert_true (scene_draw (&scene, rgb, &error) && scene_draw (&scene, again, &error));
    g_assert_cmpmem (rgb, sizeof rgb, again, sizeof again);
    g_assert_cmpint (memcmp (rgb, plain, sizeof rgb), !=, 0);
    for (guint k = 0; k < scene.n; k++) {
      guint place = scene.items[k].is[SCENE_PLACE];
      guint x = (guint) (SCENE_SIDE * (place % 3 + 0.5) / 3), y = (guint) (SCENE_SIDE * (place / 3 + 0.5) / 3);
      for (guint c = 0; c < 3; c++)
        g_assert_cmpint (ABS (rgb[(y * SCENE_SIDE + x) * 3 + c] - scene.paint[k][c]), <=, 24);
    }
  }
}

/* Statements about the scene that a text gets wrong, or leaves out. */
static guint
faults (const char *text, const SceneAccount *truth)
{
  SceneMarks marks = {0};
  SceneAccount read;
  guint wrong = 0;

  g_assert_true (scene_account_read (text, &read));
  scene_account_mark (text, truth, &marks);
  for (SceneAspect a = 0; a < SCENE_N_ASPECTS; a++)
    wrong += marks.stated[a] - marks.right[a];
  return wrong + (read.n < truth->n);
}

static void
test_strange_pairs (void)
{
  g_autofree char *file = g_build_filename (g_getenv ("VJ_SRCDIR"), "models", "vj-tiny", "tokenizer.json", NULL);
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (guint32));
  g_autoptr (GError) error = NULL;
  g_autoptr (VjTokenizer) tokenizer = vj_tokenizer_load (file, &error);
  SceneDice dice = {10};

  for (int i = 0; i < ROUNDS; i++) {
    SceneStrange strange = (SceneStrange) (i % SCENE_N_STRANGE);
    gboolean open = i / SCENE_N_STRANGE % 2 == 0;
    SceneAccount truth;
    ScenePair pair;
    Scene scene;

    scene_strange_sample (&pair, &scene, strange, open, &dice);
    scene_account (&scene, &truth);
    g_assert_cmpstr (pair.how, ==, scene_strange_name (strange));
    g_assert_cmpint (pair.open, ==, strange >= SCENE_STRANGE_SWAPPED || (strange == SCENE_STRANGE_STYLE && open));
    g_assert_cmpint (scene.style != SCENE_PLAIN, ==, strange == SCENE_STRANGE_STYLE);
    if (pair.open) {
      g_assert_cmpuint (faults (pair.right, &truth), ==, 0);
      g_assert_cmpuint (faults (pair.wrong, &truth), >, 0);
    } else {
      g_assert_cmpstr (pair.right, !=, pair.wrong);
    }
    if (strange == SCENE_STRANGE_DROPPED || strange == SCENE_STRANGE_ADDED) {
      SceneAccount read;
      g_assert_true (scene_account_read (pair.wrong, &read));
      g_assert_cmpuint (read.number, ==, read.n); /* the count gives nothing away */
      g_assert_cmpuint (read.n, ==, truth.n + (strange == SCENE_STRANGE_ADDED ? 1 : -1));
    }
    g_array_set_size (ids, 0);
    g_assert_true (vj_tokenizer_encode (tokenizer, pair.question, -1, ids, &error));
    g_assert_cmpuint (ids->len, ==, expected_tokens (pair.question));
    scene_pair_clear (&pair);
  }
}

/* A trace about two descriptions copies both until they differ: then comes the true word in one, another in the other. */
static void
test_leads (void)
{
  SceneDice dice = {11};

  for (int i = 0; i < ROUNDS; i++) {
    g_autofree char *right = NULL, *wrong = NULL;
    ScenePair pair;
    Scene scene;

    scene_sample (&scene, &dice);
    scene_pair_sample (&pair, &scene, i % 2 == 0, &dice);
    right = g_strconcat (pair.lead, pair.seen, NULL);
    wrong = g_strconcat (pair.lead, pair.unseen, NULL);
    g_assert_cmpstr (pair.seen, !=, pair.unseen);
    g_assert_true (pair.lead[0] == '\0' || g_str_has_suffix (pair.lead, " "));
    g_assert_true (i % 2 || (g_str_has_prefix (pair.right, right) && g_str_has_prefix (pair.wrong, wrong)));
    scene_pair_clear (&pair);
  }
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  MagickWandGenesis ();
  g_test_add_func ("/scene/descriptions are true and can be read back", test_descriptions);
  g_test_add_func ("/scene/other texts are no descriptions", test_unreadable);
  g_test_add_func ("/scene/an alteration changes one word and is wrong", test_alterations);
  g_test_add_func ("/scene/answers are right, wrong answers wrong", test_answers);
  g_test_add_func ("/scene/pictures show what the scene says, the same each time", test_pictures);
  g_test_add_func ("/scene/texts stand in the picture as they are told", test_texts);
  g_test_add_func ("/scene/png files are the same each time", test_png);
  g_test_add_func ("/scene/lessons are spelled in whole tokens", test_lessons);
  g_test_add_func ("/scene/styles change the picture and not what is there", test_styles);
  g_test_add_func ("/scene/a trace opens with what both answers share", test_leads);
  g_test_add_func ("/scene/strange pairs have one right answer", test_strange_pairs);
  status = g_test_run ();
  MagickWandTerminus ();
  return status;
}
