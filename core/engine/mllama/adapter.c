/* Reading adapters: see adapter.h. Nothing in the files is trusted. */
#include "engine/mllama/adapter.h"
#include "base/file.h"
#include "engine/json.h"
#include "engine/mllama/adapter-targets.h"

#include <math.h>
#include <string.h>

#include "engine/mllama/net.h"

#define CONFIG_LIMIT ((gsize) 1 << 20)
#define MAX_RANK 4096
#define MAX_LISTED 10 /* faults named in one message */

struct VjMllamaAdapter {
  char *dir, *base;
  VjSafetensors *file;
  VjAdapterTargets *targets;
  guint rank;
  double alpha;
  float scale;
  guint n;
  VjMllamaFactors *factors; /* [n weights] */
};

/* -- adapter_config.json ------------------------------------------------------- */

/* Settings under which A and B mean something else, and the one value each may have; NULL: null, absent or empty. */
static const struct {
  const char *key, *value, *what;
} plain[] = {
  { "peft_type", "LORA", "the kind of adapter" },
  { "bias", "none", "trained biases" },
  { "use_dora", "false", "DoRA" },
  { "use_qalora", "false", "QALoRA" },
  { "use_bdlora", "false", "BD-LoRA" },
  { "alora_invocation_tokens", NULL, "an adapter that tokens switch on" },
  { "arrow_config", NULL, "several adapters in one" },
  { "kasa_config", NULL, "KaSA" },
  { "monteclora_config", NULL, "MonteCLoRA" },
  { "target_parameters", NULL, "parameters that are no layers" },
  { "lora_bias", "false", "a bias of B" },
  { "fan_in_fan_out", "false", "transposed weights" },
  { "modules_to_save", NULL, "whole modules beside the factors" },
  { "rank_pattern", NULL, "ranks of their own for some modules" },
  { "alpha_pattern", NULL, "alphas of their own for some modules" },
  { "layer_replication", NULL, "repeated layers" },
  { "trainable_token_indices", NULL, "trained tokens" },
  { "megatron_config", NULL, "Megatron's layers" },
};

static gboolean
is_plain (const json_t *value, const char *want)
{
  if (value == NULL || json_is_null (value))
    return TRUE;
  if (json_is_boolean (value))
    return want != NULL && strcmp (want, json_is_true (value) ? "true" : "false") == 0;
  if (json_is_string (value))
    return want != NULL && g_ascii_strcasecmp (want, json_string_value (value)) == 0;
  return want == NULL && json_is_object (value) ? json_object_size (value) == 0 : want == NULL && json_is_array (value) && json_array_size (value) == 0;
}

static gboolean
read_settings (VjMllamaAdapter *adapter, const char *file, const json_t *root, GError **error)
{
  guint64 rank = 0;
  gboolean root_scaled = FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (plain); i++)
    if (!is_plain (json_object_get (root, plain[i].key), plain[i].value))
      return vj_fail (error, VJ_EXIT_DATA, "%s: '%s': %s: only plain LoRA is read; merge the adapter into its base by PEFT", file, plain[i].key, plain[i].what);
  if (!vj_json_get_uint (file, root, "r", 1, MAX_RANK, &rank, error) || !vj_json_get_real (file, root, "lora_alpha", 0, 1e6, &adapter->alpha, error) ||
      !vj_json_get_bool (file, root, "use_rslora", &root_scaled, error))
    return FALSE;
  if (rank == 0 || adapter->alpha <= 0)
    return vj_fail (error, VJ_EXIT_DATA, "%s: 'r, lora_alpha': missing, or not above 0; fetch or make the adapter again", file);
  adapter->rank = (guint) rank;
  adapter->scale = (float) (adapter->alpha / (root_scaled ? sqrt ((double) rank) : (double) rank));
  return TRUE;
}

/* The base's directory: absolute, or relative to the adapter's. */
static gboolean
find_base (VjMllamaAdapter *adapter, const char *file, const json_t *root, GError **error)
{
  const char *name = vj_json_peek_string (root, "base_model_name_or_path");
  if (name == NULL || name[0] == '\0')
    return vj_fail (error, VJ_EXIT_DATA, "%s: 'base_model_name_or_path': missing: an adapter is nothing without its base; write the base's directory there", file);
  adapter->base = g_path_is_absolute (name) ? g_strdup (name) : g_build_filename (adapter->dir, name, NULL);
  g_autofree char *config = g_build_filename (adapter->base, "config.json", NULL), *chained = g_build_filename (adapter->base, VJ_ADAPTER_CONFIG, NULL);
  g_autofree char *shown = vj_quote (name, 0);
  if (g_file_test (chained, G_FILE_TEST_EXISTS))
    return vj_fail (error, VJ_EXIT_DATA, "%s: 'base_model_name_or_path': '%s' is an adapter itself; merge that one into its base first", file, shown);
  return g_file_test (config, G_FILE_TEST_IS_REGULAR) ||
         vj_fail (error, VJ_EXIT_DATA, "%s: 'base_model_name_or_path': '%s' is no model directory here (relative paths begin at the adapter's directory, hub names are not "
                  "fetched); write the base's directory there", file, shown);
}

static gboolean
read_config (VjMllamaAdapter *adapter, const char *file, GError **error)
{
  gsize length;
  g_autofree char *bytes = vj_json_bytes (file, CONFIG_LIMIT, &length, error);
  json_t *root = bytes == NULL ? NULL : vj_json_object (file, bytes, length, error);
  gboolean ok = root != NULL && read_settings (adapter, file, root, error) && find_base (adapter, file, root, error) &&
                (adapter->targets = vj_adapter_targets_new (file, root, error)) != NULL;
  json_decref (root);
  return ok;
}

gboolean
vj_mllama_adapter_open (const char *dir, VjMllamaAdapter **ret_adapter, GError **error)
{
  g_autofree char *config = g_build_filename (dir, VJ_ADAPTER_CONFIG, NULL), *weights = g_build_filename (dir, VJ_ADAPTER_MODEL, NULL);
  if (!g_file_test (config, G_FILE_TEST_EXISTS)) {
    *ret_adapter = NULL;
    return TRUE;
  }
  g_autoptr (VjMllamaAdapter) adapter = g_new0 (VjMllamaAdapter, 1);
  adapter->dir = g_strdup (dir);
  if (!read_config (adapter, config, error))
    return FALSE;
  if (!g_file_test (weights, G_FILE_TEST_EXISTS))
    return vj_fail (error, VJ_EXIT_DATA, "%s: '" VJ_ADAPTER_MODEL "': missing (pickle files are never opened); save the adapter with safetensors", dir);
  if ((adapter->file = vj_safetensors_open (weights, error)) == NULL)
    return FALSE;
  *ret_adapter = g_steal_pointer (&adapter);
  return TRUE;
}

void
vj_mllama_adapter_free (VjMllamaAdapter *adapter)
{
  if (adapter == NULL)
    return;
  for (guint i = 0; adapter->factors != NULL && i < adapter->n; i++) {
    g_free (adapter->factors[i].a);
    g_free (adapter->factors[i].b);
  }
  g_free (adapter->factors);
  vj_safetensors_free (adapter->file);
  vj_adapter_targets_free (adapter->targets);
  g_free (adapter->dir);
  g_free (adapter->base);
  g_free (adapter);
}

char *
vj_mllama_base_dir (const char *dir, GError **error)
{
  g_autoptr (VjMllamaAdapter) adapter = NULL;
  if (!vj_mllama_adapter_open (dir, &adapter, error))
    return NULL;
  return g_strdup (adapter == NULL ? dir : adapter->base);
}

const char *
vj_mllama_adapter_peek_base (const VjMllamaAdapter *adapter)
{
  return adapter->base;
}

guint
vj_mllama_adapter_rank (const VjMllamaAdapter *adapter)
{
  return adapter->rank;
}

float
vj_mllama_adapter_scale (const VjMllamaAdapter *adapter)
{
  return adapter->scale;
}

/* -- adapter_model.safetensors --------------------------------------------------- */

gboolean
vj_mllama_is_target (const VjMllamaPlan *plan, guint i, const char *const *targets)
{
  const VjMllamaWeight *weight = vj_mllama_plan_at (plan, i);
  if (!weight->is_product || weight->start == VJ_START_PATCH || i == plan->head)
    return FALSE;
  g_autofree char *stem = g_strndup (weight->key, strlen (weight->key) - strlen (".weight"));
  const char *dot = strrchr (stem, '.');
  return targets == NULL || g_strv_contains (targets, dot == NULL ? stem : dot + 1);
}

static char *
without_suffix (char *key)
{
  key[strlen (key) - strlen (".weight")] = '\0';
  return key;
}

char *
vj_mllama_module (const VjMllamaPlan *plan, guint i)
{
  return without_suffix (vj_mllama_newer_key (vj_mllama_plan_at (plan, i)->key));
}

/* The tensor of a factor under today's or the published name of its module. */
static const VjTensor *
find_factor (const VjMllamaAdapter *adapter, const VjMllamaPlan *plan, guint i, const char *factor)
{
  g_autofree char *newer = vj_mllama_module (plan, i), *older = without_suffix (g_strdup (vj_mllama_plan_at (plan, i)->key));
  g_autofree char *name = g_strconcat (VJ_ADAPTER_PREFIX, newer, ".", factor, ".weight", NULL);
  g_autofree char *other = g_strconcat (VJ_ADAPTER_PREFIX, older, ".", factor, ".weight", NULL);
  const VjTensor *tensor = vj_safetensors_find (adapter->file, name);
  return tensor != NULL ? tensor : vj_safetensors_find (adapter->file, other);
}

/* Reads one factor; what is wrong with it, or NULL. */
static const char *
read_factor (const VjTensor *tensor, gsize rows, gsize cols, float **ret_values)
{
  if (tensor == NULL)
    return "has no partner";
  if (tensor->n_dims != 2 || tensor->dims[0] != rows || tensor->dims[1] != cols)
    return "has another shape than r and its weight make";
  float *values = g_new (float, tensor->n_elements), sum = 0;
  vj_dtype_to_f32 (tensor->dtype, tensor->data, tensor->n_elements, values);
  for (gsize e = 0; e < tensor->n_elements; e++)
    sum += values[e] * 0.0f; /* NaN for NaN and infinity, else 0 */
  *ret_values = values;
  return sum == 0 ? NULL : "holds a value that is not finite";
}

static void
add_fault (GString *text, guint *n, const char *name, const char *fault)
{
  g_autofree char *shown = vj_quote (name, 0);
  if ((*n)++ < MAX_LISTED)
    g_string_append_printf (text, "%s%s %s", text->len > 0 ? "; " : "", shown, fault);
}

/* PEFT leaves out what its config does not name, so that here and there two models would come of one directory. */
static void
check_target (VjMllamaAdapter *adapter, const VjMllamaPlan *plan, guint i, const VjTensor *tensor, GString *faults, guint *n_faults)
{
  g_autofree char *newer = vj_mllama_module (plan, i), *older = without_suffix (g_strdup (vj_mllama_plan_at (plan, i)->key));
  gboolean named = vj_adapter_targets_have (adapter->targets, newer) || vj_adapter_targets_have (adapter->targets, older);
  if (tensor != NULL && !named)
    add_fault (faults, n_faults, tensor->name, "is of no module that target_modules names");
  else if (tensor == NULL && named && vj_adapter_targets_complete (adapter->targets))
    add_fault (faults, n_faults, newer, "is named by target_modules, but has no factors");
}

static void
read_weight (VjMllamaAdapter *adapter, const VjMllamaPlan *plan, guint i, GHashTable *known, GString *faults, guint *n_faults)
{
  const VjMllamaWeight *weight = vj_mllama_plan_at (plan, i);
  const VjTensor *a = find_factor (adapter, plan, i, "lora_A"), *b = find_factor (adapter, plan, i, "lora_B");
  gsize n = weight->dims[0], k = weight->n_elements / n;
  check_target (adapter, plan, i, a != NULL ? a : b, faults, n_faults);
  if (a == NULL && b == NULL)
    return;
  g_hash_table_add (known, (gpointer) a);
  g_hash_table_add (known, (gpointer) b);
  const char *fault_a = read_factor (a, adapter->rank, k, &adapter->factors[i].a), *fault_b = read_factor (b, n, adapter->rank, &adapter->factors[i].b);
  if (fault_a != NULL)
    add_fault (faults, n_faults, a == NULL ? b->name : a->name, fault_a);
  else if (fault_b != NULL)
    add_fault (faults, n_faults, b == NULL ? a->name : b->name, fault_b);
}

gboolean
vj_mllama_adapter_load (VjMllamaAdapter *adapter, const VjMllamaPlan *plan, GError **error)
{
  g_autoptr (GHashTable) known = g_hash_table_new (NULL, NULL);
  g_autoptr (GString) faults = g_string_new (NULL);
  guint n_faults = 0;
  gsize n;
  const VjTensor *list = vj_safetensors_list (adapter->file, &n);
  adapter->n = plan->weights->len;
  adapter->factors = g_new0 (VjMllamaFactors, adapter->n);
  for (guint i = 0; i < adapter->n; i++)
    if (vj_mllama_is_target (plan, i, NULL))
      read_weight (adapter, plan, i, known, faults, &n_faults);
  for (gsize t = 0; t < n; t++)
    if (!g_hash_table_contains (known, &list[t]))
      add_fault (faults, &n_faults, list[t].name, "is no factor of a linear layer of the base");
  gboolean ok = n_faults == 0 && n > 0;
  if (ok)
    g_clear_pointer (&adapter->file, vj_safetensors_free); /* all is copied: what is cut short later does no harm */
  return ok || vj_fail (error, VJ_EXIT_DATA, "%s: '" VJ_ADAPTER_MODEL "': %u tensors or modules do not fit the base '%s' and " VJ_ADAPTER_CONFIG " (r %u): %s%s; use the base and the config it was trained with, or make it again",
                  adapter->dir, n_faults, adapter->base, adapter->rank, n == 0 ? "there is none" : faults->str, n_faults > MAX_LISTED ? "; and more" : "");
}

const VjMllamaFactors *
vj_mllama_adapter_peek (const VjMllamaAdapter *adapter, guint i)
{
  return adapter->factors[i].a == NULL ? NULL : &adapter->factors[i];
}

void
vj_mllama_adapter_merge (const VjMllamaAdapter *adapter, const VjMllamaPlan *plan, guint i, float *values)
{
  const VjMllamaWeight *weight = vj_mllama_plan_at (plan, i);
  const VjMllamaFactors *factors = vj_mllama_adapter_peek (adapter, i);
  if (factors != NULL)
    vj_lora_merge (factors->a, factors->b, weight->dims[0], weight->n_elements / weight->dims[0], adapter->rank, adapter->scale, values);
}

void
vj_mllama_adapter_digest (const VjMllamaAdapter *adapter, const VjMllamaPlan *plan, GChecksum *sum)
{
  g_autofree char *head = g_strdup_printf ("\nadapter %u %.9g\n", adapter->rank, adapter->scale);
  g_checksum_update (sum, (const guchar *) head, -1);
  for (guint i = 0; i < adapter->n; i++) {
    const VjMllamaWeight *weight = vj_mllama_plan_at (plan, i);
    const VjMllamaFactors *factors = vj_mllama_adapter_peek (adapter, i);
    gsize n = weight->dims[0], k = weight->n_elements / n;
    if (factors == NULL)
      continue;
    g_checksum_update (sum, (const guchar *) weight->key, -1);
    g_checksum_update (sum, (const guchar *) factors->a, (gssize) (adapter->rank * k * sizeof (float)));
    g_checksum_update (sum, (const guchar *) factors->b, (gssize) (adapter->rank * n * sizeof (float)));
  }
}
