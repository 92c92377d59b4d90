/* bench-serve: the two loads that a run is made of. For people, not for `make check`:
 *
 *   bench-serve MODEL-DIR [THREADS [FORGET [MAX-BATCH [ROUNDS]]]]
 *
 * 16 draws of one question about one image; and 64 pairs, each with an image of its own, judged in both orders.
 * FORGET 1: no prompt is kept for those that begin alike. The fastest of ROUNDS is reported. */
#include "vj/engine.h"

#include <stdio.h>
#include <stdlib.h>

#define PAIRS 64

static const char frame[]
    = "You are shown an image, a question about it, and the answers of two assistants, A and B. Decide which answer is better: what it "
      "states must agree with what the image shows, objects, their attributes, their number, their positions, and any text. Neither the "
      "order of the answers, nor their length, nor their tone may sway you.\n=== Question ===\nWhat does the image show, and where?\n"
      "=== Answer of assistant A ===\n%s\n=== Answer of assistant B ===\n%s\n=== End ===\nReason step by step, then give your verdict.";

typedef struct {
  VjEngine *engine;
  VjPixels images[PAIRS];
} Bench;

static void
draw_images (Bench *bench)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  for (guint i = 0; i < PAIRS; i++) {
    guint8 *rgb = g_malloc (56 * 56 * 3);
    for (guint k = 0; k < 56 * 56 * 3; k++)
      rgb[k] = (guint8) g_rand_int (rand);
    bench->images[i] = (VjPixels){rgb, 56, 56, g_strdup_printf ("image %u", i)};
  }
}

static gboolean
ask (Bench *bench, guint64 ticket, const char *text, guint image, guint draws, guint most, GError **error)
{
  g_autofree guint64 *seeds = g_new (guint64, draws);
  VjChatMessage message = {VJ_SPEAKER_USER, text, &bench->images[image], 1};
  for (guint d = 0; d < draws; d++)
    seeds[d] = ticket * 1000 + d;
  VjGenerateRequest request = {&message, 1, {.temperature = 0.6, .top_k = 50, .top_p = 0.9, .max_tokens = most}, seeds, draws};
  return vj_engine_submit (bench->engine, ticket, &request, error);
}

static gboolean
ask_draws (Bench *bench, GError **error)
{
  return ask (bench, 0, "How many objects does the image show? Reason step by step.", 0, 16, 40, error);
}

static gboolean
ask_judgments (Bench *bench, GError **error)
{
  for (guint i = 0; i < 2 * PAIRS; i++) {
    const char *answers[] = {"There is a red circle left of a blue square.", "There is a blue circle left of a red square."};
    g_autofree char *text = g_strdup_printf (frame, answers[i % 2], answers[1 - i % 2]);
    if (!ask (bench, i, text, i / 2, 1, 60, error))
      return FALSE;
  }
  return TRUE;
}

/* Runs one load on a fresh engine; *ret_seconds is lowered to what it took. */
static gboolean
measure (Bench *bench, const char *dir, const VjEngineConfig *config, gboolean (*load) (Bench *, GError **), double *ret_seconds,
         VjEngineWork *ret_work, guint64 *ret_replies, guint64 *ret_said, GError **error)
{
  g_autoptr (VjEngine) engine = vj_engine_open (dir, config, error);
  gboolean done = FALSE;
  bench->engine = engine;
  *ret_replies = *ret_said = 0;
  gint64 begin = g_get_monotonic_time ();
  if (engine == NULL || !load (bench, error))
    return FALSE;
  for (VjGenerated generated; vj_engine_poll (engine, &generated, &done, error) && !done; g_free (generated.text)) {
    ++*ret_replies;
    *ret_said += generated.completion_tokens;
  }
  *ret_work = vj_engine_work (engine);
  *ret_seconds = MIN (*ret_seconds, (double) (g_get_monotonic_time () - begin) / 1e6);
  return done;
}

static gboolean
run (int argc, char **argv, GError **error)
{
  static const struct {
    const char *name;
    gboolean (*load) (Bench *, GError **);
  } loads[] = {{"16 draws", ask_draws}, {"64 pairs in both orders", ask_judgments}};
  VjEngineConfig config = {.threads = argc > 2 ? (guint) atoi (argv[2]) : 0, .forget = argc > 3 && atoi (argv[3]) != 0,
                           .max_batch = argc > 4 ? (guint) atoi (argv[4]) : 0};
  Bench bench = {0};
  draw_images (&bench);
  for (guint i = 0; i < G_N_ELEMENTS (loads); i++) {
    double seconds = 1e9;
    guint64 replies = 0, said = 0;
    VjEngineWork work = {0};
    for (int round = argc > 5 ? atoi (argv[5]) : 3; round > 0; round--)
      if (!measure (&bench, argv[1], &config, loads[i].load, &seconds, &work, &replies, &said, error))
        return FALSE;
    printf ("%s: %.3f s, %.0f replies, %.0f tokens said; %.0f steps, %.0f rows, %.0f prompt tokens spared, %.0f images\n", loads[i].name,
            seconds, (double) replies, (double) said, (double) work.steps, (double) work.tokens, (double) work.reused, (double) work.images);
  }
  return TRUE;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  if (argc < 2 || !run (argc, argv, &error)) {
    fprintf (stderr, "%s\n", error ? error->message : "usage: bench-serve MODEL-DIR [THREADS [FORGET [MAX-BATCH [ROUNDS]]]]");
    return error ? (int) vj_error_exit (error) : VJ_EXIT_USAGE;
  }
  return 0;
}
