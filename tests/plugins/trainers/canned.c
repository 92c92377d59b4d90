/* canned: a trainer for tests. It learns nothing: the new "model" is a copy of the old one's
 * replies.json and, in lessons.jsonl, what it was shown; or, where `becomes` has a file named
 * after the new directory (iteration-2.json), that file's replies. Not installed. */
#include <vj/plugin.h>

#include <errno.h>
#include <glib/gstdio.h>
#include <jansson.h>

typedef struct {
  gboolean fail;
  char *becomes;
} Canned;

static const VjOption options[] = {
  VJ_OPTION_BOOL (Canned, fail, "false", "Stop as if the loss had become infinite."),
  VJ_OPTION_PATH_OPTIONAL (Canned, becomes, "Directory of replies that new models get, each file named after the model's directory."),
  VJ_OPTION_END
};

static void
append_example (GString *lines, const VjMessage *messages, size_t n)
{
  static const char *const speakers[] = {"system", "user", "assistant"};
  json_t *example = json_array ();
  for (size_t i = 0; i < n; i++) {
    json_t *images = json_array ();
    for (size_t j = 0; j < messages[i].n_images; j++)
      json_array_append_new (images, json_string (vj_image_digest (messages[i].images[j])));
    json_array_append_new (example, json_pack ("{s:s, s:s, s:o}", "role", speakers[messages[i].speaker], "content",
                                               messages[i].text, "images", images));
  }
  char *line = json_dumps (example, JSON_COMPACT);
  g_string_append_printf (lines, "%s\n", line);
  free (line);
  json_decref (example);
}

static gboolean
copy_into (const char *from, const char *to, const char *name, GError **error)
{
  g_autofree char *source = g_build_filename (from, name, NULL), *target = g_build_filename (to, name, NULL), *text = NULL;
  gsize length;
  return g_file_get_contents (source, &text, &length, error) && g_file_set_contents (target, text, (gssize) length, error);
}

static gboolean
make_replies (const Canned *self, VjCourse *course, GError **error)
{
  const char *output = vj_course_output (course);
  g_autofree char *own = g_path_get_basename (output), *name = g_strconcat (own, ".json", NULL);
  g_autofree char *file = self->becomes ? g_build_filename (self->becomes, name, NULL) : NULL;
  g_autofree char *target = g_build_filename (output, "replies.json", NULL), *text = NULL;
  gsize length;
  if (!file || !g_file_test (file, G_FILE_TEST_EXISTS))
    return copy_into (vj_course_model (course), output, "replies.json", error);
  return g_file_get_contents (file, &text, &length, error) && g_file_set_contents (target, text, (gssize) length, error);
}

static gboolean
canned_train (void *instance, VjRun *run, VjCourse *course, GError **error)
{
  const Canned *self = instance;
  const char *output = vj_course_output (course);
  size_t n = vj_course_count (course);
  g_autoptr (GString) lines = g_string_new (NULL);
  (void) run;
  if (self->fail)
    return vj_fail (error, VJ_EXIT_NONFINITE, "canned: the loss is not finite, as told by `fail`");
  for (size_t i = 0; i < n; i++) {
    size_t n_messages;
    const VjMessage *messages = vj_course_example (course, i, &n_messages);
    append_example (lines, messages, n_messages);
    vj_course_step (course, i + 1, n, 1.0 / (double) (i + 1), 1e-5, 1);
  }
  if (g_mkdir (output, 0700) != 0)
    return vj_fail (error, VJ_EXIT_STORE, "canned: '%s': cannot make the directory: %s", output, g_strerror (errno));
  g_autofree char *lessons = g_build_filename (output, "lessons.jsonl", NULL);
  return make_replies (self, course, error)
         && g_file_set_contents (lessons, lines->str, (gssize) lines->len, error)
         && g_file_set_contents (vj_course_checkpoint (course), lines->str, (gssize) lines->len, error);
}

VJ_DEFINE_TRAINER (Canned, canned_train,
                   .name = "canned", .version = "1.0", .license = "Apache-2.0",
                   .summary = "Copies the model and notes what it was shown: a trainer for tests.",
                   .options = options)
