/* Stage `questions`: the sources' drafts become question records. */
#include "pipeline/context.h"

#define GROUP 200 /* drafts a commit */

typedef struct {
  gint64 in, kept;
  char *fault; /* the first record's that is not usable */
} Counts;

static gboolean
take_one (VjDrafter *drafter, VjContext *context, const VjStep *step, const char *plugin, Counts *counts, gboolean *ret_end,
          GError **error)
{
  g_autofree char *id = NULL;

  if (!vj_scheduler_go_on (context->stop, error))
    return FALSE;
  if (!vj_store_in_group (context->store) && !vj_store_begin (context->store, error))
    return FALSE;
  VjFlow flow = vj_drafter_next (drafter, context, &id, error);
  if (flow == VJ_FLOW_ERROR)
    return FALSE;
  if (flow == VJ_FLOW_END) {
    *ret_end = TRUE;
    return TRUE;
  }
  gboolean closed = drafter->draft->form == VJ_FORM_CLOSED;
  gboolean taken_up = closed ? context->recipe->sampler.plugin != NULL : context->recipe->respond.model != NULL;
  gboolean unused = flow == VJ_FLOW_OK && !taken_up;
  if (!vj_draft_store (drafter->draft, context, step, VJ_RECORD_QUESTION, id, plugin, flow, error))
    return FALSE;
  /* A question that no stage would take up must not vanish from the books. */
  const char *why = closed ? "the recipe has no `closed_form`" : "the recipe has no `open_ended`";
  if (unused && !vj_store_record_fate (context->store, id, VJ_FATE_DROPPED, step->name, why, error))
    return FALSE;
  if (counts->fault == NULL && (unused || flow != VJ_FLOW_OK))
    counts->fault = unused ? g_strdup (why) : vj_draft_problem (drafter->draft);
  counts->in++;
  counts->kept += flow == VJ_FLOW_OK && !unused;
  /* Nothing is kept of sources that yield nothing usable, so that they can be mended. */
  return counts->in % GROUP != 0 || counts->kept == 0 || vj_store_commit (context->store, error);
}

/* A source starts anew each time: what it yielded before an interruption it yields again, and storing the same record
 * again changes nothing. */
static gboolean
drain (VjContext *context, const VjStep *step, gsize source, Counts *counts, GError **error)
{
  const VjRecipePlugin *entry = &context->recipe->questions[source];
  g_autofree char *stream = g_strdup_printf ("iteration %u/questions.%zu", step->iteration, source);
  g_autofree char *prefix = g_strdup_printf ("q%u.%zu.", step->iteration, source);
  g_auto (VjDrafter) drafter = {0};
  guint64 total = entry->count > 0 ? (guint64) (counts->in + entry->count) : 0;
  gboolean end = FALSE;

  if (!vj_drafter_init (&drafter, context, entry, stream, prefix, error))
    return FALSE;
  while (!end) {
    if (!take_one (&drafter, context, step, entry->name, counts, &end, error))
      return FALSE;
    if (counts->in % 20 == 0)
      vj_context_progress (context, step, VJ_PROGRESS_STEP, "questions", (guint64) counts->in, total, entry->name);
  }
  return TRUE;
}

static gboolean
drain_all (VjContext *context, const VjStep *step, Counts *counts, GError **error)
{
  for (gsize i = 0; i < context->recipe->n_questions; i++)
    if (!drain (context, step, i, counts, error))
      return FALSE;
  return counts->kept > 0
         || vj_fail (error, VJ_EXIT_DATA, "%s: the sources yielded %" G_GINT64_FORMAT " records, none of them usable%s%s; mend the data "
                     "or the sources' options", step->title, counts->in, counts->fault ? "; the first: " : "",
                     counts->fault ? counts->fault : "");
}

gboolean
vj_work_questions (VjContext *context, const VjStep *step, GError **error)
{
  Counts counts = {0};

  if (!vj_step_begin (context, step, 0, error))
    return FALSE;
  vj_context_progress (context, step, VJ_PROGRESS_BEGIN, "questions", 0, 0, NULL);
  gboolean good = drain_all (context, step, &counts, error);
  g_free (counts.fault);
  if (!good)
    return FALSE;
  vj_context_progress (context, step, VJ_PROGRESS_END, "questions", (guint64) counts.in, (guint64) counts.in, NULL);
  return vj_step_end (context, step, counts.in, counts.kept, error);
}
