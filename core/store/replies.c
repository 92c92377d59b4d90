/* Replies: claimed before they are sent, kept when they come, never asked twice. */
#include "base/file.h"
#include "store/internal.h"

#include <string.h>

void
vj_stored_reply_clear (VjStoredReply *reply)
{
  g_clear_pointer (&reply->text, g_free);
  g_clear_pointer (&reply->error, g_free);
}

gboolean
vj_store_reply_claim (VjStore *store, const char *key, const char *record, const char *stage, GError **error)
{
  return vj_sql_write (store, error, "claiming a request",
                       "INSERT INTO replies VALUES(?, ?, ?, 1, 0, NULL, NULL, 0, 0, 0, 0)"
                       " ON CONFLICT(key) DO UPDATE SET claims = claims + 1 WHERE answered = 0",
                       "sss", key, record, stage);
}

/* What the sum covers: a text and an error with the same letters differ. */
static gint64
reply_sum (const char *text, const char *cause)
{
  g_autofree char *joined = g_strconcat (text != NULL ? "t" : "e", text != NULL ? text : cause, NULL);
  return vj_sql_sum (joined);
}

static gboolean
fail_answer (VjStore *store, const char *key, const char *what, GError **error)
{
  return vj_fail (error, VJ_EXIT_BUG, "%s: request %s: %s; this is a bug in vjrun: please report it", store->shown, key, what);
}

gboolean
vj_store_reply_answer (VjStore *store, const char *key, const VjStoredReply *reply, GError **error)
{
  g_auto (VjStoredReply) before = {0};
  VjReplyState state;

  g_return_val_if_fail ((reply->text == NULL) != (reply->error == NULL), FALSE);
  if (!vj_sql_write (store, error, "keeping a reply",
                     "UPDATE replies SET answered = 1, text = ?, error = ?, finish = ?, prompt_tokens = ?,"
                     " completion_tokens = ?, sum = ? WHERE key = ? AND answered = 0",
                     "ssiiiis", reply->text, reply->error, (gint64) reply->finish, (gint64) reply->prompt_tokens,
                     (gint64) reply->completion_tokens, reply_sum (reply->text, reply->error), key))
    return FALSE;
  if (sqlite3_changes (store->db) == 1)
    return TRUE;
  if (!vj_store_reply_lookup (store, key, &state, &before, error))
    return FALSE;
  if (state != VJ_REPLY_ANSWERED)
    return fail_answer (store, key, "answered without having been claimed", error);
  if (g_strcmp0 (before.text, reply->text) != 0 || g_strcmp0 (before.error, reply->error) != 0)
    return fail_answer (store, key, "answered twice, differently", error);
  return TRUE;
}

gboolean
vj_store_reply_lookup (VjStore *store, const char *key, VjReplyState *ret_state, VjStoredReply *ret_reply, GError **error)
{
  sqlite3_stmt *statement
    = vj_sql_start (store, error,
                    "SELECT answered, text, error, finish, prompt_tokens, completion_tokens, sum FROM replies WHERE key = ?",
                    "s", key);
  VjReplyState state = VJ_REPLY_UNKNOWN;
  VjStoredReply reply = {0};
  gboolean row, whole = TRUE;

  if (statement == NULL || !vj_sql_row (store, statement, &row, "looking a reply up", error))
    return FALSE;
  if (row && sqlite3_column_int64 (statement, 0) == 0)
    state = VJ_REPLY_CLAIMED;
  else if (row) {
    state = VJ_REPLY_ANSWERED;
    reply = (VjStoredReply){vj_sql_text (statement, 1), vj_sql_text (statement, 2),
                            sqlite3_column_int64 (statement, 3) == VJ_FINISH_LENGTH ? VJ_FINISH_LENGTH : VJ_FINISH_STOP,
                            (guint32) sqlite3_column_int64 (statement, 4), (guint32) sqlite3_column_int64 (statement, 5)};
    whole = (reply.text == NULL) != (reply.error == NULL)
            && reply_sum (reply.text, reply.error) == sqlite3_column_int64 (statement, 6);
  }
  vj_sql_done (statement);
  if (!whole) {
    vj_stored_reply_clear (&reply);
    return vj_sql_damaged (store, key, error);
  }
  *ret_state = state;
  if (state == VJ_REPLY_ANSWERED)
    *ret_reply = reply;
  return TRUE;
}

gboolean
vj_store_reply_counts (VjStore *store, VjReplyCounts *ret_counts, GError **error)
{
  sqlite3_stmt *statement
    = vj_sql_start (store, error,
                    "SELECT coalesce(sum(answered), 0), coalesce(sum(1 - answered), 0), coalesce(sum(claims - 1), 0),"
                    " coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0) FROM replies", "");
  gboolean row;

  if (statement == NULL || !vj_sql_row (store, statement, &row, "counting replies", error))
    return FALSE;
  *ret_counts = (VjReplyCounts){sqlite3_column_int64 (statement, 0), sqlite3_column_int64 (statement, 1),
                                sqlite3_column_int64 (statement, 2), sqlite3_column_int64 (statement, 3),
                                sqlite3_column_int64 (statement, 4)};
  vj_sql_done (statement);
  return TRUE;
}

void
vj_stored_draw_free (VjStoredDraw *draw)
{
  if (draw == NULL)
    return;
  g_free (draw->key);
  g_free (draw->stage);
  vj_stored_reply_clear (&draw->reply);
  g_free (draw);
}

gboolean
vj_store_draws_of (VjStore *store, const char *record, GPtrArray **ret_draws, GError **error)
{
  sqlite3_stmt *statement
    = vj_sql_start (store, error,
                    "SELECT key, stage, claims, answered, text, error, finish, prompt_tokens, completion_tokens FROM replies"
                    " WHERE record = ? ORDER BY rowid", "s", record);
  g_autoptr (GPtrArray) draws = g_ptr_array_new_with_free_func ((GDestroyNotify) vj_stored_draw_free);
  gboolean row = TRUE;

  if (statement == NULL)
    return FALSE;
  while (row) {
    if (!vj_sql_row (store, statement, &row, "reading the draws of a record", error))
      return FALSE;
    if (!row)
      break;
    VjStoredDraw *draw = g_new0 (VjStoredDraw, 1);
    *draw = (VjStoredDraw){.key = vj_sql_text (statement, 0),
                           .stage = vj_sql_text (statement, 1),
                           .claims = sqlite3_column_int64 (statement, 2),
                           .answered = sqlite3_column_int64 (statement, 3) != 0};
    draw->reply = (VjStoredReply){vj_sql_text (statement, 4), vj_sql_text (statement, 5),
                                  sqlite3_column_int64 (statement, 6) == VJ_FINISH_LENGTH ? VJ_FINISH_LENGTH : VJ_FINISH_STOP,
                                  (guint32) sqlite3_column_int64 (statement, 7), (guint32) sqlite3_column_int64 (statement, 8)};
    g_ptr_array_add (draws, draw);
  }
  vj_sql_done (statement);
  *ret_draws = g_steal_pointer (&draws);
  return TRUE;
}
