#include "roles.h"

#include "image/image.h"

#include <string.h>

#define CHOSEN "A red cup stands to the left of two plates."
#define OTHER "A blue hat lies to the right of two plates."

/* [8, 8], half black, half white: every way changes it. */
static VjImage *
picture (gboolean plain)
{
  guint8 pixels[8 * 8 * 3];
  g_autoptr (GError) error = NULL;
  for (guint i = 0; i < sizeof pixels; i++)
    pixels[i] = plain ? 128 : i < sizeof pixels / 2 ? 0 : 255;
  VjImage *image = vj_image_new_from_rgb (pixels, 8, 8, &error);
  g_assert_no_error (error);
  return image;
}

static void
test_answers (void)
{
  static const struct {
    const char *reply, *reason;
  } cases[] = {
    {OTHER, NULL},
    {"", "the other answer is empty"},
    {BENCH_CUT OTHER, "the other answer was cut off"},
    {"a red cup stands to the left of TWO plates", "the other answer says the same"},
    {"A red cup stands to the left of three plates.", "the other answer differs too little"},
    {"A hat.", "the other answer differs too much in length"},
    {"A blurry hat lies to the right of two plates.", "the other answer speaks of the spoilt image"},
    {"The image is of Low Quality, it shows a plate.", "the other answer speaks of the spoilt image"},
    {"A noiseless hat lies to the right of two plates.", NULL}, /* no whole word of the list */
  };
  g_autoptr (VjImage) image = picture (FALSE);
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_INJECTOR, "degraded-image", "tries", "1", "difference", "0.2", NULL);
  bench->image = image;
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    BenchInjection got = bench_inject (bench, "What is there?", CHOSEN, cases[i].reply, NULL);
    g_assert_cmpstr (got.reason, ==, cases[i].reason);
    g_assert_cmpstr (got.text, ==, cases[i].reason ? NULL : cases[i].reply);
  }
  /* What the chosen answer says as well gives nothing away. */
  g_assert_cmpstr (bench_inject (bench, "?", "The background is blurry, with a red cup.", "A blurry road, and a blue hat on it.", NULL).text, ==,
                   "A blurry road, and a blue hat on it.");
}

/* Each way comes up, is told, and shows an image of its own digest; the same again for the same record. */
static void
test_ways (void)
{
  static const struct {
    const char *how, *kind, *change;
  } ways[] = {
    {"noise", "degraded-noise", "said of the image with noise 0.5"},
    {"blur", "degraded-blur", "said of the image with blur 0.5"},
    {"mask", "degraded-mask", "said of the image with mask 0.25"},
    {"blank", "degraded-blank", "said of a blank image"},
    {"erase", "degraded-erase", "said of the image with erase 0.25"},
  };
  guint8 pixels[8 * 8 * 3]; /* all neighbours differ, so that no erased part looks as before */
  for (guint i = 0; i < sizeof pixels; i++)
    pixels[i] = (guint8) (37 * i);
  g_autoptr (VjImage) image = vj_image_new_from_rgb (pixels, 8, 8, NULL);
  for (size_t i = 0; i < G_N_ELEMENTS (ways); i++) {
    g_autoptr (Bench) bench = bench_new (VJ_ROLE_INJECTOR, "degraded-image", "how", ways[i].how, "strength", "0.5", "share", "0.25", NULL);
    bench->image = image;
    BenchInjection got = bench_inject (bench, "?", CHOSEN, OTHER, NULL), again = bench_inject (bench, "?", CHOSEN, OTHER, NULL);
    g_assert_cmpstr (got.kind, ==, ways[i].kind);
    g_assert_cmpstr (got.change, ==, ways[i].change);
    g_assert_cmpstr (got.image, !=, vj_image_digest (image));
    g_assert_cmpstr (got.image, ==, bench->shown_digest); /* what the record tells is what the model saw */
    g_assert_cmpstr (got.image, ==, again.image);
  }
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_INJECTOR, "degraded-image", NULL);
  g_autoptr (GHashTable) kinds = g_hash_table_new (g_str_hash, g_str_equal), digests = g_hash_table_new (g_str_hash, g_str_equal);
  bench->image = image;
  for (guint i = 0; i < 40; i++) {
    g_autofree char *id = g_strdup_printf ("q%u", i);
    bench->record = id;
    BenchInjection got = bench_inject (bench, "?", CHOSEN, OTHER, NULL);
    g_hash_table_add (kinds, (gpointer) got.kind);
    g_hash_table_add (digests, (gpointer) got.image);
  }
  g_assert_cmpuint (g_hash_table_size (kinds), ==, 4);
  g_assert_cmpuint (g_hash_table_size (digests), >, 10); /* noise and masks follow the record's stream */
}

static void
test_asks_again (void)
{
  g_autoptr (VjImage) image = picture (FALSE);
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_INJECTOR, "degraded-image", "prompt", "say: {question}", NULL);
  bench->image = image;
  g_assert_cmpstr (bench_inject (bench, "what?", CHOSEN, CHOSEN, "", OTHER, NULL).text, ==, OTHER);
  g_assert_cmpuint (bench->rounds, ==, 3);
  g_assert_cmpstr (bench->asked, ==, "say: what?");
  g_assert_cmpstr (bench_inject (bench, "what?", CHOSEN, CHOSEN, "", CHOSEN, NULL).reason, ==, "the other answer says the same");
}

/* Without an image, or without a change of it, nothing is asked. */
static void
test_nothing_to_make_worse (void)
{
  g_autoptr (VjImage) plain = picture (TRUE);
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_INJECTOR, "degraded-image", "how", "blur,blank", NULL);
  g_assert_cmpstr (bench_inject (bench, "?", CHOSEN, NULL).reason, ==, "the question has no image");
  g_assert_null (bench->asked);
  bench->image = plain;
  g_assert_cmpstr (bench_inject (bench, "?", CHOSEN, NULL).reason, ==, "making the image worse changed no pixel");
  g_assert_null (bench->asked);
  bench_refuse (VJ_ROLE_INJECTOR, "degraded-image", VJ_EXIT_RECIPE, "{question}", "prompt", "?", NULL);
  bench_refuse (VJ_ROLE_INJECTOR, "degraded-image", VJ_EXIT_RECIPE, "unknown placeholder: x", "prompt", "{question}{x}", NULL);
  bench_refuse (VJ_ROLE_INJECTOR, "degraded-image", VJ_EXIT_RECIPE, "how", "how", "melt", NULL);
  bench_refuse (VJ_ROLE_INJECTOR, "degraded-image", VJ_EXIT_RECIPE, "strength", "strength", "0", NULL);
}

void
add_degraded_image_tests (void)
{
  g_test_add_func ("/plugins/degraded-image/answers", test_answers);
  g_test_add_func ("/plugins/degraded-image/ways", test_ways);
  g_test_add_func ("/plugins/degraded-image/asks-again", test_asks_again);
  g_test_add_func ("/plugins/degraded-image/nothing-to-make-worse", test_nothing_to_make_worse);
}
