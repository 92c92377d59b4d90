/* Records in the ledger: putting, finding, walking, deciding fates, forgetting a stage. */
#include "base/file.h"
#include "store/internal.h"

#include <string.h>

const char *
vj_fate_name (VjFate fate)
{
  static const char *const names[] = {"open", "kept", "dropped"};
  return names[fate];
}

void
vj_stored_free (VjStored *stored)
{
  if (stored == NULL)
    return;
  vj_record_free (stored->record);
  g_free (stored->stage);
  g_free (stored->fate_stage);
  g_free (stored->reason);
  g_free (stored);
}

/* -- reading ------------------------------------------------------------------------------ */

#define COLUMNS "id, stage, fate, fate_stage, reason, body, sum"

/* NULL with `error` set when the row cannot be a record of ours. */
static VjStored *
read_stored (VjStore *store, sqlite3_stmt *statement, GError **error)
{
  const char *id = (const char *) sqlite3_column_text (statement, 0);
  const char *body = (const char *) sqlite3_column_text (statement, 5);
  gint64 fate = sqlite3_column_int64 (statement, 2);
  g_autofree char *shown = vj_quote (id, 0);
  g_autoptr (VjRecord) record = NULL;
  VjStored *stored;

  if (body != NULL && vj_sql_sum (body) == sqlite3_column_int64 (statement, 6))
    record = vj_record_from_text (body, strlen (body), shown, NULL);
  if (record == NULL || id == NULL || strcmp (record->id, id) != 0 || fate < VJ_FATE_OPEN || fate > VJ_FATE_DROPPED) {
    g_autofree char *what = g_strdup_printf ("record '%s'", shown);
    vj_sql_damaged (store, what, error);
    return NULL;
  }
  stored = g_new (VjStored, 1);
  *stored = (VjStored){g_steal_pointer (&record), vj_sql_text (statement, 1), (VjFate) fate, vj_sql_text (statement, 3),
                       vj_sql_text (statement, 4)};
  return stored;
}

gboolean
vj_store_record_get (VjStore *store, const char *id, VjStored **ret_stored, GError **error)
{
  sqlite3_stmt *statement = vj_sql_start (store, error, "SELECT " COLUMNS " FROM records WHERE id = ?", "s", id);
  VjStored *stored = NULL;
  gboolean row;

  if (statement == NULL || !vj_sql_row (store, statement, &row, "reading a record", error))
    return FALSE;
  if (row)
    stored = read_stored (store, statement, error);
  vj_sql_done (statement);
  if (row && stored == NULL)
    return FALSE;
  *ret_stored = stored;
  return TRUE;
}

/* -- putting ------------------------------------------------------------------------------- */

/* TRUE in *ret_same: the id is stored with exactly this. FALSE: it is not stored. Anything else is an error. */
static gboolean
check_stored (VjStore *store, const VjRecord *record, const char *stage, const char *body, gboolean *ret_same, GError **error)
{
  sqlite3_stmt *statement
    = vj_sql_start (store, error, "SELECT stage = ? AND body = ? FROM records WHERE id = ?", "sss", stage, body, record->id);
  gboolean row, same;

  if (statement == NULL || !vj_sql_row (store, statement, &row, "reading a record", error))
    return FALSE;
  same = row && sqlite3_column_int64 (statement, 0) != 0;
  vj_sql_done (statement);
  if (row && !same)
    return vj_fail (error, VJ_EXIT_BUG, "%s: record '%s' of stage '%s' was stored before with other content: the run is not "
                    "reproducible; this is a bug in vjrun or a plugin: please report it", store->shown, record->id, stage);
  *ret_same = same;
  return TRUE;
}

static gboolean
check_parent (VjStore *store, const char *child, const char *parent, GError **error)
{
  sqlite3_stmt *statement = vj_sql_start (store, error, "SELECT 1 FROM records WHERE id = ?", "s", parent);
  gboolean row;

  if (statement == NULL || !vj_sql_row (store, statement, &row, "reading a record", error))
    return FALSE;
  vj_sql_done (statement);
  return row ? TRUE
             : vj_fail (error, VJ_EXIT_BUG, "%s: record '%s' names the parent '%s', which is not stored; this is a bug in vjrun: "
                        "please report it", store->shown, child, parent);
}

static gboolean
insert_record (VjStore *store, const char *stage, const VjRecord *record, const char *body, GError **error)
{
  for (guint i = 0; record->parents[i] != NULL; i++)
    if (!check_parent (store, record->id, record->parents[i], error))
      return FALSE;
  if (!vj_sql_write (store, error, "writing a record",
                     "INSERT INTO records(id, kind, iteration, stage, fate, body, sum) VALUES(?, ?, ?, ?, ?, ?, ?)", "siisisi",
                     record->id, (gint64) record->kind, (gint64) record->iteration, stage, (gint64) VJ_FATE_OPEN, body,
                     vj_sql_sum (body)))
    return FALSE;
  for (guint i = 0; record->parents[i] != NULL; i++)
    if (!vj_sql_write (store, error, "writing a record", "INSERT OR IGNORE INTO parents VALUES(?, ?)", "ss",
                       record->parents[i], record->id))
      return FALSE;
  return TRUE;
}

gboolean
vj_store_record_put (VjStore *store, const char *stage, const VjRecord *record, GError **error)
{
  g_autofree char *body = NULL;
  VjSqlScope scope;
  gboolean same = FALSE;

  if (!vj_record_check (record, error))
    return FALSE;
  body = vj_record_to_text (record);
  if (!check_stored (store, record, stage, body, &same, error))
    return FALSE;
  if (same)
    return TRUE;
  return vj_sql_scope_begin (store, &scope, error)
         && vj_sql_scope_end (store, scope, insert_record (store, stage, record, body, error), error);
}

/* After an UPDATE of one record: that there was one. */
static gboolean
check_changed (VjStore *store, const char *id, GError **error)
{
  g_autofree char *shown = vj_quote (id, 0);
  if (sqlite3_changes (store->db) == 1)
    return TRUE;
  return vj_fail (error, VJ_EXIT_BUG, "%s: record '%s' is not stored; this is a bug in vjrun: please report it", store->shown,
                  shown);
}

gboolean
vj_store_record_update (VjStore *store, const VjRecord *record, GError **error)
{
  g_autofree char *body = NULL;

  if (!vj_record_check (record, error))
    return FALSE;
  body = vj_record_to_text (record);
  return vj_sql_write (store, error, "writing a record", "UPDATE records SET body = ?, sum = ? WHERE id = ?", "sis", body,
                       vj_sql_sum (body), record->id)
         && check_changed (store, record->id, error);
}

gboolean
vj_store_record_fate (VjStore *store, const char *id, VjFate fate, const char *stage, const char *reason, GError **error)
{
  g_return_val_if_fail ((fate == VJ_FATE_DROPPED) == (reason != NULL), FALSE);
  return vj_sql_write (store, error, "writing a fate", "UPDATE records SET fate = ?, fate_stage = ?, reason = ? WHERE id = ?",
                       "isss", (gint64) fate, fate == VJ_FATE_OPEN ? NULL : stage, reason, id)
         && check_changed (store, id, error);
}

/* -- walking ---------------------------------------------------------------------------------- */

#define PAGE 128

struct VjStoreCursor {
  VjStore *store;
  VjStoreQuery query;
  char *stage, *parent, *after; /* after: id of the last record of the page before */
  GQueue page;                  /* of VjStored *                                   */
  gboolean ended;
};

/* The conditions are always bound, and switched off by their own value, so one text serves each shape of query; only
 * the index differs. ?1 iteration, ?2 kind, ?3 fate, ?4 stage, ?5 parent */
#define CONDITIONS                                                                                             \
  VJ_SQL_ITERATION (1) " AND (?2 < 0 OR kind = ?2) AND (?3 < 0 OR fate = ?3) AND (?4 IS NULL OR stage = ?4)"
#define BY_ID " FROM records WHERE " CONDITIONS
#define BY_PLACE " FROM records WHERE iteration = ?1 AND kind = ?2 AND (?3 < 0 OR fate = ?3) AND (?4 IS NULL OR stage = ?4)"
#define BY_PARENT " FROM parents JOIN records ON id = child WHERE parent = ?5 AND " CONDITIONS
#define NEXT " AND id > ?6 ORDER BY id LIMIT ?7"

static const char *
choose_sql (const VjStoreQuery *query, const char *by_id, const char *by_place, const char *by_parent)
{
  if (query->parent != NULL)
    return by_parent;
  return query->iteration >= 0 && query->kind >= 0 ? by_place : by_id;
}

VjStoreCursor *
vj_store_walk (VjStore *store, const VjStoreQuery *query)
{
  VjStoreCursor *cursor = g_new0 (VjStoreCursor, 1);
  cursor->store = store;
  cursor->query = *query;
  cursor->query.stage = cursor->stage = g_strdup (query->stage);
  cursor->query.parent = cursor->parent = g_strdup (query->parent);
  cursor->after = g_strdup ("");
  g_queue_init (&cursor->page);
  return cursor;
}

void
vj_store_walk_free (VjStoreCursor *cursor)
{
  if (cursor == NULL)
    return;
  g_queue_clear_full (&cursor->page, (GDestroyNotify) vj_stored_free);
  g_free (cursor->stage);
  g_free (cursor->parent);
  g_free (cursor->after);
  g_free (cursor);
}

static gboolean
read_page (VjStoreCursor *cursor, GError **error)
{
  const VjStoreQuery *q = &cursor->query;
  const char *sql = choose_sql (q, "SELECT " COLUMNS BY_ID NEXT, "SELECT " COLUMNS BY_PLACE NEXT,
                                "SELECT " COLUMNS BY_PARENT NEXT);
  sqlite3_stmt *statement = vj_sql_start (cursor->store, error, sql, "iiisssi", vj_sql_iteration (cursor->store, q->iteration),
                                          (gint64) q->kind, (gint64) q->fate, q->stage, q->parent, cursor->after, (gint64) PAGE);
  gboolean row = TRUE;

  if (statement == NULL)
    return FALSE;
  while (row) {
    VjStored *stored;
    if (!vj_sql_row (cursor->store, statement, &row, "reading records", error))
      return FALSE;
    if (!row)
      break;
    stored = read_stored (cursor->store, statement, error);
    if (stored == NULL) {
      vj_sql_done (statement);
      return FALSE;
    }
    g_queue_push_tail (&cursor->page, stored);
  }
  vj_sql_done (statement);
  if (cursor->page.length < PAGE)
    cursor->ended = TRUE;
  if (cursor->page.length > 0) {
    g_free (cursor->after);
    cursor->after = g_strdup (((VjStored *) g_queue_peek_tail (&cursor->page))->record->id);
  }
  return TRUE;
}

gboolean
vj_store_walk_next (VjStoreCursor *cursor, VjStored **ret_stored, GError **error)
{
  if (cursor->page.length == 0 && !cursor->ended && !read_page (cursor, error))
    return FALSE;
  *ret_stored = g_queue_pop_head (&cursor->page);
  return TRUE;
}

gboolean
vj_store_count (VjStore *store, const VjStoreQuery *q, gint64 *ret_count, GError **error)
{
  const char *sql = choose_sql (q, "SELECT count(*)" BY_ID, "SELECT count(*)" BY_PLACE, "SELECT count(*)" BY_PARENT);
  /* Only the third names ?5; binding an argument that a statement lacks is an error. */
  sqlite3_stmt *statement = vj_sql_start (store, error, sql, q->parent != NULL ? "iiiss" : "iiis",
                                          vj_sql_iteration (store, q->iteration), (gint64) q->kind, (gint64) q->fate, q->stage, q->parent);
  gboolean row;

  if (statement == NULL || !vj_sql_row (store, statement, &row, "counting records", error))
    return FALSE;
  *ret_count = sqlite3_column_int64 (statement, 0);
  vj_sql_done (statement);
  return TRUE;
}

/* -- forgetting -------------------------------------------------------------------------------- */

/* The ids in `doomed` are those of the stage's records and of all that descends from them. */
static gboolean
forget (VjStore *store, guint iteration, const char *name, GError **error)
{
#define DOOMED                                                                                                     \
  "WITH RECURSIVE doomed(id) AS (SELECT id FROM records WHERE iteration = ?1 AND stage = ?2"                       \
  " UNION SELECT child FROM parents JOIN doomed ON parent = doomed.id) "
#define SCORES "DELETE FROM scores WHERE 'evaluate:' || evaluator = ?2"
  static const char *const sql[] = {
    DOOMED "DELETE FROM gold WHERE record IN doomed",
    DOOMED "DELETE FROM quarantine WHERE record IN doomed",
    "DELETE FROM quarantine WHERE record IN (SELECT id FROM records WHERE iteration = ?1 AND fate_stage = ?2)",
    DOOMED "DELETE FROM records WHERE id IN doomed",
    "UPDATE records SET fate = 0, fate_stage = NULL, reason = NULL WHERE iteration = ?1 AND fate_stage = ?2",
    /* An evaluation's and a training's, which carry no number but a label (vj_step_label, VjStep.title). */
    SCORES " AND label IN ('iteration ' || ?1, CASE ?1 WHEN 0 THEN 'before' ELSE 'pretrained' END)",
    "DELETE FROM steps WHERE course IN ('iteration ' || ?1 || ': ' || ?2, ?2 || ' ' || ?1)",
    "DELETE FROM stages WHERE iteration = ?1 AND name = ?2",
  };
#undef SCORES
#undef DOOMED
  for (guint i = 0; i < G_N_ELEMENTS (sql); i++)
    if (!vj_sql_write (store, error, "undoing a stage", sql[i], "is", (gint64) iteration, name))
      return FALSE;
  /* Last, because the lines of descent above run through them. */
  return vj_sql_write (store, error, "undoing a stage",
                       "DELETE FROM parents WHERE NOT EXISTS (SELECT 1 FROM records WHERE id = child)", "");
}

gboolean
vj_store_stage_forget (VjStore *store, guint iteration, const char *name, GError **error)
{
  VjSqlScope scope;
  return vj_sql_scope_begin (store, &scope, error)
         && vj_sql_scope_end (store, scope, forget (store, iteration, name, error), error);
}
