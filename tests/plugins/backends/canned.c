/* canned: a backend for tests. It answers from a rule file, so that what a run does
 * depends on nothing but recipe and rules. Not installed.
 *
 * `path` is a "model directory" that holds replies.json:
 *
 *   { "rules": [ { "when":  "text" or ["all", "of", "these"],   (optional) substrings of the prompt
 *                  "match": "regular expression",               (optional) of the whole prompt, dot matches newline
 *                  "image": "text" or ["one", "of", "these"],   (optional) first eight digits of the first image's digest
 *                  "reply": "text" or ["one", "of", "these"],   the choice depends on prompt, images and seed
 *                  "finish": "length",                          (optional) default "stop"
 *                  "error": "why this draw is never answered" } ] }  instead of "reply"
 *
 * The prompt is all messages' texts joined by newlines. The first rule that fits answers; none
 * fitting is an error. With "match" the reply may refer to groups as \1; {seed} and {image} in a
 * reply become the draw's seed and the first eight digits of the first image's digest. */
#include <vj/plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ORDER_FIRST, ORDER_LAST, ORDER_SHUFFLED };
static const char *const orders[] = {"first", "last", "shuffled", NULL};

enum { DIE_NOT, DIE_SEGV, DIE_ABORT, DIE_EXIT, DIE_STACK, DIE_BUS, DIE_TRAP, DIE_MANY };
static const char *const deaths[] = {"no", "segv", "abort", "exit", "stack", "bus", "trap", "many", NULL};

typedef struct {
  char *path, *log, *opens, *kind;
  int64_t order, delay, fail_after, die;

  json_t *root;
  char *identity;
  GPtrArray *queue; /* of Draw, in the order submitted */
  guint64 answered, shuffle;
} Canned;

typedef struct {
  uint64_t ticket, seed;
  uint32_t draw;
  char *prompt, *image;
} Draw;

static const VjOption options[] = {
  VJ_OPTION_PATH (Canned, path, "Directory that holds replies.json."),
  VJ_OPTION_CHOICE (Canned, order, "first", orders, "Which queued draw is answered next."),
  VJ_OPTION_INT (Canned, delay, "0", 0, 60000, "ms", "Time each reply takes; for tests that interrupt a run."),
  VJ_OPTION_INT (Canned, fail_after, "0", 0, 1e9, "replies", "The backend breaks down after this many replies; 0 means never."),
  VJ_OPTION_CHOICE (Canned, die, "no", deaths, "How the first poll ends the whole process; for tests of its last words."),
  VJ_OPTION_STRING (Canned, kind, "", "Part of the identity and of nothing else, as a type of numbers would be."),
  VJ_OPTION_PATH_OPTIONAL (Canned, log, "File that gets one line per draw asked for: the seed and the prompt's digest."),
  VJ_OPTION_PATH_OPTIONAL (Canned, opens, "File that gets one line, the path, each time the model is opened."),
  VJ_OPTION_END
};

static void
draw_free (gpointer data)
{
  Draw *draw = data;
  g_free (draw->prompt);
  g_free (draw->image);
  g_free (draw);
}

/* SplitMix64's output function: spreads seed and prompt over 64 bits. */
static guint64
mix (guint64 x)
{
  x += G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);
  x = (x ^ (x >> 30)) * G_GUINT64_CONSTANT (0xbf58476d1ce4e5b9);
  x = (x ^ (x >> 27)) * G_GUINT64_CONSTANT (0x94d049bb133111eb);
  return x ^ (x >> 31);
}

/* Everything below `path` that can change a reply, `lessons.jsonl` of the canned trainer included, and `kind`. */
static gboolean
canned_identify (Canned *self, const char *rules, GError **error)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autofree char *file = g_build_filename (self->path, "lessons.jsonl", NULL), *lessons = NULL;
  g_checksum_update (sum, (const guchar *) rules, -1);
  g_checksum_update (sum, (const guchar *) self->kind, -1);
  if (g_file_test (file, G_FILE_TEST_EXISTS)) {
    if (!g_file_get_contents (file, &lessons, NULL, error))
      return FALSE;
    g_checksum_update (sum, (const guchar *) lessons, -1);
  }
  self->identity = g_strdup (g_checksum_get_string (sum));
  return TRUE;
}

/* To a file that no option may name. */
static gboolean
append_line (const char *file, const char *line, GError **error)
{
  int fd = file ? open (file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
  gboolean ok = !file || (fd >= 0 && write (fd, line, strlen (line)) == (ssize_t) strlen (line));
  if (fd >= 0)
    close (fd);
  return ok || vj_fail (error, VJ_EXIT_BACKEND, "canned: '%s': cannot append: %s", file, g_strerror (errno));
}

static gboolean
canned_start (void *instance, VjRun *run, GError **error)
{
  Canned *self = instance;
  g_autofree char *file = g_build_filename (self->path, "replies.json", NULL), *text = NULL;
  g_autoptr (GError) cause = NULL;
  json_error_t where;
  (void) run;
  self->queue = g_ptr_array_new_with_free_func (draw_free);
  if (!g_file_get_contents (file, &text, NULL, &cause))
    return vj_fail (error, VJ_EXIT_DATA, "canned: '%s': cannot read the rules: %s; give `path` a directory with replies.json",
                    file, cause->message);
  if (!(self->root = json_loads (text, JSON_REJECT_DUPLICATES, &where)))
    return vj_fail (error, VJ_EXIT_DATA, "canned: '%s':%d: not JSON: %s; mend the rules", file, where.line, where.text);
  if (!json_is_array (json_object_get (self->root, "rules")))
    return vj_fail (error, VJ_EXIT_DATA, "canned: '%s': no array \"rules\"; add one", file);
  g_autofree char *line = g_strconcat (self->path, "\n", NULL);
  return append_line (self->opens, line, error) && canned_identify (self, text, error);
}

static void
canned_stop (void *instance)
{
  Canned *self = instance;
  g_clear_pointer (&self->root, json_decref);
  g_clear_pointer (&self->queue, g_ptr_array_unref);
  g_clear_pointer (&self->identity, g_free);
}

static gboolean
canned_note (Canned *self, const Draw *draw, GError **error)
{
  g_autofree char *digest = g_compute_checksum_for_string (G_CHECKSUM_SHA256, draw->prompt, -1);
  g_autofree char *line = g_strdup_printf ("%016" G_GINT64_MODIFIER "x %.16s\n", draw->seed, digest);
  return append_line (self->log, line, error);
}

static gboolean
canned_submit (void *instance, VjRun *run, uint64_t ticket, const VjRequest *request, GError **error)
{
  Canned *self = instance;
  g_autoptr (GString) prompt = g_string_new (NULL);
  const char *image = "";
  (void) run;
  for (size_t i = 0; i < request->n_messages; i++) {
    g_string_append_printf (prompt, "%s%s", i ? "\n" : "", request->messages[i].text);
    if (!*image && request->messages[i].n_images)
      image = vj_image_digest (request->messages[i].images[0]);
  }
  for (int64_t i = 0; i < request->sampling.n; i++) {
    Draw *draw = g_new0 (Draw, 1);
    *draw = (Draw){.ticket = ticket, .seed = request->seeds[i], .draw = (uint32_t) i,
                   .prompt = g_strdup (prompt->str), .image = g_strndup (image, 8)};
    g_ptr_array_add (self->queue, draw);
    if (!canned_note (self, draw, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
has_all (const char *prompt, const json_t *when)
{
  size_t i;
  json_t *item;
  if (json_is_string (when))
    return strstr (prompt, json_string_value (when)) != NULL;
  json_array_foreach ((json_t *) when, i, item)
    if (!json_is_string (item) || !strstr (prompt, json_string_value (item)))
      return FALSE;
  return TRUE;
}

static gboolean
shows (const char *image, const json_t *wanted)
{
  size_t i;
  json_t *item;
  gboolean found = wanted == NULL || g_strcmp0 (json_string_value (wanted), image) == 0;
  json_array_foreach ((json_t *) wanted, i, item)
    found |= g_strcmp0 (json_string_value (item), image) == 0;
  return found;
}

/* The one of "reply" that this draw gives. At temperature 0 hosts send equal seeds, so equal replies. */
static const char *
choose (const json_t *reply, const Draw *draw)
{
  if (json_array_size (reply) == 0)
    return json_string_value (reply);
  guint64 hash = mix (draw->seed ^ mix (((guint64) g_str_hash (draw->prompt) << 32) | g_str_hash (draw->image)));
  return json_string_value (json_array_get (reply, (size_t) (hash % json_array_size (reply))));
}

/* The rule's reply for `draw`; NULL when the rule does not fit, with *error set when it is broken. */
static char *
apply (const json_t *rule, const Draw *draw, GError **error)
{
  const char *pattern = json_string_value (json_object_get (rule, "match"));
  const char *text = choose (json_object_get (rule, "reply"), draw);
  g_autoptr (GMatchInfo) match = NULL;
  g_autoptr (GString) out = NULL;
  if (!has_all (draw->prompt, json_object_get (rule, "when")) || !shows (draw->image, json_object_get (rule, "image")))
    return NULL;
  if (pattern) {
    g_autoptr (GRegex) regex = g_regex_new (pattern, G_REGEX_DOTALL, 0, error);
    if (!regex || !g_regex_match (regex, draw->prompt, 0, &match))
      return NULL;
    char *expanded = text ? g_match_info_expand_references (match, text, error) : g_strdup ("");
    if (!expanded)
      return NULL;
    out = g_string_new (expanded);
    g_free (expanded);
  } else
    out = g_string_new (text);
  g_autofree char *seed = g_strdup_printf ("%" G_GUINT64_FORMAT, draw->seed);
  g_string_replace (out, "{seed}", seed, 0);
  g_string_replace (out, "{image}", draw->image, 0);
  return g_string_free (g_steal_pointer (&out), FALSE);
}

static Draw *
take (Canned *self)
{
  guint at = 0;
  if (self->order == ORDER_LAST)
    at = self->queue->len - 1;
  else if (self->order == ORDER_SHUFFLED)
    at = (guint) (mix (self->shuffle++) % self->queue->len);
  return g_ptr_array_steal_index (self->queue, at);
}

/* More than any stack holds, at a page a call. */
static int
overflow (guint calls)
{
  volatile char here[4096];
  here[calls % sizeof here] = 1;
  return calls == 0 ? 0 : overflow (calls - 1) + here[calls % sizeof here];
}

static void
fault (void)
{
  volatile int *volatile nowhere = (volatile int *) (guintptr) 64; /* not NULL, which compilers and sanitizers see */
  *nowhere = 1;
}

/* Reads a mapped file behind its new end. */
static int
read_cut_file (void)
{
  long page = sysconf (_SC_PAGESIZE);
  g_autofree char *name = NULL;
  int fd = g_file_open_tmp ("vj-cut-XXXXXX", &name, NULL);
  g_assert_true (fd >= 0 && unlink (name) == 0 && ftruncate (fd, page) == 0);
  volatile int *mapped = mmap (NULL, (size_t) page, PROT_READ, MAP_SHARED, fd, 0);
  g_assert_true (mapped != MAP_FAILED && ftruncate (fd, 0) == 0);
  return *mapped;
}

enum { N_DYING = 32 };

/* Waits for the others, so that all fault at once. */
static gpointer
fault_together (gpointer ready)
{
  __atomic_add_fetch ((int *) ready, 1, __ATOMIC_RELAXED);
  while (__atomic_load_n ((int *) ready, __ATOMIC_RELAXED) < N_DYING)
    ;
  fault ();
  return NULL;
}

static void
fault_in_many_threads (void)
{
  int ready = 0;
  GThread *threads[N_DYING];
  for (int i = 0; i < N_DYING; i++)
    threads[i] = g_thread_new ("dying", fault_together, &ready);
  for (int i = 0; i < N_DYING; i++)
    g_thread_join (threads[i]);
}

static void
die (int64_t how)
{
  if (how == DIE_SEGV)
    fault ();
  else if (how == DIE_BUS)
    read_cut_file ();
  else if (how == DIE_TRAP)
    g_error ("what GLib ends a program with");
  else if (how == DIE_MANY)
    fault_in_many_threads ();
  else if (how == DIE_ABORT)
    abort ();
  else if (how == DIE_EXIT)
    exit (0);
  else if (how == DIE_STACK)
    overflow (G_MAXUINT);
}

static VjFlow
canned_poll (void *instance, VjRun *run, VjReply *ret_reply, GError **error)
{
  Canned *self = instance;
  size_t i;
  json_t *rule;
  (void) run;
  if (self->queue->len == 0)
    return VJ_FLOW_END;
  die (self->die);
  if (self->fail_after && self->answered >= (guint64) self->fail_after) {
    vj_fail (error, VJ_EXIT_BACKEND, "canned: broke down after %" G_GINT64_FORMAT " replies, as told by `fail_after`",
             self->fail_after);
    return VJ_FLOW_ERROR;
  }
  if (self->delay)
    g_usleep ((gulong) self->delay * 1000);
  Draw *draw = take (self);
  VjReply reply = {.ticket = draw->ticket, .draw = draw->draw, .finish = VJ_FINISH_STOP, .prompt_tokens = 1, .completion_tokens = 1};
  g_autoptr (GError) cause = NULL;
  json_array_foreach (json_object_get (self->root, "rules"), i, rule) {
    const char *failure = json_string_value (json_object_get (rule, "error"));
    char *text = apply (rule, draw, &cause);
    if (cause)
      break;
    if (!text)
      continue;
    reply.text = failure ? NULL : text;
    reply.error = failure ? (g_free (text), g_strdup (failure)) : NULL;
    if (g_strcmp0 (json_string_value (json_object_get (rule, "finish")), "length") == 0)
      reply.finish = VJ_FINISH_LENGTH;
    break;
  }
  if (!reply.text && !reply.error) {
    vj_fail (error, VJ_EXIT_BACKEND, "canned: '%s': no rule answers: %s%s%.300s; add one", self->path,
             cause ? cause->message : "", cause ? ": " : "", draw->prompt);
    draw_free (draw);
    return VJ_FLOW_ERROR;
  }
  draw_free (draw);
  self->answered++;
  *ret_reply = reply;
  return VJ_FLOW_OK;
}

static const char *
canned_identity (void *instance)
{
  return ((Canned *) instance)->identity;
}

VJ_DEFINE_BACKEND (Canned, canned_submit, canned_poll, canned_identity, NULL,
                   .name = "canned", .version = "1.0", .license = "Apache-2.0",
                   .summary = "Answers from a rule file: a backend for tests.",
                   .options = options, .start = canned_start, .stop = canned_stop)
