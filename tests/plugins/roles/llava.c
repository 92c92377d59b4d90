#include "roles.h"

#define TURNS(human, gpt) "\"conversations\": [{\"from\": \"human\", \"value\": \"" human "\"}, {\"from\": \"gpt\", \"value\": \"" gpt "\"}]"
#define ROW "{\"id\": \"r1\", \"image\": \"a.png\", " TURNS ("<image>\\nWhat is it?", "A cup.") "}"

static const struct {
  const char *content, *option, *value, *lines[6];
} cases[] = {
  {"[" ROW "]", "id_field", "id", {"open: What is it? [key r1] [gold A cup.] [1 images]", "end"}},
  {"\xef\xbb\xbf [\r\n" ROW ",\r\n {" TURNS ("Text only?", "Yes") "}\r\n]\n", NULL, NULL,
   {"open: What is it? *", "open: Text only? [gold Yes]", "end"}},
  {"[{\"image\": [\"a.png\", \"a.png\"], " TURNS ("<image>Left or <image> right?", "left") "}]", NULL, NULL,
   {"open: Left or?right? [gold left] [2 images]", "end"}},
  {"[{" TURNS ("<image> What?", "x") "},\n{\"image\": \"a.png\", " TURNS ("What?", "x") "}]", NULL, NULL,
   {"skip: data.json:1: *1 '<image>' for 0 images", "skip: data.json:2: *0 '<image>' for 1 images", "end"}},
  {"[{\"conversations\": 7}, {}, {\"conversations\": []}, {\"conversations\": [7, {\"from\": \"gpt\", \"value\": \"x\"}]}]", NULL, NULL,
   {"skip: *no array 'conversations'", "skip: *no array 'conversations'", "skip: *no human turn*", "skip: *no human turn*", "end"}},
  {"[{\"a\": },\n" ROW ",\n{\"a\" \"]}\"},\n7, [1, [2]], \"x]\"]", NULL, NULL,
   {"skip: data.json:1: not JSON*", "open: What is it? *", "skip: data.json:3: not JSON*", "skip: data.json:4: *no object*", "skip: data.json:4: *no object*"}},
  {"[" ROW ",\n {\"a\": [1, ", NULL, NULL, {"open: What is it?*", "skip: data.json:2: not JSON*", "end"}},
  {"[" ROW ",\n", NULL, NULL, {"open: What is it?*", "skip: data.json:2: the array is not closed*", "end"}},
  {ROW "\n" ROW, NULL, NULL, {"open: What is it?*", "open: What is it?*", "end"}},
  {"[" ROW ",\n" ROW "]", "id_field", "id", {"open: *", "skip: data.json:2: its id is that of an earlier record: id 'r1' is already that of data.json:1; *", "end"}},
  {"[" ROW "," ROW "]", "max_bytes", "20", {"skip: *longer than 20 bytes*", "skip: *longer than 20 bytes*", "end"}},
  {"[{" TURNS ("How many? Answer with a single word.", "2") "}, {" TURNS ("Describe it.", "x") "}]", "form", "auto", {"closed: How many?*", "open: Describe it.*", "end"}},
  {"[{\"conversations\": [{\"role\": \"system\", \"content\": \"Be kind.\"}, {\"role\": \"user\", \"content\": \"Hm?\"}]}]", NULL, NULL, {"open: Hm?", "end"}},
  {"[{\"image\": \"../a.png\", " TURNS ("<image>What?", "x") "}]", NULL, NULL, {"skip: data.json:1: an image file cannot be read: *../a.png*", "end"}},
  {"[{\"image\": \"a.png\", " TURNS ("<image>", "x") "}]", NULL, NULL, {"skip: data.json:1: the question is empty", "end"}},
  {"[]", NULL, NULL, {"error 4: *holds no records*"}},
  {"", NULL, NULL, {"error 4: *holds no records*"}},
};

static void
test_records (void)
{
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *file = bench_file ("data.json", cases[i].content, -1);
    bench_picture_beside (file, "a.png");
    g_autoptr (Bench) bench = bench_new (VJ_ROLE_SOURCE, "llava", "path", file, cases[i].option, cases[i].value, NULL);
    bench_expect (bench, cases[i].lines);
    bench_done_with (file);
  }
}

/* A million brackets are cut off as one record, in bounded memory, and the next one is read. */
static void
test_deep_nesting (void)
{
  g_autoptr (GString) content = g_string_new ("[");
  for (int i = 0; i < 1000000; i++)
    g_string_append_c (content, '[');
  for (int i = 0; i < 1000000; i++)
    g_string_append_c (content, ']');
  g_string_append (content, "," ROW "]");
  g_autofree char *file = bench_file ("data.json", content->str, -1);
  bench_picture_beside (file, "a.png");
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_SOURCE, "llava", "path", file, NULL);
  bench_expect (bench, (const char *const[]){"skip: *:1: not JSON: *depth*", "open: What is it? *", "end", NULL});
  bench_done_with (file);
}

void
add_llava_tests (void)
{
  g_test_add_func ("/plugins/llava/records", test_records);
  g_test_add_func ("/plugins/llava/deep-nesting", test_deep_nesting);
}
