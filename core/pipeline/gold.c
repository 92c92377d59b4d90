/* The gold filter of closed questions, an ablation: what would a run with labels have kept? Gold reaches no plugin; this
 * is the one place where it decides what is trained on, and only when the recipe says so. */
#include "pipeline/context.h"

#include <string.h>

/* The words of an answer, folded, without outer punctuation and articles. Articles stay where nothing else is left. */
static GPtrArray *
words_of (const char *answer)
{
  static const char *const articles[] = {"a", "an", "the", NULL};
  g_autofree char *normal = g_utf8_normalize (answer, -1, G_NORMALIZE_ALL_COMPOSE);
  g_autofree char *folded = g_utf8_casefold (normal != NULL ? normal : answer, -1);
  g_auto (GStrv) parts = g_strsplit_set (folded, " \t\r\n\f\v", -1);
  GPtrArray *words = g_ptr_array_new_with_free_func (g_free);
  guint bare = 0;

  for (char **part = parts; *part != NULL; part++) {
    char *from = *part + strspn (*part, ".,;:!?\"'`*()[]{}"), *end = from + strlen (from);
    while (end > from && strchr (".,;:!?\"'`*()[]{}", end[-1]) != NULL)
      end--;
    if (end == from)
      continue;
    g_ptr_array_add (words, g_strndup (from, (gsize) (end - from)));
    bare += !g_strv_contains (articles, words->pdata[words->len - 1]);
  }
  for (guint i = words->len; bare > 0 && i > 0; i--)
    if (g_strv_contains (articles, words->pdata[i - 1]))
      g_ptr_array_remove_index (words, i - 1);
  return words;
}

/* The letter of an option, "b" of "B", "(B)", "B. blue" and "b) blue"; 0: it begins with none. */
static char
option_letter (const char *answer)
{
  const char *at = answer + strspn (answer, " \t\r\n(");
  char letter = g_ascii_tolower (*at);
  gboolean marked = *at != '\0' && strchr (").:", at[1]) != NULL; /* the end of the text, too */
  return letter >= 'a' && letter <= 'j' && marked ? letter : 0;
}

static gboolean
agrees (const char *answer, const char *gold)
{
  g_autoptr (GPtrArray) a = words_of (answer), b = words_of (gold);
  gboolean same = a->len == b->len && a->len > 0;

  for (guint i = 0; same && i < a->len; i++)
    same = strcmp (a->pdata[i], b->pdata[i]) == 0;
  /* One names the option by its letter alone, the other by letter and text. */
  gboolean alone = (a->len == 1 && strlen (a->pdata[0]) == 1) || (b->len == 1 && strlen (b->pdata[0]) == 1);
  return same || (alone && option_letter (answer) != 0 && option_letter (answer) == option_letter (gold));
}

gboolean
vj_gold_check (VjStore *store, const char *id, const char *answer, const char **ret_reason, GError **error)
{
  g_autofree char *gold = NULL;

  if (!vj_store_gold_get (store, id, &gold, error))
    return FALSE;
  *ret_reason = gold == NULL ? "gold filter: the question has no gold answer"
                : agrees (answer, gold) ? NULL : "gold filter: the chosen answer is not the gold one";
  return TRUE;
}

gboolean
vj_gold_note (VjContext *context, const VjStep *step, GError **error)
{
  if (context->recipe->gold_filter)
    vj_log_write (context->log, VJ_LOG_WARNING, "gold", "%s: gold answers decide which pairs are kept "
                  "(iteration.closed_form.gold: filter); what comes of it is an ablation, not a judge trained without labels",
                  step->title);
  return vj_store_ablation_gold (context->store, step->iteration, context->recipe->gold_filter, error);
}
