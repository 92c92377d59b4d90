/* Attention of the cublas compute: which kernel takes which segments. The list of segments travels with the kernel's
 * arguments, VJ_SEGMENTS at a time, so nothing is copied to the device for it. See attention.cu. */
#include "plugins/compute/cublas/ops.h"

typedef enum { NARROW, WIDE, DELTA, QUERIES, KEYS } Part;

typedef struct {
  VjCublas *device;
  const char *place;
  Part part;
  VjAttentionArgs args;
  guint n;        /* segments collected */
  gsize largest;  /* blocks of the largest of them */
} Batch;

static gsize
blocks_of (const Batch *batch, const VjAttentionSegment *s)
{
  gsize rows = s->q_count * (gsize) batch->args.group;
  switch (batch->part) {
  case NARROW: return vj_cublas_parts (rows, VJ_NARROW);
  case DELTA: return vj_cublas_parts (s->q_count * (gsize) batch->args.heads, 16);
  case KEYS: return vj_cublas_parts (s->kv_count, VJ_TILE);
  default: return vj_cublas_parts (rows, VJ_TILE);
  }
}

static void
start (Batch *batch)
{
  VjCublas *device = batch->device;
  void *stream = vj_gpu_stream (device->gpu);
  VjGrid grid = vj_cublas_grid (device, batch->place, batch->largest);
  gsize wide = VJ_ATTENTION_BYTES (VJ_TILE, (gsize) batch->args.dim), narrow = VJ_ATTENTION_BYTES (VJ_NARROW, (gsize) batch->args.dim);
  int error = 0;
  grid.y = batch->n;
  grid.z = batch->part == DELTA ? 1 : (unsigned) batch->args.kv_heads;
  batch->n = 0;
  batch->largest = 0;
  if (grid.x == 0 || grid.y == 0)
    return;
  switch (batch->part) {
  case NARROW: error = vj_launch_attention_narrow (stream, grid, narrow, &batch->args); break;
  case WIDE: error = vj_launch_attention_wide (stream, grid, wide, &batch->args); break;
  case DELTA: error = vj_launch_attention_delta (stream, grid, VJ_TREE_BYTES, &batch->args); break;
  case QUERIES: error = vj_launch_attention_queries (stream, grid, wide, &batch->args); break;
  case KEYS: error = vj_launch_attention_keys (stream, grid, wide, &batch->args); break;
  }
  vj_cublas_check (device, batch->place, error);
}

/* A few query rows, as in generation, would leave a wide tile empty. */
static gboolean
takes (const Batch *batch, const VjAttentionSegment *s)
{
  gboolean few = s->q_count * (gsize) batch->args.group <= 2 * VJ_NARROW;
  return batch->part == NARROW ? few : batch->part == WIDE ? !few : TRUE;
}

static void
run (VjCublas *device, const char *place, Part part, const VjAttention *a, const VjAttentionArgs *args)
{
  Batch batch = { .device = device, .place = place, .part = part, .args = *args };
  for (gsize i = 0; i < a->n_segments; i++) {
    const VjAttentionSegment *s = &a->segments[i];
    if (!takes (&batch, s))
      continue;
    batch.args.segment[batch.n++] = (VjSegmentArgs) { .q_row = (gint64) s->q_row, .q_count = (gint64) s->q_count, .kv_count = (gint64) s->kv_count,
                                                      .k = CF (s->k), .v = CF (s->v), .dk = F (s->dk), .dv = F (s->dv) };
    batch.largest = MAX (batch.largest, blocks_of (&batch, s));
    if (batch.n == VJ_SEGMENTS)
      start (&batch);
  }
  start (&batch);
}

static gboolean
describe (VjCublas *device, const char *place, const VjAttention *a, VjAttentionArgs *ret_args)
{
  if (a->head_dim > VJ_HEAD_MAX)
    return vj_cublas_check (device, place, VJ_CUBLAS_HEAD);
  *ret_args = (VjAttentionArgs) { .heads = (int) a->heads, .kv_heads = (int) a->kv_heads, .group = (int) (a->heads / a->kv_heads),
                                  .dim = (int) a->head_dim, .scale = a->scale, .ld_q = (gint64) a->ld_q, .ld_kv = (gint64) a->ld_kv,
                                  .ld_dq = (gint64) a->ld_dq, .ld_dkv = (gint64) a->ld_dkv, .first = CI (a->first), .last = CI (a->last),
                                  .q = CF (a->q), .dout = CF (a->dout), .out = F (a->out), .lse = F (a->lse), .dq = F (a->dq) };
  return TRUE;
}

void
vj_cublas_attention (void *device, const VjAttention *a)
{
  VjAttentionArgs args;
  if (!describe (device, "attention", a, &args))
    return;
  run (device, "attention", NARROW, a, &args);
  run (device, "attention", WIDE, a, &args);
}

void
vj_cublas_attention_backward (void *device, const VjAttention *a)
{
  VjAttentionArgs args;
  gsize rows = 0;
  if (!describe (device, "attention_backward", a, &args))
    return;
  for (gsize i = 0; i < a->n_segments; i++)
    rows = MAX (rows, a->segments[i].q_row + a->segments[i].q_count);
  args.delta = vj_cublas_scratch (device, VJ_SCRATCH_PARTS, rows * a->heads * sizeof (float), "attention_backward");
  if (args.delta == NULL && rows > 0)
    return;
  run (device, "attention_backward", DELTA, a, &args);
  run (device, "attention_backward", QUERIES, a, &args);
  run (device, "attention_backward", KEYS, a, &args);
}
