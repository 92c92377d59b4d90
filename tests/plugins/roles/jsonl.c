#include "roles.h"

#include <stdio.h>
#include <sys/stat.h>

#define GOOD "{\"q\": \"What?\", \"image\": \"a.png\", \"id\": 7, \"label\": true, \"c\": {\"d\": [\"x\"]}}\n"

/* The lines of `content` as the source tells them, with options o1 = v1, o2 = v2. */
static const struct {
  const char *content, *o1, *v1, *o2, *v2, *lines[6];
} cases[] = {
  {GOOD, "image_field", "image", "gold_field", "label", {"open: What? [gold true] [1 images]", "end"}},
  {GOOD, "id_field", "id", "category_field", "c.d.0", {"open: What? [key 7] [category x]", "end"}},
  {"\xef\xbb\xbf{\"q\": \"last line without newline\"}", "form", "closed", NULL, NULL, {"closed: last line without newline", "end"}},
  {"\r\n\n{\"q\": \"1\"}\r\n \r\n{\"q\": 2}\r\n", "category", "c", NULL, NULL, {"open: 1 [category c]", "open: 2 [category c]", "end"}},
  {"{\"q\": \"1\"}\n{\"q\": \n{\"q\": \"3\"}\n", NULL, NULL, NULL, NULL, {"open: 1", "skip: data.jsonl:2: not JSON: *", "open: 3", "end"}},
  {"{\"q\": \"1\", \"q\": \"2\"}\n[1]\n7\n\"x\"\n", NULL, NULL, NULL, NULL,
   {"skip: data.jsonl:1: not JSON: duplicate*", "skip: *:2: the record is no object*", "skip: *:3: *", "skip: *:4: *", "end"}},
  {"{\"q\": \"1\", \"i\": \"x\"}\n\n{\"q\": \"2\", \"i\": \"x\"}\n{\"q\": \"3\"}\n", "id_field", "i", NULL, NULL,
   {"open: 1 [key x]", "skip: data.jsonl:3: its id is that of an earlier record: id 'x' is already that of data.jsonl:1; *", "skip: data.jsonl:4: no field 'i'", "end"}},
  {"{\"p\": \"1\"}\n{\"q\": {}}\n{\"q\": null}\n{\"q\": \" \"}\n", NULL, NULL, NULL, NULL,
   {"skip: data.jsonl:1: no field 'q'", "skip: *:2: field 'q' is no text", "skip: *:3: no field 'q'", "skip: *:4: the question is empty", "end"}},
  {"{\"q\": \"1\"}\n{\"q\": \"0123456789\"}\n{\"q\": \"3\"}\n", "max_bytes", "12", NULL, NULL,
   {"open: 1", "skip: data.jsonl:2: the record is too long: longer than 12 bytes*", "open: 3", "end"}},
  {"{\"q\": \"\\ud800\"}\n{\"q\": \"\\u0000\"}\n{\"q\": \"\xff\"}\n{\"q\": 1e999}\n", NULL, NULL, NULL, NULL,
   {"skip: *:1: not JSON*", "skip: *:2: not JSON*", "skip: *:3: not JSON*", "skip: *:4: not JSON*", "end"}},
  {"{\"q\": \"1\"}\n{\"q\": \"2\", \"image\": \"../a.png\"}\n{\"q\": \"3\", \"image\": [\"a.png\", 7]}\n{\"q\": \"4\", \"image\": \"text:x\"}\n", "image_field", "image",
   NULL, NULL, {"skip: *:1: no field 'image'", "skip: *:2: an image file cannot be read: *../a.png*", "skip: *:3: field 'image' holds no file name", "skip: *:4: *", "end"}},
  {"{\"q\": \"1\"}\n{\"q\": \"2\", \"image\": [\"a.png\", \"a.png\"]}\n{\"q\": \"3\", \"image\": \"data.jsonl\"}\n", "image_field", "image", "image_optional", "true",
   {"open: 1", "open: 2 [2 images]", "skip: data.jsonl:3: *", "end"}},
  {"", NULL, NULL, NULL, NULL, {"error 4: *holds no records*"}},
  {"\n \n", NULL, NULL, NULL, NULL, {"error 4: *holds no records*"}},
};

static void
test_records (void)
{
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *file = bench_file ("data.jsonl", cases[i].content, -1);
    bench_picture_beside (file, "a.png");
    g_autoptr (Bench) bench = bench_new (VJ_ROLE_SOURCE, "jsonl", "path", file, "prompt_field", "q", cases[i].o1, cases[i].v1, cases[i].o2, cases[i].v2, NULL);
    bench_expect (bench, cases[i].lines);
    bench_done_with (file);
  }
}

/* A hundred thousand opening brackets, then a good line. */
static void
test_deep_nesting_and_templates (void)
{
  g_autoptr (GString) content = g_string_new ("{\"q\": ");
  for (int i = 0; i < 100000; i++)
    g_string_append_c (content, '[');
  g_string_append (content, "\n" "{\"s\": \"It is {q}.\", \"n\": 2.5, \"l\": [\"A\", \"B\"]}\n");
  g_autofree char *file = bench_file ("data.jsonl", content->str, -1);
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_SOURCE, "jsonl", "path", file, "prompt", "True? {s} {n} {l.1} {{s}}", NULL);
  bench_expect (bench, (const char *const[]){"skip: *:1: not JSON: *depth*", "open: True? It is {q}. 2.5 B {s}", "end", NULL});
  g_autoptr (Bench) second = bench_new (VJ_ROLE_SOURCE, "jsonl", "path", file, "prompt", "{x}", NULL);
  second->calls = 1; /* a run that goes on asks for the second record first */
  bench_expect (second, (const char *const[]){"skip: data.jsonl:2: no text in field 'x'", "end", NULL});
  bench_done_with (file);
}

/* A FIFO without a writer would be waited for, for ever. */
static void
test_fifo (void)
{
  g_autofree char *file = bench_file ("data.jsonl", GOOD, -1), *fifo = g_strconcat (file, ".fifo", NULL);
  g_assert_cmpint (mkfifo (fifo, 0600), ==, 0);
  bench_refuse (VJ_ROLE_SOURCE, "jsonl", VJ_EXIT_DATA, "is not a regular file", "path", fifo, "prompt_field", "q", NULL);
  bench_refuse (VJ_ROLE_SOURCE, "llava", VJ_EXIT_DATA, "is not a regular file", "path", fifo, NULL);
  bench_done_with (file);
}

static void
test_faults (void)
{
  g_autofree char *file = bench_file ("data.jsonl", GOOD GOOD, -1), *folder = g_path_get_dirname (file);
  g_autoptr (Bench) bench = bench_new (VJ_ROLE_SOURCE, "jsonl", "path", file, "prompt_field", "q", NULL);
  bench_next (bench);
  bench_beside (file, "other", GOOD, -1);
  FILE *out = fopen (file, "a");
  g_assert_cmpint (fputs (GOOD, out), >=, 0);
  fclose (out);
  while (g_str_has_prefix (bench_next (bench), "open: "))
    g_assert_cmpuint (bench->calls, <, 9);
  g_assert_true (g_pattern_match_simple ("error 4: *changed while it was read*", bench_next (bench)));
  bench_refuse (VJ_ROLE_SOURCE, "jsonl", VJ_EXIT_DATA, "cannot open", "path", "/nowhere/x.jsonl", "prompt_field", "q", NULL);
  bench_refuse (VJ_ROLE_SOURCE, "jsonl", VJ_EXIT_DATA, "not a regular file", "path", folder, "prompt_field", "q", NULL);
  bench_refuse (VJ_ROLE_SOURCE, "jsonl", VJ_EXIT_RECIPE, "prompt_field", "path", file, NULL);
  bench_refuse_in (&(VjRunPlan){.gold_needed = TRUE}, VJ_ROLE_SOURCE, "jsonl", VJ_EXIT_RECIPE, "'gold_field': it is not given", "path", file,
                   "prompt_field", "q", "form", "closed", NULL);
  bench_refuse (VJ_ROLE_SOURCE, "jsonl", VJ_EXIT_RECIPE, "prompt_field", "path", file, "prompt_field", "q", "prompt", "{q}", NULL);
  bench_done_with (file);
}

void
add_jsonl_tests (void)
{
  g_test_add_func ("/plugins/jsonl/a FIFO is refused", test_fifo);
  g_test_add_func ("/plugins/jsonl/records", test_records);
  g_test_add_func ("/plugins/jsonl/deep-nesting-and-templates", test_deep_nesting_and_templates);
  g_test_add_func ("/plugins/jsonl/faults", test_faults);
}
