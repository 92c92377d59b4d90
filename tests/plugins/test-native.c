/* The native backend: from requests with encoded images to replies. */
#include "../tools/bench.h"
#include "image/image.h"

#include <string.h>

static char *
model_dir (void)
{
  return g_build_filename (g_getenv ("VJ_SRCDIR"), "tests/vectors/engine", NULL);
}

static VjImage *
picture (guint32 side)
{
  g_autoptr (GError) error = NULL;
  g_autofree guint8 *rgb = g_malloc ((gsize) side * side * 3);
  for (gsize i = 0; i < (gsize) side * side * 3; i++)
    rgb[i] = (guint8) (i * 37 % 251);
  VjImage *image = vj_image_new_from_rgb (rgb, side, side, &error);
  g_assert_no_error (error);
  return image;
}

static void
submit (Bench *bench, uint64_t ticket, const char *text, const VjImage *image, int64_t n)
{
  g_autoptr (GError) error = NULL;
  static const uint64_t seeds[4] = {11, 12, 13, 14};
  VjMessage message = {.speaker = VJ_SPEAKER_USER, .text = text, .images = &image, .n_images = image != NULL};
  VjRequest request = {.messages = &message, .n_messages = 1, .sampling = {.temperature = 1, .top_p = 1, .max_tokens = 6, .n = n}, .seeds = seeds};
  g_assert_true (VJ_INSTANCE_OPS (bench->instance, VjBackendOps)->submit (vj_instance_self (bench->instance), bench->run, ticket, &request, &error));
  g_assert_no_error (error);
}

static gint
by_text (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* All replies, as lines "ticket.draw text" or "ticket.draw !error", in order of ticket and draw. Owned. */
static char *
drain (Bench *bench)
{
  g_autoptr (GPtrArray) lines = g_ptr_array_new_with_free_func (g_free);
  for (;;) {
    VjReply reply = {0};
    g_autoptr (GError) error = NULL;
    VjFlow flow = VJ_INSTANCE_OPS (bench->instance, VjBackendOps)->poll (vj_instance_self (bench->instance), bench->run, &reply, &error);
    g_assert_no_error (error);
    if (flow == VJ_FLOW_END)
      break;
    g_assert_cmpint (flow, ==, VJ_FLOW_OK);
    g_ptr_array_add (lines, g_strdup_printf ("%d.%u %s%s", (int) reply.ticket, reply.draw, reply.error ? "!" : "", reply.error ? reply.error : reply.text));
    g_free (reply.text);
    g_free (reply.error);
  }
  g_ptr_array_sort (lines, by_text);
  g_ptr_array_add (lines, NULL);
  return g_strjoinv ("\n", (char **) lines->pdata);
}

static void
test_answers_requests (void)
{
  g_autofree char *dir = model_dir ();
  g_autoptr (VjImage) small = picture (16), large = picture (40);
  char *texts[2];
  for (int i = 0; i < 2; i++) { /* again, in another order and by other threads */
    g_autoptr (Bench) bench = bench_new (VJ_ROLE_BACKEND, "native", "path", dir, "threads", i ? "2" : "1", "max_batch", i ? "3" : "0", NULL);
    const VjBackendOps *ops = VJ_INSTANCE_OPS (bench->instance, VjBackendOps);
    for (int k = 0; k < 3; k++) {
      int ticket = i ? 2 - k : k;
      submit (bench, (uint64_t) ticket, "how many?", ticket == 0 ? NULL : ticket == 1 ? small : large, ticket + 1);
    }
    texts[i] = drain (bench);
    g_assert_cmpuint (strlen (ops->identity (vj_instance_self (bench->instance))), ==, 64);
  }
  g_test_message ("%s", texts[0]);
  g_assert_cmpstr (texts[0], ==, texts[1]);
  g_assert_nonnull (strstr (texts[0], "2.2 "));
  g_assert_null (strchr (texts[0], '!'));
  g_free (texts[0]);
  g_free (texts[1]);
}

/* A request that cannot be answered costs its own record, not the run. */
static void
test_impossible_requests_get_an_error (void)
{
  g_autofree char *dir = model_dir (), *endless = g_strnfill (4000, '?');
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_BACKEND, "native", "path", dir, NULL);
  submit (bench, 1, endless, NULL, 2);
  submit (bench, 2, "how many?", NULL, 1);
  g_autofree char *text = drain (bench);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  g_assert_true (g_str_has_prefix (lines[0], "1.0 !"));
  g_assert_nonnull (strstr (lines[0], "positions"));
  g_assert_true (g_str_has_prefix (lines[1], "1.1 !"));
  g_assert_true (g_str_has_prefix (lines[2], "2.0 "));
}

static const VjBackendOps *
verbs (Bench *bench)
{
  return VJ_INSTANCE_OPS (bench->instance, VjBackendOps);
}

/* One draw of one question. Owned. */
static char *
answer (Bench *bench, VjSampling sampling)
{
  static const uint64_t seeds[1] = {3};
  g_autoptr (GError) error = NULL;
  VjMessage message = {.speaker = VJ_SPEAKER_USER, .text = "how many?"};
  VjRequest request = {.messages = &message, .n_messages = 1, .sampling = sampling, .seeds = seeds};
  VjReply reply = {0};
  g_assert_true (verbs (bench)->submit (vj_instance_self (bench->instance), bench->run, 1, &request, &error));
  g_assert_cmpint (verbs (bench)->poll (vj_instance_self (bench->instance), bench->run, &reply, &error), ==, VJ_FLOW_OK);
  g_assert_no_error (error);
  return reply.text;
}

/* Every field of the sampling reaches the engine. */
static void
test_sampling_is_carried (void)
{
  g_autofree char *dir = model_dir ();
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_BACKEND, "native", "path", dir, "dtype", "f32", NULL); /* short random texts: their likeness hangs on the last bits */
  const VjSampling usual = {.temperature = 2, .top_p = 1, .max_tokens = 24, .n = 1};
  g_autofree char *text = answer (bench, usual);
  g_autofree char *second = g_utf8_substring (text, 1, 2);
  char *stop[] = {second, NULL};
  VjSampling changed[] = {usual, usual, usual, usual, usual, usual};
  changed[0].temperature = 0;
  changed[1].top_p = 0.05;
  changed[2].top_k = 1;
  changed[3].max_tokens = 3;
  changed[4].min_p = 1;
  changed[5].repetition_penalty = 50;
  for (gsize i = 0; i < G_N_ELEMENTS (changed); i++) {
    g_autofree char *other = answer (bench, changed[i]);
    g_test_message ("%d: %s", (int) i, other);
    g_assert_cmpstr (other, !=, text);
  }
  VjSampling stopped = usual;
  stopped.stop = stop;
  g_autofree char *before = answer (bench, stopped);
  g_autofree char *expected = g_strndup (text, (gsize) (strstr (text, second) - text));
  g_assert_cmpstr (before, ==, expected);
}

static void
test_scores (void)
{
  g_autofree char *dir = model_dir ();
  g_autoptr (GError) error = NULL;
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_BACKEND, "native", "path", dir, NULL);
  g_autoptr (VjImage) image = picture (16);
  static const char *const marks[] = {"[[A]]", "[[B]]"};
  VjMessage messages[2] = {{VJ_SPEAKER_USER, "which?", (const VjImage *const *) &image, 1}, {VJ_SPEAKER_USER, "which?", NULL, 0}};
  double scores[2][2];
  for (int i = 0; i < 2; i++) {
    VjRequest request = {.messages = &messages[i], .n_messages = 1};
    g_assert_true (verbs (bench)->score (vj_instance_self (bench->instance), bench->run, &request, "it is ", marks, 2, scores[i], &error));
    g_assert_no_error (error);
    g_test_message ("%g %g", scores[i][0], scores[i][1]);
    g_assert_cmpfloat (scores[i][0], <, 0);
    g_assert_cmpfloat (scores[i][0], !=, scores[i][1]);
  }
  g_assert_cmpfloat (scores[0][0], !=, scores[1][0]); /* the image is seen */
}

static void
test_missing_model_is_refused (void)
{
  bench_refuse (VJ_ROLE_BACKEND, "native", VJ_EXIT_DATA, "/nonexistent/model", "path", "/nonexistent/model", NULL);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/native/answers-requests", test_answers_requests);
  g_test_add_func ("/native/impossible-requests-get-an-error", test_impossible_requests_get_an_error);
  g_test_add_func ("/native/sampling-is-carried", test_sampling_is_carried);
  g_test_add_func ("/native/scores", test_scores);
  g_test_add_func ("/native/missing-model-is-refused", test_missing_model_is_refused);
  return g_test_run ();
}
