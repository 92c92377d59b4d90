/* Reading the JSON files of a model directory. */
#include "engine/json.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *
read_descriptor (int fd, const char *file, gsize limit, gsize *ret_length, GError **error)
{
  struct stat info;
  if (fstat (fd, &info) < 0 || !S_ISREG (info.st_mode)) {
    vj_fail (error, VJ_EXIT_DATA, "%s: not a regular file; give a file of a model directory", file);
    return NULL;
  }
  if (info.st_size < 0 || (guint64) info.st_size > limit) {
    vj_fail (error, VJ_EXIT_DATA, "%s: %" G_GINT64_FORMAT " bytes: more than the %" G_GSIZE_FORMAT " allowed; is it the right file?", file,
             (gint64) info.st_size, limit);
    return NULL;
  }
  gsize length = (gsize) info.st_size, done = 0;
  g_autofree char *bytes = g_malloc (length + 1);
  while (done < length) {
    gssize n = read (fd, bytes + done, length - done);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0) {
      vj_fail (error, VJ_EXIT_DATA, "%s: cannot read: %s; check the file", file, n < 0 ? g_strerror (errno) : "it is being shortened");
      return NULL;
    }
    done += (gsize) n;
  }
  bytes[length] = '\0';
  *ret_length = length;
  return g_steal_pointer (&bytes);
}

char *
vj_json_bytes (const char *file, gsize limit, gsize *ret_length, GError **error)
{
  /* Non-blocking, so that a pipe in a model's place cannot hold the program. */
  int fd = open (file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    vj_fail (error, VJ_EXIT_DATA, "%s: cannot open: %s; give a Hugging Face model directory", file, g_strerror (errno));
    return NULL;
  }
  char *bytes = read_descriptor (fd, file, limit, ret_length, error);
  close (fd);
  return bytes;
}

json_t *
vj_json_object (const char *where, const char *bytes, gsize length, GError **error)
{
  static const char pointer[] = "version https://git-lfs"; /* what a clone without `git lfs` leaves of a large file */
  json_error_t fault;
  if (length >= sizeof pointer - 1 && memcmp (bytes, pointer, sizeof pointer - 1) == 0) {
    vj_fail (error, VJ_EXIT_DATA,
             "%s: a Git LFS pointer, not the file itself: it was not fetched; run `git lfs pull` in the model directory", where);
    return NULL;
  }
  json_t *object = json_loadb (bytes, length, JSON_REJECT_DUPLICATES, &fault);
  if (object == NULL) {
    vj_fail (error, VJ_EXIT_DATA, "%s:%d:%d: not valid JSON: %s; fetch the file anew", where, fault.line, fault.column, fault.text);
    return NULL;
  }
  if (!json_is_object (object)) {
    vj_fail (error, VJ_EXIT_DATA, "%s: not a JSON object; fetch the file anew", where);
    json_decref (object);
    return NULL;
  }
  return object;
}

gboolean
vj_json_get_uint (const char *where, const json_t *object, const char *key, guint64 least, guint64 most, guint64 *ret_value, GError **error)
{
  const json_t *value = json_object_get (object, key);
  if (value == NULL)
    return TRUE;
  if (!json_is_integer (value) || json_integer_value (value) < 0 || (guint64) json_integer_value (value) < least ||
      (guint64) json_integer_value (value) > most)
    return vj_fail (error, VJ_EXIT_DATA, "%s: '%s': not a whole number from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT "; mend the file",
                    where, key, least, most);
  *ret_value = (guint64) json_integer_value (value);
  return TRUE;
}

gboolean
vj_json_get_real (const char *where, const json_t *object, const char *key, double least, double most, double *ret_value, GError **error)
{
  const json_t *value = json_object_get (object, key);
  if (value == NULL)
    return TRUE;
  double number = json_number_value (value);
  if (!json_is_number (value) || !(number >= least && number <= most))
    return vj_fail (error, VJ_EXIT_DATA, "%s: '%s': not a number from %g to %g; mend the file", where, key, least, most);
  *ret_value = number;
  return TRUE;
}

gboolean
vj_json_get_bool (const char *where, const json_t *object, const char *key, gboolean *ret_value, GError **error)
{
  const json_t *value = json_object_get (object, key);
  if (value == NULL)
    return TRUE;
  if (!json_is_boolean (value))
    return vj_fail (error, VJ_EXIT_DATA, "%s: '%s': neither true nor false; mend the file", where, key);
  *ret_value = json_is_true (value);
  return TRUE;
}

const char *
vj_json_peek_string (const json_t *object, const char *key)
{
  return json_string_value (json_object_get (object, key));
}

gboolean
vj_json_is_null (const json_t *object, const char *key)
{
  const json_t *value = json_object_get (object, key);
  return value == NULL || json_is_null (value);
}
