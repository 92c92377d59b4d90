/* Products with weights and rows of them, forward and backward, wherever a weight lies: see net.h. A trained weight is f32
 * on the device. One that stays as it is may be a matrix in the checkpoint's own bf16: products of bf16 numbers read it
 * where it lies, the others widen a part of it at a time. */
#include "engine/mllama/net.h"

VjF32 *
vj_net_grad (const VjMllamaNet *net, guint w)
{
  return net->grad == NULL ? NULL : net->grad[w];
}

static gsize
depth_of (const VjMllamaWeight *weight)
{
  return weight->n_elements / weight->dims[0];
}

/* How `joined` weights from w can be read together: as matrices, as one run of f32, or each for itself. */
typedef enum { AS_MATRICES, AS_RUN, APART } Reading;

static Reading
reading_of (const VjMllamaNet *net, guint w, guint joined)
{
  gboolean matrices = net->matrix != NULL && (!net->training || net->numbers == VJ_NUMBERS_BF16), run = TRUE;
  for (guint i = 0; i < joined; i++) {
    matrices = matrices && net->matrix[w + i] != NULL;
    run = run && net->value[w + i] != NULL && net->value[w + i] == vj_f32_at (net->value[w], vj_mllama_plan_at (net->plan, w + i)->offset - vj_mllama_plan_at (net->plan, w)->offset);
  }
  return matrices ? AS_MATRICES : run ? AS_RUN : APART;
}

/* Rows [first, first + n) of weight w as f32: where they lie, or widened. *ret_n of them, as many as are to be had at once. */
static const VjF32 *
rows_at (const VjMllamaNet *net, guint w, gsize first, gsize *ret_n)
{
  const VjMllamaWeight *weight = vj_mllama_plan_at (net->plan, w);
  gsize k = depth_of (weight), n = weight->dims[0] - first;
  if (net->value[w] == NULL) {
    n = MIN (n, MAX (VJ_WIDE_ELEMENTS / k, 1));
    net->compute->ops->zero (net->compute->device, net->wide, n * k * 4);
    net->compute->ops->add_matrix_rows (net->compute->device, n, net->matrix[w], vj_i32_at (net->counts, first), VJ_GATE_NONE, NULL, net->wide);
  }
  *ret_n = n;
  return net->value[w] == NULL ? net->wide : vj_f32_at (net->value[w], first * k);
}

static void
product (const VjMllamaNet *net, gsize rows, const VjF32 *x, gsize n, gsize k, const VjF32 *w, const VjF32 *bias, VjF32 *y, gsize ldy)
{
  VjGemm gemm = { .tb = TRUE, .numbers = net->numbers, .m = rows, .n = n, .k = k, .a = x, .lda = k, .b = w, .ldb = k, .bias = bias, .c = y, .ldc = ldy };
  net->compute->ops->gemm (net->compute->device, &gemm);
}

void
vj_net_linear (const VjMllamaNet *net, gsize rows, const VjF32 *x, guint w, guint joined, gssize bias, VjF32 *y, gsize ldy)
{
  const VjF32 *bias_value = bias < 0 ? NULL : net->value[bias];
  Reading reading = reading_of (net, w, joined);
  gsize n = 0, k = depth_of (vj_mllama_plan_at (net->plan, w));
  if (rows == 0)
    return;
  for (guint i = 0; i < joined; i++) {
    gsize all = vj_mllama_plan_at (net->plan, w + i)->dims[0];
    for (gsize at = 0, part; reading == APART && at < all; at += part) {
      const VjF32 *values = rows_at (net, w + i, at, &part);
      product (net, rows, x, part, k, values, vj_f32_at (bias_value, n + at), vj_f32_at (y, n + at), ldy);
    }
    n += all;
  }
  if (reading == AS_MATRICES)
    net->compute->ops->linear (net->compute->device, rows, x, (const VjMatrix *const *) net->matrix + w, joined, bias_value, y, ldy);
  else if (reading == AS_RUN)
    product (net, rows, x, n, k, net->value[w], bias_value, y, ldy);
  for (guint i = 0, at = 0; net->lora != NULL && i < joined; at += (guint) vj_mllama_plan_at (net->plan, w + i++)->dims[0])
    vj_net_lora (net, rows, x, w + i, vj_f32_at (y, at), ldy);
}

/* -- products with what stands around them ---------------------------------- */

static const VjF32 *
make_input (const VjMllamaNet *net, const VjMllamaProduct *p, gsize k)
{
  const VjComputeOps *ops = net->compute->ops;
  void *device = net->compute->device;
  const VjInput *x = &p->input;
  switch (x->kind) {
  case VJ_INPUT_RMS_NORM: ops->rms_norm (device, p->rows, k, x->eps, x->x, x->w, p->made, p->stats); break;
  case VJ_INPUT_LAYER_NORM: ops->layer_norm (device, p->rows, k, x->eps, x->x, x->w, x->b, p->made, p->stats); break;
  case VJ_INPUT_SWIGLU: ops->swiglu (device, p->rows, k, x->x, p->made); break;
  case VJ_INPUT_ACTIVATION: ops->activation (device, x->act, p->rows * k, x->x, p->made); break;
  default: return x->x;
  }
  return p->made;
}

/* One by one. */
static void
product_apart (const VjMllamaNet *net, const VjMllamaProduct *p, gsize n)
{
  const VjComputeOps *ops = net->compute->ops;
  void *device = net->compute->device;
  gboolean plain = p->mode == VJ_GATE_NONE && p->only == NULL;
  const VjF32 *x = make_input (net, p, depth_of (vj_mllama_plan_at (net->plan, p->w)));
  vj_net_linear (net, p->rows, x, p->w, p->joined, p->bias, plain ? p->y : p->branch, n);
  if (p->add == NULL)
    return;
  if (!plain)
    ops->copy_2d (device, p->rows, n, p->add, n, 1, p->y, n, 1, FALSE);
  ops->add_rows (device, p->rows, n, plain ? p->add : p->branch, p->only, p->mode, p->gate, p->y);
}

void
vj_net_product (const VjMllamaNet *net, const VjMllamaProduct *p)
{
  const VjComputeOps *ops = net->compute->ops;
  gsize n = 0;
  for (guint i = 0; i < p->joined; i++)
    n += vj_mllama_plan_at (net->plan, p->w + i)->dims[0];
  if (ops->product == NULL || net->training || reading_of (net, p->w, p->joined) != AS_MATRICES) {
    product_apart (net, p, n);
    return;
  }
  VjProduct product = { .rows = p->rows, .input = p->input, .w = (const VjMatrix *const *) net->matrix + p->w, .n_w = p->joined,
                        .bias = p->bias < 0 ? NULL : net->value[p->bias], .add = p->add, .mode = p->mode, .gate = p->gate, .only = p->only, .y = p->y, .ldy = n };
  ops->product (net->compute->device, &product);
}

void
vj_net_add_table (const VjMllamaNet *net, gsize rows, gsize cols, guint w, const VjI32 *index, VjGate mode, gssize gate, VjF32 *y)
{
  const VjF32 *gate_value = gate < 0 ? NULL : net->value[gate];
  if (net->matrix != NULL && net->matrix[w] != NULL)
    net->compute->ops->add_matrix_rows (net->compute->device, rows, net->matrix[w], index, mode, gate_value, y);
  else
    net->compute->ops->add_rows (net->compute->device, rows, cols, net->value[w], index, mode, gate_value, y);
}

/* -- backward -------------------------------------------------------------- */

/* 0 for the first product of a step that makes the gradient of the weights from w on, then 1. */
static float
gradient_beta (const VjMllamaNet *net, guint w, guint joined)
{
  float beta = net->fresh[w] ? 0 : 1;
  for (guint i = 0; i < joined; i++)
    net->fresh[w + i] = FALSE;
  return beta;
}

/* dx (+)= dy w for n rows of a weight. */
static void
product_backward (const VjMllamaNet *net, gsize rows, const VjF32 *dy, gsize ld_dy, gsize n, gsize k, const VjF32 *w, gboolean add, VjF32 *dx)
{
  VjGemm gemm = { .numbers = net->numbers, .m = rows, .n = k, .k = n, .a = dy, .lda = ld_dy, .b = w, .ldb = k, .beta = add ? 1 : 0, .c = dx, .ldc = k };
  net->compute->ops->gemm (net->compute->device, &gemm);
}

static void
inputs_backward (const VjMllamaNet *net, gsize rows, guint w, guint joined, const VjF32 *dy, gsize n, gboolean add, VjF32 *dx)
{
  gsize k = depth_of (vj_mllama_plan_at (net->plan, w));
  gboolean together = reading_of (net, w, joined) == AS_RUN;
  if (together)
    product_backward (net, rows, dy, n, n, k, net->value[w], add, dx);
  for (guint i = 0, first = 0; !together && i < joined; first += (guint) vj_mllama_plan_at (net->plan, w + i++)->dims[0])
    for (gsize at = 0, part; at < vj_mllama_plan_at (net->plan, w + i)->dims[0]; at += part) {
      const VjF32 *values = rows_at (net, w + i, at, &part);
      product_backward (net, rows, vj_f32_at (dy, first + at), n, part, k, values, add || i > 0 || at > 0, dx);
    }
}

static void
backward (const VjMllamaNet *net, gsize rows, const VjF32 *x, guint w, guint joined, gssize bias, const VjF32 *dy, gboolean add, VjF32 *dx)
{
  const VjComputeOps *ops = net->compute->ops;
  void *device = net->compute->device;
  gsize n = 0, k = depth_of (vj_mllama_plan_at (net->plan, w));
  VjF32 *dw = vj_net_grad (net, w);
  for (guint i = 0; i < joined; i++)
    n += vj_mllama_plan_at (net->plan, w + i)->dims[0];
  if (rows == 0)
    return;
  if (dw != NULL) {
    VjGemm gemm = { .ta = TRUE, .numbers = net->numbers, .m = n, .n = k, .k = rows, .a = dy, .lda = n, .b = x, .ldb = k, .beta = gradient_beta (net, w, joined), .c = dw, .ldc = k };
    ops->gemm (device, &gemm);
    if (bias >= 0)
      ops->sum_rows (device, rows, n, dy, vj_net_grad (net, (guint) bias));
  }
  if (dx != NULL)
    inputs_backward (net, rows, w, joined, dy, n, add, dx);
  for (guint i = 0, at = 0; net->lora != NULL && i < joined; at += (guint) vj_mllama_plan_at (net->plan, w + i++)->dims[0])
    vj_net_lora_backward (net, rows, x, w + i, vj_f32_at (dy, at), n, dx);
}

void
vj_net_linear_backward (const VjMllamaNet *net, gsize rows, const VjF32 *x, guint w, guint joined, gssize bias, const VjF32 *dy, VjF32 *dx)
{
  backward (net, rows, x, w, joined, bias, dy, FALSE, dx);
}

void
vj_net_linear_backward_add (const VjMllamaNet *net, gsize rows, const VjF32 *x, guint w, const VjF32 *dy, VjF32 *dx)
{
  backward (net, rows, x, w, 1, -1, dy, TRUE, dx);
}
