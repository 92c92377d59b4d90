/* Files: names that cannot leave their directory, and writes that are whole or absent.
 * A name in a message is always inert (vj_quote): no terminal escape, newline or bidi override. */
#ifndef VJ_BASE_FILE_H
#define VJ_BASE_FILE_H

#include "vj/error.h"

/* `text` made safe to show: control and bidi characters and bad UTF-8 become \xNN or \u{N}, and what
 * is longer than `max_bytes` is cut with "...". max_bytes 0: 200. Free with g_free. */
VJ_API char *vj_quote (const char *text, gsize max_bytes) G_GNUC_WARN_UNUSED_RESULT;

/* -- reading ----------------------------------------------------------------- */

/* Opens the regular file `name` (from data, not trusted) below the directory `root`, for reading. An absolute name,
 * "..", or a symbolic link that would lead out of `root` is refused, as are FIFOs, devices and directories (VJ_EXIT_DATA).
 * Kernels without openat2 refuse every symbolic link. *ret_fd is the caller's to close; *ret_size may be NULL. */
VJ_API gboolean vj_file_open_beneath (const char *root, const char *name, int *ret_fd, gsize *ret_size, GError **error);

/* The same, read whole. Longer than `max_bytes` is VJ_EXIT_LIMIT. NULL on error. */
VJ_API GBytes *vj_file_read_beneath (const char *root, const char *name, gsize max_bytes, GError **error);

/* The regular file `path`, which the user or the host named, read whole; symbolic links are followed. FIFOs, devices and
 * directories are refused without a wait (VJ_EXIT_DATA), more than `max_bytes` is VJ_EXIT_LIMIT. NULL on error. */
VJ_API GBytes *vj_file_read (const char *path, gsize max_bytes, GError **error);

/* -- writing (errors are VJ_EXIT_STORE and name the file) --------------------- */

/* Writes `data` to a new file beside `path`, syncs it, renames it to `path` and syncs the directory: afterwards `path`
 * holds either what it held before or all of `data`. `mode` e.g. 0600, less what the umask takes away. */
VJ_API gboolean vj_file_write (const char *path, gconstpointer data, gsize length, int mode, GError **error);

/* fsync of a file or directory. A failed fsync is never tried again: what was written is then unknown. */
VJ_API gboolean vj_file_sync (const char *path, GError **error);

/* fsync of every file and directory below `dir`, and of `dir`. Symbolic links are not followed. */
VJ_API gboolean vj_dir_sync_tree (const char *dir, GError **error);

/* Makes `dir` with mode 0700, parents too. It is no error if it exists. */
VJ_API gboolean vj_dir_make (const char *dir, GError **error);

/* Renames the synced `from` to `to` (which must not exist; VJ_EXIT_STORE if it does) and syncs the parent. */
VJ_API gboolean vj_dir_rename (const char *from, const char *to, GError **error);

/* Lets `a` and `b`, in one directory, change names, and syncs the directory. In one step, but for file systems that
 * cannot: there a crash may leave `b` under the name of `a` with "-old". */
VJ_API gboolean vj_dir_exchange (const char *a, const char *b, GError **error);

/* Removes `path` and everything below it, without following symbolic links. No error if it is absent. */
VJ_API gboolean vj_dir_remove (const char *path, GError **error);

/* -- digests ------------------------------------------------------------------- */

/* Lower-case hexadecimal SHA-256, 64 characters. Free with g_free. */
VJ_API char *vj_sha256 (gconstpointer data, gsize length) G_GNUC_WARN_UNUSED_RESULT;
/* Of the file's bytes; NULL on error (VJ_EXIT_DATA). */
VJ_API char *vj_sha256_file (const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* From the descriptor's place on to its end; `shown` names it in messages. */
VJ_API char *vj_sha256_fd (int fd, const char *shown, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Whether `text` is 64 lower-case hexadecimal digits. NULL is not. */
VJ_API gboolean vj_sha256_is (const char *text);

#endif
