/* What the stages that audit an iteration's pairs share. */
#include "pipeline/audit.h"

#include <string.h>

/* A pair and the place that the seed gives it in the draw. */
typedef struct {
  guint64 place;
  char *id;
} Ticket;

static void
ticket_clear (gpointer data)
{
  g_free (((Ticket *) data)->id);
}

static int
by_place (gconstpointer a, gconstpointer b)
{
  const Ticket *x = a, *y = b;
  return x->place != y->place ? (x->place < y->place ? -1 : 1) : strcmp (x->id, y->id);
}

static int
by_id (gconstpointer a, gconstpointer b)
{
  return strcmp (((const Ticket *) a)->id, ((const Ticket *) b)->id);
}

/* Whether the judge was handed the pair: a done judge stage has decided its fate, or will. */
static gboolean
reaches_judge (const VjStored *pair)
{
  return pair->fate != VJ_FATE_DROPPED || g_strcmp0 (pair->fate_stage, "judge") == 0;
}

gboolean
vj_audit_pairs (VjContext *context, const VjStep *step, gint64 most, GPtrArray **ret_ids, GError **error)
{
  VjStoreQuery query = VJ_STORE_QUERY_ALL;
  g_autoptr (GArray) tickets = g_array_new (FALSE, FALSE, sizeof (Ticket));
  GPtrArray *ids;

  g_array_set_clear_func (tickets, ticket_clear);
  query.iteration = (int) step->iteration;
  query.kind = VJ_RECORD_PAIR;
  g_autoptr (VjStoreCursor) cursor = vj_store_walk (context->store, &query);
  for (;;) {
    g_autoptr (VjStored) stored = NULL;
    if (!vj_store_walk_next (cursor, &stored, error))
      return FALSE;
    if (stored == NULL)
      break;
    if (!reaches_judge (stored))
      continue;
    const char *id = stored->record->id;
    Ticket ticket = {vj_random_seed_named (context->recipe->seed, step->name, id, 0), g_strdup (id)};
    g_array_append_val (tickets, ticket);
  }
  g_array_sort (tickets, by_place);
  if ((gint64) tickets->len > most)
    g_array_set_size (tickets, (guint) most);
  g_array_sort (tickets, by_id);
  ids = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < tickets->len; i++)
    g_ptr_array_add (ids, g_steal_pointer (&g_array_index (tickets, Ticket, i).id));
  *ret_ids = ids;
  return TRUE;
}

char *
vj_audit_kind (const VjRecipe *recipe, const VjRecord *pair)
{
  const char *plugin = vj_record_text (pair, "plugin");
  gboolean injected = g_strcmp0 (plugin, recipe->sampler.name) != 0;
  for (gsize i = 0; i < recipe->n_injectors; i++)
    injected |= g_strcmp0 (plugin, recipe->injectors[i].name) == 0;
  return injected ? g_strdup_printf ("%s / %s", plugin, vj_record_text (pair, "how")) : g_strdup (plugin);
}

gboolean
vj_audit_begin (VjContext *context, const VjStep *step, gint64 n_in, GError **error)
{
  return vj_store_audit_put (context->store, step->iteration, step->name, NULL, error)
      && vj_step_begin (context, step, n_in, error);
}

gboolean
vj_audit_end (VjContext *context, const VjStep *step, gint64 n_in, gint64 n_kept, const char *figures,
              VjAuditOutcome outcome, const char *finding, gboolean fail, const char *remedy, const char *more,
              GError **error)
{
  if (!vj_store_audit_put (context->store, step->iteration, step->name, figures, error))
    return FALSE;
  if (outcome == VJ_AUDIT_FOUND && fail)
    return vj_fail (error, VJ_EXIT_AUDIT, "%s: %s; %s", step->title, finding, remedy);
  if (finding != NULL)
    vj_log_write (context->log, VJ_LOG_WARNING, "audit", "%s: %s; %s", step->title, finding,
                  outcome == VJ_AUDIT_UNSURE ? more : remedy);
  return vj_step_end (context, step, n_in, n_kept, error);
}
