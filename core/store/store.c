/* Opening and closing the run directory; meta, stages, gold, scores, steps, images. */
#include <config.h>

#include "base/file.h"
#include "store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* -- opening -------------------------------------------------------------------------- */

static gboolean
prepare_dir (VjStore *store, const char *dir, GError **error)
{
  g_autofree char *shown = vj_quote (dir, 0);
  char *real;

  if (store->mode == VJ_STORE_WRITE && !vj_dir_make (dir, error))
    return FALSE;
  real = realpath (dir, NULL);
  if (real == NULL)
    return vj_fail (error, VJ_EXIT_STORE, "%s: cannot open the run directory: %s; check --run-dir", shown, g_strerror (errno));
  store->dir = g_strdup (real);
  free (real);
  store->ledger = g_build_filename (store->dir, VJ_LEDGER_NAME, NULL);
  store->shown = vj_quote (store->ledger, 0);
  return store->mode == VJ_STORE_READ || vj_store_lock (store->dir, &store->lock, error);
}

/* One number from a pragma. */
static gboolean
pragma (VjStore *store, const char *sql, gint64 *ret_value, GError **error)
{
  sqlite3_stmt *statement = NULL;
  int code = sqlite3_prepare_v2 (store->db, sql, -1, &statement, NULL);
  if (code == SQLITE_OK)
    code = sqlite3_step (statement);
  if (code == SQLITE_ROW)
    *ret_value = sqlite3_column_int64 (statement, 0);
  else
    vj_sql_fail (store, code, "opening", error);
  sqlite3_finalize (statement);
  return code == SQLITE_ROW;
}

static gboolean
check_format (VjStore *store, gboolean *ret_empty, GError **error)
{
  gint64 application, format, tables;

  if (!pragma (store, "PRAGMA application_id", &application, error)
      || !pragma (store, "PRAGMA user_version", &format, error)
      || !pragma (store, "SELECT count(*) FROM sqlite_schema", &tables, error))
    return FALSE;
  *ret_empty = application == 0 && format == 0 && tables == 0;
  if (*ret_empty)
    return TRUE;
  if (application != VJ_LEDGER_APPLICATION)
    return vj_fail (error, VJ_EXIT_STORE, "%s: another program's database (application id %" G_GINT64_FORMAT
                    "); choose another --run-dir", store->shown, application);
  if (format > VJ_LEDGER_FORMAT)
    return vj_fail (error, VJ_EXIT_STORE, "%s: format %" G_GINT64_FORMAT " is newer than the %d this vjrun knows; use a newer "
                    "vjrun or another --run-dir", store->shown, format, VJ_LEDGER_FORMAT);
  if (format > 0 && format < VJ_LEDGER_FORMAT)
    return vj_fail (error, VJ_EXIT_STORE, "%s: format %" G_GINT64_FORMAT " is older than the %d of this vjrun; go on with the "
                    "vjrun that began this run, or choose another --run-dir", store->shown, format, VJ_LEDGER_FORMAT);
  if (format != VJ_LEDGER_FORMAT)
    return vj_fail (error, VJ_EXIT_STORE, "%s: format %" G_GINT64_FORMAT " is none that this vjrun knows; choose another "
                    "--run-dir", store->shown, format);
  return TRUE;
}

static void
harden (sqlite3 *db)
{
  sqlite3_extended_result_codes (db, 1);
  sqlite3_db_config (db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
  sqlite3_db_config (db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
  sqlite3_db_config (db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
  sqlite3_db_config (db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
  sqlite3_limit (db, SQLITE_LIMIT_ATTACHED, 0);
  sqlite3_limit (db, SQLITE_LIMIT_LENGTH, 256 << 20);
  /* Readers beside a writer wait for it a little when it restarts its log. */
  sqlite3_busy_timeout (db, 5000);
}

/* Refuses what is no regular file; makes an empty ledger that only its owner can read. */
static gboolean
prepare_ledger (VjStore *store, GError **error)
{
  struct stat info;
  int fd;

  if (lstat (store->ledger, &info) == 0)
    return S_ISREG (info.st_mode)
             ? TRUE
             : vj_fail (error, VJ_EXIT_STORE, "%s: not a regular file; choose another --run-dir", store->shown);
  if (errno != ENOENT && errno != ENOTDIR)
    return vj_fail (error, VJ_EXIT_STORE, "%s: cannot be looked at: %s; a run directory is its owner's alone: be that user, or "
                    "have the run exported", store->shown, g_strerror (errno));
  if (store->mode == VJ_STORE_READ)
    return vj_fail (error, VJ_EXIT_STORE, "%s: there is no run; check --run-dir, or start one with `vjrun run`", store->shown);
  fd = open (store->ledger, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0)
    return vj_fail (error, VJ_EXIT_STORE, "%s: cannot make it: %s; make the run directory writable, free some space, or choose "
                    "another --run-dir", store->shown, g_strerror (errno));
  close (fd);
  return TRUE;
}

static int
connect_database (VjStore *store, const char *name, int flags)
{
  int code = sqlite3_open_v2 (name, &store->db, flags | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_EXRESCODE,
                              NULL);
  if (code == SQLITE_OK)
    harden (store->db);
  return code;
}

/* A closed run on a read-only medium: SQLite cannot make the files by which readers and writers meet, and need not,
 * for nobody writes. While there is a log of changes (-wal) the file alone is not the whole truth. */
static int
open_immutable (VjStore *store)
{
  g_autofree char *log = g_strconcat (store->ledger, "-wal", NULL);
  g_autofree char *base = g_filename_to_uri (store->ledger, NULL, NULL), *uri = g_strconcat (base, "?immutable=1", NULL);
  struct stat info;

  if (lstat (log, &info) == 0 && info.st_size > 0)
    return SQLITE_CANTOPEN;
  sqlite3_close (store->db);
  store->db = NULL;
  return connect_database (store, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
}

static gboolean
connect_any (VjStore *store, GError **error)
{
  int code = connect_database (store, store->ledger, SQLITE_OPEN_READWRITE);

  if (code == SQLITE_OK && store->mode == VJ_STORE_READ)
    code = sqlite3_exec (store->db, "SELECT 1 FROM sqlite_schema", NULL, NULL, NULL);
  if (store->mode == VJ_STORE_READ && ((code & 0xff) == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_READONLY))
    code = open_immutable (store);
  return code == SQLITE_OK ? TRUE : vj_sql_fail (store, code, "opening", error);
}

static gboolean
open_database (VjStore *store, GError **error)
{
  gboolean reads = store->mode == VJ_STORE_READ, empty;

  if (!prepare_ledger (store, error) || !connect_any (store, error) || !check_format (store, &empty, error))
    return FALSE;
  if (reads) {
    if (empty)
      return vj_fail (error, VJ_EXIT_STORE, "%s: holds no run yet; start one with `vjrun run`", store->shown);
    return vj_sql_exec (store, "PRAGMA query_only=1", "opening", error) && vj_schema_check (store, error);
  }
  if (!vj_sql_exec (store, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cell_size_check=1", "opening", error))
    return FALSE;
  return empty ? vj_schema_make (store, error) && vj_file_sync (store->dir, error) : vj_schema_check (store, error);
}

#define META_LAST "iterations"

static gboolean
read_last (VjStore *store, GError **error)
{
  g_autofree char *text = NULL;
  guint64 last = G_MAXUINT;

  if (!vj_store_meta_get (store, META_LAST, &text, error))
    return FALSE;
  if (text != NULL && !g_ascii_string_to_unsigned (text, 10, 0, G_MAXUINT, &last, NULL))
    return vj_sql_damaged (store, META_LAST, error);
  store->last = (guint) last;
  return TRUE;
}

static void
finalize (gpointer statement)
{
  sqlite3_finalize (statement);
}

VjStore *
vj_store_open (const char *dir, VjStoreMode mode, GError **error)
{
  g_autoptr (VjStore) store = g_new0 (VjStore, 1);

  store->mode = mode;
  store->lock = -1;
  store->statements = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, finalize);
  if (!prepare_dir (store, dir, error) || !open_database (store, error) || !read_last (store, error))
    return NULL;
  return g_steal_pointer (&store);
}

void
vj_store_close (VjStore *store)
{
  if (store == NULL)
    return;
  if (store->db != NULL)
    vj_store_rollback (store);
  g_hash_table_unref (store->statements);
  sqlite3_close_v2 (store->db);
  /* After the database: while it is open the directory is ours. */
  vj_store_unlock (store->lock);
  g_clear_error (&store->failed);
  g_free (store->dir);
  g_free (store->ledger);
  g_free (store->shown);
  g_free (store);
}

const char *
vj_store_dir (const VjStore *store)
{
  return store->dir;
}

/* -- one text under one name ------------------------------------------------------------ */

static gboolean
get_text (VjStore *store, const char *sql, const char *key, char **ret_text, GError **error)
{
  sqlite3_stmt *statement = vj_sql_start (store, error, sql, "s", key);
  gboolean row;

  if (statement == NULL || !vj_sql_row (store, statement, &row, "reading", error))
    return FALSE;
  *ret_text = row ? vj_sql_text (statement, 0) : NULL;
  vj_sql_done (statement);
  return TRUE;
}

gboolean
vj_store_meta_set (VjStore *store, const char *key, const char *value, GError **error)
{
  if (value == NULL)
    return vj_sql_write (store, error, "writing", "DELETE FROM meta WHERE key = ?", "s", key);
  return vj_sql_write (store, error, "writing", "INSERT OR REPLACE INTO meta VALUES(?, ?)", "ss", key, value);
}

gboolean
vj_store_meta_get (VjStore *store, const char *key, char **ret_value, GError **error)
{
  return get_text (store, "SELECT value FROM meta WHERE key = ?", key, ret_value, error);
}

gboolean
vj_store_last_set (VjStore *store, guint last, GError **error)
{
  g_autofree char *text = g_strdup_printf ("%u", last);
  if (!vj_store_meta_set (store, META_LAST, text, error))
    return FALSE;
  store->last = last;
  return TRUE;
}

guint
vj_store_last (const VjStore *store)
{
  return store->last;
}

gint64
vj_sql_iteration (const VjStore *store, int iteration)
{
  return iteration != VJ_ANY ? iteration : -1 - (gint64) store->last;
}

gboolean
vj_store_gold_put (VjStore *store, const char *record, const char *gold, GError **error)
{
  return vj_sql_write (store, error, "writing", "INSERT OR REPLACE INTO gold VALUES(?, ?)", "ss", record, gold);
}

gboolean
vj_store_gold_get (VjStore *store, const char *record, char **ret_gold, GError **error)
{
  return get_text (store, "SELECT value FROM gold WHERE record = ?", record, ret_gold, error);
}

/* -- images ------------------------------------------------------------------------------- */

gboolean
vj_store_image_put (VjStore *store, const VjImage *image, GError **error)
{
  gsize n;
  gconstpointer data = g_bytes_get_data (vj_image_bytes (image), &n);
  return vj_sql_write (store, error, "writing an image", "INSERT OR IGNORE INTO images VALUES(?, ?, ?, ?, ?)", "siibi",
                       vj_image_digest (image), (gint64) vj_image_width (image), (gint64) vj_image_height (image),
                       vj_image_bytes (image), vj_sql_sum_bytes (data, n));
}

gboolean
vj_store_image_get (VjStore *store, const char *digest, VjImage **ret_image, GError **error)
{
  sqlite3_stmt *statement = vj_sql_start (store, error, "SELECT width, height, bytes, sum FROM images WHERE digest = ?", "s", digest);
  g_autoptr (GError) cause = NULL;
  VjImage *image = NULL;
  gboolean row;

  if (statement == NULL || !vj_sql_row (store, statement, &row, "reading an image", error))
    return FALSE;
  if (row) {
    gint64 width = sqlite3_column_int64 (statement, 0), height = sqlite3_column_int64 (statement, 1);
    const void *data = sqlite3_column_blob (statement, 2);
    gsize n = (gsize) sqlite3_column_bytes (statement, 2);
    g_autoptr (GBytes) bytes = g_bytes_new (data, n);
    /* Whoever only copies the bytes, as an export does, would not notice a page that is lost in their middle. */
    gboolean whole = vj_sql_sum_bytes (data, n) == sqlite3_column_int64 (statement, 3);
    if (whole && width > 0 && width <= VJ_IMAGE_MAX_SIDE && height > 0 && height <= VJ_IMAGE_MAX_SIDE)
      image = vj_image_new_known (bytes, digest, (guint32) width, (guint32) height, &cause);
  }
  vj_sql_done (statement);
  if (row && image == NULL)
    return vj_sql_damaged (store, digest, error);
  *ret_image = image;
  return TRUE;
}
