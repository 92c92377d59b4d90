/* The reference compute: plain C, one thread, sums in f64. It is the definition of what every operation
 * of vj/compute.h means; nothing here is meant to be fast. */
#include "compute/compute.h"

#include <math.h>
#include <string.h>

#define F(p) ((float *) (void *) (p))
#define CF(p) ((const float *) (const void *) (p))
#define CI(p) ((const gint32 *) (const void *) (p))

struct VjMatrix {
  VjNumbers numbers;
  gsize n, k;
  float *values;         /* f32 */
  const guint16 *halves; /* bf16; borrowed */
};

static void *
ref_open (G_GNUC_UNUSED guint threads, G_GNUC_UNUSED GError **error)
{
  return g_malloc0 (1);
}

static void *
ref_alloc (G_GNUC_UNUSED void *device, gsize bytes, GError **error)
{
  void *memory = NULL;
  if (bytes > G_MAXSSIZE || posix_memalign (&memory, 64, MAX (bytes, 64)) != 0) {
    vj_fail (error, VJ_EXIT_LIMIT, "compute: 'ref': %" G_GSIZE_FORMAT " bytes cannot be allocated: out of memory; lower the batch or the memory limit", bytes);
    return NULL;
  }
  memset (memory, 0, MAX (bytes, 64));
  return memory;
}

static void
ref_release (G_GNUC_UNUSED void *device, void *memory)
{
  free (memory);
}

static void
ref_copy (G_GNUC_UNUSED void *device, void *to, const void *from, gsize bytes)
{
  if (bytes > 0)
    memcpy (to, from, bytes);
}

static void
ref_zero (G_GNUC_UNUSED void *device, void *memory, gsize bytes)
{
  if (bytes > 0)
    memset (memory, 0, bytes);
}

static gboolean
ref_finish (G_GNUC_UNUSED void *device, G_GNUC_UNUSED GError **error)
{
  return TRUE;
}

/* x as bf16 holds it: to nearest, ties to even. NaN stays one. */
static float
rounded (float x)
{
  guint32 bits;
  memcpy (&bits, &x, 4);
  bits = x != x ? bits | 0x400000 : bits + 0x7fff + (bits >> 16 & 1);
  bits &= 0xffff0000;
  memcpy (&x, &bits, 4);
  return x;
}

static float
factor (VjNumbers numbers, float x)
{
  return numbers == VJ_NUMBERS_BF16 ? rounded (x) : x;
}

static void
ref_gemm (G_GNUC_UNUSED void *device, const VjGemm *g)
{
  const float *a = CF (g->a), *b = CF (g->b);
  float *c = F (g->c);
  for (gsize i = 0; i < g->m; i++)
    for (gsize j = 0; j < g->n; j++) {
      double sum = g->bias != NULL ? CF (g->bias)[j] : 0;
      for (gsize l = 0; l < g->k; l++)
        sum += (double) factor (g->numbers, g->ta ? a[l * g->lda + i] : a[i * g->lda + l]) *
               factor (g->numbers, g->tb ? b[j * g->ldb + l] : b[l * g->ldb + j]);
      c[i * g->ldc + j] = (float) (g->beta == 0 ? sum : sum + (double) g->beta * c[i * g->ldc + j]);
    }
}

static VjMatrix *
ref_matrix_new (void *device, VjNumbers numbers, gsize n, gsize k, const void *host, GError **error)
{
  float *values = numbers == VJ_NUMBERS_F32 ? ref_alloc (device, n * k * 4, error) : NULL;
  if (values == NULL && numbers == VJ_NUMBERS_F32)
    return NULL;
  if (values != NULL)
    memcpy (values, host, n * k * 4);
  VjMatrix *matrix = g_new (VjMatrix, 1);
  *matrix = (VjMatrix) { numbers, n, k, values, values == NULL ? host : NULL };
  return matrix;
}

static void
ref_matrix_free (G_GNUC_UNUSED void *device, VjMatrix *matrix)
{
  if (matrix != NULL)
    free (matrix->values);
  g_free (matrix);
}

static float
element (const VjMatrix *w, gsize row, gsize col)
{
  if (w->values != NULL)
    return w->values[row * w->k + col];
  guint32 bits = (guint32) w->halves[row * w->k + col] << 16;
  float value;
  memcpy (&value, &bits, 4);
  return value;
}

static void
ref_linear (G_GNUC_UNUSED void *device, gsize rows, const VjF32 *x, const VjMatrix *const *w, gsize n_w, const VjF32 *bias, VjF32 *y, gsize ldy)
{
  for (gsize i = 0, at = 0; i < n_w; at += w[i++]->n)
    for (gsize r = 0; r < rows; r++)
      for (gsize j = 0; j < w[i]->n; j++) {
        double sum = bias != NULL ? CF (bias)[at + j] : 0;
        for (gsize l = 0; l < w[i]->k; l++)
          sum += (double) factor (w[i]->numbers, CF (x)[r * w[i]->k + l]) * element (w[i], j, l);
        F (y)[r * ldy + at + j] = (float) sum;
      }
}

static void
ref_layer_norm (G_GNUC_UNUSED void *device, gsize rows, gsize cols, float eps, const VjF32 *x_, const VjF32 *w,
                const VjF32 *b, VjF32 *y_, VjF32 *stats)
{
  for (gsize r = 0; r < rows; r++) {
    const float *x = CF (x_) + r * cols;
    float *y = F (y_) + r * cols;
    double mean = 0, variance = 0;
    for (gsize c = 0; c < cols; c++)
      mean += x[c];
    mean /= (double) cols;
    for (gsize c = 0; c < cols; c++)
      variance += (x[c] - mean) * (x[c] - mean);
    double rstd = 1 / sqrt (variance / (double) cols + eps);
    for (gsize c = 0; c < cols; c++)
      y[c] = (float) ((x[c] - mean) * rstd * CF (w)[c] + CF (b)[c]);
    if (stats != NULL) {
      F (stats)[2 * r] = (float) mean;
      F (stats)[2 * r + 1] = (float) rstd;
    }
  }
}

/* With n = (x - mean) rstd and e = dy w:  dx = rstd (e - mean (e) - n mean (e n)). */
static void
ref_layer_norm_backward (G_GNUC_UNUSED void *device, gsize rows, gsize cols, const VjF32 *x_, const VjF32 *w,
                         const VjF32 *stats, const VjF32 *dy_, VjF32 *dx_, VjF32 *dw, VjF32 *db)
{
  for (gsize r = 0; r < rows; r++) {
    const float *x = CF (x_) + r * cols, *dy = CF (dy_) + r * cols;
    double mean = CF (stats)[2 * r], rstd = CF (stats)[2 * r + 1], e_mean = 0, en_mean = 0;
    for (gsize c = 0; c < cols; c++) {
      double n = (x[c] - mean) * rstd, e = (double) dy[c] * CF (w)[c];
      e_mean += e / (double) cols;
      en_mean += e * n / (double) cols;
      if (dw != NULL) {
        F (dw)[c] += (float) (dy[c] * n);
        F (db)[c] += dy[c];
      }
    }
    if (dx_ != NULL)
      for (gsize c = 0; c < cols; c++)
        F (dx_)[r * cols + c] += (float) (rstd * ((double) dy[c] * CF (w)[c] - e_mean - (x[c] - mean) * rstd * en_mean));
  }
}

static void
ref_rms_norm (G_GNUC_UNUSED void *device, gsize rows, gsize cols, float eps, const VjF32 *x_, const VjF32 *w, VjF32 *y_,
              VjF32 *stats)
{
  for (gsize r = 0; r < rows; r++) {
    const float *x = CF (x_) + r * cols;
    double square = 0;
    for (gsize c = 0; c < cols; c++)
      square += (double) x[c] * x[c];
    double rstd = 1 / sqrt (square / (double) cols + eps);
    for (gsize c = 0; c < cols; c++)
      F (y_)[r * cols + c] = (float) (x[c] * rstd * CF (w)[c]);
    if (stats != NULL)
      F (stats)[r] = (float) rstd;
  }
}

/* With n = x rstd and e = dy w:  dx = rstd (e - n mean (e n)). */
static void
ref_rms_norm_backward (G_GNUC_UNUSED void *device, gsize rows, gsize cols, const VjF32 *x_, const VjF32 *w,
                       const VjF32 *stats, const VjF32 *dy_, VjF32 *dx_, VjF32 *dw)
{
  for (gsize r = 0; r < rows; r++) {
    const float *x = CF (x_) + r * cols, *dy = CF (dy_) + r * cols;
    double rstd = CF (stats)[r], en_mean = 0;
    for (gsize c = 0; c < cols; c++) {
      en_mean += (double) dy[c] * CF (w)[c] * x[c] * rstd / (double) cols;
      if (dw != NULL)
        F (dw)[c] += (float) (dy[c] * x[c] * rstd);
    }
    if (dx_ != NULL)
      for (gsize c = 0; c < cols; c++)
        F (dx_)[r * cols + c] += (float) (rstd * ((double) dy[c] * CF (w)[c] - x[c] * rstd * en_mean));
  }
}

static void
ref_rope (G_GNUC_UNUSED void *device, gsize rows, gsize heads, gsize head_dim, VjF32 *x_, gsize ldx, const VjI32 *positions,
          const VjF32 *table, gboolean inverse)
{
  gsize half = head_dim / 2;
  for (gsize r = 0; r < rows; r++) {
    const float *cosine = CF (table) + (gsize) CI (positions)[r] * head_dim, *sine = cosine + half;
    for (gsize h = 0; h < heads; h++) {
      float *x = F (x_) + r * ldx + h * head_dim;
      for (gsize i = 0; i < half; i++) {
        float a = x[i], b = x[half + i], s = inverse ? -sine[i] : sine[i];
        x[i] = a * cosine[i] - b * s;
        x[half + i] = b * cosine[i] + a * s;
      }
    }
  }
}

static double
act_value (VjAct act, double x)
{
  switch (act) {
  case VJ_ACT_GELU: return 0.5 * x * (1 + erf (x * G_SQRT2 / 2));
  case VJ_ACT_QUICK_GELU: return x / (1 + exp (-1.702 * x));
  default: return x / (1 + exp (-x));
  }
}

static double
act_slope (VjAct act, double x)
{
  if (act == VJ_ACT_GELU)
    return 0.5 * (1 + erf (x * G_SQRT2 / 2)) + x * exp (-0.5 * x * x) / sqrt (2 * G_PI);
  double b = act == VJ_ACT_QUICK_GELU ? 1.702 : 1, s = 1 / (1 + exp (-b * x));
  return s + b * x * s * (1 - s);
}

static void
ref_activation (G_GNUC_UNUSED void *device, VjAct act, gsize n, const VjF32 *x, VjF32 *y)
{
  for (gsize i = 0; i < n; i++)
    F (y)[i] = (float) act_value (act, CF (x)[i]);
}

static void
ref_activation_backward (G_GNUC_UNUSED void *device, VjAct act, gsize n, const VjF32 *x, const VjF32 *dy, VjF32 *dx)
{
  for (gsize i = 0; i < n; i++)
    F (dx)[i] = (float) (CF (dy)[i] * act_slope (act, CF (x)[i]));
}

static void
ref_swiglu (G_GNUC_UNUSED void *device, gsize rows, gsize cols, const VjF32 *x, VjF32 *y)
{
  for (gsize r = 0; r < rows; r++)
    for (gsize c = 0; c < cols; c++)
      F (y)[r * cols + c] = (float) (act_value (VJ_ACT_SILU, CF (x)[2 * r * cols + c]) * CF (x)[(2 * r + 1) * cols + c]);
}

static void
ref_swiglu_backward (G_GNUC_UNUSED void *device, gsize rows, gsize cols, const VjF32 *x, const VjF32 *dy, VjF32 *dx)
{
  for (gsize r = 0; r < rows; r++)
    for (gsize c = 0; c < cols; c++) {
      gsize g = 2 * r * cols + c, u = g + cols;
      double d = CF (dy)[r * cols + c], gate = CF (x)[g], up = CF (x)[u];
      F (dx)[g] = (float) (d * up * act_slope (VJ_ACT_SILU, gate));
      F (dx)[u] = (float) (d * act_value (VJ_ACT_SILU, gate));
    }
}

/* The keys row `row` of `segment` sees. */
static void
key_range (const VjAttention *a, const VjAttentionSegment *segment, gsize row, gsize *ret_first, gsize *ret_last)
{
  *ret_first = a->first == NULL ? 0 : (gsize) CI (a->first)[row];
  *ret_last = a->last == NULL ? segment->kv_count : MIN ((gsize) CI (a->last)[row], segment->kv_count);
}

static double
dot (const float *x, const float *y, gsize n)
{
  double sum = 0;
  for (gsize i = 0; i < n; i++)
    sum += (double) x[i] * y[i];
  return sum;
}

static void
attend_row (const VjAttention *a, const VjAttentionSegment *s, gsize row, gsize head)
{
  gsize first, last, g = head / (a->heads / a->kv_heads) * a->head_dim;
  const float *q = CF (a->q) + row * a->ld_q + head * a->head_dim;
  float *out = F (a->out) + (row * a->heads + head) * a->head_dim;
  key_range (a, s, row, &first, &last);
  double best = -HUGE_VAL, total = 0;
  for (gsize j = first; j < last; j++)
    best = MAX (best, a->scale * dot (q, CF (s->k) + j * a->ld_kv + g, a->head_dim));
  g_autofree double *sum = g_new0 (double, a->head_dim);
  for (gsize j = first; j < last; j++) {
    double p = exp (a->scale * dot (q, CF (s->k) + j * a->ld_kv + g, a->head_dim) - best);
    total += p;
    for (gsize d = 0; d < a->head_dim; d++)
      sum[d] += p * CF (s->v)[j * a->ld_kv + g + d];
  }
  for (gsize d = 0; d < a->head_dim; d++)
    out[d] = first < last ? (float) (sum[d] / total) : 0;
  if (a->lse != NULL)
    F (a->lse)[row * a->heads + head] = first < last ? (float) (best + log (total)) : 0;
}

static void
ref_attention (G_GNUC_UNUSED void *device, const VjAttention *a)
{
  for (gsize i = 0; i < a->n_segments; i++)
    for (gsize r = 0; r < a->segments[i].q_count; r++)
      for (gsize h = 0; h < a->heads; h++)
        attend_row (a, &a->segments[i], a->segments[i].q_row + r, h);
}

/* With p the probabilities and t_j = dout . v_j:  ds_j = p_j (t_j - dout . out). */
static void
attend_row_backward (const VjAttention *a, const VjAttentionSegment *s, gsize row, gsize head)
{
  gsize first, last, dim = a->head_dim, g = head / (a->heads / a->kv_heads) * dim, at = (row * a->heads + head) * dim;
  const float *q = CF (a->q) + row * a->ld_q + head * dim, *dout = CF (a->dout) + at;
  float *dq = F (a->dq) + row * a->ld_dq + head * dim;
  double delta = dot (dout, CF (a->out) + at, dim), lse = CF (a->lse)[row * a->heads + head];
  key_range (a, s, row, &first, &last);
  memset (dq, 0, dim * 4);
  for (gsize j = first; j < last; j++) {
    const float *k = CF (s->k) + j * a->ld_kv + g, *v = CF (s->v) + j * a->ld_kv + g;
    float *dk = F (s->dk) + j * a->ld_dkv + g, *dv = F (s->dv) + j * a->ld_dkv + g;
    double p = exp (a->scale * dot (q, k, dim) - lse), ds = a->scale * p * (dot (dout, v, dim) - delta);
    for (gsize d = 0; d < dim; d++) {
      dq[d] += (float) (ds * k[d]);
      dk[d] += (float) (ds * q[d]);
      dv[d] += (float) (p * dout[d]);
    }
  }
}

static void
ref_attention_backward (G_GNUC_UNUSED void *device, const VjAttention *a)
{
  for (gsize i = 0; i < a->n_segments; i++) {
    const VjAttentionSegment *s = &a->segments[i];
    for (gsize j = 0; j < s->kv_count; j++) {
      memset (F (s->dk) + j * a->ld_dkv, 0, a->kv_heads * a->head_dim * 4);
      memset (F (s->dv) + j * a->ld_dkv, 0, a->kv_heads * a->head_dim * 4);
    }
    for (gsize r = 0; r < s->q_count; r++)
      for (gsize h = 0; h < a->heads; h++)
        attend_row_backward (a, s, s->q_row + r, h);
  }
}

static double
gate_value (VjGate mode, const VjF32 *gate)
{
  return mode == VJ_GATE_NONE ? 1 : mode == VJ_GATE_TANH ? tanh (*CF (gate)) : 1 - tanh (*CF (gate));
}

static double
gate_slope (VjGate mode, const VjF32 *gate)
{
  double t = mode == VJ_GATE_NONE ? 1 : tanh (*CF (gate));
  return mode == VJ_GATE_ONE_MINUS_TANH ? t * t - 1 : 1 - t * t;
}

static void
ref_add_rows (G_GNUC_UNUSED void *device, gsize rows, gsize cols, const VjF32 *table, const VjI32 *index, VjGate mode,
              const VjF32 *gate, VjF32 *y)
{
  double scale = gate_value (mode, gate);
  for (gsize r = 0; r < rows; r++) {
    gssize from = index == NULL ? (gssize) r : CI (index)[r];
    for (gsize c = 0; from >= 0 && c < cols; c++)
      F (y)[r * cols + c] += (float) (scale * CF (table)[(gsize) from * cols + c]);
  }
}

static void
ref_add_matrix_rows (G_GNUC_UNUSED void *device, gsize rows, const VjMatrix *w, const VjI32 *index, VjGate mode, const VjF32 *gate, VjF32 *y)
{
  double scale = gate_value (mode, gate);
  for (gsize r = 0; r < rows; r++) {
    gssize from = index == NULL ? (gssize) r : CI (index)[r];
    for (gsize c = 0; from >= 0 && c < w->k; c++)
      F (y)[r * w->k + c] += (float) (scale * element (w, (gsize) from, c));
  }
}

static void
ref_add_rows_backward (G_GNUC_UNUSED void *device, gsize rows, gsize cols, const VjF32 *table, const VjI32 *index, VjGate mode,
                       const VjF32 *gate, const VjF32 *dy, VjF32 *dtable, VjF32 *dgate)
{
  double scale = gate_value (mode, gate), sum = 0;
  for (gsize r = 0; r < rows; r++) {
    gssize to = index == NULL ? (gssize) r : CI (index)[r];
    for (gsize c = 0; to >= 0 && c < cols; c++) {
      if (dtable != NULL)
        F (dtable)[(gsize) to * cols + c] += (float) (scale * CF (dy)[r * cols + c]);
      if (dgate != NULL)
        sum += (double) CF (dy)[r * cols + c] * CF (table)[(gsize) to * cols + c];
    }
  }
  if (dgate != NULL)
    *F (dgate) += (float) (gate_slope (mode, gate) * sum);
}

static void
ref_copy_2d (G_GNUC_UNUSED void *device, gsize rows, gsize cols, const VjF32 *from, gsize ld_from, gsize step_from, VjF32 *to,
             gsize ld_to, gsize step_to, gboolean add)
{
  for (gsize r = 0; r < rows; r++)
    for (gsize c = 0; c < cols; c++) {
      float value = CF (from)[r * ld_from + c * step_from], *at = &F (to)[r * ld_to + c * step_to];
      *at = add ? *at + value : value;
    }
}

static void
ref_dropout (G_GNUC_UNUSED void *device, gsize rows, gsize cols, float rate, float scale, const VjI32 *seeds, guint32 salt, const VjF32 *x,
             VjF32 *y, gboolean add)
{
  for (gsize r = 0; r < rows; r++)
    for (gsize c = 0; c < cols; c++) {
      gboolean dropped = seeds != NULL && vj_dropout_bits ((guint32) CI (seeds)[r], salt, (guint32) c) >> 8 < (guint32) (rate * 0x1p24f);
      F (y)[r * cols + c] = (dropped ? 0 : scale * CF (x)[r * cols + c]) + (add ? F (y)[r * cols + c] : 0);
    }
}

static void
ref_sum_rows (G_GNUC_UNUSED void *device, gsize rows, gsize cols, const VjF32 *x, VjF32 *sum)
{
  for (gsize c = 0; c < cols; c++) {
    double total = 0;
    for (gsize r = 0; r < rows; r++)
      total += CF (x)[r * cols + c];
    F (sum)[c] += (float) total;
  }
}

static void
ref_cross_entropy (G_GNUC_UNUSED void *device, gsize rows, gsize cols, VjF32 *logits, const VjI32 *target, const VjF32 *weight,
                   VjF32 *loss)
{
  for (gsize r = 0; r < rows; r++) {
    float *x = F (logits) + r * cols;
    gsize right = (gsize) CI (target)[r];
    double best = -HUGE_VAL, total = 0, w = CF (weight)[r];
    for (gsize c = 0; c < cols; c++)
      best = MAX (best, x[c]);
    for (gsize c = 0; c < cols; c++)
      total += exp (x[c] - best);
    F (loss)[r] = (float) (w * (best + log (total) - x[right]));
    for (gsize c = 0; c < cols; c++)
      x[c] = (float) (w * (exp (x[c] - best) / total - (c == right)));
  }
}

static double
ref_sum_squares (G_GNUC_UNUSED void *device, gsize n, const VjF32 *x)
{
  return dot (CF (x), CF (x), n);
}

static void
ref_adamw (G_GNUC_UNUSED void *device, gsize n, const VjAdamw *o, VjF32 *param, const VjF32 *grad, VjF32 *m_, VjF32 *v_)
{
  for (gsize i = 0; i < n; i++) {
    double g = (double) CF (grad)[i] * o->grad_scale, p = CF (param)[i];
    double m = o->beta1 * F (m_)[i] + (1 - (double) o->beta1) * g, v = o->beta2 * F (v_)[i] + (1 - (double) o->beta2) * g * g;
    p -= (double) o->learning_rate * o->weight_decay * p;
    p -= o->learning_rate * (m / o->correction1) / (sqrt (v / o->correction2) + o->epsilon);
    F (param)[i] = (float) p;
    F (m_)[i] = (float) m;
    F (v_)[i] = (float) v;
  }
}

const VjComputeOps vj_compute_ref = {
  .abi = VJ_COMPUTE_ABI,
  .size = sizeof (VjComputeOps),
  .name = "ref",
  .open = ref_open,
  .close = g_free,
  .alloc = ref_alloc,
  .release = ref_release,
  .upload = ref_copy,
  .download = ref_copy,
  .zero = ref_zero,
  .finish = ref_finish,
  .gemm = ref_gemm,
  .matrix_new = ref_matrix_new,
  .matrix_free = ref_matrix_free,
  .linear = ref_linear,
  .layer_norm = ref_layer_norm,
  .layer_norm_backward = ref_layer_norm_backward,
  .rms_norm = ref_rms_norm,
  .rms_norm_backward = ref_rms_norm_backward,
  .rope = ref_rope,
  .activation = ref_activation,
  .activation_backward = ref_activation_backward,
  .swiglu = ref_swiglu,
  .swiglu_backward = ref_swiglu_backward,
  .attention = ref_attention,
  .attention_backward = ref_attention_backward,
  .add_rows = ref_add_rows,
  .add_matrix_rows = ref_add_matrix_rows,
  .add_rows_backward = ref_add_rows_backward,
  .copy_2d = ref_copy_2d,
  .dropout = ref_dropout,
  .sum_rows = ref_sum_rows,
  .cross_entropy = ref_cross_entropy,
  .sum_squares = ref_sum_squares,
  .adamw = ref_adamw,
};
