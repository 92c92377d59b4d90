/* Stages `respond`, `inject` and `sample`: from questions to pairs whose better side is known by construction. */
#include "pipeline/context.h"

#include <string.h>
#include "record/request.h"

/* What the three stages share: the ids that are still open, and how far along them we are. */
typedef struct {
  VjContext *context;
  const VjStep *step;
  VjInputs inputs;
  guint at;
  gint64 kept;
  VjModel *model;                    /* respond, sample     */
  VjInstance **instances;            /* inject: [n]; sample: [1] */
  VjModel **models;                  /* inject: [n], NULL where none is named */
} Stage;

/* A record at work. */
typedef struct {
  VjUnit unit;
  VjLoaded question;
  VjStored *response; /* inject        */
  gsize injector;     /* inject        */
  char *text;         /* respond       */
  VjFinish finish;    /* respond       */
  VjInjection injection;
  VjSampledPair pair;
} Item;

static void
item_free (VjUnit *unit)
{
  Item *item = (Item *) unit;
  vj_unit_clear (unit);
  vj_loaded_clear (&item->question);
  g_clear_pointer (&item->response, vj_stored_free);
  g_free (item->text);
  g_free (item->injection.text);
  g_free (item->injection.change);
  g_free (item->injection.reason);
  g_free (item->injection.spans);
  for (gsize i = 0; i < item->injection.n_images; i++)
    vj_image_unref (item->injection.images[i]);
  g_free (item->injection.images);
  g_free (item->pair.chosen);
  g_free (item->pair.rejected);
  g_free (item->pair.how);
  g_free (item->pair.reason);
  g_free (item);
}

static gboolean
is_open_form (const VjRecord *record)
{
  return g_strcmp0 (vj_record_text (record, "form"), "open") == 0;
}

static gboolean
is_closed_form (const VjRecord *record)
{
  return g_strcmp0 (vj_record_text (record, "form"), "closed") == 0;
}

static gboolean
next_question (gpointer self, VjUnit **ret_unit, GError **error)
{
  Stage *stage = self;
  if (stage->at == stage->inputs.open->len) {
    *ret_unit = NULL;
    return TRUE;
  }
  Item *item = g_new0 (Item, 1);
  item->unit.id = g_strdup (stage->inputs.open->pdata[stage->at++]);
  item->unit.model = stage->model;
  *ret_unit = &item->unit;
  if (vj_loaded_init (&item->question, stage->context->store, item->unit.id, error))
    return TRUE;
  item_free (&item->unit);
  *ret_unit = NULL;
  return FALSE;
}

/* Drops the unit's record, or stores what was made of it (which may be NULL) and keeps it. */
static gboolean
settle (Stage *stage, VjUnit *unit, VjFlow flow, const VjRecord *made, GError **error)
{
  VjStore *store = stage->context->store;
  if (flow != VJ_FLOW_OK)
    return vj_step_drop (stage->context, stage->step, unit, FALSE, error);
  stage->kept++;
  return vj_store_record_put (store, stage->step->name, made, error)
         && vj_store_record_fate (store, unit->id, VJ_FATE_KEPT, stage->step->name, NULL, error);
}

static gboolean
run_stage (Stage *stage, const VjWork *verbs, VjRecordKind kind, const char *made_by, gboolean (*fits) (const VjRecord *),
           GError **error)
{
  VjScheduler scheduler = vj_context_scheduler (stage->context);
  VjWork work = *verbs;

  if (!vj_inputs_init (&stage->inputs, stage->context, stage->step, kind, made_by, fits, error)
      || !vj_step_begin (stage->context, stage->step, stage->inputs.in, error))
    return FALSE;
  work.title = stage->step->title;
  work.self = stage;
  work.total = (guint64) stage->inputs.in;
  work.done = work.total - stage->inputs.open->len;
  return vj_scheduler_run (&scheduler, &work, error)
         && vj_step_end (stage->context, stage->step, stage->inputs.in, stage->inputs.kept + stage->kept, error);
}

/* The model that makes pairs where an entry names `name`. */
static VjModel *
generator_model (VjContext *context, const char *name, GError **error)
{
  return vj_context_model (context, vj_recipe_generator (context->recipe, name), error);
}

/* -- respond --------------------------------------------------------------------- */

static VjFlow
respond_ask (gpointer self, VjRun *run, VjUnit *unit, const VjReplies *so_far, VjAsk *ask, GError **error)
{
  Stage *stage = self;
  Item *item = (Item *) unit;
  (void) run, (void) so_far, (void) error;
  vj_ask_text (ask, &item->question.question, item->question.question.prompt,
               &stage->context->recipe->respond.sampling);
  return VJ_FLOW_OK;
}

static VjFlow
respond_tell (gpointer self, VjRun *run, VjUnit *unit, const VjReplies *replies, GError **error)
{
  Item *item = (Item *) unit;
  (void) self, (void) run, (void) error;
  item->text = g_strstrip (g_strdup (vj_replies_text (replies, 0, 0)));
  item->finish = vj_replies_finish (replies, 0, 0);
  if (item->text[0] != '\0')
    return VJ_FLOW_OK;
  unit->reason = g_strdup ("the response is empty");
  return VJ_FLOW_SKIP;
}

static gboolean
respond_settle (gpointer self, VjUnit *unit, VjFlow flow, GError **error)
{
  Stage *stage = self;
  Item *item = (Item *) unit;
  g_autofree char *id = g_strconcat (unit->id, ".r", NULL);
  g_autoptr (VjRecord) record = vj_record_new (VJ_RECORD_RESPONSE, stage->step->iteration, id);

  vj_record_add_parent (record, unit->id);
  vj_record_set_text (record, "text", item->text);
  vj_record_set_text (record, "model", vj_recipe_generator (stage->context->recipe, stage->context->recipe->respond.model));
  vj_record_set_text (record, "finish", vj_finish_name (item->finish));
  return settle (stage, unit, flow, record, error);
}

gboolean
vj_work_respond (VjContext *context, const VjStep *step, GError **error)
{
  static const VjWork verbs = {.stage = "respond", .unit = "questions", .next = next_question, .ask = respond_ask,
                               .tell = respond_tell, .settle = respond_settle, .unit_free = item_free};
  Stage stage = {.context = context, .step = step};

  stage.model = generator_model (context, context->recipe->respond.model, error);
  gboolean good = stage.model != NULL && run_stage (&stage, &verbs, VJ_RECORD_QUESTION, NULL, is_open_form, error);
  vj_inputs_clear (&stage.inputs);
  return good;
}

/* -- inject ------------------------------------------------------------------------- */

gsize
vj_pairs_injector (const VjRecipe *recipe, const char *response)
{
  VjRandom random;
  double left = 0;
  for (gsize i = 0; i < recipe->n_injectors; i++)
    left += recipe->injectors[i].weight;
  vj_random_init_named (&random, recipe->seed, "inject/choice", response, 0);
  left *= vj_random_real (&random);
  for (gsize i = 0; i + 1 < recipe->n_injectors; i++) {
    left -= recipe->injectors[i].weight;
    if (left < 0)
      return i;
  }
  return recipe->n_injectors - 1;
}

static gboolean
inject_next (gpointer self, VjUnit **ret_unit, GError **error)
{
  Stage *stage = self;
  if (stage->at == stage->inputs.open->len) {
    *ret_unit = NULL;
    return TRUE;
  }
  Item *item = g_new0 (Item, 1);
  item->unit.id = g_strdup (stage->inputs.open->pdata[stage->at++]);
  item->response = vj_load_stored (stage->context->store, item->unit.id, error);
  if (item->response == NULL
      || !vj_loaded_init (&item->question, stage->context->store, item->response->record->parents[0], error)) {
    item_free (&item->unit);
    return FALSE;
  }
  item->injector = vj_pairs_injector (stage->context->recipe, item->unit.id);
  item->unit.model = stage->models[item->injector];
  *ret_unit = &item->unit;
  return TRUE;
}

static VjFlow
inject_ask (gpointer self, VjRun *run, VjUnit *unit, const VjReplies *so_far, VjAsk *ask, GError **error)
{
  Stage *stage = self;
  Item *item = (Item *) unit;
  VjInstance *instance = stage->instances[item->injector];
  const VjInjectorOps *ops = VJ_INSTANCE_OPS (instance, VjInjectorOps);
  if (ops->ask == NULL)
    return VJ_FLOW_OK;
  return VJ_INSTANCE_FLOW (instance, VjInjectorOps, ask, VJ_FLOWS_SKIP, error, run, &item->question.question,
                           vj_record_text (item->response->record, "text"), so_far, ask);
}

/* What an injector says that it made: a text and a kind, images that are some, and spans that lead from the response to the
 * text; where it tells none they are found here. FALSE: a fault of the plugin's. */
static gboolean
check_injection (Item *item, const char *name, GError **error)
{
  VjInjection *made = &item->injection;
  const char *response = vj_record_text (item->response->record, "text"), *fault = NULL;
  if (made->text == NULL || made->kind == NULL)
    fault = "gives no text or no kind";
  else if (!g_utf8_validate (made->text, -1, NULL))
    fault = "gives a text that is not UTF-8";
  else if (made->n_spans > 0 && (made->spans == NULL || !vj_spans_hold (response, made->text, made->spans, made->n_spans)))
    fault = "tells changes that do not turn the response into its text";
  for (gsize i = 0; fault == NULL && i < made->n_images; i++)
    if (made->images == NULL || made->images[i] == NULL)
      fault = "gives an image that is none";
  if (fault != NULL)
    return vj_fail (error, VJ_EXIT_PLUGIN, "injector '%s': '%s': it says OK but %s; report it to its author", name,
                    item->unit.id, fault);
  if (made->n_spans == 0) {
    GArray *spans = vj_spans_find (response, made->text);
    g_free (made->spans);
    made->n_spans = spans->len;
    made->spans = (VjSpan *) g_array_free (spans, FALSE);
  }
  return TRUE;
}

static VjFlow
inject_tell (gpointer self, VjRun *run, VjUnit *unit, const VjReplies *replies, GError **error)
{
  Stage *stage = self;
  Item *item = (Item *) unit;
  VjInstance *instance = stage->instances[item->injector];
  const char *name = vj_instance_plugin (instance)->name;
  VjFlow flow = VJ_INSTANCE_FLOW (instance, VjInjectorOps, tell, VJ_FLOWS_MORE, error, run, &item->question.question,
                                  vj_record_text (item->response->record, "text"), replies, &item->injection);
  if (flow == VJ_FLOW_OK && !check_injection (item, name, error))
    return VJ_FLOW_ERROR;
  if (flow == VJ_FLOW_OK && strcmp (item->injection.text, vj_record_text (item->response->record, "text")) == 0) {
    unit->reason = g_strdup_printf ("%s: both answers are the same", name);
    return VJ_FLOW_SKIP;
  }
  if (flow == VJ_FLOW_SKIP && item->injection.reason != NULL)
    unit->reason = g_strdup_printf ("%s: %s", name, item->injection.reason);
  return flow;
}

/* The pair of an injection; its images are put into the store. */
static gboolean
fill_injected (VjStore *store, const Item *item, VjRecord *record, GError **error)
{
  const VjInjection *made = &item->injection;
  vj_record_set_text (record, "chosen", vj_record_text (item->response->record, "text"));
  vj_record_set_text (record, "rejected", made->text);
  vj_record_set_text (record, "how", made->kind);
  vj_record_set_text (record, "change", made->change);
  vj_record_set_changes (record, made->spans, made->n_spans);
  for (gsize i = 0; i < made->n_images; i++) {
    if (!vj_store_image_put (store, made->images[i], error))
      return FALSE;
    vj_record_add_degraded (record, vj_image_digest (made->images[i]));
  }
  return TRUE;
}

static gboolean
inject_settle (gpointer self, VjUnit *unit, VjFlow flow, GError **error)
{
  Stage *stage = self;
  Item *item = (Item *) unit;
  const char *question = item->question.question.id;
  g_autofree char *id = g_strconcat (question, ".p", NULL);
  g_autoptr (VjRecord) record = vj_record_new (VJ_RECORD_PAIR, stage->step->iteration, id);

  vj_record_add_parent (record, question);
  vj_record_add_parent (record, unit->id);
  if (flow == VJ_FLOW_OK && !fill_injected (stage->context->store, item, record, error))
    return FALSE;
  vj_record_set_text (record, "plugin", stage->context->recipe->injectors[item->injector].name);
  return settle (stage, unit, flow, record, error);
}

/* Instances and models of all injectors; what was opened is freed by inject_close. */
static gboolean
inject_open (Stage *stage, GError **error)
{
  const VjRecipe *recipe = stage->context->recipe;
  for (gsize i = 0; i < recipe->n_injectors; i++) {
    const VjRecipePlugin *entry = &recipe->injectors[i];
    vj_run_aim (stage->context->run, "inject", "start", i, 0, 0);
    stage->instances[i] = vj_instance_new (entry->plugin, entry->node, NULL, stage->context->run, error);
    if (stage->instances[i] == NULL)
      return FALSE;
    if (entry->model != NULL
        && (stage->models[i] = generator_model (stage->context, entry->model, error)) == NULL)
      return FALSE;
  }
  return TRUE;
}

gboolean
vj_work_inject (VjContext *context, const VjStep *step, GError **error)
{
  static const VjWork verbs = {.stage = "inject", .unit = "responses", .next = inject_next, .ask = inject_ask,
                               .tell = inject_tell, .settle = inject_settle, .unit_free = item_free};
  gsize n = context->recipe->n_injectors;
  g_autofree VjInstance **instances = g_new0 (VjInstance *, n);
  g_autofree VjModel **models = g_new0 (VjModel *, n);
  Stage stage = {.context = context, .step = step, .instances = instances, .models = models};

  gboolean good = inject_open (&stage, error) && run_stage (&stage, &verbs, VJ_RECORD_RESPONSE, NULL, NULL, error);
  for (gsize i = 0; i < n; i++)
    vj_instance_free (instances[i]);
  vj_inputs_clear (&stage.inputs);
  return good;
}

/* -- sample ----------------------------------------------------------------------------- */

static VjFlow
sample_ask (gpointer self, VjRun *run, VjUnit *unit, const VjReplies *so_far, VjAsk *ask, GError **error)
{
  Stage *stage = self;
  Item *item = (Item *) unit;
  return VJ_INSTANCE_FLOW (stage->instances[0], VjSamplerOps, ask, VJ_FLOWS_SKIP, error, run, &item->question.question, so_far, ask);
}

static VjFlow
sample_tell (gpointer self, VjRun *run, VjUnit *unit, const VjReplies *replies, GError **error)
{
  Stage *stage = self;
  Item *item = (Item *) unit;
  VjFlow flow = VJ_INSTANCE_FLOW (stage->instances[0], VjSamplerOps, tell, VJ_FLOWS_MORE, error, run, &item->question.question, replies,
                                  &item->pair);

  if (flow == VJ_FLOW_OK && (item->pair.chosen == NULL || item->pair.rejected == NULL)) {
    vj_fail (error, VJ_EXIT_PLUGIN, "sampler '%s': '%s': it says OK but gives no pair; report it to its author",
             vj_instance_plugin (stage->instances[0])->name, unit->id);
    return VJ_FLOW_ERROR;
  }
  if (flow == VJ_FLOW_OK && strcmp (item->pair.chosen, item->pair.rejected) == 0) {
    unit->reason = g_strdup ("both answers are the same");
    return VJ_FLOW_SKIP;
  }
  if (flow == VJ_FLOW_SKIP)
    unit->reason = g_steal_pointer (&item->pair.reason);
  if (flow == VJ_FLOW_OK && stage->context->recipe->gold_filter && !stage->step->held_out) {
    const char *reason = NULL;
    if (!vj_gold_check (stage->context->store, unit->id, item->pair.chosen, &reason, error))
      return VJ_FLOW_ERROR;
    unit->reason = g_strdup (reason);
    flow = reason != NULL ? VJ_FLOW_SKIP : VJ_FLOW_OK;
  }
  return flow;
}

static gboolean
sample_settle (gpointer self, VjUnit *unit, VjFlow flow, GError **error)
{
  Stage *stage = self;
  Item *item = (Item *) unit;
  g_autofree char *id = g_strconcat (unit->id, ".p", NULL);
  g_autoptr (VjRecord) record = vj_record_new (VJ_RECORD_PAIR, stage->step->iteration, id);

  vj_record_add_parent (record, unit->id);
  vj_record_set_text (record, "chosen", item->pair.chosen);
  vj_record_set_text (record, "rejected", item->pair.rejected);
  vj_record_set_text (record, "how", item->pair.how ? item->pair.how : "minority");
  vj_record_set_text (record, "plugin", stage->context->recipe->sampler.name);
  return settle (stage, unit, flow, record, error);
}

gboolean
vj_work_sample (VjContext *context, const VjStep *step, GError **error)
{
  static const VjWork verbs = {.stage = "sample", .unit = "questions", .next = next_question, .ask = sample_ask,
                               .tell = sample_tell, .settle = sample_settle, .unit_free = item_free};
  const VjRecipePlugin *entry = &context->recipe->sampler;
  g_autoptr (VjInstance) instance = NULL;
  Stage stage = {.context = context, .step = step, .instances = &instance};

  vj_run_aim (context->run, "sample", "start", 0, 0, 0);
  instance = vj_instance_new (entry->plugin, entry->node, NULL, context->run, error);
  if (instance == NULL
      || (entry->model != NULL && (stage.model = generator_model (context, entry->model, error)) == NULL))
    return FALSE;
  gboolean good = (step->held_out || vj_gold_note (context, step, error))
                  && run_stage (&stage, &verbs, VJ_RECORD_QUESTION, NULL, is_closed_form, error);
  vj_inputs_clear (&stage.inputs);
  return good;
}
