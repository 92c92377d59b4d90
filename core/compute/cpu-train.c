/* Loss and optimizer on the CPU: see vj/compute.h for formulas. */
#include "compute/cpu.h"
#include "compute/vector.h"

#define CHUNK 16384

/* -- cross-entropy --------------------------------------------------------- */

typedef struct {
  gsize cols;
  float *logits, *loss;
  const gint32 *target;
  const float *weight;
} Loss;

/* Beyond a row's last whole vector, lanes read as very small. */
VJ_INLINE V
tail (const float *x, gsize n)
{
  float all[LANES];
  for (gsize i = 0; i < LANES; i++)
    all[i] = i < n ? x[i] : -3e38f;
  return v_load (all);
}

VJ_CLONES static void
cross_entropy_rows (void *data, gsize first, gsize n, G_GNUC_UNUSED guint worker)
{
  const Loss *t = data;
  gsize whole = t->cols / LANES * LANES, left = t->cols - whole;
  for (gsize r = first; r < first + n; r++) {
    float *x = t->logits + r * t->cols, w = t->weight[r], right = x[t->target[r]];
    V best = tail (x + whole, left), total = v_set (0);
    for (gsize c = 0; c < whole; c += LANES)
      best = v_max (best, v_load (x + c));
    float top = v_largest (best);
    for (gsize c = 0; c < whole; c += LANES) {
      V e = v_exp (v_load (x + c) - top);
      total += e;
      v_store (x + c, e);
    }
    if (left > 0) {
      V e = v_exp (v_load_part (x + whole, left) - top);
      v_store_part (x + whole, e, left);
      total += v_load_part (x + whole, left);
    }
    float sum = v_sum (total), scale = w / sum;
    t->loss[r] = w * (top + logf (sum) - right);
    for (gsize c = 0; c < whole; c += LANES)
      v_store (x + c, v_load (x + c) * scale);
    for (gsize c = whole; c < t->cols; c++)
      x[c] *= scale;
    x[t->target[r]] -= w;
  }
}

void
vj_cpu_cross_entropy (void *device, gsize rows, gsize cols, VjF32 *logits, const VjI32 *target, const VjF32 *weight, VjF32 *loss)
{
  Loss t = { cols, F (logits), F (loss), CI (target), CF (weight) };
  vj_cpu_rows (device, rows, MAX ((gsize) 1, CHUNK / cols), cross_entropy_rows, &t);
}

/* -- sum of squares -------------------------------------------------------- */

typedef struct {
  const float *x;
  double *parts;
} Squares;

VJ_CLONES static void
squares_part (void *data, gsize first, gsize n, G_GNUC_UNUSED guint worker)
{
  const Squares *t = data;
  VD sum = { 0 };
  gsize i = first, end = first + n;
  for (; i + LANES <= end; i += LANES) {
    VD x = __builtin_convertvector (v_load (t->x + i), VD);
    sum += x * x;
  }
  double total = 0;
  for (guint l = 0; l < LANES; l++)
    total += sum[l];
  for (; i < end; i++)
    total += (double) t->x[i] * t->x[i];
  t->parts[first / CHUNK] = total;
}

double
vj_cpu_sum_squares (void *device, gsize n, const VjF32 *x)
{
  VjCpu *cpu = device;
  gsize chunks = (n + CHUNK - 1) / CHUNK;
  Squares t = { CF (x), (double *) (void *) vj_cpu_shared (cpu, 2 * chunks) };
  double total = 0;
  vj_cpu_rows (cpu, n, CHUNK, squares_part, &t);
  for (gsize i = 0; i < chunks; i++)
    total += t.parts[i];
  return total;
}

/* -- AdamW ----------------------------------------------------------------- */

typedef struct {
  const VjAdamw *o;
  float *p, *m, *v;
  const float *g;
} Adamw;

VJ_INLINE void
adamw_lane (const VjAdamw *o, V *p, V g, V *m, V *v)
{
  g *= o->grad_scale;
  *m = *m * o->beta1 + g * (1 - o->beta1);
  *v = *v * o->beta2 + g * g * (1 - o->beta2);
  V root = *v * (1 / o->correction2);
  for (guint i = 0; i < LANES; i++)
    root[i] = sqrtf (root[i]);
  *p = *p - *p * (o->learning_rate * o->weight_decay) - (o->learning_rate / o->correction1) * *m / (root + o->epsilon);
}

VJ_CLONES static void
adamw_part (void *data, gsize first, gsize n, G_GNUC_UNUSED guint worker)
{
  const Adamw *t = data;
  gsize i = first, end = first + n;
  for (; i < end; i += LANES) {
    gsize k = MIN (LANES, end - i);
    gboolean whole = k == LANES;
    V p = whole ? v_load (t->p + i) : v_load_part (t->p + i, k), m = whole ? v_load (t->m + i) : v_load_part (t->m + i, k);
    V v = whole ? v_load (t->v + i) : v_load_part (t->v + i, k);
    adamw_lane (t->o, &p, whole ? v_load (t->g + i) : v_load_part (t->g + i, k), &m, &v);
    if (whole) {
      v_store (t->p + i, p);
      v_store (t->m + i, m);
      v_store (t->v + i, v);
    } else {
      v_store_part (t->p + i, p, k);
      v_store_part (t->m + i, m, k);
      v_store_part (t->v + i, v, k);
    }
  }
}

void
vj_cpu_adamw (void *device, gsize n, const VjAdamw *adamw, VjF32 *param, const VjF32 *grad, VjF32 *m, VjF32 *v)
{
  Adamw t = { adamw, F (param), F (m), F (v), CF (grad) };
  vj_cpu_rows (device, n, CHUNK, adamw_part, &t);
}
