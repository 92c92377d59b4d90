/* scenes, scene-lessons, scene-pairs, scene-skills. */
#include "roles.h"

#include <string.h>

static void
test_scenes (void)
{
  g_autoptr (Bench) open = bench_new (VJ_ROLE_SOURCE, "scenes", "closed", "0", NULL);
  g_autoptr (Bench) closed = bench_new (VJ_ROLE_SOURCE, "scenes", "closed", "1", NULL);
  g_autoptr (Bench) again = bench_new (VJ_ROLE_SOURCE, "scenes", "closed", "1", NULL);

  for (int i = 0; i < 20; i++) {
    g_assert_true (g_str_has_prefix (bench_next (open), "open: describe the image [category describe] [gold "));
    g_autofree char *line = g_strdup (bench_next (closed));
    g_assert_true (g_str_has_prefix (line, "closed: "));
    g_assert_nonnull (strstr (line, "[gold "));
    g_assert_nonnull (strstr (line, "[1 images]"));
    g_assert_cmpstr (line, ==, bench_next (again));
  }
}

/* With texts or without, shapes and questions are the same; half of the closed questions about a text picture ask for it. */
static void
test_texts (void)
{
  g_autoptr (Bench) plain = bench_new (VJ_ROLE_SOURCE, "scenes", NULL);
  g_autoptr (Bench) texts = bench_new (VJ_ROLE_SOURCE, "scenes", "text", "1", NULL);
  g_autoptr (Bench) some = bench_new (VJ_ROLE_SOURCE, "scenes", "text", "0.5", NULL);
  guint asked = 0, same = 0;

  for (int i = 0; i < 200; i++) {
    g_autofree char *record = g_strdup_printf ("record %d", i);
    plain->record = texts->record = some->record = record;
    g_autofree char *without = g_strdup (bench_next (plain)), *with = g_strdup (bench_next (texts));
    if (g_str_has_prefix (without, "open: ")) {
      g_autofree char *told = g_strndup (without, strlen (without) - strlen ("] [1 images]")); /* up to the end of its gold */
      g_assert_true (g_str_has_prefix (with, told));
      g_assert_nonnull (strstr (with, " text "));
    } else if (g_str_has_prefix (with, "closed: what does the text say ? [category text] [gold "))
      asked++;
    else
      g_assert_cmpstr (with, ==, without);
    same += strcmp (without, bench_next (some)) == 0;
  }
  g_assert_cmpuint (asked, >, 30);
  g_assert_cmpuint (asked, <, 75);
  g_assert_cmpuint (same, >, 90);
  g_assert_cmpuint (same, <, 160);
}

static void
test_lessons (void)
{
  g_autoptr (Bench) text = bench_new (VJ_ROLE_SOURCE, "scene-lessons", "skills", "copy,differ=2.5", NULL);
  g_autoptr (Bench) judge = bench_new (VJ_ROLE_SOURCE, "scene-lessons", "skills", "judge", NULL);

  for (int i = 0; i < 20; i++) {
    const char *line = bench_next (text);
    g_assert_true (g_str_has_prefix (line, "open: copy : ") || strstr (line, ": differ : "));
    g_assert_null (strstr (line, "images]"));
    line = bench_next (judge);
    g_assert_nonnull (strstr (line, ": judge : "));
    g_assert_nonnull (strstr (line, "; image shows "));
    g_assert_nonnull (strstr (line, "[1 images]"));
  }
  bench_refuse (VJ_ROLE_SOURCE, "scene-lessons", VJ_EXIT_RECIPE, "'jugde': no such skill", "skills", "copy,jugde", NULL);
  bench_refuse (VJ_ROLE_SOURCE, "scene-lessons", VJ_EXIT_RECIPE, "'copy=x': not a share", "skills", "copy=x", NULL);
  bench_refuse (VJ_ROLE_SOURCE, "scene-lessons", VJ_EXIT_RECIPE, "'copy=-1': not a share", "skills", "copy=-1", NULL);
  bench_refuse (VJ_ROLE_SOURCE, "scene-lessons", VJ_EXIT_RECIPE, "'copy=': not a share", "skills", "copy=", NULL);
}

static void
test_pairs (void)
{
  g_autoptr (Bench) one = bench_new (VJ_ROLE_EVALUATOR, "scene-pairs", "count", "30", "seed", "5", NULL);
  g_autoptr (Bench) same = bench_new (VJ_ROLE_EVALUATOR, "scene-pairs", "count", "30", "seed", "5", NULL);
  g_autoptr (Bench) other = bench_new (VJ_ROLE_EVALUATOR, "scene-pairs", "count", "30", "seed", "6", NULL);
  guint open = 0, differ = 0;

  same->record = "another record of another run";
  for (int i = 0; i < 30; i++) {
    g_autofree char *line = g_strdup (bench_next (one));
    g_assert_nonnull (strstr (line, "[chosen "));
    g_assert_cmpstr (line, ==, bench_next (same));
    differ += strcmp (line, bench_next (other)) != 0;
    open += g_str_has_prefix (line, "open: ");
  }
  g_assert_cmpstr (bench_next (one), ==, "end");
  g_assert_cmpuint (differ, >, 20);
  g_assert_cmpuint (open, >, 5);
  g_assert_cmpuint (open, <, 25);
}

/* One case answered by `reply`; gives what was counted under `metric`. */
static void
score (Bench *bench, const VjCase *gold, const char *reply, const char *metric, double right, double total)
{
  const VjEvaluatorOps *ops = VJ_INSTANCE_OPS (bench->instance, VjEvaluatorOps);
  g_autoptr (VjAsk) ask = vj_ask_new ();
  g_autoptr (VjReplies) replies = vj_replies_new ();
  g_autoptr (VjScores) scores = vj_scores_new ();
  g_autoptr (GError) error = NULL;
  const VjRequest *request;
  gsize n;

  g_assert_cmpint (ops->ask (vj_instance_self (bench->instance), bench->run, gold, NULL, ask, &error), ==, VJ_FLOW_OK);
  g_assert_cmpuint (ask->requests->len, ==, 1);
  request = ask->requests->pdata[0];
  n = vj_replies_add (replies, (gsize) request->sampling.n);
  for (int64_t draw = 0; draw < request->sampling.n; draw++)
    vj_replies_set (replies, n, (gsize) draw, draw + 1 == request->sampling.n ? reply : "nonsense", VJ_FINISH_STOP);
  g_assert_cmpint (ops->tell (vj_instance_self (bench->instance), bench->run, gold, replies, scores, &error), ==, VJ_FLOW_OK);
  g_assert_no_error (error);
  for (gsize i = 0; i < vj_scores_count (scores); i++)
    if (strcmp (vj_scores_peek (scores, i)->metric, metric) == 0) {
      g_assert_cmpfloat (vj_scores_peek (scores, i)->right, ==, right);
      g_assert_cmpfloat (vj_scores_peek (scores, i)->total, ==, total);
      return;
    }
  g_error ("'%s' was not counted", metric);
}

static void
test_skills (void)
{
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_EVALUATOR, "scene-skills", "count", "5", NULL);
  const char *truth = "two shapes ; north small red circle ; center large blue square";
  VjCase describe = {.question = {.prompt = "describe the image", .category = "describe", .form = VJ_FORM_OPEN}, .gold = truth};
  VjCase answer = {.question = {.prompt = "how many shapes ?", .category = "count", .form = VJ_FORM_CLOSED}, .gold = "two"};
  VjCase rewrite = {.question = {.prompt = "rewrite count : x", .category = "count", .form = VJ_FORM_OPEN}, .gold = truth};

  for (int i = 0; i < 15; i++)
    g_assert_nonnull (strstr (bench_next (bench), "[gold "));
  g_assert_cmpstr (bench_next (bench), ==, "end");

  score (bench, &describe, truth, "attributes", 9, 9);
  score (bench, &describe, truth, "descriptions without fault", 1, 1);
  score (bench, &describe, "one shape ; north small red square", "attributes", 3, 5);
  score (bench, &describe, "one shape ; south small red square", "attributes", 0, 2);
  score (bench, &describe, "a red circle", "attributes", 0, 1);
  score (bench, &answer, "two", "closed", 1, 1);
  score (bench, &answer, "two", "closed: count", 1, 1);
  score (bench, &answer, "three", "closed: something there", 0, 1);
  score (bench, &rewrite, truth, "rewrite: within all tries", 0, 1);
  score (bench, &rewrite, "three shapes ; north small red circle ; center large blue square", "rewrite: within all tries", 1, 1);
  score (bench, &rewrite, "three shapes ; north small red circle ; center large blue square", "rewrite: first try", 0, 1);
  score (bench, &rewrite, "two shapes ; north small red circle ; center large blue circle", "rewrite: of the kind asked for", 0, 1);
  score (bench, &rewrite, "one shape ; north small red circle ; center large blue circle", "rewrite: within all tries", 0, 1);
}

void
add_scenes_tests (void)
{
  g_test_add_func ("/plugins/scenes/questions", test_scenes);
  g_test_add_func ("/plugins/scenes/texts", test_texts);
  g_test_add_func ("/plugins/scene-lessons/lessons and bad skills", test_lessons);
  g_test_add_func ("/plugins/scene-pairs/the same pairs in every run", test_pairs);
  g_test_add_func ("/plugins/scene-skills/marks", test_skills);
}
