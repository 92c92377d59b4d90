/* Writing an adapter as PEFT lays it out: see trainer.h and adapter.h. */
#include "base/file.h"
#include "engine/mllama/trainer.h"

#include <jansson.h>
#include <string.h>

/* Modules by their whole names: PEFT takes a short one for every module that ends so, the frozen parts' too. */
static json_t *
modules (const VjMllamaTrainer *trainer)
{
  json_t *list = json_array ();
  for (guint t = 0; t < trainer->trained->len; t++) {
    g_autofree char *module = vj_mllama_module (trainer->plan, vj_trained_at (trainer, t)->weight);
    if (vj_trained_at (trainer, t)->factor == VJ_FACTOR_A)
      json_array_append_new (list, json_string (module));
  }
  return list;
}

static gboolean
write_config (const VjMllamaTrainer *trainer, const char *dir, GError **error)
{
  const VjLoraConfig *lora = &trainer->config.lora;
  g_autofree char *file = g_build_filename (dir, VJ_ADAPTER_CONFIG, NULL), *base = g_canonicalize_filename (trainer->dir, NULL);
  json_t *root = json_pack ("{s:s, s:n, s:s, s:b, s:b, s:b, s:f, s:f, s:n, s:s, s:i, s:o, s:n, s:b, s:b}", "peft_type", "LORA", "task_type", "base_model_name_or_path",
                            base, "inference_mode", 1, "init_lora_weights", 1, "fan_in_fan_out", 0, "lora_alpha", lora->alpha, "lora_dropout", lora->dropout,
                            "modules_to_save", "bias", "none", "r", (int) lora->rank, "target_modules", modules (trainer), "layers_to_transform", "use_dora", 0,
                            "use_rslora", 0);
  if (root == NULL)
    return vj_fail (error, VJ_EXIT_DATA, "save: '%s': the base's path is not UTF-8, which JSON cannot hold; rename the directory", file);
  char *text = json_dumps (root, JSON_INDENT (2) | JSON_SORT_KEYS);
  gboolean ok = vj_file_write (file, text, strlen (text), 0644, error);
  free (text);
  json_decref (root);
  return ok;
}

gboolean
vj_trainer_write_adapter (VjMllamaTrainer *trainer, const char *dir, GError **error)
{
  guint n = trainer->trained->len;
  g_autofree VjTensor *tensors = g_new0 (VjTensor, n);
  g_autoptr (GPtrArray) owned = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *file = g_build_filename (dir, VJ_ADAPTER_MODEL, NULL);
  const char *const metadata[] = { "format", "pt", NULL };
  for (guint t = 0; t < n; t++) {
    const VjMllamaTrained *trained = vj_trained_at (trainer, t);
    float *values = g_new (float, trained->n_elements);
    g_ptr_array_add (owned, values);
    vj_mllama_trainer_get_trained (trainer, VJ_STATE_PARAM, t, values);
    tensors[t] = (VjTensor) { .name = trained->key, .n_dims = trained->n_dims, .n_elements = trained->n_elements, .data = values };
    memcpy (tensors[t].dims, trained->dims, sizeof trained->dims);
  }
  return vj_safetensors_save (file, tensors, n, metadata, error) && write_config (trainer, dir, error);
}

void
vj_trainer_merge (VjMllamaTrainer *trainer, guint i, float *values)
{
  const VjMllamaWeight *weight = vj_mllama_plan_at (trainer->plan, i);
  const VjMllamaLoras *loras = trainer->net.lora;
  gsize n = weight->dims[0], k = weight->n_elements / n;
  if (loras == NULL || loras->of[i].a == NULL)
    return;
  g_autofree float *a = g_new (float, loras->rank * k), *b = g_new (float, loras->rank * n);
  trainer->compute->ops->download (trainer->compute->device, a, loras->of[i].a, loras->rank * k * sizeof *a);
  trainer->compute->ops->download (trainer->compute->device, b, loras->of[i].b, loras->rank * n * sizeof *b);
  vj_lora_merge (a, b, n, k, loras->rank, loras->scale, values);
}
