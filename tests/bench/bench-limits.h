/* The products a probe can measure; one thin module for each library. See bench-limits.c. */
#ifndef VJ_BENCH_LIMITS_H
#define VJ_BENCH_LIMITS_H

#include <glib.h>

/* One product C[n, n] = A[n, n] B[n, n], ready to run again and again. */
typedef struct BenchGemm BenchGemm;

typedef struct {
  const char *name;  /* "onednn"                        */
  const char *dtype; /* "f32" or "bf16": that of A and B */
  BenchGemm *(*open) (gsize n, guint threads); /* NULL: this library cannot, here */
  gboolean (*run) (BenchGemm *gemm);           /* once, to the end                */
  void (*close) (BenchGemm *gemm);
} BenchLibrary;

/* Each list ends with a NULL name. */
extern const BenchLibrary bench_openblas[], bench_onednn[];

#endif
