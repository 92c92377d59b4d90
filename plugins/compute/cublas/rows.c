/* Operations of the cublas compute on rows and single elements: see rows.cu. */
#include "plugins/compute/cublas/ops.h"

G_STATIC_ASSERT (VJ_GATE_NONE == 0 && VJ_GATE_TANH == 1 && VJ_GATE_ONE_MINUS_TANH == 2);
G_STATIC_ASSERT (VJ_ACT_GELU == 0 && VJ_ACT_QUICK_GELU == 1 && VJ_ACT_SILU == 2);

static gint64
chunks_of (gsize cols)
{
  return (gint64) vj_cublas_parts (cols, VJ_SPREAD);
}

void
vj_cublas_rope (void *device, gsize rows, gsize heads, gsize head_dim, VjF32 *x, gsize ldx, const VjI32 *positions, const VjF32 *table,
                gboolean inverse)
{
  VjRopeArgs args = { .heads = (gint64) heads, .half = (gint64) head_dim / 2, .ld = (gint64) ldx, .inverse = inverse, .positions = CI (positions),
                      .table = CF (table), .x = F (x) };
  VJ_START ((VjCublas *) device, "rope", rotate_rows, rows, 0, &args);
}

static void
activate (VjCublas *device, const char *place, VjAct act, gsize n, const VjF32 *x, const VjF32 *dy, VjF32 *y)
{
  VjActivationArgs args = { .n = (gint64) n, .act = (int) act, .x = CF (x), .dy = CF (dy), .y = F (y) };
  VJ_START (device, place, activate, MIN (vj_cublas_parts (n, VJ_BLOCK), VJ_FLAT), 0, &args);
}

void
vj_cublas_activation (void *device, VjAct act, gsize n, const VjF32 *x, VjF32 *y)
{
  activate (device, "activation", act, n, x, NULL, y);
}

void
vj_cublas_activation_backward (void *device, VjAct act, gsize n, const VjF32 *x, const VjF32 *dy, VjF32 *dx)
{
  activate (device, "activation_backward", act, n, x, dy, dx);
}

void
vj_cublas_swiglu (void *device, gsize rows, gsize cols, const VjF32 *x, VjF32 *y)
{
  VjSwigluArgs args = { .cols = (gint64) cols, .chunks = chunks_of (cols), .x = CF (x), .y = F (y) };
  VJ_START ((VjCublas *) device, "swiglu", swiglu_rows, rows * (gsize) args.chunks, 0, &args);
}

void
vj_cublas_swiglu_backward (void *device, gsize rows, gsize cols, const VjF32 *x, const VjF32 *dy, VjF32 *dx)
{
  VjSwigluArgs args = { .cols = (gint64) cols, .chunks = chunks_of (cols), .x = CF (x), .dy = CF (dy), .dx = F (dx) };
  VJ_START ((VjCublas *) device, "swiglu_backward", swiglu_rows_back, rows * (gsize) args.chunks, 0, &args);
}

static VjGateArgs
gate_args (VjGate mode, const VjF32 *gate)
{
  return (VjGateArgs) { .mode = (int) mode, .gate = CF (gate) };
}

void
vj_cublas_add_rows (void *device, gsize rows, gsize cols, const VjF32 *table, const VjI32 *index, VjGate mode, const VjF32 *gate, VjF32 *y)
{
  VjAddArgs args = { .cols = (gint64) cols, .chunks = chunks_of (cols), .table = table, .index = CI (index), .gate = gate_args (mode, gate),
                     .y = F (y) };
  VJ_START ((VjCublas *) device, "add_rows", gather_rows, rows * (gsize) args.chunks, 0, &args);
}

void
vj_cublas_add_matrix_rows (void *device, gsize rows, const VjMatrix *w, const VjI32 *index, VjGate mode, const VjF32 *gate, VjF32 *y)
{
  VjAddArgs args = { .cols = (gint64) w->k, .chunks = chunks_of (w->k), .table = w->values, .index = CI (index), .gate = gate_args (mode, gate),
                     .y = F (y), .half = w->numbers == VJ_NUMBERS_BF16 };
  VJ_START ((VjCublas *) device, "add_matrix_rows", gather_rows, rows * (gsize) args.chunks, 0, &args);
}

static void
scatter (VjCublas *device, gsize rows, VjScatterArgs *args)
{
  if (args->index != NULL) {
    gint32 *links = vj_cublas_scratch (device, VJ_SCRATCH_PARTS, rows * 2 * sizeof (gint32), "add_rows_backward");
    VjLinkArgs link = { .rows = (gint64) rows, .index = args->index, .links = links };
    if (links == NULL)
      return;
    args->links = links;
    VJ_START (device, "add_rows_backward", link_rows, rows, VJ_TREE_BYTES, &link);
  }
  VJ_START (device, "add_rows_backward", scatter_rows, rows * (gsize) args->chunks, 0, args);
}

void
vj_cublas_add_rows_backward (void *device_, gsize rows, gsize cols, const VjF32 *table, const VjI32 *index, VjGate mode, const VjF32 *gate,
                             const VjF32 *dy, VjF32 *dtable, VjF32 *dgate)
{
  VjCublas *device = device_;
  if (dgate != NULL) {
    VjDotArgs dot = { .cols = (gint64) cols, .table = CF (table), .dy = CF (dy), .index = CI (index) };
    dot.parts = vj_cublas_scratch (device, VJ_SCRATCH_PARTS, rows * sizeof (double), "add_rows_backward");
    VjTotalArgs total = { .n = (gint64) rows, .parts = dot.parts, .dgate = F (dgate), .gate = gate_args (mode, gate) };
    if (dot.parts == NULL && rows > 0)
      return;
    VJ_START (device, "add_rows_backward", dot_rows, rows, VJ_TREE_BYTES, &dot);
    VJ_START (device, "add_rows_backward", sum_parts, rows > 0 ? 1 : 0, VJ_TREE_BYTES, &total);
  }
  if (dtable != NULL) {
    VjScatterArgs args = { .cols = (gint64) cols, .chunks = chunks_of (cols), .index = CI (index), .gate = gate_args (mode, gate),
                           .dy = CF (dy), .table = F (dtable) };
    scatter (device, rows, &args);
  }
}

void
vj_cublas_copy_2d (void *device, gsize rows, gsize cols, const VjF32 *from, gsize ld_from, gsize step_from, VjF32 *to, gsize ld_to,
                   gsize step_to, gboolean add)
{
  VjCopyArgs args = { .cols = (gint64) cols, .chunks = chunks_of (cols), .ld_from = (gint64) ld_from, .step_from = (gint64) step_from,
                      .ld_to = (gint64) ld_to, .step_to = (gint64) step_to, .from = CF (from), .to = F (to), .add = add };
  VJ_START ((VjCublas *) device, "copy_2d", copy_rows, rows * (gsize) args.chunks, 0, &args);
}

void
vj_cublas_dropout (void *device, gsize rows, gsize cols, float rate, float scale, const VjI32 *seeds, guint32 salt, const VjF32 *x,
                   VjF32 *y, gboolean add)
{
  VjDropoutArgs args = { .cols = (gint64) cols, .chunks = chunks_of (cols), .scale = scale, .bound = (guint32) (rate * 0x1p24f), .salt = salt,
                         .seeds = CI (seeds), .x = CF (x), .y = F (y), .add = add };
  VJ_START ((VjCublas *) device, "dropout", drop_rows, rows * (gsize) args.chunks, 0, &args);
}
