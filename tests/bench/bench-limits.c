/* bench-limits: what this machine can do at best, as a worker: after a first look at every library, size and number of
 * threads it measures, for each line on stdin, the best of them again, and answers with one line of JSON:
 *
 *   {"f32": FLOP/S, "f32_by": "openblas 2048", "f32_large": ..., "bf16": ..., "read": BYTES/S, "read_by": ...}
 *
 * and each again as "f32_cpu" and so on: the same by processor time, as if all threads had a processor of their own,
 * which others on the machine disturb less. "f32" is the peak over all sizes, usually of one that fits the caches;
 * "f32_large" that of the largest size alone. What no library here can make is left out. `read` is what a loop that
 * only reads gets out of a buffer that no cache holds. Options: --threads N, --buffer-mib N, --sizes N,N... */
#include "bench-limits.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_SIZES 8
#define LOOK_SECONDS 0.25 /* of measuring each candidate, at least once */

typedef struct {
  guint threads;
  gsize bytes; /* of the buffer */
  gsize sizes[MAX_SIZES], n_sizes;
} Options;

static double
now (clockid_t clock)
{
  struct timespec t;
  clock_gettime (clock, &t);
  return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

/* Operations or bytes per second: the best run by the wall clock, and all runs by processor time. */
typedef struct {
  double wall, cpu;
} Speed;

/* -- products --------------------------------------------------------------------------- */

typedef struct {
  const BenchLibrary *library; /* NULL: none can */
  BenchGemm *gemm;
  gsize n;
  double best;
} Product;

/* Runs for at least LOOK_SECONDS; zeros when one fails. */
static Speed
measure_product (const BenchLibrary *library, BenchGemm *gemm, gsize n, guint threads)
{
  const double work = 2.0 * (double) n * (double) n * (double) n;
  Speed speed = { 0 };
  if (!library->run (gemm)) /* the first makes code and wakes threads */
    return speed;
  double begin = now (CLOCK_MONOTONIC), cpu = now (CLOCK_PROCESS_CPUTIME_ID);
  guint runs = 0;
  do {
    double last = now (CLOCK_MONOTONIC);
    if (!library->run (gemm))
      return (Speed) { 0 };
    runs++;
    speed.wall = MAX (speed.wall, work / (now (CLOCK_MONOTONIC) - last));
  } while (now (CLOCK_MONOTONIC) - begin < LOOK_SECONDS);
  speed.cpu = runs * work * threads / (now (CLOCK_PROCESS_CPUTIME_ID) - cpu);
  return speed;
}

/* Sizes from `first` on, of those in the options. */
static void
look_at (const BenchLibrary *library, const Options *options, gsize first, Product *best)
{
  for (gsize i = first; i < options->n_sizes; i++) {
    Product p = { library, library->open (options->sizes[i], options->threads), options->sizes[i], 0 };
    if (p.gemm == NULL)
      continue;
    p.best = measure_product (library, p.gemm, p.n, options->threads).wall;
    fprintf (stderr, "%s %s %zu: %.0f GFLOP/s\n", library->name, library->dtype, p.n, p.best / 1e9);
    if (p.best > best->best) {
      Product lesser = *best;
      *best = p;
      p = lesser;
    }
    if (p.gemm != NULL)
      p.library->close (p.gemm);
  }
}

static void
find_best (const char *dtype, const Options *options, gsize first, Product *ret_best)
{
  const BenchLibrary *const lists[] = {
#ifdef BENCH_OPENBLAS
    bench_openblas,
#endif
#ifdef BENCH_ONEDNN
    bench_onednn,
#endif
    NULL
  };
  for (gsize l = 0; lists[l] != NULL; l++)
    for (const BenchLibrary *library = lists[l]; library->name != NULL; library++)
      if (strcmp (library->dtype, dtype) == 0)
        look_at (library, options, first, ret_best);
}

/* -- reading ------------------------------------------------------------------------------ */

typedef guint64 Line __attribute__ ((vector_size (64)));

typedef struct {
  const Line *lines;
  gsize n;
  guint streams; /* places read from in turn, 1 or 4 */
  guint64 sum;
  pthread_t thread;
} Reader;

/* Reads n lines at four places a quarter apart, or at one; the sum keeps the compiler from leaving it out. */
#define DEFINE_READ(name, target)                                                                    \
  target static guint64 name (const Line *lines, gsize n, gsize apart)                               \
  {                                                                                                  \
    Line sum[4] = { { 0 } };                                                                         \
    gsize rounds = apart == 1 ? n / 4 : apart, step = apart == 1 ? 4 : 1;                            \
    for (gsize i = 0; i < rounds; i++)                                                               \
      for (gsize s = 0; s < 4; s++)                                                                  \
        sum[s] ^= lines[i * step + s * apart];                                                       \
    Line all = sum[0] ^ sum[1] ^ sum[2] ^ sum[3];                                                    \
    return all[0] ^ all[7];                                                                          \
  }

DEFINE_READ (read_plain, )
#if defined (__x86_64__)
DEFINE_READ (read_wide, __attribute__ ((target ("avx512f"))))
#else
#define read_wide read_plain
#endif

static gboolean
is_wide (void)
{
#if defined (__x86_64__)
  return __builtin_cpu_supports ("avx512f") != 0;
#else
  return FALSE;
#endif
}

static void *
read_main (void *data)
{
  Reader *reader = data;
  gsize apart = reader->streams == 1 ? 1 : reader->n / 4;
  reader->sum = (is_wide () ? read_wide : read_plain) (reader->lines, reader->n, apart);
  return NULL;
}

/* Bytes per second of one pass over the buffer by `threads` threads, each over its own stretch; 0 when a thread cannot
 * be started. */
static double
read_once (const Line *lines, gsize n, guint threads, guint streams, guint64 *sum)
{
  g_autofree Reader *readers = g_new0 (Reader, threads);
  gsize each = n / threads & ~(gsize) 3;
  guint started = 0;
  double begin = now (CLOCK_MONOTONIC);
  for (; started < threads; started++) {
    Reader *r = &readers[started];
    *r = (Reader) { .lines = lines + started * each, .n = each, .streams = streams };
    if (pthread_create (&r->thread, NULL, read_main, r) != 0)
      break;
  }
  for (guint i = 0; i < started; i++) {
    pthread_join (readers[i].thread, NULL);
    *sum ^= readers[i].sum;
  }
  return started < threads ? 0 : (double) (threads * each * sizeof (Line)) / (now (CLOCK_MONOTONIC) - begin);
}

typedef struct {
  Line *lines;
  gsize n;
  guint threads, streams;
  double best;
  guint64 sum;
} Bandwidth;

static Speed
measure_reading (Bandwidth *b, guint threads, guint streams)
{
  enum { PASSES = 3 };
  Speed speed = { 0 };
  double cpu = now (CLOCK_PROCESS_CPUTIME_ID);
  for (guint i = 0; i < PASSES; i++)
    speed.wall = MAX (speed.wall, read_once (b->lines, b->n, threads, streams, &b->sum));
  speed.cpu = PASSES * (double) (b->n * sizeof (Line)) * threads / (now (CLOCK_PROCESS_CPUTIME_ID) - cpu);
  return speed;
}

static gboolean
find_reading (const Options *options, Bandwidth *b)
{
  b->n = options->bytes / sizeof (Line);
  if (b->n == 0 || (b->lines = aligned_alloc (sizeof (Line), b->n * sizeof (Line))) == NULL)
    return FALSE;
  memset (b->lines, 1, b->n * sizeof (Line));
  for (guint threads = 1; threads <= options->threads; threads++)
    for (guint streams = 1; streams <= 4; streams += 3) {
      double speed = measure_reading (b, threads, streams).wall;
      fprintf (stderr, "read, %u threads, %u streams each: %.1f GB/s\n", threads, streams, speed / 1e9);
      if (speed > b->best) {
        b->best = speed;
        b->threads = threads;
        b->streams = streams;
      }
    }
  return b->best > 0;
}

/* -- the worker ------------------------------------------------------------------------------ */

enum { N_PRODUCTS = 4 };
static const char *const names[N_PRODUCTS] = { "f32", "f32_large", "bf16", "bf16_large" };

static void
print_speed (const char *name, Speed speed)
{
  printf ("\"%s\": %.4g, \"%s_cpu\": %.4g, ", name, speed.wall, name, speed.cpu);
}

static void
print_limits (const Options *options, const Product *products, Bandwidth *reading)
{
  printf ("{");
  for (gsize i = 0; i < N_PRODUCTS; i++) {
    const Product *p = &products[i];
    if (p->library == NULL)
      continue;
    print_speed (names[i], measure_product (p->library, p->gemm, p->n, options->threads));
    printf ("\"%s_by\": \"%s %zu\", ", names[i], p->library->name, p->n);
  }
  print_speed ("read", measure_reading (reading, reading->threads, reading->streams));
  printf ("\"read_by\": \"%u threads\"}\n", reading->threads);
  fflush (stdout);
}

static gboolean
read_options (int argc, char **argv, Options *options)
{
  int threads = 0, mib = 1024;
  char *sizes = NULL;
  const GOptionEntry entries[] = {
    { "threads", 0, 0, G_OPTION_ARG_INT, &threads, "Threads (default: all processors)", "N" },
    { "buffer-mib", 0, 0, G_OPTION_ARG_INT, &mib, "Size of what is read (default 1024)", "N" },
    { "sizes", 0, 0, G_OPTION_ARG_STRING, &sizes, "Sizes of the products (default 512,1024,2048,4096)", "N,N..." },
    G_OPTION_ENTRY_NULL
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, NULL) || argc != 1 || threads < 0 || mib < 1)
    return FALSE;
  g_auto (GStrv) parts = g_strsplit (sizes != NULL ? sizes : "512,1024,2048,4096", ",", MAX_SIZES);
  for (; parts[options->n_sizes] != NULL; options->n_sizes++)
    if ((options->sizes[options->n_sizes] = (gsize) strtoul (parts[options->n_sizes], NULL, 10)) < 1)
      return FALSE;
  g_free (sizes);
  options->threads = threads > 0 ? (guint) threads : g_get_num_processors ();
  options->bytes = (gsize) mib << 20;
  return TRUE;
}

int
main (int argc, char **argv)
{
  Options options = { 0 };
  Product products[N_PRODUCTS] = { { 0 } };
  Bandwidth reading = { 0 };
  char line[16];
  if (!read_options (argc, argv, &options)) {
    fprintf (stderr, "usage: bench-limits [--threads N] [--buffer-mib N] [--sizes N,N...]\n");
    return 2;
  }
  for (gsize i = 0; i < N_PRODUCTS; i++)
    find_best (i < 2 ? "f32" : "bf16", &options, i % 2 == 0 ? 0 : options.n_sizes - 1, &products[i]);
  if (!find_reading (&options, &reading)) {
    fprintf (stderr, "bench-limits: no memory for a buffer of %zu MiB; ask for less by --buffer-mib\n",
             options.bytes >> 20);
    return 10;
  }
  printf ("{\"ready\": \"limits\"}\n");
  fflush (stdout);
  while (fgets (line, sizeof line, stdin) != NULL)
    print_limits (&options, products, &reading);
  return reading.sum == 1; /* never: every byte of the buffer is 1 */
}
