/* Low-rank factors of weights (Hu et al., 2021, as PEFT has them): y = x w^T + scale (drop (x) A^T) B^T. A and B are trained,
 * w stays. What forward had in between is made again in backward: it is small, or a mask that follows from seeds. */
#include "engine/mllama/net.h"

#include <string.h>

VjMllamaRowKind
vj_net_row_kind (const VjMllamaPlan *plan, guint w)
{
  const VjMllamaWeight *weight = vj_mllama_plan_at (plan, w);
  if (weight->part == VJ_PART_VISION)
    return VJ_ROWS_VISION;
  gboolean kv = g_str_has_suffix (weight->key, "k_proj.weight") || g_str_has_suffix (weight->key, "v_proj.weight");
  guint last = plan->config.last_self;
  if (kv)
    return weight->part == VJ_PART_CROSS ? VJ_ROWS_STATES : VJ_ROWS_TEXT;
  /* The list goes layer by layer, then come embedding, norm and head. */
  return w < (last < plan->config.num_hidden_layers ? plan->layers[last].self.input_norm : plan->embed) ? VJ_ROWS_TEXT : VJ_ROWS_FEW;
}

void
vj_net_lora_layout (const VjMllamaPlan *plan, VjMllamaLoras *loras, const gsize counts[VJ_N_ROW_KINDS], VjArena *arena)
{
  gsize rows = 0, elements = 0;
  for (guint w = 0; w < plan->weights->len; w++)
    if (loras->of[w].a != NULL) {
      const VjMllamaWeight *weight = vj_mllama_plan_at (plan, w);
      gsize n = counts[vj_net_row_kind (plan, w)];
      rows = MAX (rows, n);
      elements = MAX (elements, n * (weight->n_elements / weight->dims[0]));
    }
  loras->h = vj_arena_take (arena, rows * loras->rank);
  loras->d = vj_arena_take (arena, rows * loras->rank);
  loras->x = loras->dropout > 0 ? vj_arena_take (arena, elements) : NULL;
  for (guint kind = 0; kind < VJ_N_ROW_KINDS; kind++)
    loras->seeds[kind] = loras->dropout > 0 ? (VjI32 *) vj_arena_take (arena, counts[kind]) : NULL;
}

gint32
vj_lora_seed (guint64 step, guint64 kind, guint64 example, guint64 place)
{
  guint64 x = step + 0x9e3779b97f4a7c15u * (4 * example + kind + 1);
  for (guint i = 0; i < 2; i++) { /* the finalizer of SplitMix64 (Steele, Lea and Flood, 2014) */
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    x = (x ^ x >> 31) + (i == 0 ? 0x9e3779b97f4a7c15u * (place + 1) : 0);
  }
  return (gint32) (guint32) (x >> 32);
}

/* drop (x), which is x itself without dropout. */
static const VjF32 *
input (const VjMllamaNet *net, gsize rows, const VjF32 *x, guint w, gsize k)
{
  const VjMllamaLoras *l = net->lora;
  if (l->dropout <= 0)
    return x;
  net->compute->ops->dropout (net->compute->device, rows, k, l->dropout, 1 / (1 - l->dropout), l->seeds[vj_net_row_kind (net->plan, w)], w, x, l->x, FALSE);
  return l->x;
}

/* h = scale x A^T. */
static void
inner (const VjMllamaNet *net, gsize rows, const VjF32 *x, guint w, gsize k)
{
  const VjMllamaLoras *l = net->lora;
  VjGemm gemm = { .tb = TRUE, .numbers = net->numbers, .m = rows, .n = l->rank, .k = k, .a = x, .lda = k, .b = l->of[w].a, .ldb = k, .c = l->h, .ldc = l->rank };
  net->compute->ops->gemm (net->compute->device, &gemm);
  net->compute->ops->dropout (net->compute->device, rows, l->rank, 0, l->scale, NULL, 0, l->h, l->h, FALSE);
}

void
vj_net_lora (const VjMllamaNet *net, gsize rows, const VjF32 *x, guint w, VjF32 *y, gsize ldy)
{
  const VjMllamaLoras *l = net->lora;
  const VjMllamaWeight *weight = vj_mllama_plan_at (net->plan, w);
  gsize n = weight->dims[0], k = weight->n_elements / n, r = l->rank;
  if (l->of[w].a == NULL || rows == 0)
    return;
  inner (net, rows, input (net, rows, x, w, k), w, k);
  VjGemm outer = { .tb = TRUE, .numbers = net->numbers, .m = rows, .n = n, .k = r, .a = l->h, .lda = r, .b = l->of[w].b, .ldb = r, .beta = 1, .c = y, .ldc = ldy };
  net->compute->ops->gemm (net->compute->device, &outer);
}

void
vj_net_lora_backward (const VjMllamaNet *net, gsize rows, const VjF32 *x, guint w, const VjF32 *dy, gsize ld_dy, VjF32 *dx)
{
  const VjMllamaLoras *l = net->lora;
  const VjComputeOps *ops = net->compute->ops;
  void *device = net->compute->device;
  const VjMllamaWeight *weight = vj_mllama_plan_at (net->plan, w);
  gsize n = weight->dims[0], k = weight->n_elements / n, r = l->rank;
  if (l->of[w].a == NULL || rows == 0)
    return;
  const VjF32 *dropped = input (net, rows, x, w, k);
  inner (net, rows, dropped, w, k);
  VjGemm db = { .ta = TRUE, .numbers = net->numbers, .m = n, .n = r, .k = rows, .a = dy, .lda = ld_dy, .b = l->h, .ldb = r, .beta = 1, .c = l->of[w].db, .ldc = r };
  VjGemm dh = { .numbers = net->numbers, .m = rows, .n = r, .k = n, .a = dy, .lda = ld_dy, .b = l->of[w].b, .ldb = r, .c = l->d, .ldc = r };
  VjGemm da = { .ta = TRUE, .numbers = net->numbers, .m = r, .n = k, .k = rows, .a = l->d, .lda = r, .b = dropped, .ldb = k, .beta = 1, .c = l->of[w].da, .ldc = k };
  VjGemm back = { .numbers = net->numbers, .m = rows, .n = k, .k = r, .a = l->d, .lda = r, .b = l->of[w].a, .ldb = k, .beta = l->dropout > 0 ? 0 : 1,
                  .c = l->dropout > 0 ? l->x : dx, .ldc = k };
  ops->gemm (device, &db);
  ops->gemm (device, &dh);
  ops->dropout (device, rows, r, 0, l->scale, NULL, 0, l->d, l->d, FALSE);
  ops->gemm (device, &da);
  if (dx == NULL)
    return;
  ops->gemm (device, &back);
  if (l->dropout > 0)
    ops->dropout (device, rows, k, l->dropout, 1 / (1 - l->dropout), l->seeds[vj_net_row_kind (net->plan, w)], w, l->x, dx, TRUE);
}

void
vj_lora_merge (const float *a, const float *b, gsize n, gsize k, guint rank, float scale, float *w)
{
  g_autofree float *delta = g_new (float, k);
  for (gsize i = 0; i < n; i++) {
    memset (delta, 0, k * sizeof *delta);
    for (guint r = 0; r < rank; r++)
      for (gsize j = 0; j < k; j++)
        delta[j] += b[i * rank + r] * a[(gsize) r * k + j];
    for (gsize j = 0; j < k; j++)
      w[i * k + j] += scale * delta[j];
  }
}
