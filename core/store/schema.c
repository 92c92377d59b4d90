/* The tables of the ledger, in one place. SQLite keeps each statement's text as it is written here, so a database is
 * ours exactly when it holds these texts and no other: no trigger or view of somebody else's runs. */
#include "store/internal.h"

#include <string.h>

static const char *const schema[] = {
  "CREATE TABLE meta(key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
  "CREATE TABLE stages(iteration INTEGER NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, state INTEGER NOT NULL,"
  " n_in INTEGER NOT NULL, n_kept INTEGER NOT NULL, UNIQUE(iteration, name))",
  "CREATE TABLE records(id TEXT NOT NULL UNIQUE, kind INTEGER NOT NULL, iteration INTEGER NOT NULL, stage TEXT NOT NULL,"
  " fate INTEGER NOT NULL, fate_stage TEXT, reason TEXT, body TEXT NOT NULL, sum INTEGER NOT NULL)",
  "CREATE INDEX records_walk ON records(iteration, kind, id)",
  "CREATE INDEX records_fate ON records(iteration, fate, fate_stage, kind, reason)",
  "CREATE TABLE parents(parent TEXT NOT NULL, child TEXT NOT NULL, PRIMARY KEY(parent, child)) WITHOUT ROWID",
  "CREATE TABLE quarantine(record TEXT NOT NULL PRIMARY KEY, place TEXT, detail TEXT) WITHOUT ROWID",
  "CREATE TABLE gold(record TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
  "CREATE TABLE replies(key TEXT NOT NULL UNIQUE, record TEXT NOT NULL, stage TEXT NOT NULL, claims INTEGER NOT NULL,"
  " answered INTEGER NOT NULL, text TEXT, error TEXT, finish INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL,"
  " completion_tokens INTEGER NOT NULL, sum INTEGER NOT NULL)",
  "CREATE TABLE images(digest TEXT NOT NULL UNIQUE, width INTEGER NOT NULL, height INTEGER NOT NULL, bytes BLOB NOT NULL,"
  " sum INTEGER NOT NULL)",
  "CREATE TABLE scores(label TEXT NOT NULL, evaluator TEXT NOT NULL, metric TEXT NOT NULL, correct REAL NOT NULL,"
  " total REAL NOT NULL, UNIQUE(label, evaluator, metric))",
  "CREATE TABLE steps(course TEXT NOT NULL, step INTEGER NOT NULL, steps INTEGER NOT NULL, loss REAL,"
  " learning_rate REAL, grad_norm REAL, PRIMARY KEY(course, step)) WITHOUT ROWID",
};

gboolean
vj_schema_make (VjStore *store, GError **error)
{
  g_autofree char *marks = g_strdup_printf ("PRAGMA application_id=%d; PRAGMA user_version=%d", VJ_LEDGER_APPLICATION,
                                            VJ_LEDGER_FORMAT);
  gboolean good = vj_store_begin (store, error);

  if (!good)
    return FALSE;
  for (guint i = 0; good && i < G_N_ELEMENTS (schema); i++)
    good = vj_sql_exec (store, schema[i], "making the tables", error);
  good = good && vj_sql_exec (store, marks, "making the tables", error);
  if (!good)
    vj_store_rollback (store);
  return good && vj_store_commit (store, error);
}

static gboolean
is_ours (const char *sql)
{
  for (guint i = 0; sql != NULL && i < G_N_ELEMENTS (schema); i++)
    if (strcmp (sql, schema[i]) == 0)
      return TRUE;
  return FALSE;
}

gboolean
vj_schema_check (VjStore *store, GError **error)
{
  /* What SQLite makes by itself (indexes of UNIQUE) has no text. */
  sqlite3_stmt *statement = vj_sql_start (store, error, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL", "");
  guint found = 0;
  gboolean row = TRUE, foreign = FALSE;

  if (statement == NULL)
    return FALSE;
  while (row) {
    if (!vj_sql_row (store, statement, &row, "reading the tables", error))
      return FALSE;
    if (row && is_ours ((const char *) sqlite3_column_text (statement, 0)))
      found++;
    else if (row)
      foreign = TRUE;
  }
  vj_sql_done (statement);
  if (foreign || found != G_N_ELEMENTS (schema))
    return vj_fail (error, VJ_EXIT_STORE, "%s: its tables are not those of a run's ledger (%u of %u known%s); restore a copy "
                    "or start a new run directory", store->shown, found, (guint) G_N_ELEMENTS (schema),
                    foreign ? ", others besides" : "");
  return TRUE;
}
