/* Replay: the model's own answers of an iteration as training examples, against forgetting.
 *
 * What was asked and answered is not stored anew: the plugins are asked again, as the stages that made the pairs asked
 * them, and the ledger answers. So a parse rule that changed changes the examples too, and nothing is sent to a model. */
#include "pipeline/context.h"

#include <math.h>
#include <string.h>
#include "record/request.h"

typedef struct {
  VjContext *context;
  const VjStep *step;
  guint iteration;         /* whose answers these are                              */
  VjReplays *out;
  VjReplayKind kind;       /* at work                                              */
  GPtrArray *ids;          /* of questions or pairs (char *, owned), in drawn order */
  guint at;
  VjInstance *sampler;     /* closed                                               */
  VjModel *sampler_model;
  VjInstance **injectors;  /* rewrites: [n], NULL where it asks nothing */
  VjModel **models;        /* [n]                                       */
} Stage;

/* A question or pair being asked again. */
typedef struct {
  VjUnit unit;
  VjLoaded question;
  VjStored *response; /* rewrites                               */
  gsize injector;     /* rewrites                               */
  GPtrArray *asked;   /* of VjReplay, one a request, no answers */
  VjReplay *example;  /* NULL: none came of it                  */
} Item;

static const char *const kind_names[VJ_REPLAY_N_KINDS] = {"open", "closed", "rewrites"};

static void
replay_free (gpointer data)
{
  VjReplay *replay = data;
  if (replay == NULL)
    return;
  vj_messages_free (replay->messages, replay->n_messages);
  g_free (replay->answer);
  g_free (replay);
}

static VjReplay *
replay_new (const VjMessage *messages, gsize n_messages, const char *answer)
{
  VjReplay *replay = g_new (VjReplay, 1);
  *replay = (VjReplay){vj_messages_copy (messages, n_messages), n_messages, g_strdup (answer)};
  return replay;
}

void
vj_replays_clear (VjReplays *replays)
{
  g_clear_pointer (&replays->examples, g_ptr_array_unref);
}

static gboolean
is_full (const Stage *stage)
{
  return stage->out->found[stage->kind] >= stage->out->wanted[stage->kind];
}

/* Takes `example`. */
static void
take (Stage *stage, VjReplay *example)
{
  g_ptr_array_add (stage->out->examples, example);
  stage->out->found[stage->kind]++;
}

/* -- which records ----------------------------------------------------------------- */

static gboolean
asks (const VjRecipePlugin *injector)
{
  return ((const VjInjectorOps *) injector->plugin->ops)->ask != NULL;
}

static gboolean
fits (gpointer data, const VjStored *stored)
{
  const Stage *stage = data;
  const VjRecipe *recipe = stage->context->recipe;
  const VjRecord *record = stored->record;

  switch (stage->kind) {
  case VJ_REPLAY_OPEN: /* a response that was cut off would teach to stop amid a word */
    return g_strcmp0 (stored->stage, "respond") == 0
           && g_strcmp0 (vj_record_text (record, "finish"), vj_finish_name (VJ_FINISH_STOP)) == 0;
  case VJ_REPLAY_CLOSED: /* whatever became of it there: the draws alone decide here */
    return g_strcmp0 (vj_record_text (record, "form"), "closed") == 0 && g_strcmp0 (stored->fate_stage, "sample") == 0;
  default:
    return g_strcmp0 (stored->stage, "inject") == 0 && asks (&recipe->injectors[vj_pairs_injector (recipe, record->parents[1])]);
  }
}

/* Ids of the records that could give examples of the kind, in an order drawn from the run's seed. */
static gboolean
find_ids (Stage *stage, GError **error)
{
  static const VjRecordKind kinds[] = {VJ_RECORD_RESPONSE, VJ_RECORD_QUESTION, VJ_RECORD_PAIR};
  VjStoreQuery query = VJ_STORE_QUERY_ALL;
  VjRandom random;

  g_ptr_array_set_size (stage->ids, 0);
  stage->at = 0;
  query.iteration = (int) stage->iteration;
  query.kind = kinds[stage->kind];
  if (!vj_load_ids (stage->context->store, &query, fits, stage, stage->ids, error))
    return FALSE;
  g_autofree char *stream = g_strconcat ("train/replay/", kind_names[stage->kind], NULL);
  vj_random_init_named (&random, stage->context->recipe->seed, stream, stage->step->title, 0);
  vj_random_shuffle (&random, stage->ids->pdata, stage->ids->len);
  return TRUE;
}

/* -- open questions: the record holds it all ------------------------------------------ */

static gboolean
replay_open (Stage *stage, GError **error)
{
  for (; !is_full (stage) && stage->at < stage->ids->len; stage->at++) {
    g_auto (VjLoaded) question = {0};
    g_autoptr (VjStored) response = vj_load_stored (stage->context->store, stage->ids->pdata[stage->at], error);
    if (response == NULL || !vj_loaded_init (&question, stage->context->store, response->record->parents[0], error))
      return FALSE;
    VjMessage message = {.speaker = VJ_SPEAKER_USER, .text = question.question.prompt, .images = question.question.images,
                         .n_images = question.question.n_images};
    take (stage, replay_new (&message, 1, vj_record_text (response->record, "text")));
  }
  return TRUE;
}

/* -- asking again ------------------------------------------------------------------------ */

static void
item_free (VjUnit *unit)
{
  Item *item = (Item *) unit;
  vj_unit_clear (unit);
  vj_loaded_clear (&item->question);
  g_clear_pointer (&item->response, vj_stored_free);
  g_ptr_array_unref (item->asked);
  replay_free (item->example);
  g_free (item);
}

/* The record as the stage had it that asked: a closed question, or the response that was rewritten. */
static gboolean
load_item (Stage *stage, const char *id, Item *item, GError **error)
{
  VjStore *store = stage->context->store;
  if (stage->kind == VJ_REPLAY_CLOSED) {
    item->unit.id = g_strdup (id);
    item->unit.model = stage->sampler_model;
    return vj_loaded_init (&item->question, store, id, error);
  }
  g_autoptr (VjStored) pair = vj_load_stored (store, id, error);
  item->response = pair != NULL ? vj_load_stored (store, pair->record->parents[1], error) : NULL;
  if (item->response == NULL || !vj_loaded_init (&item->question, store, pair->record->parents[0], error))
    return FALSE;
  item->unit.id = g_strdup (item->response->record->id);
  item->injector = vj_pairs_injector (stage->context->recipe, item->unit.id);
  item->unit.model = stage->models[item->injector];
  return TRUE;
}

static gboolean
next_item (gpointer self, VjUnit **ret_unit, GError **error)
{
  Stage *stage = self;

  *ret_unit = NULL;
  if (is_full (stage) || stage->at == stage->ids->len)
    return TRUE;
  Item *item = g_new0 (Item, 1);
  item->asked = g_ptr_array_new_with_free_func (replay_free);
  if (!load_item (stage, stage->ids->pdata[stage->at++], item, error)) {
    item_free (&item->unit);
    return FALSE;
  }
  *ret_unit = &item->unit;
  return TRUE;
}

static VjFlow
ask_again (gpointer self, VjRun *run, VjUnit *unit, const VjReplies *so_far, VjAsk *ask, GError **error)
{
  Stage *stage = self;
  Item *item = (Item *) unit;
  const VjQuestion *question = &item->question.question;
  VjFlow flow;

  if (stage->kind == VJ_REPLAY_CLOSED)
    flow = VJ_INSTANCE_FLOW (stage->sampler, VjSamplerOps, ask, VJ_FLOWS_SKIP, error, run, question, so_far, ask);
  else
    flow = VJ_INSTANCE_FLOW (stage->injectors[item->injector], VjInjectorOps, ask, VJ_FLOWS_SKIP, error, run, question,
                             vj_record_text (item->response->record, "text"), so_far, ask);
  for (guint i = 0; i < ask->requests->len; i++) {
    const VjRequest *request = ask->requests->pdata[i];
    g_ptr_array_add (item->asked, replay_new (request->messages, request->n_messages, NULL));
  }
  return flow;
}

/* What request `index` showed, with its answer. NULL when the plugin asked otherwise than once a round. */
static VjReplay *
answered (Item *item, gsize index, const char *answer)
{
  VjReplay *replay = index < item->asked->len ? item->asked->pdata[index] : NULL;
  return replay != NULL ? replay_new (replay->messages, replay->n_messages, answer) : NULL;
}

static VjFlow
tell_closed (Stage *stage, VjRun *run, Item *item, const VjReplies *replies, GError **error)
{
  VjSampledPair pair = {0};
  VjFlow flow = VJ_INSTANCE_FLOW (stage->sampler, VjSamplerOps, tell, VJ_FLOWS_MORE, error, run, &item->question.question, replies,
                                  &pair);
  if ((flow == VJ_FLOW_OK || flow == VJ_FLOW_SKIP) && pair.chosen != NULL) {
    item->example = answered (item, 0, pair.chosen);
    flow = VJ_FLOW_OK;
  }
  g_free (pair.chosen);
  g_free (pair.rejected);
  g_free (pair.how);
  g_free (pair.reason);
  return flow;
}

/* The request whose reply became the worse answer. */
static VjReplay *
accepted_reply (Item *item, const VjReplies *replies, const char *text)
{
  g_autofree char *worse = g_strstrip (g_strdup (text));
  for (gsize request = vj_replies_count (replies); request > 0; request--)
    for (gsize draw = 0; draw < vj_replies_draws (replies, request - 1); draw++) {
      g_autofree char *reply = g_strstrip (g_strdup (vj_replies_text (replies, request - 1, draw)));
      if (strcmp (reply, worse) == 0)
        return answered (item, request - 1, reply);
    }
  return NULL;
}

static VjFlow
tell_rewrite (Stage *stage, VjRun *run, Item *item, const VjReplies *replies, GError **error)
{
  VjInjection injection = {0};
  VjFlow flow = VJ_INSTANCE_FLOW (stage->injectors[item->injector], VjInjectorOps, tell, VJ_FLOWS_MORE, error, run,
                                  &item->question.question, vj_record_text (item->response->record, "text"), replies, &injection);
  if (flow == VJ_FLOW_OK && injection.text != NULL)
    item->example = accepted_reply (item, replies, injection.text);
  g_free (injection.text);
  g_free (injection.change);
  g_free (injection.reason);
  return flow;
}

static VjFlow
tell_again (gpointer self, VjRun *run, VjUnit *unit, const VjReplies *replies, GError **error)
{
  Stage *stage = self;
  Item *item = (Item *) unit;
  return stage->kind == VJ_REPLAY_CLOSED ? tell_closed (stage, run, item, replies, error)
                                         : tell_rewrite (stage, run, item, replies, error);
}

/* Items come in the order drawn, so the first that give an example are always the same ones. */
static gboolean
settle_item (gpointer self, VjUnit *unit, VjFlow flow, GError **error)
{
  Stage *stage = self;
  (void) flow, (void) error;
  VjReplay *example = g_steal_pointer (&((Item *) unit)->example);
  if (example != NULL && !is_full (stage))
    take (stage, example);
  else
    replay_free (example);
  return TRUE;
}

static gboolean
replay_asked (Stage *stage, GError **error)
{
  VjScheduler scheduler = vj_context_scheduler (stage->context);
  VjWork work = {.stage = stage->kind == VJ_REPLAY_CLOSED ? "sample" : "inject", .title = stage->step->title, .unit = "replay",
                 .self = stage, .next = next_item, .ask = ask_again, .tell = tell_again, .settle = settle_item,
                 .unit_free = item_free};
  scheduler.progress = NULL; /* the training's own line is what is shown */
  return vj_scheduler_run (&scheduler, &work, error);
}

/* -- opening what is asked ------------------------------------------------------------------- */

/* Starts the entry's plugin as the stage that made the pairs did, and opens its model, if it names one. */
static gboolean
open_entry (Stage *stage, const VjRecipePlugin *entry, const char *stream, guint64 number, VjInstance **ret_instance,
            VjModel **ret_model, GError **error)
{
  VjContext *context = stage->context;
  vj_run_aim (context->run, stream, "start", number, 0, 0);
  *ret_instance = vj_instance_new (entry->plugin, entry->node, NULL, context->run, error);
  return *ret_instance != NULL
         && (entry->model == NULL || (*ret_model = vj_context_model (context, vj_recipe_generator (context->recipe, entry->model), error)) != NULL);
}

static gboolean
replay_closed (Stage *stage, GError **error)
{
  gboolean good = open_entry (stage, &stage->context->recipe->sampler, "sample", 0, &stage->sampler, &stage->sampler_model, error)
                  && replay_asked (stage, error);
  vj_instance_free (stage->sampler);
  return good;
}

static gboolean
replay_rewrites (Stage *stage, GError **error)
{
  const VjRecipe *recipe = stage->context->recipe;
  g_autofree VjInstance **instances = g_new0 (VjInstance *, recipe->n_injectors);
  g_autofree VjModel **models = g_new0 (VjModel *, recipe->n_injectors);
  gboolean good = TRUE;

  for (gsize i = 0; good && i < recipe->n_injectors; i++)
    if (asks (&recipe->injectors[i]))
      good = open_entry (stage, &recipe->injectors[i], "inject", i, &instances[i], &models[i], error);
  stage->injectors = instances;
  stage->models = models;
  good = good && replay_asked (stage, error);
  for (gsize i = 0; i < recipe->n_injectors; i++)
    vj_instance_free (instances[i]);
  return good;
}

/* -- how many ------------------------------------------------------------------------------------ */

/* Shares of kinds that the recipe never makes go to the others, as theirs stand to each other. The parts add up. */
static void
share_out (const VjRecipe *recipe, guint n_traces, guint wanted[VJ_REPLAY_N_KINDS])
{
  const VjRecipePlugin *trainer = &recipe->trainer;
  double shares[VJ_REPLAY_N_KINDS] = {1 - trainer->replay_closed - trainer->replay_rewrites, trainer->replay_closed,
                                      trainer->replay_rewrites};
  gboolean rewrites = FALSE;
  for (gsize i = 0; i < recipe->n_injectors; i++)
    rewrites = rewrites || asks (&recipe->injectors[i]);
  const gboolean made[VJ_REPLAY_N_KINDS] = {recipe->respond.model != NULL, recipe->sampler.plugin != NULL, rewrites};
  double whole = 0, total = round (trainer->replay * n_traces), before = 0;

  for (guint kind = 0; kind < VJ_REPLAY_N_KINDS; kind++)
    whole += shares[kind] = made[kind] ? MAX (shares[kind], 0) : 0;
  for (guint kind = 0; whole > 0 && kind < VJ_REPLAY_N_KINDS; kind++) {
    double upto = before + shares[kind] / whole;
    wanted[kind] = (guint) (round (total * upto) - round (total * before));
    before = upto;
  }
}

static gboolean
gather (Stage *stage, GError **error)
{
  static gboolean (*const works[]) (Stage *, GError **) = {replay_open, replay_closed, replay_rewrites};
  VjReplays *out = stage->out;
  gboolean good = TRUE;

  for (guint kind = 0; good && kind < VJ_REPLAY_N_KINDS; kind++) {
    stage->kind = (VjReplayKind) kind;
    good = is_full (stage) || (find_ids (stage, error) && works[kind] (stage, error));
    if (good && !is_full (stage))
      vj_log_write (stage->context->log, VJ_LOG_WARNING, "train", "%s: replay wants %u examples of kind '%s', this iteration has %u; "
                    "ask more questions, or lower replay", stage->step->title, out->wanted[kind], kind_names[kind], out->found[kind]);
  }
  return good;
}

gboolean
vj_replays_init (VjReplays *replays, VjContext *context, const VjStep *step, guint n_traces, GError **error)
{
  const VjRecipe *recipe = context->recipe;
  gboolean reused = recipe->repeat.pairs == VJ_PAIRS_REUSE && step->iteration > 1;
  const char *name = recipe->trainer.model;
  g_autofree char *standing = g_strdup (vj_models_path (context->models, name)), *base = vj_recipe_model_path (recipe, name);
  VjReplays out = {.examples = g_ptr_array_new_with_free_func (replay_free)};
  Stage stage = {.context = context, .step = step, .iteration = reused ? 1 : step->iteration, .out = &out};

  stage.ids = g_ptr_array_new_with_free_func (g_free);
  if (recipe->trainer.replay > 0)
    share_out (recipe, n_traces, out.wanted);
  /* Reused pairs are the first iteration's, and so is the model that answered. */
  if (reused && recipe->trainer.replay > 0)
    vj_models_set_path (context->models, name, base);
  gboolean good = gather (&stage, error);
  if (reused && recipe->trainer.replay > 0)
    vj_models_set_path (context->models, name, standing);
  g_ptr_array_unref (stage.ids);
  if (good)
    *replays = out;
  else
    vj_replays_clear (&out);
  return good;
}
