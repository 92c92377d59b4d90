/* VjDraft: the record a source or evaluator is filling. */
#include "base/file.h"
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
  char **texts[] = {&draft->prompt, &draft->category, &draft->key, &draft->gold, &draft->chosen, &draft->rejected, &draft->how,
                    &draft->reason, &draft->place, &draft->detail};
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

/* An image that is none: the kind of fault is the reason by which the funnel counts, the message is the record's own. */
static gboolean
fail_image (VjDraft *draft, const char *reason, const GError *cause)
{
  set (&draft->reason, vj_error_exit (cause) == VJ_EXIT_LIMIT ? "an image is too large" : reason);
  set (&draft->detail, cause->message);
  return FALSE;
}

static gboolean
add_image (VjDraft *draft, GBytes *bytes, const char *where, GError **error)
{
  g_autoptr (GError) cause = NULL;
  VjImage *image = vj_image_new_from_bytes (bytes, where, &cause);
  if (image != NULL) {
    g_ptr_array_add (draft->images, image);
    return TRUE;
  }
  fail_image (draft, "an image is broken, or of a format that is not read", cause);
  g_propagate_error (error, g_steal_pointer (&cause));
  return FALSE;
}

gboolean
vj_draft_image_bytes (VjDraft *draft, const void *bytes, size_t length, GError **error)
{
  g_autofree char *where = g_strdup_printf ("image %u%s%s", draft->images->len, draft->key != NULL ? " of " : "",
                                            draft->key != NULL ? draft->key : "");
  g_autoptr (GBytes) own = g_bytes_new (bytes, length);
  return add_image (draft, own, where, error);
}

gboolean
vj_draft_image_file (VjDraft *draft, const char *root, const char *name, GError **error)
{
  g_autoptr (GError) cause = NULL;
  g_autoptr (GBytes) bytes = vj_file_read_beneath (root, name, VJ_IMAGE_MAX_BYTES, &cause);
  if (bytes != NULL)
    return add_image (draft, bytes, name, error);
  fail_image (draft, "an image file cannot be read", cause);
  g_propagate_error (error, g_steal_pointer (&cause));
  return FALSE;
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

void
vj_draft_place (VjDraft *draft, const char *place)
{
  set (&draft->place, place);
}

void
vj_draft_detail (VjDraft *draft, const char *detail)
{
  set (&draft->detail, detail);
}

char *
vj_draft_problem (const VjDraft *draft)
{
  return g_strconcat (draft->place != NULL ? draft->place : "", draft->place != NULL ? ": " : "",
                      draft->reason != NULL ? draft->reason : "no reason given", draft->detail != NULL ? ": " : "",
                      draft->detail, NULL);
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
