/* What attention forward and backward share on the CPU. Nobody else includes it. */
#ifndef VJ_COMPUTE_ATTENTION_H
#define VJ_COMPUTE_ATTENTION_H

#include "compute/cpu.h"
#include "compute/vector.h"

#define ROW_BLOCK 64 /* query rows that meet a block of keys together */
#define KEY_BLOCK 256

typedef struct {
  VjCpu *cpu;
  const VjAttention *a;
  gboolean whole; /* forward: no segment is cut, so that an item is one's key/value head */
  gboolean store; /* forward: an item begins by storing what is new */
} Call;

static inline gsize
panels_of (gsize n)
{
  return (n + VJ_PANEL - 1) / VJ_PANEL;
}

/* [n keys, D] with leading dimension ld to panels of 32 keys, [panels][D][32]. */
static inline void
pack_transposed (const float *from, gsize ld, gsize n, gsize dim, float *to)
{
  for (gsize p = 0; p < panels_of (n); p++, to += dim * VJ_PANEL) {
    gsize part = MIN (VJ_PANEL, n - p * VJ_PANEL);
    if (part < VJ_PANEL)
      memset (to, 0, dim * VJ_PANEL * sizeof (float));
    vj_cpu_transpose (from + p * VJ_PANEL * ld, ld, part, dim, to, VJ_PANEL);
  }
}

/* [n rows, D] to panels of 32 columns, [panels][n][32]. */
static inline void
pack_plain (const float *from, gsize ld, gsize n, gsize dim, float *to)
{
  for (gsize p = 0; p < panels_of (dim); p++, to += n * VJ_PANEL) {
    gsize part = MIN (VJ_PANEL, dim - p * VJ_PANEL);
    for (gsize j = 0; j < n; j++) {
      memcpy (to + j * VJ_PANEL, from + j * ld + p * VJ_PANEL, part * sizeof (float));
      if (part < VJ_PANEL)
        memset (to + j * VJ_PANEL + part, 0, (VJ_PANEL - part) * sizeof (float));
    }
  }
}

/* Of n numbers: cpu-attention-backward.c. */
float vj_cpu_dot (const float *x, const float *y, gsize n);

static inline void
key_range (const VjAttention *a, const VjAttentionSegment *s, gsize row, gsize *ret_first, gsize *ret_last)
{
  *ret_first = a->first == NULL ? 0 : (gsize) CI (a->first)[row];
  *ret_last = a->last == NULL ? s->kv_count : MIN ((gsize) CI (a->last)[row], s->kv_count);
  if (*ret_first > *ret_last)
    *ret_first = *ret_last;
}

/* The lanes of the block at `j` that lie in [first, last). */
VJ_INLINE VI
seen_lanes (gsize j, gsize first, gsize last)
{
  return v_lanes (first > j ? (guint) (first - j) : 0, last - j < LANES ? (guint) (last - j) : LANES);
}

#endif
