/* The store's small layer over SQLite: bound statements, messages, and the rule that a failed write is the last. */
#include "store/internal.h"
#include "base/file.h"

#include <stdarg.h>
#include <string.h>

static const char *
remedy (int code)
{
  switch (code & 0xff) {
  case SQLITE_FULL:
    return "free some space, then give the same command again";
  case SQLITE_READONLY:
  case SQLITE_PERM:
  case SQLITE_AUTH:
    return "make the run directory writable or choose another --run-dir";
  case SQLITE_CANTOPEN:
    return "check that the run directory is there and writable, and the limit of open files (ulimit -n)";
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB:
    return "the file is damaged: restore a copy or start a new run directory";
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
    return "another program has it open: close that, then give the same command again";
  default:
    return "check the disk (space, quota, cable), then give the same command again";
  }
}

gboolean
vj_sql_fail (VjStore *store, int code, const char *what, GError **error)
{
  const char *words = store->db != NULL && sqlite3_errcode (store->db) != SQLITE_OK ? sqlite3_errmsg (store->db)
                                                                                     : sqlite3_errstr (code);
  return vj_fail (error, VJ_EXIT_STORE, "%s: %s failed: %s (SQLite %d); %s", store->shown, what, words, code,
                  remedy (code));
}

gboolean
vj_sql_damaged (VjStore *store, const char *what, GError **error)
{
  return vj_fail (error, VJ_EXIT_STORE, "%s: %s: the stored content is damaged; restore a copy or start a new run directory",
                  store->shown, what);
}

static gboolean
refuse (VjStore *store, GError **error)
{
  if (error != NULL)
    *error = g_error_copy (store->failed);
  return FALSE;
}

/* Remembers the first failure of a write. */
static gboolean
fail_write (VjStore *store, int code, const char *what, GError **error)
{
  g_autoptr (GError) cause = NULL;
  int off = 1;

  vj_sql_fail (store, code, what, &cause);
  if (store->failed == NULL)
    store->failed = g_error_copy (cause);
  /* Closing must not write to a file whose state is unknown. */
  sqlite3_db_config (store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, off, &off);
  g_propagate_error (error, g_steal_pointer (&cause));
  return FALSE;
}

static int
bind (sqlite3_stmt *statement, const char *types, va_list args)
{
  int code = SQLITE_OK;
  for (int i = 1; *types != '\0' && code == SQLITE_OK; types++, i++)
    switch (*types) {
    case 's': {
      const char *text = va_arg (args, const char *);
      code = text == NULL ? sqlite3_bind_null (statement, i)
                          : sqlite3_bind_text64 (statement, i, text, strlen (text), SQLITE_TRANSIENT, SQLITE_UTF8);
      break;
    }
    case 'i':
      code = sqlite3_bind_int64 (statement, i, va_arg (args, gint64));
      break;
    case 'd':
      code = sqlite3_bind_double (statement, i, va_arg (args, double));
      break;
    case 'b': {
      gsize length;
      const void *data = g_bytes_get_data (va_arg (args, GBytes *), &length);
      code = sqlite3_bind_blob64 (statement, i, data, length, SQLITE_TRANSIENT);
      break;
    }
    default:
      g_assert_not_reached ();
    }
  return code;
}

static sqlite3_stmt *
start (VjStore *store, const char *what, GError **error, const char *sql, const char *types, va_list args)
{
  sqlite3_stmt *statement;
  int code;

  if (store->failed != NULL) {
    refuse (store, error);
    return NULL;
  }
  statement = g_hash_table_lookup (store->statements, sql);
  if (statement == NULL) {
    code = sqlite3_prepare_v3 (store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);
    if (code != SQLITE_OK) {
      vj_sql_fail (store, code, what, error);
      return NULL;
    }
    g_hash_table_insert (store->statements, g_strdup (sql), statement);
  }
  sqlite3_reset (statement);
  sqlite3_clear_bindings (statement);
  code = bind (statement, types, args);
  if (code != SQLITE_OK) {
    vj_sql_fail (store, code, what, error);
    return NULL;
  }
  return statement;
}

sqlite3_stmt *
vj_sql_start (VjStore *store, GError **error, const char *sql, const char *types, ...)
{
  va_list args;
  va_start (args, types);
  sqlite3_stmt *statement = start (store, "reading", error, sql, types, args);
  va_end (args);
  return statement;
}

gboolean
vj_sql_row (VjStore *store, sqlite3_stmt *statement, gboolean *ret_row, const char *what, GError **error)
{
  int code = sqlite3_step (statement);
  if (code != SQLITE_ROW && code != SQLITE_DONE) {
    vj_sql_fail (store, code, what, error);
    sqlite3_reset (statement);
    return FALSE;
  }
  *ret_row = code == SQLITE_ROW;
  return TRUE;
}

void
vj_sql_done (sqlite3_stmt *statement)
{
  if (statement != NULL)
    sqlite3_reset (statement);
}

gboolean
vj_sql_write (VjStore *store, GError **error, const char *what, const char *sql, const char *types, ...)
{
  va_list args;
  va_start (args, types);
  sqlite3_stmt *statement = start (store, what, error, sql, types, args);
  va_end (args);
  if (statement == NULL)
    return FALSE;

  int code;
  while ((code = sqlite3_step (statement)) == SQLITE_ROW)
    ;
  if (code != SQLITE_DONE) {
    fail_write (store, code, what, error);
    sqlite3_reset (statement);
    return FALSE;
  }
  sqlite3_reset (statement);
  return TRUE;
}

gboolean
vj_sql_exec (VjStore *store, const char *sql, const char *what, GError **error)
{
  if (store->failed != NULL)
    return refuse (store, error);
  int code = sqlite3_exec (store->db, sql, NULL, NULL, NULL);
  return code == SQLITE_OK ? TRUE : fail_write (store, code, what, error);
}

char *
vj_sql_text (sqlite3_stmt *statement, int column)
{
  return g_strdup ((const char *) sqlite3_column_text (statement, column));
}

/* -- groups -------------------------------------------------------------------------- */

gboolean
vj_store_begin (VjStore *store, GError **error)
{
  g_return_val_if_fail (!store->in_group, FALSE);
  if (!vj_sql_exec (store, "BEGIN IMMEDIATE", "beginning a group", error))
    return FALSE;
  store->in_group = TRUE;
  return TRUE;
}

gboolean
vj_store_commit (VjStore *store, GError **error)
{
  g_return_val_if_fail (store->in_group, FALSE);
  store->in_group = FALSE;
  if (vj_sql_exec (store, "COMMIT", "writing a group", error))
    return TRUE;
  sqlite3_exec (store->db, "ROLLBACK", NULL, NULL, NULL);
  return FALSE;
}

void
vj_store_rollback (VjStore *store)
{
  if (!store->in_group)
    return;
  store->in_group = FALSE;
  sqlite3_exec (store->db, "ROLLBACK", NULL, NULL, NULL);
}

gboolean
vj_store_in_group (const VjStore *store)
{
  return store->in_group;
}

gboolean
vj_sql_scope_begin (VjStore *store, VjSqlScope *ret_scope, GError **error)
{
  VjSqlScope scope = {!store->in_group};
  if (scope.own && !vj_store_begin (store, error))
    return FALSE;
  *ret_scope = scope;
  return TRUE;
}

gboolean
vj_sql_scope_end (VjStore *store, VjSqlScope scope, gboolean good, GError **error)
{
  if (!scope.own)
    return good;
  if (good)
    return vj_store_commit (store, error);
  vj_store_rollback (store);
  return FALSE;
}

gint64
vj_sql_sum (const char *text)
{
  return vj_sql_sum_bytes (text, strlen (text));
}

gint64
vj_sql_sum_bytes (gconstpointer data, gsize n)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  guint8 digest[32];
  gsize length = sizeof digest;
  guint64 word;

  g_checksum_update (sum, data, (gssize) n);
  g_checksum_get_digest (sum, digest, &length);
  memcpy (&word, digest, sizeof word);
  return (gint64) (GUINT64_FROM_LE (word) >> 1);
}
