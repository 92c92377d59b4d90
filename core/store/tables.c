/* The small tables: stages, scores, training steps. */
#include "base/file.h"
#include "store/internal.h"

#include <math.h>

/* -- stages ------------------------------------------------------------------------------ */

void
vj_stage_free (VjStage *stage)
{
  if (stage == NULL)
    return;
  g_free (stage->name);
  g_free (stage->digest);
  g_free (stage);
}

gboolean
vj_store_stage_put (VjStore *store, const VjStage *stage, GError **error)
{
  /* An upsert keeps the row, and with it the order in which stages were first put. */
  return vj_sql_write (store, error, "writing a stage",
                       "INSERT INTO stages VALUES(?, ?, ?, ?, ?, ?) ON CONFLICT(iteration, name) DO UPDATE SET"
                       " digest = excluded.digest, state = excluded.state, n_in = excluded.n_in, n_kept = excluded.n_kept",
                       "issiii", (gint64) stage->iteration, stage->name, stage->digest != NULL ? stage->digest : "",
                       (gint64) stage->state, stage->n_in, stage->n_kept);
}

static VjStage *
read_stage (sqlite3_stmt *statement)
{
  VjStage *stage = g_new (VjStage, 1);
  *stage = (VjStage){(guint) sqlite3_column_int64 (statement, 0), vj_sql_text (statement, 1), vj_sql_text (statement, 2),
                     sqlite3_column_int64 (statement, 3) == VJ_STAGE_DONE ? VJ_STAGE_DONE : VJ_STAGE_RUNNING,
                     sqlite3_column_int64 (statement, 4), sqlite3_column_int64 (statement, 5)};
  return stage;
}

gboolean
vj_store_stage_get (VjStore *store, guint iteration, const char *name, VjStage **ret_stage, GError **error)
{
  sqlite3_stmt *statement = vj_sql_start (
    store, error, "SELECT iteration, name, digest, state, n_in, n_kept FROM stages WHERE iteration = ? AND name = ?", "is",
    (gint64) iteration, name);
  gboolean row;

  if (statement == NULL || !vj_sql_row (store, statement, &row, "reading a stage", error))
    return FALSE;
  *ret_stage = row ? read_stage (statement) : NULL;
  vj_sql_done (statement);
  return TRUE;
}

/* All rows of a started statement, each read by `read`. */
static gboolean
read_rows (VjStore *store, sqlite3_stmt *statement, gpointer (*read) (sqlite3_stmt *), GDestroyNotify free_row,
           GPtrArray **ret_rows, GError **error)
{
  g_autoptr (GPtrArray) rows = g_ptr_array_new_with_free_func (free_row);
  gboolean row = TRUE;

  if (statement == NULL)
    return FALSE;
  while (row) {
    if (!vj_sql_row (store, statement, &row, "reading a table", error))
      return FALSE;
    if (row)
      g_ptr_array_add (rows, read (statement));
  }
  vj_sql_done (statement);
  *ret_rows = g_steal_pointer (&rows);
  return TRUE;
}

gboolean
vj_store_stages (VjStore *store, GPtrArray **ret_stages, GError **error)
{
  sqlite3_stmt *statement = vj_sql_start (
    store, error, "SELECT iteration, name, digest, state, n_in, n_kept FROM stages WHERE iteration <= ? ORDER BY iteration, rowid", "i",
    (gint64) store->last);
  return read_rows (store, statement, (gpointer (*) (sqlite3_stmt *)) read_stage, (GDestroyNotify) vj_stage_free, ret_stages,
                    error);
}

gboolean
vj_store_stages_beyond (VjStore *store, guint iteration, GPtrArray **ret_stages, GError **error)
{
  sqlite3_stmt *statement = vj_sql_start (
    store, error, "SELECT iteration, name, digest, state, n_in, n_kept FROM stages WHERE iteration > ? ORDER BY iteration, rowid", "i",
    (gint64) iteration);
  return read_rows (store, statement, (gpointer (*) (sqlite3_stmt *)) read_stage, (GDestroyNotify) vj_stage_free, ret_stages,
                    error);
}

/* -- the funnel ----------------------------------------------------------------------------- */

void
vj_drop_free (VjDrop *drop)
{
  if (drop == NULL)
    return;
  g_free (drop->stage);
  g_free (drop->reason);
  g_free (drop);
}

static gpointer
read_drop (sqlite3_stmt *statement)
{
  VjDrop *drop = g_new (VjDrop, 1);
  gint64 kind = sqlite3_column_int64 (statement, 2);
  *drop = (VjDrop){(guint) sqlite3_column_int64 (statement, 0), vj_sql_text (statement, 1), vj_sql_text (statement, 3),
                   kind >= 0 && kind < VJ_RECORD_N_KINDS ? (VjRecordKind) kind : VJ_RECORD_QUESTION,
                   sqlite3_column_int64 (statement, 4)};
  return drop;
}

gboolean
vj_store_drops (VjStore *store, int iteration, GPtrArray **ret_drops, GError **error)
{
  sqlite3_stmt *statement
    = vj_sql_start (store, error,
                    "SELECT iteration, fate_stage, kind, reason, count(*) FROM records WHERE fate = ?1 AND "
                    VJ_SQL_ITERATION (2) " GROUP BY iteration, fate_stage, kind, reason"
                    " ORDER BY iteration, fate_stage, kind, count(*) DESC, reason",
                    "ii", (gint64) VJ_FATE_DROPPED, vj_sql_iteration (store, iteration));
  return read_rows (store, statement, read_drop, (GDestroyNotify) vj_drop_free, ret_drops, error);
}

gboolean
vj_store_balance (VjStore *store, int iteration, GError **error)
{
  sqlite3_stmt *statement
    = vj_sql_start (store, error,
                    "SELECT iteration, name, n_in, n_kept, (SELECT count(*) FROM records WHERE"
                    " records.iteration = stages.iteration AND fate = ?1 AND fate_stage = stages.name) AS dropped"
                    " FROM stages WHERE state = ?2 AND (?3 < 0 OR iteration = ?3) AND n_in <> n_kept + dropped"
                    " ORDER BY iteration, stages.rowid LIMIT 1",
                    "iii", (gint64) VJ_FATE_DROPPED, (gint64) VJ_STAGE_DONE, (gint64) iteration);
  gboolean row;

  if (statement == NULL || !vj_sql_row (store, statement, &row, "balancing the books", error))
    return FALSE;
  if (row) {
    g_autofree char *name = vj_quote ((const char *) sqlite3_column_text (statement, 1), 80);
    vj_fail (error, VJ_EXIT_BUG, "%s: the books of stage '%s' of iteration %lld do not balance: in %lld, kept %lld, dropped "
             "%lld; this is a bug in vjrun: please report it", store->shown, name,
             (long long) sqlite3_column_int64 (statement, 0), (long long) sqlite3_column_int64 (statement, 2),
             (long long) sqlite3_column_int64 (statement, 3), (long long) sqlite3_column_int64 (statement, 4));
  }
  vj_sql_done (statement);
  return !row;
}

/* -- scores ---------------------------------------------------------------------------------- */

void
vj_stored_score_free (VjStoredScore *score)
{
  if (score == NULL)
    return;
  g_free (score->label);
  g_free (score->evaluator);
  g_free (score->metric);
  g_free (score);
}

gboolean
vj_store_score_put (VjStore *store, const VjStoredScore *score, GError **error)
{
  return vj_sql_write (store, error, "writing a score",
                       "INSERT INTO scores VALUES(?, ?, ?, ?, ?) ON CONFLICT(label, evaluator, metric) DO UPDATE SET"
                       " correct = excluded.correct, total = excluded.total",
                       "sssdd", score->label, score->evaluator, score->metric, score->right, score->total);
}

static gpointer
read_score (sqlite3_stmt *statement)
{
  VjStoredScore *score = g_new (VjStoredScore, 1);
  *score = (VjStoredScore){vj_sql_text (statement, 0), vj_sql_text (statement, 1), vj_sql_text (statement, 2),
                           sqlite3_column_double (statement, 3), sqlite3_column_double (statement, 4)};
  return score;
}

gboolean
vj_store_scores (VjStore *store, const char *label, GPtrArray **ret_scores, GError **error)
{
  sqlite3_stmt *statement = vj_sql_start (
    store, error,
    "SELECT label, evaluator, metric, correct, total FROM scores WHERE (?1 IS NULL OR label = ?1) AND"
    /* They carry no number but in their label (vj_step_label); of no other label is the number more than 0. */
    " CAST(substr(label, length('iteration ') + 1) AS INTEGER) <= ?2 ORDER BY rowid",
    "si", label, (gint64) store->last);
  return read_rows (store, statement, read_score, (GDestroyNotify) vj_stored_score_free, ret_scores, error);
}

/* -- training steps --------------------------------------------------------------------------- */

gboolean
vj_store_step_put (VjStore *store, const char *course, const VjTrainStep *step, GError **error)
{
  /* A NaN is bound as null by SQLite, and read back as one. */
  return vj_sql_write (store, error, "writing a training step", "INSERT OR REPLACE INTO steps VALUES(?, ?, ?, ?, ?, ?)",
                       "siiddd", course, step->step, step->steps, step->loss, step->learning_rate, step->grad_norm);
}

static double
column_real (sqlite3_stmt *statement, int column)
{
  return sqlite3_column_type (statement, column) == SQLITE_NULL ? (double) NAN : sqlite3_column_double (statement, column);
}

gboolean
vj_store_steps (VjStore *store, const char *course, GArray **ret_steps, GError **error)
{
  sqlite3_stmt *statement
    = vj_sql_start (store, error,
                    "SELECT step, steps, loss, learning_rate, grad_norm FROM steps WHERE course = ? ORDER BY step", "s", course);
  g_autoptr (GArray) steps = g_array_new (FALSE, FALSE, sizeof (VjTrainStep));
  gboolean row = TRUE;

  if (statement == NULL)
    return FALSE;
  while (row) {
    if (!vj_sql_row (store, statement, &row, "reading training steps", error))
      return FALSE;
    if (row) {
      VjTrainStep step = {sqlite3_column_int64 (statement, 0), sqlite3_column_int64 (statement, 1),
                          column_real (statement, 2), column_real (statement, 3), column_real (statement, 4)};
      g_array_append_val (steps, step);
    }
  }
  vj_sql_done (statement);
  *ret_steps = g_steal_pointer (&steps);
  return TRUE;
}
