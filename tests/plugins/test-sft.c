/* plugins/trainers/sft on the bench, over a tuner that only takes notes: what counts here is order,
 * learning rate, checkpoints and resume. Linked without the engine, which would define the tuner too. */
#include "../tools/bench.h"
#include "vj/engine.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

/* -- a tuner that takes notes -------------------------------------------------------- */

/* "Weights" are a hash over everything ever applied, so two courses that end alike went alike. */
struct VjTuner {
  guint64 weights, steps;
};
static struct {
  GString *log;      /* "abc@rate " per step: first letters of the examples' targets */
  guint64 bad_from, bad_to; /* calls of vj_tuner_step in [from, to) are not finite */
  guint64 also_bad;         /* and this one; 0: none */
  guint64 calls;
  guint freeze, saved, opened_fresh, recompute;
  VjLoraConfig lora;
  guint64 poison;     /* hash of weights from which on steps are not finite; 0: none. A lower rate goes round it */
  gboolean unlike;    /* the state of the course before is of another kind */
  gint stop, stop_after; /* stop_after: calls until a stop is asked for; 0: never */
} notes;

gboolean
vj_tuner_check (const VjTunerConfig *config, GError **error)
{
  return config->lora.rank != 77 || vj_fail (error, VJ_EXIT_USAGE, "train: 'lora_rank': 77 is refused here");
}

VjTuner *
vj_tuner_open (const char *dir, const VjEngineConfig *engine, const VjTunerConfig *config, const guint64 *init_seed, GError **error)
{
  (void) dir, (void) engine, (void) error;
  VjTuner *tuner = g_new0 (VjTuner, 1);
  tuner->weights = init_seed ? *init_seed : 1;
  notes.freeze = config->freeze;
  notes.opened_fresh = init_seed != NULL;
  notes.recompute = config->recompute;
  notes.lora = config->lora;
  notes.lora.targets = NULL;
  for (guint i = 0; config->lora.rank > 0 && config->lora.targets[i] != NULL; i++)
    g_string_append_printf (notes.log, "%s ", config->lora.targets[i]);
  return tuner;
}

void
vj_tuner_free (VjTuner *tuner)
{
  g_free (tuner);
}

gboolean
vj_tuner_step (VjTuner *tuner, const VjTunerExample *examples, gsize n, double learning_rate, VjTunerStep *ret_step, GError **error)
{
  gboolean finite = (notes.calls < notes.bad_from || notes.calls >= notes.bad_to) && (notes.also_bad == 0 || notes.calls != notes.also_bad) && (notes.poison == 0 || tuner->weights != notes.poison);
  (void) error;
  notes.calls++;
  if (notes.stop_after && notes.calls >= (guint64) notes.stop_after)
    g_atomic_int_set (&notes.stop, 1);
  for (gsize i = 0; i < n; i++) {
    const char *target = examples[i].messages[examples[i].n_messages - 1].text;
    g_string_append_c (notes.log, *target);
    if (finite)
      tuner->weights = tuner->weights * 31 + g_str_hash (target) + (guint64) (learning_rate * 1e9);
  }
  g_string_append_printf (notes.log, "@%.4g ", learning_rate);
  tuner->steps += finite ? 1 : 0;
  *ret_step = (VjTunerStep){.loss = 1, .grad_norm = 2, .tokens = n, .context = n, .finite = finite};
  return TRUE;
}

gboolean
vj_tuner_save (VjTuner *tuner, const char *dir, const char *dtype, GError **error)
{
  g_autofree char *file = g_build_filename (dir, dtype, NULL), *text = g_strdup_printf ("%" G_GUINT64_FORMAT, tuner->weights);
  notes.saved++;
  g_assert_cmpint (g_mkdir (dir, 0700), ==, 0);
  return g_file_set_contents (file, text, -1, error);
}

gboolean
vj_tuner_checkpoint (const VjTuner *tuner, const char *file, GError **error)
{
  return g_file_set_contents (file, (const char *) tuner, sizeof *tuner, error);
}

gboolean
vj_tuner_restore (VjTuner *tuner, const char *file, GError **error)
{
  g_autofree char *text = NULL;
  if (!g_file_get_contents (file, &text, NULL, error))
    return FALSE;
  memcpy (tuner, text, sizeof *tuner);
  return TRUE;
}

gboolean
vj_tuner_fits (const VjTuner *tuner, const char *file, gboolean *ret_fits, GError **error)
{
  (void) tuner, (void) file, (void) error;
  *ret_fits = !notes.unlike;
  return TRUE;
}

VjTunerMemory
vj_tuner_memory (const VjTuner *tuner)
{
  (void) tuner;
  return (VjTunerMemory){0};
}

guint64
vj_tuner_steps (const VjTuner *tuner)
{
  return tuner->steps;
}

/* -- courses -------------------------------------------------------------------------- */

static void
note_step (gpointer data, size_t step, size_t steps, double loss, double learning_rate, double grad_norm)
{
  (void) steps, (void) loss, (void) learning_rate, (void) grad_norm;
  if (data)
    *(size_t *) data = step;
}

/* Trains on the letters of `letters` in the folder of `file`; `stop_after` and `bad_*` count from this call. The
 * model's "weights", "error EXIT", or "error EXIT: words" when it failed. Owned. */
static char *
train (Bench *bench, const char *file, const char *letters, const char *state, size_t *ret_last)
{
  g_autofree char *folder = g_path_get_dirname (file), *output = g_build_filename (folder, "out", NULL);
  g_autofree char *checkpoint = g_build_filename (folder, "state", NULL), *saved = g_build_filename (output, "f32", NULL), *text = NULL;
  VjCourseConfig config = {.model = folder, .state = state, .output = output, .checkpoint = checkpoint, .dtype = "f32",
                           .step = note_step, .data = ret_last};
  g_autoptr (VjCourse) course = vj_course_new (&config);
  g_autoptr (VjRun) run = vj_run_new (17, NULL, &notes.stop);
  g_autoptr (GError) error = NULL;
  for (; *letters; letters++) {
    char target[] = {*letters, 0};
    VjMessage messages[] = {{.speaker = VJ_SPEAKER_USER, .text = "?"}, {.speaker = VJ_SPEAKER_ASSISTANT, .text = target}};
    vj_course_add (course, messages, 2);
  }
  notes.calls = 0;
  g_atomic_int_set (&notes.stop, 0);
  vj_run_aim (run, "train", "1", 0, 0, 0);
  if (!VJ_INSTANCE_OPS (bench->instance, VjTrainerOps)->train (vj_instance_self (bench->instance), run, course, &error))
    return g_strdup_printf ("error %d: %s", vj_error_exit (error), error->message);
  g_assert_true (g_file_get_contents (saved, &text, NULL, NULL));
  return g_steal_pointer (&text);
}

static void
set_up (void)
{
  if (notes.log)
    g_string_free (notes.log, TRUE);
  memset (&notes, 0, sizeof notes);
  notes.log = g_string_new (NULL);
}

static void
remove_output (const char *file, gboolean state_too)
{
  g_autofree char *folder = g_path_get_dirname (file), *saved = g_build_filename (folder, "out", "f32", NULL);
  g_autofree char *output = g_build_filename (folder, "out", NULL), *state = g_build_filename (folder, "state", NULL);
  g_remove (saved);
  g_rmdir (output);
  if (state_too)
    g_remove (state);
}

/* Every example once an epoch, in another order each time; the rate warms up and falls to its floor. */
static void
test_order_and_schedule (void)
{
  static const struct {
    const char *schedule, *rates[6];
  } cases[] = {
    {"cosine", {"0.5", "1", "1", "0.775", "0.325", "0.1"}},
    {"linear", {"0.5", "1", "1", "0.7", "0.4", "0.1"}},
    {"constant", {"0.5", "1", "1", "1", "1", "1"}},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *file = bench_file ("x", "", -1), *weights = NULL;
    g_autoptr (Bench) bench = bench_new (VJ_ROLE_TRAINER, "sft", "epochs", "3", "batch_size", "3", "learning_rate", "1", "schedule", cases[i].schedule,
                                         "warmup_ratio", "0.3", "min_lr_ratio", "0.1", "freeze", "vision,text", NULL);
    size_t last = 0;
    set_up ();
    weights = train (bench, file, "abcde", NULL, &last);
    g_auto (GStrv) steps = g_strsplit (g_strchomp (notes.log->str), " ", -1);
    g_assert_cmpuint (g_strv_length (steps), ==, 6);
    for (guint s = 0; s < 6; s++) {
      g_assert_cmpstr (strchr (steps[s], '@') + 1, ==, cases[i].rates[s]);
      g_assert_cmpint (strchr (steps[s], '@') - steps[s], ==, s % 2 ? 2 : 3);
    }
    for (const char *letter = "abcde"; *letter; letter++)
      for (guint epoch = 0; epoch < 3; epoch++)
        g_assert_true (!strchr (steps[2 * epoch], *letter) != !strchr (steps[2 * epoch + 1], *letter));
    g_assert_true (strncmp (steps[0], steps[2], 3) != 0 || strncmp (steps[0], steps[4], 3) != 0);
    g_assert_cmpuint (last, ==, 6);
    g_assert_cmpuint (notes.freeze, ==, VJ_FREEZE_VISION | VJ_FREEZE_TEXT);
    remove_output (file, TRUE);
    bench_done_with (file);
  }
}

/* A stop after each possible step, with or without a step left out before: the same weights in the end. */
static void
test_resume_is_exact (void)
{
  for (guint bad = 0; bad < 2; bad++) {
    g_autofree char *whole = NULL;
    for (gint stop = 0; stop < 9; stop++) {
      g_autofree char *file = bench_file ("x", "", -1);
      g_autoptr (Bench) bench = bench_new (VJ_ROLE_TRAINER, "sft", "epochs", "2", "batch_size", "2", "non_finite", "skip", NULL);
      size_t last = 0;
      set_up ();
      notes.bad_from = 2, notes.bad_to = bad ? 4 : 2;
      notes.stop_after = stop;
      g_autofree char *first = train (bench, file, "abcdefg", NULL, &last);
      if (stop == 0)
        whole = g_strdup (first);
      else if (stop < 9) {
        g_assert_true (g_str_has_prefix (first, "error 130: "));
        g_assert_cmpuint (last, ==, stop);
        /* what was not finite before is not finite again: the numbers of calls begin anew */
        notes.bad_from = 2 > stop ? 2 - (guint) stop : 0, notes.bad_to = bad && stop < 4 ? 4 - (guint) stop : 0;
        notes.stop_after = 0;
        g_autofree char *second = train (bench, file, "abcdefg", NULL, &last);
        g_assert_cmpstr (second, ==, whole);
      }
      g_assert_cmpuint (last, ==, 8);
      g_autofree char *again = train (bench, file, "abcdefg", NULL, &last);
      g_assert_cmpstr (again, ==, whole); /* done is done */
      g_assert_cmpuint (notes.saved, ==, 1);
      remove_output (file, TRUE);
      bench_done_with (file);
    }
  }
}

/* The weights after `steps` steps of the course "abcdefgh": where the second run is to meet a step that is not finite. */
static guint64
weights_after (guint steps)
{
  g_autofree char *file = bench_file ("x", "", -1), *folder = g_path_get_dirname (file), *state = g_build_filename (folder, "state", NULL), *text = NULL;
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_TRAINER, "sft", "epochs", "2", "batch_size", "2", "learning_rate", "1", NULL);
  set_up ();
  notes.stop_after = (gint) steps;
  g_autofree char *stopped = train (bench, file, "abcdefgh", NULL, NULL);
  g_assert_true (g_file_get_contents (state, &text, NULL, NULL));
  guint64 weights = ((const VjTuner *) (gpointer) text)->weights;
  remove_output (file, TRUE);
  bench_done_with (file);
  return weights;
}

/* A step that is not finite from the weights of five steps: training goes back to the checkpoint of four, and on with half
 * the rate, so it never comes there again. Stopped anywhere and resumed, it ends with the same weights. */
static void
test_rollback (void)
{
  guint64 poison = weights_after (5);
  g_autofree char *whole = NULL;
  for (gint stop = 0; stop < 10; stop++) {
    g_autofree char *file = bench_file ("x", "", -1);
    g_autoptr (Bench) bench = bench_new (VJ_ROLE_TRAINER, "sft", "epochs", "2", "batch_size", "2", "learning_rate", "1", "checkpoint_every", "2",
                                         "non_finite", "rollback", NULL);
    size_t last = 0;
    set_up ();
    notes.poison = poison;
    notes.stop_after = stop;
    g_autofree char *first = train (bench, file, "abcdefgh", NULL, &last);
    if (stop == 0) {
      g_auto (GStrv) steps = g_strsplit (g_strchomp (notes.log->str), " ", -1);
      g_assert_cmpuint (g_strv_length (steps), ==, 10); /* the sixth failed; the fifth and sixth were made again */
      g_assert_true (strncmp (steps[4], steps[6], 3) == 0 && strncmp (steps[5], steps[7], 3) == 0);
      double before = g_ascii_strtod (strchr (steps[4], '@') + 1, NULL), after = g_ascii_strtod (strchr (steps[6], '@') + 1, NULL);
      g_assert_cmpfloat_with_epsilon (after, before / 2, 1e-3);
      whole = g_strdup (first);
    } else {
      g_assert_true (g_str_has_prefix (first, "error 130: "));
      notes.stop_after = 0;
      g_autofree char *second = train (bench, file, "abcdefgh", NULL, &last);
      g_assert_cmpstr (second, ==, whole);
    }
    g_assert_cmpuint (last, ==, 8);
    remove_output (file, TRUE);
    bench_done_with (file);
  }
}

/* What no rate cures: a step that fails from the checkpoint's own state, or again after a return, is left out; and when
 * nothing is finite any more, the run ends. */
static void
test_rollback_ends (void)
{
  g_autofree char *file = bench_file ("x", "", -1), *folder = g_path_get_dirname (file), *journal = g_build_filename (folder, "state.journal", NULL), *text = NULL;
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_TRAINER, "sft", "epochs", "1", "batch_size", "1", "checkpoint_every", "0", "non_finite", "rollback",
                                       "max_skips", "4", NULL);
  set_up ();
  notes.bad_from = 0, notes.bad_to = 1; /* the first step, from the start's own state */
  g_autofree char *first = train (bench, file, "abcd", NULL, NULL);
  g_assert_true (g_file_get_contents (journal, &text, NULL, NULL));
  g_assert_nonnull (strstr (text, "skipped 0\n"));
  g_assert_null (strstr (text, "returned"));
  remove_output (file, TRUE);
  set_up ();
  notes.bad_from = 2, notes.bad_to = 3, notes.also_bad = 5; /* the third step, and when it is made again */
  g_autofree char *second = train (bench, file, "abcd", NULL, NULL);
  g_clear_pointer (&text, g_free);
  g_assert_true (g_file_get_contents (journal, &text, NULL, NULL));
  g_assert_nonnull (strstr (text, "returned 2 to 0\nskipped 2\n"));
  remove_output (file, TRUE);
  set_up ();
  notes.bad_from = 2, notes.bad_to = G_MAXUINT64;
  g_autofree char *third = train (bench, file, "abcdefgh", NULL, NULL);
  g_assert_true (g_str_has_prefix (third, "error 9: sft: step "));
  g_assert_nonnull (strstr (third, "(max_skips); the step was not applied; lower learning_rate or rollback_rate"));
  g_assert_null (strstr (third, "set non_finite"));
  bench_done_with (file);
}

/* The options reach the engine; LoRA's seed is drawn, and leaves the orders of a course without it alone. */
static void
test_lora_options (void)
{
  g_autofree char *file = bench_file ("x", "", -1);
  g_autoptr (Bench) plain = bench_new (VJ_ROLE_TRAINER, "sft", "batch_size", "2", NULL);
  g_autoptr (Bench) lora = bench_new (VJ_ROLE_TRAINER, "sft", "batch_size", "2", "lora_rank", "8", "lora_alpha", "4", "lora_dropout", "0.25", "lora_targets",
                                      "q_proj,fc1", "lora_parts", "vision,cross", "save", "adapter", "checkpointing", "layers", NULL);
  set_up ();
  g_autofree char *first = train (plain, file, "abcd", NULL, NULL);
  g_assert_cmpuint (notes.lora.rank, ==, 0);
  g_assert_cmpuint (notes.recompute, ==, 0);
  remove_output (file, TRUE);
  set_up ();
  g_autofree char *second = train (lora, file, "abcd", NULL, NULL);
  g_assert_cmpuint (notes.lora.rank, ==, 8);
  g_assert_cmpfloat (notes.lora.alpha, ==, 4);
  g_assert_cmpfloat (notes.lora.dropout, ==, 0.25);
  g_assert_cmpuint (notes.lora.parts, ==, VJ_FREEZE_VISION | VJ_FREEZE_CROSS);
  g_assert_true (notes.lora.adapter);
  g_assert_cmpuint (notes.lora.seed, >, 0);
  g_assert_cmpuint (notes.recompute, ==, 1);
  g_assert_true (g_str_has_prefix (notes.log->str, "q_proj fc1 "));
  remove_output (file, TRUE);
  bench_done_with (file);
}

/* What the engine refuses without a model, the recipe is told when the plugin starts; so is an adapter without a base. */
static void
test_refused_settings (void)
{
  bench_refuse (VJ_ROLE_TRAINER, "sft", VJ_EXIT_RECIPE, "'lora_rank': 77 is refused here", "lora_rank", "77", NULL);
  bench_refuse_in (&(VjRunPlan){.fresh_weights = TRUE}, VJ_ROLE_TRAINER, "sft", VJ_EXIT_RECIPE, "set save: merged", "lora_rank", "8",
                   "save", "adapter", NULL);
  g_autoptr (Bench) fine = bench_new (VJ_ROLE_TRAINER, "sft", "lora_rank", "8", "save", "adapter", NULL);
}

static void
test_not_finite (void)
{
  g_autofree char *file = bench_file ("x", "", -1);
  g_autoptr (Bench) stop = bench_new (VJ_ROLE_TRAINER, "sft", "batch_size", "1", NULL);
  g_autoptr (Bench) skip = bench_new (VJ_ROLE_TRAINER, "sft", "batch_size", "1", "non_finite", "skip", "max_skips", "3",
                                      "max_grad_norm", "0", NULL);
  set_up ();
  notes.bad_from = 1, notes.bad_to = G_MAXUINT64;
  g_autofree char *first = train (stop, file, "abc", NULL, NULL), *second = train (skip, file, "abc", NULL, NULL);
  g_assert_true (g_str_has_prefix (first, "error 9: sft: step 2: "));
  g_assert_true (g_str_has_prefix (second, "error 9: sft: step 4: "));
  /* What is advised is not set already. */
  g_assert_nonnull (strstr (first, "set non_finite: skip or rollback"));
  g_assert_null (strstr (first, "max_grad_norm"));
  g_assert_nonnull (strstr (second, "the last of 3 in a row (max_skips)"));
  g_assert_nonnull (strstr (second, "set non_finite: rollback, or raise max_skips"));
  g_assert_null (strstr (second, "skip or rollback"));
  g_assert_nonnull (strstr (second, "or clip gradients by max_grad_norm"));
  g_autofree char *none = train (stop, file, "", NULL, NULL);
  g_assert_true (g_str_has_prefix (none, "error 4: "));
  bench_done_with (file);
}

/* The next course begins from the state of the one before, and a checkpoint of another course is refused. */
static void
test_courses_follow (void)
{
  g_autofree char *file = bench_file ("x", "", -1), *folder = g_path_get_dirname (file), *state = g_build_filename (folder, "before", NULL);
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_TRAINER, "sft", "epochs", "2", "batch_size", "2", "schedule", "constant", "warmup_ratio", "0", NULL);
  VjTuner before = {.weights = 5, .steps = 100};
  size_t last = 0;
  set_up ();
  g_assert_true (vj_tuner_checkpoint (&before, state, NULL));
  notes.stop_after = 3;
  g_autofree char *stopped = train (bench, file, "abcd", state, &last);
  notes.stop_after = 0;
  g_autofree char *other = train (bench, file, "abcdef", state, &last);
  g_assert_true (g_str_has_prefix (other, "error 6: "));
  g_autofree char *resumed = train (bench, file, "abcd", state, &last);
  remove_output (file, TRUE);
  g_autofree char *whole = train (bench, file, "abcd", state, &last);
  g_assert_cmpstr (resumed, ==, whole);
  remove_output (file, TRUE);
  g_autofree char *alone = train (bench, file, "abcd", NULL, &last);
  g_assert_cmpstr (alone, !=, whole);
  remove_output (file, TRUE);
  notes.unlike = TRUE; /* of another kind: begins from the model, as without it */
  g_autofree char *unlike = train (bench, file, "abcd", state, &last);
  g_assert_cmpstr (unlike, ==, alone);
  remove_output (file, TRUE);
  bench_done_with (file);
}

/* A pipe in the journal's place would be waited for, for ever. */
static void
test_journal_is_a_file (void)
{
  g_autofree char *file = bench_file ("x", "", -1), *folder = g_path_get_dirname (file);
  g_autofree char *journal = g_build_filename (folder, "state.journal", NULL);
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_TRAINER, "sft", "epochs", "2", "batch_size", "2", NULL);
  size_t last = 0;
  set_up ();
  notes.stop_after = 1;
  g_autofree char *stopped = train (bench, file, "abcd", NULL, &last);
  notes.stop_after = 0;
  g_assert_cmpint (g_remove (journal), ==, 0);
  g_assert_cmpint (mkfifo (journal, 0600), ==, 0);
  g_autofree char *refused = train (bench, file, "abcd", NULL, &last);
  g_assert_true (g_str_has_prefix (refused, "error 6: sft: "));
  g_assert_nonnull (strstr (refused, "not a regular file"));
  g_assert_cmpint (g_remove (journal), ==, 0);
  remove_output (file, TRUE);
  bench_done_with (file);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/plugins/sft/order-and-schedule", test_order_and_schedule);
  g_test_add_func ("/plugins/sft/resume-is-exact", test_resume_is_exact);
  g_test_add_func ("/plugins/sft/refused-settings", test_refused_settings);
  g_test_add_func ("/plugins/sft/not-finite", test_not_finite);
  g_test_add_func ("/plugins/sft/rollback", test_rollback);
  g_test_add_func ("/plugins/sft/rollback-ends", test_rollback_ends);
  g_test_add_func ("/plugins/sft/lora-options", test_lora_options);
  g_test_add_func ("/plugins/sft/courses-follow", test_courses_follow);
  g_test_add_func ("/plugins/sft/journal-is-a-file", test_journal_is_a_file);
  return g_test_run ();
}
