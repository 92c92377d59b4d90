#include "lexicon.h"

#include <string.h>

static const struct {
  guint classes;
  const char *words; /* separated by single spaces */
} rows[] = {
  {VJ_LEX_NUMBER, "half quarter first second third fourth fifth sixth seventh eighth ninth tenth once twice double triple"},
  {VJ_LEX_QUANTITY | VJ_LEX_FUNCTION, "a an some any no"},
  {VJ_LEX_QUANTITY, "several many few fewer more most much less none both all multiple numerous single couple pair pairs "
                    "dozen dozens various lots plenty another only each every single-handed nobody nothing"},
  {VJ_LEX_DATE, "january february march april may june july august september october november december monday tuesday "
                "wednesday thursday friday saturday sunday today yesterday tomorrow am pm noon midnight morning afternoon "
                "evening night bc ad"},
  {VJ_LEX_POSITION | VJ_LEX_FUNCTION, "in on at by from to into onto off up down out"},
  {VJ_LEX_POSITION, "left right top bottom upper lower middle center centre central leftmost rightmost topmost bottommost "
                    "uppermost lowermost centermost left-hand right-hand lefthand righthand mid above below over under underneath "
                    "beneath inside outside within behind before front back rear foreground background beside besides next "
                    "adjacent near nearer nearest close closer closest far farther further farthest away between among amid "
                    "around across along against opposite through toward towards beyond alongside atop corner corners edge "
                    "edges side sides north south east west northeast northwest southeast southwest northern southern "
                    "eastern western upward upwards downward downwards leftward leftwards rightward rightwards clockwise "
                    "counterclockwise ahead"},
  {VJ_LEX_RELATION, "larger smaller bigger taller shorter longer wider narrower thicker thinner higher older younger brighter "
                    "darker lighter heavier faster slower than same different equal identical similar held holding wore worn rode "
                    "ridden led ate fed hit threw caught drew drove made gave given took taken "
                    "hold carry wear ride push pull face touch lean chase follow lead watch look point kiss hug feed eat "
                    "kick throw catch support cover contain surround overlap block cross pass enter leave join attach connect "
                    "lift drag hide show reflect rest drive draw fly own belong match resemble contact meet greet grip grab "
                    "clutch embrace attack protect guard shade intersect enclose encircle border separate tie link"},
  {VJ_LEX_COLOR, "red orange yellow green blue purple pink brown black white gray grey violet magenta cyan turquoise teal beige "
                 "tan maroon navy gold golden silver bronze copper cream ivory khaki lavender lilac indigo crimson scarlet burgundy "
                 "olive lime mint aqua azure amber peach coral salmon mauve rust charcoal ebony blond blonde brunette ginger "
                 "colorless transparent multicolored multicoloured dark light bright pale deep reddish bluish greenish yellowish "
                 "brownish grayish greyish whitish blackish pinkish purplish"},
  {VJ_LEX_FUNCTION, "the this that these those is are was were be been being am has have had do does did will would can could "
                    "may might shall should must and or but nor so as if of for with without about than then there here it its "
                    "they them their he him his she her hers we us our you your i me my who whom whose which what where when "
                    "also too very just not while whereas both either neither one ones other others each own such like"},
};

static const struct {
  const char *word;
  guint value;
} numbers[] = {
  {"zero", 0}, {"one", 1}, {"two", 2}, {"three", 3}, {"four", 4}, {"five", 5}, {"six", 6}, {"seven", 7}, {"eight", 8},
  {"nine", 9}, {"ten", 10}, {"eleven", 11}, {"twelve", 12}, {"thirteen", 13}, {"fourteen", 14}, {"fifteen", 15},
  {"sixteen", 16}, {"seventeen", 17}, {"eighteen", 18}, {"nineteen", 19}, {"twenty", 20}, {"thirty", 30}, {"forty", 40},
  {"fifty", 50}, {"sixty", 60}, {"seventy", 70}, {"eighty", 80}, {"ninety", 90},
};

static const struct {
  const char *word;
  guint64 scale;
} scales[] = {{"hundred", 100}, {"thousand", 1000}, {"million", 1000000}, {"billion", 1000000000}};

/* Plurals that no rule makes. */
static const char *const irregular[][2] = {
  {"man", "men"}, {"woman", "women"}, {"child", "children"}, {"person", "people"}, {"foot", "feet"}, {"tooth", "teeth"},
  {"mouse", "mice"}, {"goose", "geese"}, {"leaf", "leaves"}, {"knife", "knives"}, {"loaf", "loaves"}, {"shelf", "shelves"},
  {"half", "halves"}, {"wolf", "wolves"}, {"calf", "calves"}, {"ox", "oxen"}, {"its", "their"}, {"itself", "themselves"},
  {"scarf", "scarves"}, {"wife", "wives"}, {"life", "lives"}, {"thief", "thieves"},
};

gboolean
vj_lexicon_number (const char *key, guint *ret_value, guint64 *ret_scale)
{
  *ret_value = 0;
  *ret_scale = 0;
  for (gsize i = 0; i < G_N_ELEMENTS (numbers); i++)
    if (g_ascii_strcasecmp (key, numbers[i].word) == 0) {
      *ret_value = numbers[i].value;
      return TRUE;
    }
  for (gsize i = 0; i < G_N_ELEMENTS (scales); i++)
    if (g_ascii_strcasecmp (key, scales[i].word) == 0) {
      *ret_scale = scales[i].scale;
      return TRUE;
    }
  return FALSE;
}

/* Whether `words` has the first `length` bytes of `key` as one of its words. */
static gboolean
lists (const char *words, const char *key, gsize length)
{
  for (const char *at = words; *at;) {
    gsize n = strcspn (at, " ");
    if (n == length && memcmp (at, key, n) == 0)
      return TRUE;
    at += n + (at[n] == ' ');
  }
  return FALSE;
}

static guint
listed (const char *key, gsize length)
{
  guint classes = 0, value;
  guint64 scale;
  g_autofree char *word = g_strndup (key, length);
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    classes |= lists (rows[i].words, key, length) ? rows[i].classes : 0;
  if (g_ascii_isdigit (*word) || vj_lexicon_number (word, &value, &scale))
    classes |= VJ_LEX_NUMBER;
  return classes;
}

/* The classes that the verb behind a form such as "holds", "riding" or "hugged" is of, of those that verbs can be. */
static guint
of_verb (const char *key)
{
  static const struct {
    const char *ending, *put;
  } forms[] = {{"ies", "y"}, {"ied", "y"}, {"es", ""}, {"s", ""}, {"ing", ""}, {"ing", "e"}, {"ed", ""}, {"d", ""}};
  for (gsize i = 0; i < G_N_ELEMENTS (forms); i++) {
    if (!g_str_has_suffix (key, forms[i].ending))
      continue;
    gsize stem = strlen (key) - strlen (forms[i].ending);
    g_autofree char *verb = g_strdup_printf ("%.*s%s", (int) stem, key, forms[i].put);
    gboolean doubled = stem > 2 && verb[stem - 1] == verb[stem - 2] && !*forms[i].put;
    guint classes = listed (verb, strlen (verb)) | (doubled ? listed (verb, stem - 1) : 0);
    if (classes & VJ_LEX_RELATION)
      return VJ_LEX_RELATION;
  }
  return 0;
}

guint
vj_lexicon_classes (const char *key)
{
  guint classes = listed (key, strlen (key)) | of_verb (key), common = ~0u;
  if (!strchr (key, '-'))
    return classes;
  for (const char *at = key; common; at++) {
    gsize n = strcspn (at, "-");
    common &= listed (at, n);
    at += n;
    if (!*at)
      break;
  }
  return classes | common;
}

/* `word` is `stem` in the plural or in the third person. */
static gboolean
adds_s (const char *stem, const char *word)
{
  gsize n = strlen (stem);
  if (n < 2)
    return FALSE;
  if (stem[n - 1] == 'y' && strlen (word) == n + 2 && strncmp (stem, word, n - 1) == 0)
    return strcmp (word + n - 1, "ies") == 0;
  return strncmp (stem, word, n) == 0 && (strcmp (word + n, "s") == 0 || strcmp (word + n, "es") == 0);
}

gboolean
vj_lexicon_same_stem (const char *a, const char *b)
{
  if (strcmp (a, b) == 0 || adds_s (a, b) || adds_s (b, a))
    return TRUE;
  for (gsize i = 0; i < G_N_ELEMENTS (irregular); i++)
    if ((strcmp (a, irregular[i][0]) == 0 && strcmp (b, irregular[i][1]) == 0)
        || (strcmp (b, irregular[i][0]) == 0 && strcmp (a, irregular[i][1]) == 0))
      return TRUE;
  return FALSE;
}
