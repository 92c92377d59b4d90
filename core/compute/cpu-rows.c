/* Rotary positions, activations, and adding rows on the CPU: see vj/compute.h for formulas. */
#include "compute/cpu.h"
#include "compute/vector.h"

#define CHUNK 16384 /* elements of one item of work */

static gsize
rows_of (gsize cols)
{
  return MAX ((gsize) 1, CHUNK / MAX (cols, (gsize) 1));
}

/* -- rope ------------------------------------------------------------------ */

typedef struct {
  gsize heads, dim, ldx;
  float *x, sign;
  const gint32 *positions;
  const float *table;
} Rope;

VJ_CLONES static void
rope_rows (void *data, gsize first, gsize n, G_GNUC_UNUSED guint worker)
{
  const Rope *t = data;
  gsize half = t->dim / 2;
  for (gsize r = first; r < first + n; r++) {
    const float *cosine = t->table + (gsize) t->positions[r] * t->dim, *sine = cosine + half;
    for (gsize h = 0; h < t->heads; h++) {
      float *a = t->x + r * t->ldx + h * t->dim, *b = a + half;
      gsize i = 0;
      for (; i + LANES <= half; i += LANES) {
        V va = v_load (a + i), vb = v_load (b + i), c = v_load (cosine + i), s = v_load (sine + i) * t->sign;
        v_store (a + i, va * c - vb * s);
        v_store (b + i, vb * c + va * s);
      }
      for (; i < half; i++) {
        float xa = a[i], xb = b[i], c = cosine[i], s = sine[i] * t->sign;
        a[i] = xa * c - xb * s;
        b[i] = xb * c + xa * s;
      }
    }
  }
}

void
vj_cpu_rope (void *device, gsize rows, gsize heads, gsize head_dim, VjF32 *x, gsize ldx, const VjI32 *positions,
             const VjF32 *table, gboolean inverse)
{
  Rope t = { heads, head_dim, ldx, F (x), inverse ? -1.0f : 1.0f, CI (positions), CF (table) };
  vj_cpu_rows (device, rows, rows_of (heads * head_dim), rope_rows, &t);
}

/* -- activations ----------------------------------------------------------- */

typedef struct {
  VjAct act;
  const float *x, *dy;
  float *y; /* or dx */
} Act;

VJ_INLINE V
gelu (V x, gboolean slope)
{
  V z = (V) ((VI) x & 0x7fffffff) * 0.70710678f, e = v_exp (-z * z), erf = v_erf_positive (z, e);
  V cdf = 0.5f + 0.5f * (V) ((VI) erf | ((VI) x & (gint32) 0x80000000));
  return slope ? cdf + x * e * 0.39894228f : x * cdf;
}

VJ_INLINE V
act_vector (VjAct act, V x, gboolean slope)
{
  if (act == VJ_ACT_GELU)
    return gelu (x, slope);
  float b = act == VJ_ACT_QUICK_GELU ? 1.702f : 1.0f;
  V s = v_sigmoid (x * b);
  return slope ? s + b * x * s * (1.0f - s) : x * s;
}

VJ_CLONES void
vj_cpu_act_part (VjAct act, gsize cols, const float *x, gsize n, gsize first, gsize count, float *y, gsize ldy)
{
  for (gsize r = 0; r < n; r++, y += ldy) {
    const float *row = x + r * cols + first;
    gsize i = 0;
    for (; i + LANES <= count; i += LANES)
      v_store (y + i, act_vector (act, v_load (row + i), FALSE));
    if (i < count)
      v_store_part (y + i, act_vector (act, v_load_part (row + i, count - i), FALSE), count - i);
  }
}

static void
act_part (void *data, gsize first, gsize n, G_GNUC_UNUSED guint worker)
{
  const Act *t = data;
  vj_cpu_act_part (t->act, n, t->x + first, 1, 0, n, t->y + first, n);
}

VJ_CLONES static void
act_backward_part (void *data, gsize first, gsize n, G_GNUC_UNUSED guint worker)
{
  const Act *t = data;
  gsize i = first, end = first + n;
  for (; i + LANES <= end; i += LANES)
    v_store (t->y + i, v_load (t->dy + i) * act_vector (t->act, v_load (t->x + i), TRUE));
  if (i < end)
    v_store_part (t->y + i, v_load_part (t->dy + i, end - i) * act_vector (t->act, v_load_part (t->x + i, end - i), TRUE), end - i);
}

void
vj_cpu_activation (void *device, VjAct act, gsize n, const VjF32 *x, VjF32 *y)
{
  Act t = { .act = act, .x = CF (x), .y = F (y) };
  vj_cpu_rows (device, n, CHUNK, act_part, &t);
}

void
vj_cpu_activation_backward (void *device, VjAct act, gsize n, const VjF32 *x, const VjF32 *dy, VjF32 *dx)
{
  Act t = { .act = act, .x = CF (x), .dy = CF (dy), .y = F (dx) };
  vj_cpu_rows (device, n, CHUNK, act_backward_part, &t);
}

/* -- swiglu ---------------------------------------------------------------- */

typedef struct {
  gsize cols;
  const float *x, *dy;
  float *y, *dx;
} Glu;

VJ_CLONES void
vj_cpu_swiglu_part (gsize cols, const float *x, gsize n, gsize first, gsize count, float *y, gsize ldy)
{
  for (gsize r = 0; r < n; r++, y += ldy) {
    const float *gate = x + 2 * r * cols + first, *up = gate + cols;
    gsize c = 0;
    for (; c + LANES <= count; c += LANES) {
      V g = v_load (gate + c);
      v_store (y + c, g * v_sigmoid (g) * v_load (up + c));
    }
    if (c < count) {
      V g = v_load_part (gate + c, count - c);
      v_store_part (y + c, g * v_sigmoid (g) * v_load_part (up + c, count - c), count - c);
    }
  }
}

static void
swiglu_rows (void *data, gsize first, gsize n, G_GNUC_UNUSED guint worker)
{
  const Glu *t = data;
  vj_cpu_swiglu_part (t->cols, t->x + 2 * first * t->cols, n, 0, t->cols, t->y + first * t->cols, t->cols);
}

VJ_INLINE void
swiglu_slopes (V g, V u, V d, V *ret_dg, V *ret_du)
{
  V s = v_sigmoid (g);
  *ret_du = d * g * s;
  *ret_dg = d * u * (s + g * s * (1.0f - s));
}

VJ_CLONES static void
swiglu_backward_rows (void *data, gsize first, gsize n, G_GNUC_UNUSED guint worker)
{
  const Glu *t = data;
  for (gsize r = first; r < first + n; r++) {
    const float *gate = t->x + 2 * r * t->cols, *up = gate + t->cols, *dy = t->dy + r * t->cols;
    float *dg = t->dx + 2 * r * t->cols, *du = dg + t->cols;
    V vg, vu;
    gsize c = 0;
    for (; c + LANES <= t->cols; c += LANES) {
      swiglu_slopes (v_load (gate + c), v_load (up + c), v_load (dy + c), &vg, &vu);
      v_store (dg + c, vg);
      v_store (du + c, vu);
    }
    if (c < t->cols) {
      gsize left = t->cols - c;
      swiglu_slopes (v_load_part (gate + c, left), v_load_part (up + c, left), v_load_part (dy + c, left), &vg, &vu);
      v_store_part (dg + c, vg, left);
      v_store_part (du + c, vu, left);
    }
  }
}

void
vj_cpu_swiglu (void *device, gsize rows, gsize cols, const VjF32 *x, VjF32 *y)
{
  Glu t = { .cols = cols, .x = CF (x), .y = F (y) };
  vj_cpu_rows (device, rows, rows_of (cols), swiglu_rows, &t);
}

void
vj_cpu_swiglu_backward (void *device, gsize rows, gsize cols, const VjF32 *x, const VjF32 *dy, VjF32 *dx)
{
  Glu t = { .cols = cols, .x = CF (x), .dy = CF (dy), .dx = F (dx) };
  vj_cpu_rows (device, rows, rows_of (cols), swiglu_backward_rows, &t);
}

/* -- adding rows ----------------------------------------------------------- */

typedef struct {
  gsize rows, cols, slice;
  const float *table, *dy;
  const gint32 *index;
  float scale, *y; /* or dtable */
  double *dots;    /* per chunk */
  gsize chunk;
} Add;

VJ_INLINE void
add_scaled (float *y, const float *x, gsize n, float scale)
{
  gsize c = 0;
  for (; c + LANES <= n; c += LANES)
    v_store (y + c, v_load (y + c) + v_load (x + c) * scale);
  for (; c < n; c++)
    y[c] += x[c] * scale;
}

VJ_CLONES void
vj_cpu_join_part (const VjCpuJoin *t, gsize row, gsize n, gsize first, gsize count)
{
  for (gsize r = row; r < row + n; r++) {
    float *y = t->y + r * t->ldy + first;
    const float *x = t->add == NULL ? NULL : t->add + r * t->ldy + first;
    gsize c = 0;
    if (t->bias != NULL)
      add_scaled (y, t->bias + first, count, 1);
    if (x != NULL && t->only != NULL && t->only[r] < 0) {
      memcpy (y, x, count * sizeof (float));
      continue;
    }
    for (; x != NULL && c + LANES <= count; c += LANES)
      v_store (y + c, v_load (x + c) + v_load (y + c) * t->scale);
    for (; x != NULL && c < count; c++)
      y[c] = x[c] + y[c] * t->scale;
  }
}

VJ_CLONES static void
add_rows_part (void *data, gsize first, gsize n, G_GNUC_UNUSED guint worker)
{
  const Add *t = data;
  if (t->index == NULL) {
    add_scaled (t->y + first * t->cols, t->table + first * t->cols, n * t->cols, t->scale);
    return;
  }
  for (gsize r = first; r < first + n; r++)
    if (t->index[r] >= 0)
      add_scaled (t->y + r * t->cols, t->table + (gsize) t->index[r] * t->cols, t->cols, t->scale);
}

/* Rows may meet in one row of the table: each item owns some columns of all of them. */
VJ_CLONES static void
scatter_slice (void *data, gsize item, G_GNUC_UNUSED guint worker)
{
  const Add *t = data;
  gsize c = item * t->slice, n = MIN (t->slice, t->cols - c);
  for (gsize r = 0; r < t->rows; r++)
    if (t->index[r] >= 0)
      add_scaled (t->y + (gsize) t->index[r] * t->cols + c, t->dy + r * t->cols + c, n, t->scale);
}

VJ_CLONES static void
dot_rows (void *data, gsize first, gsize n, G_GNUC_UNUSED guint worker)
{
  const Add *t = data;
  double total = 0;
  for (gsize r = first; r < first + n; r++) {
    gssize from = t->index == NULL ? (gssize) r : t->index[r];
    const float *x = t->table + (gsize) from * t->cols, *y = t->dy + r * t->cols;
    if (from < 0)
      continue;
    VD sum = { 0 }; /* f64, because such sums are small beside their terms */
    gsize c = 0;
    for (; c + LANES <= t->cols; c += LANES)
      sum += __builtin_convertvector (v_load (x + c), VD) * __builtin_convertvector (v_load (y + c), VD);
    for (guint l = 0; l < LANES; l++)
      total += sum[l];
    for (; c < t->cols; c++)
      total += (double) x[c] * y[c];
  }
  t->dots[first / t->chunk] = total;
}

float
vj_cpu_gate_value (VjGate mode, const VjF32 *gate)
{
  return mode == VJ_GATE_NONE ? 1 : mode == VJ_GATE_TANH ? tanhf (*CF (gate)) : 1 - tanhf (*CF (gate));
}

static float
gate_slope (VjGate mode, const VjF32 *gate)
{
  float t = tanhf (*CF (gate));
  return mode == VJ_GATE_ONE_MINUS_TANH ? t * t - 1 : 1 - t * t;
}

void
vj_cpu_add_rows (void *device, gsize rows, gsize cols, const VjF32 *table, const VjI32 *index, VjGate mode,
                 const VjF32 *gate, VjF32 *y)
{
  Add t = { .rows = rows, .cols = cols, .table = CF (table), .index = CI (index), .scale = vj_cpu_gate_value (mode, gate), .y = F (y) };
  vj_cpu_rows (device, rows, rows_of (cols), add_rows_part, &t);
}

typedef struct {
  const VjMatrix *w;
  const gint32 *index;
  float scale, *y;
} AddMatrix;

VJ_CLONES static void
add_matrix_part (void *data, gsize first, gsize n, G_GNUC_UNUSED guint worker)
{
  const AddMatrix *t = data;
  gsize k = t->w->k;
  for (gsize r = first; r < first + n; r++) {
    gssize row = t->index == NULL ? (gssize) r : t->index[r];
    float *y = t->y + r * k;
    if (row < 0)
      continue;
    for (gsize c = 0; t->w->packed != NULL && c < k; c++)
      y[c] += t->w->packed[((gsize) row / VJ_PANEL * k + c) * VJ_PANEL + (gsize) row % VJ_PANEL] * t->scale;
    for (gsize c = 0; t->w->halves != NULL && c < k; c += LANES) {
      const guint16 *from = t->w->halves + (gsize) row * k + c;
      gsize part = MIN (LANES, k - c);
      V x = part == LANES ? v_widen (from) : v_widen_part (from, part);
      if (part == LANES)
        v_store (y + c, v_load (y + c) + x * t->scale);
      else
        v_store_part (y + c, v_load_part (y + c, part) + x * t->scale, part);
    }
  }
}

void
vj_cpu_add_matrix_rows (void *device, gsize rows, const VjMatrix *w, const VjI32 *index, VjGate mode, const VjF32 *gate, VjF32 *y)
{
  AddMatrix t = { w, CI (index), vj_cpu_gate_value (mode, gate), F (y) };
  vj_cpu_rows (device, rows, rows_of (w->k), add_matrix_part, &t);
}

void
vj_cpu_add_rows_backward (void *device, gsize rows, gsize cols, const VjF32 *table, const VjI32 *index, VjGate mode,
                          const VjF32 *gate, const VjF32 *dy, VjF32 *dtable, VjF32 *dgate)
{
  VjCpu *cpu = device;
  Add t = { .rows = rows, .cols = cols, .table = CF (dy), .dy = CF (dy), .index = CI (index), .scale = vj_cpu_gate_value (mode, gate), .y = F (dtable) };
  if (dtable != NULL && index == NULL) {
    vj_cpu_rows (cpu, rows, rows_of (cols), add_rows_part, &t);
  } else if (dtable != NULL) {
    t.slice = rows * cols < CHUNK ? cols : MAX ((gsize) 32, (cols / 4 + 31) / 32 * 32);
    vj_pool_run (cpu->pool, (cols + t.slice - 1) / t.slice, scatter_slice, &t);
  }
  if (dgate == NULL || rows == 0)
    return;
  t.table = CF (table);
  t.chunk = rows_of (cols);
  gsize chunks = (rows + t.chunk - 1) / t.chunk;
  t.dots = (double *) (void *) vj_cpu_shared (cpu, 2 * chunks);
  vj_cpu_rows (cpu, rows, t.chunk, dot_rows, &t);
  double total = 0;
  for (gsize i = 0; i < chunks; i++)
    total += t.dots[i];
  *F (dgate) += gate_slope (mode, gate) * (float) total;
}

typedef struct {
  gsize cols, ld_from, step_from, ld_to, step_to;
  const float *from;
  float *to;
  gboolean add;
} Copy;

static void
copy_rows (void *data, gsize first, gsize n, G_GNUC_UNUSED guint worker)
{
  const Copy *t = data;
  for (gsize r = first; r < first + n; r++) {
    const float *from = t->from + r * t->ld_from;
    float *to = t->to + r * t->ld_to;
    if (!t->add && t->step_from == 1 && t->step_to == 1)
      memcpy (to, from, t->cols * sizeof (float));
    else if (t->add)
      for (gsize c = 0; c < t->cols; c++)
        to[c * t->step_to] += from[c * t->step_from];
    else
      for (gsize c = 0; c < t->cols; c++)
        to[c * t->step_to] = from[c * t->step_from];
  }
}

void
vj_cpu_copy_2d (void *device, gsize rows, gsize cols, const VjF32 *from, gsize ld_from, gsize step_from, VjF32 *to,
                gsize ld_to, gsize step_to, gboolean add)
{
  Copy t = { cols, ld_from, step_from, ld_to, step_to, CF (from), F (to), add };
  vj_cpu_rows (device, rows, rows_of (cols), copy_rows, &t);
}

typedef struct {
  gsize rows, cols, slice;
  const float *x;
  float *sum;
} Sum;

VJ_CLONES static void
sum_slice (void *data, gsize item, G_GNUC_UNUSED guint worker)
{
  const Sum *t = data;
  gsize c = item * t->slice, n = MIN (t->slice, t->cols - c);
  for (gsize r = 0; r < t->rows; r++)
    add_scaled (t->sum + c, t->x + r * t->cols + c, n, 1);
}

void
vj_cpu_sum_rows (void *device, gsize rows, gsize cols, const VjF32 *x, VjF32 *sum)
{
  VjCpu *cpu = device;
  Sum t = { rows, cols, rows * cols < CHUNK ? cols : MAX ((gsize) 64, (cols / 4 + 15) / 16 * 16), CF (x), F (sum) };
  vj_pool_run (cpu->pool, (cols + t.slice - 1) / t.slice, sum_slice, &t);
}

/* -- dropout --------------------------------------------------------------- */

typedef struct {
  gsize cols;
  float scale;
  guint32 bound, salt;
  const gint32 *seeds;
  const float *x;
  float *y;
  gboolean add;
} Dropout;

VJ_CLONES static void
dropout_rows (void *data, gsize first, gsize n, G_GNUC_UNUSED guint worker)
{
  const Dropout *t = data;
  for (gsize r = first; r < first + n; r++) {
    const float *x = t->x + r * t->cols;
    float *y = t->y + r * t->cols;
    guint32 seed = t->seeds == NULL ? 0 : (guint32) t->seeds[r];
    for (gsize c = 0; c < t->cols; c++) {
      gboolean kept = t->seeds == NULL || vj_dropout_bits (seed, t->salt, (guint32) c) >> 8 >= t->bound;
      y[c] = (kept ? t->scale * x[c] : 0) + (t->add ? y[c] : 0);
    }
  }
}

void
vj_cpu_dropout (void *device, gsize rows, gsize cols, float rate, float scale, const VjI32 *seeds, guint32 salt, const VjF32 *x,
                VjF32 *y, gboolean add)
{
  Dropout t = { cols, scale, (guint32) (rate * 0x1p24f), salt, CI (seeds), CF (x), F (y), add };
  vj_cpu_rows (device, rows, rows_of (cols), dropout_rows, &t);
}
