/* VjDraft: the record a source or evaluator is filling. */
#include "image/image.h"
#include "plugin/host.h"

#include <string.h>

static void
image_free (gpointer image)
{
  vj_image_unref (image);
}

VjDraft *
vj_draft_new (void)
{
  VjDraft *draft = g_new0 (VjDraft, 1);
  draft->category = g_strdup ("");
  draft->images = g_ptr_array_new_with_free_func (image_free);
  return draft;
}

void
vj_draft_clear (VjDraft *draft)
{
  char **texts[] = {&draft->prompt, &draft->category, &draft->key, &draft->gold, &draft->chosen, &draft->rejected, &draft->how, &draft->reason};
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    g_clear_pointer (texts[i], g_free);
  draft->category = g_strdup ("");
  draft->asked = FALSE;
  draft->form = VJ_FORM_OPEN;
  g_ptr_array_set_size (draft->images, 0);
}

void
vj_draft_free (VjDraft *draft)
{
  if (draft == NULL)
    return;
  vj_draft_clear (draft);
  g_free (draft->category);
  g_ptr_array_unref (draft->images);
  g_free (draft);
}

static void
set (char **text, const char *value)
{
  char *copy = g_strdup (value); /* the plugin may hand back what the draft holds */
  g_free (*text);
  *text = copy;
}

void
vj_draft_question (VjDraft *draft, VjForm form, const char *prompt, const char *category)
{
  draft->asked = TRUE;
  draft->form = form;
  set (&draft->prompt, prompt);
  set (&draft->category, category != NULL ? category : "");
}

void
vj_draft_key (VjDraft *draft, const char *key)
{
  set (&draft->key, key);
}

void
vj_draft_gold (VjDraft *draft, const char *gold)
{
  set (&draft->gold, gold);
}

void
vj_draft_pair (VjDraft *draft, const char *chosen, const char *rejected, const char *how)
{
  set (&draft->chosen, chosen);
  set (&draft->rejected, rejected);
  set (&draft->how, how != NULL ? how : "");
}

gboolean
vj_draft_image_bytes (VjDraft *draft, const void *bytes, size_t length, GError **error)
{
  g_autofree char *where = g_strdup_printf ("image %u%s%s", draft->images->len, draft->key != NULL ? " of " : "",
                                            draft->key != NULL ? draft->key : "");
  VjImage *image = vj_image_new_from_data (bytes, length, where, error);
  if (image == NULL)
    return FALSE;
  g_ptr_array_add (draft->images, image);
  return TRUE;
}

gboolean
vj_draft_image_file (VjDraft *draft, const char *root, const char *name, GError **error)
{
  VjImage *image = vj_image_new_from_file (root, name, error);
  if (image == NULL)
    return FALSE;
  g_ptr_array_add (draft->images, image);
  return TRUE;
}

void
vj_draft_reason (VjDraft *draft, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_free (draft->reason);
  draft->reason = text;
}

gboolean
vj_draft_check (const VjDraft *draft, const char *what, GError **error)
{
  const char *const texts[] = {draft->prompt, draft->category, draft->key, draft->gold, draft->chosen, draft->rejected, draft->how};
  if (!draft->asked || draft->prompt == NULL || *draft->prompt == '\0')
    return vj_fail (error, VJ_EXIT_PLUGIN, "%s: said OK but drafted no question: a fault of the plugin; tell its author", what);
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    if (texts[i] != NULL && !g_utf8_validate (texts[i], -1, NULL))
      return vj_fail (error, VJ_EXIT_PLUGIN, "%s: drafted text that is not UTF-8: a fault of the plugin; tell its author", what);
  if ((draft->chosen == NULL) != (draft->rejected == NULL))
    return vj_fail (error, VJ_EXIT_PLUGIN, "%s: drafted half a pair: a fault of the plugin; tell its author", what);
  return TRUE;
}
