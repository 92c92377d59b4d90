/* Records that failed, each with its place and the words of its own fault. The reason, by which the funnel counts, stands
 * with the fate; what differs from record to record stands here. */
#include "store/internal.h"

/* Faults of hostile data quote it: what is not UTF-8 could be shown by no reader. */
static char *
valid (const char *text)
{
  return text != NULL ? g_utf8_make_valid (text, -1) : NULL;
}

static gboolean
put (VjStore *store, const char *id, const char *stage, const char *reason, const char *place, const char *detail, GError **error)
{
  return vj_store_record_fate (store, id, VJ_FATE_DROPPED, stage, reason, error)
         && vj_sql_write (store, error, "writing a quarantined record", "INSERT OR REPLACE INTO quarantine VALUES(?, ?, ?)",
                          "sss", id, place, detail);
}

gboolean
vj_store_quarantine (VjStore *store, const char *id, const char *stage, const char *reason, const char *place, const char *detail,
                     GError **error)
{
  g_autofree char *own_reason = valid (reason), *own_place = valid (place), *own_detail = valid (detail);
  VjSqlScope scope;
  return vj_sql_scope_begin (store, &scope, error)
         && vj_sql_scope_end (store, scope, put (store, id, stage, own_reason, own_place, own_detail, error), error);
}

gboolean
vj_store_quarantine_get (VjStore *store, const char *id, VjFault **ret_fault, GError **error)
{
  sqlite3_stmt *statement = vj_sql_start (store, error, "SELECT place, detail FROM quarantine WHERE record = ?", "s", id);
  VjFault *fault = NULL;
  gboolean row;

  if (statement == NULL || !vj_sql_row (store, statement, &row, "reading a quarantined record", error))
    return FALSE;
  if (row) {
    fault = g_new (VjFault, 1);
    *fault = (VjFault){vj_sql_text (statement, 0), vj_sql_text (statement, 1)};
  }
  vj_sql_done (statement);
  *ret_fault = fault;
  return TRUE;
}

void
vj_fault_free (VjFault *fault)
{
  if (fault == NULL)
    return;
  g_free (fault->place);
  g_free (fault->detail);
  g_free (fault);
}

gboolean
vj_store_quarantine_count (VjStore *store, gint64 *ret_count, GError **error)
{
  sqlite3_stmt *statement = vj_sql_start (store, error, "SELECT count(*) FROM quarantine JOIN records ON id = record"
                                          " WHERE fate = ? AND iteration <= ?", "ii", (gint64) VJ_FATE_DROPPED, (gint64) store->last);
  gboolean row;

  if (statement == NULL || !vj_sql_row (store, statement, &row, "counting quarantined records", error))
    return FALSE;
  *ret_count = sqlite3_column_int64 (statement, 0);
  vj_sql_done (statement);
  return TRUE;
}
