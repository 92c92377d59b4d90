/* sft: supervised fine-tuning of a model on the kept traces, assistant tokens only: a thin adapter
 * over vj/engine.h. It decides the order of the examples, the learning rate and when to checkpoint;
 * forward, backward and AdamW are the engine's.
 *
 * Resume is exact. The order follows from the run's stream and the epoch; the checkpoint holds weights,
 * moments and the number of steps applied; a small file beside it holds what that number does not
 * tell: the count it began from, the steps that were left out, and the returns to a checkpoint, each of
 * which lowers the learning rate from there on. */
#include <vj/engine.h>
#include <vj/plugin.h>

#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SCHEDULE_COSINE, SCHEDULE_LINEAR, SCHEDULE_CONSTANT };
static const char *const precisions[] = {VJ_ENGINE_DTYPES, NULL};
static const char *const schedules[] = {"cosine", "linear", "constant", NULL};
static const char *const parts[] = {"vision", "cross", "text", NULL};
static const guint part_bits[] = {VJ_FREEZE_VISION, VJ_FREEZE_CROSS, VJ_FREEZE_TEXT};
enum { NON_FINITE_STOP, NON_FINITE_SKIP, NON_FINITE_ROLLBACK };
static const char *const policies[] = {"stop", "skip", "rollback", NULL};
static const char *const lora_targets[] = {VJ_LORA_TARGETS, NULL};
enum { SAVE_MERGED, SAVE_ADAPTER };
static const char *const saves[] = {"merged", "adapter", NULL};
static const char *const checkpointings[] = {"none", "layers", NULL};

typedef struct {
  int64_t epochs, batch_size, accumulate, schedule, precision, threads, checkpoint_every, non_finite, max_skips, lora_rank, save, checkpointing;
  double learning_rate, warmup_ratio, min_lr_ratio, weight_decay, beta1, beta2, epsilon, max_grad_norm, rollback_rate, lora_alpha, lora_dropout;
  char **freeze, *compute, **lora_targets, **lora_parts;
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
  VJ_OPTION_LIST (Sft, freeze, NULL, parts, "Parts of the model that stay as they are: no gradient is made for them and no moments are kept."),
  VJ_OPTION_INT (Sft, lora_rank, "0", 0, 4096, "", "Rank of LoRA's factors A and B, which are trained in place of the weights; 0 trains the weights themselves."),
  VJ_OPTION_REAL (Sft, lora_alpha, "16", 1e-6, 1e6, "", "Factors count with alpha / rank."),
  VJ_OPTION_REAL (Sft, lora_dropout, "0", 0, 0.999, "", "Share of the inputs of A that is dropped in training."),
  VJ_OPTION_LIST (Sft, lora_targets, "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj", lora_targets, "Layers that get factors, as Hugging Face calls them; fc1, fc2 and multi_modal_projector are the vision part's."),
  VJ_OPTION_LIST (Sft, lora_parts, "text,cross", parts, "Parts of the model in which those layers are looked for."),
  VJ_OPTION_CHOICE (Sft, save, "merged", saves, "With lora_rank: a whole model with the factors merged into its weights, or the factors alone, f32, in PEFT's layout, with the model trained from as their base."),
  VJ_OPTION_CHOICE (Sft, checkpointing, "none", checkpointings, "Gradient checkpointing; layers: only what a layer puts out is kept and the rest made again in backward: the same bits in less memory, in a fifth to a third more time."),
  VJ_OPTION_CHOICE (Sft, non_finite, "stop", policies, "After a loss or gradient that is not finite: stop the run; leave the step out; or go back to the last checkpoint and on with a lower learning rate."),
  VJ_OPTION_INT (Sft, max_skips, "10", 1, 1e6, "steps", "The run stops after this many steps left out in a row (non_finite: skip, rollback) or returns in all (rollback)."),
  VJ_OPTION_REAL (Sft, rollback_rate, "0.5", 0.01, 0.99, "", "With non_finite: rollback, what the learning rate is multiplied by at each return."),
  VJ_OPTION_INT (Sft, checkpoint_every, "200", 0, 1e9, "steps", "Steps between checkpoints; 0 means only at the end."),
  VJ_OPTION_STRING (Sft, compute, "auto", "What does the arithmetic, as in the backend native."),
  VJ_OPTION_CHOICE (Sft, precision, "auto", precisions, "Numbers that products multiply; auto: bf16 where the weights are stored in it and the machine is fast at it. Weights and sums are f32."),
  VJ_OPTION_INT (Sft, threads, "0", 0, 1024, "threads", "Threads of the engine; 0 means all processors."),
  VJ_OPTION_END
};

/* -- where training stands ---------------------------------------------------------- */

/* begun: the tuner's step count at the course's first step; skipped: numbers of steps left out, from 0, in order;
 * returned: numbers of the steps at which training went back to a checkpoint. */
typedef struct {
  guint64 begun, total;
  GArray *skipped, *returned; /* of guint64 */
} Journal;

#define JOURNAL_LIMIT (64u << 20) /* bytes: a line for each step left out */

static char *
beside_checkpoint (VjCourse *course, const char *suffix)
{
  return g_strconcat (vj_course_checkpoint (course), suffix, NULL);
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

static void
journal_skip (Journal *journal, guint64 step)
{
  if (journal->skipped->len == 0 || step > g_array_index (journal->skipped, guint64, journal->skipped->len - 1))
    g_array_append_val (journal->skipped, step);
}

/* Step `step` led back to before step `to`: what was left out after it is tried again, at the new rate. */
static void
journal_return (Journal *journal, guint64 step, guint64 to)
{
  g_array_append_val (journal->returned, step);
  while (journal->skipped->len > 0 && g_array_index (journal->skipped, guint64, journal->skipped->len - 1) >= to)
    g_array_set_size (journal->skipped, journal->skipped->len - 1);
}

static gboolean
journal_read (const char *file, Journal *journal, GError **error)
{
  g_autoptr (GError) cause = NULL;
  g_autofree char *text = vj_file_text (file, JOURNAL_LIMIT, &cause);
  int used = 0;
  if (text == NULL)
    return vj_fail (error, VJ_EXIT_STORE, "sft: '%s': cannot read: %s; remove the checkpoint beside it to train anew", file, cause->message);
  guint64 begun, total, step, to;
  if (sscanf (text, "begun %" G_GUINT64_FORMAT " total %" G_GUINT64_FORMAT "\n%n", &begun, &total, &used) != 2 || used == 0)
    return vj_fail (error, VJ_EXIT_STORE, "sft: '%s': broken; remove the checkpoint beside it to train anew", file);
  if (total != journal->total)
    return vj_fail (error, VJ_EXIT_STORE, "sft: '%s': the checkpoint belongs to a course of %" G_GUINT64_FORMAT
                    " steps, this one has %" G_GUINT64_FORMAT "; remove the checkpoint to train anew", file, total, journal->total);
  journal->begun = begun;
  for (const char *at = text + used;; at += used) /* a line that a kill cut short is the last, and nothing depends on it yet */
    if (used = 0, sscanf (at, "skipped %" G_GUINT64_FORMAT "\n%n", &step, &used) == 1 && used > 0)
      journal_skip (journal, step);
    else if (used = 0, sscanf (at, "returned %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT "\n%n", &step, &to, &used) == 2 && used > 0)
      journal_return (journal, step, to);
    else
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
  char *journal_file, *back_file;
  guint64 per_epoch, next; /* steps of an epoch; the next step to make, over the whole course */
  guint64 kept, kept_steps; /* the next step, and the tuner's count, when the last checkpoint was written */
  size_t examples, per_step;
  gint64 skips_in_a_row;
  GPtrArray *orders;       /* of the examples, by epoch */
} Training;

static guint
bits_of (char **names)
{
  guint bits = 0;
  for (guint i = 0; i < G_N_ELEMENTS (part_bits); i++)
    if (names && g_strv_contains ((const char *const *) names, parts[i]))
      bits |= part_bits[i];
  return bits;
}

static VjTunerConfig
config_of (const Sft *self)
{
  return (VjTunerConfig){.beta1 = self->beta1, .beta2 = self->beta2, .epsilon = self->epsilon,
                         .weight_decay = self->weight_decay, .max_grad_norm = self->max_grad_norm,
                         .freeze = bits_of (self->freeze), .recompute = self->checkpointing == 1,
                         .lora = {.rank = (guint) self->lora_rank, .alpha = self->lora_alpha, .dropout = self->lora_dropout,
                                  .targets = (const char *const *) self->lora_targets, .parts = bits_of (self->lora_parts),
                                  .adapter = self->save == SAVE_ADAPTER}};
}

/* What the engine calls wrong settings is the recipe's fault here. */
static void
blame_recipe (GError *error)
{
  if (vj_error_exit (error) == VJ_EXIT_USAGE)
    error->code = VJ_EXIT_RECIPE;
}

static VjTuner *
open_tuner (const Sft *self, VjRun *run, VjCourse *course, GError **error)
{
  VjEngineConfig engine = {.compute = self->compute, .dtype = precisions[self->precision], .threads = (guint) self->threads};
  VjTunerConfig config = config_of (self);
  uint64_t seed = 0;
  gboolean fresh = vj_course_fresh (course, &seed);
  guint64 init_seed = seed;
  GError *cause = NULL;
  if (self->lora_rank > 0) /* drawn before the orders, and only then: a course without LoRA keeps its orders */
    config.lora.seed = vj_run_random (run, G_MAXUINT32);
  VjTuner *tuner = vj_tuner_open (vj_course_model (course), &engine, &config, fresh ? &init_seed : NULL, &cause);
  if (tuner == NULL) {
    blame_recipe (cause);
    g_propagate_error (error, cause);
  }
  return tuner;
}

/* Settings with which no model can be trained are told before anything is made to train on. */
static gboolean
sft_start (void *instance, VjRun *run, GError **error)
{
  const Sft *self = instance;
  VjTunerConfig config = config_of (self);
  GError *cause = NULL;
  if (!vj_tuner_check (&config, &cause)) {
    blame_recipe (cause);
    g_propagate_error (error, cause);
    return FALSE;
  }
  return self->save != SAVE_ADAPTER || !vj_run_plan (run)->fresh_weights
         || vj_fail (error, VJ_EXIT_RECIPE, "sft: 'save': an adapter alone would have no base: the weights are drawn anew; set save: merged");
}

/* A checkpoint to go back to. One that a stop put before it goes first: from there training comes here again. */
static gboolean
keep_checkpoint (Training *t, GError **error)
{
  g_unlink (t->back_file);
  t->kept = t->next;
  t->kept_steps = vj_tuner_steps (t->tuner);
  return vj_tuner_checkpoint (t->tuner, vj_course_checkpoint (t->course), error);
}

/* A stop may come anywhere, and must not change where a return leads: that checkpoint is put aside. */
static gboolean
keep_for_resume (Training *t, GError **error)
{
  const char *checkpoint = vj_course_checkpoint (t->course);
  if (t->opt->non_finite == NON_FINITE_ROLLBACK && t->next != t->kept && !g_file_test (t->back_file, G_FILE_TEST_EXISTS)
      && g_rename (checkpoint, t->back_file) != 0)
    return vj_fail (error, VJ_EXIT_STORE, "sft: '%s': cannot be renamed: %s; mend the rights, then run again", checkpoint, g_strerror (errno));
  return vj_tuner_checkpoint (t->tuner, checkpoint, error);
}

/* Begins from the state of the course before, where that is one of the same kind. */
static gboolean
take_state (Training *t, const char *state, GError **error)
{
  gboolean fits;
  if (!vj_tuner_fits (t->tuner, state, &fits, error))
    return FALSE;
  if (fits)
    return vj_tuner_restore (t->tuner, state, error);
  vj_run_log (t->run, "sft: the course before trained other weights: this one begins from its model, with fresh moments");
  return TRUE;
}

/* Goes on from this course's checkpoint, or begins from the state of the course before. */
static gboolean
find_position (Training *t, GError **error)
{
  const char *checkpoint = vj_course_checkpoint (t->course), *state = vj_course_state (t->course);
  gboolean aside = g_file_test (t->back_file, G_FILE_TEST_EXISTS), there = g_file_test (checkpoint, G_FILE_TEST_EXISTS);
  if (aside || there) {
    if (!journal_read (t->journal_file, &t->journal, error) || !vj_tuner_restore (t->tuner, aside ? t->back_file : checkpoint, error))
      return FALSE;
    t->kept_steps = vj_tuner_steps (t->tuner);
    t->kept = t->next = journal_position (&t->journal, t->kept_steps);
    if (aside && there && !vj_tuner_restore (t->tuner, checkpoint, error))
      return FALSE;
    t->next = journal_position (&t->journal, vj_tuner_steps (t->tuner));
    vj_run_log (t->run, "sft: goes on at step %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT, t->next + 1, t->journal.total);
    return TRUE;
  }
  if (state && !take_state (t, state, error))
    return FALSE;
  t->journal.begun = vj_tuner_steps (t->tuner);
  g_autofree char *line = g_strdup_printf ("begun %" G_GUINT64_FORMAT " total %" G_GUINT64_FORMAT "\n", t->journal.begun, t->journal.total);
  return journal_write (t->journal_file, FALSE, line, error)
         && (t->opt->non_finite != NON_FINITE_ROLLBACK || keep_checkpoint (t, error)); /* there is always one to go back to */
}

/* -- steps that are not finite --------------------------------------------------------- */

static gboolean
has_returned (const Training *t, guint64 step)
{
  for (guint i = 0; i < t->journal.returned->len; i++)
    if (g_array_index (t->journal.returned, guint64, i) == step)
      return TRUE;
  return FALSE;
}

/* From the same state the same comes again, so a lower rate is what a return changes; it cannot help where nothing was
 * applied since the checkpoint, and did not where the step failed again: there the step is left out. */
static gboolean
can_return (const Training *t)
{
  return t->opt->non_finite == NON_FINITE_ROLLBACK && vj_tuner_steps (t->tuner) != t->kept_steps && !has_returned (t, t->next);
}

static gboolean
go_back (Training *t, GError **error)
{
  g_autofree char *line = g_strdup_printf ("returned %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT "\n", t->next, t->kept);
  vj_run_log (t->run, "sft: step %" G_GUINT64_FORMAT ": not finite; back to step %" G_GUINT64_FORMAT " with %g of the learning rate", t->next + 1,
              t->kept + 1, pow (t->opt->rollback_rate, t->journal.returned->len + 1));
  /* The line comes last: what is resumed without it comes to the same step, and back, again. */
  gboolean aside = g_file_test (t->back_file, G_FILE_TEST_EXISTS);
  const char *checkpoint = vj_course_checkpoint (t->course);
  if (!vj_tuner_restore (t->tuner, aside ? t->back_file : checkpoint, error) || (aside && !vj_tuner_checkpoint (t->tuner, checkpoint, error))
      || !journal_write (t->journal_file, TRUE, line, error))
    return FALSE;
  g_unlink (t->back_file);
  journal_return (&t->journal, t->next, t->kept);
  t->next = t->kept;
  return TRUE;
}

/* What may help against steps that are not finite, beyond what is set already. */
static const char *
advice (const Sft *self)
{
  if (self->non_finite == NON_FINITE_STOP)
    return "lower learning_rate, or set non_finite: skip or rollback";
  if (self->non_finite == NON_FINITE_SKIP)
    return "lower learning_rate, set non_finite: rollback, or raise max_skips";
  return "lower learning_rate or rollback_rate, or raise max_skips";
}

/* Ends the run: why no further step is tried. */
static gboolean
give_up (const Training *t, const VjTunerStep *step, GError **error)
{
  const Sft *self = t->opt;
  g_autofree char *count = NULL;
  if (self->non_finite != NON_FINITE_STOP)
    count = t->skips_in_a_row >= self->max_skips
              ? g_strdup_printf (", the last of %" G_GINT64_FORMAT " in a row (max_skips)", t->skips_in_a_row)
              : g_strdup_printf (", after %u returns to a checkpoint (max_skips)", t->journal.returned->len);
  return vj_fail (error, VJ_EXIT_NONFINITE, "sft: step %" G_GUINT64_FORMAT ": loss %g, gradient norm %g: not finite%s; the step was not "
                  "applied; %s%s", t->next + 1, step->loss, step->grad_norm, count ? count : "", advice (self),
                  self->max_grad_norm == 0 ? ", or clip gradients by max_grad_norm" : "");
}

/* A step that was not applied: ends the run, leads back, or is written down and left out. */
static gboolean
not_applied (Training *t, const VjTunerStep *step, gboolean *ret_back, GError **error)
{
  g_autofree char *line = g_strdup_printf ("skipped %" G_GUINT64_FORMAT "\n", t->next);
  *ret_back = can_return (t);
  if (t->opt->non_finite == NON_FINITE_STOP || ++t->skips_in_a_row >= t->opt->max_skips
      || (*ret_back && t->journal.returned->len >= t->opt->max_skips))
    return give_up (t, step, error);
  if (*ret_back)
    return go_back (t, error);
  vj_run_log (t->run, "sft: step %" G_GUINT64_FORMAT ": not finite, left out", t->next + 1);
  journal_skip (&t->journal, t->next);
  return journal_write (t->journal_file, TRUE, line, error);
}

/* -- the course ---------------------------------------------------------------------------- */

static void
tell_memory (const Training *t)
{
  VjTunerMemory memory = vj_tuner_memory (t->tuner);
  const double mib = 1 << 20;
  vj_run_log (t->run, "sft: memory: %.1f MiB for what is trained, %.1f MiB of other weights (%.1f MiB more where they lie in their files), %.1f MiB of activations",
              (double) memory.trained / mib, (double) memory.held / mib, (double) memory.mapped / mib, (double) memory.activations / mib);
}

static gboolean
make_step (Training *t, const guint32 *order, size_t n, GError **error)
{
  double rate = learning_rate_at (t->opt, t->next, t->journal.total) * pow (t->opt->rollback_rate, t->journal.returned->len);
  VjTunerStep step = {0};
  gboolean back = FALSE;
  Batch batch;
  if (!batch_init (&batch, t->course, order, n, error))
    return FALSE;
  gboolean ok = vj_tuner_step (t->tuner, (const VjTunerExample *) (gpointer) batch.examples->data, batch.examples->len, rate, &step, error);
  batch_done (&batch);
  if (!ok || (!step.finite && !not_applied (t, &step, &back, error)))
    return FALSE;
  if (step.finite)
    t->skips_in_a_row = 0;
  if (back)
    return TRUE;
  t->next++;
  vj_course_step (t->course, t->next, t->journal.total, step.loss, rate, step.grad_norm);
  return TRUE;
}

/* After a step: keeps a checkpoint when one is due or when the run is to stop. */
static gboolean
after_step (Training *t, GError **error)
{
  gboolean stopping = vj_run_stopping (t->run);
  gboolean due = t->opt->checkpoint_every && t->next != t->kept && t->next % (guint64) t->opt->checkpoint_every == 0;
  if ((due && !keep_checkpoint (t, error)) || (stopping && !due && !keep_for_resume (t, error)))
    return FALSE;
  if (stopping)
    return vj_fail (error, VJ_EXIT_INTERRUPTED, "sft: stopped after step %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
                    "; the same command goes on from here", t->next, t->journal.total);
  return TRUE;
}

/* The order of an epoch. They are drawn one after another, each from the one before, and kept: training may go back. */
static const guint32 *
order_of (Training *t, guint64 epoch)
{
  guint32 n = (guint32) t->examples;
  while (t->orders->len <= epoch) {
    guint32 *order = g_new (guint32, n);
    for (guint32 i = 0; i < n; i++)
      order[i] = t->orders->len == 0 ? i : ((const guint32 *) t->orders->pdata[t->orders->len - 1])[i];
    shuffle (t->run, order, n);
    g_ptr_array_add (t->orders, order);
  }
  return t->orders->pdata[epoch];
}

static gboolean
make_steps (Training *t, GError **error)
{
  for (gboolean told = FALSE; t->next < t->journal.total;) {
    size_t from = (size_t) (t->next % t->per_epoch) * t->per_step;
    if (!make_step (t, order_of (t, t->next / t->per_epoch) + from, MIN (t->per_step, t->examples - from), error))
      return FALSE;
    if (!told)
      tell_memory (t);
    told = TRUE;
    if (!after_step (t, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
run_course (Training *t, GError **error)
{
  return find_position (t, error) && make_steps (t, error) && keep_checkpoint (t, error)
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
  if (!(t.tuner = open_tuner (self, run, course, error)))
    return FALSE;
  t.journal.skipped = g_array_new (FALSE, FALSE, sizeof (guint64));
  t.journal.returned = g_array_new (FALSE, FALSE, sizeof (guint64));
  t.orders = g_ptr_array_new_with_free_func (g_free);
  t.journal_file = beside_checkpoint (course, ".journal");
  t.back_file = beside_checkpoint (course, ".back");
  gboolean ok = run_course (&t, error);
  vj_tuner_free (t.tuner);
  g_array_unref (t.journal.skipped);
  g_array_unref (t.journal.returned);
  g_ptr_array_unref (t.orders);
  g_free (t.journal_file);
  g_free (t.back_file);
  return ok;
}

VJ_DEFINE_TRAINER (Sft, sft_train,
                   .name = "sft", .version = "1.0", .license = "Apache-2.0",
                   .summary = "Fine-tunes a model on the kept traces with the native engine.",
                   .options = options, .start = sft_start)
