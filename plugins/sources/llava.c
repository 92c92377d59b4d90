/* llava: questions from a LLaVA-style JSON array, read element by element. The first human turn is
 * the question, the answer to it is kept apart, later turns are left out. Each <image> placeholder
 * must have its image and each image its placeholder; system turns are left out. */
#include "text/json.h"

#include <string.h>

enum { FORM_OPEN, FORM_CLOSED, FORM_AUTO };
static const char *const forms[] = {"open", "closed", "auto", NULL};

typedef struct {
  char *path, *image_root, *image_field, *id_field, *category, *placeholder, *closed_pattern;
  int64_t form, max_bytes;

  VjJson *json;
  GHashTable *ids;
  GRegex *closed;
  char *root;
} Llava;

static const VjOption options[] = {
  VJ_OPTION_PATH (Llava, path, "The JSON file: an array of records with `conversations`."),
  VJ_OPTION_PATH_OPTIONAL (Llava, image_root, "Folder that image names start from; without it the file's own folder."),
  VJ_OPTION_STRING (Llava, image_field, "image", "Field that holds an image's file name or a list of them; a record without it is text only."),
  VJ_OPTION_STRING (Llava, placeholder, "<image>", "What stands for an image in a turn."),
  VJ_OPTION_CHOICE (Llava, form, "open", forms, "Whether long answers are due or a number, a word or a letter; auto: as closed_pattern says."),
  VJ_OPTION_STRING (Llava, closed_pattern, "single word|single number|short phrase|one word|option'?s? letter|letter from the given|yes or no",
                    "Regular expression that marks a closed question, for form: auto; case does not matter."),
  VJ_OPTION_STRING (Llava, category, "", "Category of all questions."),
  VJ_OPTION_STRING (Llava, id_field, NULL, "Field that names a record, usually id; no two records may share one."),
  VJ_OPTION_INT (Llava, max_bytes, "16777216", 2, 1e9, "bytes", "Longest record."),
  VJ_OPTION_END
};

static gboolean
llava_start (void *instance, VjRun *run, GError **error)
{
  Llava *self = instance;
  g_autoptr (GError) cause = NULL;
  (void) run;
  if (!*self->placeholder)
    return vj_fail (error, VJ_EXIT_RECIPE, "llava: 'placeholder': it is empty; leave it out or give what stands for an image");
  self->root = vj_json_root (self->image_root, self->path);
  self->ids = vj_json_ids_new ();
  if (!(self->closed = g_regex_new (self->closed_pattern, G_REGEX_CASELESS, 0, &cause)))
    return vj_fail (error, VJ_EXIT_RECIPE, "llava: 'closed_pattern': not a regular expression: %s; mend it", cause->message);
  self->json = vj_json_open (self->path, VJ_JSON_ELEMENTS, (gsize) self->max_bytes, error);
  return self->json != NULL;
}

static void
llava_stop (void *instance)
{
  Llava *self = instance;
  g_clear_pointer (&self->json, vj_json_close);
  g_clear_pointer (&self->ids, g_hash_table_unref);
  g_clear_pointer (&self->closed, g_regex_unref);
  g_clear_pointer (&self->root, g_free);
}

/* The text of the first turn, from *index on, whose speaker is one of two names; *index moves past it. NULL: none. */
static const char *
turn_of (const json_t *turns, gsize *index, const char *name, const char *other_name)
{
  while (*index < json_array_size (turns)) {
    const json_t *turn = json_array_get (turns, (*index)++);
    const char *from = json_string_value (json_object_get (turn, "from"));
    const char *speaker = from ? from : json_string_value (json_object_get (turn, "role"));
    const char *value = json_string_value (json_object_get (turn, from ? "value" : "content"));
    if (speaker && value && (strcmp (speaker, name) == 0 || strcmp (speaker, other_name) == 0))
      return value;
  }
  return NULL;
}

/* `text` without placeholders, and without the line ends they stood on; *ret_n of them. Owned. */
static char *
without_placeholders (const Llava *self, const char *text, gsize *ret_n)
{
  g_auto (GStrv) parts = g_strsplit (text, self->placeholder, -1);
  *ret_n = *parts ? g_strv_length (parts) - 1 : 0;
  for (char **part = parts; *part; part++)
    g_strstrip (*part);
  g_autofree char *joined = g_strjoinv ("\n", parts);
  return g_strdup (g_strstrip (joined));
}

static gboolean
draft_record (const void *instance, json_t *record, VjDraft *draft, VjJsonProblem *ret_problem)
{
  const Llava *self = instance;
  const json_t *turns = json_object_get (record, "conversations");
  gsize at = 0, n_images = 0, n_placeholders;
  const char *human = turn_of (turns, &at, "human", "user"), *gold = human ? turn_of (turns, &at, "gpt", "assistant") : NULL;
  if (!json_is_array (turns) || !human)
    return vj_json_problem (ret_problem, json_is_array (turns) ? "no human turn in 'conversations'" : "no array 'conversations'", NULL);
  g_autofree char *prompt = without_placeholders (self, human, &n_placeholders);
  if (!vj_json_images (record, self->image_field, TRUE, self->root, draft, &n_images, ret_problem))
    return FALSE;
  if (n_images != n_placeholders)
    return vj_json_problem (ret_problem, "images and their placeholders do not match",
                            "the first human turn has %" G_GSIZE_FORMAT " '%s' for %" G_GSIZE_FORMAT " images", n_placeholders,
                            self->placeholder, n_images);
  if (!*prompt)
    return vj_json_problem (ret_problem, "the question is empty", NULL);
  gboolean closed = self->form == FORM_AUTO ? g_regex_match (self->closed, prompt, 0, NULL) : self->form == FORM_CLOSED;
  vj_draft_question (draft, closed ? VJ_FORM_CLOSED : VJ_FORM_OPEN, prompt, self->category);
  if (gold)
    vj_draft_gold (draft, gold);
  return TRUE;
}

static VjFlow
llava_next (void *instance, VjRun *run, VjDraft *draft, GError **error)
{
  Llava *self = instance;
  return vj_json_draft (self->json, run, self->id_field, self->ids, draft_record, self, draft, error);
}

VJ_DEFINE_SOURCE (Llava, llava_next,
                  .name = "llava", .version = "1.0", .license = "Apache-2.0",
                  .summary = "Questions from a LLaVA-style JSON array of conversations.",
                  .options = options, .start = llava_start, .stop = llava_stop)
