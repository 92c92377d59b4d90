/* The AMX kernel, whose instructions are those of immintrin.h here. */
#define _GNU_SOURCE
#include <immintrin.h>

#define vj_bf16_amx emulated_amx
#define vj_bf16_rows_wide emulated_rows_wide /* of avx512.c */
#include "core/compute/bf16-amx.c"
