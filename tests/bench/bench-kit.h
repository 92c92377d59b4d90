/* What the bench programs share: a program is a worker that opens its model once, then does one repetition for each
 * line on stdin and answers with one line of JSON. So whoever measures can take turns between this program, the probe
 * of the machine's limits and a peer, and noise falls on all alike. Not for tests: nothing here judges a time. */
#ifndef VJ_BENCH_KIT_H
#define VJ_BENCH_KIT_H

#include "vj/engine.h"

/* One line of a cases file: {"prompt": TEXT, "reply": TEXT, "tokens": [ID...], "images": [PNG FILE...]}, all optional;
 * file names are relative to the cases file. */
typedef struct {
  char *prompt, *reply;
  GArray *tokens; /* guint32 */
  VjPixels *images;
  gsize n_images;
} BenchCase;

/* The command line of a worker: ROW MODEL-DIR CASES-FILE and what varies. */
typedef struct {
  char *row, *model;
  GPtrArray *cases; /* BenchCase *, owned */
  VjEngineConfig engine;
  guint tokens;     /* generated per reply, at most          */
  guint draws;      /* of each prompt                        */
  double temperature;
  guint freeze;     /* VjFreeze bits                         */
} BenchOptions;

/* What one repetition did. `seconds` and `cpu` are filled by bench_clock_stop. */
typedef struct {
  double seconds, cpu;     /* wall, and processor time of the whole process */
  guint64 prompt, reply;   /* tokens read and tokens written or learnt from */
  double start[2];         /* the clock's own */
} BenchSample;

typedef gboolean (*BenchStep) (void *data, BenchSample *sample, GError **error);

/* Reads the command line and offers the built compute plugins (VJ_BUILDDIR, else the working folder) to the engine. */
gboolean bench_options_init (BenchOptions *options, int argc, char **argv, GError **error);
void bench_options_done (BenchOptions *options);

/* Around the part of a step that is measured. */
void bench_clock_start (BenchSample *sample);
void bench_clock_stop (BenchSample *sample);

/* One repetition per line on stdin until it ends. `summary` says what was opened. */
gboolean bench_serve (const char *summary, BenchStep step, void *data, GError **error);

/* Writes the error; the exit code of the program. */
int bench_exit (GError *error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (BenchOptions, bench_options_done)

#endif
