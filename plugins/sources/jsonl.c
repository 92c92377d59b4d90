/* jsonl: questions from any JSONL file, by a mapping of its fields. Read line by line. A record
 * that is broken is quarantined with its place, and the run goes on. For open and closed questions
 * from one file a recipe lists the source twice. */
#include "text/json.h"
#include "text/text.h"

static const char *const forms[] = {"open", "closed", NULL}; /* as VjForm */

typedef struct {
  char *path, *image_root, *prompt, *prompt_field, *image_field, *category, *category_field, *id_field, *gold_field;
  gboolean image_optional;
  int64_t form, max_bytes;

  VjJson *json;
  GHashTable *ids;
  char *root;
} Jsonl;

static const VjOption options[] = {
  VJ_OPTION_PATH (Jsonl, path, "The JSONL file."),
  VJ_OPTION_STRING (Jsonl, prompt_field, NULL, "Field that holds the question."),
  VJ_OPTION_STRING (Jsonl, prompt, NULL, "The question as a template with {field} placeholders, instead of prompt_field."),
  VJ_OPTION_STRING (Jsonl, image_field, NULL, "Field that holds an image's file name or a list of them; without it there are no images."),
  VJ_OPTION_BOOL (Jsonl, image_optional, "false", "Whether a record may lack its images."),
  VJ_OPTION_PATH_OPTIONAL (Jsonl, image_root, "Folder that image names start from; without it the file's own folder."),
  VJ_OPTION_CHOICE (Jsonl, form, "open", forms, "Whether long answers are due or a number, a word or a letter."),
  VJ_OPTION_STRING (Jsonl, category, NULL, "Category of all questions."),
  VJ_OPTION_STRING (Jsonl, category_field, NULL, "Field that holds the question's category."),
  VJ_OPTION_STRING (Jsonl, id_field, NULL, "Field that names a record: ids then survive reordering, and no two records may share one."),
  VJ_OPTION_STRING (Jsonl, gold_field, NULL, "Field that holds the right answer; kept apart, for measuring only."),
  VJ_OPTION_INT (Jsonl, max_bytes, "16777216", 2, 1e9, "bytes", "Longest line."),
  VJ_OPTION_END
};

static gboolean
jsonl_start (void *instance, VjRun *run, GError **error)
{
  Jsonl *self = instance;
  if (!self->prompt == !self->prompt_field)
    return vj_fail (error, VJ_EXIT_RECIPE, "jsonl: 'prompt_field': %s; give either prompt_field or a `prompt` template",
                    self->prompt ? "a `prompt` template is given too" : "nothing says where the question is");
  if (self->category && self->category_field)
    return vj_fail (error, VJ_EXIT_RECIPE, "jsonl: 'category_field': `category` is given too; give one of them");
  if (vj_run_plan (run)->gold_needed && self->form == VJ_FORM_CLOSED && !self->gold_field)
    return vj_fail (error, VJ_EXIT_RECIPE, "jsonl: 'gold_field': it is not given, but closed_form.gold: filter drops every pair whose "
                    "question has no gold answer; name the field that holds it, or remove gold: filter");
  self->root = vj_json_root (self->image_root, self->path);
  self->ids = vj_json_ids_new ();
  self->json = vj_json_open (self->path, VJ_JSON_LINES, (gsize) self->max_bytes, error);
  return self->json != NULL;
}

static void
jsonl_stop (void *instance)
{
  Jsonl *self = instance;
  g_clear_pointer (&self->json, vj_json_close);
  g_clear_pointer (&self->ids, g_hash_table_unref);
  g_clear_pointer (&self->root, g_free);
}

/* Placeholder values are kept until the template is filled. */
typedef struct {
  json_t *record;
  GPtrArray *values;
} Lookup;

static const char *
look_up (const char *name, gpointer data)
{
  Lookup *lookup = data;
  json_t *value = vj_json_field (lookup->record, name);
  char *text = value ? vj_json_text (value) : NULL;
  if (text)
    g_ptr_array_add (lookup->values, text);
  return text;
}

static gboolean
make_prompt (const Jsonl *self, json_t *record, char **ret_prompt, VjJsonProblem *ret_problem)
{
  g_autoptr (GPtrArray) values = g_ptr_array_new_with_free_func (g_free);
  Lookup lookup = {record, values};
  g_autofree char *unknown = NULL;
  if (self->prompt_field)
    return vj_json_field_text (record, self->prompt_field, ret_prompt, ret_problem);
  char *prompt = vj_text_fill (self->prompt, look_up, &lookup, &unknown);
  if (!prompt) {
    ret_problem->reason = g_strdup_printf ("no text in field '%s'", unknown); /* a name of the recipe's */
    return FALSE;
  }
  *ret_prompt = prompt;
  return TRUE;
}

static gboolean
draft_record (const void *instance, json_t *record, VjDraft *draft, VjJsonProblem *ret_problem)
{
  const Jsonl *self = instance;
  g_autofree char *prompt = NULL, *category = g_strdup (self->category), *gold = NULL;
  gsize n_images;
  if (!make_prompt (self, record, &prompt, ret_problem)
      || (self->category_field && !vj_json_field_text (record, self->category_field, &category, ret_problem))
      || (self->gold_field && !vj_json_field_text (record, self->gold_field, &gold, ret_problem))
      || !vj_json_images (record, self->image_field, self->image_optional, self->root, draft, &n_images, ret_problem))
    return FALSE;
  if (!*g_strstrip (prompt))
    return vj_json_problem (ret_problem, "the question is empty", NULL);
  vj_draft_question (draft, (VjForm) self->form, prompt, category ? category : "");
  if (gold)
    vj_draft_gold (draft, gold);
  return TRUE;
}

static VjFlow
jsonl_next (void *instance, VjRun *run, VjDraft *draft, GError **error)
{
  Jsonl *self = instance;
  return vj_json_draft (self->json, run, self->id_field, self->ids, draft_record, self, draft, error);
}

VJ_DEFINE_SOURCE (Jsonl, jsonl_next,
                  .name = "jsonl", .version = "1.0", .license = "Apache-2.0",
                  .summary = "Questions from a JSONL file, by a mapping of its fields.",
                  .options = options, .start = jsonl_start, .stop = jsonl_stop)
