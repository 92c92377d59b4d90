/* bench-weights MODEL-DIR: writes model.safetensors for the config.json there, bf16, drawn at random with the spread
 * that fresh weights have. Streams: a model larger than memory is no trouble. */
#include "bench-kit.h"

#include "base/random.h"
#include "engine/mllama/weights.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define CHUNK 65536u

/* The safetensors header: name -> dtype, shape, range of bytes. */
static json_t *
describe (const VjMllamaPlan *plan)
{
  json_t *header = json_object ();
  gsize at = 0;
  for (guint i = 0; i < plan->weights->len; i++) {
    const VjMllamaWeight *w = vj_mllama_plan_at (plan, i);
    json_t *shape = json_array ();
    if (i == plan->head && plan->tied)
      continue;
    for (guint d = 0; d < w->n_dims; d++)
      json_array_append_new (shape, json_integer ((json_int_t) w->dims[d]));
    gsize end = at + 2 * w->n_elements;
    json_object_set_new (header, w->key, json_pack ("{s:s, s:o, s:[I, I]}", "dtype", "BF16", "shape", shape,
                                                    "data_offsets", (json_int_t) at, (json_int_t) end));
    at = end;
  }
  return header;
}

/* Uniform values of the deviation that vj_mllama_plan_start would give: normal ones would take minutes for a large
 * model, and no speed depends on the shape of the distribution. */
static gboolean
write_random (FILE *file, const VjMllamaWeight *w, VjRandom *random)
{
  guint16 values[CHUNK], table[256];
  float spread = (float) sqrt (3.0 / (double) (w->n_elements / w->dims[0]));
  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    float value = spread * ((float) i - 127.5f) / 127.5f;
    vj_dtype_from_f32 (VJ_DTYPE_BF16, &value, 1, &table[i]);
  }
  for (gsize left = w->n_elements; left > 0; left -= MIN (left, CHUNK)) {
    gsize n = MIN (left, CHUNK);
    for (gsize i = 0; i < n; i += 8) {
      guint64 bits = vj_random_next (random);
      for (gsize k = i; k < MIN (i + 8, n); k++, bits >>= 8)
        values[k] = table[bits & 255];
    }
    if (fwrite (values, 2, n, file) != n)
      return FALSE;
  }
  return TRUE;
}

static gboolean
write_started (FILE *file, const VjMllamaPlan *plan, guint i)
{
  gsize n = vj_mllama_plan_at (plan, i)->n_elements;
  g_autofree float *values = g_new (float, n);
  g_autofree guint16 *halves = g_new (guint16, n);
  vj_mllama_plan_start (plan, i, 1, values);
  vj_dtype_from_f32 (VJ_DTYPE_BF16, values, n, halves);
  return fwrite (halves, 2, n, file) == n;
}

static gboolean
write_all (FILE *file, const VjMllamaPlan *plan)
{
  json_t *header = describe (plan);
  g_autofree char *dumped = json_dumps (header, JSON_COMPACT);
  /* Padded as published files are, so that the weights lie on multiples of 64 bytes and can be used where they are. */
  g_autofree char *text = g_strdup_printf ("%-*s", (int) ((strlen (dumped) + 8 + 63) / 64 * 64 - 8), dumped);
  json_decref (header);
  guint64 length = GUINT64_TO_LE ((guint64) strlen (text));
  VjRandom random;
  vj_random_init (&random, 1);
  gboolean ok = fwrite (&length, sizeof length, 1, file) == 1 && fputs (text, file) >= 0;
  for (guint i = 0; ok && i < plan->weights->len; i++) {
    const VjMllamaWeight *w = vj_mllama_plan_at (plan, i);
    if (i == plan->head && plan->tied)
      continue;
    ok = w->start == VJ_START_NORMAL ? write_random (file, w, &random) : write_started (file, plan, i);
  }
  return ok;
}

static gboolean
work (const char *dir, GError **error)
{
  g_autofree VjMllamaConfig *config = g_new0 (VjMllamaConfig, 1);
  g_autofree char *path = g_build_filename (dir, "model.safetensors", NULL);
  g_autofree char *partial = g_strconcat (path, ".part", NULL);
  if (!vj_mllama_config_load (dir, config, error))
    return FALSE;
  g_autoptr (VjMllamaPlan) plan = vj_mllama_plan_new (config, NULL, error);
  FILE *file = plan == NULL ? NULL : fopen (partial, "wb");
  if (plan == NULL)
    return FALSE;
  gboolean ok = file != NULL && write_all (file, plan);
  if (file != NULL && fclose (file) != 0)
    ok = FALSE;
  if (!ok || rename (partial, path) != 0)
    return vj_fail (error, VJ_EXIT_STORE, "%s: cannot be written: %s; give a folder with room", path,
                    g_strerror (errno));
  return TRUE;
}

int
main (int argc, char **argv)
{
  GError *error = NULL;
  if (argc != 2)
    vj_fail (&error, VJ_EXIT_USAGE, "usage: bench-weights MODEL-DIR");
  else
    work (argv[1], &error);
  return bench_exit (error);
}
