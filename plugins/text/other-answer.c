#include "other-answer.h"
#include "text.h"

#include <string.h>

const char *
vj_other_answer_fault (const char *chosen, const char *other, VjFinish finish, double difference, double ratio)
{
  g_autoptr (GArray) old = vj_words_split (chosen), new = vj_words_split (other);
  if (new->len == 0)
    return "the other answer is empty";
  if (finish == VJ_FINISH_LENGTH)
    return "the other answer was cut off";
  if (vj_words_same_bag (old, new))
    return "the other answer says the same";
  g_autoptr (GArray) hunks = vj_words_diff (old, new);
  guint longer = MAX (old->len, new->len);
  if (vj_hunks_size (hunks) < difference * longer)
    return "the other answer differs too little";
  if (MIN (old->len, new->len) < ratio * longer)
    return "the other answer differs too much in length";
  return NULL;
}

gboolean
vj_same_words (const char *a, const char *b)
{
  g_autoptr (GArray) words = vj_words_split (a), others = vj_words_split (b);
  return vj_words_same_bag (words, others);
}

/* The words as they are compared, each between spaces. */
static char *
spaced (const char *text)
{
  g_autoptr (GArray) words = vj_words_split (text);
  g_autofree char *joined = vj_words_join (words, 0, words->len);
  return g_strdup_printf (" %s ", joined);
}

gboolean
vj_has_phrase (const char *text, char *const *phrases)
{
  g_autofree char *all = spaced (text);
  for (; phrases && *phrases; phrases++) {
    g_autofree char *phrase = spaced (*phrases);
    if (strspn (phrase, " ") < strlen (phrase) && strstr (all, phrase))
      return TRUE;
  }
  return FALSE;
}
