/* The AVX-512 BF16 kernel, whose instructions are those of immintrin.h here. */
#include <immintrin.h>

#define vj_bf16_avx512 emulated_avx512
#define vj_bf16_rows_wide emulated_rows_wide
#include "core/compute/bf16-avx512.c"
