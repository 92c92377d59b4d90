/* Rows trained per second on a model directory: bench-train DIR [COMPUTE [THREADS [STEPS [FREEZE [DTYPE]]]]].
 * A row is 64 text tokens, half of them targets, and one image; a step is 32 rows. Built on demand: make tests/bench/bench-train. */
#include "base/random.h"
#include "engine/mllama/train.h"
#include "tests/engine/openblas.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROWS 32
#define TOKENS 64

static double
seconds (clockid_t clock)
{
  struct timespec t;
  clock_gettime (clock, &t);
  return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  VjTunerConfig config = { .beta1 = 0.9, .beta2 = 0.98, .epsilon = 1e-8, .weight_decay = 0.01, .max_grad_norm = 1,
                           .freeze = argc > 5 ? (guint) atoi (argv[5]) : 0 };
  guint64 seed = 1;
  guint steps = argc > 4 ? (guint) atoi (argv[4]) : 10;
  if (argc < 2)
    return 2;
  openblas_offer ();
  g_autoptr (VjMllamaTrainer) trainer = vj_mllama_trainer_open (argv[1], argc > 2 ? argv[2] : "cpu", argc > 3 ? (guint) atoi (argv[3]) : 0, argc > 6 ? argv[6] : "f32", &config, &seed, &error);
  if (trainer == NULL) {
    fprintf (stderr, "%s\n", error->message);
    return 4;
  }
  const VjMllamaConfig *c = &vj_mllama_trainer_peek_plan (trainer)->config;
  static guint32 tokens[ROWS][TOKENS];
  static guint8 targets[ROWS][TOKENS];
  VjMllamaExample examples[ROWS];
  VjMllamaImage images[ROWS];
  gsize pixels = 3 * (gsize) c->image_size * c->image_size;
  float *tiles = g_new (float, ROWS * pixels);
  VjRandom random;
  vj_random_init (&random, 2);
  for (gsize i = 0; i < ROWS * pixels; i++)
    tiles[i] = (float) vj_random_normal (&random);
  for (guint r = 0; r < ROWS; r++) {
    for (guint t = 0; t < TOKENS; t++) {
      tokens[r][t] = t == 4 ? c->image_token_index : vj_random_below (&random, c->vocab_size);
      targets[r][t] = t >= TOKENS / 2;
    }
    images[r] = (VjMllamaImage) { tiles + r * pixels, 1, 1 };
    examples[r] = (VjMllamaExample) { tokens[r], targets[r], TOKENS, &images[r], NULL, 1, 1 };
  }
  VjTunerStep step;
  double start = 0, busy = 0;
  for (guint s = 0; s <= steps; s++) {
    if (s == 1) { /* the first step allocates */
      start = seconds (CLOCK_MONOTONIC);
      busy = seconds (CLOCK_PROCESS_CPUTIME_ID);
    }
    if (!vj_mllama_trainer_step (trainer, examples, ROWS, 1e-3, &step, &error)) {
      fprintf (stderr, "%s\n", error->message);
      return 4;
    }
  }
  double wall = seconds (CLOCK_MONOTONIC) - start, cpu = seconds (CLOCK_PROCESS_CPUTIME_ID) - busy;
  printf ("%.1f rows/s (%.1f rows per second of processor time), loss %.4f\n", steps * ROWS / wall, steps * ROWS / cpu, step.loss);
  g_free (tiles);
  return 0;
}
