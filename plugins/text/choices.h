/* Answers that a question lists to choose from, as "A) red", "(B) blue" or "C. green", and which of them an answer names.
 * Compiled into the plugins that use it; not for the host. */
#ifndef VJ_PLUGINS_CHOICES_H
#define VJ_PLUGINS_CHOICES_H

#include <glib.h>

typedef struct VjChoices VjChoices;

/* Those of `prompt`: at least two, lettered from A on without a gap; else the list is empty. `set`: see even.h. */
VjChoices *vj_choices_new (const char *prompt, guint set);
void vj_choices_free (VjChoices *choices); /* NULL is fine */

/* The letter, 'A' to 'J', that `answer` names by letter ("B", "(b)", "B. blue", "Answer: B") or by its whole text; 0: none,
 * or more than one, or a letter with another one's text. */
char vj_choices_letter (const VjChoices *choices, const char *answer);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjChoices, vj_choices_free)

#endif
