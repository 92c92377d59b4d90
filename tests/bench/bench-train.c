/* bench-train: how fast the engine learns. A worker (see bench-kit.h) with the row
 *
 *   train     one optimizer step over all cases: forward, backward, AdamW, the reply being what is learnt */
#include "bench-kit.h"

#include <string.h>

typedef struct {
  VjTuner *tuner;
  GPtrArray *cases;
  VjChatMessage *messages;  /* [2 cases]: what is asked, what is to be said */
  VjTunerExample *examples; /* [cases] */
} Learner;

static void
make_examples (Learner *learner)
{
  guint n = learner->cases->len;
  learner->messages = g_new0 (VjChatMessage, 2 * n);
  learner->examples = g_new0 (VjTunerExample, n);
  for (guint i = 0; i < n; i++) {
    const BenchCase *c = learner->cases->pdata[i];
    VjChatMessage *pair = learner->messages + 2 * i;
    pair[0] = (VjChatMessage) { VJ_SPEAKER_USER, c->prompt, c->images, c->n_images };
    pair[1] = (VjChatMessage) { VJ_SPEAKER_ASSISTANT, c->reply, NULL, 0 };
    learner->examples[i] = (VjTunerExample) { .messages = pair, .n_messages = 2, .weight = 1 };
  }
}

static gboolean
train_step (void *data, BenchSample *sample, GError **error)
{
  Learner *learner = data;
  VjTunerStep step = { 0 };
  bench_clock_start (sample);
  if (!vj_tuner_step (learner->tuner, learner->examples, learner->cases->len, 1e-5, &step, error))
    return FALSE;
  bench_clock_stop (sample);
  sample->prompt = step.context;
  sample->reply = step.tokens;
  return step.finite || vj_fail (error, VJ_EXIT_NONFINITE, "bench-train: the loss is not finite; take another model");
}

static gboolean
serve (const BenchOptions *options, GError **error)
{
  const VjTunerConfig config = { .beta1 = 0.9, .beta2 = 0.98, .epsilon = 1e-8, .weight_decay = 0.01, .max_grad_norm = 1,
                                 .freeze = options->freeze };
  g_autoptr (VjTuner) tuner = vj_tuner_open (options->model, &options->engine, &config, NULL, error);
  if (tuner == NULL)
    return FALSE;
  Learner learner = { .tuner = tuner, .cases = options->cases };
  make_examples (&learner);
  const char *compute = options->engine.compute;
  gboolean ok = bench_serve (compute != NULL ? compute : "compute auto", train_step, &learner, error);
  g_free (learner.messages);
  g_free (learner.examples);
  return ok;
}

int
main (int argc, char **argv)
{
  g_auto (BenchOptions) options = { 0 };
  GError *error = NULL;
  if (!bench_options_init (&options, argc, argv, &error))
    return bench_exit (error);
  if (strcmp (options.row, "train") == 0)
    serve (&options, &error);
  else
    vj_fail (&error, VJ_EXIT_USAGE, "bench-train: '%s': no such row; there is train", options.row);
  return bench_exit (error);
}
