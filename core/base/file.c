/* Files: names that cannot leave their directory, and writes that are whole or absent. */
#include <config.h>

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Characters that steer a terminal or reorder a line, beyond what Unicode calls control characters. */
static gboolean
steers_terminal (gunichar c)
{
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x200e || c == 0x200f || c == 0x061c
         || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x2028 || c == 0x2029;
}

char *
vj_quote (const char *text, gsize max_bytes)
{
  if (text == NULL)
    return g_strdup ("");
  if (max_bytes == 0)
    max_bytes = 200;

  GString *out = g_string_new (NULL);
  for (const char *p = text; *p != '\0';) {
    if (out->len > max_bytes) {
      g_string_append (out, "...");
      break;
    }
    gunichar c = g_utf8_get_char_validated (p, -1);
    if (c == (gunichar) -1 || c == (gunichar) -2)
      g_string_append_printf (out, "\\x%02x", (guint8) *p++);
    else if (steers_terminal (c)) {
      g_string_append_printf (out, c < 0x80 ? "\\x%02x" : "\\u{%x}", c);
      p = g_utf8_next_char (p);
    } else {
      const char *next = g_utf8_next_char (p);
      g_string_append_len (out, p, next - p);
      p = next;
    }
  }
  return g_string_free (out, FALSE);
}

/* -- reading ------------------------------------------------------------------ */

static int
open_kernel_beneath (int root, const char *name, int flags)
{
  struct open_how how = {.flags = (guint64) (flags | O_CLOEXEC), .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
  return (int) syscall (SYS_openat2, root, name, &how, sizeof how);
}

/* For kernels and sandboxes without openat2: one component at a time, no link followed, no "..". */
static int
open_by_component (int root, const char *name, int flags)
{
  g_auto (GStrv) parts = g_strsplit (name, "/", -1);
  int dir = root, fd = -1, saved;

  if (name[0] == '/') {
    errno = EXDEV;
    return -1;
  }
  for (guint i = 0; parts[i] != NULL; i++) {
    gboolean last = parts[i + 1] == NULL;
    if (strcmp (parts[i], "..") == 0)
      errno = EXDEV;
    if (strcmp (parts[i], "..") == 0
        || (fd = openat (dir, parts[i][0] == '\0' ? "." : parts[i],
                         (last ? flags : O_PATH | O_DIRECTORY) | O_NOFOLLOW | O_CLOEXEC))
             < 0) {
      saved = errno;
      if (dir != root)
        close (dir);
      errno = saved;
      return -1;
    }
    if (dir != root)
      close (dir);
    dir = fd;
  }
  return fd;
}

static int
open_beneath (int root, const char *name, int flags)
{
  int fd = open_kernel_beneath (root, name, flags);
  if (fd < 0 && (errno == ENOSYS || errno == EPERM))
    fd = open_by_component (root, name, flags);
  return fd;
}

static const char *
open_cause (int code)
{
  switch (code) {
  case EXDEV:
    return "it leads out of the data directory";
  case ELOOP:
    return "it is a symbolic link that is not followed here";
  case ENOENT:
    return "there is no such file";
  default:
    return g_strerror (code);
  }
}

gboolean
vj_file_open_beneath (const char *root, const char *name, int *ret_fd, gsize *ret_size, GError **error)
{
  g_autofree char *shown_root = vj_quote (root, 0);
  g_autofree char *shown = vj_quote (name, 0);
  struct stat info;
  int dir = open (root, O_PATH | O_DIRECTORY | O_CLOEXEC);

  if (dir < 0)
    return vj_fail (error, VJ_EXIT_DATA, "%s: cannot open the directory: %s; check the data set's root", shown_root,
                    g_strerror (errno));

  /* First as a path only: opening a device or a FIFO can do things, looking at it cannot. */
  int fd = open_beneath (dir, name, O_PATH);
  if (fd >= 0 && fstat (fd, &info) == 0 && !S_ISREG (info.st_mode)) {
    close (fd);
    close (dir);
    return vj_fail (error, VJ_EXIT_DATA, "%s: '%s': not a regular file; only regular files are read", shown_root, shown);
  }
  if (fd >= 0) {
    close (fd);
    fd = open_beneath (dir, name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  }
  int code = errno;
  close (dir);
  if (fd < 0)
    return vj_fail (error, VJ_EXIT_DATA, "%s: '%s': cannot open: %s; mend the name in the data or the directory in the recipe",
                    shown_root, shown, open_cause (code));
  /* Again, because another file may have taken the name in between. */
  if (fstat (fd, &info) != 0 || !S_ISREG (info.st_mode) || info.st_size < 0) {
    close (fd);
    return vj_fail (error, VJ_EXIT_DATA, "%s: '%s': not a regular file; only regular files are read", shown_root, shown);
  }
  *ret_fd = fd;
  if (ret_size != NULL)
    *ret_size = (gsize) info.st_size;
  return TRUE;
}

/* Reads until the end of the file or `limit` bytes. -1 with errno on error. */
static gssize
read_all (int fd, guint8 *buffer, gsize limit)
{
  gsize done = 0;
  while (done < limit) {
    ssize_t n = read (fd, buffer + done, limit - done);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return -1;
    if (n == 0)
      break;
    done += (gsize) n;
  }
  return (gssize) done;
}

/* The whole of an open file; takes `fd`. */
static GBytes *
read_bytes (int fd, gsize size, const char *shown, gsize max_bytes, GError **error)
{
  if (size > max_bytes) {
    close (fd);
    vj_fail (error, VJ_EXIT_LIMIT, "%s: %" G_GSIZE_FORMAT " bytes: more than the %" G_GSIZE_FORMAT
             " allowed here; make the file smaller or leave it out", shown, size, max_bytes);
    return NULL;
  }

  /* The file may shrink or grow while it is read: what comes is bounded by its size as it was opened. */
  guint8 *buffer = g_try_malloc (size + 1);
  gssize n = buffer == NULL ? -1 : read_all (fd, buffer, size);
  int code = buffer == NULL ? ENOMEM : errno;
  close (fd);
  if (n < 0) {
    g_free (buffer);
    vj_fail (error, VJ_EXIT_DATA, "%s: cannot read: %s; check the file", shown, g_strerror (code));
    return NULL;
  }
  return g_bytes_new_take (buffer, (gsize) n);
}

GBytes *
vj_file_read_beneath (const char *root, const char *name, gsize max_bytes, GError **error)
{
  g_autofree char *shown = vj_quote (name, 0);
  gsize size;
  int fd;

  return vj_file_open_beneath (root, name, &fd, &size, error) ? read_bytes (fd, size, shown, max_bytes, error) : NULL;
}

GBytes *
vj_file_read (const char *path, gsize max_bytes, GError **error)
{
  g_autofree char *shown = vj_quote (path, 0);
  struct stat info;
  /* Looked at before it is opened, and again after: see vj_file_open_beneath. */
  gboolean odd = stat (path, &info) == 0 && !S_ISREG (info.st_mode);
  int fd = odd ? -1 : open (path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

  if (!odd && fd < 0) {
    vj_fail (error, VJ_EXIT_DATA, "%s: cannot open: %s; check the name and its permissions", shown, g_strerror (errno));
    return NULL;
  }
  if (odd || fstat (fd, &info) != 0 || !S_ISREG (info.st_mode) || info.st_size < 0) {
    if (fd >= 0)
      close (fd);
    vj_fail (error, VJ_EXIT_DATA, "%s: not a regular file; only regular files are read", shown);
    return NULL;
  }
  return read_bytes (fd, (gsize) info.st_size, shown, max_bytes, error);
}

/* -- writing -------------------------------------------------------------------- */

static const char *
remedy (int code)
{
  switch (code) {
  case ENOSPC:
  case EDQUOT:
  case EFBIG:
    return "free some space, then give the same command again";
  case EROFS:
  case EACCES:
  case EPERM:
    return "make it writable or choose another --run-dir";
  case EMFILE:
  case ENFILE:
    return "raise the limit of open files (ulimit -n)";
  default:
    return "check the disk, then give the same command again";
  }
}

static gboolean
fail_store (GError **error, const char *path, const char *what, int code)
{
  g_autofree char *shown = vj_quote (path, 0);
  return vj_fail (error, VJ_EXIT_STORE, "%s: %s failed: %s; %s", shown, what, g_strerror (code), remedy (code));
}

gboolean
vj_file_sync (const char *path, GError **error)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return fail_store (error, path, "opening", errno);
  int code = fsync (fd) == 0 ? 0 : errno;
  close (fd);
  return code == 0 ? TRUE : fail_store (error, path, "syncing", code);
}

static gboolean
sync_parent (const char *path, GError **error)
{
  g_autofree char *parent = g_path_get_dirname (path);
  return vj_file_sync (parent, error);
}

static int
write_all (int fd, const guint8 *data, gsize length)
{
  while (length > 0) {
    ssize_t n = write (fd, data, MIN (length, (gsize) 1 << 30));
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return errno;
    data += n;
    length -= (gsize) n;
  }
  return 0;
}

gboolean
vj_file_write (const char *path, gconstpointer data, gsize length, int mode, GError **error)
{
  g_autofree char *temporary = g_strdup_printf ("%s.XXXXXX", path);
  const char *what = "creating";
  int code = 0;
  int fd = g_mkstemp_full (temporary, O_WRONLY | O_CLOEXEC, mode);

  if (fd < 0)
    return fail_store (error, path, what, errno);
  what = "writing";
  code = write_all (fd, data, length);
  if (code == 0 && fsync (fd) != 0) {
    what = "syncing";
    code = errno;
  }
  if (close (fd) != 0 && code == 0)
    code = errno;
  if (code == 0 && rename (temporary, path) != 0) {
    what = "renaming";
    code = errno;
  }
  if (code != 0) {
    unlink (temporary);
    return fail_store (error, path, what, code);
  }
  return sync_parent (path, error);
}

gboolean
vj_dir_make (const char *dir, GError **error)
{
  return g_mkdir_with_parents (dir, 0700) == 0 ? TRUE : fail_store (error, dir, "making the directory", errno);
}

gboolean
vj_dir_rename (const char *from, const char *to, GError **error)
{
  /* Not plain rename, which would replace an empty directory. */
  if (syscall (SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 1u /* RENAME_NOREPLACE */) != 0) {
    struct stat info;
    if (errno != EINVAL && errno != ENOSYS)
      return fail_store (error, to, "renaming", errno);
    /* A file system without that flag: look first. */
    if (lstat (to, &info) == 0)
      return fail_store (error, to, "renaming", EEXIST);
    if (rename (from, to) != 0)
      return fail_store (error, to, "renaming", errno);
  }
  return sync_parent (to, error);
}

gboolean
vj_dir_exchange (const char *a, const char *b, GError **error)
{
  if (syscall (SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2u /* RENAME_EXCHANGE */) != 0) {
    g_autofree char *aside = g_strconcat (a, "-old", NULL);
    if (errno != EINVAL && errno != ENOSYS)
      return fail_store (error, b, "exchanging", errno);
    /* A file system without that flag: in three steps. */
    if (!vj_dir_remove (aside, error))
      return FALSE;
    if (rename (b, aside) != 0 || rename (a, b) != 0 || rename (aside, a) != 0)
      return fail_store (error, b, "exchanging", errno);
  }
  return sync_parent (b, error);
}

/* -- trees: walked by file descriptor, so that a link put in the way is never followed -- */

typedef gboolean (*Visit) (int parent, const char *name, int fd, const char *shown, GError **error);

/* Calls `visit` for each entry below the open directory `fd`, entries of a directory before itself. Takes `fd`. */
static gboolean walk (int fd, const char *shown, guint depth, Visit visit, GError **error);

static gboolean
walk_entry (int fd, const char *name, const char *shown, guint depth, Visit visit, GError **error)
{
  struct stat info;
  int child = -1;
  gboolean good = TRUE;

  if (fstatat (fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
    return fail_store (error, shown, "looking at it", errno);
  if (S_ISDIR (info.st_mode) || S_ISREG (info.st_mode)) {
    child = openat (fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (child < 0)
      return fail_store (error, shown, "opening", errno);
  }
  if (S_ISDIR (info.st_mode)) {
    int again = fcntl (child, F_DUPFD_CLOEXEC, 0);
    good = again >= 0 ? walk (again, shown, depth + 1, visit, error) : fail_store (error, shown, "opening", errno);
  }
  good = good && visit (fd, name, child, shown, error);
  if (child >= 0)
    close (child);
  return good;
}

static gboolean
walk (int fd, const char *shown, guint depth, Visit visit, GError **error)
{
  DIR *dir = depth < 64 ? fdopendir (fd) : NULL;
  gboolean good = TRUE;

  if (dir == NULL) {
    int code = depth < 64 ? errno : ELOOP;
    close (fd);
    return fail_store (error, shown, "listing", code);
  }
  for (struct dirent *entry; good && (entry = readdir (dir)) != NULL;) {
    if (strcmp (entry->d_name, ".") == 0 || strcmp (entry->d_name, "..") == 0)
      continue;
    g_autofree char *child = g_build_filename (shown, entry->d_name, NULL);
    good = walk_entry (fd, entry->d_name, child, depth, visit, error);
  }
  closedir (dir);
  return good;
}

static gboolean
visit_sync (int parent G_GNUC_UNUSED, const char *name G_GNUC_UNUSED, int fd, const char *shown, GError **error)
{
  return fd < 0 || fsync (fd) == 0 ? TRUE : fail_store (error, shown, "syncing", errno);
}

gboolean
vj_dir_sync_tree (const char *dir, GError **error)
{
  int fd = open (dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0)
    return fail_store (error, dir, "opening", errno);
  return walk (fd, dir, 0, visit_sync, error) && vj_file_sync (dir, error);
}

static gboolean
visit_remove (int parent, const char *name, int fd G_GNUC_UNUSED, const char *shown, GError **error)
{
  if (unlinkat (parent, name, 0) == 0 || unlinkat (parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
    return TRUE;
  return fail_store (error, shown, "removing", errno);
}

gboolean
vj_dir_remove (const char *path, GError **error)
{
  int fd = open (path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ENOENT || unlink (path) == 0)
      return TRUE;
    return fail_store (error, path, "removing", errno);
  }
  if (!walk (fd, path, 0, visit_remove, error))
    return FALSE;
  return rmdir (path) == 0 ? TRUE : fail_store (error, path, "removing", errno);
}

/* -- digests ----------------------------------------------------------------------- */

char *
vj_sha256 (gconstpointer data, gsize length)
{
  return g_compute_checksum_for_data (G_CHECKSUM_SHA256, data, length);
}

char *
vj_sha256_fd (int fd, const char *shown, GError **error)
{
  g_autofree guint8 *buffer = g_malloc (1 << 16);
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  gssize n;

  while ((n = read_all (fd, buffer, 1 << 16)) > 0)
    g_checksum_update (sum, buffer, n);
  if (n < 0) {
    vj_fail (error, VJ_EXIT_DATA, "%s: cannot read: %s; check the file", shown, g_strerror (errno));
    return NULL;
  }
  return g_strdup (g_checksum_get_string (sum));
}

char *
vj_sha256_file (const char *path, GError **error)
{
  g_autofree char *shown = vj_quote (path, 0);
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

  if (fd < 0) {
    vj_fail (error, VJ_EXIT_DATA, "%s: cannot open: %s; check the file", shown, g_strerror (errno));
    return NULL;
  }
  char *digest = vj_sha256_fd (fd, shown, error);
  close (fd);
  return digest;
}

gboolean
vj_sha256_is (const char *text)
{
  if (text == NULL || strlen (text) != 64)
    return FALSE;
  return strspn (text, "0123456789abcdef") == 64;
}
