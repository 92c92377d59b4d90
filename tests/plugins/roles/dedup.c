#include "roles.h"

#include "image/image.h"

static void
test_keeps_one_pair (void)
{
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_FILTER, "dedup", NULL);
  /* "p" and "o" hold the same answers, "o" the other way round; "r" has another answer. */
  VjTrace traces[] = {TRACE ("1", "p", TRUE, A), TRACE ("2", "p", FALSE, B), TRACE ("3", "o", TRUE, A), TRACE ("4", "r", TRUE, A)};
  traces[2].chosen = "no", traces[2].rejected = "yes", traces[3].rejected = "noyes";
  const char *const *reasons = bench_filter (bench, traces, 4);
  g_assert_cmpstr (reasons[0], ==, "same as another pair");
  g_assert_cmpstr (reasons[1], ==, "same as another pair");
  g_assert_null (reasons[2]); /* the smaller id, though it came later */
  g_assert_null (reasons[3]);
}

static void
test_by_question (void)
{
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_FILTER, "dedup", "by", "question", NULL);
  VjTrace traces[] = {TRACE ("1", "p", TRUE, A), TRACE ("4", "r", TRUE, A)};
  traces[1].rejected = "other";
  const char *const *reasons = bench_filter (bench, traces, 2);
  g_assert_null (reasons[0]);
  g_assert_cmpstr (reasons[1], ==, "same question as another pair");
}

#define LONG "at the left of the picture there stands a small red circle and to the right of it one may see a large blue square "

/* "p" and "o" differ in one word of many, "r" in all; both orders of a pair fare alike, and the smaller id stays. */
static void
test_near (void)
{
  VjTrace traces[] = {TRACE ("1", "p", TRUE, A), TRACE ("2", "p", FALSE, B), TRACE ("3", "o", TRUE, A), TRACE ("4", "r", TRUE, A)};
  traces[0].chosen = traces[1].chosen = LONG "today", traces[0].rejected = traces[1].rejected = LONG "never";
  traces[2].rejected = LONG "TODAY.", traces[2].chosen = LONG "always";
  traces[3].chosen = "two dogs run after a ball in the park", traces[3].rejected = "three dogs run after a ball in the park";
  static const struct {
    const char *threshold;
    gboolean near;
  } cases[] = {{"0.8", TRUE}, {"0.99", FALSE}};
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Bench) bench = bench_new (VJ_ROLE_FILTER, "dedup", "method", "minhash", "threshold", cases[i].threshold, NULL);
    const char *const *reasons = bench_filter (bench, traces, 4);
    g_assert_cmpstr (reasons[0], ==, cases[i].near ? "nearly the same as another pair" : NULL);
    g_assert_cmpstr (reasons[1], ==, cases[i].near ? "nearly the same as another pair" : NULL);
    g_assert_null (reasons[2]);
    g_assert_null (reasons[3]);
  }
}

/* Traces are compared within one order; equal ones go in either method. */
static void
test_by_trace (void)
{
  static const char *const methods[] = {"exact", "minhash"};
  for (size_t i = 0; i < 2; i++) {
    g_autoptr (Bench) bench = bench_new (VJ_ROLE_FILTER, "dedup", "by", "trace", "method", methods[i], NULL);
    VjTrace traces[] = {TRACE ("1", "p", TRUE, A), TRACE ("2", "p", TRUE, A), TRACE ("3", "p", FALSE, B), TRACE ("4", "p", TRUE, A)};
    for (size_t j = 0; j < 4; j++)
      traces[j].text = LONG "so it is";
    traces[3].text = "another reason altogether";
    const char *const *reasons = bench_filter (bench, traces, 4);
    g_assert_null (reasons[0]);
    g_assert_cmpstr (reasons[1], ==, i ? "nearly the same as another trace" : "same as another trace");
    g_assert_null (reasons[2]);
    g_assert_null (reasons[3]);
  }
}

/* Equal texts about different images are no doubles, unless images are left out. */
static void
test_images (void)
{
  static const guint8 pixels[2][3] = {{255, 0, 0}, {0, 0, 255}};
  const VjImage *images[2];
  VjQuestion questions[2];
  for (guint i = 0; i < 2; i++) {
    images[i] = vj_image_new_from_rgb (pixels[i], 1, 1, NULL);
    questions[i] = (VjQuestion){.id = "q", .prompt = "q", .category = "", .images = &images[i], .n_images = 1};
  }
  VjTrace traces[] = {TRACE ("1", "p", TRUE, A), TRACE ("4", "r", TRUE, A)};
  traces[0].question = &questions[0], traces[1].question = &questions[1];
  static const char *const methods[] = {"exact", "minhash"};
  for (size_t i = 0; i < 2; i++) {
    g_autoptr (Bench) with = bench_new (VJ_ROLE_FILTER, "dedup", "method", methods[i], NULL);
    g_autoptr (Bench) without = bench_new (VJ_ROLE_FILTER, "dedup", "method", methods[i], "images", "false", NULL);
    g_assert_null (bench_filter (with, traces, 2)[1]);
    g_assert_nonnull (bench_filter (without, traces, 2)[1]);
  }
  for (guint i = 0; i < 2; i++)
    vj_image_unref ((VjImage *) images[i]);
}

void
add_dedup_tests (void)
{
  g_test_add_func ("/plugins/dedup/keeps-one-pair", test_keeps_one_pair);
  g_test_add_func ("/plugins/dedup/by-question", test_by_question);
  g_test_add_func ("/plugins/dedup/near", test_near);
  g_test_add_func ("/plugins/dedup/by-trace", test_by_trace);
  g_test_add_func ("/plugins/dedup/images", test_images);
}
