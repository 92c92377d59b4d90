/* pairs: a benchmark of gold pairs from a JSONL file. The host asks the recipe's judge in both
 * orders and counts; this plugin only reads. */
#include "text/json.h"

#include <string.h>

static const char *const forms[] = {"open", "closed", NULL}; /* as VjForm */

typedef struct {
  char *path, *image_root, *question_field, *image_field, *chosen_field, *rejected_field, *how_field, *category_field, *id_field;
  int64_t form, max_bytes;

  VjJson *json;
  GHashTable *ids;
  char *root;
} Pairs;

static const VjOption options[] = {
  VJ_OPTION_PATH (Pairs, path, "The JSONL file, one pair per line."),
  VJ_OPTION_PATH_OPTIONAL (Pairs, image_root, "Folder that image names start from; without it the file's own folder."),
  VJ_OPTION_STRING (Pairs, question_field, "question", "Field that holds the question."),
  VJ_OPTION_STRING (Pairs, image_field, "image", "Field that holds an image's file name or a list of them; a record without it is text only."),
  VJ_OPTION_STRING (Pairs, chosen_field, "chosen", "Field that holds the better answer."),
  VJ_OPTION_STRING (Pairs, rejected_field, "rejected", "Field that holds the worse answer."),
  VJ_OPTION_STRING (Pairs, how_field, NULL, "Field that says what makes the worse answer worse."),
  VJ_OPTION_STRING (Pairs, category_field, NULL, "Field that holds the category."),
  VJ_OPTION_STRING (Pairs, id_field, NULL, "Field that names a record; no two records may share one."),
  VJ_OPTION_CHOICE (Pairs, form, "open", forms, "Whether the answers are long or a number, a word or a letter."),
  VJ_OPTION_INT (Pairs, max_bytes, "16777216", 2, 1e9, "bytes", "Longest line."),
  VJ_OPTION_END
};

static gboolean
pairs_start (void *instance, VjRun *run, GError **error)
{
  Pairs *self = instance;
  (void) run;
  self->root = vj_json_root (self->image_root, self->path);
  self->ids = vj_json_ids_new ();
  self->json = vj_json_open (self->path, VJ_JSON_LINES, (gsize) self->max_bytes, error);
  return self->json != NULL;
}

static void
pairs_stop (void *instance)
{
  Pairs *self = instance;
  g_clear_pointer (&self->json, vj_json_close);
  g_clear_pointer (&self->ids, g_hash_table_unref);
  g_clear_pointer (&self->root, g_free);
}

static gboolean
draft_record (const void *instance, json_t *record, VjDraft *draft, VjJsonProblem *ret_problem)
{
  const Pairs *self = instance;
  g_autofree char *question = NULL, *chosen = NULL, *rejected = NULL, *how = NULL, *category = NULL;
  gsize n_images;
  if (!vj_json_field_text (record, self->question_field, &question, ret_problem)
      || !vj_json_field_text (record, self->chosen_field, &chosen, ret_problem)
      || !vj_json_field_text (record, self->rejected_field, &rejected, ret_problem)
      || (self->how_field && !vj_json_field_text (record, self->how_field, &how, ret_problem))
      || (self->category_field && !vj_json_field_text (record, self->category_field, &category, ret_problem))
      || !vj_json_images (record, self->image_field, TRUE, self->root, draft, &n_images, ret_problem))
    return FALSE;
  if (strcmp (chosen, rejected) == 0)
    return vj_json_problem (ret_problem, "both answers are the same", NULL);
  vj_draft_question (draft, (VjForm) self->form, question, category ? category : "");
  vj_draft_pair (draft, chosen, rejected, how ? how : "");
  return TRUE;
}

static VjFlow
pairs_next (void *instance, VjRun *run, VjDraft *draft, GError **error)
{
  Pairs *self = instance;
  return vj_json_draft (self->json, run, self->id_field, self->ids, draft_record, self, draft, error);
}

VJ_DEFINE_EVALUATOR (Pairs, pairs_next, NULL, NULL,
                     .name = "pairs", .version = "1.0", .license = "Apache-2.0",
                     .summary = "Gold pairs from a JSONL file, for the judge to compare.",
                     .options = options, .start = pairs_start, .stop = pairs_stop)
