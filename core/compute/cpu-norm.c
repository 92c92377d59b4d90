/* Norms on the CPU: see vj/compute.h for formulas. Gradients of weights are summed per chunk of rows, then over
 * chunks in order, so they do not depend on the threads. */
#include "compute/cpu.h"
#include "compute/vector.h"

typedef struct {
  gsize cols;
  float eps;
  const float *x, *w, *b, *stats_in, *dy;
  float *y, *stats, *dx, *partial; /* partial: [chunks][2 cols] */
  gsize chunk;
} Norm;

static gsize
chunk_of (gsize cols)
{
  return MAX ((gsize) 16, 16384 / cols);
}

/* sum of (x - shift) and of (x - shift)^2 over a row: columns beyond the last whole vector read as `shift`. */
VJ_INLINE void
row_sums (const float *x, gsize cols, float shift, float *ret_sum, float *ret_square)
{
  V sum = v_set (0), square = v_set (0);
  gsize c = 0;
  for (; c + LANES <= cols; c += LANES) {
    V d = v_load (x + c) - shift;
    sum += d;
    square += d * d;
  }
  float s = v_sum (sum), q = v_sum (square);
  for (; c < cols; c++) {
    float d = x[c] - shift;
    s += d;
    q += d * d;
  }
  *ret_sum = s;
  *ret_square = q;
}

VJ_CLONES void
vj_cpu_layer_norm_part (const VjCpuNorm *t, const float *x, gsize n, gsize first, gsize count, float *y, gsize ldy, float *stats)
{
  for (gsize r = 0; r < n; r++, x += t->cols, y += ldy) {
    float sum, square;
    row_sums (x, t->cols, 0, &sum, &square);
    float mean = sum / (float) t->cols;
    row_sums (x, t->cols, mean, &sum, &square);
    float rstd = 1 / sqrtf (square / (float) t->cols + t->eps);
    gsize c = first, end = first + count;
    for (; c + LANES <= end; c += LANES)
      v_store (y + c - first, (v_load (x + c) - mean) * rstd * v_load (t->w + c) + v_load (t->b + c));
    for (; c < end; c++)
      y[c - first] = (x[c] - mean) * rstd * t->w[c] + t->b[c];
    if (stats != NULL) {
      stats[2 * r] = mean;
      stats[2 * r + 1] = rstd;
    }
  }
}

VJ_CLONES void
vj_cpu_rms_norm_part (const VjCpuNorm *t, const float *x, gsize n, gsize first, gsize count, float *y, gsize ldy, float *stats)
{
  for (gsize r = 0; r < n; r++, x += t->cols, y += ldy) {
    float sum, square;
    row_sums (x, t->cols, 0, &sum, &square);
    float rstd = 1 / sqrtf (square / (float) t->cols + t->eps);
    gsize c = first, end = first + count;
    for (; c + LANES <= end; c += LANES)
      v_store (y + c - first, v_load (x + c) * rstd * v_load (t->w + c));
    for (; c < end; c++)
      y[c - first] = x[c] * rstd * t->w[c];
    if (stats != NULL)
      stats[r] = rstd;
  }
}

static void
layer_norm_rows (void *data, gsize first, gsize n, G_GNUC_UNUSED guint worker)
{
  const Norm *t = data;
  const VjCpuNorm norm = { t->cols, t->eps, t->w, t->b };
  vj_cpu_layer_norm_part (&norm, t->x + first * t->cols, n, 0, t->cols, t->y + first * t->cols, t->cols, t->stats == NULL ? NULL : t->stats + 2 * first);
}

static void
rms_norm_rows (void *data, gsize first, gsize n, G_GNUC_UNUSED guint worker)
{
  const Norm *t = data;
  const VjCpuNorm norm = { t->cols, t->eps, t->w, NULL };
  vj_cpu_rms_norm_part (&norm, t->x + first * t->cols, n, 0, t->cols, t->y + first * t->cols, t->cols, t->stats == NULL ? NULL : t->stats + first);
}

/* One row backward; mean is 0 and e_mean unused for the rms norm. dw, db: sums of this chunk, or NULL. */
VJ_INLINE void
backward_row (const Norm *t, gsize r, float mean, float rstd, gboolean centred, float *dw, float *db)
{
  const float *x = t->x + r * t->cols, *dy = t->dy + r * t->cols;
  float *dx = t->dx == NULL ? NULL : t->dx + r * t->cols;
  V e_sum = v_set (0), en_sum = v_set (0);
  gsize c = 0, whole = t->cols / LANES * LANES;
  for (; c < whole; c += LANES) {
    V n = (v_load (x + c) - mean) * rstd, d = v_load (dy + c), e = d * v_load (t->w + c);
    e_sum += e;
    en_sum += e * n;
    if (dw != NULL)
      v_store (dw + c, v_load (dw + c) + d * n);
    if (db != NULL)
      v_store (db + c, v_load (db + c) + d);
  }
  float e_mean = v_sum (e_sum), en_mean = v_sum (en_sum);
  for (; c < t->cols; c++) {
    float n = (x[c] - mean) * rstd;
    e_mean += dy[c] * t->w[c];
    en_mean += dy[c] * t->w[c] * n;
    if (dw != NULL)
      dw[c] += dy[c] * n;
    if (db != NULL)
      db[c] += dy[c];
  }
  e_mean = centred ? e_mean / (float) t->cols : 0;
  en_mean /= (float) t->cols;
  if (dx == NULL)
    return;
  for (c = 0; c < whole; c += LANES)
    v_store (dx + c, v_load (dx + c) + rstd * (v_load (dy + c) * v_load (t->w + c) - e_mean - (v_load (x + c) - mean) * rstd * en_mean));
  for (; c < t->cols; c++)
    dx[c] += rstd * (dy[c] * t->w[c] - e_mean - (x[c] - mean) * rstd * en_mean);
}

VJ_CLONES static void
layer_norm_backward_rows (void *data, gsize first, gsize n, G_GNUC_UNUSED guint worker)
{
  const Norm *t = data;
  float *dw = t->partial == NULL ? NULL : t->partial + first / t->chunk * 2 * t->cols, *db = dw == NULL ? NULL : dw + t->cols;
  for (gsize r = first; r < first + n; r++)
    backward_row (t, r, t->stats_in[2 * r], t->stats_in[2 * r + 1], TRUE, dw, db);
}

VJ_CLONES static void
rms_norm_backward_rows (void *data, gsize first, gsize n, G_GNUC_UNUSED guint worker)
{
  const Norm *t = data;
  float *dw = t->partial == NULL ? NULL : t->partial + first / t->chunk * 2 * t->cols;
  for (gsize r = first; r < first + n; r++)
    backward_row (t, r, 0, t->stats_in[r], FALSE, dw, NULL);
}

void
vj_cpu_layer_norm (void *device, gsize rows, gsize cols, float eps, const VjF32 *x, const VjF32 *w, const VjF32 *b, VjF32 *y, VjF32 *stats)
{
  Norm t = { .cols = cols, .eps = eps, .x = CF (x), .w = CF (w), .b = CF (b), .y = F (y), .stats = F (stats) };
  vj_cpu_rows (device, rows, chunk_of (cols), layer_norm_rows, &t);
}

void
vj_cpu_rms_norm (void *device, gsize rows, gsize cols, float eps, const VjF32 *x, const VjF32 *w, VjF32 *y, VjF32 *stats)
{
  Norm t = { .cols = cols, .eps = eps, .x = CF (x), .w = CF (w), .y = F (y), .stats = F (stats) };
  vj_cpu_rows (device, rows, chunk_of (cols), rms_norm_rows, &t);
}

static void
backward (VjCpu *cpu, gsize rows, Norm *t, VjCpuRows work, float *dw, float *db)
{
  gsize chunks;
  t->chunk = chunk_of (t->cols);
  chunks = (rows + t->chunk - 1) / t->chunk;
  if (dw != NULL) {
    t->partial = vj_cpu_shared (cpu, chunks * 2 * t->cols);
    memset (t->partial, 0, chunks * 2 * t->cols * sizeof (float));
  }
  vj_cpu_rows (cpu, rows, t->chunk, work, t);
  for (gsize i = 0; dw != NULL && i < chunks; i++)
    for (gsize c = 0; c < t->cols; c++) {
      dw[c] += t->partial[i * 2 * t->cols + c];
      if (db != NULL)
        db[c] += t->partial[(i * 2 + 1) * t->cols + c];
    }
}

void
vj_cpu_layer_norm_backward (void *device, gsize rows, gsize cols, const VjF32 *x, const VjF32 *w, const VjF32 *stats,
                            const VjF32 *dy, VjF32 *dx, VjF32 *dw, VjF32 *db)
{
  Norm t = { .cols = cols, .x = CF (x), .w = CF (w), .stats_in = CF (stats), .dy = CF (dy), .dx = F (dx) };
  backward (device, rows, &t, layer_norm_backward_rows, F (dw), F (db));
}

void
vj_cpu_rms_norm_backward (void *device, gsize rows, gsize cols, const VjF32 *x, const VjF32 *w, const VjF32 *stats,
                          const VjF32 *dy, VjF32 *dx, VjF32 *dw)
{
  Norm t = { .cols = cols, .x = CF (x), .w = CF (w), .stats_in = CF (stats), .dy = CF (dy), .dx = F (dx) };
  backward (device, rows, &t, rms_norm_backward_rows, F (dw), NULL);
}
