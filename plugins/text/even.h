/* What a short answer counts as: answers that differ only in how they are written become the same text. What could be read in
 * two ways is left as it is. Compiled into the plugins that use it; not for the host. */
#ifndef VJ_PLUGINS_EVEN_H
#define VJ_PLUGINS_EVEN_H

#include <glib.h>

/* X (NAME, name in recipes): what is evened out. */
#define VJ_EVEN_TABLE(X)                                                              \
  X (CASE, "case")                 /* "Red" = "red"                               */  \
  X (PUNCTUATION, "punctuation")   /* "(red)." = "red"                            */  \
  X (ARTICLES, "articles")         /* "the cup" = "a cup" = "cup"                 */  \
  X (NUMBER_WORDS, "number-words") /* "twenty-one" = "21"; "3 million" = "3000000" */ \
  X (NUMERALS, "numerals")         /* "3.0" = "3"; "1,000 km" = "1000 km"         */  \
  X (FRACTIONS, "fractions")       /* "1/2" = "a half" = "0.5"; "2/4" is left     */  \
  X (PERCENT, "percent")           /* "50 %" = "50 percent" = "50%"               */  \
  X (OPTION_LETTERS, "option-letters") /* see choices.h                           */

typedef enum {
#define VJ__EVEN_INDEX(name, text) VJ_EVEN__##name,
  VJ_EVEN_TABLE (VJ__EVEN_INDEX)
#undef VJ__EVEN_INDEX
} VjEvenIndex;

#define VJ_EVEN(NAME) (1u << VJ_EVEN__##NAME)

/* Names in the order of the table, ended by NULL: an option's choices. */
extern const char *const vj_even_names[];

/* The set that a list of names (may be NULL) means. */
guint vj_even_set (char *const *names);

/* `answer` evened out: words joined by single spaces. Articles go unless the answer is nothing else ("A"). Owned. */
char *vj_even (const char *answer, guint set);

#endif
