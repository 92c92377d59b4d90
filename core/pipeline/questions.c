/* Stage `questions`: the sources' drafts become question records. */
#include "pipeline/context.h"

#define GROUP 200 /* drafts a commit */
#define HOLD_LESS "let it hold out less by repeat.gate.count, or give it sources of its own in repeat.gate.questions"

static const char held_out_reason[] = "the gate holds out its image or question";

typedef struct {
  gint64 in, kept;
  gint64 held, left;        /* drafts held out; kept ones that the gate took and made no pair of */
  gint64 closed, gold;      /* kept closed questions, and those of them with a gold answer       */
  gint64 whole;             /* sources that ended before their limit                             */
  char *fault;              /* the first record's that is not usable                             */
  GHashTable *held_out;     /* what no iteration may train on; NULL: nothing is held out         */
  GHashTable *taken;        /* the same of all that the gate took, whether it made a pair or not */
} Counts;

/* -- what the gate holds out ------------------------------------------------------ */

/* A question is held out with every image it shows; one without images by its words. */
static void
hold_out (GHashTable *held_out, const VjRecord *question)
{
  gsize n = vj_record_n_images (question);
  for (gsize i = 0; i < n; i++)
    g_hash_table_add (held_out, g_strconcat ("image ", vj_record_image (question, i), NULL));
  if (n == 0)
    g_hash_table_add (held_out, g_strconcat ("words ", vj_record_text (question, "prompt"), NULL));
}

static gboolean
holds (GHashTable *held_out, const VjDraft *draft)
{
  gboolean found = FALSE;
  for (guint i = 0; held_out != NULL && i < draft->images->len; i++) {
    g_autofree char *image = g_strconcat ("image ", vj_image_digest (draft->images->pdata[i]), NULL);
    found |= g_hash_table_contains (held_out, image);
  }
  g_autofree char *words = g_strconcat ("words ", draft->prompt, NULL);
  return found || (held_out != NULL && draft->images->len == 0 && g_hash_table_contains (held_out, words));
}

/* The questions that the gate took, and of these the ones of its pairs. */
static gboolean
read_held_out (VjContext *context, Counts *counts, GError **error)
{
  static const VjRecordKind kinds[] = {VJ_RECORD_QUESTION, VJ_RECORD_PAIR};

  counts->held_out = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  counts->taken = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++) {
    VjStoreQuery query = VJ_STORE_QUERY_ALL;
    query.iteration = 0;
    query.kind = (int) kinds[i];
    g_autoptr (VjStoreCursor) cursor = vj_store_walk (context->store, &query);
    for (;;) {
      g_autoptr (VjStored) found = NULL, question = NULL;
      if (!vj_store_walk_next (cursor, &found, error))
        return FALSE;
      if (found == NULL)
        break;
      if (kinds[i] == VJ_RECORD_PAIR && (question = vj_load_stored (context->store, found->record->parents[0], error)) == NULL)
        return FALSE;
      hold_out (question != NULL ? counts->held_out : counts->taken, question != NULL ? question->record : found->record);
    }
  }
  return TRUE;
}

/* -- taking --------------------------------------------------------------------------- */

/* Why this stage has no use for a sound draft; NULL: it has. Static. */
static const char *
no_use (const VjRecipe *recipe, const VjDraft *draft, const Counts *counts)
{
  gboolean closed = draft->form == VJ_FORM_CLOSED;
  if (closed && recipe->sampler.plugin == NULL)
    return "the recipe has no `closed_form`";
  if (!closed && recipe->respond.model == NULL)
    return "the recipe has no `open_ended`";
  return holds (counts->held_out, draft) ? held_out_reason : NULL;
}

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
  const VjDraft *draft = drafter->draft;
  const char *why = flow == VJ_FLOW_OK ? no_use (context->recipe, draft, counts) : NULL;
  gboolean kept = flow == VJ_FLOW_OK && why == NULL, closed = kept && draft->form == VJ_FORM_CLOSED;
  if (!vj_draft_store (drafter->draft, context, step, VJ_RECORD_QUESTION, id, plugin, flow, error))
    return FALSE;
  /* A question that no stage would take up must not vanish from the books. */
  if (why != NULL && !vj_store_record_fate (context->store, id, VJ_FATE_DROPPED, step->name, why, error))
    return FALSE;
  if (counts->fault == NULL && (why != NULL || flow != VJ_FLOW_OK))
    counts->fault = why != NULL ? g_strdup (why) : vj_draft_problem (drafter->draft);
  counts->in++;
  counts->kept += kept;
  counts->held += why == held_out_reason;
  counts->left += kept && holds (counts->taken, draft);
  counts->closed += closed;
  counts->gold += closed && draft->gold != NULL;
  /* Nothing is kept of sources that yield nothing usable, so that they can be mended. */
  return counts->in % GROUP != 0 || counts->kept == 0 || vj_store_commit (context->store, error);
}

/* The gate's own sources, else the iteration's: for the gate these are drawn from other streams. */
static const VjRecipePlugin *
sources_of (const VjRecipe *recipe, const VjStep *step, gsize *ret_n)
{
  gboolean own = step->held_out && recipe->gate.n_questions > 0;
  *ret_n = own ? recipe->gate.n_questions : recipe->n_questions;
  return own ? recipe->gate.questions : recipe->questions;
}

/* The count of an iteration's source says how many questions an iteration has, not how many the gate has. */
static gint64
held_out_limit (const VjRecipeGate *gate, const VjRecipePlugin *entry)
{
  return gate->n_questions > 0 && entry->count > 0 ? MIN (entry->count, gate->count) : gate->count;
}

/* A source starts anew each time: what it yielded before an interruption it yields again, and storing the same record
 * again changes nothing. */
static gboolean
drain (VjContext *context, const VjStep *step, gsize source, Counts *counts, GError **error)
{
  gsize n;
  const VjRecipePlugin *entry = &sources_of (context->recipe, step, &n)[source];
  g_autofree char *stream = step->held_out ? g_strdup_printf ("gate/questions.%zu", source)
                                           : g_strdup_printf ("iteration %u/questions.%zu", step->iteration, source);
  g_autofree char *prefix = step->held_out ? g_strdup_printf ("g.%zu.", source)
                                           : g_strdup_printf ("q%u.%zu.", step->iteration, source);
  g_auto (VjDrafter) drafter = {0};
  gboolean end = FALSE;

  if (!vj_drafter_init (&drafter, context, entry, stream, prefix, error))
    return FALSE;
  if (step->held_out)
    drafter.limit = held_out_limit (&context->recipe->gate, entry);
  guint64 total = drafter.limit > 0 ? (guint64) (counts->in + drafter.limit) : 0;
  while (!end) {
    if (!take_one (&drafter, context, step, entry->name, counts, &end, error))
      return FALSE;
    if (counts->in % 20 == 0)
      vj_context_progress (context, step, VJ_PROGRESS_STEP, "questions", (guint64) counts->in, total, entry->name);
  }
  counts->whole += drafter.limit < 0 || drafter.index < (guint64) drafter.limit;
  return TRUE;
}

/* The gate takes the first rows of a data set. What it leaves must be more than rows that made it no pair: most of these make
 * an iteration none either. */
static gboolean
check_split (VjContext *context, const VjStep *step, const Counts *counts, gsize n_sources, GError **error)
{
  if (step->held_out && context->recipe->gate.n_questions == 0 && counts->whole > 0) {
    if (counts->whole == (gint64) n_sources)
      return vj_fail (error, VJ_EXIT_DATA, "%s: the gate takes all %" G_GINT64_FORMAT " records that the sources have, and leaves none to "
                      "train on; " HOLD_LESS, step->title, counts->in);
    vj_log_write (context->log, VJ_LOG_WARNING, "gate", "%s: of the sources %" G_GINT64_FORMAT " have no more records than the gate takes "
                  "of each (%" G_GINT64_FORMAT "), so no iteration trains on these; " HOLD_LESS, step->title, counts->whole,
                  context->recipe->gate.count);
  }
  if (counts->held == 0)
    return TRUE;
  if (counts->left == counts->kept)
    return vj_fail (error, VJ_EXIT_DATA, "%s: the gate holds out %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " records, and the %"
                    G_GINT64_FORMAT " left are those it could make no pair of; " HOLD_LESS, step->title, counts->held, counts->in,
                    counts->left);
  if (counts->held > counts->kept)
    vj_log_write (context->log, VJ_LOG_WARNING, "gate", "%s: the gate holds out %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " records, more "
                  "than the %" G_GINT64_FORMAT " left to train on; " HOLD_LESS, step->title, counts->held, counts->in, counts->kept);
  return TRUE;
}

/* With the gold filter a closed question without gold is asked in vain. */
static gboolean
check_gold (VjContext *context, const VjStep *step, const Counts *counts, GError **error)
{
  if (!context->recipe->gold_filter || step->held_out || counts->closed == 0 || counts->gold > 0)
    return TRUE;
  return vj_fail (error, VJ_EXIT_DATA, "%s: iteration.closed_form.gold: filter drops pairs whose question has no gold answer, and none of "
                  "the %" G_GINT64_FORMAT " closed questions has one; name the field that holds it, or remove gold: filter", step->title,
                  counts->closed);
}

static gboolean
drain_all (VjContext *context, const VjStep *step, Counts *counts, GError **error)
{
  gsize n;

  sources_of (context->recipe, step, &n);
  for (gsize i = 0; i < n; i++)
    if (!drain (context, step, i, counts, error))
      return FALSE;
  if (counts->kept == 0)
    return vj_fail (error, VJ_EXIT_DATA, "%s: the sources yielded %" G_GINT64_FORMAT " records, none of them usable%s%s; mend the data "
                    "or the sources' options%s", step->title, counts->in, counts->fault ? "; the first: " : "",
                    counts->fault ? counts->fault : "", counts->held > 0 ? "; or " HOLD_LESS : "");
  return check_split (context, step, counts, n, error) && check_gold (context, step, counts, error);
}

gboolean
vj_work_questions (VjContext *context, const VjStep *step, GError **error)
{
  Counts counts = {0};

  if (!vj_step_begin (context, step, 0, error))
    return FALSE;
  vj_context_progress (context, step, VJ_PROGRESS_BEGIN, "questions", 0, 0, NULL);
  gboolean splits = context->recipe->gate.present && !step->held_out;
  gboolean good = (!splits || read_held_out (context, &counts, error)) && drain_all (context, step, &counts, error);
  g_clear_pointer (&counts.held_out, g_hash_table_unref);
  g_clear_pointer (&counts.taken, g_hash_table_unref);
  g_free (counts.fault);
  if (!good)
    return FALSE;
  vj_context_progress (context, step, VJ_PROGRESS_END, "questions", (guint64) counts.in, (guint64) counts.in, NULL);
  return vj_step_end (context, step, counts.in, counts.kept, error);
}
