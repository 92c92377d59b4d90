#include "roles.h"

static const struct {
  const char *content, *o1, *v1, *lines[5];
} cases[] = {
  {"{\"question\": \"q\", \"image\": \"a.png\", \"chosen\": \"yes\", \"rejected\": \"no\", \"how\": \"count\", \"category\": \"c\"}", "how_field", "how",
   {"open: q [1 images] [chosen yes, rejected no, how count]", "end"}},
  {"{\"question\": \"q\", \"chosen\": \"yes\", \"rejected\": \"no\", \"category\": \"c\"}\n{}\n", "category_field", "category",
   {"open: q [category c] [chosen yes, rejected no, how ]", "skip: data.jsonl:2: no field 'question'", "end"}},
  {"{\"question\": \"q\", \"chosen\": \"a\"}\n{\"question\": \"q\", \"chosen\": \"a\", \"rejected\": \"a\"}\nx\n", NULL, NULL,
   {"skip: data.jsonl:1: no field 'rejected'", "skip: data.jsonl:2: both answers are the same", "skip: data.jsonl:3: not JSON*", "end"}},
  {"{\"question\": \"q\", \"chosen\": \"a\", \"rejected\": \"b\", \"image\": \"/etc/passwd\"}\n", NULL, NULL, {"skip: data.jsonl:1: *", "end"}},
  {"", NULL, NULL, {"error 4: *holds no records*"}},
};

static void
test_records (void)
{
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *file = bench_file ("data.jsonl", cases[i].content, -1);
    bench_picture_beside (file, "a.png");
    g_autoptr (Bench) bench = bench_new (VJ_ROLE_EVALUATOR, "pairs", "path", file, cases[i].o1, cases[i].v1, NULL);
    bench_expect (bench, cases[i].lines);
    bench_done_with (file);
  }
}

void
add_pairs_tests (void)
{
  g_test_add_func ("/plugins/pairs/records", test_records);
}
