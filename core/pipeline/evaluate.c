/* Stages `evaluate:NAME`: gold cases, put to the current judge.
 *
 * An evaluator without `ask` yields pairs; the recipe's judge judges each in both orders, greedily, so that two
 * evaluations differ by the model alone. One with `ask` asks the model itself and counts. Cases are named alike in
 * every iteration (`e0.1.000007` before, `e2.1.000007` after the second), so they can be compared one by one.
 * An interrupted evaluation is done anew out of the ledger: nothing already answered is asked again. */
#include "pipeline/judging.h"

#include <string.h>
#include "record/request.h"
#include "report/statistics.h"

/* Pairs of one kind, counted. */
typedef struct {
  char *how; /* "": all */
  VjPairCounts counts;
} Group;

typedef struct {
  VjContext *context;
  const VjStep *step;
  const VjRecipePlugin *entry;
  VjDrafter drafter;
  VjJudging judging; /* pairs */
  VjModel *model;
  VjScores *scores;  /* ask/tell */
  GPtrArray *groups; /* of Group, in order of first mention; the first is all */
  gint64 in, kept;
} Stage;

/* A case at work. The judging item comes first, so that an evaluator's own case is one that is not judged. */
typedef struct {
  VjJudgingItem judging;
  char *how, *gold;
  VjScores *scores;
  GPtrArray *answers; /* of VjRecord, ask/tell */
} Item;

static const VjEvaluatorOps *
ops_of (const Stage *stage)
{
  return VJ_INSTANCE_OPS (stage->drafter.instance, VjEvaluatorOps);
}

static void
item_free (VjUnit *unit)
{
  Item *item = (Item *) unit;
  vj_judging_item_done (&item->judging);
  g_free (item->how);
  g_free (item->gold);
  g_clear_pointer (&item->scores, vj_scores_free);
  g_clear_pointer (&item->answers, g_ptr_array_unref);
  g_free (item);
}

static void
group_free (gpointer data)
{
  g_free (((Group *) data)->how);
  g_free (data);
}

static Group *
group_of (Stage *stage, const char *how)
{
  for (guint i = 0; i < stage->groups->len; i++) {
    Group *group = stage->groups->pdata[i];
    if (strcmp (group->how, how) == 0)
      return group;
  }
  Group *group = g_new0 (Group, 1);
  group->how = g_strdup (how);
  g_ptr_array_add (stage->groups, group);
  return group;
}

/* -- cases ------------------------------------------------------------------------ */

static Item *
item_new (Stage *stage, const char *id, GError **error)
{
  VjDraft *draft = stage->drafter.draft;
  VjJudgingItem *judging = vj_judging_item_new (id);
  Item *item = g_realloc (judging, sizeof (Item));

  memset ((char *) item + sizeof (VjJudgingItem), 0, sizeof (Item) - sizeof (VjJudgingItem));
  item->judging.unit.model = stage->model;
  /* The stream's name leaves the iteration out: "e.1.000007". */
  item->judging.unit.stream = g_strconcat ("e", strchr (id, '.'), NULL);
  item->judging.chosen = g_strdup (draft->chosen);
  item->judging.rejected = g_strdup (draft->rejected);
  item->how = g_strdup (draft->how);
  item->gold = g_strdup (draft->gold);
  item->scores = vj_scores_new ();
  if (vj_loaded_init (&item->judging.question, stage->context->store, id, error))
    return item;
  item_free (&item->judging.unit);
  return NULL;
}

/* The next case that is sound; quarantined ones are stored, dropped and counted on the way. */
static gboolean
next_case (gpointer self, VjUnit **ret_unit, GError **error)
{
  Stage *stage = self;
  VjContext *context = stage->context;

  *ret_unit = NULL;
  for (;;) {
    g_autofree char *id = NULL;
    VjFlow flow = vj_drafter_next (&stage->drafter, context, &id, error);
    if (flow == VJ_FLOW_ERROR || flow == VJ_FLOW_END)
      return flow == VJ_FLOW_END;
    if (flow == VJ_FLOW_OK && ops_of (stage)->ask == NULL && stage->drafter.draft->chosen == NULL)
      return vj_fail (error, VJ_EXIT_PLUGIN, "evaluator '%s': '%s': a case without chosen and rejected, and no `ask` to ask it "
                      "with; report it to its author", stage->entry->name, id);
    if (!vj_store_in_group (context->store) && !vj_store_begin (context->store, error))
      return FALSE;
    if (!vj_draft_store (stage->drafter.draft, context, stage->step, VJ_RECORD_CASE, id, stage->entry->name, flow, error))
      return FALSE;
    stage->in++;
    if (flow != VJ_FLOW_OK)
      continue;
    Item *item = item_new (stage, id, error);
    *ret_unit = item != NULL ? &item->judging.unit : NULL;
    return item != NULL;
  }
}

static VjFlow
case_ask (gpointer self, VjRun *run, VjUnit *unit, const VjReplies *so_far, VjAsk *ask, GError **error)
{
  Stage *stage = self;
  Item *item = (Item *) unit;
  if (ops_of (stage)->ask == NULL)
    return vj_judging_ask (&stage->judging, run, &item->judging, ask, error);
  VjCase gold = {.question = item->judging.question.question, .chosen = item->judging.chosen,
                 .rejected = item->judging.rejected, .gold = item->gold};
  return VJ_INSTANCE_FLOW (stage->drafter.instance, VjEvaluatorOps, ask, VJ_FLOWS_SKIP, error, run, &gold, so_far, ask);
}

static GPtrArray *
answers_of (const Item *item, const VjReplies *replies, guint iteration)
{
  const char *id = item->judging.unit.id;
  GPtrArray *answers = g_ptr_array_new_with_free_func ((GDestroyNotify) vj_record_free);
  for (gsize request = 0; request < vj_replies_count (replies); request++)
    for (gsize draw = 0; draw < vj_replies_draws (replies, request); draw++) {
      g_autofree char *own = g_strdup_printf ("%s.%zu.%zu", id, request, draw);
      VjRecord *record = vj_record_new (VJ_RECORD_ANSWER, iteration, own);
      vj_record_add_parent (record, id);
      vj_record_set_text (record, "text", vj_replies_text (replies, request, draw));
      vj_record_set_integer (record, "request", (gint64) request);
      vj_record_set_integer (record, "draw", (gint64) draw);
      vj_record_set_text (record, "finish", vj_finish_name (vj_replies_finish (replies, request, draw)));
      g_ptr_array_add (answers, record);
    }
  return answers;
}

static VjFlow
case_tell (gpointer self, VjRun *run, VjUnit *unit, const VjReplies *replies, GError **error)
{
  Stage *stage = self;
  Item *item = (Item *) unit;
  if (ops_of (stage)->ask == NULL)
    return vj_judging_tell (&stage->judging, run, &item->judging, replies, error);
  VjCase gold = {.question = item->judging.question.question, .chosen = item->judging.chosen,
                 .rejected = item->judging.rejected, .gold = item->gold};
  VjFlow flow = VJ_INSTANCE_FLOW (stage->drafter.instance, VjEvaluatorOps, tell, VJ_FLOWS_MORE, error, run, &gold, replies,
                                  item->scores);
  if (flow == VJ_FLOW_OK)
    item->answers = answers_of (item, replies, stage->step->iteration);
  return flow;
}

/* -- counting ------------------------------------------------------------------------ */

static gboolean
count_pair (Stage *stage, Item *item, GError **error)
{
  VjAnswer answers[2] = {VJ_ANSWER_UNPARSED, VJ_ANSWER_UNPARSED};
  for (guint i = 0; i < item->judging.judged->len; i++) {
    const VjJudged *judged = &g_array_index (item->judging.judged, VjJudged, i);
    g_autoptr (VjRecord) record = vj_judging_record (&item->judging, i, stage->step->iteration, FALSE);
    if (!vj_store_record_put (stage->context->store, stage->step->name, record, error))
      return FALSE;
    if (judged->verdict != VJ_VERDICT_UNPARSED)
      answers[judged->order] = judged->right ? VJ_ANSWER_RIGHT : VJ_ANSWER_WRONG;
  }
  vj_pair_counts_add (&group_of (stage, "")->counts, answers[0], answers[1]);
  if (item->how != NULL && item->how[0] != '\0')
    vj_pair_counts_add (&group_of (stage, item->how)->counts, answers[0], answers[1]);
  return TRUE;
}

static gboolean
count_own (Stage *stage, Item *item, GError **error)
{
  for (gsize i = 0; i < vj_scores_count (item->scores); i++) {
    const VjScore *score = vj_scores_peek (item->scores, i);
    vj_scores_add (stage->scores, score->metric, score->right, score->total);
  }
  for (guint i = 0; item->answers != NULL && i < item->answers->len; i++)
    if (!vj_store_record_put (stage->context->store, stage->step->name, item->answers->pdata[i], error))
      return FALSE;
  return TRUE;
}

static gboolean
case_settle (gpointer self, VjUnit *unit, VjFlow flow, GError **error)
{
  Stage *stage = self;
  Item *item = (Item *) unit;
  VjStore *store = stage->context->store;

  if (flow != VJ_FLOW_OK)
    return vj_step_drop (stage->context, stage->step, unit, TRUE, error);
  stage->kept++;
  return (ops_of (stage)->ask != NULL ? count_own (stage, item, error) : count_pair (stage, item, error))
         && vj_store_record_fate (store, unit->id, VJ_FATE_KEPT, stage->step->name, NULL, error);
}

static gboolean
put_score (Stage *stage, const char *metric, double right, double total, GError **error)
{
  g_autofree char *label = vj_step_label (stage->context, stage->step);
  VjStoredScore score = {.label = label, .evaluator = stage->step->name + strlen ("evaluate:"), .metric = (char *) metric,
                         .right = right, .total = total};
  return vj_store_score_put (stage->context->store, &score, error);
}

static gboolean
put_group (Stage *stage, const Group *group, GError **error)
{
  const VjPairCounts *counts = &group->counts;
  const struct {
    const char *name;
    guint64 right, total;
  } rows[] = {
    {VJ_METRIC_ACCURACY, counts->right, 2 * counts->pairs},
    {VJ_METRIC_STRICT, counts->strict, counts->pairs},
    {VJ_METRIC_INCONSISTENT, counts->inconsistent, counts->pairs},
    {VJ_METRIC_UNPARSED, counts->unparsed, 2 * counts->pairs},
    {VJ_METRIC_SAID_A, counts->said_a, 2 * counts->pairs - counts->unparsed},
  };
  /* Of a single kind of pair, the two accuracies are enough. */
  gsize n = group->how[0] == '\0' ? G_N_ELEMENTS (rows) : 2;
  for (gsize i = 0; i < n; i++) {
    g_autofree char *metric
        = group->how[0] == '\0' ? g_strdup (rows[i].name) : g_strdup_printf ("%s / %s", rows[i].name, group->how);
    if (!put_score (stage, metric, (double) rows[i].right, (double) rows[i].total, error))
      return FALSE;
  }
  return TRUE;
}

static int
by_how (gconstpointer a, gconstpointer b)
{
  return strcmp ((*(Group *const *) a)->how, (*(Group *const *) b)->how);
}

static gboolean
put_scores (Stage *stage, GError **error)
{
  if (!vj_store_in_group (stage->context->store) && !vj_store_begin (stage->context->store, error))
    return FALSE;
  g_ptr_array_sort (stage->groups, by_how);
  for (guint i = 0; i < stage->groups->len; i++)
    if (!put_group (stage, stage->groups->pdata[i], error))
      return FALSE;
  for (gsize i = 0; i < vj_scores_count (stage->scores); i++) {
    const VjScore *score = vj_scores_peek (stage->scores, i);
    if (!put_score (stage, score->metric, score->right, score->total, error))
      return FALSE;
  }
  return TRUE;
}

/* -- the stage -------------------------------------------------------------------------- */

static gboolean
open_stage (Stage *stage, VjInstance **ret_judge, GError **error)
{
  VjContext *context = stage->context;
  const VjRecipePlugin *judge = &context->recipe->judge;
  const char *model = stage->entry->model != NULL ? stage->entry->model : judge->model;
  g_autofree char *stream = g_strdup_printf ("evaluate.%u", stage->step->index);
  g_autofree char *prefix = g_strdup_printf ("e%u.%u.", stage->step->iteration, stage->step->index);

  if (!vj_drafter_init (&stage->drafter, context, stage->entry, stream, prefix, error))
    return FALSE;
  if (ops_of (stage)->ask == NULL) {
    vj_run_aim (context->run, "judge", "start", 0, 0, 0);
    *ret_judge = vj_instance_new (judge->plugin, judge->node, NULL, context->run, error);
    if (*ret_judge == NULL)
      return FALSE;
    stage->judging = (VjJudging){.judge = *ret_judge, .samples = 1, .both = TRUE, .greedy = TRUE,
                                 .seed = context->recipe->seed};
  }
  stage->model = vj_context_model (context, model, error);
  return stage->model != NULL && vj_step_note_model (context, stage->step, model, stage->model, error);
}

/* How many cases to expect: what the recipe says, else what the same evaluator yielded before the first iteration. Only
 * progress depends on it; 0: not known. */
static guint64
expected_cases (const Stage *stage)
{
  g_autoptr (VjStage) before = NULL;
  if (stage->entry->count > 0)
    return (guint64) stage->entry->count;
  if (stage->step->iteration == 0 || !vj_store_stage_get (stage->context->store, 0, stage->step->name, &before, NULL))
    return 0;
  return before != NULL ? (guint64) before->n_in : 0;
}

gboolean
vj_work_evaluate (VjContext *context, const VjStep *step, GError **error)
{
  g_autoptr (VjInstance) judge = NULL;
  VjScheduler scheduler = vj_context_scheduler (context);
  Stage stage = {.context = context, .step = step, .entry = &context->recipe->evaluators[step->index]};

  stage.scores = vj_scores_new ();
  stage.groups = g_ptr_array_new_with_free_func (group_free);
  gboolean good = open_stage (&stage, &judge, error) && vj_step_begin (context, step, 0, error);
  if (good) {
    VjWork work = {.stage = "evaluate", .title = step->title, .unit = "cases", .self = &stage,
                   .total = expected_cases (&stage), .next = next_case, .ask = case_ask,
                   .tell = case_tell, .settle = case_settle, .unit_free = item_free};
    good = vj_scheduler_run (&scheduler, &work, error) && put_scores (&stage, error)
           && vj_step_end (context, step, stage.in, stage.kept, error);
  }
  vj_drafter_clear (&stage.drafter);
  vj_scores_free (stage.scores);
  g_ptr_array_unref (stage.groups);
  return good;
}
