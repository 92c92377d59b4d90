/* The scene world: small pictures of coloured shapes, and what can truly be said of
 * them. Shared by the plugins that show scenes (scenes, scene-lessons, scene-pairs,
 * scene-skills), so that all of them mean the same by every word. Every random choice
 * comes from the caller's dice. Not a plugin; knows no host. */
#ifndef SCENE_H
#define SCENE_H

#include <vj/error.h>

#define SCENE_SIDE 56       /* pixels */
#define SCENE_BYTES (SCENE_SIDE * SCENE_SIDE * 3)
#define SCENE_SHAPES_MAX 4  /* shapes in a picture, each in a cell of its own */
#define SCENE_TEXT_MAX 4    /* characters of a text in a picture */

/* A stream of chance, named by its seed alone (SplitMix64; Steele, Lea and Flood, 2014). Copyable. */
typedef struct {
  guint64 state;
} SceneDice;

guint32 scene_roll (SceneDice *dice, guint32 below); /* uniform in [0, below); below >= 1 */

/* Words by what they tell. The positions are the cells of a 3 x 3 grid, row by row. */
typedef enum { SCENE_PLACE, SCENE_SIZE, SCENE_COLOR, SCENE_SHAPE, SCENE_NUMBER, SCENE_N_ASPECTS } SceneAspect;

/* How many words an aspect has (9, 2, 6, 3, 5), and each of them ("northwest", "small", "red",
 * "circle", "zero"). Static. */
guint scene_words (SceneAspect aspect);
const char *scene_word (SceneAspect aspect, guint index);

/* The index of a word of `length` bytes, or -1. */
int scene_word_find (SceneAspect aspect, const char *word, gsize length);

/* One shape: indices into the words of PLACE, SIZE, COLOR and SHAPE. */
typedef struct {
  guint8 is[SCENE_NUMBER];
} SceneItem;

/* How a picture is drawn. Lessons and questions are plain; the rest is for measuring. */
typedef enum {
  SCENE_PLAIN,
  SCENE_OUTLINED, /* a dark or light line around each shape          */
  SCENE_SHADED,   /* the background grows lighter from top to bottom */
  SCENE_NOISY,    /* every byte of every pixel is up to 24 off       */
  SCENE_TURNED,   /* triangles lie on a side, squares are tilted     */
  SCENE_N_STYLES
} SceneStyle;

/* What is there, by place, and how it is painted. */
typedef struct {
  guint n; /* 1 ... SCENE_SHAPES_MAX */
  SceneItem items[SCENE_SHAPES_MAX];
  gint8 shift[SCENE_SHAPES_MAX][2];  /* pixels off the middle of its cell: x, y */
  guint8 paint[SCENE_SHAPES_MAX][3]; /* RGB */
  guint8 ground[3];                  /* RGB of the background */
  char text[SCENE_TEXT_MAX + 1];     /* A to Z or 0 to 9, in a cell that no shape takes; "": none */
  guint8 text_place;
  guint8 style;                      /* SceneStyle */
} Scene;

/* A scene drawn with `dice`: 1 to 4 shapes in different places, everything uniform. */
void scene_sample (Scene *scene, SceneDice *dice);

/* Writes a text into the scene, in a free place: half of them words of 1 to 4 letters, half numbers of 1 to 4 digits. */
void scene_sample_text (Scene *scene, SceneDice *dice);

/* Paints the scene. rgb: [56, 56, 3], row-major. FALSE when MagickWand fails. */
gboolean scene_draw (const Scene *scene, guint8 *ret_rgb, GError **error);

/* The same pixels as a PNG file; *ret_bytes is freed by g_free. */
gboolean scene_png (const Scene *scene, guint8 **ret_bytes, gsize *ret_length, GError **error);

/* -- descriptions --------------------------------------------------------------
 * "two shapes ; northwest small red circle ; center large blue square", and where there is one " ; east text CAT" */

/* What a description says; the number it opens with need not be that of its items. */
typedef struct {
  guint number;
  guint n;
  SceneItem items[SCENE_SHAPES_MAX];
  char text[SCENE_TEXT_MAX + 1]; /* "": none */
  guint8 text_place;
} SceneAccount;

/* The whole truth about the scene, in the order of places. */
void scene_account (const Scene *scene, SceneAccount *ret_account);
char *scene_account_text (const SceneAccount *account);

/* Reads a description, strictly: FALSE, output untouched, for any other text. */
gboolean scene_account_read (const char *text, SceneAccount *ret_account);

/* Attributes that a text states, and how many of them are true, by aspect (NUMBER: of shapes): the number;
 * the place of each shape; and, when something is there in truth, its size, colour and shape. A text that
 * is no description states one number, wrongly. Adds to the counts. */
typedef struct {
  guint right[SCENE_N_ASPECTS], stated[SCENE_N_ASPECTS];
} SceneMarks;
void scene_account_mark (const char *text, const SceneAccount *truth, SceneMarks *marks);

/* The three kinds of change. */
typedef enum { SCENE_ATTRIBUTE, SCENE_COUNT, SCENE_POSITION, SCENE_N_KINDS } SceneKind;
const char *scene_kind_name (SceneKind kind);

/* Changes one word. A position moves to a place that the account leaves empty. */
void scene_account_alter (SceneAccount *account, SceneKind kind, SceneDice *dice);

/* Whether `text` is `original` with exactly one word changed, by a word that tells the same aspect. The
 * result is the kind of change, or -1. */
int scene_account_changed (const SceneAccount *original, const char *text);

/* -- closed questions ---------------------------------------------------------- */

/* how many red shapes ? | what color is at center ? | what shape is at center ? |
 * is there any blue circle ? | at center red or blue ? | red circle at north or west ? */
typedef enum {
  SCENE_ASK_COUNT,
  SCENE_ASK_COLOR_AT,
  SCENE_ASK_SHAPE_AT,
  SCENE_ASK_EXISTS,
  SCENE_ASK_CHOICE,
  SCENE_ASK_WHERE, /* with random words it is nearly always "none": for lessons only */
  SCENE_N_ASKS
} SceneAskForm;

typedef struct {
  SceneAskForm form;
  SceneAspect aspect;  /* COUNT: of what (NUMBER: of any shape); CHOICE: between what */
  SceneItem item;      /* the words asked about */
  guint8 other;        /* CHOICE, WHERE: the second alternative */
} SceneAsk;

/* A question of random words, with no look at any scene. */
void scene_ask_sample (SceneAsk *ask, SceneDice *dice);

/* The same forms, with words such that most answers are not "none", "no" or "zero". */
void scene_ask_about (SceneAsk *ask, const Scene *scene, SceneDice *dice);

const char *scene_ask_form_name (SceneAskForm form);
char *scene_ask_text (const SceneAsk *ask);

/* The right answer: one word, static. */
const char *scene_ask_answer (const SceneAsk *ask, const Scene *scene);

/* A wrong answer of the right sort. Static. */
const char *scene_ask_wrong (const SceneAsk *ask, const char *right, SceneDice *dice);

/* The question about a text in the picture, whose answer is scene->text. It has no form: none of the questions above
 * draws it, so that they stay what they were. */
#define SCENE_ASK_TEXT "what does the text say ?"

/* What a trace opens with: "count red", "at center", "blue circle". */
char *scene_ask_lead (const SceneAsk *ask);

#endif
