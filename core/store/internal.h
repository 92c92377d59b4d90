/* What the files of core/store share: the open store and its small layer over SQLite. */
#ifndef VJ_STORE_INTERNAL_H
#define VJ_STORE_INTERNAL_H

#include "store/store.h"
#include <sqlite3.h>

#define VJ_LEDGER_NAME "ledger.sqlite"
#define VJ_LEDGER_APPLICATION 0x764a4c31 /* "vJL1" in the database header */
#define VJ_LEDGER_FORMAT 2               /* user_version                  */

struct VjStore {
  char *dir, *ledger; /* absolute; `ledger` is the database's file */
  char *shown;        /* `ledger`, safe to show                    */
  sqlite3 *db;
  VjStoreMode mode;
  int lock;              /* descriptor of the lock file; -1: none               */
  gboolean in_group;
  guint last;            /* iteration of the run; G_MAXUINT: as many as there are */
  GError *failed;        /* the write that failed; nothing is tried after it    */
  GHashTable *statements; /* SQL text (static) -> sqlite3_stmt *                */
};

/* -- lock.c -- */

/* Takes the lock of `dir`. VJ_EXIT_BUSY names the holder. The lock ends when *ret_fd is closed or the process dies. */
gboolean vj_store_lock (const char *dir, int *ret_fd, GError **error);
void vj_store_unlock (int fd);

/* -- schema.c -- */

/* Makes the tables in an empty database, or checks that they are exactly ours. */
gboolean vj_schema_make (VjStore *store, GError **error);
gboolean vj_schema_check (VjStore *store, GError **error);

/* -- sql.c -- */

/* Sets `error` from SQLite's last words. `what` says what was tried ("reading a record"). */
gboolean vj_sql_fail (VjStore *store, int code, const char *what, GError **error);
/* The same for a value in the database that cannot be: the file is damaged. */
gboolean vj_sql_damaged (VjStore *store, const char *what, GError **error);

/* A prepared statement for the SQL text `sql`, which must be static; it is reset when the next one with the same text
 * is asked for, and by vj_sql_done. `types` tells the arguments that are bound, in order: s text (NULL: null), i gint64,
 * d double, b GBytes. NULL with `error` set if the store has failed before. */
sqlite3_stmt *vj_sql_start (VjStore *store, GError **error, const char *sql, const char *types, ...);
/* One row: *ret_row says whether there was one. The caller reads its columns and then calls vj_sql_done. */
gboolean vj_sql_row (VjStore *store, sqlite3_stmt *statement, gboolean *ret_row, const char *what, GError **error);
void vj_sql_done (sqlite3_stmt *statement);

/* Runs a statement that changes something. A failure makes the store refuse all that follows. */
gboolean vj_sql_write (VjStore *store, GError **error, const char *what, const char *sql, const char *types, ...);
/* Runs plain SQL text without arguments. */
gboolean vj_sql_exec (VjStore *store, const char *sql, const char *what, GError **error);

/* The condition that a row is of the iteration bound to ?n; and what to bind: VJ_ANY takes all that the run has. */
#define VJ_SQL_ITERATION(n) "(iteration = ?" #n " OR iteration < -?" #n ")"
gint64 vj_sql_iteration (const VjStore *store, int iteration);

/* A column's text, duplicated; NULL for SQL null. */
char *vj_sql_text (sqlite3_stmt *statement, int column);

/* A group of its own for a call that writes more than once, unless the caller has opened one: begin, then end with
 * whether all went well. */
typedef struct {
  gboolean own;
} VjSqlScope;
gboolean vj_sql_scope_begin (VjStore *store, VjSqlScope *ret_scope, GError **error);
gboolean vj_sql_scope_end (VjStore *store, VjSqlScope scope, gboolean good, GError **error);

/* 63 bits of SHA-256, kept beside long texts: SQLite itself does not notice a zeroed page in the middle of one. */
gint64 vj_sql_sum (const char *text);
gint64 vj_sql_sum_bytes (gconstpointer data, gsize n); /* the same of an image's bytes */

#endif
