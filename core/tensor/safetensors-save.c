/* Writing safetensors: see safetensors.h. The file appears whole or not at all. */
#include "tensor/safetensors.h"
#include "base/checked.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

static gboolean
failed (GError **error, const char *file, const char *what)
{
  return vj_fail (error, VJ_EXIT_STORE,
                  "save: '%s': %s failed: %s; free space or check permissions", file, what, g_strerror (errno));
}

static gboolean
write_all (int fd, const void *data, gsize size)
{
  const guint8 *at = data;
  while (size > 0) {
    ssize_t n = write (fd, at, MIN (size, (gsize) 1 << 30));
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return FALSE;
    at += n;
    size -= (gsize) n;
  }
  return TRUE;
}

/* The header, padded with spaces so that the data begins on a multiple of 64 bytes. */
static char *
make_header (const VjTensor *tensors, gsize n, const char *const *metadata)
{
  json_t *header = json_object ();
  gsize at = 0;
  if (metadata != NULL) {
    json_t *object = json_object ();
    for (; metadata[0] != NULL; metadata += 2)
      json_object_set_new (object, metadata[0], json_string (metadata[1]));
    json_object_set_new (header, "__metadata__", object);
  }
  for (gsize i = 0; i < n; i++) {
    gsize end = at + tensors[i].n_elements * vj_dtype_size (tensors[i].dtype);
    json_t *shape = json_array ();
    for (guint d = 0; d < tensors[i].n_dims; d++)
      json_array_append_new (shape, json_integer ((json_int_t) tensors[i].dims[d]));
    json_object_set_new (header, tensors[i].name,
                         json_pack ("{s:s, s:o, s:[I, I]}", "dtype", vj_dtype_name (tensors[i].dtype), "shape", shape,
                                    "data_offsets", (json_int_t) at, (json_int_t) end));
    at = end;
  }
  char *text = json_dumps (header, JSON_COMPACT);
  json_decref (header);
  gsize length = strlen (text), padded = ((length + 8 + 63) & ~(gsize) 63) - 8;
  char *result = g_malloc (padded + 1);
  memcpy (result, text, length);
  memset (result + length, ' ', padded - length);
  result[padded] = '\0';
  free (text);
  return result;
}

static gboolean
write_file (int fd, const char *header, const VjTensor *tensors, gsize n)
{
  guint64 length = GUINT64_TO_LE ((guint64) strlen (header));
  if (!write_all (fd, &length, 8) || !write_all (fd, header, strlen (header)))
    return FALSE;
  for (gsize i = 0; i < n; i++)
    if (!write_all (fd, tensors[i].data, tensors[i].n_elements * vj_dtype_size (tensors[i].dtype)))
      return FALSE;
  return fsync (fd) == 0;
}

static gboolean
sync_parent (const char *file)
{
  g_autofree char *dir = g_path_get_dirname (file);
  int fd = open (dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  gboolean ok = fd >= 0 && fsync (fd) == 0;
  if (fd >= 0)
    close (fd);
  return ok;
}

gboolean
vj_safetensors_save (const char *file, const VjTensor *tensors, gsize n, const char *const *metadata, GError **error)
{
  g_autofree char *temporary = g_strdup_printf ("%s.XXXXXX", file);
  g_autofree char *header = make_header (tensors, n, metadata);
  int fd = g_mkstemp_full (temporary, O_WRONLY | O_CLOEXEC, 0644);
  if (fd < 0)
    return failed (error, file, "creating a temporary file");
  gboolean written = write_file (fd, header, tensors, n);
  int fault = errno;
  if (close (fd) != 0 && written) {
    written = FALSE;
    fault = errno;
  }
  if (!written || g_rename (temporary, file) != 0) {
    errno = written ? errno : fault;
    failed (error, file, written ? "renaming" : "writing");
    g_unlink (temporary);
    return FALSE;
  }
  return sync_parent (file) || failed (error, file, "syncing the directory");
}
