/* Kernels that join many numbers into one, and the optimizer: norms and their backward, column sums, the loss, sums
 * of squares, AdamW. Formulas stand in vj/compute.h, arguments in kernels.h. */
#include "plugins/compute/cublas/kernel.h"

#define LARGER(x, y) fmaxf (x, y)
VJ_DEFINE_TREE (block_sum, float, VJ_PLUS)
VJ_DEFINE_TREE (block_sum64, double, VJ_PLUS)
VJ_DEFINE_TREE (block_largest, float, LARGER)

/* What a whole row shares is computed in f64: its error would not average out over the columns. Grid: rows. */
KERNEL (norm_rows, VjNormArgs)
{
  SHARED (double, tree);
  int64_t row = BLOCK_X;
  const float *x = a.x + row * a.cols;
  float *y = a.y + row * a.cols;
  double sum = 0, square = 0;
  for (int64_t c = THREAD; a.layer && c < a.cols; c += VJ_BLOCK)
    sum += x[c];
  double mean = a.layer ? block_sum64 (sum, tree) / (double) a.cols : 0.0;
  for (int64_t c = THREAD; c < a.cols; c += VJ_BLOCK)
    square += (x[c] - mean) * (x[c] - mean);
  double rstd = 1.0 / sqrt (block_sum64 (square, tree) / (double) a.cols + a.eps);
  float near = (float) mean, scale = (float) rstd;
  for (int64_t c = THREAD; c < a.cols; c += VJ_BLOCK)
    y[c] = fmaf ((x[c] - near) * scale, a.w[c], a.layer ? a.b[c] : 0.0f);
  if (THREAD == 0 && a.stats != NULL) {
    if (a.layer)
      a.stats[2 * row] = near;
    a.stats[a.layer ? 2 * row + 1 : row] = scale;
  }
}

/* With n the normed x and e = dy w:  dx += rstd (e - mean (e) - n mean (e n)); rms has no mean (e). Grid: rows. */
KERNEL (norm_rows_back, VjNormBackArgs)
{
  SHARED (double, tree);
  int64_t row = BLOCK_X;
  const float *x = a.x + row * a.cols, *dy = a.dy + row * a.cols;
  float *dx = a.dx + row * a.cols, mean = a.layer ? a.stats[2 * row] : 0.0f, rstd = a.stats[a.layer ? 2 * row + 1 : row];
  double e_sum = 0, en_sum = 0;
  for (int64_t c = THREAD; c < a.cols; c += VJ_BLOCK) {
    double e = (double) dy[c] * a.w[c];
    e_sum += e;
    en_sum += e * ((x[c] - mean) * rstd);
  }
  float e_mean = a.layer ? (float) (block_sum64 (e_sum, tree) / (double) a.cols) : 0.0f;
  float en_mean = (float) (block_sum64 (en_sum, tree) / (double) a.cols);
  for (int64_t c = THREAD; c < a.cols; c += VJ_BLOCK)
    dx[c] = fmaf (rstd, dy[c] * a.w[c] - e_mean - (x[c] - mean) * rstd * en_mean, dx[c]);
}

/* A block has VJ_STRIPE columns; its VJ_BLOCK / VJ_STRIPE lanes of threads take the rows in turn. */
KERNEL (sum_columns, VjColumnArgs)
{
  SHARED (float, part);
  const int lanes = VJ_BLOCK / VJ_STRIPE, lane = THREAD / VJ_STRIPE;
  int64_t c = (int64_t) BLOCK_X * VJ_STRIPE + THREAD % VJ_STRIPE;
  float sum = 0;
  for (int64_t r = lane; c < a.cols && r < a.rows; r += lanes) {
    float n = 1;
    if (a.column == VJ_COLUMN_LAYER)
      n = (a.x[r * a.cols + c] - a.stats[2 * r]) * a.stats[2 * r + 1];
    else if (a.column == VJ_COLUMN_RMS)
      n = a.x[r * a.cols + c] * a.stats[r];
    sum = fmaf (a.dy[r * a.cols + c], n, sum);
  }
  part[THREAD] = sum;
  SYNC ();
  if (lane == 0 && c < a.cols) {
    for (int i = 1; i < lanes; i++)
      sum += part[i * VJ_STRIPE + THREAD];
    a.sum[c] += sum;
  }
}

KERNEL (sum_squares, VjSquaresArgs)
{
  SHARED (double, tree);
  double sum = 0;
  for (int64_t i = (int64_t) BLOCK_X * VJ_BLOCK + THREAD; i < a.n; i += (int64_t) GRID_X * VJ_BLOCK)
    sum += (double) a.x[i] * a.x[i];
  sum = block_sum64 (sum, tree);
  if (THREAD == 0)
    a.parts[BLOCK_X] = sum;
}

KERNEL (sum_parts, VjTotalArgs)
{
  SHARED (double, tree);
  double sum = 0;
  for (int64_t i = THREAD; i < a.n; i += VJ_BLOCK)
    sum += a.parts[i];
  sum = block_sum64 (sum, tree);
  if (THREAD == 0) {
    if (a.dgate != NULL)
      *a.dgate += (float) (gate_slope (a.gate) * sum);
    else
      *a.sum = sum;
  }
}

/* Grid: rows. */
KERNEL (cross_entropy_rows, VjEntropyArgs)
{
  SHARED (float, tree);
  int64_t row = BLOCK_X, right = a.target[row];
  float *x = a.logits + row * a.cols, weight = a.weight[row], best = -INFINITY, sum = 0;
  for (int64_t c = THREAD; c < a.cols; c += VJ_BLOCK)
    best = fmaxf (best, x[c]);
  best = block_largest (best, tree);
  for (int64_t c = THREAD; c < a.cols; c += VJ_BLOCK)
    sum += expf (x[c] - best);
  float total = block_sum (sum, tree), chosen = x[right];
  SYNC (); /* everyone has read the chosen one before it is overwritten */
  for (int64_t c = THREAD; c < a.cols; c += VJ_BLOCK)
    x[c] = weight * (expf (x[c] - best) / total - (c == right ? 1.0f : 0.0f));
  if (THREAD == 0)
    a.loss[row] = weight * (best + logf (total) - chosen);
}

KERNEL (step_adamw, VjAdamwArgs)
{
  for (int64_t i = (int64_t) BLOCK_X * VJ_BLOCK + THREAD; i < a.n; i += (int64_t) GRID_X * VJ_BLOCK) {
    float g = a.grad[i] * a.grad_scale, m = fmaf (a.rest1, g, a.beta1 * a.m[i]), v = fmaf (a.rest2 * g, g, a.beta2 * a.v[i]);
    float p = fmaf (-a.decay, a.param[i], a.param[i]);
    a.param[i] = p - a.rate * m / (sqrtf (v / a.correction2) + a.epsilon);
    a.m[i] = m;
    a.v[i] = v;
  }
}

LAUNCH (norm_rows, VjNormArgs, SYNCS)
LAUNCH (norm_rows_back, VjNormBackArgs, SYNCS)
LAUNCH (sum_columns, VjColumnArgs, SYNCS)
LAUNCH (sum_squares, VjSquaresArgs, SYNCS)
LAUNCH (sum_parts, VjTotalArgs, SYNCS)
LAUNCH (cross_entropy_rows, VjEntropyArgs, SYNCS)
LAUNCH (step_adamw, VjAdamwArgs, ALONE)
