/* The canned backend: what tests of the pipeline stand on. */
#include "../tools/bench.h"

#include <stdlib.h>
#include <string.h>

static const char rules[] =
  "{\"rules\": [{\"when\": [\"rewrite\", \"red\"], \"match\": \"rewrite (.*)red(.*)\", \"reply\": \"\\\\1blue\\\\2\"},"
  "             {\"when\": \"broken\", \"error\": \"no such thing\"},"
  "             {\"when\": \"long\", \"reply\": \"{seed}\", \"finish\": \"length\"},"
  "             {\"reply\": [\"1\", \"2\", \"3\", \"4\"]}]}";

/* Asks `n` draws of `prompt` under `ticket`. */
static void
submit (Bench *bench, uint64_t ticket, const char *prompt, int64_t n)
{
  g_autoptr (GError) error = NULL;
  uint64_t seeds[8];
  VjMessage message = {.speaker = VJ_SPEAKER_USER, .text = prompt};
  VjRequest request = {.messages = &message, .n_messages = 1, .sampling = {.n = n, .max_tokens = 9}, .seeds = seeds};
  for (int64_t i = 0; i < n; i++)
    seeds[i] = (uint64_t) (i + 1);
  g_assert_true (VJ_INSTANCE_OPS (bench->instance, VjBackendOps)->submit (vj_instance_self (bench->instance), bench->run, ticket, &request, &error));
}

/* All draws until the end, "ticket.draw=text" each; "!" before an error, "~" before a cut text. Owned. */
static char *
drain (Bench *bench)
{
  GString *all = g_string_new (NULL);
  for (;;) {
    VjReply reply = {0};
    g_autoptr (GError) error = NULL;
    VjFlow flow = VJ_INSTANCE_OPS (bench->instance, VjBackendOps)->poll (vj_instance_self (bench->instance), bench->run, &reply, &error);
    if (flow == VJ_FLOW_ERROR)
      g_string_append_printf (all, "error %d ", vj_error_exit (error));
    if (flow != VJ_FLOW_OK)
      return g_string_free (all, FALSE);
    g_string_append_printf (all, "%d.%u=%s%s ", (int) reply.ticket, reply.draw, reply.error ? "!" : reply.finish == VJ_FINISH_LENGTH ? "~" : "",
                            reply.error ? reply.error : reply.text);
    g_free (reply.text);
    g_free (reply.error);
  }
}

static void
test_rules (void)
{
  g_autofree char *file = bench_file ("replies.json", rules, -1), *folder = g_path_get_dirname (file);
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_BACKEND, "canned", "path", folder, NULL);
  submit (bench, 7, "rewrite a red cup", 1);
  submit (bench, 8, "broken", 1);
  submit (bench, 9, "long", 2);
  g_autofree char *got = drain (bench);
  g_assert_cmpstr (got, ==, "7.0=a blue cup 8.0=!no such thing 9.0=~1 9.1=~2 ");
  g_autoptr (Bench) weak = bench_new (VJ_ROLE_BACKEND, "canned", "path", folder, "fail_after", "1", NULL);
  submit (weak, 1, "x", 2);
  g_autofree char *broken = drain (weak);
  g_assert_true (g_str_has_suffix (broken, "error 5 "));
  bench_done_with (file);
}

static int
by_text (const void *a, const void *b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

/* Whatever order draws come back in, each says the same. */
static void
test_order_changes_nothing (void)
{
  g_autofree char *file = bench_file ("replies.json", rules, -1), *folder = g_path_get_dirname (file);
  char *sorted[3];
  for (guint i = 0; i < 3; i++) {
    g_autoptr (Bench) bench = bench_new (VJ_ROLE_BACKEND, "canned", "path", folder, "order", (const char *[]){"first", "last", "shuffled"}[i], NULL);
    submit (bench, 1, "x", 8);
    submit (bench, 2, "y", 8);
    g_autofree char *got = drain (bench);
    g_auto (GStrv) draws = g_strsplit (g_strchomp (got), " ", -1);
    g_assert_true ((i == 0) == g_str_has_prefix (got, "1.0="));
    qsort (draws, g_strv_length (draws), sizeof *draws, by_text);
    sorted[i] = g_strjoinv (" ", draws);
  }
  g_assert_cmpstr (sorted[0], ==, sorted[1]);
  g_assert_cmpstr (sorted[0], ==, sorted[2]);
  g_assert_nonnull (strstr (sorted[0], "=1"));
  g_assert_nonnull (strstr (sorted[0], "=3"));
  for (guint i = 0; i < 3; i++)
    g_free (sorted[i]);
  bench_done_with (file);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/plugins/canned/rules", test_rules);
  g_test_add_func ("/plugins/canned/order-changes-nothing", test_order_changes_nothing);
  return g_test_run ();
}
