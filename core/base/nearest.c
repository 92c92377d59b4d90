/* Edit distance with adjacent swaps, on words as short as option names. */
#include "base/nearest.h"

#include <string.h>

#define WORD_MAX 64 /* longer words are never near */

guint
vj_nearest_distance (const char *a, const char *b)
{
  gsize na = strlen (a), nb = strlen (b);
  guint rows[3][WORD_MAX + 1], *before = rows[0], *last = rows[1], *now = rows[2];
  if (na > WORD_MAX || nb > WORD_MAX)
    return G_MAXUINT;
  for (gsize j = 0; j <= nb; j++)
    last[j] = (guint) j;
  for (gsize i = 1; i <= na; i++) {
    now[0] = (guint) i;
    for (gsize j = 1; j <= nb; j++) {
      now[j] = MIN (MIN (last[j], now[j - 1]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        now[j] = MIN (now[j], before[j - 2] + 1);
    }
    guint *spare = before;
    before = last, last = now, now = spare;
  }
  return last[nb];
}

const char *
vj_nearest (const char *word, const char *const *names)
{
  const char *best = NULL;
  guint least = G_MAXUINT;
  for (; names != NULL && *names != NULL; names++) {
    guint distance = g_ascii_strcasecmp (word, *names) == 0 ? 0 : vj_nearest_distance (word, *names);
    guint allowed = MAX (1, (guint) MIN (strlen (word), strlen (*names)) / 3);
    if (distance <= allowed && distance < least)
      least = distance, best = *names;
  }
  return best;
}

char *
vj_nearest_hint (const char *word, const char *const *names)
{
  GString *out = g_string_new (NULL);
  const char *near = vj_nearest (word, names);
  if (near != NULL)
    g_string_append_printf (out, "; did you mean '%s'?", near);
  if (names != NULL && names[0] != NULL) {
    g_autofree char *all = g_strjoinv (", ", (char **) names);
    g_string_append_printf (out, "%s%s%s", near != NULL ? " Expected " : "; expected ", names[1] != NULL ? "one of " : "", all);
  }
  return g_string_free (out, FALSE);
}
