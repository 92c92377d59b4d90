/* Stage `reuse`: the first iteration's pairs, to be judged again by the judge as it stands.
 *
 * Each is copied under this iteration's name, so that judging, filters and books are those of any iteration, and a trace's
 * descent still leads to the pair that was made. */
#include "pipeline/context.h"

#define GROUP 200 /* copies a commit */

static VjRecord *
copy_of (const VjRecord *pair, guint iteration)
{
  g_autofree char *id = g_strdup_printf ("r%u.%s", iteration, pair->id);
  VjRecord *copy = vj_record_new (VJ_RECORD_PAIR, iteration, id);

  vj_record_add_parent (copy, pair->parents[0]); /* the question, as of any pair */
  vj_record_add_parent (copy, pair->id);
  json_object_update (copy->fields, pair->fields);
  return copy;
}

static gboolean
copy_all (VjContext *context, const VjStep *step, gint64 *ret_n, GError **error)
{
  VjStoreQuery query = VJ_STORE_QUERY_ALL;
  gint64 n = 0;

  query.iteration = 1;
  query.kind = VJ_RECORD_PAIR;
  g_autoptr (VjStoreCursor) cursor = vj_store_walk (context->store, &query);
  for (;;) {
    g_autoptr (VjStored) stored = NULL;
    if (!vj_scheduler_go_on (context->stop, error) || !vj_store_walk_next (cursor, &stored, error))
      return FALSE;
    if (stored == NULL)
      break;
    g_autoptr (VjRecord) copy = copy_of (stored->record, step->iteration);
    if ((!vj_store_in_group (context->store) && !vj_store_begin (context->store, error))
        || !vj_store_record_put (context->store, step->name, copy, error)
        || (++n % GROUP == 0 && !vj_store_commit (context->store, error)))
      return FALSE;
  }
  *ret_n = n;
  return TRUE;
}

gboolean
vj_work_reuse (VjContext *context, const VjStep *step, GError **error)
{
  gint64 n = 0;
  return vj_step_begin (context, step, 0, error) && copy_all (context, step, &n, error)
         && vj_step_end (context, step, n, n, error);
}
