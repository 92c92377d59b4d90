#include "text/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct VjJson {
  FILE *file;
  char *path, *name, *place;
  VjJsonForm form;
  gsize limit;
  struct stat opened;
  GString *text;       /* of the record being read, at most `limit` bytes */
  gboolean too_long;
  gboolean in_array;   /* ELEMENTS: the array's bracket was read                    */
  gboolean ended;      /* ELEMENTS: so was its closing one, or the end of the file  */
  guint64 line, begun; /* line now; line on which the record begins */
  guint64 records;     /* read so far, broken ones included */
};

void
vj_json_problem_clear (VjJsonProblem *problem)
{
  g_clear_pointer (&problem->reason, g_free);
  g_clear_pointer (&problem->detail, g_free);
}

gboolean
vj_json_problem (VjJsonProblem *ret_problem, const char *reason, const char *detail_format, ...)
{
  va_list args;
  va_start (args, detail_format);
  *ret_problem = (VjJsonProblem){g_strdup (reason), detail_format ? g_strdup_vprintf (detail_format, args) : NULL};
  va_end (args);
  return FALSE;
}

VjJson *
vj_json_open (const char *path, VjJsonForm form, gsize limit, GError **error)
{
  g_autoptr (VjJson) json = g_new0 (VjJson, 1);
  json->path = g_strdup (path);
  json->name = g_path_get_basename (path);
  json->form = form;
  json->limit = limit;
  json->line = 1;
  json->text = g_string_new (NULL);
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO would wait for its writer */
  if (fd < 0 || !(json->file = fdopen (fd, "rb")) || fstat (fileno (json->file), &json->opened) != 0) {
    vj_fail (error, VJ_EXIT_DATA, "'%s': cannot open the data set: %s; check `path`", path, g_strerror (errno));
    return NULL;
  }
  if (!S_ISREG (json->opened.st_mode)) {
    vj_fail (error, VJ_EXIT_DATA, "'%s': the data set is not a regular file; give a file", path);
    return NULL;
  }
  return g_steal_pointer (&json);
}

void
vj_json_close (VjJson *json)
{
  if (!json)
    return;
  if (json->file)
    fclose (json->file);
  g_free (json->path);
  g_free (json->name);
  g_free (json->place);
  g_string_free (json->text, TRUE);
  g_free (json);
}

const char *
vj_json_place (const VjJson *json)
{
  return json->place;
}

/* -- cutting the file into records ----------------------------------------------- */

static int
next_byte (VjJson *json)
{
  int c = getc_unlocked (json->file);
  if (c == '\n')
    json->line++;
  return c;
}

static void
keep_byte (VjJson *json, int c)
{
  if (json->text->len < json->limit)
    g_string_append_c (json->text, (char) c);
  else
    json->too_long = TRUE;
}

static void
skip_byte_order_mark (VjJson *json)
{
  static const char mark[] = "\xef\xbb\xbf";
  char head[3];
  if (fread (head, 1, 3, json->file) != 3 || memcmp (head, mark, 3) != 0)
    rewind (json->file);
}

/* The next line that is not blank into `text`, without its end; FALSE at the end of the file. */
static gboolean
cut_line (VjJson *json)
{
  int c = 0;
  while (c != EOF) {
    gboolean blank = TRUE;
    g_string_truncate (json->text, 0);
    json->begun = json->line;
    while ((c = next_byte (json)) != EOF && c != '\n') {
      blank = blank && g_ascii_isspace (c);
      keep_byte (json, c);
    }
    if (!blank)
      return TRUE;
    json->too_long = FALSE;
  }
  return FALSE;
}

/* The next element of the array into `text`, by counting brackets outside strings: it ends where the
 * brackets are even again. So an element that is not JSON is still cut off from the next one. */
static gboolean
cut_element (VjJson *json)
{
  int depth = 0, c;
  gboolean in_string = FALSE, escaped = FALSE;
  g_string_truncate (json->text, 0);
  while ((c = next_byte (json)) != EOF && (g_ascii_isspace (c) || c == ',' || (c == '[' && !json->in_array && json->records == 0)))
    json->in_array = json->in_array || c == '[';
  json->begun = json->line;
  json->ended = c == EOF || c == ']';
  if (json->ended) /* an array that is never closed is reported as one more record: the file may have been cut short */
    return c == EOF && json->in_array;
  for (; c != EOF; c = next_byte (json)) {
    if (!in_string && depth == 0 && json->text->len && (c == ',' || c == ']')) {
      ungetc (c, json->file);
      return TRUE;
    }
    keep_byte (json, c);
    if (in_string) {
      in_string = escaped || c != '"';
      escaped = !escaped && c == '\\';
    } else if (c == '"')
      in_string = TRUE;
    else if (c == '{' || c == '[')
      depth++;
    else if ((c == '}' || c == ']') && --depth <= 0)
      return TRUE;
  }
  json->ended = TRUE;
  return TRUE;
}

/* -- records ------------------------------------------------------------------------ */

static VjFlow
finish (VjJson *json, GError **error)
{
  struct stat now;
  if (ferror (json->file))
    vj_fail (error, VJ_EXIT_DATA, "%s:%" G_GUINT64_FORMAT ": '%s': cannot read on: %s; check the file", json->name, json->line,
             json->path, g_strerror (errno));
  else if (fstat (fileno (json->file), &now) != 0 || now.st_size != json->opened.st_size
           || now.st_mtim.tv_sec != json->opened.st_mtim.tv_sec || now.st_mtim.tv_nsec != json->opened.st_mtim.tv_nsec)
    vj_fail (error, VJ_EXIT_DATA, "'%s': the data set changed while it was read; run again when nothing writes to it", json->path);
  else if (json->records == 0)
    vj_fail (error, VJ_EXIT_DATA, "'%s': the data set holds no records; check `path`", json->path);
  else
    return VJ_FLOW_END;
  return VJ_FLOW_ERROR;
}

VjFlow
vj_json_next (VjJson *json, json_t **ret_record, VjJsonProblem *ret_problem, GError **error)
{
  json_error_t where;
  if (json->records == 0 && json->begun == 0)
    skip_byte_order_mark (json);
  if (json->ended || !(json->form == VJ_JSON_LINES ? cut_line (json) : cut_element (json)) || ferror (json->file))
    return finish (json, error);
  json->records++;
  g_free (json->place);
  json->place = g_strdup_printf ("%s:%" G_GUINT64_FORMAT, json->name, json->begun);
  if (json->too_long) {
    json->too_long = FALSE;
    vj_json_problem (ret_problem, "the record is too long", "longer than %" G_GSIZE_FORMAT " bytes; shorten it or raise `max_bytes`",
                     json->limit);
    return VJ_FLOW_SKIP;
  }
  if (json->text->len == 0) {
    vj_json_problem (ret_problem, "the array is not closed", "the file was cut short; get it again");
    return VJ_FLOW_SKIP;
  }
  json_t *record = json_loadb (json->text->str, json->text->len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where);
  if (record && json_is_object (record)) {
    *ret_record = record;
    return VJ_FLOW_OK;
  }
  if (record)
    vj_json_problem (ret_problem, "the record is no object", NULL);
  else
    vj_json_problem (ret_problem, "not JSON", "%s; mend it", where.text);
  json_decref (record);
  return VJ_FLOW_SKIP;
}

GHashTable *
vj_json_ids_new (void)
{
  return g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
}

/* OK, or SKIP: this record's id is missing or was seen before. */
static VjFlow
note_id (VjJson *json, json_t *record, const char *id_field, GHashTable *seen, char **ret_id, VjJsonProblem *ret_problem)
{
  g_autofree char *id = NULL;
  if (!vj_json_field_text (record, id_field, &id, ret_problem))
    return VJ_FLOW_SKIP;
  const char *earlier = g_hash_table_lookup (seen, id);
  if (earlier) {
    vj_json_problem (ret_problem, "its id is that of an earlier record", "id '%s' is already that of %s; give each record its own", id,
                     earlier);
    return VJ_FLOW_SKIP;
  }
  g_hash_table_insert (seen, g_strdup (id), g_strdup (json->place));
  *ret_id = g_steal_pointer (&id);
  return VJ_FLOW_OK;
}

static VjFlow
next_id (VjJson *json, guint64 index, const char *id_field, GHashTable *seen, json_t **ret_record, char **ret_id,
         VjJsonProblem *ret_problem, GError **error)
{
  for (;;) {
    g_autoptr (json_t) record = NULL;
    g_autofree char *id = NULL;
    g_auto (VjJsonProblem) problem = {0};
    VjFlow flow = vj_json_next (json, &record, &problem, error);
    if (flow == VJ_FLOW_OK && id_field)
      flow = note_id (json, record, id_field, seen, &id, &problem);
    if ((flow == VJ_FLOW_OK || flow == VJ_FLOW_SKIP) && json->records <= index)
      continue;
    if (flow == VJ_FLOW_OK) {
      *ret_record = g_steal_pointer (&record);
      *ret_id = g_steal_pointer (&id);
    } else if (flow == VJ_FLOW_SKIP) {
      *ret_problem = problem;
      problem = (VjJsonProblem){0};
    }
    return flow;
  }
}

VjFlow
vj_json_draft (VjJson *json, VjRun *run, const char *id_field, GHashTable *seen, VjJsonFill fill, const void *self,
               VjDraft *draft, GError **error)
{
  g_autoptr (json_t) record = NULL;
  g_autofree char *id = NULL;
  g_auto (VjJsonProblem) problem = {0};
  VjFlow flow = next_id (json, vj_run_index (run), id_field, seen, &record, &id, &problem, error);
  if (flow == VJ_FLOW_END || flow == VJ_FLOW_ERROR)
    return flow;
  vj_draft_place (draft, json->place);
  if (id)
    vj_draft_key (draft, id);
  if (flow == VJ_FLOW_OK && fill (self, record, draft, &problem))
    return VJ_FLOW_OK;
  if (problem.reason) {
    vj_draft_reason (draft, "%s", problem.reason);
    vj_draft_detail (draft, problem.detail);
  }
  return VJ_FLOW_SKIP;
}

/* -- fields -------------------------------------------------------------------------- */

/* Field names come from the recipe, so the reason is the same for every record. */
G_GNUC_PRINTF (2, 3) static gboolean
fail_field (VjJsonProblem *ret_problem, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  ret_problem->reason = g_strdup_vprintf (format, args);
  va_end (args);
  return FALSE;
}

static json_t *
child (json_t *value, const char *name)
{
  char *end;
  if (json_is_object (value))
    return json_object_get (value, name);
  guint64 index = g_ascii_strtoull (name, &end, 10);
  return *name && !*end ? json_array_get (value, (gsize) index) : NULL;
}

json_t *
vj_json_field (json_t *record, const char *name)
{
  json_t *value = json_object_get (record, name);
  if (!value && strchr (name, '.')) {
    g_auto (GStrv) path = g_strsplit (name, ".", -1);
    value = record;
    for (char **step = path; *step && value; step++)
      value = child (value, *step);
  }
  return json_is_null (value) ? NULL : value;
}

char *
vj_json_text (const json_t *value)
{
  if (json_is_string (value))
    return g_strdup (json_string_value (value));
  if (json_is_boolean (value))
    return g_strdup (json_is_true (value) ? "true" : "false");
  if (json_is_integer (value))
    return g_strdup_printf ("%" JSON_INTEGER_FORMAT, json_integer_value (value));
  if (json_is_real (value)) {
    char number[G_ASCII_DTOSTR_BUF_SIZE];
    return g_strdup (g_ascii_dtostr (number, sizeof number, json_real_value (value)));
  }
  if (!json_is_array (value))
    return NULL;
  g_autoptr (GString) lines = g_string_new (NULL);
  for (gsize i = 0; i < json_array_size (value); i++) {
    const json_t *item = json_array_get (value, i);
    g_autofree char *line = json_is_array (item) ? NULL : vj_json_text (item);
    if (!line)
      return NULL;
    g_string_append_printf (lines, "%s%s", i ? "\n" : "", line);
  }
  return g_string_free (g_steal_pointer (&lines), FALSE);
}

gboolean
vj_json_field_text (json_t *record, const char *name, char **ret_text, VjJsonProblem *ret_problem)
{
  json_t *value = vj_json_field (record, name);
  char *text = value ? vj_json_text (value) : NULL;
  if (text)
    *ret_text = text;
  else
    fail_field (ret_problem, value ? "field '%s' is no text" : "no field '%s'", name);
  return text != NULL;
}

static gboolean
add_image (const json_t *name, const char *field, const char *root, VjDraft *draft, VjJsonProblem *ret_problem)
{
  if (!json_is_string (name))
    return fail_field (ret_problem, "field '%s' holds no file name", field);
  return vj_draft_image_file (draft, root, json_string_value (name), NULL); /* the draft notes what is wrong */
}

gboolean
vj_json_images (json_t *record, const char *field, gboolean optional, const char *root, VjDraft *draft, gsize *ret_n,
                VjJsonProblem *ret_problem)
{
  json_t *value = field ? vj_json_field (record, field) : NULL;
  gsize n = json_is_array (value) ? json_array_size (value) : value ? 1 : 0;
  if (field && n == 0 && !optional)
    return fail_field (ret_problem, value ? "field '%s' names no image" : "no field '%s'", field);
  for (gsize i = 0; i < n; i++)
    if (!add_image (json_is_array (value) ? json_array_get (value, i) : value, field, root, draft, ret_problem))
      return FALSE;
  *ret_n = n;
  return TRUE;
}

char *
vj_json_root (const char *root, const char *path)
{
  return root ? g_strdup (root) : g_path_get_dirname (path);
}
