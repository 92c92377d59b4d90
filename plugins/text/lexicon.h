/* What sort of thing an English word says, as far as a list can tell: numbers, quantities, positions, relations, colors, and
 * words that only hold others together. Compiled into the plugins that use it; not for the host. */
#ifndef VJ_PLUGINS_LEXICON_H
#define VJ_PLUGINS_LEXICON_H

#include <glib.h>

/* A word may be of several classes: "on" is a position and a function word. */
typedef enum {
  VJ_LEX_NUMBER = 1 << 0,   /* "three", "3", "3.5", "3rd", "half"                    */
  VJ_LEX_QUANTITY = 1 << 1, /* says how many without a number: "several", "no", "a"  */
  VJ_LEX_DATE = 1 << 2,     /* "May", "Monday"                                       */
  VJ_LEX_POSITION = 1 << 3, /* "left", "above", "corner"                             */
  VJ_LEX_RELATION = 1 << 4, /* what joins two things: "holding", "larger", "wears"   */
  VJ_LEX_COLOR = 1 << 5,    /* "red", "dark"                                         */
  VJ_LEX_FUNCTION = 1 << 6  /* "the", "is", "with"                                   */
} VjLexClass;

/* The classes of a word, given in lower case without punctuation around it; 0: none of them. A compound ("twenty-one",
 * "top-left") is of a class when each of its parts is. */
guint vj_lexicon_classes (const char *key);

/* Whether two words are forms of one: "cup" and "cups", "stand" and "stands", "man" and "men". */
gboolean vj_lexicon_same_stem (const char *a, const char *b);

/* What a number word is worth (0 to 90), or 0 with *ret_scale set to 100, 1000, ... for "hundred", "thousand", ...; FALSE:
 * neither. In any case of letters. */
gboolean vj_lexicon_number (const char *key, guint *ret_value, guint64 *ret_scale);

#endif
