/* Kinds of error that an answer can be given, what a model is told that each means, and whether two texts differ by one of
 * them, told from their words alone. The words are English. Compiled into the plugins that use it; not for the host. */
#ifndef VJ_PLUGINS_KINDS_H
#define VJ_PLUGINS_KINDS_H

#include <glib.h>

/* X (kind, check, what a model is told to change). Checks: see kinds.c. */
#define VJ_KIND_TABLE(X)                                                                                                   \
  X ("attribute", STATEMENT, "an attribute of something: its color, material, texture or state")                           \
  X ("color", COLOR, "the color of something")                                                                             \
  X ("shape", STATEMENT, "the shape of something")                                                                         \
  X ("size", STATEMENT, "the size of something")                                                                           \
  X ("count", COUNT, "how many there are of something")                                                                    \
  X ("position", POSITION, "where something is, or how two things lie to each other")                                      \
  X ("place", SUBSTITUTION, "where something is")                                                                          \
  X ("relation", RELATION, "how two things relate to each other: which is in front, which is larger, what one does to the other") \
  X ("number", NUMBER, "a number: a quantity, a measure, a date or a price")                                               \
  X ("object", STATEMENT, "an object: another thing of the same sort takes its place")                                     \
  X ("object-added", ADDED, "which things are there: put in one more thing, which the image does not show")                \
  X ("object-dropped", DROPPED, "which things are there: leave one of them out, with all that is said of it")              \
  X ("action", STATEMENT, "what someone or something does")                                                                \
  X ("text", TEXT, "words that can be read in the image")

/* The names, in the order of the table, ended by NULL: an option's choices. */
extern const char *const vj_kinds[];

/* What the model is told; `kind` is one of the table. Static. */
const char *vj_kind_meaning (const char *kind);

/* NULL when the words of `new` (VjWord) can be those of `old` with an error of that kind, else why not: a reason for the
 * funnel. `hunks` is vj_words_diff (old, new), not empty. What words cannot tell is not refused, but for text that is read:
 * an answer that puts none in quotation marks or capitals has none to change. */
const char *vj_kind_fault (const char *kind, const GArray *old, const GArray *new, const GArray *hunks);

#endif
