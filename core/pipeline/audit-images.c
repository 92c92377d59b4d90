/* Stage `audit:images`: whether the pairs need their images. A sample of them is judged by the current judge three
 * times: with its own, with a blank and with another pair's image, in both orders and greedily, so that the three
 * differ by the image alone.
 *
 * Each pair of the sample gets a record of kind audit, which names the images shown and carries the judgments; the
 * pair's own fate is left alone. An interrupted audit is done anew out of the ledger: nothing already answered is asked
 * again. */
#include "pipeline/audit.h"
#include "pipeline/judging.h"

#include <string.h>

#define GREY 128 /* the middle of 8 bits: next to nothing once a model has subtracted its mean */

typedef struct {
  VjContext *context;
  const VjStep *step;
  VjJudging judging;
  VjModel *model;
  GPtrArray *ids;     /* of the sample's pairs                               */
  GPtrArray *pool;    /* digests of their images, each once, as first met    */
  GHashTable *blanks; /* "640x480" -> VjImage                                */
  VjImageAudit audit;
  guint at;
  gint64 kept;
} Stage;

/* A pair at work; its id is that of its audit record. */
typedef struct {
  VjUnit unit;
  char *kind;
  VjJudgingItem *shown[VJ_N_PICTURES]; /* NULL: it was dropped before */
} Item;

static void
item_free (VjUnit *unit)
{
  Item *item = (Item *) unit;
  for (guint picture = 0; picture < VJ_N_PICTURES; picture++)
    if (item->shown[picture] != NULL) {
      vj_judging_item_done (item->shown[picture]);
      g_free (item->shown[picture]);
    }
  g_free (item->kind);
  vj_unit_clear (unit);
  g_free (item);
}

/* -- images to show --------------------------------------------------------------- */

static void
unref_image (gpointer image)
{
  vj_image_unref (image);
}

/* A grey image of that size. Borrowed; NULL on error. */
static VjImage *
blank_of (Stage *stage, guint32 width, guint32 height, GError **error)
{
  g_autofree char *key = g_strdup_printf ("%ux%u", width, height);
  VjImage *image = g_hash_table_lookup (stage->blanks, key);
  gsize size = (gsize) width * height * 3; /* sides are at most VJ_IMAGE_MAX_SIDE */

  if (image != NULL)
    return image;
  g_autofree guint8 *rgb = g_malloc (size);
  memset (rgb, GREY, size);
  image = vj_image_new_from_rgb (rgb, width, height, error);
  if (image == NULL || !vj_store_image_put (stage->context->store, image, error)) {
    g_clear_pointer (&image, vj_image_unref);
    return NULL;
  }
  g_hash_table_insert (stage->blanks, g_steal_pointer (&key), image);
  return image;
}

/* An image of the sample that the question does not show itself, drawn from a stream of its own; NULL: none. */
static const char *
other_image (const Stage *stage, const VjRecord *question, const char *pair, guint index)
{
  VjRandom random;
  vj_random_init_named (&random, stage->context->recipe->seed, "audit/swap", pair, index);
  guint start = vj_random_below (&random, stage->pool->len);

  for (guint i = 0; i < stage->pool->len; i++) {
    const char *digest = stage->pool->pdata[(start + i) % stage->pool->len];
    gboolean own = FALSE;
    for (gsize j = 0; j < vj_record_n_images (question); j++)
      own |= strcmp (vj_record_image (question, j), digest) == 0;
    if (!own)
      return digest;
  }
  return NULL;
}

/* Puts other images in the place of the question's own. */
static gboolean
replace_images (Stage *stage, VjLoaded *question, VjPicture picture, const char *pair, GError **error)
{
  for (guint i = 0; i < question->images->len; i++) {
    VjImage *own = question->images->pdata[i], *image = NULL;
    if (picture == VJ_PICTURE_BLANK) {
      VjImage *blank = blank_of (stage, vj_image_width (own), vj_image_height (own), error);
      image = blank != NULL ? vj_image_ref (blank) : NULL;
    } else if (vj_store_image_get (stage->context->store, other_image (stage, question->stored->record, pair, i),
                                   &image, error)
               && image == NULL)
      return vj_fail (error, VJ_EXIT_BUG, "store: '%s': the image to swap with is missing", pair);
    if (image == NULL)
      return FALSE;
    vj_image_unref (own);
    question->images->pdata[i] = image;
  }
  return TRUE;
}

/* -- pairs ---------------------------------------------------------------------------- */

/* Why a pair cannot be audited; NULL: it can. Static. */
static const char *
unfit (const Stage *stage, const VjRecord *question, const char *pair)
{
  if (vj_record_n_images (question) == 0)
    return "the question has no image";
  return other_image (stage, question, pair, 0) == NULL ? "no other pair has another image" : NULL;
}

static VjJudgingItem *
show (Stage *stage, const VjStored *pair, const char *audit, VjPicture picture, GError **error)
{
  VjJudgingItem *shown = vj_judging_item_new (audit);
  shown->unit.stream = g_strdup (pair->record->id);
  shown->picture = vj_picture_name (picture);
  shown->chosen = g_strdup (vj_record_text (pair->record, "chosen"));
  shown->rejected = g_strdup (vj_record_text (pair->record, "rejected"));
  shown->first_request = 2 * (gsize) picture;
  if (vj_loaded_init (&shown->question, stage->context->store, pair->record->parents[0], error)
      && (picture == VJ_PICTURE_REAL || replace_images (stage, &shown->question, picture, pair->record->id, error)))
    return shown;
  vj_judging_item_done (shown);
  g_free (shown);
  return NULL;
}

static gboolean
put_audit (Stage *stage, const Item *item, const char *pair, GError **error)
{
  VjStore *store = stage->context->store;
  g_autoptr (VjRecord) record = vj_record_new (VJ_RECORD_AUDIT, stage->step->iteration, item->unit.id);

  vj_record_add_parent (record, pair);
  for (guint picture = VJ_PICTURE_BLANK; picture < VJ_N_PICTURES && item->shown[picture] != NULL; picture++) {
    const VjQuestion *question = &item->shown[picture]->question.question;
    json_t *digests = json_array ();
    for (gsize i = 0; i < question->n_images; i++)
      json_array_append_new (digests, json_string (vj_image_digest (question->images[i])));
    json_object_set_new (record->fields, vj_picture_name ((VjPicture) picture), digests);
  }
  return (vj_store_in_group (store) || vj_store_begin (store, error))
      && vj_store_record_put (store, stage->step->name, record, error);
}

static gboolean
fill_item (Stage *stage, Item *item, const char *id, GError **error)
{
  g_autoptr (VjStored) pair = vj_load_stored (stage->context->store, id, error);
  g_autoptr (VjStored) question =
      pair != NULL ? vj_load_stored (stage->context->store, pair->record->parents[0], error) : NULL;

  if (question == NULL)
    return FALSE;
  item->unit.id = g_strconcat (id, ".audit", NULL);
  item->unit.model = stage->model;
  item->unit.reason = g_strdup (unfit (stage, question->record, id));
  item->kind = vj_audit_kind (stage->context->recipe, pair->record);
  for (guint picture = 0; picture < VJ_N_PICTURES && item->unit.reason == NULL; picture++)
    if ((item->shown[picture] = show (stage, pair, item->unit.id, (VjPicture) picture, error)) == NULL)
      return FALSE;
  return put_audit (stage, item, id, error);
}

static gboolean
next_pair (gpointer self, VjUnit **ret_unit, GError **error)
{
  Stage *stage = self;
  *ret_unit = NULL;
  if (stage->at == stage->ids->len)
    return TRUE;
  Item *item = g_new0 (Item, 1);
  if (!fill_item (stage, item, stage->ids->pdata[stage->at++], error)) {
    item_free (&item->unit);
    return FALSE;
  }
  *ret_unit = &item->unit;
  return TRUE;
}

static VjFlow
audit_ask (gpointer self, VjRun *run, VjUnit *unit, const VjReplies *so_far, VjAsk *ask, GError **error)
{
  Item *item = (Item *) unit;
  (void) so_far;
  if (unit->reason != NULL)
    return VJ_FLOW_SKIP;
  for (guint picture = 0; picture < VJ_N_PICTURES; picture++)
    if (vj_judging_ask (&((Stage *) self)->judging, run, item->shown[picture], ask, error) == VJ_FLOW_ERROR)
      return VJ_FLOW_ERROR;
  return VJ_FLOW_OK;
}

static VjFlow
audit_tell (gpointer self, VjRun *run, VjUnit *unit, const VjReplies *replies, GError **error)
{
  Item *item = (Item *) unit;
  for (guint picture = 0; picture < VJ_N_PICTURES; picture++)
    if (vj_judging_tell (&((Stage *) self)->judging, run, item->shown[picture], replies, error) == VJ_FLOW_ERROR)
      return VJ_FLOW_ERROR;
  return VJ_FLOW_OK;
}

static gboolean
audit_settle (gpointer self, VjUnit *unit, VjFlow flow, GError **error)
{
  Stage *stage = self;
  Item *item = (Item *) unit;
  VjStore *store = stage->context->store;
  VjAnswer answers[VJ_N_PICTURES][2] = {{VJ_ANSWER_UNPARSED}};

  if (flow != VJ_FLOW_OK)
    return vj_step_drop (stage->context, stage->step, unit, FALSE, error);
  for (guint picture = 0; picture < VJ_N_PICTURES; picture++) {
    const VjJudgingItem *shown = item->shown[picture];
    for (guint i = 0; i < shown->judged->len; i++) {
      const VjJudged *judged = &g_array_index (shown->judged, VjJudged, i);
      g_autoptr (VjRecord) record = vj_judging_record (shown, i, stage->step->iteration, FALSE);
      if (!vj_store_record_put (store, stage->step->name, record, error))
        return FALSE;
      if (judged->verdict != VJ_VERDICT_UNPARSED)
        answers[picture][judged->order] = judged->right ? VJ_ANSWER_RIGHT : VJ_ANSWER_WRONG;
    }
  }
  vj_image_audit_add (&stage->audit, item->kind, (const VjAnswer (*)[2]) answers);
  stage->kept++;
  return vj_store_record_fate (store, unit->id, VJ_FATE_KEPT, stage->step->name, NULL, error);
}

/* -- the stage -------------------------------------------------------------------------- */

static gboolean
gather_pool (Stage *stage, GError **error)
{
  g_autoptr (GHashTable) met = g_hash_table_new (g_str_hash, g_str_equal);

  stage->pool = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < stage->ids->len; i++) {
    g_autoptr (VjStored) pair = vj_load_stored (stage->context->store, stage->ids->pdata[i], error);
    g_autoptr (VjStored) question =
        pair != NULL ? vj_load_stored (stage->context->store, pair->record->parents[0], error) : NULL;
    if (question == NULL)
      return FALSE;
    for (gsize j = 0; j < vj_record_n_images (question->record); j++) {
      const char *digest = vj_record_image (question->record, j);
      if (g_hash_table_contains (met, digest))
        continue;
      g_ptr_array_add (stage->pool, g_strdup (digest));
      g_hash_table_add (met, stage->pool->pdata[stage->pool->len - 1]);
    }
  }
  return TRUE;
}

static gboolean
open_stage (Stage *stage, VjInstance **ret_judge, GError **error)
{
  VjContext *context = stage->context;
  const VjRecipePlugin *entry = &context->recipe->judge;

  vj_run_aim (context->run, "judge", "start", 0, 0, 0);
  *ret_judge = vj_instance_new (entry->plugin, entry->node, NULL, context->run, error);
  if (*ret_judge == NULL || (stage->model = vj_context_model (context, entry->model, error)) == NULL)
    return FALSE;
  stage->judging =
      (VjJudging){.judge = *ret_judge, .samples = 1, .both = TRUE, .greedy = TRUE, .seed = context->recipe->seed};
  return vj_audit_pairs (context, stage->step, context->recipe->audit.images.sample, &stage->ids, error)
      && gather_pool (stage, error) && vj_audit_begin (context, stage->step, stage->ids->len, error);
}

static gboolean
conclude (Stage *stage, GError **error)
{
  g_autofree char *finding = NULL;
  VjAuditOutcome outcome;
  g_autofree char *figures = vj_image_audit_figures (&stage->audit, stage->step->iteration, &outcome, &finding);
  return vj_audit_end (stage->context, stage->step, stage->ids->len, stage->kept, figures, outcome, finding,
                       stage->context->recipe->audit.images.on_blind == VJ_ON_FINDING_FAIL,
                       "mend what makes the worse answers, or ask about what only the image shows",
                       (gint64) stage->ids->len < stage->context->recipe->audit.images.sample
                           ? "ask more questions"
                           : "raise iteration.audit.images.sample",
                       error);
}

gboolean
vj_work_audit_images (VjContext *context, const VjStep *step, GError **error)
{
  g_autoptr (VjInstance) judge = NULL;
  VjScheduler scheduler = vj_context_scheduler (context);
  Stage stage = {.context = context, .step = step};

  vj_image_audit_init (&stage.audit);
  stage.blanks = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, unref_image);
  gboolean good = open_stage (&stage, &judge, error);
  if (good) {
    VjWork work = {.stage = "audit",
                   .title = step->title,
                   .unit = "pairs",
                   .total = stage.ids->len,
                   .self = &stage,
                   .next = next_pair,
                   .ask = audit_ask,
                   .tell = audit_tell,
                   .settle = audit_settle,
                   .unit_free = item_free};
    good = vj_scheduler_run (&scheduler, &work, error) && conclude (&stage, error);
  }
  vj_image_audit_clear (&stage.audit);
  g_hash_table_unref (stage.blanks);
  g_clear_pointer (&stage.pool, g_ptr_array_unref);
  g_clear_pointer (&stage.ids, g_ptr_array_unref);
  return good;
}
