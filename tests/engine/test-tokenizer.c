/* Tokenizer: equality with the `tokenizers` library on committed vectors
 * (tests/peers/make_tokenizer_vectors.py), and refusal of broken files. */
#include "tests/engine/tokenizer-strings.h"

static char *
vector_path (const char *name, const char *file)
{
  const char *other = g_getenv ("VJ_TOKENIZER_VECTORS"); /* a larger set made by the same script */
  g_autofree char *dir = other ? g_strdup (other) : g_build_filename (g_getenv ("VJ_SRCDIR"), "tests/vectors/tokenizer", NULL);
  return g_build_filename (dir, name, file, NULL);
}

static VjTokenizer *
open_vector (const char *name)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *file = vector_path (name, "tokenizer.json");
  VjTokenizer *tokenizer = vj_tokenizer_load (file, &error);
  g_assert_no_error (error);
  return tokenizer;
}

static json_t *
read_json (const char *name, const char *file)
{
  g_autofree char *path = vector_path (name, file);
  json_t *object = json_load_file (path, 0, NULL);
  g_assert_nonnull (object);
  return object;
}

static GArray *
ids_of (const json_t *array)
{
  GArray *ids = g_array_new (FALSE, FALSE, sizeof (guint32));
  for (gsize i = 0; i < json_array_size (array); i++) {
    guint32 id = (guint32) json_integer_value (json_array_get (array, i));
    g_array_append_val (ids, id);
  }
  return ids;
}

static void
check_encode (const VjTokenizer *tokenizer, const json_t *item)
{
  g_autoptr (GError) error = NULL;
  const char *text = json_string_value (json_object_get (item, "text"));
  g_autoptr (GArray) expected = ids_of (json_object_get (item, "ids"));
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (guint32));
  g_assert_true (vj_tokenizer_encode (tokenizer, text, -1, ids, &error));
  g_assert_no_error (error);
  if (ids->len != expected->len || (ids->len > 0 && memcmp (ids->data, expected->data, ids->len * sizeof (guint32)) != 0)) {
    g_autofree char *quoted = g_strescape (text, NULL);
    g_test_message ("text: %s", quoted);
    g_test_fail ();
  }
  g_autofree char *back = vj_tokenizer_decode (tokenizer, (const guint32 *) (gpointer) ids->data, ids->len);
  g_assert_cmpstr (back, ==, text);
}

static void
test_equals_library (gconstpointer name)
{
  g_autoptr (VjTokenizer) tokenizer = open_vector (name);
  json_t *vectors = read_json (name, "vectors.json"), *item;
  gsize i;
  g_assert_cmpint (vj_tokenizer_bos (tokenizer), ==, json_integer_value (json_object_get (vectors, "bos")));
  g_assert_cmpuint (vj_tokenizer_size (tokenizer), ==, json_integer_value (json_object_get (vectors, "size")));
  g_assert_cmpuint (json_array_size (json_object_get (vectors, "encode")), >, 100);
  json_array_foreach (json_object_get (vectors, "encode"), i, item) check_encode (tokenizer, item);
  json_array_foreach (json_object_get (vectors, "decode"), i, item)
  {
    g_autoptr (GArray) ids = ids_of (json_object_get (item, "ids"));
    g_autofree char *text = vj_tokenizer_decode (tokenizer, (const guint32 *) (gpointer) ids->data, ids->len);
    g_assert_cmpstr (text, ==, json_string_value (json_object_get (item, "text")));
  }
  json_decref (vectors);
}

/* A vocabulary trained with ignore_merges on many scripts, and 22,000 strings (tests/peers/check_tokenizers.py). */
static void
test_many_strings_equal_library (void)
{
  g_autoptr (VjTokenizer) tokenizer = open_vector ("1k");
  json_t *atoms = read_json ("", "strings.json"), *expected = read_json ("1k", "digests.json");
  g_autofree char *fault = strings_compare (tokenizer, atoms, expected);
  g_assert_cmpstr (fault, ==, NULL);
  /* The comparison itself can fail. */
  json_array_set_new (json_object_get (expected, "ids"), 20, json_string ("0000000000000000"));
  g_autofree char *seen = strings_compare (tokenizer, atoms, expected);
  g_assert_cmpstr (seen, ==, "the ids of one of the strings 10000 to 10499 differ");
  json_decref (atoms);
  json_decref (expected);
}

static void
test_control_tokens_are_not_made_from_text (void)
{
  g_autoptr (VjTokenizer) tokenizer = open_vector ("plain");
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (guint32));
  gint64 end = vj_tokenizer_control (tokenizer, "<|eot_id|>");
  gsize length;
  g_assert_cmpint (end, >=, 0);
  g_assert_cmpint (vj_tokenizer_control (tokenizer, "hello"), ==, -1);
  g_assert_true (vj_tokenizer_encode (tokenizer, "<|eot_id|>", -1, ids, NULL));
  g_assert_cmpuint (ids->len, >, 1);
  for (guint i = 0; i < ids->len; i++)
    g_assert_cmpint (g_array_index (ids, guint32, i), !=, end);
  vj_tokenizer_peek (tokenizer, (guint32) end, &length);
  g_assert_cmpuint (length, ==, 0);
}

static void
test_text_that_is_not_utf8_is_refused (void)
{
  g_autoptr (VjTokenizer) tokenizer = open_vector ("plain");
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (guint32));
  g_autoptr (GError) error = NULL;
  g_assert_false (vj_tokenizer_encode (tokenizer, "ok\xff", -1, ids, &error));
  g_assert_cmpint (vj_error_exit (error), ==, VJ_EXIT_DATA);
  g_assert_cmpuint (ids->len, ==, 0);
}

/* A megabyte without a break: a quadratic merge would take minutes, and the length stays exact. */
static void
test_long_pieces_are_merged_in_time (void)
{
  g_autoptr (VjTokenizer) tokenizer = open_vector ("plain");
  g_autofree char *text = g_strnfill (1 << 20, 'a');
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (guint32));
  g_assert_true (vj_tokenizer_encode (tokenizer, text, -1, ids, NULL));
  g_autofree char *back = vj_tokenizer_decode (tokenizer, (const guint32 *) (gpointer) ids->data, ids->len);
  g_assert_cmpstr (back, ==, text);
}

/* -- broken files ------------------------------------------------------------ */

/* Each spoils one thing of a sound file; `part` is in the message. */
typedef struct {
  const char *name, *part;
  void (*spoil) (json_t *root);
} Fault;

static json_t *
model_of (json_t *root)
{
  return json_object_get (root, "model");
}

static json_t *
vocab_of (json_t *root)
{
  return json_object_get (model_of (root), "vocab");
}

static json_t *
merges_of (json_t *root)
{
  return json_object_get (model_of (root), "merges");
}

static json_t *
added_of (json_t *root, gsize i)
{
  return json_array_get (json_object_get (root, "added_tokens"), i);
}

/* Gives the token of id 700 another spelling. */
static void
respell (json_t *root, const char *spelling)
{
  const char *key;
  json_t *id;
  void *next;
  json_object_foreach_safe (vocab_of (root), next, key, id) if (json_integer_value (id) == 700) json_object_del (vocab_of (root), key);
  json_object_set_new (vocab_of (root), spelling, json_integer (700));
  json_array_clear (merges_of (root));
}

#define SPOIL(name, ...)              \
  static void spoil_##name (json_t *r) \
  {                                   \
    __VA_ARGS__;                      \
  }
SPOIL (gap, json_object_set_new (vocab_of (r), "a", json_integer (999999)))
SPOIL (twice, json_object_set_new (vocab_of (r), "a", json_integer (5)))
SPOIL (negative, json_object_set_new (vocab_of (r), "a", json_integer (-1)))
SPOIL (huge_id, json_object_set_new (vocab_of (r), "a", json_integer (G_MAXINT64)))
SPOIL (float_id, json_object_set_new (vocab_of (r), "a", json_real (3.5)))
SPOIL (no_byte, json_object_set (vocab_of (r), "zqzqzq", json_object_get (vocab_of (r), "a")); json_object_del (vocab_of (r), "a");
       json_array_clear (merges_of (r)))
SPOIL (foreign, respell (r, "\xe5\xad\x97"))
SPOIL (latin, respell (r, "\xc2\xad"))
SPOIL (empty_token, respell (r, ""))
SPOIL (no_vocab, json_object_del (model_of (r), "vocab"))
SPOIL (small_vocab, json_object_clear (vocab_of (r)))
SPOIL (list_vocab, json_object_set_new (model_of (r), "vocab", json_array ()))
SPOIL (no_merges, json_object_del (model_of (r), "merges"))
SPOIL (merge_unknown, json_array_append_new (merges_of (r), json_string ("qqq zz")))
SPOIL (merge_makes_unknown, json_array_append_new (merges_of (r), json_string ("\xc3\xbf \xc3\xbf")))
SPOIL (merge_repeated, json_array_append (merges_of (r), json_array_get (merges_of (r), 0)))
SPOIL (merge_one, json_array_append_new (merges_of (r), json_string ("a")))
SPOIL (merge_three, json_array_append_new (merges_of (r), json_string ("a b c")))
SPOIL (merge_empty, json_array_append_new (merges_of (r), json_string (" ")))
SPOIL (merge_number, json_array_append_new (merges_of (r), json_integer (1)))
SPOIL (merge_control, json_array_append_new (merges_of (r), json_string ("<|eot_id|> a")))
SPOIL (not_special, json_object_set_new (added_of (r, 0), "special", json_false ()))
SPOIL (strips, json_object_set_new (added_of (r, 0), "lstrip", json_true ()))
SPOIL (added_twice, json_object_set (added_of (r, 1), "content", json_object_get (added_of (r, 0), "content")))
SPOIL (added_same_id, json_object_set (added_of (r, 1), "id", json_object_get (added_of (r, 0), "id")))
SPOIL (added_nameless, json_object_del (added_of (r, 1), "content"))
SPOIL (added_object, json_object_set_new (r, "added_tokens", json_object ()))
SPOIL (wordpiece, json_object_set_new (model_of (r), "type", json_string ("WordPiece")))
SPOIL (no_model, json_object_del (r, "model"))
SPOIL (dropout, json_object_set_new (model_of (r), "dropout", json_real (.1)))
SPOIL (prefix, json_object_set_new (model_of (r), "continuing_subword_prefix", json_string ("##")))
SPOIL (ignore_text, json_object_set_new (model_of (r), "ignore_merges", json_string ("yes")))
SPOIL (normalizer, json_object_set_new (r, "normalizer", json_pack ("{ss}", "type", "NFC")))
SPOIL (decoder, json_object_set_new (r, "decoder", json_pack ("{ss}", "type", "WordPiece")))
SPOIL (no_pre, json_object_del (r, "pre_tokenizer"))
SPOIL (pattern, json_object_set_new (json_object_get (json_array_get (json_object_get (json_object_get (r, "pre_tokenizer"), "pretokenizers"), 0),
                                                      "pattern"),
                                     "Regex", json_string ("(a+)+$")))
SPOIL (post, json_object_set_new (r, "post_processor", json_pack ("{ss}", "type", "BertProcessing")))
SPOIL (post_unknown, json_object_set_new (r, "post_processor", json_pack ("{sss[{s{ss}}{s{ss}}]}", "type", "TemplateProcessing", "single",
                                                                          "SpecialToken", "id", "[CLS]", "Sequence", "id", "A")))

static const Fault faults[] = {
    {"gap in the ids", "leaves a gap", spoil_gap},
    {"an id twice", "given twice", spoil_twice},
    {"a negative id", "not a whole number", spoil_negative},
    {"an absurd id", "leaves a gap", spoil_huge_id},
    {"a broken id", "not a whole number", spoil_float_id},
    {"a byte without a token", "no token for the byte 0x61", spoil_no_byte},
    {"a token outside the byte alphabet", "byte alphabet", spoil_foreign},
    {"a token with a byte that is not printable", "byte alphabet", spoil_latin},
    {"an empty token", "'vocab'", spoil_empty_token},
    {"no vocabulary", "'vocab'", spoil_no_vocab},
    {"hardly a vocabulary", "expected 256", spoil_small_vocab},
    {"a vocabulary without ids", "'vocab'", spoil_list_vocab},
    {"no merges", "'merges'", spoil_no_merges},
    {"a merge of an unknown token", "not in the vocabulary", spoil_merge_unknown},
    {"a merge into an unknown token", "not in the vocabulary", spoil_merge_makes_unknown},
    {"a merge twice", "repeats", spoil_merge_repeated},
    {"a merge of one", "not a pair", spoil_merge_one},
    {"a merge of three", "not a pair", spoil_merge_three},
    {"a merge of nothing", "not in the vocabulary", spoil_merge_empty},
    {"a merge that is a number", "not a pair", spoil_merge_number},
    {"a merge of a control token", "not in the vocabulary", spoil_merge_control},
    {"an added token that is not special", "not special", spoil_not_special},
    {"an added token that strips", "lstrip", spoil_strips},
    {"an added token twice", "added twice", spoil_added_twice},
    {"two added tokens with one id", "given twice", spoil_added_same_id},
    {"an added token without content", "no content", spoil_added_nameless},
    {"added tokens that are no list", "'added_tokens'", spoil_added_object},
    {"another model", "BPE", spoil_wordpiece},
    {"no model", "'model'", spoil_no_model},
    {"dropout", "dropout", spoil_dropout},
    {"a subword prefix", "prefix", spoil_prefix},
    {"ignore_merges that is text", "ignore_merges", spoil_ignore_text},
    {"a normalizer", "'normalizer'", spoil_normalizer},
    {"another decoder", "'decoder'", spoil_decoder},
    {"no pre-tokenizer", "'pre_tokenizer'", spoil_no_pre},
    {"another pattern", "splitting pattern", spoil_pattern},
    {"another post-processor", "'post_processor'", spoil_post},
    {"a template over an unknown token", "'post_processor'", spoil_post_unknown},
};

static void
test_broken_file_is_refused (gconstpointer data)
{
  const Fault *fault = data;
  g_autoptr (GError) error = NULL;
  json_t *root = read_json ("plain", "tokenizer.json");
  fault->spoil (root);
  char *text = json_dumps (root, JSON_COMPACT);
  VjTokenizer *tokenizer = vj_tokenizer_parse ("here", text, strlen (text), &error);
  g_assert_null (tokenizer);
  g_assert_cmpint (vj_error_exit (error), ==, VJ_EXIT_DATA);
  g_test_message ("%s", error->message);
  g_assert_true (g_str_has_prefix (error->message, "here"));
  g_assert_nonnull (strstr (error->message, fault->part));
  free (text);
  json_decref (root);
}

static void
test_bytes_that_are_no_json_are_refused (void)
{
  static const char *const broken[] = {"", "{", "[]", "null", "7", "{\"a\":1,\"a\":2}", "{\"a\":\"\xff\"}", "{\"a\":\"\\u0000\"}", "\x80\x04\x95", "{} {}"};
  g_autofree char *deep = g_strnfill (100000, '[');
  for (gsize i = 0; i <= G_N_ELEMENTS (broken); i++) {
    g_autoptr (GError) error = NULL;
    const char *text = i < G_N_ELEMENTS (broken) ? broken[i] : deep;
    g_assert_null (vj_tokenizer_parse ("here", text, strlen (text), &error));
    g_assert_cmpint (vj_error_exit (error), ==, VJ_EXIT_DATA);
  }
}

/* A file of 256 byte tokens (spelled with escapes) and the given ends of vocabulary and merges. Owned. */
static char *
small_file (const char *vocab, const char *merges, const char *rest)
{
  GString *text = g_string_new ("{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":");
  json_t *root = read_json ("plain", "tokenizer.json");
  const json_t *split = json_array_get (json_object_get (json_object_get (root, "pre_tokenizer"), "pretokenizers"), 0);
  char *pattern = json_dumps (json_object_get (json_object_get (split, "pattern"), "Regex"), JSON_ENCODE_ANY);
  g_string_append (text, pattern);
  g_string_append (text, "},\"behavior\":\"Isolated\",\"invert\":false},{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}]},"
                         "\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\n\"vocab\" : {");
  for (guint c = 0x21, id = 0; c < 0x144; c++)
    if (c <= 0x7e || (c >= 0xa1 && c != 0xad))
      g_string_append_printf (text, "%s\"\\u%04x\": %u", id ? "," : "", c, id), id++;
  g_string_append_printf (text, "%s} ,\n\"merges\": [%s] }%s}", vocab, merges, rest);
  free (pattern);
  json_decref (root);
  return g_string_free (text, FALSE);
}

/* What only shows in the text itself: spellings, doubles, marks. `says` NULL: read. */
static const struct {
  const char *vocab, *merges, *rest, *says;
} small_cases[] = {
  { "", "", "", NULL },
  { ",\"ab\":256", "\"a b\"", "", NULL },
  { " , \"\\u0061b\" : 256 ", " [ \"\\u0061\" , \"b\" ] ", "", NULL },
  { ",\"\\u0120a\":256", "[\"\xc4\xa0\",\"a\"]", "", NULL },
  { ",\"\\\\\\\"\":256", "\"\\\\ \\\"\"", "", NULL }, /* backslash and quote */
  { ",\"\\/\\/\":256", "[\"\\/\",\"/\"]", "", NULL },
  { ",\"\\u0061\":256", "", "", "repeats the token" },
  { ",\"a\":256", "", "", "repeats the token" },
  { ",\"<x>\":256,\"<x>\":256", "", ",\"added_tokens\":[{\"content\":\"<x>\",\"id\":256,\"special\":true}]", "given twice" },
  { ",\"<x>\":256", "", ",\"added_tokens\":[{\"content\":\"<x>\",\"id\":256,\"special\":true}]", NULL },
  { ",\"<x>\":257", "", ",\"added_tokens\":[{\"content\":\"<x>\",\"id\":256,\"special\":true}]", "another in the vocabulary" },
  { "", "", ",\"added_tokens\":[{\"content\":\"<x>\",\"id\":4294967552,\"special\":true}]", "leaves a gap" },
  { ",\"ab\":0256", "", "", "not a whole number" },
  { ",\"ab\":256.0", "", "", "not a whole number" },
  { ",\"ab\":2e2", "", "", "not a whole number" },
  { ",\"ab\":-256", "", "", "not a whole number" },
  { ",\"ab\":\"256\"", "", "", "not a whole number" },
  { ",\"ab\":99999999999999999999", "", "", "not a whole number" },
  { ",\"ab\":256,", "", "", "JSON" },
  { ",\"ab\" 256", "", "", "JSON" },
  { ",ab:256", "", "", "JSON" },
  { ",\"a\nb\":256", "", "", "JSON" },
  { ",\"a\\qb\":256", "", "", "JSON" },
  { ",\"a\\ud800\":256", "", "", "JSON" },
  { ",\"a\\udc00\\ud800\":256", "", "", "JSON" },
  { ",\"a\\u0000\":256", "", "", "JSON" },
  { ",\"a\\u00g0\":256", "", "", "JSON" },
  { ",\"a\xff\":256", "", "", "JSON" },
  { ",\"\\ud83d\\ude00\":256", "", "", "byte alphabet" },
  { ",\"ab\":256", "\"a b\",", "", "not a pair" },
  { ",\"ab\":256", "\"a b\" \"a b\"", "", "JSON" },
  { ",\"ab\":256", "[\"a\",\"b\",\"c\"]", "", "not a pair" },
  { ",\"ab\":256", "[\"a\" \"b\"]", "", "not a pair" },
  { ",\"ab\":256", "\"a b\",[\"a\",\"b\"]", "", "repeats an earlier" },
  { ",\"ab\":256", "", ",\"model\":{}", "JSON" },
  { ",\"ab\":256},\"vocab\":{", "", "", "JSON" },
  { "", "", " x", "JSON" },
};

static void
test_text_is_read_as_strictly_as_json (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (small_cases); i++) {
    g_autoptr (GError) error = NULL;
    g_autofree char *text = small_file (small_cases[i].vocab, small_cases[i].merges, small_cases[i].rest);
    g_autoptr (VjTokenizer) tokenizer = vj_tokenizer_parse ("here", text, strlen (text), &error);
    g_test_message ("%s | %s: %s", small_cases[i].vocab, small_cases[i].merges, error ? error->message : "read");
    g_assert_true ((tokenizer != NULL) == (small_cases[i].says == NULL));
    if (tokenizer == NULL)
      g_assert_nonnull (strstr (error->message, small_cases[i].says));
    if (tokenizer == NULL)
      g_assert_cmpint (vj_error_exit (error), ==, VJ_EXIT_DATA);
  }
}

/* Truncations and seeded changes: what jansson calls no JSON is refused, the rest is refused or read, never a crash. */
static void
test_mangled_bytes_do_no_harm (void)
{
  g_autofree char *file = vector_path ("ignore-merges", "tokenizer.json");
  g_autofree char *bytes = NULL;
  gsize length;
  guint read = 0, no_json = 0;
  g_assert_true (g_file_get_contents (file, &bytes, &length, NULL));
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);
  for (gsize cut = 0; cut < length; cut += length / 200)
    g_assert_null (vj_tokenizer_parse ("here", bytes, cut, NULL));
  for (int i = 0; i < 1500; i++) {
    static const char marks[] = "{}[]:,\"\\ \n0123456789au-.\x01\xc4\xff";
    g_autofree char *copy = g_memdup2 (bytes, length);
    for (int k = i % 3; k >= 0; k--)
      copy[g_rand_int_range (rand, 0, (gint32) length)] = marks[g_rand_int_range (rand, 0, sizeof marks - 1)];
    g_autoptr (GError) error = NULL;
    g_autoptr (VjTokenizer) tokenizer = vj_tokenizer_parse ("here", copy, length, &error);
    json_t *root = json_loadb (copy, length, JSON_REJECT_DUPLICATES, NULL);
    no_json += root == NULL;
    read += tokenizer != NULL;
    if (tokenizer == NULL)
      g_assert_cmpint (vj_error_exit (error), ==, VJ_EXIT_DATA);
    else
      g_assert_nonnull (root);
    json_decref (root);
  }
  g_test_message ("%u no JSON, %u read", no_json, read);
  g_assert_cmpuint (no_json, >, 500);
  g_assert_cmpuint (read, >, 5);
}

static void
test_missing_file_is_refused (void)
{
  g_autoptr (GError) error = NULL;
  g_assert_null (vj_tokenizer_load ("/nonexistent/tokenizer.json", &error));
  g_assert_cmpint (vj_error_exit (error), ==, VJ_EXIT_DATA);
  g_clear_error (&error);
  g_assert_null (vj_tokenizer_load ("/dev/zero", &error));
  g_assert_cmpint (vj_error_exit (error), ==, VJ_EXIT_DATA);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/tokenizer/equals-library/plain", "plain", test_equals_library);
  g_test_add_data_func ("/tokenizer/equals-library/ignore-merges", "ignore-merges", test_equals_library);
  g_test_add_func ("/tokenizer/many-strings-equal-library", test_many_strings_equal_library);
  g_test_add_func ("/tokenizer/control-tokens-are-not-made-from-text", test_control_tokens_are_not_made_from_text);
  g_test_add_func ("/tokenizer/text-that-is-not-utf8-is-refused", test_text_that_is_not_utf8_is_refused);
  g_test_add_func ("/tokenizer/long-pieces-are-merged-in-time", test_long_pieces_are_merged_in_time);
  for (gsize i = 0; i < G_N_ELEMENTS (faults); i++) {
    g_autofree char *path = g_strdup_printf ("/tokenizer/refused/%s", faults[i].name);
    g_test_add_data_func (path, &faults[i], test_broken_file_is_refused);
  }
  g_test_add_func ("/tokenizer/refused/bytes that are no JSON", test_bytes_that_are_no_json_are_refused);
  g_test_add_func ("/tokenizer/refused/a missing file", test_missing_file_is_refused);
  g_test_add_func ("/tokenizer/text-is-read-as-strictly-as-json", test_text_is_read_as_strictly_as_json);
  g_test_add_func ("/tokenizer/mangled-bytes-do-no-harm", test_mangled_bytes_do_no_harm);
  return g_test_run ();
}
