/* Examples to the rows of a micro-batch: which there are, and their index arrays. See batch.h. */
#include "base/random.h"
#include "engine/mllama/batch.h"

/* -- examples to indices --------------------------------------------------- */

static gboolean
check_example (const VjMllamaConfig *c, const VjMllamaExample *e, GError **error)
{
  if (e->n_tokens == 0 || e->n_tokens > c->max_position_embeddings)
    return vj_fail (error, VJ_EXIT_DATA, "train: 'example of %" G_GSIZE_FORMAT " tokens': does not fit: the model has %u positions; shorten or drop it",
                    e->n_tokens, c->max_position_embeddings);
  gsize images = 0;
  for (gsize i = 0; i < e->n_tokens; i++) {
    images += e->tokens[i] == c->image_token_index;
    if (e->tokens[i] >= c->vocab_size + VJ_MLLAMA_EXTRA_EMBEDDINGS)
      return vj_fail (error, VJ_EXIT_DATA, "train: 'token %u': is not in a vocabulary of %u: tokenizer and model do not belong together; use the model's own", e->tokens[i], c->vocab_size);
    if (i > 0 && e->targets[i] && e->tokens[i] >= c->vocab_size)
      return vj_fail (error, VJ_EXIT_DATA, "train: 'token %u': cannot be a target: the model puts out %u tokens; mark only assistant text", e->tokens[i], c->vocab_size);
  }
  return images == e->n_images || vj_fail (error, VJ_EXIT_DATA, "train: 'image tokens': their number is not that of the images (%" G_GSIZE_FORMAT "): one image token must stand for each image; build the example with the model's chat template", e->n_images);
}

gsize
vj_mllama_example_rows (const VjMllamaExample *e)
{
  gsize rows = 0;
  for (gsize t = 1; t < e->n_tokens; t++)
    rows = e->targets[t] ? t : rows;
  return rows;
}

static gsize
targets_of (const VjMllamaExample *e)
{
  gsize n = 0;
  for (gsize t = 1; t < e->n_tokens; t++)
    n += e->targets[t] != 0;
  return n;
}

gboolean
vj_batch_count (VjMllamaBatch *b, const VjMllamaExample *const *examples, gsize n, GError **error)
{
  b->examples = g_new (const VjMllamaExample *, n);
  for (guint without = 0; without < 2; without++)
    for (gsize i = 0; i < n; i++) {
      const VjMllamaExample *e = examples[i];
      if ((e->n_images == 0) != (without == 1))
        continue;
      if (!check_example (b->c, e, error))
        return FALSE;
      gsize rows = vj_mllama_example_rows (e), targets = targets_of (e);
      if (targets == 0)
        continue;
      b->examples[b->n++] = e;
      b->n_shown += e->n_images > 0;
      b->rows.rows += rows;
      b->rows.image_rows += e->n_images > 0 ? rows : 0;
      b->few.rows += targets;
      b->few.image_rows += e->n_images > 0 ? targets : 0;
      b->n_states += e->n_images * b->c->max_num_tiles * b->c->n_patches;
    }
  return TRUE;
}

/* The number of the image among the distinct ones. */
static gsize
distinct (VjMllamaBatch *b, GHashTable *seen, const VjMllamaExample *e, gsize i)
{
  const char *digest = e->digests == NULL ? NULL : e->digests[i];
  gpointer number;
  if (digest != NULL && g_hash_table_lookup_extended (seen, digest, NULL, &number))
    return GPOINTER_TO_SIZE (number);
  g_ptr_array_add (b->images, (gpointer) &e->images[i]);
  if (digest != NULL)
    g_hash_table_insert (seen, (gpointer) digest, GSIZE_TO_POINTER (b->images->len - 1));
  return b->images->len - 1;
}

/* An example's states: real tiles of all its images, then padding tiles. */
void
vj_batch_index_states (VjMllamaBatch *b)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  gsize all = (gsize) b->c->max_num_tiles * b->c->n_patches, at = 0;
  b->images = g_ptr_array_new ();
  b->state_index = g_new (gint32, b->n_states + 1);
  for (gsize e = 0; e < b->n_shown; e++)
    for (guint padding = 0; padding < 2; padding++)
      for (gsize i = 0; i < b->examples[e]->n_images; i++) {
        gsize number = distinct (b, seen, b->examples[e], i), real = (gsize) b->examples[e]->images[i].n_tiles * b->c->n_patches;
        for (gsize r = padding ? real : 0; r < (padding ? all : MIN (real, all)); r++)
          b->state_index[at++] = (gint32) (number * all + r);
      }
}

/* -- upload ---------------------------------------------------------------- */

static void
fill_example (VjMllamaBatch *b, const VjMllamaExample *e, gsize row, gint32 *const column[6], gboolean *seen)
{
  g_autofree guint32 *tiles = g_new (guint32, e->n_images + 1);
  gsize n = vj_mllama_example_rows (e);
  for (gsize i = 0; i < e->n_images; i++)
    tiles[i] = e->images[i].n_tiles;
  /* Not all images' tokens need be among the rows; what a row sees does not depend on those after it. */
  (void) vj_net_cross_ranges (b->c, e->tokens, n, tiles, e->n_images, column[3] + row, column[4] + row, seen);
  for (gsize p = 0; p < n; p++) {
    column[0][row + p] = (gint32) e->tokens[p];
    column[1][row + p] = (gint32) p;
    column[2][row + p] = (gint32) p + 1;
    column[5][row + p] = seen[p] ? (gint32) (row + p) : -1;
  }
}

static void
upload (VjMllamaBatch *b, void *to, const void *from, gsize n)
{
  b->trainer->compute->ops->upload (b->trainer->compute->device, to, from, n * 4);
}

/* The columns of `few` from those of all rows, and what its rows predict. */
static void
fill_few (VjMllamaBatch *b, gint32 *const all[6], gsize targets)
{
  gsize n = b->few.rows, at = 0, row = 0;
  g_autofree gint32 *store = g_new (gint32, 7 * n);
  g_autofree float *weights = g_new (float, n);
  gint32 *const column[6] = { store, store + n, store + 2 * n, store + 3 * n, store + 4 * n, store + 5 * n }, *tokens = store + 6 * n;
  for (gsize i = 0; i < b->n; row += b->rows.self[i++].q_count) {
    const VjMllamaExample *e = b->examples[i];
    gsize count = targets_of (e);
    b->few.self[i] = (VjAttentionSegment) { .q_row = at, .q_count = count, .kv_count = b->rows.self[i].kv_count };
    if (i < b->n_shown)
      b->few.cross[i] = (VjAttentionSegment) { .q_row = at, .q_count = count, .kv_count = b->rows.cross[i].kv_count };
    for (gsize t = 1; t < e->n_tokens; t++) {
      if (!e->targets[t])
        continue;
      gsize from = row + t - 1;
      column[0][at] = (gint32) from;
      for (guint j = 1; j < 5; j++)
        column[j][at] = all[j][from];
      column[5][at] = all[5][from] < 0 ? -1 : (gint32) at;
      tokens[at] = (gint32) e->tokens[t];
      weights[at++] = (float) (e->weight / (double) targets);
    }
  }
  vj_net_rows_upload (b->trainer->compute, &b->few, column);
  upload (b, b->target_tokens, tokens, n);
  upload (b, b->target_weights, weights, n);
}

/* Seeds of dropout: for a row of text or states its example's number in the step and its place there, so that they do not
 * depend on how the step is cut; images are those of the micro-batch, named by its first example. */
static void
fill_seeds (VjMllamaBatch *b)
{
  const VjMllamaTrainer *trainer = b->trainer;
  gsize at[VJ_N_ROW_KINDS] = { 0 }, all = (gsize) b->c->max_num_tiles * b->c->n_patches;
  gint32 *seeds[VJ_N_ROW_KINDS];
  guint64 step = vj_random_seed_named (trainer->config.lora.seed, "dropout", NULL, trainer->steps);
  for (guint kind = 0; kind < VJ_N_ROW_KINDS; kind++)
    seeds[kind] = g_new (gint32, b->taken[kind] + 1);
  for (gsize i = 0; i < b->n; i++) {
    const VjMllamaExample *e = b->examples[i];
    guint64 number = (guint64) (e - trainer->first);
    for (gsize p = 0; p < b->rows.self[i].q_count; p++) {
      gint32 seed = vj_lora_seed (step, VJ_ROWS_TEXT, number, p);
      seeds[VJ_ROWS_TEXT][at[VJ_ROWS_TEXT]++] = seed;
      if (p + 1 < e->n_tokens && e->targets[p + 1])
        seeds[VJ_ROWS_FEW][at[VJ_ROWS_FEW]++] = seed;
    }
    for (gsize p = 0; p < e->n_images * all; p++)
      seeds[VJ_ROWS_STATES][at[VJ_ROWS_STATES]++] = vj_lora_seed (step, VJ_ROWS_STATES, number, p);
  }
  for (gsize r = 0; r < b->taken[VJ_ROWS_VISION]; r++)
    seeds[VJ_ROWS_VISION][r] = vj_lora_seed (step, VJ_ROWS_VISION, (guint64) (b->examples[0] - trainer->first), r);
  for (guint kind = 0; kind < VJ_N_ROW_KINDS; kind++) {
    upload (b, trainer->net.lora->seeds[kind], seeds[kind], b->taken[kind]);
    g_free (seeds[kind]);
  }
}

void
vj_batch_fill (VjMllamaBatch *b, gsize targets)
{
  gsize R = b->rows.rows, all = (gsize) b->c->max_num_tiles * b->c->n_patches;
  g_autofree gint32 *store = g_new (gint32, 7 * R);
  gint32 *const column[6] = { store, store + R, store + 2 * R, store + 3 * R, store + 4 * R, store + 5 * R };
  for (gsize i = 0, row = 0; i < b->n; row += b->rows.self[i++].q_count) {
    gsize n = vj_mllama_example_rows (b->examples[i]);
    b->rows.self[i] = (VjAttentionSegment) { .q_row = row, .q_count = n, .kv_count = n };
    if (i < b->n_shown)
      b->rows.cross[i] = (VjAttentionSegment) { .q_row = row, .q_count = n, .kv_count = b->examples[i]->n_images * all };
    fill_example (b, b->examples[i], row, column, store + 6 * R);
  }
  vj_net_rows_upload (b->trainer->compute, &b->rows, column);
  upload (b, b->state_rows, b->state_index, b->n_states);
  fill_few (b, column, targets);
  if (b->trainer->net.lora != NULL && b->trainer->net.lora->dropout > 0)
    fill_seeds (b);
}
