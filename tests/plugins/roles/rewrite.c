#include "roles.h"

#include "image/image.h"

#include <string.h>

#define LONG "A red cup stands to the left of two plates."

static void
test_checks (void)
{
  static const struct {
    const char *reply, *change, *reason;
  } cases[] = {
    {"A blue cup stands to the left of two plates.\n", "red -> blue", NULL},
    {"A red cup stands to the right of three plates.", "left -> right; two -> three", NULL},
    {LONG, NULL, "the rewrite changed nothing"},
    {" " LONG "\n", NULL, "the rewrite changed nothing"},
    {"a red cup stands to the left of two plates", NULL, "the rewrite changed only case or punctuation"},
    {"Two plates stands to the left of a red cup.", NULL, "the rewrite changed only the order of words"},
    {"", NULL, "the rewrite is empty"},
    {" ... ", NULL, "the rewrite is empty"},
    {BENCH_CUT "A blue cup stands to the left of two plates.", NULL, "the rewrite was cut off"},
    {"A blue cup.", NULL, "the rewrite differs too much in length"},
    {"My green hat hangs on the right of nine walls.", NULL, "the rewrite changed too many words"},
  };
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_INJECTOR, "rewrite", "tries", "1", "max_changed", "3", "check_kind", "false", NULL);
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    BenchInjection got = bench_inject (bench, "What is there?", LONG, cases[i].reply, NULL);
    g_assert_cmpint (got.flow, ==, cases[i].reason ? VJ_FLOW_SKIP : VJ_FLOW_OK);
    g_assert_cmpstr (got.reason, ==, cases[i].reason);
    g_assert_cmpstr (got.change, ==, cases[i].change);
    g_assert_true (!got.kind == !!cases[i].reason);
  }
}

static void
test_asks_again (void)
{
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_INJECTOR, "rewrite", "kinds", "attribute", NULL);
  g_assert_cmpstr (bench_inject (bench, "?", "a red cup", "a red cup", "", "a blue cup", NULL).text, ==, "a blue cup");
  g_assert_cmpuint (bench->rounds, ==, 3);
  g_assert_cmpstr (bench_inject (bench, "?", "a red cup", "a red cup", "", "a red cup", NULL).reason, ==, "the rewrite changed nothing");
}

/* What is not of the kind that was asked for is asked for again, and the reason says so; the check can be switched off. */
static void
test_checks_the_kind (void)
{
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_INJECTOR, "rewrite", "kinds", "count", NULL);
  const char *blue = "A blue cup stands to the left of two plates.", *nine = "A red cup stands to the left of nine plates.";
  BenchInjection got = bench_inject (bench, "?", LONG, blue, nine, NULL);
  g_assert_cmpstr (got.text, ==, nine);
  g_assert_cmpstr (got.kind, ==, "count");
  g_assert_cmpuint (bench->rounds, ==, 2);
  g_assert_cmpstr (bench_inject (bench, "?", LONG, blue, blue, blue, NULL).reason, ==, "the rewrite changed other words than a count");
  g_autoptr (Bench) trusting = bench_new (VJ_ROLE_INJECTOR, "rewrite", "kinds", "count", "check_kind", "false", NULL);
  g_assert_cmpstr (bench_inject (trusting, "?", LONG, blue, NULL).text, ==, blue);
  /* A short prompt, as that of models/vj-tiny, and a standard one, which says what the kind means. */
  g_autoptr (Bench) added = bench_new (VJ_ROLE_INJECTOR, "rewrite", "kinds", "object-added", NULL);
  g_assert_cmpstr (bench_inject (added, "?", LONG, "A red cup and a fork stand to the left of two plates.", NULL).kind, ==, "object-added");
  g_assert_nonnull (strstr (added->asked, "put in one more thing"));
}

/* A model that rewrites from text alone is shown no image, any other one is. */
static void
test_images (void)
{
  static const guint8 pixels[3] = {255, 0, 0};
  g_autoptr (GError) error = NULL;
  VjImage *image = vj_image_new_from_rgb (pixels, 1, 1, &error);
  g_assert_no_error (error);
  for (gsize shown = 0; shown < 2; shown++) {
    g_autoptr (Bench) bench = bench_new (VJ_ROLE_INJECTOR, "rewrite", "kinds", "attribute", "images", shown ? "true" : "false", NULL);
    bench->image = image;
    bench_inject (bench, "?", "a red cup", "a blue cup", NULL);
    g_assert_cmpuint (bench->shown, ==, shown);
  }
  vj_image_unref (image);
}

/* The kind told is the kind asked for, and every kind comes up. */
static void
test_kinds (void)
{
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_INJECTOR, "rewrite", "kinds", "count,position", "check_kind", "false", "instruction",
                                       "rewrite {kind} : {response} {{x}}", NULL);
  guint counts = 0;
  for (int i = 0; i < 50; i++) {
    g_autofree char *id = g_strdup_printf ("q%d", i);
    bench->record = id;
    BenchInjection got = bench_inject (bench, "?", "{kind} red", "{kind} blue", NULL); /* not checked: see above */
    g_autofree char *asked = g_strdup_printf ("rewrite %s : {kind} red {x}", got.kind);
    g_assert_cmpstr (bench->asked, ==, asked);
    counts += g_str_equal (got.kind, "count") ? 1 : 0;
  }
  g_assert_cmpint (ABS ((int) counts - 25), <, 14);
  bench_refuse (VJ_ROLE_INJECTOR, "rewrite", VJ_EXIT_RECIPE, "{response} is missing", "instruction", "change {kind}", NULL);
  bench_refuse (VJ_ROLE_INJECTOR, "rewrite", VJ_EXIT_RECIPE, "{answer}", "instruction", "{response}{answer}", NULL);
  bench_refuse (VJ_ROLE_INJECTOR, "rewrite", VJ_EXIT_RECIPE, "kinds", "kinds", "mood", NULL);
}

void
add_rewrite_tests (void)
{
  g_test_add_func ("/plugins/rewrite/checks", test_checks);
  g_test_add_func ("/plugins/rewrite/asks-again", test_asks_again);
  g_test_add_func ("/plugins/rewrite/checks-the-kind", test_checks_the_kind);
  g_test_add_func ("/plugins/rewrite/kinds", test_kinds);
  g_test_add_func ("/plugins/rewrite/images", test_images);
}
