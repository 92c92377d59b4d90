/* bench-generate: how fast the engine prefills and decodes. For people, not for `make check`:
 *
 *   bench-generate MODEL-DIR [REQUESTS [DRAWS [MAX-TOKENS [THREADS [MAX-BATCH [IMAGES [PROMPT-WORDS]]]]]]]
 *
 * Each request shows one of IMAGES pictures of noise and a prompt of its own. */
#include "vj/engine.h"

#include <stdio.h>
#include <stdlib.h>

static guint
number (int argc, char **argv, int i, guint usual)
{
  return argc > i ? (guint) atoi (argv[i]) : usual;
}

static VjPixels *
draw_images (guint n, guint side)
{
  VjPixels *images = g_new0 (VjPixels, n);
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  for (guint i = 0; i < n; i++) {
    guint8 *rgb = g_malloc ((gsize) side * side * 3);
    for (guint k = 0; k < side * side * 3; k++)
      rgb[k] = (guint8) g_rand_int (rand);
    images[i] = (VjPixels){rgb, side, side, g_strdup_printf ("image %u", i)};
  }
  return images;
}

static gboolean
submit_all (VjEngine *engine, guint requests, guint draws, guint most, VjPixels *images, guint n_images, guint words, GError **error)
{
  for (guint i = 0; i < requests; i++) {
    g_autoptr (GString) text = g_string_new (NULL);
    g_autofree guint64 *seeds = g_new (guint64, draws);
    for (guint w = 0; w < words; w++)
      g_string_append_printf (text, "circle %u ", (i + w) % 10);
    for (guint d = 0; d < draws; d++)
      seeds[d] = i * 1000 + d;
    VjChatMessage message = {VJ_SPEAKER_USER, text->str, n_images ? &images[i % n_images] : NULL, n_images > 0};
    VjGenerateRequest request = {&message, 1, {.temperature = 1, .top_k = 50, .top_p = 0.9, .max_tokens = most}, seeds, draws};
    if (!vj_engine_submit (engine, i, &request, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
run (int argc, char **argv, GError **error)
{
  guint requests = number (argc, argv, 2, 200), draws = number (argc, argv, 3, 1), most = number (argc, argv, 4, 40);
  guint n_images = number (argc, argv, 7, 50), words = number (argc, argv, 8, 10);
  VjEngineConfig config = {.threads = number (argc, argv, 5, 0), .max_batch = number (argc, argv, 6, 0)};
  g_autoptr (VjEngine) engine = vj_engine_open (argv[1], &config, error);
  gint64 begin = g_get_monotonic_time (), submitted;
  guint64 prompt = 0, completion = 0;
  gboolean done = FALSE;
  if (engine == NULL || !submit_all (engine, requests, draws, most, draw_images (n_images, 56), n_images, words, error))
    return FALSE;
  submitted = g_get_monotonic_time ();
  while (!done) {
    VjGenerated generated;
    if (!vj_engine_poll (engine, &generated, &done, error))
      return FALSE;
    if (done)
      break;
    prompt += generated.draw == 0 ? generated.prompt_tokens : 0;
    completion += generated.completion_tokens;
    g_free (generated.text);
  }
  double seconds = (double) (g_get_monotonic_time () - submitted) / 1e6;
  printf ("%s\nsubmit %.3f s; run %.3f s; prompt %.0f tokens/s, reply %.0f tokens/s, %.1f replies/s\n", vj_engine_summary (engine),
          (double) (submitted - begin) / 1e6, seconds, (double) prompt / seconds, (double) completion / seconds, requests * draws / seconds);
  return TRUE;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  if (argc < 2 || !run (argc, argv, &error)) {
    fprintf (stderr, "%s\n", error ? error->message : "usage: bench-generate MODEL-DIR [REQUESTS [DRAWS [MAX-TOKENS [THREADS [MAX-BATCH [IMAGES [PROMPT-WORDS]]]]]]]");
    return error ? (int) vj_error_exit (error) : VJ_EXIT_USAGE;
  }
  return 0;
}
