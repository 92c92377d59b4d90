/* Keys and values in memory, in the form that the compute's attention reads best: see model.h. */
#include "engine/mllama/sequence.h"

const VjCaches *
vj_mllama_caches (const VjMllama *model)
{
  return model->numbers == VJ_NUMBERS_BF16 ? model->compute->ops->caches : NULL;
}

gsize
vj_mllama_cache_bytes (const VjMllama *model, gsize tokens)
{
  const VjMllamaConfig *c = &model->plan->config;
  const VjCaches *caches = vj_mllama_caches (model);
  return caches == NULL ? 8 * tokens * vj_mllama_kv_width (c) : caches->bytes (model->compute->device, tokens, c->num_key_value_heads, c->head_dim);
}

VjF32 *
vj_mllama_cache_at (const VjMllama *model, VjF32 *caches, gsize tokens, gsize n)
{
  return vj_f32_at (caches, n * (vj_mllama_cache_bytes (model, tokens) / 4));
}

void
vj_mllama_cache_show (const VjMllama *model, VjF32 *cache, gsize tokens, VjAttentionSegment *segment)
{
  if (vj_mllama_caches (model) != NULL) {
    segment->cache = cache;
    segment->cache_tokens = tokens;
    return;
  }
  segment->k = cache;
  segment->v = vj_f32_at (cache, tokens * vj_mllama_kv_width (&model->plan->config));
}

static void
copy_rows (const VjMllama *model, const VjF32 *from, gsize n, VjF32 *to)
{
  if (n > 0)
    model->compute->ops->copy_2d (model->compute->device, 1, n, from, n, 1, to, n, 1, FALSE);
}

void
vj_mllama_cache_copy (const VjMllama *model, gsize count, const VjF32 *from, gsize from_tokens, gsize from_at, VjF32 *to, gsize to_tokens, gsize to_at)
{
  const VjMllamaConfig *c = &model->plan->config;
  const VjCaches *caches = vj_mllama_caches (model);
  gsize KV = vj_mllama_kv_width (c);
  if (caches != NULL) {
    caches->copy (model->compute->device, c->num_key_value_heads, c->head_dim, count, from, from_tokens, from_at, to, to_tokens, to_at);
    return;
  }
  for (gsize values = 0; values < 2; values++)
    copy_rows (model, vj_f32_at (from, (values * from_tokens + from_at) * KV), count * KV, vj_f32_at (to, (values * to_tokens + to_at) * KV));
}
