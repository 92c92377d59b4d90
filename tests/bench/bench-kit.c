/* What the bench programs share: see bench-kit.h. */
#include "bench-kit.h"

#include "compute/compute.h"
#include "image/image.h"

#include <dlfcn.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* -- compute plugins, without the plugin loader ------------------------------------ */

static const VjComputeOps *
find_compute (G_GNUC_UNUSED void *data, const char *name, GError **error)
{
  const char *build = g_getenv ("VJ_BUILDDIR");
  g_autofree char *base = g_strconcat (name, ".so", NULL);
  g_autofree char *file = g_build_filename (build != NULL ? build : ".", "plugins", "compute", base, NULL);
  void *so = dlopen (file, RTLD_NOW | RTLD_LOCAL);
  const VjPlugin *(*query) (void) = NULL;
  if (so != NULL) {
    void *symbol = dlsym (so, "vj_plugin_query");
    memcpy (&query, &symbol, sizeof query);
  }
  if (query != NULL)
    return query ()->ops;
  vj_fail (error, VJ_EXIT_PLUGIN, "compute: '%s': not found: no plugin %s; build it", name, file);
  return NULL;
}

/* -- cases --------------------------------------------------------------------------- */

static void
case_free (void *data)
{
  BenchCase *c = data;
  for (gsize i = 0; i < c->n_images; i++) {
    g_free ((void *) c->images[i].rgb);
    g_free ((void *) c->images[i].digest);
  }
  g_free (c->images);
  g_free (c->prompt);
  g_free (c->reply);
  g_array_unref (c->tokens);
  g_free (c);
}

static gboolean
read_image (const char *folder, const char *name, VjPixels *ret_pixels, GError **error)
{
  g_autofree char *file = g_build_filename (folder, name, NULL), *bytes = NULL;
  gsize length;
  if (!g_file_get_contents (file, &bytes, &length, error))
    return FALSE;
  g_autoptr (VjImage) image = vj_image_new_from_data (bytes, length, file, error);
  VjPixels pixels;
  if (image == NULL || !vj_image_decode (image, &pixels, error))
    return FALSE;
  *ret_pixels = pixels;
  ret_pixels->digest = g_strdup (vj_image_digest (image));
  return TRUE;
}

static BenchCase *
read_case (const char *folder, const json_t *object, GError **error)
{
  BenchCase *c = g_new0 (BenchCase, 1);
  gsize i;
  json_t *value;
  c->prompt = g_strdup (json_string_value (json_object_get (object, "prompt")));
  c->reply = g_strdup (json_string_value (json_object_get (object, "reply")));
  c->tokens = g_array_new (FALSE, FALSE, sizeof (guint32));
  json_array_foreach (json_object_get (object, "tokens"), i, value)
  {
    guint32 id = (guint32) json_integer_value (value);
    g_array_append_val (c->tokens, id);
  }
  const json_t *images = json_object_get (object, "images");
  c->images = g_new0 (VjPixels, json_array_size (images) + 1);
  json_array_foreach (images, i, value)
  {
    if (!read_image (folder, json_string_value (value), &c->images[i], error)) {
      case_free (c);
      return NULL;
    }
    c->n_images++;
  }
  return c;
}

static GPtrArray *
read_cases (const char *file, GError **error)
{
  g_autoptr (GPtrArray) cases = g_ptr_array_new_with_free_func (case_free);
  g_autofree char *folder = g_path_get_dirname (file), *text = NULL;
  if (!g_file_get_contents (file, &text, NULL, error))
    return NULL;
  g_auto (GStrv) lines = g_strsplit (g_strchomp (text), "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++) {
    json_t *object = json_loads (lines[i], 0, NULL);
    BenchCase *c = json_is_object (object) ? read_case (folder, object, error) : NULL;
    if (!json_is_object (object))
      vj_fail (error, VJ_EXIT_DATA, "%s:%u: not a JSON object; write the cases anew", file, i + 1);
    json_decref (object);
    if (c == NULL)
      return NULL;
    g_ptr_array_add (cases, c);
  }
  if (cases->len == 0) {
    vj_fail (error, VJ_EXIT_DATA, "%s: no case in it; write the cases anew", file);
    return NULL;
  }
  return g_steal_pointer (&cases);
}

/* -- command line ---------------------------------------------------------------------- */

gboolean
bench_options_init (BenchOptions *options, int argc, char **argv, GError **error)
{
  char *compute = NULL, *dtype = NULL;
  int threads = 0, max_batch = 0, tokens = 16, draws = 1, freeze = 0;
  double temperature = 0;
  const GOptionEntry entries[] = {
    {"threads", 0, 0, G_OPTION_ARG_INT, &threads, "Threads (default: all processors)", "N"},
    {"compute", 0, 0, G_OPTION_ARG_STRING, &compute, "Compute plugin (default auto)", "NAME"},
    {"dtype", 0, 0, G_OPTION_ARG_STRING, &dtype, "What products multiply: auto, bf16, f32 (default auto)", "NAME"},
    {"max-batch", 0, 0, G_OPTION_ARG_INT, &max_batch, "Sequences decoded together (default: the engine chooses)", "N"},
    {"tokens", 0, 0, G_OPTION_ARG_INT, &tokens, "Tokens generated per reply, at most (default 16)", "N"},
    {"draws", 0, 0, G_OPTION_ARG_INT, &draws, "Draws of each prompt (default 1)", "N"},
    {"temperature", 0, 0, G_OPTION_ARG_DOUBLE, &temperature, "Sampling temperature (default 0: greedy)", "T"},
    {"freeze", 0, 0, G_OPTION_ARG_INT, &freeze, "Parts not trained: 1 vision, 2 cross-attention, 4 text", "BITS"},
    G_OPTION_ENTRY_NULL,
  };
  g_autoptr (GOptionContext) context = g_option_context_new ("ROW MODEL-DIR CASES-FILE");
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, error))
    return FALSE;
  if (argc != 4 || threads < 0 || max_batch < 0 || tokens < 1 || draws < 1)
    return vj_fail (error, VJ_EXIT_USAGE, "usage: %s [OPTION...] ROW MODEL-DIR CASES-FILE, numbers not negative",
                    argv[0]);
  vj_compute_set_find (find_compute, NULL);
  *options = (BenchOptions) { .row = g_strdup (argv[1]), .model = g_strdup (argv[2]), .tokens = (guint) tokens,
                              .draws = (guint) draws, .temperature = temperature, .freeze = (guint) freeze,
                              .engine = { .compute = compute, .threads = (guint) threads, .max_batch = (guint) max_batch, .dtype = dtype } };
  return (options->cases = read_cases (argv[3], error)) != NULL;
}

void
bench_options_done (BenchOptions *options)
{
  g_free (options->row);
  g_free (options->model);
  g_free ((char *) options->engine.compute);
  g_free ((char *) options->engine.dtype);
  g_clear_pointer (&options->cases, g_ptr_array_unref);
}

/* -- repetitions ------------------------------------------------------------------------ */

static double
now (clockid_t clock)
{
  struct timespec t;
  clock_gettime (clock, &t);
  return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

void
bench_clock_start (BenchSample *sample)
{
  sample->start[0] = now (CLOCK_MONOTONIC);
  sample->start[1] = now (CLOCK_PROCESS_CPUTIME_ID);
}

void
bench_clock_stop (BenchSample *sample)
{
  sample->seconds += now (CLOCK_MONOTONIC) - sample->start[0];
  sample->cpu += now (CLOCK_PROCESS_CPUTIME_ID) - sample->start[1];
}

/* The most memory this process has had resident, in KiB; 0 where the kernel does not say. */
static guint64
peak_kib (void)
{
  g_autofree char *text = NULL;
  if (!g_file_get_contents ("/proc/self/status", &text, NULL, NULL))
    return 0;
  const char *line = strstr (text, "VmHWM:");
  return line == NULL ? 0 : g_ascii_strtoull (line + strlen ("VmHWM:"), NULL, 10);
}

static void
print_sample (const BenchSample *s)
{
  printf ("{\"seconds\": %.9f, \"cpu\": %.9f, ", s->seconds, s->cpu);
  printf ("\"prompt\": %" G_GUINT64_FORMAT ", \"reply\": %" G_GUINT64_FORMAT ", \"peak_kib\": %" G_GUINT64_FORMAT "}\n",
          s->prompt, s->reply, peak_kib ());
  fflush (stdout);
}

gboolean
bench_serve (const char *summary, BenchStep step, void *data, GError **error)
{
  char line[16];
  printf ("{\"ready\": \"%s\"}\n", summary);
  fflush (stdout);
  while (fgets (line, sizeof line, stdin) != NULL) {
    BenchSample sample = { 0 };
    if (!step (data, &sample, error))
      return FALSE;
    print_sample (&sample);
  }
  return TRUE;
}

int
bench_exit (GError *error)
{
  if (error == NULL)
    return VJ_EXIT_DONE;
  fprintf (stderr, "%s\n", error->message);
  int code = error->domain == VJ_ERROR ? (int) vj_error_exit (error) : VJ_EXIT_DATA;
  if (error->domain == G_OPTION_ERROR)
    code = VJ_EXIT_USAGE;
  g_error_free (error);
  return code;
}
