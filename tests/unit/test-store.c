/* store/: what is put is found again, in order, once, and the books balance. */
#include "store-kit.h"

#include <math.h>
#include <string.h>

static void
test_meta (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  g_autofree char *value = NULL, *gone = NULL;
  {
    g_autoptr (VjStore) store = open_store (place->dir, VJ_STORE_WRITE);
    assert_ok (vj_store_meta_set (store, "seed", "16", &error_));
    assert_ok (vj_store_meta_set (store, "seed", "17", &error_));
    assert_ok (vj_store_meta_set (store, "old", "x", &error_));
    assert_ok (vj_store_meta_set (store, "old", NULL, &error_));
  }
  g_autoptr (VjStore) store = open_store (place->dir, VJ_STORE_READ);
  assert_ok (vj_store_meta_get (store, "seed", &value, &error_));
  assert_ok (vj_store_meta_get (store, "old", &gone, &error_));
  g_assert_cmpstr (value, ==, "17");
  g_assert_null (gone);
  assert_fails (VJ_EXIT_STORE, "readonly", vj_store_meta_set (store, "seed", "18", &error_));
}

static void
test_records_put_once (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  g_autoptr (VjStore) store = open_store (place->dir, VJ_STORE_WRITE);
  g_autoptr (VjRecord) q = make_question ("q1", "What is there?"), other = make_question ("q1", "What else?");
  g_autoptr (VjRecord) orphan = make_response ("r2", "q2", "A dog."), bad = vj_record_new (VJ_RECORD_PAIR, 1, "p");
  g_autoptr (VjStored) stored = NULL, none = NULL;

  assert_ok (vj_store_record_put (store, "source", q, &error_));
  assert_ok (vj_store_record_put (store, "source", q, &error_));
  assert_fails (VJ_EXIT_BUG, "other content", vj_store_record_put (store, "source", other, &error_));
  assert_fails (VJ_EXIT_BUG, "parent 'q2'", vj_store_record_put (store, "respond", orphan, &error_));
  assert_fails (VJ_EXIT_BUG, "'chosen'", vj_store_record_put (store, "inject", bad, &error_));
  assert_ok (vj_store_record_get (store, "q1", &stored, &error_));
  assert_ok (vj_store_record_get (store, "r2", &none, &error_));
  g_assert_null (none);
  g_assert_cmpstr (vj_record_text (stored->record, "prompt"), ==, "What is there?");
  g_assert_cmpstr (stored->stage, ==, "source");
  g_assert_cmpint (stored->fate, ==, VJ_FATE_OPEN);
}

/* Fills 300 questions, and a response to each even one; drops every third question. */
static void
fill (VjStore *store)
{
  assert_ok (vj_store_begin (store, &error_));
  for (int i = 0; i < 300; i++) {
    g_autofree char *id = g_strdup_printf ("q%03d", i), *child = g_strdup_printf ("q%03d.r", i);
    g_autoptr (VjRecord) q = make_question (id, "?"), r = make_response (child, id, "yes");
    assert_ok (vj_store_record_put (store, "source", q, &error_));
    if (i % 2 == 0)
      assert_ok (vj_store_record_put (store, "respond", r, &error_));
    if (i % 3 == 0)
      assert_ok (vj_store_record_fate (store, id, VJ_FATE_DROPPED, "respond", i % 2 ? "too long" : "empty", &error_));
  }
  assert_ok (vj_store_commit (store, &error_));
}

static gint64
count (VjStore *store, VjStoreQuery query)
{
  gint64 n = -1, walked = 0;
  g_autoptr (VjStoreCursor) cursor = vj_store_walk (store, &query);
  g_autofree char *last = g_strdup ("");
  for (;;) {
    g_autoptr (VjStored) stored = NULL;
    assert_ok (vj_store_walk_next (cursor, &stored, &error_));
    if (stored == NULL)
      break;
    g_assert_cmpstr (last, <, stored->record->id);
    g_free (last);
    last = g_strdup (stored->record->id);
    walked++;
  }
  assert_ok (vj_store_count (store, &query, &n, &error_));
  g_assert_cmpint (n, ==, walked);
  return n;
}

static void
test_walk (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  g_autoptr (VjStore) store = open_store (place->dir, VJ_STORE_WRITE);
  fill (store);
  g_assert_cmpint (count (store, VJ_STORE_QUERY_ALL), ==, 450);
  g_assert_cmpint (count (store, (VjStoreQuery){1, VJ_RECORD_QUESTION, VJ_ANY, NULL, NULL}), ==, 300);
  g_assert_cmpint (count (store, (VjStoreQuery){1, VJ_RECORD_QUESTION, VJ_FATE_DROPPED, "source", NULL}), ==, 100);
  g_assert_cmpint (count (store, (VjStoreQuery){VJ_ANY, VJ_ANY, VJ_ANY, "respond", NULL}), ==, 150);
  g_assert_cmpint (count (store, (VjStoreQuery){VJ_ANY, VJ_ANY, VJ_ANY, NULL, "q004"}), ==, 1);
  g_assert_cmpint (count (store, (VjStoreQuery){VJ_ANY, VJ_ANY, VJ_ANY, NULL, "q005"}), ==, 0);
  g_assert_cmpint (count (store, (VjStoreQuery){2, VJ_ANY, VJ_ANY, NULL, NULL}), ==, 0);
}

/* Deciding fates while walking over the open ones meets each record once. */
static void
test_walk_while_changing (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  g_autoptr (VjStore) store = open_store (place->dir, VJ_STORE_WRITE);
  VjStoreQuery open = {1, VJ_RECORD_QUESTION, VJ_FATE_OPEN, NULL, NULL};
  g_autoptr (VjStoreCursor) cursor = NULL;
  guint met = 0;

  fill (store);
  cursor = vj_store_walk (store, &open);
  for (;; met++) {
    g_autoptr (VjStored) stored = NULL;
    assert_ok (vj_store_walk_next (cursor, &stored, &error_));
    if (stored == NULL)
      break;
    assert_ok (vj_store_record_fate (store, stored->record->id, VJ_FATE_KEPT, "filter", NULL, &error_));
  }
  g_assert_cmpuint (met, ==, 200);
  g_assert_cmpint (count (store, open), ==, 0);
}

static void
test_books (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  g_autoptr (VjStore) store = open_store (place->dir, VJ_STORE_WRITE);
  VjStage stage = {1, (char *) "respond", (char *) "d1", VJ_STAGE_RUNNING, 300, 0};
  g_autoptr (GPtrArray) drops = NULL, stages = NULL;
  VjDrop *drop;

  fill (store);
  assert_ok (vj_store_stage_put (store, &stage, &error_));
  assert_ok (vj_store_balance (store, 1, &error_)); /* a stage that runs has no balance yet */
  stage.state = VJ_STAGE_DONE;
  stage.n_kept = 200;
  assert_ok (vj_store_stage_put (store, &stage, &error_));
  assert_ok (vj_store_balance (store, VJ_ANY, &error_));
  stage.n_kept = 199;
  assert_ok (vj_store_stage_put (store, &stage, &error_));
  assert_fails (VJ_EXIT_BUG, "in 300, kept 199, dropped 100", vj_store_balance (store, 1, &error_));
  assert_ok (vj_store_balance (store, 2, &error_));

  assert_ok (vj_store_drops (store, 1, &drops, &error_));
  g_assert_cmpuint (drops->len, ==, 2);
  drop = drops->pdata[0];
  g_assert_cmpstr (drop->reason, ==, "empty");
  g_assert_cmpstr (drop->stage, ==, "respond");
  g_assert_cmpint (drop->count, ==, 50);
  assert_ok (vj_store_stages (store, &stages, &error_));
  g_assert_cmpuint (stages->len, ==, 1);
}

/* Counted by reason, told one by one; undone with the stage that decided. */
static void
test_quarantine (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  g_autoptr (VjStore) store = open_store (place->dir, VJ_STORE_WRITE);
  g_autoptr (VjFault) fault = NULL, none = NULL;
  g_autoptr (GPtrArray) drops = NULL;
  gint64 n = 0;

  fill (store);
  for (guint i = 0; i < 2; i++) {
    g_autofree char *id = g_strdup_printf ("q%03u", i), *where = g_strdup_printf ("data.jsonl:%u", i + 1);
    assert_ok (vj_store_quarantine (store, id, "source", "not JSON", where, "bad byte \xff", &error_));
  }
  assert_ok (vj_store_drops (store, 1, &drops, &error_));
  const VjDrop *drop = drops->pdata[drops->len - 1];
  g_assert_cmpstr (drop->reason, ==, "not JSON");
  g_assert_cmpint (drop->count, ==, 2);
  assert_ok (vj_store_quarantine_get (store, "q001", &fault, &error_));
  g_assert_cmpstr (fault->place, ==, "data.jsonl:2");
  g_assert_cmpstr (fault->detail, ==, "bad byte \xef\xbf\xbd"); /* always UTF-8 */
  assert_ok (vj_store_quarantine_get (store, "q002", &none, &error_));
  g_assert_null (none);
  assert_ok (vj_store_quarantine_count (store, &n, &error_));
  g_assert_cmpint (n, ==, 2);
  assert_ok (vj_store_stage_forget (store, 1, "source", &error_));
  assert_ok (vj_store_quarantine_count (store, &n, &error_));
  g_assert_cmpint (n, ==, 0);
  g_clear_pointer (&fault, vj_fault_free);
  assert_ok (vj_store_quarantine_get (store, "q001", &fault, &error_));
  g_assert_null (fault);
}

static void
test_forget (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  g_autoptr (VjStore) store = open_store (place->dir, VJ_STORE_WRITE);
  VjStage stage = {1, (char *) "source", (char *) "d", VJ_STAGE_DONE, 300, 300};
  g_autoptr (VjStage) gone = NULL;
  g_autofree char *gold = NULL;

  fill (store);
  assert_ok (vj_store_stage_put (store, &stage, &error_));
  assert_ok (vj_store_gold_put (store, "q001", "a dog", &error_));
  assert_ok (vj_store_stage_forget (store, 1, "respond", &error_));
  g_assert_cmpint (count (store, VJ_STORE_QUERY_ALL), ==, 300);
  g_assert_cmpint (count (store, (VjStoreQuery){1, VJ_ANY, VJ_FATE_DROPPED, NULL, NULL}), ==, 0);
  fill (store);
  assert_ok (vj_store_stage_forget (store, 1, "source", &error_));
  g_assert_cmpint (count (store, VJ_STORE_QUERY_ALL), ==, 0);
  g_assert_cmpint (count (store, (VjStoreQuery){VJ_ANY, VJ_ANY, VJ_ANY, NULL, "q004"}), ==, 0);
  assert_ok (vj_store_stage_get (store, 1, "source", &gone, &error_));
  assert_ok (vj_store_gold_get (store, "q001", &gold, &error_));
  g_assert_null (gone);
  g_assert_null (gold);
}

/* Scores and steps go with the stage they are of, and with no other. */
static void
test_forget_figures (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  static const struct {
    const char *label, *evaluator;
    gboolean stays;
  } rows[] = {{"before", "pairs", TRUE}, {"iteration 1", "pairs", FALSE}, {"iteration 11", "pairs", TRUE}, {"iteration 1", "pairs#2", TRUE}};
  g_autoptr (VjStore) store = open_store (place->dir, VJ_STORE_WRITE);
  g_autoptr (GPtrArray) scores = NULL, none = NULL;
  g_autoptr (GArray) gone = NULL, kept = NULL, course = NULL;
  VjTrainStep step = {1, 1, 0.5, 1e-5, 1};

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    VjStoredScore score = {(char *) rows[i].label, (char *) rows[i].evaluator, (char *) "strict", 1, 2};
    assert_ok (vj_store_score_put (store, &score, &error_));
  }
  assert_ok (vj_store_stage_forget (store, 1, "evaluate:pairs", &error_));
  assert_ok (vj_store_scores (store, NULL, &scores, &error_));
  g_assert_cmpuint (scores->len, ==, 3);
  for (guint i = 0, at = 0; i < G_N_ELEMENTS (rows); i++)
    if (rows[i].stays)
      g_assert_cmpstr (((const VjStoredScore *) scores->pdata[at++])->label, ==, rows[i].label);
  assert_ok (vj_store_stage_forget (store, 0, "evaluate:pairs", &error_));
  assert_ok (vj_store_scores (store, "before", &none, &error_));
  g_assert_cmpuint (none->len, ==, 0);

  assert_ok (vj_store_step_put (store, "iteration 1: train", &step, &error_));
  assert_ok (vj_store_step_put (store, "iteration 2: train", &step, &error_));
  assert_ok (vj_store_step_put (store, "course 1", &step, &error_));
  assert_ok (vj_store_stage_forget (store, 1, "train", &error_));
  assert_ok (vj_store_stage_forget (store, 1, "course", &error_));
  assert_ok (vj_store_steps (store, "iteration 1: train", &gone, &error_));
  assert_ok (vj_store_steps (store, "iteration 2: train", &kept, &error_));
  assert_ok (vj_store_steps (store, "course 1", &course, &error_));
  g_assert_cmpuint (gone->len + course->len, ==, 0);
  g_assert_cmpuint (kept->len, ==, 1);
}

static void
test_replies (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  g_autoptr (VjStore) store = open_store (place->dir, VJ_STORE_WRITE);
  VjStoredReply answer = {(char *) "[[A]]", NULL, VJ_FINISH_LENGTH, 40, 3}, other = {(char *) "[[B]]", NULL, 0, 1, 1};
  VjStoredReply refusal = {NULL, (char *) "too long for the model", VJ_FINISH_STOP, 0, 0};
  g_auto (VjStoredReply) read = {0};
  VjReplyState state;
  VjReplyCounts counts;

  assert_ok (vj_store_reply_lookup (store, "k1", &state, &read, &error_));
  g_assert_cmpint (state, ==, VJ_REPLY_UNKNOWN);
  assert_fails (VJ_EXIT_BUG, "claimed", vj_store_reply_answer (store, "k1", &answer, &error_));
  assert_ok (vj_store_reply_claim (store, "k1", "q1", "judge", &error_));
  assert_ok (vj_store_reply_claim (store, "k1", "q1", "judge", &error_));
  assert_ok (vj_store_reply_lookup (store, "k1", &state, &read, &error_));
  g_assert_cmpint (state, ==, VJ_REPLY_CLAIMED);
  assert_ok (vj_store_reply_answer (store, "k1", &answer, &error_));
  assert_ok (vj_store_reply_answer (store, "k1", &answer, &error_));
  assert_ok (vj_store_reply_claim (store, "k1", "q1", "judge", &error_));
  assert_fails (VJ_EXIT_BUG, "differently", vj_store_reply_answer (store, "k1", &other, &error_));
  assert_ok (vj_store_reply_lookup (store, "k1", &state, &read, &error_));
  g_assert_cmpint (state, ==, VJ_REPLY_ANSWERED);
  g_assert_cmpstr (read.text, ==, "[[A]]");
  g_assert_cmpint (read.finish, ==, VJ_FINISH_LENGTH);
  assert_ok (vj_store_reply_claim (store, "k2", "q2", "judge", &error_));
  assert_ok (vj_store_reply_claim (store, "k3", "q3", "judge", &error_));
  assert_ok (vj_store_reply_answer (store, "k3", &refusal, &error_));
  assert_ok (vj_store_reply_counts (store, &counts, &error_));
  g_assert_cmpint (counts.answered, ==, 2);
  g_assert_cmpint (counts.claimed, ==, 1);
  g_assert_cmpint (counts.repeats, ==, 1);
  g_assert_cmpint (counts.completion_tokens, ==, 3);
}

static void
test_images (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  static const guint8 rgb[12] = {255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9};
  g_autoptr (VjStore) store = open_store (place->dir, VJ_STORE_WRITE);
  g_autoptr (VjImage) image = vj_image_new_from_rgb (rgb, 2, 2, NULL), read = NULL, none = NULL;
  VjPixels pixels;

  assert_ok (vj_store_image_put (store, image, &error_));
  assert_ok (vj_store_image_put (store, image, &error_));
  assert_ok (vj_store_image_get (store, vj_image_digest (image), &read, &error_));
  assert_ok (vj_image_decode (read, &pixels, &error_));
  g_assert_cmpmem (pixels.rgb, 12, rgb, 12);
  g_free ((void *) pixels.rgb);
  assert_ok (vj_store_image_get (store, "abc", &none, &error_));
  g_assert_null (none);
}

static void
test_scores_and_steps (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  g_autoptr (VjStore) store = open_store (place->dir, VJ_STORE_WRITE);
  VjStoredScore score = {(char *) "before", (char *) "pairs", (char *) "accuracy", 300, 500};
  VjTrainStep step = {1, 2, 0.5, 1e-5, (double) NAN};
  g_autoptr (GPtrArray) scores = NULL;
  g_autoptr (GArray) steps = NULL;

  assert_ok (vj_store_score_put (store, &score, &error_));
  score.label = (char *) "iteration 1";
  assert_ok (vj_store_score_put (store, &score, &error_));
  assert_ok (vj_store_scores (store, "before", &scores, &error_));
  g_assert_cmpuint (scores->len, ==, 1);
  assert_ok (vj_store_step_put (store, "iteration 1", &step, &error_));
  assert_ok (vj_store_step_put (store, "iteration 1", &step, &error_));
  assert_ok (vj_store_steps (store, "iteration 1", &steps, &error_));
  g_assert_cmpuint (steps->len, ==, 1);
  g_assert_true (isnan (g_array_index (steps, VjTrainStep, 0).grad_norm));
}

/* A group that was not committed leaves nothing. */
static void
test_rollback (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  g_autofree char *value = NULL;
  {
    g_autoptr (VjStore) store = open_store (place->dir, VJ_STORE_WRITE);
    assert_ok (vj_store_begin (store, &error_));
    assert_ok (vj_store_meta_set (store, "a", "1", &error_));
    g_assert_true (vj_store_in_group (store));
  }
  g_autoptr (VjStore) store = open_store (place->dir, VJ_STORE_WRITE);
  assert_ok (vj_store_meta_get (store, "a", &value, &error_));
  g_assert_null (value);
}

static void
count_all (VjStore *store, guint ret_counts[6])
{
  g_autoptr (GPtrArray) stages = NULL, drops = NULL, scores = NULL;
  g_autoptr (VjStoreCursor) cursor = vj_store_walk (store, &VJ_STORE_QUERY_ALL);
  gint64 records, failed;
  guint walked = 0;

  assert_ok (vj_store_stages (store, &stages, &error_));
  assert_ok (vj_store_drops (store, VJ_ANY, &drops, &error_));
  assert_ok (vj_store_scores (store, NULL, &scores, &error_));
  assert_ok (vj_store_count (store, &VJ_STORE_QUERY_ALL, &records, &error_));
  assert_ok (vj_store_quarantine_count (store, &failed, &error_));
  for (;; walked++) {
    g_autoptr (VjStored) stored = NULL;
    assert_ok (vj_store_walk_next (cursor, &stored, &error_));
    if (stored == NULL)
      break;
  }
  guint counts[6] = {stages->len, drops->len, scores->len, (guint) records, (guint) failed, walked};
  memcpy (ret_counts, counts, sizeof counts);
}

/* What lies beyond the run's last iteration is stored, and no part of it; one number at a time it can be had. */
static void
test_last_iteration (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  static const char *const labels[] = {"before", "iteration 1", "iteration 2", "iteration 10"};
  static const struct {
    guint last, scores, rest;
  } rows[] = {{0, 1, 0}, {1, 2, 1}, {2, 3, 2}, {9, 3, 2}, {10, 4, 3}, {G_MAXUINT, 4, 3}};
  VjStore *store = open_store (place->dir, VJ_STORE_WRITE);
  VjStoreQuery tenth = {10, VJ_RECORD_QUESTION, VJ_ANY, NULL, NULL};
  g_autoptr (GPtrArray) beyond = NULL;
  gint64 n;

  g_assert_cmpuint (vj_store_last (store), ==, G_MAXUINT);
  for (guint i = 0; i < G_N_ELEMENTS (labels); i++) {
    guint iteration = i == 3 ? 10 : i;
    g_autofree char *id = g_strdup_printf ("q%u", iteration);
    g_autoptr (VjRecord) record = make_question (id, "?");
    assert_ok (vj_store_score_put (store, &(VjStoredScore){(char *) labels[i], (char *) "e", (char *) "m", 1, 2}, &error_));
    if (i == 0)
      continue;
    record->iteration = iteration;
    assert_ok (vj_store_stage_put (store, &(VjStage){iteration, (char *) "questions", (char *) "d", VJ_STAGE_DONE, 1, 0}, &error_));
    assert_ok (vj_store_record_put (store, "questions", record, &error_));
    assert_ok (vj_store_quarantine (store, id, "questions", "broken", NULL, NULL, &error_));
  }
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    guint counts[6];
    assert_ok (vj_store_last_set (store, rows[i].last, &error_));
    count_all (store, counts);
    for (guint k = 0; k < G_N_ELEMENTS (counts); k++)
      g_assert_cmpuint (counts[k], ==, k == 2 ? rows[i].scores : rows[i].rest);
  }
  assert_ok (vj_store_last_set (store, 1, &error_));
  assert_ok (vj_store_count (store, &tenth, &n, &error_));
  g_assert_cmpint (n, ==, 1);
  assert_ok (vj_store_stages_beyond (store, 1, &beyond, &error_));
  g_assert_cmpuint (beyond->len, ==, 2);
  vj_store_close (store);
  store = open_store (place->dir, VJ_STORE_READ);
  g_assert_cmpuint (vj_store_last (store), ==, 1);
  vj_store_close (store);
}

int
main (int argc, char **argv)
{
  place_in_memory ();
  g_test_init (&argc, &argv, NULL);
#define ADD(path, function) g_test_add ("/store/" path, Place, NULL, place_init, function, place_done)
  ADD ("meta", test_meta);
  ADD ("records/put-once", test_records_put_once);
  ADD ("records/walk", test_walk);
  ADD ("records/walk-while-changing", test_walk_while_changing);
  ADD ("books", test_books);
  ADD ("/store/quarantine", test_quarantine);
  ADD ("forget", test_forget);
  ADD ("forget-figures", test_forget_figures);
  ADD ("replies", test_replies);
  ADD ("images", test_images);
  ADD ("scores-and-steps", test_scores_and_steps);
  ADD ("rollback", test_rollback);
  ADD ("last-iteration", test_last_iteration);
  return g_test_run ();
}
