/* record/: the field table, JSON in and out, request keys, and the committed schema. */
#include "base/file.h"
#include "record/request.h"
#include "record/record.h"
#include "image/image.h"

#include <math.h>
#include <string.h>

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static VjRecord *
make_judgment (void)
{
  static const char *const images[] = {DIGEST, NULL};
  VjRecord *record = vj_record_new (VJ_RECORD_JUDGMENT, 2, "q1.p.a0");
  vj_record_add_parent (record, "q1.p");
  vj_record_set_flag (record, "chosen_is_a", TRUE);
  vj_record_set_integer (record, "sample", 0);
  vj_record_set_text (record, "verdict", "A");
  vj_record_set_flag (record, "right", TRUE);
  vj_record_set_text (record, "text", "The dog is red. [[A]]");
  vj_record_add_message (record, "user", "Which is better?", images);
  return record;
}

static void
test_round_trip (void)
{
  g_autoptr (VjRecord) record = make_judgment (), again = NULL;
  g_autofree char *text = vj_record_to_text (record), *twice = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (vj_record_check (record, NULL));
  again = vj_record_from_text (text, strlen (text), "line 1", &error);
  g_assert_no_error (error);
  twice = vj_record_to_text (again);
  g_assert_cmpstr (text, ==, twice);
  g_assert_cmpstr (again->parents[0], ==, "q1.p");
  g_assert_true (vj_record_flag (again, "right"));
  g_assert_true (g_str_has_prefix (text, "{\"chosen_is_a\":true,\"id\":\"q1.p.a0\",\"iteration\":2,\"kind\":\"judgment\","));
}

/* Each fault of a record is told by the field. */
static void
test_check (void)
{
  static const struct {
    const char *json, *words;
  } rows[] = {
    {"{}", "'id'"},
    {"[]", "not an object"},
    {"{\"id\":\"a\",\"kind\":\"soup\",\"iteration\":0,\"parents\":[]}", "'kind'"},
    {"{\"id\":\"a\",\"kind\":\"pair\",\"iteration\":-1,\"parents\":[]}", "'iteration'"},
    {"{\"id\":\"a\",\"kind\":\"pair\",\"iteration\":0}", "'parents'"},
    {"{\"id\":\"a\",\"kind\":\"pair\",\"iteration\":0,\"parents\":[1]}", "a parent"},
    {"{\"id\":\"\",\"kind\":\"response\",\"iteration\":0,\"parents\":[],\"text\":\"\"}", "1 to 200 bytes"},
    {"{\"id\":\"a\\nb\",\"kind\":\"response\",\"iteration\":0,\"parents\":[],\"text\":\"\"}", "control"},
    {"{\"id\":\"a\",\"kind\":\"response\",\"iteration\":0,\"parents\":[]}", "'text'"},
    {"{\"id\":\"a\",\"kind\":\"response\",\"iteration\":0,\"parents\":[],\"text\":7}", "'text'"},
    {"{\"id\":\"a\",\"kind\":\"response\",\"iteration\":0,\"parents\":[],\"text\":\"\",\"gold\":\"x\"}", "no field 'gold'"},
    {"{\"id\":\"a\",\"kind\":\"response\",\"iteration\":0,\"parents\":[],\"text\":\"\",\"finish\":\"soon\"}", "stop|length"},
    {"{\"id\":\"a\",\"kind\":\"question\",\"iteration\":0,\"parents\":[],\"prompt\":\"\",\"form\":\"open\",\"images\":[\"x\"]}",
     "'images'"},
    {"{\"id\":\"a\",\"kind\":\"answer\",\"iteration\":0,\"parents\":[],\"text\":\"\",\"draw\":-1}", "'draw'"},
    {"{\"id\":\"a\",\"id\":\"b\"}", "not JSON"},
    {"{\"id\":\"a\\u0000\"}", "not JSON"},
    {"{\"id\":\"\xff\"}", "not JSON"},
    {"{\"id\":\"a\"} x", "not JSON"},
    {"{\"id\":99999999999999999999999}", "not JSON"},
    {"", "not JSON"},
  };
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autoptr (GError) error = NULL;
    VjRecord *record = vj_record_from_text (rows[i].json, strlen (rows[i].json), "x.jsonl:7", &error);
    if (record != NULL || !g_error_matches (error, VJ_ERROR, VJ_EXIT_DATA) || strstr (error->message, rows[i].words) == NULL
        || !g_str_has_prefix (error->message, "x.jsonl:7: "))
      g_error ("%s: '%s'", rows[i].json, error != NULL ? error->message : "taken");
  }
}

static void
test_deep_json (void)
{
  g_autofree char *deep = g_strnfill (200000, '['), *quoted = g_strdup_printf ("{\"a\":\"%s\"}", deep);
  g_autoptr (GError) error = NULL;
  json_t *json;

  g_assert_null (vj_json_parse (deep, 200000, "deep", &error));
  g_assert_nonnull (strstr (error->message, "deeper than 64"));
  json = vj_json_parse (quoted, strlen (quoted), "flat", NULL); /* brackets in a text are no nesting */
  g_assert_nonnull (json);
  json_decref (json);
}

/* Whatever a model says, a record holds it as UTF-8. */
static void
test_bad_text_is_mended (void)
{
  g_autoptr (VjRecord) record = vj_record_new (VJ_RECORD_RESPONSE, 0, "r");
  vj_record_set_text (record, "text", "caf\xe9");
  vj_record_set_text (record, "model", NULL);
  g_assert_cmpstr (vj_record_text (record, "text"), ==, "caf\xef\xbf\xbd");
  g_assert_true (vj_record_check (record, NULL));
  g_assert_null (vj_record_text (record, "model"));
}

static void
test_schema_is_current (void)
{
  g_autofree char *path = g_build_filename (g_getenv ("VJ_SRCDIR"), "schemas", "record.schema.json", NULL);
  g_autofree char *made = vj_record_schema (), *committed = NULL;
  if (g_getenv ("VJ_REGENERATE") != NULL)
    g_assert_true (g_file_set_contents (path, made, -1, NULL));
  g_assert_true (g_file_get_contents (path, &committed, NULL, NULL));
  if (strcmp (made, committed) != 0)
    g_error ("schemas/record.schema.json is stale: VJ_REGENERATE=1 tests/unit/test-record writes it anew");
}

/* -- requests -------------------------------------------------------------------------------- */

static char *
key_of (const VjRequest *request, const char *identity, guint64 seed)
{
  g_autofree char *canonical = vj_request_canonical (request, identity, NULL);
  g_assert_nonnull (canonical);
  return vj_request_key (canonical, seed);
}

/* Everything that could change a reply changes the key; nothing else does. */
static void
test_request_key (void)
{
  static const guint8 rgb[3] = {1, 2, 3}, other_rgb[3] = {3, 2, 1};
  g_autoptr (VjImage) image = vj_image_new_from_rgb (rgb, 1, 1, NULL), other = vj_image_new_from_rgb (other_rgb, 1, 1, NULL);
  const VjImage *images[] = {image, other}, *swapped[] = {other, image};
  VjMessage message = {VJ_SPEAKER_USER, "What?", images, 1};
  VjRequest request = {&message, 1, {.temperature = 0.6, .top_p = 0.9, .top_k = 50, .max_tokens = 64, .n = 16}, NULL};
  char *stop[] = {"a", "b", NULL}, *other_stop[] = {"ab", NULL};
  g_autofree char *key = key_of (&request, "model", 1), *same = NULL;
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  guint n = 0;

#define DIFFERS(change, undo)                                            \
  change;                                                                \
  g_hash_table_add (seen, key_of (&request, "model", 1));                \
  n++;                                                                   \
  undo
  g_hash_table_add (seen, g_strdup (key));
  n++;
  DIFFERS (message.text = "What", message.text = "What?");
  DIFFERS (message.speaker = VJ_SPEAKER_SYSTEM, message.speaker = VJ_SPEAKER_USER);
  DIFFERS (message.n_images = 0, message.n_images = 1);
  DIFFERS (message.n_images = 2, message.n_images = 1);
  DIFFERS (message.images = swapped, message.images = images);
  DIFFERS (request.sampling.temperature = 0.61, request.sampling.temperature = 0.6);
  DIFFERS (request.sampling.top_p = 1, request.sampling.top_p = 0.9);
  DIFFERS (request.sampling.top_k = 0, request.sampling.top_k = 50);
  DIFFERS (request.sampling.max_tokens = 65, request.sampling.max_tokens = 64);
  DIFFERS (request.sampling.min_p = 0.1, request.sampling.min_p = 0);
  DIFFERS (request.sampling.repetition_penalty = 1.1, request.sampling.repetition_penalty = 1);
  DIFFERS (request.sampling.stop = stop, request.sampling.stop = NULL);
  DIFFERS (request.sampling.stop = other_stop, request.sampling.stop = stop + 2);
  g_hash_table_add (seen, key_of (&request, "model 2", 1));
  g_hash_table_add (seen, key_of (&request, "model", 2));
  g_assert_cmpuint (g_hash_table_size (seen), ==, n + 2);
  request.sampling.n = 1;
  same = key_of (&request, "model", 1);
  g_assert_cmpstr (key, ==, same);
  g_assert_true (vj_sha256_is (key));
}

/* A ledger written before min_p, repetition_penalty and stop were known still answers. */
static void
test_usual_sampling_keeps_its_key (void)
{
  VjMessage message = {VJ_SPEAKER_USER, "What?", NULL, 0};
  VjRequest request = {&message, 1, {.temperature = 0.5, .top_p = 1, .top_k = 50, .max_tokens = 64, .n = 1, .repetition_penalty = 1}, NULL};
  g_autofree char *canonical = vj_request_canonical (&request, "model", NULL), *key = key_of (&request, "model", 7);

  g_assert_cmpstr (canonical, ==, "{\"identity\":\"model\",\"max_tokens\":64,\"messages\":[{\"images\":[],\"speaker\":\"user\",\"text\":\"What?\"}],"
                                  "\"request\":1,\"temperature\":0.5,\"top_k\":50,\"top_p\":1.0}");
  g_assert_cmpstr (key, ==, "74682772a90b3350f4bcfce88b2576ec1a4c501c1b8e790d92ec309a88d4d645");
}

static void
test_request_faults (void)
{
  VjMessage message = {VJ_SPEAKER_USER, "\xff", NULL, 0};
  VjRequest request = {&message, 1, {.top_p = 1, .max_tokens = 8, .n = 1}, NULL};
  char *stop[] = {"fine", "\xff", NULL};
  g_autoptr (GError) error = NULL;

  g_assert_null (vj_request_canonical (&request, "m", &error));
  g_assert_error (error, VJ_ERROR, VJ_EXIT_PLUGIN);
  message.text = "ok";
  request.sampling.temperature = (double) NAN;
  g_assert_null (vj_request_canonical (&request, "m", NULL));
  request.sampling.temperature = 0;
  request.sampling.min_p = (double) INFINITY;
  g_assert_null (vj_request_canonical (&request, "m", NULL));
  request.sampling.min_p = 0;
  request.sampling.stop = stop;
  g_assert_null (vj_request_canonical (&request, "m", NULL));
  request.sampling.stop = NULL;
  g_assert_null (vj_request_canonical (&request, "\xff", NULL));
  request.n_messages = 0;
  g_assert_null (vj_request_canonical (&request, "m", NULL));
}

static void
test_names (void)
{
  VjSpeaker speaker;
  VjFinish finish;
  VjRecordKind kind;
  g_assert_true (vj_speaker_from_name ("assistant", &speaker) && speaker == VJ_SPEAKER_ASSISTANT);
  g_assert_true (vj_finish_from_name ("length", &finish) && finish == VJ_FINISH_LENGTH);
  g_assert_true (vj_record_kind_from_name ("case", &kind) && kind == VJ_RECORD_CASE);
  g_assert_false (vj_speaker_from_name ("tool", &speaker) || vj_finish_from_name (NULL, &finish));
  g_assert_cmpstr (vj_speaker_name (VJ_SPEAKER_SYSTEM), ==, "system");
}

/* The shortest digits are held against strtod, and against canonical JSON, which has them all. */
static void
test_readable (void)
{
  static const struct {
    double value;
    const char *text;
  } rows[] = {{0.05, "0.05"}, {1.0, "1.0"}, {0.0, "0.0"}, {-0.1, "-0.1"}, {1e-5, "1e-05"}, {1e300, "1e+300"}, {100000, "100000.0"}, {30, "30.0"},
              {0.00012, "0.00012"}, {12345.678, "12345.678"}, {1e15, "1000000000000000.0"}, {1e16, "1e+16"}, {9007199254740993, "9007199254740992.0"}, {1.0 / 3.0, "0.3333333333333333"}, {0.1 + 0.2, "0.30000000000000004"}, {5e-324, "5e-324"}, {1.7976931348623157e308, "1.7976931348623157e+308"}};
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    json_t *json = json_real (rows[i].value);
    g_autofree char *text = vj_json_readable (json);
    json_t *again = json_loads (text, JSON_DECODE_ANY, NULL);
    g_assert_cmpstr (text, ==, rows[i].text);
    g_assert_true (json_equal (json, again)); /* a real still, and the same */
    json_decref (json);
    json_decref (again);
  }

  static const char *const texts[] = {"{\"a\":[],\"b\":{},\"c\":[1,\"\\\"x\\n\",null,true,-7],\"é\":{\"y\":[[0.5]],\"z\":0.25}}", "[]", "{}", "\"one\"", "12"};
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    json_t *json = json_loads (texts[i], JSON_DECODE_ANY, NULL);
    g_autofree char *text = vj_json_readable (json), *canonical = vj_json_canonical (json);
    g_assert_cmpstr (text, ==, texts[i]);
    g_assert_cmpstr (text, ==, canonical);
    json_decref (json);
  }
  g_assert_null (vj_json_readable (NULL));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/record/round-trip", test_round_trip);
  g_test_add_func ("/record/check", test_check);
  g_test_add_func ("/record/deep-json", test_deep_json);
  g_test_add_func ("/record/bad-text-is-mended", test_bad_text_is_mended);
  g_test_add_func ("/record/schema-is-current", test_schema_is_current);
  g_test_add_func ("/record/request/key", test_request_key);
  g_test_add_func ("/record/request/usual-sampling-keeps-its-key", test_usual_sampling_keeps_its_key);
  g_test_add_func ("/record/request/faults", test_request_faults);
  g_test_add_func ("/record/names", test_names);
  g_test_add_func ("/json/readable", test_readable);
  return g_test_run ();
}
