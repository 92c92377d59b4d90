/* Sixteen floats at once, in the compiler's vector extension, and the few functions the kernels need of them.
 * No -ffast-math: sums keep the order written here, on every machine.
 *
 * VJ_CLONES builds a function once for each level of x86 and picks one at load time. */
#ifndef VJ_COMPUTE_VECTOR_H
#define VJ_COMPUTE_VECTOR_H

#include <glib.h>
#include <math.h>
#include <string.h>

#if defined (__x86_64__) && defined (__GNUC__) && !defined (__clang__) && !defined (__SANITIZE_ADDRESS__)
#define VJ_CLONES __attribute__ ((target_clones ("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define VJ_CLONES
#endif
#define VJ_INLINE static inline __attribute__ ((always_inline))

#pragma GCC diagnostic ignored "-Wpsabi" /* vectors pass between inlined functions only */

#define LANES 16

typedef float V __attribute__ ((vector_size (64)));
typedef gint32 VI __attribute__ ((vector_size (64)));
typedef guint32 VIU __attribute__ ((vector_size (64)));
typedef double VD __attribute__ ((vector_size (128)));
typedef double VE __attribute__ ((vector_size (64))); /* eight of f64 */
typedef gint64 VEI __attribute__ ((vector_size (64)));
typedef double VEU __attribute__ ((vector_size (64), aligned (8), may_alias)); /* in memory */
typedef float VEF __attribute__ ((vector_size (32)));
typedef float VU __attribute__ ((vector_size (64), aligned (4), may_alias)); /* in memory */

VJ_INLINE V v_load (const float *p) { return *(const VU *) p; }
VJ_INLINE void v_store (float *p, V v) { *(VU *) p = v; }
VJ_INLINE V v_set (float x) { return x - (V) { 0 }; }

/* All bits of the lanes where a < b, or where x is no number; what a NaN is less than is not said. By arithmetic, because gcc
 * takes comparisons of vectors wider than the processor's apart into sixteen scalar ones. */
VJ_INLINE VI v_less (V a, V b) { return (VI) (a - b) >> 31; }
VJ_INLINE VI v_nan (V x) { return (0x7f800000 - ((VI) x & 0x7fffffff)) >> 31; }
VJ_INLINE V v_choose (VI mask, V yes, V no) { return (V) (((VI) yes & mask) | ((VI) no & ~mask)); }
VJ_INLINE V v_max (V a, V b) { return v_choose (v_less (a, b), b, a); }
VJ_INLINE V v_min (V a, V b) { return v_choose (v_less (a, b), a, b); }

/* The first n < LANES floats, zeros after them. */
VJ_INLINE V
v_load_part (const float *p, gsize n)
{
  float all[LANES] = { 0 };
  memcpy (all, p, n * sizeof (float));
  return v_load (all);
}

VJ_INLINE void
v_store_part (float *p, V v, gsize n)
{
  float all[LANES];
  v_store (all, v);
  memcpy (p, all, n * sizeof (float));
}

typedef guint16 VH __attribute__ ((vector_size (32)));
typedef guint16 VHU __attribute__ ((vector_size (32), aligned (2), may_alias)); /* in memory */

/* Sixteen bf16 numbers; the first n < LANES of them, zeros after. */
VJ_INLINE V v_widen (const guint16 *p) { return (V) (__builtin_convertvector (*(const VHU *) p, VIU) << 16); }

VJ_INLINE V
v_widen_part (const guint16 *p, gsize n)
{
  guint16 all[LANES] = { 0 };
  memcpy (all, p, n * sizeof (guint16));
  return v_widen (all);
}

/* Lanes [low, high) set: a mask read from a table, because compilers turn comparisons of integer vectors into
 * sixteen scalar ones. */
VJ_INLINE VI
v_lanes (guint low, guint high)
{
  static const gint32 table[3 * LANES] = { [LANES] = -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1 };
  return (VI) v_load ((const float *) (const void *) (table + LANES - low)) & (VI) v_load ((const float *) (const void *) (table + 2 * LANES - high));
}

/* Lane i of the result is lane i + step of v (for i < step; the others do not matter). */
#define V_DOWN_8(v) __builtin_shufflevector (v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7)
#define V_DOWN_4(v) __builtin_shufflevector (v, v, 4, 5, 6, 7, 0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15)
#define V_DOWN_2(v) __builtin_shufflevector (v, v, 2, 3, 0, 1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#define V_DOWN_1(v) __builtin_shufflevector (v, v, 1, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)

/* Pairwise, in a fixed order. A macro for functions of another target, to which clang passes no vector. */
#define V_SUM(v)                                                                         \
  ({                                                                                     \
    V v_sum_ = (v);                                                                      \
    v_sum_ += V_DOWN_8 (v_sum_);                                                         \
    v_sum_ += V_DOWN_4 (v_sum_);                                                         \
    v_sum_ += V_DOWN_2 (v_sum_);                                                         \
    v_sum_ += V_DOWN_1 (v_sum_);                                                         \
    v_sum_[0];                                                                           \
  })

/* V_TRANSPOSE (r): the square r[16] of 16 x 16 is turned. A macro for functions of another target, as V_SUM. For rows i
 * and i + STEP, V_EXCHANGE_ exchanges the off-diagonal blocks of STEP x STEP. */
#define V_TRANSPOSE(r)                          \
  do {                                          \
    V_EXCHANGE_ (r, 8, V_LOW_8_, V_HIGH_8_);    \
    V_EXCHANGE_ (r, 4, V_LOW_4_, V_HIGH_4_);    \
    V_EXCHANGE_ (r, 2, V_LOW_2_, V_HIGH_2_);    \
    V_EXCHANGE_ (r, 1, V_LOW_1_, V_HIGH_1_);    \
  } while (0)
#define V_EXCHANGE_(r, STEP, LOW, HIGH)                               \
  _Pragma ("GCC unroll 16") for (guint i_ = 0; i_ < LANES; i_++)      \
    if ((i_ & STEP) == 0) {                                           \
      V low_ = r[i_], high_ = r[i_ + STEP];                           \
      r[i_] = __builtin_shufflevector (low_, high_, LOW);             \
      r[i_ + STEP] = __builtin_shufflevector (low_, high_, HIGH);     \
    }
#define V_LOW_8_ 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23
#define V_HIGH_8_ 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31
#define V_LOW_4_ 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27
#define V_HIGH_4_ 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31
#define V_LOW_2_ 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define V_HIGH_2_ 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#define V_LOW_1_ 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30
#define V_HIGH_1_ 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31

VJ_INLINE float v_sum (V v) { return V_SUM (v); }

VJ_INLINE float
v_largest (V v)
{
  v = v_max (v, V_DOWN_8 (v));
  v = v_max (v, V_DOWN_4 (v));
  v = v_max (v, V_DOWN_2 (v));
  v = v_max (v, V_DOWN_1 (v));
  return v[0];
}

/* Rounded to bf16, to nearest with ties to even, as the upper half of each lane; the lower half is zero. NaN stays one. */
VJ_INLINE VI
v_bf16 (V x)
{
  VIU bits = (VIU) x;
  VIU up = bits + 0x7fff + (bits >> 16 & 1), nan = (VIU) v_nan (x);
  return (VI) (((up & ~nan) | ((bits | 0x400000) & nan)) & 0xffff0000);
}

/* exp, relative error below 2e-7. x = n ln 2 + r, |r| <= ln 2 / 2; 2^n by the exponent bits; a polynomial of
 * degree 6 for exp r (its Taylor terms, adjusted by minimax). Arguments are held to [-87.3, 88.3]; NaN stays. */
VJ_INLINE V
v_exp (V x)
{
  V clamped = v_min (v_max (x, v_set (-87.3f)), v_set (88.3f));
  V shifted = clamped * 1.44269504f + 12582912.0f; /* 1.5 x 2^23: the sum's low bits are the nearest integer */
  VI n = (VI) shifted - 0x4b400000;
  V whole = shifted - 12582912.0f;
  V r = clamped - whole * 0.693359375f - whole * -2.12194440e-4f;
  V p = ((((r * 1.9875691500e-4f + 1.3981999507e-3f) * r + 8.3334519073e-3f) * r + 4.1665795894e-2f) * r + 1.6666665459e-1f) * r + 5.0000001201e-1f;
  V e = p * r * r + r + 1.0f;
  return v_choose (v_nan (x), x, (V) ((VI) e + (n << 23)));
}

/* exp of x <= 0 in f64, relative error below 4e-16; 0 where it would be below 1e-307. As v_exp, with Taylor's polynomial of
 * degree 12. */
VJ_INLINE VE
ve_exp (VE x)
{
  const double magic = 6755399441055744.0; /* 1.5 x 2^52 */
  const VEI above = (VEI) (-707.0 - x) >> 63; /* as v_less */
  VE clamped = (VE) (((VEI) x & above) | ((VEI) ((VE) { 0 } - 707.0) & ~above));
  VE shifted = clamped * 1.4426950408889634 + magic, whole = shifted - magic;
  VE r = clamped - whole * 6.93147180369123816490e-01 - whole * 1.90821492927058770002e-10;
  VE p = (((((r * (1.0 / 479001600) + 1.0 / 39916800) * r + 1.0 / 3628800) * r + 1.0 / 362880) * r + 1.0 / 40320) * r + 1.0 / 5040) * r + 1.0 / 720;
  VE e = (((((p * r + 1.0 / 120) * r + 1.0 / 24) * r + 1.0 / 6) * r + 0.5) * r + 1.0) * r + 1.0;
  return (VE) (((VEI) e + ((VEI) shifted << 52)) & above);
}

/* 1 / (1 + exp (-x)) */
VJ_INLINE V
v_sigmoid (V x)
{
  return 1.0f / (1.0f + v_exp (-x));
}

/* erf (|z|) from e = exp (-z z): Abramowitz and Stegun 7.1.26, error below 1.5e-7. */
VJ_INLINE V
v_erf_positive (V z, V e)
{
  V t = 1.0f / (1.0f + 0.3275911f * z);
  return 1.0f - ((((1.061405429f * t - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t + 0.254829592f) * t * e;
}

#endif
