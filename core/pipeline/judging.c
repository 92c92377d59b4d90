/* Judging one pair in one or both orders. */
#include "pipeline/judging.h"

#include <string.h>
#include "record/request.h"

static void
judged_clear (gpointer data)
{
  g_free (((VjJudged *) data)->text);
}

VjJudgingItem *
vj_judging_item_new (const char *id)
{
  VjJudgingItem *item = g_new0 (VjJudgingItem, 1);
  item->unit.id = g_strdup (id);
  item->judged = g_array_new (FALSE, TRUE, sizeof (VjJudged));
  g_array_set_clear_func (item->judged, judged_clear);
  return item;
}

gboolean
vj_judging_item_load (VjJudgingItem *item, VjStore *store, GError **error)
{
  g_autoptr (VjStored) pair = vj_load_stored (store, item->unit.id, error);
  if (pair == NULL || !vj_loaded_init (&item->question, store, pair->record->parents[0], error))
    return FALSE;
  item->chosen = g_strdup (vj_record_text (pair->record, "chosen"));
  item->rejected = g_strdup (vj_record_text (pair->record, "rejected"));
  if (strcmp (pair->stage, VJ_STORE_STAGE_REUSE) == 0)
    item->origin = g_strdup (pair->record->parents[1]);
  return TRUE;
}

void
vj_judging_item_done (VjJudgingItem *item)
{
  vj_unit_clear (&item->unit);
  vj_loaded_clear (&item->question);
  g_free (item->name);
  g_free (item->origin);
  g_free (item->chosen);
  g_free (item->rejected);
  for (guint order = 0; order < 2; order++)
    if (item->messages[order] != NULL)
      vj_messages_free (item->messages[order], item->n_messages[order]);
  g_array_unref (item->judged);
}

static const char *
stream_of (const VjJudgingItem *item)
{
  return item->unit.stream != NULL ? item->unit.stream : item->unit.id;
}

static gboolean
asks_order (const VjJudging *judging, const VjJudgingItem *item, guint order)
{
  if (judging->both)
    return TRUE;
  VjRandom random;
  vj_random_init_named (&random, judging->seed, "judge/order", stream_of (item), 0);
  return vj_random_below (&random, 2) == order;
}

/* Each order draws from a stream of its own, so that asking one order more changes nothing in the other. */
static void
aim (VjRun *run, const VjJudgingItem *item, guint order, guint64 call)
{
  g_autofree char *name = g_strdup_printf ("%s.%c", stream_of (item), order == 0 ? 'a' : 'b');
  vj_run_aim (run, "judge", name, call, 0, 0);
}

static gboolean
ask_order (const VjJudging *judging, VjRun *run, VjJudgingItem *item, guint order, VjAsk *ask, GError **error)
{
  g_autoptr (VjAsk) own = vj_ask_new ();

  aim (run, item, order, 0);
  VjFlow flow = VJ_INSTANCE_FLOW (judging->judge, VjJudgeOps, ask, VJ_FLOWS_SKIP, error, run, &item->question.question,
                                  order == 0 ? item->chosen : item->rejected, order == 0 ? item->rejected : item->chosen, own);
  if (flow == VJ_FLOW_ERROR)
    return FALSE;
  if (flow != VJ_FLOW_OK || own->requests->len != 1)
    return vj_fail (error, VJ_EXIT_PLUGIN, "judge '%s': '%s': it asked %u requests where exactly one is due; "
                    "report it to its author", vj_instance_plugin (judging->judge)->name, item->unit.id, own->requests->len);
  const VjRequest *asked = own->requests->pdata[0];
  VjSampling sampling = asked->sampling;
  sampling.n = judging->greedy ? 1 : judging->samples;
  if (judging->greedy)
    sampling.temperature = 0;
  item->messages[order] = vj_messages_copy (asked->messages, asked->n_messages);
  item->n_messages[order] = asked->n_messages;
  vj_ask_messages (ask, asked->messages, asked->n_messages, &sampling);
  return TRUE;
}

VjFlow
vj_judging_ask (const VjJudging *judging, VjRun *run, VjJudgingItem *item, VjAsk *ask, GError **error)
{
  for (guint order = 0; order < 2; order++)
    if (asks_order (judging, item, order) && !ask_order (judging, run, item, order, ask, error))
      return VJ_FLOW_ERROR;
  return VJ_FLOW_OK;
}

/* The verdict that counts as right. The controls toss a coin for each pair, or for each of its orders, that no sample and
 * no iteration tosses again. */
static VjVerdict
right_verdict (const VjJudging *judging, const VjJudgingItem *item, guint order)
{
  VjVerdict true_one = order == 0 ? VJ_VERDICT_A : VJ_VERDICT_B, other = order == 0 ? VJ_VERDICT_B : VJ_VERDICT_A;
  guint64 draw = judging->labels == VJ_LABELS_SHUFFLED_PRESENTATIONS ? 1 + order : 0;
  VjRandom random;

  if (judging->labels == VJ_LABELS_CONSTRUCTION)
    return true_one;
  vj_random_init_named (&random, judging->seed, "judge/labels", item->origin != NULL ? item->origin : item->unit.id, draw);
  return vj_random_below (&random, 2) == 0 ? true_one : other;
}

static gboolean
tell_draw (const VjJudging *judging, VjRun *run, VjJudgingItem *item, guint order, guint sample, const char *reply,
           VjFinish finish, GError **error)
{
  VjJudgment judgment = {0};

  aim (run, item, order, 1 + sample);
  VjFlow flow = VJ_INSTANCE_FLOW (judging->judge, VjJudgeOps, tell, VJ_FLOWS_SKIP, error, run, &item->question.question,
                                  order == 0 ? item->chosen : item->rejected, order == 0 ? item->rejected : item->chosen, reply,
                                  &judgment);
  if (flow == VJ_FLOW_ERROR)
    return FALSE;
  if (judgment.verdict < VJ_VERDICT_UNPARSED || judgment.verdict > VJ_VERDICT_B) {
    g_free (judgment.trace);
    return vj_fail (error, VJ_EXIT_PLUGIN, "judge '%s': '%s': its verdict is %d, which is none; report it to its author",
                    vj_instance_plugin (judging->judge)->name, item->unit.id, (int) judgment.verdict);
  }
  VjJudged judged = {.order = order, .sample = sample, .finish = finish};
  judged.verdict = flow == VJ_FLOW_OK ? judgment.verdict : VJ_VERDICT_UNPARSED;
  judged.right = judged.verdict == right_verdict (judging, item, order);
  judged.text = judgment.trace != NULL ? judgment.trace : g_strdup (reply);
  g_array_append_val (item->judged, judged);
  return TRUE;
}

VjFlow
vj_judging_tell (const VjJudging *judging, VjRun *run, VjJudgingItem *item, const VjReplies *replies, GError **error)
{
  gsize request = item->first_request;
  for (guint order = 0; order < 2; order++) {
    if (item->messages[order] == NULL)
      continue;
    for (gsize draw = 0; draw < vj_replies_draws (replies, request); draw++)
      if (!tell_draw (judging, run, item, order, (guint) draw, vj_replies_text (replies, request, draw),
                      vj_replies_finish (replies, request, draw), error))
        return VJ_FLOW_ERROR;
    request++;
  }
  return VJ_FLOW_OK;
}

static void
add_messages (VjRecord *record, const VjMessage *messages, gsize n_messages)
{
  for (gsize i = 0; i < n_messages; i++) {
    g_autofree const char **digests = g_new0 (const char *, messages[i].n_images + 1);
    for (gsize j = 0; j < messages[i].n_images; j++)
      digests[j] = vj_image_digest (messages[i].images[j]);
    vj_record_add_message (record, vj_speaker_name (messages[i].speaker), messages[i].text, digests);
  }
}

VjRecord *
vj_judging_record (const VjJudgingItem *item, guint index, guint iteration, gboolean messages)
{
  static const char *const verdicts[] = {"unparsed", "A", "B"};
  const VjJudged *judged = &g_array_index (item->judged, VjJudged, index);
  g_autofree char *id = g_strdup_printf ("%s%s%s.%c%u", item->name ? item->name : item->unit.id, item->picture ? "." : "",
                                         item->picture ? item->picture : "", judged->order == 0 ? 'a' : 'b', judged->sample);
  VjRecord *record = vj_record_new (VJ_RECORD_JUDGMENT, iteration, id);

  vj_record_add_parent (record, item->unit.id);
  vj_record_set_flag (record, "chosen_is_a", judged->order == 0);
  vj_record_set_integer (record, "sample", judged->sample);
  vj_record_set_text (record, "verdict", verdicts[judged->verdict]);
  vj_record_set_flag (record, "right", judged->right);
  vj_record_set_text (record, "text", judged->text);
  vj_record_set_text (record, "finish", vj_finish_name (judged->finish));
  vj_record_set_text (record, "picture", item->picture);
  if (messages)
    add_messages (record, item->messages[judged->order], item->n_messages[judged->order]);
  return record;
}
