/* Directories that appear whole or not at all. */
#include <config.h>

#include "store/checkpoint.h"
#include "base/file.h"
#include "record/record.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PARTIAL_PREFIX ".partial-"
#define MAX_MANIFEST (16u << 20)

char *
vj_checkpoint_begin (const char *final, GError **error)
{
  g_autofree char *whole = g_canonicalize_filename (final, NULL); /* "a/b/" would be its own parent */
  g_autofree char *parent = g_path_get_dirname (whole), *name = g_path_get_basename (whole);
  g_autofree char *hidden = g_strconcat (PARTIAL_PREFIX, name, NULL);
  g_autofree char *partial = g_build_filename (parent, hidden, NULL);

  if (!vj_dir_remove (partial, error) || !vj_dir_make (partial, error))
    return NULL;
  return g_steal_pointer (&partial);
}

/* -- the manifest ------------------------------------------------------------------------- */

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* Names of `dir`'s entries in byte order. NULL on error. */
static GPtrArray *
list_names (const char *dir, GError **error)
{
  g_autoptr (GError) cause = NULL;
  g_autoptr (GDir) open = g_dir_open (dir, 0, &cause);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);

  if (open == NULL) {
    g_autofree char *shown = vj_quote (cause->message, 0);
    vj_fail (error, VJ_EXIT_STORE, "%s; check the directory", shown);
    return NULL;
  }
  for (const char *name; (name = g_dir_read_name (open)) != NULL;)
    g_ptr_array_add (names, g_strdup (name));
  g_ptr_array_sort (names, compare_names);
  return g_steal_pointer (&names);
}

/* Adds every file below `root`/`below` to `files`: name -> {size, sha256}. */
static gboolean
list_files (const char *root, const char *below, json_t *files, GError **error)
{
  g_autofree char *dir = g_build_filename (root, below, NULL);
  g_autoptr (GPtrArray) names = list_names (dir, error);

  if (names == NULL)
    return FALSE;
  for (guint i = 0; i < names->len; i++) {
    g_autofree char *name = below[0] != '\0' ? g_build_filename (below, names->pdata[i], NULL) : g_strdup (names->pdata[i]);
    g_autofree char *path = g_build_filename (root, name, NULL), *shown = vj_quote (path, 0), *digest = NULL;
    struct stat info;
    if (lstat (path, &info) != 0 || !(S_ISDIR (info.st_mode) || S_ISREG (info.st_mode)))
      return vj_fail (error, VJ_EXIT_STORE, "%s: neither a file nor a directory; leave it out of the checkpoint", shown);
    if (S_ISDIR (info.st_mode)) {
      if (!list_files (root, name, files, error))
        return FALSE;
      continue;
    }
    if (below[0] == '\0' && strcmp (name, VJ_MANIFEST_NAME) == 0)
      continue;
    digest = vj_sha256_file (path, error);
    if (digest == NULL)
      return FALSE;
    if (json_object_set_new (files, name, json_pack ("{s:I, s:s}", "size", (json_int_t) info.st_size, "sha256", digest)) != 0)
      return vj_fail (error, VJ_EXIT_STORE, "%s: a name that is not UTF-8; rename the file", shown);
  }
  return TRUE;
}

static gboolean
write_manifest (const char *dir, GError **error)
{
  g_autofree char *path = g_build_filename (dir, VJ_MANIFEST_NAME, NULL), *text = NULL;
  json_t *files = json_object (), *whole = json_pack ("{s:i, s:o}", "manifest", 1, "files", files);
  gboolean good = list_files (dir, "", files, error);

  if (good) {
    text = vj_json_canonical (whole);
    good = vj_file_write (path, text, strlen (text), 0666, error);
  }
  json_decref (whole);
  return good;
}

gboolean
vj_checkpoint_publish (const char *partial, const char *final, GError **error)
{
  /* The order is the law: content, then the manifest that vouches for it, then the name. */
  return vj_dir_sync_tree (partial, error) && write_manifest (partial, error) && vj_dir_rename (partial, final, error);
}

gboolean
vj_checkpoint_replace (const char *partial, const char *final, GError **error)
{
  g_autofree char *manifest = g_build_filename (final, VJ_MANIFEST_NAME, NULL), *shown = vj_quote (final, 0);
  struct stat info;

  if (lstat (final, &info) != 0 || (S_ISDIR (info.st_mode) && rmdir (final) == 0))
    return vj_checkpoint_publish (partial, final, error);
  if (!S_ISDIR (info.st_mode) || lstat (manifest, &info) != 0 || !S_ISREG (info.st_mode))
    return vj_fail (error, VJ_EXIT_STORE, "%s: holds something that vjrun did not write; move it away or choose another place",
                    shown);
  return vj_dir_sync_tree (partial, error) && write_manifest (partial, error) && vj_dir_exchange (partial, final, error)
         && vj_dir_remove (partial, error);
}

/* -- validation ------------------------------------------------------------------------------ */

static gboolean
check_file (const char *dir, const char *name, const json_t *entry, gboolean deep, GError **error)
{
  g_autofree char *shown = vj_quote (name, 0), *shown_dir = vj_quote (dir, 0), *digest = NULL;
  const json_t *size = json_object_get (entry, "size");
  const char *expected = json_string_value (json_object_get (entry, "sha256"));
  gsize length;
  int fd;

  if (!json_is_integer (size) || json_integer_value (size) < 0 || !vj_sha256_is (expected))
    return vj_fail (error, VJ_EXIT_DATA, "%s/" VJ_MANIFEST_NAME ": '%s': no size and digest; the manifest is damaged: remove "
                    "the directory and run again", shown_dir, shown);
  if (!vj_file_open_beneath (dir, name, &fd, &length, error))
    return FALSE;
  if (length == (gsize) json_integer_value (size) && deep) {
    digest = vj_sha256_fd (fd, shown, error);
    if (digest == NULL) {
      close (fd);
      return FALSE;
    }
  }
  close (fd);
  if (length != (gsize) json_integer_value (size))
    return vj_fail (error, VJ_EXIT_DATA, "%s: '%s': %" G_GSIZE_FORMAT " bytes instead of %lld; remove the directory and run "
                    "again", shown_dir, shown, length, (long long) json_integer_value (size));
  if (digest != NULL && strcmp (digest, expected) != 0)
    return vj_fail (error, VJ_EXIT_DATA, "%s: '%s': its content has changed since it was written; remove the directory and "
                    "run again", shown_dir, shown);
  return TRUE;
}

gboolean
vj_checkpoint_validate (const char *dir, gboolean deep, GError **error)
{
  g_autoptr (GBytes) bytes = vj_file_read_beneath (dir, VJ_MANIFEST_NAME, MAX_MANIFEST, error);
  g_autofree char *path = g_build_filename (dir, VJ_MANIFEST_NAME, NULL), *shown = vj_quote (path, 0);
  gboolean good = TRUE;
  const char *name;
  json_t *whole, *files, *entry;
  gsize length;

  if (bytes == NULL)
    return FALSE;
  const char *text = g_bytes_get_data (bytes, &length);
  whole = vj_json_parse (text, length, path, error);
  if (whole == NULL)
    return FALSE;
  files = json_object_get (whole, "files");
  if (json_integer_value (json_object_get (whole, "manifest")) != 1 || !json_is_object (files))
    good = vj_fail (error, VJ_EXIT_DATA, "%s: not a manifest of ours; remove the directory and run again", shown);
  else
    json_object_foreach (files, name, entry)
      if (good)
        good = check_file (dir, name, entry, deep, error);
  json_decref (whole);
  return good;
}

char *
vj_checkpoint_digest (const char *dir, GError **error)
{
  g_autoptr (GBytes) bytes = vj_file_read_beneath (dir, VJ_MANIFEST_NAME, MAX_MANIFEST, error);
  return bytes != NULL ? g_compute_checksum_for_bytes (G_CHECKSUM_SHA256, bytes) : NULL;
}

gboolean
vj_checkpoint_clean (const char *parent, GError **error)
{
  g_autoptr (GPtrArray) names = NULL;

  if (!g_file_test (parent, G_FILE_TEST_IS_DIR))
    return TRUE;
  names = list_names (parent, error);
  if (names == NULL)
    return FALSE;
  for (guint i = 0; i < names->len; i++) {
    g_autofree char *path = g_build_filename (parent, names->pdata[i], NULL);
    if (g_str_has_prefix (names->pdata[i], PARTIAL_PREFIX) && !vj_dir_remove (path, error))
      return FALSE;
  }
  return TRUE;
}
