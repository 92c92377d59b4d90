/* Rounding to bf16 by AVX-512 BF16, which the kernels of x86-64 share: two vectors in one instruction, subnormals become 0.
 * Nobody outside core/compute includes it. */
#ifndef VJ_COMPUTE_BF16_WIDE_H
#define VJ_COMPUTE_BF16_WIDE_H

#include "compute/bf16.h"
#include "compute/vector.h"

#include <immintrin.h>

#define VJ_WIDE "avx512bf16,avx512f,avx512bw,avx512vl"
#define VJ_WIDE_INLINE __attribute__ ((target (VJ_WIDE))) VJ_INLINE

/* The first n of 32 lanes. */
VJ_WIDE_INLINE __mmask32
wide_first (gsize n)
{
  return n >= VJ_BF16_UNIT ? 0xffffffff : ((__mmask32) 1 << n) - 1;
}

/* The first n of sixteen numbers, zeros after them; what lies beyond is not touched. */
VJ_WIDE_INLINE __m512
wide_load (const float *from, gsize n)
{
  return _mm512_maskz_loadu_ps ((__mmask16) wide_first (n), from);
}

/* The first n of 32 numbers in bf16, zeros after them. */
VJ_WIDE_INLINE __m512i
wide_unit (const float *from, gsize n)
{
  return (__m512i) _mm512_cvtne2ps_pbh (wide_load (from + LANES, n > LANES ? n - LANES : 0), wide_load (from, n));
}

/* Sixteen numbers of each of two l in bf16, side by side: [16][2]. */
VJ_WIDE_INLINE __m512i
wide_pairs (__m512 low, __m512 high)
{
  const __m512i meet = _mm512_set_epi16 (31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16 (meet, (__m512i) _mm512_cvtne2ps_pbh (high, low));
}

#endif
