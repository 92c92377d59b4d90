/* Products with the operations before and after them: see VjProduct. With bf16 weights where they lie, what is multiplied is
 * made as it is packed, and sums are joined as they leave the kernel (bf16.c); else this stands around `linear`. */
#include "compute/bf16.h"

const float *
vj_cpu_input (const VjInput *input, gsize k, gsize row, gsize n, gsize first, gsize count, float *scratch, gsize *ret_ld)
{
  const VjCpuNorm norm = { k, input->eps, CF (input->w), CF (input->b) };
  const float *x = CF (input->x) + row * k * (input->kind == VJ_INPUT_SWIGLU ? 2 : 1);
  *ret_ld = count;
  switch (input->kind) {
  case VJ_INPUT_RMS_NORM: vj_cpu_rms_norm_part (&norm, x, n, first, count, scratch, count, NULL); break;
  case VJ_INPUT_LAYER_NORM: vj_cpu_layer_norm_part (&norm, x, n, first, count, scratch, count, NULL); break;
  case VJ_INPUT_SWIGLU: vj_cpu_swiglu_part (k, x, n, first, count, scratch, count); break;
  case VJ_INPUT_ACTIVATION: vj_cpu_act_part (input->act, k, x, n, first, count, scratch, count); break;
  default: *ret_ld = k; return x + first;
  }
  return scratch;
}

typedef struct {
  const VjProduct *p;
  VjCpuJoin join;
  gsize k, n;
  float *made;
} Call;

static void
make_rows (void *data, gsize first, gsize n, G_GNUC_UNUSED guint worker)
{
  const Call *c = data;
  gsize ld;
  vj_cpu_input (&c->p->input, c->k, first, n, 0, c->k, c->made + first * c->k, &ld);
}

static void
join_rows (void *data, gsize first, gsize n, G_GNUC_UNUSED guint worker)
{
  const Call *c = data;
  vj_cpu_join_part (&c->join, first, n, 0, c->n);
}

void
vj_cpu_product (void *device, const VjProduct *p)
{
  VjCpu *cpu = device;
  if (p->rows == 0)
    return;
  if (p->w[0]->slices == NULL && p->w[0]->numbers == VJ_NUMBERS_BF16) {
    vj_bf16_product (cpu, p);
    return;
  }
  Call call = { .p = p, .k = p->w[0]->k };
  const VjF32 *x = p->input.x;
  if (p->input.kind != VJ_INPUT_PLAIN) {
    call.made = vj_cpu_inputs (cpu, p->rows * call.k);
    x = (const VjF32 *) (const void *) call.made;
    vj_cpu_rows (cpu, p->rows, 8, make_rows, &call);
  }
  vj_cpu_linear (cpu, p->rows, x, p->w, p->n_w, p->bias, p->y, p->ldy);
  for (gsize i = 0; i < p->n_w; i++)
    call.n += p->w[i]->n;
  call.join = (VjCpuJoin) { NULL, CF (p->add), CI (p->only), vj_cpu_gate_value (p->mode, p->gate), F (p->y), p->ldy };
  if (p->add != NULL)
    vj_cpu_rows (cpu, p->rows, 8, join_rows, &call);
}
