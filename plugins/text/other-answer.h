/* Whether another answer to a question can stand against the chosen one. Compiled into the plugins that use it; not for the
 * host. */
#ifndef VJ_PLUGINS_OTHER_ANSWER_H
#define VJ_PLUGINS_OTHER_ANSWER_H

#include <vj/plugin.h>

/* NULL when it can, else why not: a reason for the funnel. It must be whole and say something, differ in at least the share
 * `difference` of the longer one's words, and have at least `ratio` times as many words as the longer. */
const char *vj_other_answer_fault (const char *chosen, const char *other, VjFinish finish, double difference, double ratio);

/* Whether both say the same words, in whatever order, case and punctuation aside. */
gboolean vj_same_words (const char *a, const char *b);

/* Whether `text` has one of the phrases, whole words in any case; `phrases` may be NULL. */
gboolean vj_has_phrase (const char *text, char *const *phrases);

#endif
