/* Text helpers that several role plugins share: filling templates, and telling in which
 * words two texts differ. Compiled into each plugin that uses them; not for the host. */
#ifndef VJ_PLUGINS_TEXT_H
#define VJ_PLUGINS_TEXT_H

#include <vj/plugin.h>

/* -- templates ---------------------------------------------------------------- */

/* The value of placeholder `name` (borrowed), or NULL if there is none of that name. */
typedef const char *(*VjTextLookup) (const char *name, gpointer data);

/* Replaces each {name} by its value; names are letters, digits, '_', '-' and '.', beginning with a
 * letter or '_'. {{name}} stands for a literal {name}; any other brace is plain text. Values are put
 * in as they are: placeholders inside a value are never filled. NULL, with *ret_unknown (owned) set,
 * when a name has no value. */
char *vj_text_fill (const char *text, VjTextLookup lookup, gpointer data, char **ret_unknown);

/* A lookup over a table: `data` is a VjTextPair array that ends with a NULL name. */
typedef struct {
  const char *name, *value;
} VjTextPair;
const char *vj_text_pair (const char *name, gpointer pairs);

/* -- words ----------------------------------------------------------------------- */

/* A word: a run without spaces that holds at least one letter or digit. */
typedef struct {
  char *text; /* as written                                               */
  char *key;  /* what is compared: case folded, outer punctuation taken off */
  gboolean quoted; /* any of it stands in double quotation marks, or the like */
} VjWord;

/* All words of `text`, in order: array of VjWord that frees its items. */
GArray *vj_words_split (const char *text);

/* A difference: words [a, a + n_a) of one text stand where the other has [b, b + n_b). Either may be empty. */
typedef struct {
  guint a, n_a, b, n_b;
} VjHunk;

/* The differences between two word lists by longest common subsequence, in order: array of VjHunk.
 * Texts too long for that (more than four million pairs of words outside what they share at both
 * ends) yield one hunk. */
GArray *vj_words_diff (const GArray *a, const GArray *b);

/* Whether both hold the same words, in whatever order. */
gboolean vj_words_same_bag (const GArray *a, const GArray *b);

/* The larger of both sides, over all hunks: the number of words changed. */
guint vj_hunks_size (const GArray *hunks);

/* Words [from, from + n) joined by spaces, as they are compared. Owned. */
char *vj_words_join (const GArray *words, guint from, guint n);

/* Spans told in bytes of both texts, in order, become spans in characters, in place. */
void vj_spans_from_bytes (const char *chosen, const char *rejected, VjSpan *spans, gsize n);

/* What changed, for people: "red -> blue; (nothing) -> two". Owned. */
char *vj_hunks_describe (const GArray *a, const GArray *b, const GArray *hunks);

#endif
