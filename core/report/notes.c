/* Notes for the summary, in the store's meta texts. */
#include "report/notes.h"

#include <string.h>

static char *
key_of (guint iteration)
{
  return g_strdup_printf ("course %u", iteration);
}

gboolean
vj_notes_put_course (VjStore *store, guint iteration, const VjNotesCourse *course, GError **error)
{
  g_autofree char *key = key_of (iteration), *text = NULL;

  if (course == NULL)
    return vj_store_meta_set (store, key, NULL, error);
  json_t *json = json_pack ("{s:I, s:I, s:I, s:I}", "traces", (json_int_t) course->traces, "open", (json_int_t) course->open,
                            "closed", (json_int_t) course->closed, "rewrites", (json_int_t) course->rewrites);
  text = vj_json_canonical (json);
  json_decref (json);
  return vj_store_meta_set (store, key, text, error);
}

/* The course noted for an iteration; NULL in *ret_course: none. New reference. */
static gboolean
get_course (VjStore *store, guint iteration, json_t **ret_course, GError **error)
{
  g_autofree char *key = key_of (iteration), *text = NULL;

  if (!vj_store_meta_get (store, key, &text, error))
    return FALSE;
  *ret_course = text != NULL ? json_loads (text, 0, NULL) : NULL;
  return TRUE;
}

static gint64
member (const json_t *course, const char *name)
{
  return json_integer_value (json_object_get (course, name));
}

static gboolean
gold_was_used (VjStore *store, gboolean *ret_used, GError **error)
{
  json_t *marks = NULL;
  if (!vj_store_ablation_get (store, &marks, error))
    return FALSE;
  *ret_used = json_object_get (marks, "gold") != NULL;
  json_decref (marks);
  return TRUE;
}

gboolean
vj_notes_text (VjStore *store, const GPtrArray *stages, GString *out, GError **error)
{
  gboolean gold = FALSE;

  for (guint i = 0; i < stages->len; i++) {
    const VjStage *stage = stages->pdata[i];
    json_t *course = NULL;
    if (strcmp (stage->name, "train") != 0 || stage->state != VJ_STAGE_DONE)
      continue;
    if (!get_course (store, stage->iteration, &course, error))
      return FALSE;
    if (course != NULL)
      g_string_append_printf (out, "\niteration %u was trained on %" G_GINT64_FORMAT " traces and, of the model's own answers, %"
                              G_GINT64_FORMAT " to open questions, %" G_GINT64_FORMAT " to closed ones and %" G_GINT64_FORMAT
                              " rewrites\n", stage->iteration, member (course, "traces"), member (course, "open"),
                              member (course, "closed"), member (course, "rewrites"));
    json_decref (course);
  }
  if (!gold_was_used (store, &gold, error))
    return FALSE;
  if (gold)
    g_string_append (out, "\nGOLD WAS USED: gold answers decided which pairs were kept (iteration.closed_form.gold: filter).\n"
                     "This is an ablation; its scores are not those of a judge trained without labels.\n");
  return TRUE;
}

gboolean
vj_notes_json (VjStore *store, const GPtrArray *stages, json_t *object, GError **error)
{
  json_t *courses = json_array ();
  gboolean gold = FALSE, good = gold_was_used (store, &gold, error);

  for (guint i = 0; good && i < stages->len; i++) {
    const VjStage *stage = stages->pdata[i];
    json_t *course = NULL;
    if (strcmp (stage->name, "train") != 0 || stage->state != VJ_STAGE_DONE)
      continue;
    good = get_course (store, stage->iteration, &course, error);
    if (good && course != NULL) {
      json_object_set_new (course, "iteration", json_integer (stage->iteration));
      json_array_append (courses, course);
    }
    json_decref (course);
  }
  if (good && gold)
    json_object_set_new (object, "gold", json_true ());
  if (good && json_array_size (courses) > 0)
    json_object_set (object, "courses", courses);
  json_decref (courses);
  return good;
}
