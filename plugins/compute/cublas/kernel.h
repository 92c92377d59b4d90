/* The words kernels are written in, for nvcc and, without a GPU, for a C compiler: there a block's threads are fibers
 * that take turns between two SYNC (tests/engine/emulated/), so the very same source is tested on any machine.
 * Kernels are therefore C and C++ at once. nvcc is given --fmad=false: where a fused multiply-add is wanted it is
 * written, so what a kernel computes does not depend on how the compiler inlined it. */
#ifndef VJ_CUBLAS_KERNEL_H
#define VJ_CUBLAS_KERNEL_H

#include "plugins/compute/cublas/kernels.h"

#include <math.h>

#ifdef __CUDACC__

#define KERNEL(name, Args) extern "C" __global__ void __launch_bounds__ (VJ_BLOCK) name (const __grid_constant__ Args a)
#define BODY static __device__ __forceinline__
#define UNROLL _Pragma ("unroll")
#define THREAD ((int) threadIdx.x)
#define BLOCK_X (blockIdx.x)
#define BLOCK_Y (blockIdx.y)
#define BLOCK_Z (blockIdx.z)
#define GRID_X (gridDim.x)
#define SYNC() __syncthreads ()
#define SHARED(T, name)                                     \
  extern __shared__ __align__ (16) unsigned char shared_[]; \
  T *name = (T *) shared_

/* More than 48 KiB of shared memory must be asked for. */
#define LAUNCH(name, Args, syncs)                                                                                \
  extern "C" int vj_launch_##name (void *stream, VjGrid grid, size_t shared, const Args *args)                   \
  {                                                                                                              \
    if (shared > 48 << 10) {                                                                                     \
      cudaError_t refused = cudaFuncSetAttribute (name, cudaFuncAttributeMaxDynamicSharedMemorySize, (int) shared); \
      if (refused != cudaSuccess)                                                                                \
        return (int) refused;                                                                                    \
    }                                                                                                            \
    name<<<dim3 (grid.x, grid.y, grid.z), VJ_BLOCK, shared, (cudaStream_t) stream>>> (*args);                    \
    return (int) cudaGetLastError ();                                                                            \
  }

#else

typedef struct {
  unsigned thread, x, y, z, grid_x;
  void *shared;
} VjEmulated;

/* The fiber that runs now. */
const VjEmulated *vj_emulated (void);
void vj_emulated_sync (int line);
int vj_emulated_launch (void *stream, VjGrid grid, size_t shared, int syncs, const char *name, void (*kernel) (const void *), const void *args);

#define KERNEL(name, Args)                 \
  static void name##_body (const Args a);  \
  static void name (const void *args)      \
  {                                        \
    name##_body (*(const Args *) args);    \
  }                                        \
  static void name##_body (const Args a)
#define BODY static inline
#define UNROLL
#define THREAD ((int) vj_emulated ()->thread)
#define BLOCK_X (vj_emulated ()->x)
#define BLOCK_Y (vj_emulated ()->y)
#define BLOCK_Z (vj_emulated ()->z)
#define GRID_X (vj_emulated ()->grid_x)
#define SYNC() vj_emulated_sync (__LINE__)
#define SHARED(T, name) T *name = (T *) vj_emulated ()->shared
#define LAUNCH(name, Args, syncs)                                                       \
  int vj_launch_##name (void *stream, VjGrid grid, size_t shared, const Args *args)     \
  {                                                                                     \
    return vj_emulated_launch (stream, grid, shared, syncs, #name, name, args);         \
  }

#endif

/* Whether a kernel's threads wait for each other. */
#define ALONE 0
#define SYNCS 1

/* -- trees: every thread gives a value and gets the whole; `tree` has VJ_TREE places ------------------------ */

/* In two steps of VJ_LIMBS each: few barriers, and no two threads at the same bank of shared memory. */
#define VJ_DEFINE_TREE(name, T, join)                                                  \
  BODY T name (T value, T *tree)                                                       \
  {                                                                                    \
    T *limb = tree + VJ_BLOCK;                                                         \
    tree[THREAD] = value;                                                              \
    SYNC ();                                                                           \
    if (THREAD < VJ_LIMBS) {                                                           \
      T part = tree[THREAD];                                                           \
      for (int i = 1; i < VJ_BLOCK / VJ_LIMBS; i++)                                    \
        part = join (part, tree[THREAD + VJ_LIMBS * i]);                               \
      limb[THREAD] = part;                                                             \
    }                                                                                  \
    SYNC ();                                                                           \
    T whole = limb[0];                                                                 \
    for (int i = 1; i < VJ_LIMBS; i++)                                                 \
      whole = join (whole, limb[i]);                                                   \
    SYNC ();                                                                           \
    return whole;                                                                      \
  }
#define VJ_PLUS(x, y) ((x) + (y))
#define VJ_LEAST(x, y) ((x) < (y) ? (x) : (y))

/* -- gates: VjGate of vj/compute.h ------------------------------------------ */

BODY float
gate_value (VjGateArgs gate)
{
  return gate.mode == 0 ? 1.0f : gate.mode == 1 ? tanhf (*gate.gate) : 1.0f - tanhf (*gate.gate);
}

BODY double
gate_slope (VjGateArgs gate)
{
  double t = gate.mode == 0 ? 1.0 : tanh ((double) *gate.gate);
  return gate.mode == 2 ? t * t - 1.0 : 1.0 - t * t;
}

/* -- bfloat16: the upper half of a float ----------------------------------- */

typedef union {
  float value;
  uint32_t bits;
} VjFloatBits;

BODY float
from_bf16 (uint16_t half)
{
  VjFloatBits x;
  x.bits = (uint32_t) half << 16;
  return x.value;
}

BODY uint16_t
to_bf16 (float value)
{
  VjFloatBits x;
  x.value = value;
  if (value != value)
    return (uint16_t) (x.bits >> 16 | 0x40); /* stays a NaN */
  return (uint16_t) ((x.bits + 0x7fff + (x.bits >> 16 & 1)) >> 16);
}

#endif
