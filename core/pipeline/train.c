/* Stage `train`: the kept traces become a candidate judge. And what all training shares. */
#include "pipeline/context.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include "base/file.h"
#include "record/request.h"
#include "report/lineage.h"
#include "report/notes.h"

char *
vj_context_model_dir (const VjContext *context, guint number, gboolean last)
{
  const char *kind = context->recipe->pretrain_init != NULL ? "course" : "iteration";
  g_autofree char *name = last ? g_strdup ("final") : g_strdup_printf ("%s-%u", kind, number);
  return g_build_filename (vj_store_dir (context->store), "models", name, NULL);
}

/* Removes a directory of files: an unfinished model, or the state of a training that is over. */
static gboolean
remove_dir (const char *dir, GError **error)
{
  g_autoptr (GDir) listing = g_dir_open (dir, 0, NULL);
  const char *name;

  if (listing == NULL)
    return g_file_test (dir, G_FILE_TEST_EXISTS)
               ? vj_fail (error, VJ_EXIT_STORE, "train: '%s': cannot be read; check its permissions", dir)
               : TRUE;
  while ((name = g_dir_read_name (listing)) != NULL) {
    g_autofree char *path = g_build_filename (dir, name, NULL);
    if (g_unlink (path) != 0)
      return vj_fail (error, VJ_EXIT_STORE, "train: '%s': cannot remove what a training left: %s; remove it by hand", path,
                      g_strerror (errno));
  }
  return g_rmdir (dir) == 0
         || vj_fail (error, VJ_EXIT_STORE, "train: '%s': cannot remove what a training left: %s; remove it by hand", dir,
                     g_strerror (errno));
}

/* The trainer may put files of its own beside its checkpoint. */
static char *
training_dir (const VjContext *context, guint number)
{
  g_autofree char *name = g_strdup_printf ("training-%u", number);
  return g_build_filename (vj_store_dir (context->store), "models", name, NULL);
}

char *
vj_context_state_file (const VjContext *context, guint number)
{
  g_autofree char *dir = training_dir (context, number);
  return g_build_filename (dir, "state", NULL);
}

gboolean
vj_context_forget_training (const VjContext *context, guint number, GError **error)
{
  g_autofree char *dir = training_dir (context, number);
  return remove_dir (dir, error);
}

/* -- a course at work ------------------------------------------------------------ */

/* What the trainer's steps are reported to. */
typedef struct {
  VjContext *context;
  const VjStep *step;
  gint64 group_since;
  GError *error;      /* the store's, met in a step */
} Steps;

static void
on_step (gpointer data, size_t number, size_t total, double loss, double learning_rate, double grad_norm)
{
  Steps *steps = data;
  VjStore *store = steps->context->store;
  VjTrainStep row = {.step = (gint64) number, .steps = (gint64) total, .loss = loss, .learning_rate = learning_rate,
                     .grad_norm = grad_norm};
  gint64 now = g_get_monotonic_time ();
  g_autofree char *note = g_strdup_printf ("loss %.4f", loss);

  vj_context_progress (steps->context, steps->step, number == total ? VJ_PROGRESS_END : VJ_PROGRESS_STEP, "steps", number,
                       total, note);
  if (steps->error != NULL)
    return;
  if (!vj_store_in_group (store)) {
    steps->group_since = now;
    if (!vj_store_begin (store, &steps->error))
      return;
  }
  /* A loss that is not finite is the trainer's to report; a row cannot hold it. */
  if (isfinite (loss) && isfinite (grad_norm) && !vj_store_step_put (store, steps->step->title, &row, &steps->error))
    return;
  if (now - steps->group_since > G_USEC_PER_SEC)
    vj_store_commit (store, &steps->error);
}

static gboolean
run_trainer (VjContext *context, const VjStep *step, const VjRecipePlugin *entry, VjCourse *course, Steps *steps,
             GError **error)
{
  g_autoptr (VjInstance) trainer = NULL;

  vj_run_aim (context->run, step->name, step->title, 0, step->iteration, 0);
  trainer = vj_instance_new (entry->plugin, entry->node, NULL, context->run, error);
  if (trainer == NULL)
    return FALSE;
  gboolean good = VJ_INSTANCE_CALL (trainer, VjTrainerOps, train, context->run, course, error);
  good = vj_verb_good (entry->plugin, "train", good, error);
  if (vj_store_in_group (context->store) && steps->error == NULL)
    vj_store_commit (context->store, &steps->error);
  if (good && steps->error == NULL)
    return TRUE;
  /* A trainer that was told to stop fails with what it likes; the reason is the signal all the same. */
  if (context->stop != NULL && g_atomic_int_get (context->stop) != 0) {
    g_clear_error (error);
    return vj_scheduler_go_on (context->stop, error);
  }
  if (good) {
    g_propagate_error (error, g_steal_pointer (&steps->error));
    return FALSE;
  }
  return FALSE;
}

/* The models are closed first: training needs the room. */
gboolean
vj_context_train (VjContext *context, const VjStep *step, const VjRecipePlugin *entry, const VjCourseConfig *config,
                  VjCourseFill fill, gpointer data, GError **error)
{
  g_autofree char *models = training_dir (context, step->iteration);
  Steps steps = {.context = context, .step = step};
  VjCourseConfig own = *config;

  own.step = on_step;
  own.data = &steps;
  vj_models_close (context->models);
  if (g_mkdir_with_parents (models, 0700) != 0)
    return vj_fail (error, VJ_EXIT_STORE, "train: '%s': cannot make the directory: %s", models, g_strerror (errno));
  g_autoptr (VjCourse) course = vj_course_new (&own);
  gboolean good = remove_dir (config->output, error) && fill (context, step, data, course, error)
                  && run_trainer (context, step, entry, course, &steps, error);
  g_clear_error (&steps.error);
  if (good && !g_file_test (config->output, G_FILE_TEST_IS_DIR))
    good = vj_fail (error, VJ_EXIT_PLUGIN, "trainer '%s': it reports success but made no '%s'; report it to its author",
                    entry->name, config->output);
  return good;
}

/* -- train: kept traces ------------------------------------------------------------- */

/* Builds examples out of judgments: the messages as the judge was shown them, then the trace. Images are shared. */
typedef struct {
  VjStore *store;
  GHashTable *images; /* digest -> VjImage */
} Builder;

static const VjImage *
image_of (Builder *builder, const char *digest, GError **error)
{
  VjImage *image = g_hash_table_lookup (builder->images, digest);
  if (image == NULL && vj_store_image_get (builder->store, digest, &image, error)) {
    if (image == NULL)
      vj_fail (error, VJ_EXIT_BUG, "store: image %s is missing", digest);
    else
      g_hash_table_insert (builder->images, g_strdup (digest), image);
  }
  return image;
}

static gboolean
fill_message (Builder *builder, const json_t *json, VjMessage *message, GPtrArray *images, GError **error)
{
  const json_t *digests = json_object_get (json, "images");

  g_ptr_array_set_size (images, 0);
  for (gsize i = 0; i < json_array_size (digests); i++) {
    const VjImage *image = image_of (builder, json_string_value (json_array_get (digests, i)), error);
    if (image == NULL)
      return FALSE;
    g_ptr_array_add (images, (gpointer) image);
  }
  message->text = json_string_value (json_object_get (json, "text"));
  message->images = (const VjImage *const *) images->pdata;
  message->n_images = images->len;
  return vj_speaker_from_name (json_string_value (json_object_get (json, "speaker")), &message->speaker)
         || vj_fail (error, VJ_EXIT_BUG, "store: a message has no speaker");
}

static gboolean
add_example (Builder *builder, const char *id, VjCourse *course, GError **error)
{
  g_autoptr (VjStored) stored = vj_load_stored (builder->store, id, error);
  if (stored == NULL)
    return FALSE;
  const json_t *shown = json_object_get (stored->record->fields, "messages");
  gsize n = json_array_size (shown);
  g_autofree VjMessage *messages = g_new0 (VjMessage, n + 1);
  g_autoptr (GPtrArray) lists = g_ptr_array_new_with_free_func ((GDestroyNotify) g_ptr_array_unref);

  for (gsize i = 0; i < n; i++) {
    GPtrArray *images = g_ptr_array_new ();
    g_ptr_array_add (lists, images);
    if (!fill_message (builder, json_array_get (shown, i), &messages[i], images, error))
      return FALSE;
  }
  messages[n] = (VjMessage){.speaker = VJ_SPEAKER_ASSISTANT, .text = vj_record_text (stored->record, "text")};
  vj_course_add (course, messages, n + 1);
  return TRUE;
}

static void
unref_image (gpointer image)
{
  vj_image_unref (image);
}

static void
add_replay (const VjReplay *replay, VjCourse *course)
{
  g_autofree VjMessage *messages = g_new (VjMessage, replay->n_messages + 1);
  for (gsize i = 0; i < replay->n_messages; i++)
    messages[i] = replay->messages[i];
  messages[replay->n_messages] = (VjMessage){.speaker = VJ_SPEAKER_ASSISTANT, .text = replay->answer};
  vj_course_add (course, messages, replay->n_messages + 1);
}

/* What a judge is trained on. */
typedef struct {
  GPtrArray *ids; /* of kept traces: char *, owned */
  VjReplays replays;
} Lessons;

static void
lessons_clear (Lessons *lessons)
{
  g_clear_pointer (&lessons->ids, g_ptr_array_unref);
  vj_replays_clear (&lessons->replays);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Lessons, lessons_clear)

/* Traces and replay in an order drawn from the run's seed: neighbours in the store show the same image. */
static gboolean
fill_course (VjContext *context, const VjStep *step, gpointer data, VjCourse *course, GError **error)
{
  Lessons *lessons = data;
  guint n = lessons->ids->len, total = n + lessons->replays.examples->len;
  g_autofree gpointer *order = g_new (gpointer, total);
  Builder builder = {.store = context->store};
  VjRandom random;
  gboolean good = TRUE;

  for (guint i = 0; i < total; i++)
    order[i] = GUINT_TO_POINTER (i);
  vj_random_init_named (&random, context->recipe->seed, "train/order", step->title, 0);
  vj_random_shuffle (&random, order, total);
  builder.images = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, unref_image);
  for (guint i = 0; good && i < total; i++) {
    guint at = GPOINTER_TO_UINT (order[i]);
    if (at < n)
      good = add_example (&builder, lessons->ids->pdata[at], course, error);
    else
      add_replay (lessons->replays.examples->pdata[at - n], course);
  }
  g_hash_table_unref (builder.images);
  return good;
}

/* Adds the ids of the iteration's kept traces. */
static gboolean
kept_traces (VjContext *context, guint iteration, GPtrArray *ids, GError **error)
{
  VjStoreQuery query = VJ_STORE_QUERY_ALL;

  query.iteration = (int) iteration;
  query.kind = VJ_RECORD_JUDGMENT;
  query.fate = VJ_FATE_KEPT;
  query.stage = "judge";
  return vj_load_ids (context->store, &query, NULL, NULL, ids, error);
}

/* What is trained on: this iteration's traces, or with `traces: all` those of the ones before as well. */
static gboolean
all_traces (VjContext *context, const VjStep *step, guint *ret_first, GPtrArray *ids, GError **error)
{
  *ret_first = context->recipe->repeat.traces == VJ_TRACES_ALL ? 1 : step->iteration;
  for (guint i = *ret_first; i <= step->iteration; i++)
    if (!kept_traces (context, i, ids, error))
      return FALSE;
  return TRUE;
}

/* Beside the weights: which stage made them, out of what. */
static gboolean
note_lineage (VjContext *context, const VjStep *step, const char *output, const VjLineageTraining *lineage, GError **error)
{
  g_autofree char *path = g_build_filename (output, VJ_LINEAGE_NAME, NULL), *text = NULL;
  return vj_lineage_put_training (context->store, step->iteration, step->name, lineage, &text, error)
         && vj_file_write (path, text, strlen (text), 0666, error);
}

/* For the summary; without replay there is nothing to tell that the funnel does not. */
static gboolean
note_course (VjContext *context, const VjStep *step, const Lessons *lessons, GError **error)
{
  const guint *found = lessons->replays.found;
  VjNotesCourse course = {.traces = lessons->ids->len, .open = found[VJ_REPLAY_OPEN], .closed = found[VJ_REPLAY_CLOSED],
                          .rewrites = found[VJ_REPLAY_REWRITE]};
  return vj_notes_put_course (context->store, step->iteration, context->recipe->trainer.replay > 0 ? &course : NULL, error);
}

/* Trains the model that stands under the trained name. */
static gboolean
train_from (VjContext *context, const VjStep *step, const char *output, Lessons *lessons, guint first, GError **error)
{
  const VjRecipePlugin *entry = &context->recipe->trainer;
  g_autofree char *state = vj_context_state_file (context, step->iteration), *identity = NULL;
  g_autofree char *label = vj_context_model_label (context, entry->model);
  g_autofree char *from = g_strdup (vj_models_path (context->models, entry->model));
  VjCourseConfig config = {.model = from, .output = output, .checkpoint = state, .dtype = entry->dtype,
                           .seed = context->recipe->seed};
  /* The trainer reads the directory itself, so it is asked here whether that is still the model it was. */
  VjModel *model = vj_context_model (context, entry->model, error);
  if (model == NULL)
    return FALSE;
  identity = g_strdup (model->identity);
  VjLineageTraining lineage = {.parent = {label, identity}, .first = first, .last = step->iteration, .traces = lessons->ids->len};
  vj_context_progress (context, step, VJ_PROGRESS_BEGIN, "steps", 0, 0, NULL);
  return vj_context_train (context, step, entry, &config, fill_course, lessons, error)
         && note_lineage (context, step, output, &lineage, error) && vj_made_note (context, output, error);
}

gboolean
vj_work_train (VjContext *context, const VjStep *step, GError **error)
{
  const VjRecipe *recipe = context->recipe;
  const char *name = recipe->trainer.model;
  g_autofree char *output = vj_context_model_dir (context, step->iteration, FALSE), *base = vj_recipe_model_path (recipe, name);
  g_autofree char *standing = g_strdup (vj_models_path (context->models, name));
  g_auto (Lessons) lessons = {.ids = g_ptr_array_new_with_free_func (g_free)};
  guint first;

  if (!all_traces (context, step, &first, lessons.ids, error) || !vj_step_begin (context, step, lessons.ids->len, error))
    return FALSE;
  guint n = lessons.ids->len;
  if (n == 0) {
    /* The judge stays as it is; evaluation and later iterations go on with it. */
    vj_log_write (context->log, VJ_LOG_WARNING, "train", "%s: no trace was kept, so nothing is trained and the judge stays as it "
                  "is; ask more questions or loosen the filters", step->title);
    return vj_notes_put_course (context->store, step->iteration, NULL, error) && remove_dir (output, error)
           && vj_step_end (context, step, 0, 0, error);
  }
  /* Before the trained name may stand for another model: replay asks the one that answered. */
  if (!vj_replays_init (&lessons.replays, context, step, n, error) || !note_course (context, step, &lessons, error))
    return FALSE;
  if (recipe->repeat.train_from == VJ_TRAIN_FROM_BASE)
    vj_models_set_path (context->models, name, base);
  gboolean good = train_from (context, step, output, &lessons, first, error);
  vj_models_set_path (context->models, name, standing);
  return good && vj_step_end (context, step, n, n, error) && vj_context_forget_training (context, step->iteration, error);
}
