/* The instructions of the AVX-512 BF16 and AMX kernels in plain C, so that these are tested on any x86-64. Found in place of
 * the compiler's header of this name, from which the types come. Sums may round otherwise than those of a processor. */
#ifndef VJ_TESTS_EMULATED_IMMINTRIN_H
#define VJ_TESTS_EMULATED_IMMINTRIN_H

#include_next <immintrin.h>

#include <cpuid.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

/* Functions are for the processor at hand, and every processor has everything. */
#define target(...) unused
#define __builtin_cpu_supports(feature) TRUE
#define __get_cpuid_count(leaf, part, a, b, c, d) (*(a) = *(b) = *(c) = *(d) = ~0u, TRUE)
#define syscall(...) 0

#define EMULATED static inline __attribute__ ((always_inline, unused))
#define FOR(i, n) for (guint i = 0; i < (n); i++)

typedef union {
  __m512 ps;
  __m512i si;
  float f[16];
  guint16 h[32];
  guint32 w[16];
  guint64 q[8];
} Wide;

EMULATED float
emulated_widen (guint16 half)
{
  guint32 bits = (guint32) half << 16;
  float value;
  memcpy (&value, &bits, sizeof value);
  return value;
}

/* To nearest, ties to even; subnormals become 0. */
EMULATED guint16
emulated_round (float value)
{
  guint32 bits;
  memcpy (&bits, &value, sizeof bits);
  if ((bits & 0x7fffffff) > 0x7f800000)
    return (guint16) (bits >> 16 | 0x40);
  if ((bits & 0x7f800000) == 0)
    return (guint16) (bits >> 16 & 0x8000);
  return (guint16) ((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* -- AVX-512 ------------------------------------------------------------------ */

EMULATED __m512i
emulated_load (const void *from, gsize n, gsize size)
{
  Wide x = { .q = { 0 } };
  memcpy (&x, from, n * size);
  return x.si;
}

/* Lanes of a mask must be the first ones, as they are in the kernels. */
EMULATED gsize
emulated_first (guint64 mask)
{
  gsize n = 0;
  while (mask >> n & 1)
    n++;
  g_assert (mask >> n == 0);
  return n;
}

EMULATED void
emulated_store (void *to, __m512i x, gsize n, gsize size)
{
  memcpy (to, &x, n * size);
}

/* Within each 128 bits, `size` bytes at a time: the lower or upper halves of x and y in turn. */
EMULATED __m512i
emulated_unpack (__m512i x, __m512i y, gsize size, gboolean upper)
{
  __m512i out;
  const char *const from[] = { (const char *) &x, (const char *) &y };
  FOR (part, 4)
    FOR (i, 16 / size)
      memcpy ((char *) &out + 16 * part + i * size, from[i % 2] + 16 * part + (upper ? 8 : 0) + i / 2 * size, size);
  return out;
}

/* Two parts of x, then two of y, by two bits each; `size` bytes a part, in each of `groups`. */
EMULATED __m512i
emulated_shuffle (__m512i x, __m512i y, guint control, gsize size, guint groups)
{
  __m512i out;
  const char *const from[] = { (const char *) &x, (const char *) &y };
  FOR (group, groups)
    FOR (i, 4)
      memcpy ((char *) &out + 4 * size * group + i * size, from[i / 2] + 4 * size * group + (control >> 2 * i & 3) * size, size);
  return out;
}

EMULATED __m512i
emulated_permute (__m512i index, __m512i x, gboolean halves)
{
  Wide by = { .si = index }, from = { .si = x }, out;
  FOR (i, halves ? 32 : 0)
    out.h[i] = from.h[by.h[i] % 32];
  FOR (i, halves ? 0 : 16)
    out.w[i] = from.w[by.w[i] % 16];
  return out.si;
}

EMULATED __m512i
emulated_round_two (__m512 high, __m512 low)
{
  Wide a = { .ps = low }, b = { .ps = high }, out;
  FOR (i, 32)
    out.h[i] = emulated_round (i < 16 ? a.f[i] : b.f[i - 16]);
  return out.si;
}

EMULATED __m512
emulated_dot (__m512 sums, __m512i x, __m512i y)
{
  Wide sum = { .ps = sums }, a = { .si = x }, b = { .si = y };
  FOR (i, 16) {
    sum.f[i] += emulated_widen (a.h[2 * i + 1]) * emulated_widen (b.h[2 * i + 1]);
    sum.f[i] += emulated_widen (a.h[2 * i]) * emulated_widen (b.h[2 * i]);
  }
  return sum.ps;
}

EMULATED __m512i
emulated_four_times (__m128i x)
{
  __m512i out;
  FOR (i, 4)
    memcpy ((char *) &out + 16 * i, &x, 16);
  return out;
}

EMULATED __m128i
emulated_load_eight (guint64 mask, const void *from)
{
  __m128i x = { 0 };
  memcpy (&x, from, emulated_first (mask) * 2);
  return x;
}

/* The first argument is the last lane. */
EMULATED __m512i
emulated_set (const void *reversed, gsize size)
{
  __m512i out;
  FOR (i, 64 / size)
    memcpy ((char *) &out + i * size, (const char *) reversed + 64 - size - i * size, size);
  return out;
}

#undef _mm512_setzero_ps
#undef _mm512_setzero_si512
#undef _mm512_shuffle_ps
#undef _mm512_shuffle_i64x2
#define _mm512_setzero_ps() ((__m512) { 0 })
#define _mm512_setzero_si512() ((__m512i) { 0 })
#define _mm512_add_ps(x, y) ((x) + (y))
#define _mm512_castps512_ps256(x) (x)
#define _mm256_store_ps(to, x) emulated_store (to, (__m512i) (x), 8, 4)
#define _mm512_store_ps(to, x) emulated_store (to, (__m512i) (x), 16, 4)
#define _mm512_store_si512(to, x) emulated_store (to, x, 64, 1)
#define _mm512_mask_storeu_ps(to, mask, x) emulated_store (to, (__m512i) (x), emulated_first (mask), 4)
#define _mm512_mask_storeu_epi16(to, mask, x) emulated_store (to, x, emulated_first (mask), 2)
#define _mm512_loadu_si512(from) emulated_load (from, 64, 1)
#define _mm512_maskz_loadu_ps(mask, from) ((__m512) emulated_load (from, emulated_first (mask), 4))
#define _mm512_maskz_loadu_epi16(mask, from) emulated_load (from, emulated_first (mask), 2)
#define _mm_maskz_loadu_epi16(mask, from) emulated_load_eight (mask, from)
#define _mm512_broadcast_i32x4(x) emulated_four_times (x)
#define _mm512_unpacklo_ps(x, y) ((__m512) emulated_unpack ((__m512i) (x), (__m512i) (y), 4, FALSE))
#define _mm512_unpackhi_ps(x, y) ((__m512) emulated_unpack ((__m512i) (x), (__m512i) (y), 4, TRUE))
#define _mm512_unpacklo_epi32(x, y) emulated_unpack (x, y, 4, FALSE)
#define _mm512_unpackhi_epi32(x, y) emulated_unpack (x, y, 4, TRUE)
#define _mm512_unpacklo_epi64(x, y) emulated_unpack (x, y, 8, FALSE)
#define _mm512_unpackhi_epi64(x, y) emulated_unpack (x, y, 8, TRUE)
#define _mm512_shuffle_ps(x, y, control) ((__m512) emulated_shuffle ((__m512i) (x), (__m512i) (y), control, 4, 4))
#define _mm512_shuffle_i64x2(x, y, control) emulated_shuffle (x, y, control, 16, 1)
#define _mm512_permutexvar_ps(index, x) ((__m512) emulated_permute (index, (__m512i) (x), FALSE))
#define _mm512_permutexvar_epi16(index, x) emulated_permute (index, x, TRUE)
#define _mm512_set_epi16(...) emulated_set ((const guint16[]){ __VA_ARGS__ }, 2)
#define _mm512_set_epi32(...) emulated_set ((const guint32[]){ __VA_ARGS__ }, 4)
#define _mm512_set_epi64(...) emulated_set ((const guint64[]){ __VA_ARGS__ }, 8)
#define _mm512_cvtne2ps_pbh(high, low) emulated_round_two (high, low)
#define _mm512_dpbf16_ps(sums, x, y) emulated_dot (sums, (__m512i) (x), (__m512i) (y))

/* -- AMX: eight tiles of sixteen rows of 64 bytes -------------------------------- */

static struct {
  guint16 line[8]; /* bytes of a row */
  guint8 rows[8];
  guint8 bytes[8][16][64];
} emulated_tiles __attribute__ ((unused));

EMULATED void
emulated_configure (const guint8 *palette)
{
  g_assert_cmpuint (palette[0], ==, 1);
  memset (&emulated_tiles, 0, sizeof emulated_tiles);
  memcpy (emulated_tiles.line, palette + 16, sizeof emulated_tiles.line);
  memcpy (emulated_tiles.rows, palette + 48, sizeof emulated_tiles.rows);
  FOR (i, 8)
    g_assert_true (emulated_tiles.line[i] <= 64 && emulated_tiles.rows[i] <= 16 && (emulated_tiles.line[i] == 0) == (emulated_tiles.rows[i] == 0));
}

/* Using a tile that has no rows is a fault. */
EMULATED void
emulated_move (guint tile, void *memory, gsize step, gboolean store)
{
  g_assert_cmpuint (emulated_tiles.rows[tile], >, 0);
  memset (emulated_tiles.bytes[tile], 0, store ? 0 : sizeof emulated_tiles.bytes[tile]);
  FOR (r, emulated_tiles.rows[tile]) {
    void *line = emulated_tiles.bytes[tile][r], *there = (char *) memory + r * step;
    memcpy (store ? there : line, store ? line : there, emulated_tiles.line[tile]);
  }
}

EMULATED void
emulated_tile_dot (guint c, guint a, guint b)
{
  g_assert_true (emulated_tiles.rows[c] == emulated_tiles.rows[a] && emulated_tiles.rows[c] > 0 && emulated_tiles.line[c] == emulated_tiles.line[b]);
  g_assert_cmpuint (emulated_tiles.rows[b], ==, emulated_tiles.line[a] / 4);
  FOR (i, emulated_tiles.rows[c]) {
    float *sums = (float *) (void *) emulated_tiles.bytes[c][i];
    const guint16 *x = (const guint16 *) (const void *) emulated_tiles.bytes[a][i];
    FOR (l, emulated_tiles.line[a] / 4u) {
      const guint16 *y = (const guint16 *) (const void *) emulated_tiles.bytes[b][l];
      FOR (j, emulated_tiles.line[c] / 4u)
        sums[j] += emulated_widen (x[2 * l]) * emulated_widen (y[2 * j]) + emulated_widen (x[2 * l + 1]) * emulated_widen (y[2 * j + 1]);
    }
  }
}

#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#define _tile_loadconfig(palette) emulated_configure ((const guint8 *) (palette))
#define _tile_release() memset (&emulated_tiles, 0, sizeof emulated_tiles)
#define _tile_zero(tile) memset (emulated_tiles.bytes[tile], 0, sizeof emulated_tiles.bytes[tile])
#define _tile_loadd(tile, from, step) emulated_move (tile, (void *) (from), step, FALSE)
#define _tile_stored(tile, to, step) emulated_move (tile, to, step, TRUE)
#define _tile_dpbf16ps(c, a, b) emulated_tile_dot (c, a, b)

#endif
