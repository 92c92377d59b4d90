/* The host side of compute: an open backend, and where backends are found. */
#ifndef VJ_COMPUTE_COMPUTE_H
#define VJ_COMPUTE_COMPUTE_H

#include <vj/compute.h>

typedef struct {
  const VjComputeOps *ops; /* every slot filled */
  void *device;
  const char *name;        /* of the table that was asked for */
  gboolean has_bf16;       /* products of bf16 numbers are faster than those of f32 */
  const char *kernel;      /* what multiplies bf16 numbers on a CPU: "amx", "avx512", "generic"; NULL: the compute itself says it */
} VjCompute;

/* Gives the table called `name`, or NULL with an error that says why there is none. */
typedef const VjComputeOps *(*VjComputeFind) (void *data, const char *name, GError **error);

/* Where vj_compute_open looks for what is not built in: the host sets it once, before any engine opens
 * (cli/ hands in its plugin registry, tests a table of their own). NULL: built-in tables only. `data` outlives
 * the last engine opened. */
VJ_API void vj_compute_set_find (VjComputeFind find, void *data);

/* Opens `name`; "auto" and NULL mean the fastest: `cublas` where there is a GPU, else `cpu` on AVX-512, else `openblas`
 * when it is found, else `cpu`. VJ_EXIT_PLUGIN when there is none of that name or its table does not fit. Close with
 * vj_compute_close. */
VJ_API VjCompute *vj_compute_open (const char *name, guint threads, GError **error);
VJ_API void vj_compute_close (VjCompute *compute);

/* "cpu:amx", "cpu:avx512" and "cpu:generic" are `cpu` with one kernel of bf16 products, where the processor has it.
 *
 * Built in: `ref`, plain C, one thread, the definition of correctness; `cpu`, the shared kernels with a
 * blocked product of their own. */
VJ_API extern const VjComputeOps vj_compute_ref;
VJ_API extern const VjComputeOps vj_compute_cpu;

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjCompute, vj_compute_close)

#endif
