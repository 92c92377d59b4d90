/* Kernels over rows and single elements: bias, rounding, copies, gathers and scatters, activations, rotary positions.
 * Formulas stand in vj/compute.h, arguments in kernels.h. */
#include "plugins/compute/cublas/kernel.h"

VJ_DEFINE_TREE (block_sum, double, VJ_PLUS)
VJ_DEFINE_TREE (block_least, int32_t, VJ_LEAST)

/* The columns of a row that this thread of a spread kernel has: first, first + VJ_BLOCK, ... below last. */
typedef struct {
  int64_t row, first, last;
} Spread;

BODY Spread
spread (int64_t cols, int64_t chunks)
{
  Spread s;
  int64_t start = (int64_t) BLOCK_X % chunks * VJ_SPREAD;
  s.row = (int64_t) BLOCK_X / chunks;
  s.first = start + THREAD;
  s.last = cols < start + VJ_SPREAD ? cols : start + VJ_SPREAD;
  return s;
}

KERNEL (add_bias, VjBiasArgs)
{
  Spread s = spread (a.cols, a.chunks);
  float *y = a.y + s.row * a.ld;
  for (int64_t c = s.first; c < s.last; c += VJ_BLOCK)
    y[c] = a.add ? y[c] + a.bias[c] : a.bias[c];
}

KERNEL (round_bf16, VjRoundArgs)
{
  Spread s = spread (a.cols, a.chunks);
  const float *from = a.from + s.row * a.ld;
  uint16_t *to = a.to + s.row * a.cols;
  for (int64_t c = s.first; c < s.last; c += VJ_BLOCK)
    to[c] = to_bf16 (from[c]);
}

KERNEL (copy_rows, VjCopyArgs)
{
  Spread s = spread (a.cols, a.chunks);
  const float *from = a.from + s.row * a.ld_from;
  float *to = a.to + s.row * a.ld_to;
  for (int64_t c = s.first; c < s.last; c += VJ_BLOCK) {
    float value = from[c * a.step_from];
    to[c * a.step_to] = a.add ? to[c * a.step_to] + value : value;
  }
}

/* vj_dropout_bits of vj/compute.h. */
BODY uint32_t
mix_bits (uint32_t x)
{
  x = (x ^ x >> 16) * 0x85ebca6bu;
  x = (x ^ x >> 13) * 0xc2b2ae35u;
  return x ^ x >> 16;
}

KERNEL (drop_rows, VjDropoutArgs)
{
  Spread s = spread (a.cols, a.chunks);
  const float *x = a.x + s.row * a.cols;
  float *y = a.y + s.row * a.cols;
  uint32_t row = a.seeds == NULL ? 0 : mix_bits ((uint32_t) a.seeds[s.row] ^ a.salt * 0x9e3779b9u);
  for (int64_t c = s.first; c < s.last; c += VJ_BLOCK) {
    int kept = a.seeds == NULL || mix_bits (row ^ (uint32_t) c * 0x27d4eb2fu) >> 8 >= a.bound;
    float value = kept ? a.scale * x[c] : 0.0f;
    y[c] = a.add ? value + y[c] : value;
  }
}

KERNEL (gather_rows, VjAddArgs)
{
  Spread s = spread (a.cols, a.chunks);
  int64_t from = a.index == NULL ? s.row : a.index[s.row];
  if (from < 0)
    return;
  float scale = gate_value (a.gate), *y = a.y + s.row * a.cols;
  for (int64_t c = s.first; c < s.last; c += VJ_BLOCK) {
    int64_t at = from * a.cols + c;
    y[c] = fmaf (scale, a.half ? from_bf16 (((const uint16_t *) a.table)[at]) : ((const float *) a.table)[at], y[c]);
  }
}

/* Grid: rows. */
KERNEL (link_rows, VjLinkArgs)
{
  SHARED (int32_t, tree);
  int32_t row = (int32_t) BLOCK_X, value = a.index[row], first = INT32_MAX, next = INT32_MAX;
  for (int64_t r = THREAD; r < a.rows; r += VJ_BLOCK)
    if (a.index[r] == value) {
      first = first < r ? first : (int32_t) r;
      if (r > row)
        next = next < r ? next : (int32_t) r;
    }
  first = block_least (first, tree);
  next = block_least (next, tree);
  if (THREAD == 0) {
    a.links[2 * row] = value >= 0 && first == row;
    a.links[2 * row + 1] = next == INT32_MAX ? -1 : next;
  }
}

KERNEL (scatter_rows, VjScatterArgs)
{
  Spread s = spread (a.cols, a.chunks);
  if (a.index != NULL && !a.links[2 * s.row])
    return;
  int64_t to = a.index == NULL ? s.row : a.index[s.row];
  float scale = gate_value (a.gate), *table = a.table + to * a.cols;
  for (int64_t c = s.first; c < s.last; c += VJ_BLOCK) {
    float sum = 0;
    for (int64_t r = s.row; r >= 0; r = a.index == NULL ? -1 : a.links[2 * r + 1])
      sum += a.dy[r * a.cols + c];
    table[c] = fmaf (scale, sum, table[c]);
  }
}

/* Grid: rows. */
KERNEL (dot_rows, VjDotArgs)
{
  SHARED (double, tree);
  int64_t row = BLOCK_X, from = a.index == NULL ? row : a.index[row];
  double sum = 0;
  for (int64_t c = THREAD; from >= 0 && c < a.cols; c += VJ_BLOCK)
    sum += (double) a.dy[row * a.cols + c] * a.table[from * a.cols + c];
  sum = block_sum (sum, tree);
  if (THREAD == 0)
    a.parts[row] = sum;
}

/* -- activations: VjAct of vj/compute.h -------------------------------------- */

#define ROOT_HALF 0.70710678118654752f   /* sqrt (1 / 2)      */
#define DENSITY 0.39894228040143268f     /* 1 / sqrt (2 pi)   */

/* 0 gelu, 1 quick-gelu, 2 silu. */
BODY float
act_value (int act, float x)
{
  if (act == 0)
    return 0.5f * x * erfcf (-x * ROOT_HALF);
  return x / (1.0f + expf (act == 1 ? -1.702f * x : -x));
}

BODY float
act_slope (int act, float x)
{
  if (act == 0)
    return 0.5f * erfcf (-x * ROOT_HALF) + x * expf (-0.5f * x * x) * DENSITY;
  float b = act == 1 ? 1.702f : 1.0f, s = 1.0f / (1.0f + expf (-b * x));
  return s + b * x * s * (1.0f - s);
}

KERNEL (activate, VjActivationArgs)
{
  for (int64_t i = (int64_t) BLOCK_X * VJ_BLOCK + THREAD; i < a.n; i += (int64_t) GRID_X * VJ_BLOCK)
    a.y[i] = a.dy == NULL ? act_value (a.act, a.x[i]) : a.dy[i] * act_slope (a.act, a.x[i]);
}

KERNEL (swiglu_rows, VjSwigluArgs)
{
  Spread s = spread (a.cols, a.chunks);
  const float *gate = a.x + 2 * s.row * a.cols, *up = gate + a.cols;
  for (int64_t c = s.first; c < s.last; c += VJ_BLOCK)
    a.y[s.row * a.cols + c] = act_value (2, gate[c]) * up[c];
}

KERNEL (swiglu_rows_back, VjSwigluArgs)
{
  Spread s = spread (a.cols, a.chunks);
  const float *gate = a.x + 2 * s.row * a.cols, *up = gate + a.cols, *dy = a.dy + s.row * a.cols;
  float *d_gate = a.dx + 2 * s.row * a.cols, *d_up = d_gate + a.cols;
  for (int64_t c = s.first; c < s.last; c += VJ_BLOCK) {
    float d_value = dy[c] * act_value (2, gate[c]);
    d_gate[c] = dy[c] * up[c] * act_slope (2, gate[c]);
    d_up[c] = d_value;
  }
}

/* Grid: rows. */
KERNEL (rotate_rows, VjRopeArgs)
{
  int64_t row = BLOCK_X;
  const float *cosine = a.table + (int64_t) a.positions[row] * 2 * a.half, *sine = cosine + a.half;
  for (int64_t i = THREAD; i < a.heads * a.half; i += VJ_BLOCK) {
    int64_t d = i % a.half;
    float *x = a.x + row * a.ld + i / a.half * 2 * a.half + d;
    float low = x[0], high = x[a.half], s = a.inverse ? -sine[d] : sine[d];
    x[0] = low * cosine[d] - high * s;
    x[a.half] = high * cosine[d] + low * s;
  }
}

LAUNCH (add_bias, VjBiasArgs, ALONE)
LAUNCH (round_bf16, VjRoundArgs, ALONE)
LAUNCH (copy_rows, VjCopyArgs, ALONE)
LAUNCH (drop_rows, VjDropoutArgs, ALONE)
LAUNCH (gather_rows, VjAddArgs, ALONE)
LAUNCH (link_rows, VjLinkArgs, SYNCS)
LAUNCH (scatter_rows, VjScatterArgs, ALONE)
LAUNCH (dot_rows, VjDotArgs, SYNCS)
LAUNCH (activate, VjActivationArgs, ALONE)
LAUNCH (swiglu_rows, VjSwigluArgs, ALONE)
LAUNCH (swiglu_rows_back, VjSwigluArgs, ALONE)
LAUNCH (rotate_rows, VjRopeArgs, ALONE)
