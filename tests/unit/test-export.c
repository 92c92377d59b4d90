/* store/: exports and checkpoint directories: whole or absent, the same bytes, gold never inside. */
#include "store-kit.h"
#include "store/checkpoint.h"
#include "store/export.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *
at (const char *dir, const char *name)
{
  return g_build_filename (dir, name, NULL);
}

static char *
content (const char *dir, const char *name)
{
  g_autofree char *path = at (dir, name);
  char *text = NULL;
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  return text;
}

/* A question with two images, one pair, a kept and a dropped judgment, and an evaluator's case with its own. */
static void
fill (VjStore *store)
{
  static const guint8 red[3] = {255, 0, 0}, blue[3] = {0, 0, 255};
  g_autoptr (VjImage) a = vj_image_new_from_rgb (red, 1, 1, NULL), b = vj_image_new_from_rgb (blue, 1, 1, NULL);
  const char *images[] = {vj_image_digest (a), vj_image_digest (b), NULL};
  g_autoptr (VjRecord) q = make_question ("q1", "Is it <image> red?"), pair = vj_record_new (VJ_RECORD_PAIR, 1, "q1.p");
  g_autoptr (VjRecord) gold_case = vj_record_new (VJ_RECORD_CASE, 1, "c1");
  static const char *const judgments[] = {"q1.p.a", "q1.p.b", "c1.a"};

  vj_record_add_image (q, images[0]);
  vj_record_add_image (q, images[1]);
  vj_record_add_parent (pair, "q1");
  vj_record_set_text (pair, "chosen", "Yes, \"red\".");
  vj_record_set_text (pair, "rejected", "No.");
  vj_record_set_text (pair, "how", "attribute");
  vj_record_set_text (gold_case, "prompt", "GOLDEN case?");
  vj_record_set_text (gold_case, "form", "open");
  assert_ok (vj_store_begin (store, &error_));
  assert_ok (vj_store_image_put (store, a, &error_));
  assert_ok (vj_store_image_put (store, b, &error_));
  assert_ok (vj_store_stage_put (store, &(VjStage){1, (char *) "source", (char *) "d", VJ_STAGE_DONE, 2, 1}, &error_));
  assert_ok (vj_store_record_put (store, "source", q, &error_));
  assert_ok (vj_store_gold_put (store, "q1", "GOLDEN", &error_));
  assert_ok (vj_store_record_put (store, "inject", pair, &error_));
  assert_ok (vj_store_record_put (store, "evaluate", gold_case, &error_));
  for (guint i = 0; i < G_N_ELEMENTS (judgments); i++) {
    g_autoptr (VjRecord) j = vj_record_new (VJ_RECORD_JUDGMENT, 1, judgments[i]);
    vj_record_add_parent (j, i < 2 ? "q1.p" : "c1");
    vj_record_set_flag (j, "chosen_is_a", i != 1);
    vj_record_set_integer (j, "sample", 0);
    vj_record_set_text (j, "verdict", "A");
    vj_record_set_flag (j, "right", i != 1);
    vj_record_set_text (j, "text", i < 2 ? "It is red. [[A]]" : "GOLDEN [[A]]");
    vj_record_add_message (j, "user", "Which?", images);
    assert_ok (vj_store_record_put (store, "judge", j, &error_));
    assert_ok (vj_store_record_fate (store, judgments[i], i == 1 ? VJ_FATE_DROPPED : VJ_FATE_KEPT, "verdict",
                                     i == 1 ? "wrong" : NULL, &error_));
  }
  g_autoptr (VjRecord) broken = make_question ("q2", "?");
  assert_ok (vj_store_record_put (store, "source", broken, &error_));
  assert_ok (vj_store_quarantine (store, "q2", "source", "not JSON", "data.jsonl:2", NULL, &error_));
  assert_ok (vj_store_commit (store, &error_));
}

static void
test_layouts (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  static const char *const files[VJ_N_EXPORTS][6] = {
    {"traces.jsonl", "pairs.jsonl", "judgments.jsonl", "questions.jsonl", "quarantine.jsonl", NULL},
    {"sft.json", "preference.json", "dataset_info.json", NULL},
    {"sft.jsonl", "preference.jsonl", NULL},
  };
  g_autoptr (VjStore) store = open_store (place->dir, VJ_STORE_WRITE);

  fill (store);
  for (guint layout = 0; layout < VJ_N_EXPORTS; layout++) {
    g_autofree char *out = at (place->dir, vj_export_name (layout)), *manifest = NULL, *again = NULL;
    VjExportCounts counts;
    assert_ok (vj_export (store, layout, 1, out, &counts, &error_));
    g_assert_cmpint (counts.traces, ==, 1);
    g_assert_cmpint (counts.pairs, ==, 1);
    g_assert_cmpint (counts.images, ==, 2);
    assert_ok (vj_checkpoint_validate (out, TRUE, &error_));
    for (guint i = 0; files[layout][i] != NULL; i++) {
      g_autofree char *text = content (out, files[layout][i]);
      g_assert_null (strstr (text, "GOLDEN"));
      g_assert_cmpuint (strlen (text), >, 10);
    }
    manifest = vj_checkpoint_digest (out, NULL);
    assert_ok (vj_export (store, layout, VJ_ANY, out, NULL, &error_)); /* replaces, with the same bytes */
    again = vj_checkpoint_digest (out, NULL);
    g_assert_cmpstr (manifest, ==, again);
  }
}

/* An iteration that is not there, or no longer, replaces nothing. */
static void
test_iterations (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  g_autoptr (VjStore) store = open_store (place->dir, VJ_STORE_WRITE);
  g_autofree char *out = at (place->dir, "out"), *before = NULL, *after = NULL;

  assert_fails (VJ_EXIT_USAGE, "begun no iteration", vj_export (store, VJ_EXPORT_JSONL, 1, out, NULL, &error_));
  fill (store);
  assert_ok (vj_export (store, VJ_EXPORT_JSONL, 1, out, NULL, &error_));
  before = vj_checkpoint_digest (out, NULL);
  assert_fails (VJ_EXIT_USAGE, "from 1 to 1", vj_export (store, VJ_EXPORT_JSONL, 2, out, NULL, &error_));
  assert_fails (VJ_EXIT_USAGE, "from 1 to 1", vj_export (store, VJ_EXPORT_JSONL, 0, out, NULL, &error_));
  assert_ok (vj_store_last_set (store, 0, &error_));
  assert_fails (VJ_EXIT_USAGE, "begun no iteration", vj_export (store, VJ_EXPORT_JSONL, 1, out, NULL, &error_));
  after = vj_checkpoint_digest (out, NULL);
  g_assert_cmpstr (before, ==, after);
}

/* Every exported line is a record that the check takes; the training layouts hold what their loaders look for. */
static void
test_content (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  g_autoptr (VjStore) store = open_store (place->dir, VJ_STORE_WRITE);
  g_autofree char *ours = at (place->dir, "ours"), *factory = at (place->dir, "factory"), *trl = at (place->dir, "trl");
  g_autofree char *traces = NULL, *judgments = NULL, *sft = NULL, *preference = NULL, *lines = NULL;
  g_auto (GStrv) rows = NULL;
  g_autoptr (VjRecord) trace = NULL;

  fill (store);
  assert_ok (vj_export (store, VJ_EXPORT_JSONL, VJ_ANY, ours, NULL, &error_));
  assert_ok (vj_export (store, VJ_EXPORT_LLAMAFACTORY, VJ_ANY, factory, NULL, &error_));
  assert_ok (vj_export (store, VJ_EXPORT_TRL, VJ_ANY, trl, NULL, &error_));
  traces = content (ours, "traces.jsonl");
  trace = vj_record_from_text (traces, strlen (traces), "traces.jsonl:1", NULL);
  g_assert_nonnull (trace);
  g_assert_cmpstr (trace->id, ==, "q1.p.a");
  g_autofree char *failed = content (ours, "quarantine.jsonl");
  g_assert_cmpstr (failed, ==, "{\"detail\":null,\"id\":\"q2\",\"iteration\":1,\"place\":\"data.jsonl:2\",\"reason\":\"not JSON\","
                   "\"stage\":\"source\"}\n"); /* the judgment that a filter dropped is no failure */
  judgments = content (ours, "judgments.jsonl");
  rows = g_strsplit (judgments, "\n", -1);
  g_assert_cmpuint (g_strv_length (rows), ==, 3); /* two, and what follows the last newline */

  sft = content (factory, "sft.json");
  g_assert_nonnull (strstr (sft, "\"content\":\"<image><image>Which?\",\"role\":\"user\""));
  g_assert_nonnull (strstr (sft, "\"content\":\"It is red. [[A]]\",\"role\":\"assistant\""));
  preference = content (factory, "preference.json");
  /* As many placeholders as images, though the question's own text holds another. */
  g_assert_nonnull (strstr (preference, "<image><image>Is it < image> red?"));
  lines = content (trl, "preference.jsonl");
  g_assert_nonnull (strstr (lines, "\"prompt\":[{\"content\":[{\"type\":\"image\"},{\"type\":\"image\"},{\"text\":\"Is it <image> red?\""));
}

static void
test_target_in_use (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  g_autoptr (VjStore) store = open_store (place->dir, VJ_STORE_WRITE);
  g_autofree char *out = at (place->dir, "mine"), *file = at (out, "thesis.txt"), *empty = at (place->dir, "empty/");

  fill (store);
  g_mkdir_with_parents (out, 0700);
  g_file_set_contents (file, "years", -1, NULL);
  assert_fails (VJ_EXIT_STORE, "did not write", vj_export (store, VJ_EXPORT_TRL, VJ_ANY, out, NULL, &error_));
  g_assert_true (g_file_test (file, G_FILE_TEST_EXISTS));
  g_mkdir_with_parents (empty, 0700);
  assert_ok (vj_export (store, VJ_EXPORT_TRL, VJ_ANY, empty, NULL, &error_));
}

/* -- checkpoints -------------------------------------------------------------------------- */

static char *
make_checkpoint (const char *final)
{
  GError *error = NULL;
  char *partial = vj_checkpoint_begin (final, &error);
  g_assert_no_error (error);
  g_autofree char *sub = at (partial, "model"), *weights = at (sub, "weights"), *state = at (partial, "state");
  g_mkdir_with_parents (sub, 0700);
  g_assert_true (g_file_set_contents (weights, "0123456789", -1, NULL));
  g_assert_true (g_file_set_contents (state, "step 7", -1, NULL));
  return partial;
}

static void
test_checkpoint (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  g_autofree char *final = at (place->dir, "it1"), *partial = make_checkpoint (final), *other = NULL;
  g_autofree char *state = at (final, "state"), *weights = at (final, "model/weights"), *manifest = at (final, VJ_MANIFEST_NAME);

  g_assert_false (g_file_test (final, G_FILE_TEST_EXISTS));
  assert_ok (vj_checkpoint_publish (partial, final, &error_));
  assert_ok (vj_checkpoint_validate (final, TRUE, &error_));
  other = make_checkpoint (final);
  assert_fails (VJ_EXIT_STORE, "exists", vj_checkpoint_publish (other, final, &error_));
  assert_ok (vj_checkpoint_replace (other, final, &error_));

  g_file_set_contents (state, "step 8", -1, NULL);
  assert_ok (vj_checkpoint_validate (final, FALSE, &error_));
  assert_fails (VJ_EXIT_DATA, "'state': its content", vj_checkpoint_validate (final, TRUE, &error_));
  g_assert_cmpint (truncate (weights, 9), ==, 0);
  assert_fails (VJ_EXIT_DATA, "9 bytes instead of 10", vj_checkpoint_validate (final, FALSE, &error_));
  unlink (weights);
  assert_fails (VJ_EXIT_DATA, "no such file", vj_checkpoint_validate (final, FALSE, &error_));
  unlink (manifest);
  assert_fails (VJ_EXIT_DATA, VJ_MANIFEST_NAME, vj_checkpoint_validate (final, FALSE, &error_));
}

/* A manifest from elsewhere cannot make us read outside its directory. */
static void
test_hostile_manifest (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  static const char *const rows[] = {
    "", "[]", "{\"manifest\":2,\"files\":{}}", "{\"manifest\":1}", "{\"manifest\":1,\"files\":{\"a\":7}}",
    ("{\"manifest\":1,\"files\":{\"../../../etc/passwd\":{\"size\":1,\"sha256\":"
     "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}}}")};
  g_autofree char *manifest = at (place->dir, VJ_MANIFEST_NAME);
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_file_set_contents (manifest, rows[i], -1, NULL);
    assert_fails (VJ_EXIT_DATA, "", vj_checkpoint_validate (place->dir, TRUE, &error_));
  }
}

static void
test_leftovers (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  g_autofree char *final = at (place->dir, "it1"), *partial = make_checkpoint (final), *stale = at (partial, "stale");
  g_autofree char *outside = at (place->dir, "outside"), *inside = at (outside, "file"), *link = at (partial, "link");
  g_autofree char *again = NULL;

  g_mkdir_with_parents (outside, 0700);
  g_file_set_contents (inside, "x", -1, NULL);
  g_file_set_contents (stale, "x", -1, NULL);
  g_assert_cmpint (symlink (outside, link), ==, 0);
  again = vj_checkpoint_begin (final, NULL);
  g_assert_cmpstr (again, ==, partial);
  g_assert_false (g_file_test (stale, G_FILE_TEST_EXISTS));
  assert_ok (vj_checkpoint_clean (place->dir, &error_));
  g_assert_false (g_file_test (partial, G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (inside, G_FILE_TEST_EXISTS)); /* removal follows no link */
}

static void
test_write_is_whole (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  g_autofree char *path = at (place->dir, "f"), *text = NULL, *nowhere = at (place->dir, "no/such/f");
  struct stat info;

  assert_ok (vj_file_write (path, "one", 3, 0600, &error_));
  assert_ok (vj_file_write (path, "two", 3, 0600, &error_));
  text = content (place->dir, "f");
  g_assert_cmpstr (text, ==, "two");
  g_assert_cmpint (stat (path, &info), ==, 0);
  g_assert_cmpuint (info.st_mode & 0777, ==, 0600);
  assert_fails (VJ_EXIT_STORE, "no/such/f: creating failed", vj_file_write (nowhere, "x", 1, 0600, &error_));
}

int
main (int argc, char **argv)
{
  place_in_memory ();
  g_test_init (&argc, &argv, NULL);
#define ADD(path, function) g_test_add (path, Place, NULL, place_init, function, place_done)
  ADD ("/export/layouts", test_layouts);
  ADD ("/export/iterations", test_iterations);
  ADD ("/export/content", test_content);
  ADD ("/export/target-in-use", test_target_in_use);
  ADD ("/checkpoint/life", test_checkpoint);
  ADD ("/checkpoint/hostile-manifest", test_hostile_manifest);
  ADD ("/checkpoint/leftovers", test_leftovers);
  ADD ("/file/write-is-whole", test_write_is_whole);
  return g_test_run ();
}
