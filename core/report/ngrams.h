/* N-grams of an answer: short stretches of words and characters, for a guess from the text alone. */
#ifndef VJ_REPORT_NGRAMS_H
#define VJ_REPORT_NGRAMS_H

#include "vj/error.h"

G_BEGIN_DECLS

/* A word is a run of letters, digits and '_'; any other character but white space stands for itself. */
typedef enum {
  VJ_NGRAM_WORD,       /* one word, lower case                                                   */
  VJ_NGRAM_TWO_WORDS,  /* two neighbours with a space between                                    */
  VJ_NGRAM_CHARACTERS, /* three neighbouring characters, lower case, each white space one ' '   */
  VJ_NGRAM_CROSSED     /* the question's first two words, " | ", one word of the answer          */
} VjNgramKind;

/* Begin and end of the answer count as characters, and as words, of their own. */
#define VJ_NGRAM_BEGIN "\002"
#define VJ_NGRAM_END "\003"

/* `text` (UTF-8, `length` bytes, not terminated) is borrowed for the call. */
typedef void (*VjNgramFunc) (gpointer data, VjNgramKind kind, const char *text, gsize length);

/* Calls `each` for every n-gram of `answer`, as often as it stands there; linear in the texts. Both are valid UTF-8. */
VJ_API void vj_ngrams_each (const char *question, const char *answer, VjNgramFunc each, gpointer data);

/* What a reader can make of an n-gram: "word 'red'", "begin '^red'", with ^ and $ for begin and end. Owned. */
VJ_API char *vj_ngram_describe (VjNgramKind kind, const char *text);

/* The text as n-grams see it: lower case, each run of white space one space, none at the ends. Owned. */
VJ_API char *vj_ngrams_normalize (const char *text);
/* The next word of a normalised text from *p on, which moves behind it; FALSE at the end. Borrowed from the text. */
VJ_API gboolean vj_ngrams_next_word (const char **p, const char **ret_word, gsize *ret_length);
VJ_API guint vj_ngrams_words (const char *text); /* how many there are, of any text */

G_END_DECLS
#endif
