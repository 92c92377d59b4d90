/* sft: supervised fine-tuning of a model on the kept traces, assistant tokens only: a thin adapter
 * over vj/engine.h. It decides the order of the examples, the learning rate and when to checkpoint;
 * forward, backward and AdamW are the engine's.
 *
 * Resume is exact. The order follows from the run's stream and the epoch; the checkpoint holds weights,
 * moments and the number of steps applied; a small file beside it holds what that number does not
 * tell: the count it began from and the steps that were left out. */
#include <vj/engine.h>
#include <vj/plugin.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SCHEDULE_COSINE, SCHEDULE_LINEAR, SCHEDULE_CONSTANT };
static const char *const precisions[] = {VJ_ENGINE_DTYPES, NULL};
static const char *const schedules[] = {"cosine", "linear", "constant", NULL};
static const char *const parts[] = {"vision", "cross", "text", NULL};
static const guint part_bits[] = {VJ_FREEZE_VISION, VJ_FREEZE_CROSS, VJ_FREEZE_TEXT};
enum { NON_FINITE_STOP, NON_FINITE_SKIP };
static const char *const policies[] = {"stop", "skip", NULL};

typedef struct {
  int64_t epochs, batch_size, accumulate, schedule, precision, threads, checkpoint_every, non_finite, max_skips;
  double learning_rate, warmup_ratio, min_lr_ratio, weight_decay, beta1, beta2, epsilon, max_grad_norm;
  char **freeze, *compute;
} Sft;

static const VjOption options[] = {
  VJ_OPTION_INT (Sft, epochs, "5", 1, 1e6, "epochs", "How often each example is seen."),
  VJ_OPTION_INT (Sft, batch_size, "8", 1, 65536, "examples", "Examples of a batch."),
  VJ_OPTION_INT (Sft, accumulate, "1", 1, 65536, "batches", "Batches whose gradients are added up for one optimizer step."),
  VJ_OPTION_REAL (Sft, learning_rate, "1e-5", 0, 10, "", "Peak learning rate."),
  VJ_OPTION_CHOICE (Sft, schedule, "cosine", schedules, "How the learning rate falls after the warm-up."),
  VJ_OPTION_REAL (Sft, warmup_ratio, "0.03", 0, 1, "", "Share of all steps in which the learning rate rises linearly to its peak."),
  VJ_OPTION_REAL (Sft, min_lr_ratio, "0", 0, 1, "", "Where the learning rate ends, as a share of the peak."),
  VJ_OPTION_REAL (Sft, weight_decay, "0.01", 0, 10, "", "Decoupled weight decay of AdamW, on matrices only."),
  VJ_OPTION_REAL (Sft, beta1, "0.9", 0, 0.999999, "", "AdamW's decay of the mean gradient."),
  VJ_OPTION_REAL (Sft, beta2, "0.999", 0, 0.999999, "", "AdamW's decay of the mean squared gradient."),
  VJ_OPTION_REAL (Sft, epsilon, "1e-8", 1e-16, 1, "", "AdamW's term against division by zero."),
  VJ_OPTION_REAL (Sft, max_grad_norm, "1", 0, 1e9, "", "Gradients are scaled down to this norm; 0 means they are not."),
  VJ_OPTION_LIST (Sft, freeze, NULL, parts, "Parts of the model that stay as they are."),
  VJ_OPTION_CHOICE (Sft, non_finite, "stop", policies, "After a loss or gradient that is not finite: stop the run, or leave the step out."),
  VJ_OPTION_INT (Sft, max_skips, "10", 1, 1e6, "steps", "With non_finite: skip, the run stops after this many steps left out in a row."),
  VJ_OPTION_INT (Sft, checkpoint_every, "200", 0, 1e9, "steps", "Steps between checkpoints; 0 means only at the end."),
  VJ_OPTION_STRING (Sft, compute, "auto", "Compute plugin that does the arithmetic."),
  VJ_OPTION_CHOICE (Sft, precision, "auto", precisions, "Numbers that products multiply; auto: bf16 where the weights are stored in it and the machine is fast at it. Weights and sums are f32."),
  VJ_OPTION_INT (Sft, threads, "0", 0, 1024, "threads", "Threads of the engine; 0 means all processors."),
  VJ_OPTION_END
};

/* -- where training stands ---------------------------------------------------------- */

/* begun: the tuner's step count at the course's first step; skipped: numbers of steps left out, from 0, in order. */
typedef struct {
  guint64 begun, total;
  GArray *skipped; /* of guint64 */
} Journal;

#define JOURNAL_LIMIT (64u << 20) /* bytes: a line for each step left out */

static char *
journal_file (VjCourse *course)
{
  return g_strconcat (vj_course_checkpoint (course), ".journal", NULL);
}

/* Appends durably, before anything that depends on the line is written. */
static gboolean
journal_write (const char *file, gboolean append, const char *line, GError **error)
{
  FILE *out = fopen (file, append ? "ae" : "we");
  gboolean ok = out && fputs (line, out) >= 0 && fflush (out) == 0 && fsync (fileno (out)) == 0;
  int cause = errno;
  if (out && fclose (out) != 0)
    ok = FALSE;
  return ok || vj_fail (error, VJ_EXIT_STORE, "sft: '%s': cannot write: %s; free space or mend the rights, then run again",
                        file, g_strerror (cause));
}

static gboolean
journal_read (const char *file, Journal *journal, GError **error)
{
  g_autoptr (GError) cause = NULL;
  g_autofree char *text = vj_file_text (file, JOURNAL_LIMIT, &cause);
  int used = 0;
  if (text == NULL)
    return vj_fail (error, VJ_EXIT_STORE, "sft: '%s': cannot read: %s; remove the checkpoint beside it to train anew", file, cause->message);
  guint64 begun, total, step;
  if (sscanf (text, "begun %" G_GUINT64_FORMAT " total %" G_GUINT64_FORMAT "\n%n", &begun, &total, &used) != 2 || used == 0)
    return vj_fail (error, VJ_EXIT_STORE, "sft: '%s': broken; remove the checkpoint beside it to train anew", file);
  if (total != journal->total)
    return vj_fail (error, VJ_EXIT_STORE, "sft: '%s': the checkpoint belongs to a course of %" G_GUINT64_FORMAT
                    " steps, this one has %" G_GUINT64_FORMAT "; remove the checkpoint to train anew", file, total, journal->total);
  journal->begun = begun;
  for (const char *at = text + used; sscanf (at, "skipped %" G_GUINT64_FORMAT "\n%n", &step, &used) == 1; at += used)
    if (journal->skipped->len == 0 || step > g_array_index (journal->skipped, guint64, journal->skipped->len - 1))
      g_array_append_val (journal->skipped, step);
  return TRUE;
}

/* The next step to make, from the number of steps applied: those left out so far are added. A step that was
 * left out after the checkpoint counts as well: from the same state it would be left out again. */
static guint64
journal_position (const Journal *journal, guint64 applied)
{
  guint64 position = applied - journal->begun;
  for (guint i = 0; i < journal->skipped->len && g_array_index (journal->skipped, guint64, i) <= position; i++)
    position++;
  return position;
}

/* -- schedule and order --------------------------------------------------------------- */

/* Warm-up to 1, then down to `min_lr_ratio` at the last step. */
static double
learning_rate_at (const Sft *self, guint64 step, guint64 total)
{
  double warmup = ceil (self->warmup_ratio * (double) total), floor_ = self->min_lr_ratio, factor = 1;
  if ((double) step < warmup)
    return self->learning_rate * (double) (step + 1) / warmup;
  double past = total > warmup + 1 ? ((double) step - warmup) / ((double) total - warmup - 1) : 0;
  if (self->schedule == SCHEDULE_COSINE)
    factor = floor_ + (1 - floor_) * 0.5 * (1 + cos (G_PI * past));
  else if (self->schedule == SCHEDULE_LINEAR)
    factor = floor_ + (1 - floor_) * (1 - past);
  return self->learning_rate * factor;
}

/* Fisher-Yates, from the course's stream: epoch e's order needs those before it drawn. */
static void
shuffle (VjRun *run, guint32 *order, guint32 n)
{
  for (guint32 i = n; i > 1; i--) {
    guint32 j = vj_run_random (run, i), swap = order[i - 1];
    order[i - 1] = order[j];
    order[j] = swap;
  }
}

/* -- a batch ------------------------------------------------------------------------------ */

/* Decoded examples; pixels live as long as their batch. */
typedef struct {
  GPtrArray *messages; /* of VjChatMessage arrays */
  GPtrArray *pixels;   /* of VjPixels arrays      */
  GPtrArray *rgb;      /* what the decoder gave   */
  GArray *examples;    /* of VjTunerExample       */
} Batch;

static void
batch_done (Batch *batch)
{
  g_ptr_array_unref (batch->messages);
  g_ptr_array_unref (batch->pixels);
  g_ptr_array_unref (batch->rgb);
  g_array_unref (batch->examples);
}

static gboolean
batch_add (Batch *batch, const VjMessage *messages, size_t n, GError **error)
{
  VjChatMessage *chat = g_new0 (VjChatMessage, n);
  g_ptr_array_add (batch->messages, chat);
  for (size_t i = 0; i < n; i++) {
    VjPixels *pixels = g_new0 (VjPixels, messages[i].n_images);
    g_ptr_array_add (batch->pixels, pixels);
    for (size_t j = 0; j < messages[i].n_images; j++) {
      if (!vj_image_decode (messages[i].images[j], &pixels[j], error))
        return FALSE;
      g_ptr_array_add (batch->rgb, (gpointer) pixels[j].rgb);
    }
    chat[i] = (VjChatMessage){messages[i].speaker, messages[i].text, pixels, messages[i].n_images};
  }
  VjTunerExample example = {chat, n, 1};
  g_array_append_val (batch->examples, example);
  return TRUE;
}

static gboolean
batch_init (Batch *batch, VjCourse *course, const guint32 *order, size_t n, GError **error)
{
  *batch = (Batch){g_ptr_array_new_with_free_func (g_free), g_ptr_array_new_with_free_func (g_free),
                   g_ptr_array_new_with_free_func (g_free), g_array_new (FALSE, FALSE, sizeof (VjTunerExample))};
  for (size_t i = 0; i < n; i++) {
    size_t n_messages;
    const VjMessage *messages = vj_course_example (course, order[i], &n_messages);
    if (!batch_add (batch, messages, n_messages, error)) {
      batch_done (batch);
      return FALSE;
    }
  }
  return TRUE;
}

/* -- training ---------------------------------------------------------------------------- */

typedef struct {
  const Sft *opt;
  VjRun *run;
  VjCourse *course;
  VjTuner *tuner;
  Journal journal;
  char *journal_file;
  guint64 per_epoch, next; /* steps of an epoch; the next step to make, over the whole course */
  size_t examples, per_step;
  gint64 skips_in_a_row;
} Training;

static VjTuner *
open_tuner (const Sft *self, VjCourse *course, GError **error)
{
  VjEngineConfig engine = {.compute = self->compute, .dtype = precisions[self->precision], .threads = (guint) self->threads};
  VjTunerConfig config = {.beta1 = self->beta1, .beta2 = self->beta2, .epsilon = self->epsilon,
                          .weight_decay = self->weight_decay, .max_grad_norm = self->max_grad_norm};
  uint64_t seed = 0;
  gboolean fresh = vj_course_fresh (course, &seed);
  guint64 init_seed = seed;
  for (guint i = 0; i < G_N_ELEMENTS (part_bits); i++)
    if (self->freeze && g_strv_contains ((const char *const *) self->freeze, parts[i]))
      config.freeze |= part_bits[i];
  return vj_tuner_open (vj_course_model (course), &engine, &config, fresh ? &init_seed : NULL, error);
}

/* Goes on from this course's checkpoint, or begins from the state of the course before. */
static gboolean
find_position (Training *t, GError **error)
{
  const char *checkpoint = vj_course_checkpoint (t->course), *state = vj_course_state (t->course);
  if (g_file_test (checkpoint, G_FILE_TEST_EXISTS)) {
    if (!journal_read (t->journal_file, &t->journal, error) || !vj_tuner_restore (t->tuner, checkpoint, error))
      return FALSE;
    t->next = journal_position (&t->journal, vj_tuner_steps (t->tuner));
    vj_run_log (t->run, "sft: goes on at step %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT, t->next + 1, t->journal.total);
    return TRUE;
  }
  if (state && !vj_tuner_restore (t->tuner, state, error))
    return FALSE;
  t->journal.begun = vj_tuner_steps (t->tuner);
  g_autofree char *line = g_strdup_printf ("begun %" G_GUINT64_FORMAT " total %" G_GUINT64_FORMAT "\n", t->journal.begun, t->journal.total);
  return journal_write (t->journal_file, FALSE, line, error);
}

/* A step that was not applied: ends the run, or is written down and left out. */
static gboolean
left_out (Training *t, const VjTunerStep *step, GError **error)
{
  g_autofree char *line = g_strdup_printf ("skipped %" G_GUINT64_FORMAT "\n", t->next);
  if (t->opt->non_finite == NON_FINITE_STOP || ++t->skips_in_a_row >= t->opt->max_skips)
    return vj_fail (error, VJ_EXIT_NONFINITE, "sft: step %" G_GUINT64_FORMAT ": loss %g, gradient norm %g: not finite; the step was not "
                    "applied; lower learning_rate or max_grad_norm, or set non_finite: skip", t->next + 1, step->loss, step->grad_norm);
  vj_run_log (t->run, "sft: step %" G_GUINT64_FORMAT ": not finite, left out", t->next + 1);
  return journal_write (t->journal_file, TRUE, line, error);
}

static gboolean
make_step (Training *t, const guint32 *order, size_t n, GError **error)
{
  double rate = learning_rate_at (t->opt, t->next, t->journal.total);
  VjTunerStep step = {0};
  Batch batch;
  if (!batch_init (&batch, t->course, order, n, error))
    return FALSE;
  gboolean ok = vj_tuner_step (t->tuner, (const VjTunerExample *) (gpointer) batch.examples->data, batch.examples->len, rate, &step, error);
  batch_done (&batch);
  if (!ok || (!step.finite && !left_out (t, &step, error)))
    return FALSE;
  if (step.finite)
    t->skips_in_a_row = 0;
  t->next++;
  vj_course_step (t->course, t->next, t->journal.total, step.loss, rate, step.grad_norm);
  return TRUE;
}

/* After a step: keeps a checkpoint when one is due or when the run is to stop. */
static gboolean
after_step (Training *t, GError **error)
{
  gboolean stopping = vj_run_stopping (t->run);
  gboolean due = t->opt->checkpoint_every && t->next % (guint64) t->opt->checkpoint_every == 0;
  if ((due || stopping) && !vj_tuner_checkpoint (t->tuner, vj_course_checkpoint (t->course), error))
    return FALSE;
  if (stopping)
    return vj_fail (error, VJ_EXIT_INTERRUPTED, "sft: stopped after step %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
                    "; the same command goes on from here", t->next, t->journal.total);
  return TRUE;
}

static gboolean
make_epochs (Training *t, GError **error)
{
  guint32 n = (guint32) t->examples;
  g_autofree guint32 *order = g_new (guint32, n);
  for (guint32 i = 0; i < n; i++)
    order[i] = i;
  for (guint64 epoch = 0; epoch < (guint64) t->opt->epochs; epoch++) {
    shuffle (t->run, order, n);
    while (t->next < (epoch + 1) * t->per_epoch) {
      size_t from = (size_t) (t->next % t->per_epoch) * t->per_step;
      if (!make_step (t, order + from, MIN (t->per_step, t->examples - from), error) || !after_step (t, error))
        return FALSE;
    }
  }
  return TRUE;
}

static gboolean
run_course (Training *t, GError **error)
{
  const char *checkpoint = vj_course_checkpoint (t->course);
  return find_position (t, error) && make_epochs (t, error)
         && vj_tuner_checkpoint (t->tuner, checkpoint, error)
         && vj_tuner_save (t->tuner, vj_course_output (t->course), vj_course_dtype (t->course), error);
}

static gboolean
sft_train (void *instance, VjRun *run, VjCourse *course, GError **error)
{
  const Sft *self = instance;
  Training t = {.opt = self, .run = run, .course = course, .examples = vj_course_count (course),
                .per_step = (size_t) (self->batch_size * self->accumulate)};
  if (t.examples == 0 || t.examples > G_MAXUINT32)
    return vj_fail (error, VJ_EXIT_DATA, "sft: %" G_GSIZE_FORMAT " examples to train on; look in the funnel where they were dropped", t.examples);
  if (g_file_test (vj_course_output (course), G_FILE_TEST_IS_DIR)) /* it appears whole or not at all */
    return TRUE;
  t.per_epoch = (t.examples + t.per_step - 1) / t.per_step;
  t.journal.total = t.per_epoch * (guint64) self->epochs;
  if (!(t.tuner = open_tuner (self, course, error)))
    return FALSE;
  t.journal.skipped = g_array_new (FALSE, FALSE, sizeof (guint64));
  t.journal_file = journal_file (course);
  gboolean ok = run_course (&t, error);
  vj_tuner_free (t.tuner);
  g_array_unref (t.journal.skipped);
  g_free (t.journal_file);
  return ok;
}

VJ_DEFINE_TRAINER (Sft, sft_train,
                   .name = "sft", .version = "1.0", .license = "Apache-2.0",
                   .summary = "Fine-tunes a model on the kept traces with the native engine.",
                   .options = options)
