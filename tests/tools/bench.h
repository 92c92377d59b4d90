/* The plugin test bench: loads one plugin the way a run does, through the registry with all its
 * checks, feeds it a record and canned replies, and hands back what it made of them. No model, no
 * store, no pipeline. Faults of the test itself (no such plugin, wrong role) end the test.
 *
 *   g_autoptr (Bench) bench = bench_new (VJ_ROLE_INJECTOR, "rewrite", "kinds", "color", NULL);
 *   BenchInjection got = bench_inject (bench, "What is there?", "a red cup", "a blue cup", NULL);
 *   g_assert_cmpstr (got.text, ==, "a blue cup");
 *
 * Plugins are looked for in $VJ_BUILDDIR/plugins, $VJ_BUILDDIR/tests/plugins and, when set, in $BENCH_PLUGINS. */
#ifndef BENCH_H
#define BENCH_H

#include "plugin/host.h"
#include "plugin/instance.h"
#include "plugin/registry.h"

typedef struct {
  VjRegistry *registry;
  VjRun *run;
  VjInstance *instance;
  const VjPlugin *plugin;
  const char *record; /* names the random streams of the verbs; "q1" at first */
  uint64_t calls;     /* of bench_next */
  guint rounds;       /* ask rounds of the last injection or sampling */
  char *asked;        /* text of the last message asked, NULL: nothing was asked */
  gsize shown;         /* images shown with it */
  char *shown_digest;  /* of the first of them; NULL: none */
  const VjImage *image; /* of every question; NULL: none; borrowed */
  VjSampling sampling; /* of the last request */
} Bench;

/* The plugin with options as pairs name, value (spelled as in a recipe), ended by NULL. */
Bench *bench_new (VjRole role, const char *name, ...) G_GNUC_NULL_TERMINATED;
void bench_free (Bench *bench);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Bench, bench_free)

/* Such a plugin must not start: the error has this exit code and its message holds `words`. */
void bench_refuse (VjRole role, const char *name, VjExit exit, const char *words, ...) G_GNUC_NULL_TERMINATED;

/* The same in a recipe of which vj_run_plan says this. */
void bench_refuse_in (const VjRunPlan *plan, VjRole role, const char *name, VjExit exit, const char *words, ...) G_GNUC_NULL_TERMINATED;

/* A file with this content in a folder of its own, owned path; more files beside it; a small picture
 * beside it. `bench_done_with` removes the folder. `length` -1: up to the NUL. */
char *bench_file (const char *name, const void *content, gssize length);
void bench_beside (const char *file, const char *name, const void *content, gssize length);
void bench_picture_beside (const char *file, const char *name);
void bench_done_with (const char *file);

/* Canned replies, for the functions below: strings ended by NULL, one draw each, in the order asked. A
 * reply that begins with BENCH_CUT ended for its length. */
#define BENCH_CUT "\x18"

/* injector; texts are owned by the bench and live as long as it does */
typedef struct {
  VjFlow flow;
  const char *text, *kind, *change, *reason;
  const char *spans; /* "2+3>2+4" for each: offset and length in the response, and in the text; NULL: none told. They hold. */
  const char *image; /* digest of the first image told; NULL: none */
} BenchInjection;
BenchInjection bench_inject (Bench *bench, const char *question, const char *response, ...) G_GNUC_NULL_TERMINATED;

/* sampler; each request gets all replies as its draws */
typedef struct {
  VjFlow flow;
  const char *chosen, *rejected, *how, *reason;
} BenchPair;
BenchPair bench_sample (Bench *bench, const char *question, ...) G_GNUC_NULL_TERMINATED;

/* judge: asks (see bench->asked), then reads `reply` */
VjVerdict bench_judge (Bench *bench, const char *question, const char *a, const char *b, const char *reply);

/* filter: `traces` [n] are shown, then kept or not: array of NULL (kept) or the reason, owned by the bench */
const char *const *bench_filter (Bench *bench, const VjTrace *traces, size_t n);

/* source, evaluator: the next record in one line, owned by the bench:
 *   "open: PROMPT" or "closed: PROMPT", then " [key K]", " [category C]", " [gold G]", " [N images]",
 *   " [chosen C, rejected R, how H]" where there is such; "skip: REASON"; "end"; "error EXIT: MESSAGE" */
const char *bench_next (Bench *bench);

/* Holds bench_next to a table: `lines` are patterns with * and ?, in order, ended by NULL. */
void bench_expect (Bench *bench, const char *const *lines);

#endif
