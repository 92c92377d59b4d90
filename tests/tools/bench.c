#include "bench.h"
#include "record/spans.h"

#include <glib/gstdio.h>
#include <string.h>

typedef struct {
  Bench bench;
  GStringChunk *texts; /* what is handed to tests */
  GPtrArray *kept;
} Private;

static const char *
keep_text (Bench *bench, char *text)
{
  const char *kept = text ? g_string_chunk_insert (((Private *) bench)->texts, text) : NULL;
  g_free (text);
  return kept;
}

static char **
strings (const char *first, va_list list)
{
  GPtrArray *all = g_ptr_array_new ();
  for (const char *next = first; next; next = va_arg (list, const char *))
    g_ptr_array_add (all, g_strdup (next));
  g_ptr_array_add (all, NULL);
  return (char **) g_ptr_array_free (all, FALSE);
}

static char **
rest (va_list list)
{
  const char *first = va_arg (list, const char *);
  return first ? strings (first, list) : g_new0 (char *, 1);
}

/* -- making and freeing ------------------------------------------------------------ */

static Bench *
bench_try (const VjRunPlan *plan, VjRole role, const char *name, const char *const *options, GError **error)
{
  Private *self = g_new0 (Private, 1);
  Bench *bench = &self->bench;
  g_autoptr (GError) fault = NULL;
  const char *top = g_getenv ("VJ_BUILDDIR"), *extra = g_getenv ("BENCH_PLUGINS");
  g_autofree char *plugins = g_build_filename (top ? top : ".", "plugins", NULL);
  g_autofree char *tests = g_build_filename (top ? top : ".", "tests", "plugins", NULL);
  const char *const directories[] = {plugins, tests, extra, NULL};
  self->texts = g_string_chunk_new (256);
  self->kept = g_ptr_array_new ();
  bench->record = "q1";
  bench->registry = vj_registry_new (directories, NULL, &fault);
  g_assert_no_error (fault);
  bench->plugin = vj_registry_find (bench->registry, role, name, &fault);
  g_assert_no_error (fault);
  bench->run = vj_run_new (17, NULL, NULL);
  vj_run_aim (bench->run, "start", "", 0, 0, 0);
  if (plan != NULL)
    vj_run_set_plan (bench->run, plan);
  bench->instance = vj_instance_new (bench->plugin, NULL, options, bench->run, error);
  if (bench->instance)
    return bench;
  bench_free (bench);
  return NULL;
}

Bench *
bench_new (VjRole role, const char *name, ...)
{
  g_autoptr (GError) error = NULL;
  va_list list;
  va_start (list, name);
  g_auto (GStrv) options = rest (list);
  va_end (list);
  Bench *bench = bench_try (NULL, role, name, (const char *const *) options, &error);
  g_assert_no_error (error);
  return bench;
}

void
bench_free (Bench *bench)
{
  Private *self = (Private *) bench;
  if (!bench)
    return;
  vj_instance_free (bench->instance);
  vj_run_free (bench->run);
  vj_registry_free (bench->registry);
  g_free (bench->asked);
  g_free (bench->shown_digest);
  g_string_chunk_free (self->texts);
  g_ptr_array_unref (self->kept);
  g_free (self);
}

static void
refuse (const VjRunPlan *plan, VjRole role, const char *name, VjExit exit, const char *words, char **options)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Bench) bench = bench_try (plan, role, name, (const char *const *) options, &error);
  g_assert_null (bench);
  g_assert_nonnull (error);
  g_assert_cmpint (vj_error_exit (error), ==, exit);
  if (!strstr (error->message, words))
    g_test_message ("'%s' is not in: %s", words, error->message), g_test_fail ();
}

void
bench_refuse (VjRole role, const char *name, VjExit exit, const char *words, ...)
{
  va_list list;
  va_start (list, words);
  g_auto (GStrv) options = rest (list);
  va_end (list);
  refuse (NULL, role, name, exit, words, options);
}

void
bench_refuse_in (const VjRunPlan *plan, VjRole role, const char *name, VjExit exit, const char *words, ...)
{
  va_list list;
  va_start (list, words);
  g_auto (GStrv) options = rest (list);
  va_end (list);
  refuse (plan, role, name, exit, words, options);
}

char *
bench_file (const char *name, const void *content, gssize length)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("bench-XXXXXX", &error);
  g_assert_no_error (error);
  char *file = g_build_filename (folder, name, NULL);
  bench_beside (file, name, content, length);
  return file;
}

void
bench_beside (const char *file, const char *name, const void *content, gssize length)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_path_get_dirname (file), *path = g_build_filename (folder, name, NULL);
  g_file_set_contents (path, content, length, &error);
  g_assert_no_error (error);
}

/* One pixel. */
void
bench_picture_beside (const char *file, const char *name)
{
  gsize length;
  g_autofree guchar *png = g_base64_decode ("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJ"
                                            "RU5ErkJggg==", &length);
  bench_beside (file, name, png, (gssize) length);
}

void
bench_done_with (const char *file)
{
  g_autofree char *folder = g_path_get_dirname (file);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  for (const char *name; dir && (name = g_dir_read_name (dir));) {
    g_autofree char *path = g_build_filename (folder, name, NULL);
    g_remove (path);
  }
  g_rmdir (folder);
}

/* -- asking ------------------------------------------------------------------------ */

/* Each call of a verb begins the record's stream anew, as in a run. */
static VjRun *
aim (Bench *bench, guint round)
{
  vj_run_aim (bench->run, bench->plugin->name, bench->record, 0, bench->calls, round);
  return bench->run;
}

static VjQuestion
question_of (const Bench *bench, const char *prompt)
{
  return (VjQuestion){.id = bench->record, .prompt = prompt, .category = "", .form = VJ_FORM_OPEN,
                       .images = &bench->image, .n_images = bench->image ? 1 : 0};
}

static void
note_asked (Bench *bench, const VjAsk *ask, guint before)
{
  g_assert_cmpuint (ask->requests->len, >, before);
  const VjRequest *request = g_ptr_array_index (ask->requests, ask->requests->len - 1);
  g_free (bench->asked);
  bench->asked = g_strdup (request->messages[request->n_messages - 1].text);
  bench->shown = request->messages[request->n_messages - 1].n_images;
  g_free (bench->shown_digest);
  bench->shown_digest = bench->shown ? g_strdup (vj_image_digest (request->messages[request->n_messages - 1].images[0])) : NULL;
  bench->sampling = request->sampling;
  bench->sampling.stop = NULL; /* it went with the request */
}

static void
reply_with (VjReplies *replies, size_t request, size_t draw, const char *text)
{
  gboolean cut = g_str_has_prefix (text, BENCH_CUT);
  vj_replies_set (replies, request, draw, text + (cut ? strlen (BENCH_CUT) : 0), cut ? VJ_FINISH_LENGTH : VJ_FINISH_STOP);
}

/* The spans that the plugin tells, held to what the host asks of them. */
static char *
spans_line (const char *response, const VjInjection *injection)
{
  GString *line = g_string_new (NULL);
  if (injection->n_spans == 0)
    return g_string_free (line, TRUE);
  g_assert_true (vj_spans_hold (response, injection->text, injection->spans, injection->n_spans));
  for (size_t i = 0; i < injection->n_spans; i++) {
    const VjSpan *span = &injection->spans[i];
    g_string_append_printf (line, "%s%u+%u>%u+%u", i ? " " : "", span->chosen, span->n_chosen, span->rejected, span->n_rejected);
  }
  return g_string_free (line, FALSE);
}

/* What was injected, in the bench's hands. */
static BenchInjection
take_injection (Bench *bench, VjFlow flow, const char *response, VjInjection *injection)
{
  BenchInjection taken = {.flow = flow, .kind = injection->kind};
  taken.spans = keep_text (bench, spans_line (response, injection));
  taken.image = keep_text (bench, injection->n_images ? g_strdup (vj_image_digest (injection->images[0])) : NULL);
  taken.text = keep_text (bench, injection->text);
  taken.change = keep_text (bench, injection->change);
  taken.reason = keep_text (bench, injection->reason);
  for (size_t i = 0; i < injection->n_images; i++)
    vj_image_unref (injection->images[i]);
  g_free (injection->images);
  g_free (injection->spans);
  return taken;
}

BenchInjection
bench_inject (Bench *bench, const char *question, const char *response, ...)
{
  const VjInjectorOps *ops = VJ_INSTANCE_OPS (bench->instance, VjInjectorOps);
  const void *self = vj_instance_self (bench->instance);
  VjQuestion asked = question_of (bench, question);
  g_autoptr (VjReplies) replies = vj_replies_new ();
  g_autoptr (VjAsk) ask = vj_ask_new ();
  g_autoptr (GError) error = NULL;
  VjInjection injection = {0};
  VjFlow flow = VJ_FLOW_MORE;
  va_list list;
  va_start (list, response);
  g_auto (GStrv) texts = rest (list);
  va_end (list);
  for (bench->rounds = 0; flow == VJ_FLOW_MORE; bench->rounds++) {
    if (ops->ask) {
      g_assert_cmpint (ops->ask (self, aim (bench, bench->rounds), &asked, response, bench->rounds ? replies : NULL, ask, &error), ==, VJ_FLOW_OK);
      if (ask->requests->len > vj_replies_count (replies)) {
        note_asked (bench, ask, bench->rounds);
        g_assert_cmpuint (bench->rounds, <, g_strv_length (texts));
        reply_with (replies, vj_replies_add (replies, 1), 0, texts[bench->rounds]);
      }
    }
    flow = ops->tell (self, aim (bench, bench->rounds), &asked, response, replies, &injection, &error);
  }
  g_assert_no_error (error);
  return take_injection (bench, flow, response, &injection);
}

BenchPair
bench_sample (Bench *bench, const char *question, ...)
{
  const VjSamplerOps *ops = VJ_INSTANCE_OPS (bench->instance, VjSamplerOps);
  const void *self = vj_instance_self (bench->instance);
  VjQuestion asked = question_of (bench, question);
  g_autoptr (VjReplies) replies = vj_replies_new ();
  g_autoptr (VjAsk) ask = vj_ask_new ();
  g_autoptr (GError) error = NULL;
  VjSampledPair pair = {0};
  VjFlow flow = VJ_FLOW_MORE;
  va_list list;
  va_start (list, question);
  g_auto (GStrv) texts = rest (list);
  va_end (list);
  asked.form = VJ_FORM_CLOSED;
  for (bench->rounds = 0; flow == VJ_FLOW_MORE; bench->rounds++) {
    g_assert_cmpint (ops->ask (self, aim (bench, bench->rounds), &asked, bench->rounds ? replies : NULL, ask, &error), ==, VJ_FLOW_OK);
    note_asked (bench, ask, bench->rounds);
    size_t request = vj_replies_add (replies, g_strv_length (texts));
    for (size_t i = 0; texts[i]; i++)
      reply_with (replies, request, i, texts[i]);
    flow = ops->tell (self, aim (bench, bench->rounds), &asked, replies, &pair, &error);
  }
  g_assert_no_error (error);
  return (BenchPair){flow, keep_text (bench, pair.chosen), keep_text (bench, pair.rejected), keep_text (bench, pair.how),
                     keep_text (bench, pair.reason)};
}

VjVerdict
bench_judge (Bench *bench, const char *question, const char *a, const char *b, const char *reply)
{
  const VjJudgeOps *ops = VJ_INSTANCE_OPS (bench->instance, VjJudgeOps);
  const void *self = vj_instance_self (bench->instance);
  VjQuestion asked = question_of (bench, question);
  g_autoptr (VjAsk) ask = vj_ask_new ();
  g_autoptr (GError) error = NULL;
  VjJudgment judgment = {0};
  g_assert_cmpint (ops->ask (self, aim (bench, 0), &asked, a, b, ask, &error), ==, VJ_FLOW_OK);
  g_assert_cmpuint (ask->requests->len, ==, 1);
  note_asked (bench, ask, 0);
  g_assert_cmpint (ops->tell (self, aim (bench, 0), &asked, a, b, reply, &judgment, &error), ==, VJ_FLOW_OK);
  g_free (judgment.trace);
  return judgment.verdict;
}

/* -- filters, sources, evaluators --------------------------------------------------- */

const char *const *
bench_filter (Bench *bench, const VjTrace *traces, size_t n)
{
  const VjFilterOps *ops = VJ_INSTANCE_OPS (bench->instance, VjFilterOps);
  void *self = vj_instance_self (bench->instance);
  GPtrArray *kept = ((Private *) bench)->kept;
  g_autoptr (GError) error = NULL;
  g_ptr_array_set_size (kept, 0);
  for (size_t i = 0; ops->observe && i < n; i++) {
    vj_run_aim (bench->run, bench->plugin->name, traces[i].id, 0, 0, 0);
    g_assert_cmpint (ops->observe (self, bench->run, &traces[i], &error), ==, VJ_FLOW_OK);
  }
  for (size_t i = 0; i < n; i++) {
    char *reason = NULL;
    vj_run_aim (bench->run, bench->plugin->name, traces[i].id, 0, 0, 0);
    VjFlow flow = ops->keep (self, bench->run, &traces[i], &reason, &error);
    g_assert_no_error (error);
    g_assert_true (flow == (reason ? VJ_FLOW_SKIP : VJ_FLOW_OK));
    g_ptr_array_add (kept, (gpointer) keep_text (bench, reason));
  }
  return (const char *const *) kept->pdata;
}

static char *
draft_line (const VjDraft *draft)
{
  GString *line = g_string_new (draft->form == VJ_FORM_OPEN ? "open: " : "closed: ");
  g_string_append (line, draft->prompt);
  if (draft->key)
    g_string_append_printf (line, " [key %s]", draft->key);
  if (draft->category && *draft->category)
    g_string_append_printf (line, " [category %s]", draft->category);
  if (draft->gold)
    g_string_append_printf (line, " [gold %s]", draft->gold);
  if (draft->images->len)
    g_string_append_printf (line, " [%u images]", draft->images->len);
  if (draft->chosen)
    g_string_append_printf (line, " [chosen %s, rejected %s, how %s]", draft->chosen, draft->rejected, draft->how);
  return g_string_free (line, FALSE);
}

const char *
bench_next (Bench *bench)
{
  void *self = vj_instance_self (bench->instance);
  g_autoptr (VjDraft) draft = vj_draft_new ();
  g_autoptr (GError) error = NULL;
  VjRun *run = aim (bench, 0);
  VjFlow flow = bench->plugin->role == VJ_ROLE_SOURCE
                  ? VJ_INSTANCE_OPS (bench->instance, VjSourceOps)->next (self, run, draft, &error)
                  : VJ_INSTANCE_OPS (bench->instance, VjEvaluatorOps)->next (self, run, draft, &error);
  bench->calls++;
  if (flow == VJ_FLOW_ERROR)
    return keep_text (bench, g_strdup_printf ("error %d: %s", vj_error_exit (error), error->message));
  g_assert_no_error (error);
  if (flow == VJ_FLOW_SKIP) {
    g_autofree char *problem = vj_draft_problem (draft);
    return keep_text (bench, g_strconcat ("skip: ", problem, NULL));
  }
  return flow == VJ_FLOW_END ? "end" : keep_text (bench, draft_line (draft));
}

void
bench_expect (Bench *bench, const char *const *lines)
{
  for (size_t i = 0; lines[i]; i++) {
    const char *got = bench_next (bench);
    if (!g_pattern_match_simple (lines[i], got)) {
      g_test_message ("record %zu: expected %s, got %s", i, lines[i], got);
      g_test_fail ();
      return;
    }
  }
}
