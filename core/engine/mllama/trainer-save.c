/* Model directories and checkpoints written by the trainer: see train.h. */
#define _GNU_SOURCE /* renameat2 */
#include "base/file.h"
#include "engine/mllama/trainer.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of one file beside the weights: tokenizers of some 20 MB are the largest. What is longer is weights in another format. */
#define COPY_LIMIT ((gsize) 256 << 20)

static const struct { VjMllamaState state; const char *prefix; } kept_states[] = {
  { VJ_STATE_PARAM, "param." }, { VJ_STATE_M, "m." }, { VJ_STATE_V, "v." },
};

static gboolean
failed (GError **error, const char *path, const char *what)
{
  return vj_fail (error, VJ_EXIT_STORE, "save: '%s': %s failed: %s; free space or check permissions", path, what, g_strerror (errno));
}

/* -- checkpoints ----------------------------------------------------------- */

/* The step count as three 24-bit parts, each exact in f32. */
static void
split_steps (guint64 steps, float *ret_parts)
{
  for (guint i = 0; i < 3; i++)
    ret_parts[i] = (float) (steps >> 24 * i & 0xffffff);
}

/* One tensor of a checkpoint: a state of what is trained, or a weight that stays and is in no file. */
static void
add_tensor (GArray *tensors, GPtrArray *owned, const char *prefix, const char *key, guint n_dims, const gsize *dims, gsize n_elements, float *values)
{
  VjTensor tensor = { .name = g_strconcat (prefix, key, NULL), .n_dims = n_dims, .n_elements = n_elements, .data = values };
  memcpy (tensor.dims, dims, n_dims * sizeof *dims);
  g_ptr_array_add (owned, values);
  g_ptr_array_add (owned, (gpointer) tensor.name);
  g_array_append_val (tensors, tensor);
}

gboolean
vj_mllama_trainer_checkpoint (VjMllamaTrainer *trainer, const char *file, GError **error)
{
  g_autoptr (GArray) tensors = g_array_new (FALSE, FALSE, sizeof (VjTensor));
  g_autoptr (GPtrArray) owned = g_ptr_array_new_with_free_func (g_free);
  const char *const metadata[] = { "vjrun", "training checkpoint 2", NULL };
  float steps[3];
  split_steps (trainer->steps, steps);
  VjTensor count = { .name = "steps", .n_dims = 1, .dims = { 3 }, .n_elements = 3, .data = steps };
  g_array_append_val (tensors, count);
  for (guint s = 0; s < G_N_ELEMENTS (kept_states); s++)
    for (guint t = 0; t < trainer->trained->len; t++) {
      const VjMllamaTrained *trained = vj_trained_at (trainer, t);
      float *values = g_new (float, trained->n_elements);
      vj_mllama_trainer_get_trained (trainer, kept_states[s].state, t, values);
      add_tensor (tensors, owned, kept_states[s].prefix, trained->key, trained->n_dims, trained->dims, trained->n_elements, values);
    }
  for (guint i = 0; i < trainer->plan->weights->len; i++)
    if (trainer->held[i] != NULL && trainer->loose[i]) {
      const VjMllamaWeight *weight = vj_mllama_plan_at (trainer->plan, i);
      float *values = g_new (float, weight->n_elements);
      vj_mllama_trainer_get (trainer, VJ_STATE_PARAM, i, values);
      add_tensor (tensors, owned, "param.", weight->key, weight->n_dims, weight->dims, weight->n_elements, values);
    }
  return vj_safetensors_save (file, (const VjTensor *) (gpointer) tensors->data, tensors->len, metadata, error);
}

/* The tensor `prefix` + key of a checkpoint, if it has that shape. */
static const VjTensor *
find_state (const VjSafetensors *file, const char *prefix, const char *key, guint n_dims, const gsize *dims)
{
  g_autofree char *name = g_strconcat (prefix, key, NULL);
  const VjTensor *tensor = vj_safetensors_find (file, name);
  if (tensor == NULL || tensor->dtype != VJ_DTYPE_F32 || tensor->n_dims != n_dims)
    return NULL;
  for (guint d = 0; d < n_dims; d++)
    if (tensor->dims[d] != dims[d])
      return NULL;
  return tensor;
}

/* What was frozen in the training that wrote the checkpoint has no moments there: both of them are missing then. */
static gboolean
was_frozen (const VjSafetensors *file, const VjMllamaTrained *trained)
{
  g_autofree char *m = g_strconcat ("m.", trained->key, NULL), *v = g_strconcat ("v.", trained->key, NULL);
  return trained->factor == VJ_FACTOR_NONE && vj_safetensors_find (file, m) == NULL && vj_safetensors_find (file, v) == NULL;
}

/* The key of a trained tensor that the checkpoint lacks; NULL: it has all. */
static const char *
find_missing (const VjMllamaTrainer *trainer, const VjSafetensors *file)
{
  const VjTensor *steps = vj_safetensors_find (file, "steps");
  if (steps == NULL || steps->dtype != VJ_DTYPE_F32 || steps->n_elements != 3)
    return "steps";
  for (guint t = 0; t < trainer->trained->len; t++) {
    const VjMllamaTrained *trained = vj_trained_at (trainer, t);
    for (guint s = 0; s < G_N_ELEMENTS (kept_states); s++)
      if (find_state (file, kept_states[s].prefix, trained->key, trained->n_dims, trained->dims) == NULL &&
          (kept_states[s].state == VJ_STATE_PARAM || !was_frozen (file, trained)))
        return trained->key;
  }
  return NULL;
}

static gboolean
read_steps (const VjSafetensors *file, const char *path, guint64 *ret_steps, GError **error)
{
  float parts[3];
  guint64 count = 0;
  memcpy (parts, vj_safetensors_find (file, "steps")->data, sizeof parts);
  for (guint i = 0; i < 3; i++) {
    if (!(parts[i] >= 0 && parts[i] < 0x1p24f))
      return vj_fail (error, VJ_EXIT_DATA, "%s: 'steps': not a checkpoint of this model: no step count; restore another", path);
    count |= (guint64) parts[i] << 24 * i;
  }
  *ret_steps = count;
  return TRUE;
}

static void
restore_trained (VjMllamaTrainer *trainer, const VjSafetensors *file)
{
  for (guint t = 0; t < trainer->trained->len; t++)
    for (guint s = 0; s < G_N_ELEMENTS (kept_states); s++) {
      const VjMllamaTrained *trained = vj_trained_at (trainer, t);
      const VjTensor *tensor = find_state (file, kept_states[s].prefix, trained->key, trained->n_dims, trained->dims);
      g_autofree float *values = g_new0 (float, trained->n_elements);
      if (tensor != NULL)
        memcpy (values, tensor->data, trained->n_elements * 4);
      vj_mllama_trainer_set_trained (trainer, kept_states[s].state, t, values);
    }
}

gboolean
vj_mllama_trainer_restore (VjMllamaTrainer *trainer, const char *path, GError **error)
{
  g_autoptr (VjSafetensors) file = vj_safetensors_open (path, error);
  const char *missing = file == NULL ? NULL : find_missing (trainer, file);
  guint64 steps = 0;
  if (file == NULL)
    return FALSE;
  if (missing != NULL)
    return vj_fail (error, VJ_EXIT_DATA, "%s: '%s': not a checkpoint of this model and training: missing or of another shape; restore the checkpoint that belongs to it, "
                    "or train anew", path, missing);
  if (!read_steps (file, path, &steps, error))
    return FALSE;
  for (guint i = 0; i < trainer->plan->weights->len; i++) {
    const VjMllamaWeight *weight = vj_mllama_plan_at (trainer->plan, i);
    const VjTensor *tensor = trainer->net.grad[i] != NULL ? NULL : find_state (file, "param.", weight->key, weight->n_dims, weight->dims);
    if (tensor == NULL)
      continue;
    g_autofree float *values = g_new (float, weight->n_elements);
    memcpy (values, tensor->data, weight->n_elements * 4);
    if (!vj_trainer_hold (trainer, i, values, error))
      return FALSE;
  }
  restore_trained (trainer, file);
  trainer->steps = steps;
  return TRUE;
}

gboolean
vj_mllama_trainer_fits (const VjMllamaTrainer *trainer, const char *path, gboolean *ret_fits, GError **error)
{
  g_autoptr (VjSafetensors) file = vj_safetensors_open (path, error);
  if (file == NULL)
    return FALSE;
  *ret_fits = find_missing (trainer, file) == NULL;
  return TRUE;
}

/* -- model directories ----------------------------------------------------- */

/* The bytes of a weight that is as it was, where they lie in its file; NULL when they are to be made. */
static const void *
stored (const VjMllamaTrainer *trainer, guint i, VjDtype dtype)
{
  gboolean head = trainer->plan->tied && i == trainer->plan->head;
  guint source = head ? trainer->plan->embed : i;
  gboolean factors = trainer->net.lora != NULL && trainer->net.lora->of[i].a != NULL;
  if (trainer->file == NULL || factors || trainer->net.grad[source] != NULL || trainer->held[source] != NULL)
    return NULL;
  const VjTensor *tensor = vj_mllama_plan_find (trainer->plan, trainer->file, source);
  return tensor->dtype == dtype ? tensor->data : NULL;
}

static gboolean
save_weights (VjMllamaTrainer *trainer, const char *dir, VjDtype dtype, GError **error)
{
  guint n = trainer->plan->weights->len;
  g_autofree VjTensor *tensors = g_new0 (VjTensor, n);
  g_autoptr (GPtrArray) owned = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *file = g_build_filename (dir, "model.safetensors", NULL);
  const char *const metadata[] = { "format", "pt", NULL };
  for (guint i = 0; i < n; i++) { /* a tied head is written too: readers differ in whether they tie */
    const VjMllamaWeight *weight = vj_mllama_plan_at (trainer->plan, i);
    tensors[i] = (VjTensor) { .name = weight->key, .dtype = dtype, .n_dims = weight->n_dims, .n_elements = weight->n_elements, .data = stored (trainer, i, dtype) };
    memcpy (tensors[i].dims, weight->dims, sizeof weight->dims);
    if (tensors[i].data != NULL)
      continue;
    g_autofree float *values = g_new (float, weight->n_elements);
    void *data = g_malloc (weight->n_elements * vj_dtype_size (dtype));
    g_ptr_array_add (owned, data);
    vj_mllama_trainer_get (trainer, VJ_STATE_PARAM, i, values);
    vj_trainer_merge (trainer, i, values);
    vj_dtype_from_f32 (dtype, values, weight->n_elements, data);
    tensors[i].data = data;
  }
  return vj_safetensors_save (file, tensors, n, metadata, error);
}

static gboolean
write_synced (const char *path, const char *data, gsize length, GError **error)
{
  FILE *file = fopen (path, "wbxe");
  if (file == NULL)
    return failed (error, path, "creating");
  gboolean ok = fwrite (data, 1, length, file) == length && fflush (file) == 0 && fsync (fileno (file)) == 0;
  int fault = errno;
  ok = fclose (file) == 0 && ok;
  errno = fault;
  return ok || failed (error, path, "writing");
}

/* config.json with the dtype the weights now have, under the names transformers has used for it. */
static char *
with_dtype (const char *text, gsize length, VjDtype dtype)
{
  static const char *const sections[] = { NULL, "text_config", "vision_config" }, *const keys[] = { "dtype", "torch_dtype" };
  json_t *root = json_loadb (text, length, JSON_REJECT_DUPLICATES, NULL);
  for (guint s = 0; s < G_N_ELEMENTS (sections); s++) {
    json_t *section = sections[s] == NULL ? root : json_object_get (root, sections[s]);
    for (guint k = 0; k < G_N_ELEMENTS (keys); k++)
      if (json_object_get (section, keys[k]) != NULL)
        json_object_set_new (section, keys[k], json_string (dtype == VJ_DTYPE_BF16 ? "bfloat16" : dtype == VJ_DTYPE_F16 ? "float16" : "float32"));
  }
  char *dumped = root == NULL ? NULL : json_dumps (root, JSON_INDENT (2));
  char *result = dumped == NULL ? g_strndup (text, length) : g_strconcat (dumped, "\n", NULL);
  free (dumped);
  json_decref (root);
  return result;
}

/* Weights are written anew, and what describes other weights or another run does not follow. */
static gboolean
is_copied (const char *name)
{
  return !g_str_has_suffix (name, ".safetensors") && !g_str_has_suffix (name, ".safetensors.index.json") && !g_str_has_suffix (name, ".bin") &&
         !g_str_has_suffix (name, ".pth") && name[0] != '.' && g_ascii_strncasecmp (name, "README", 6) != 0;
}

static gboolean
copy_files (VjMllamaTrainer *trainer, const char *to, VjDtype dtype, GError **error)
{
  g_autoptr (GError) fault = NULL;
  g_autoptr (GDir) dir = g_dir_open (trainer->dir, 0, &fault);
  if (dir == NULL)
    return vj_fail (error, VJ_EXIT_DATA, "save: '%s': the opened model cannot be listed: %s; check the directory", trainer->dir, fault->message);
  for (const char *name; (name = g_dir_read_name (dir)) != NULL;) {
    g_autofree char *from = g_build_filename (trainer->dir, name, NULL), *target = g_build_filename (to, name, NULL), *changed = NULL;
    if (!is_copied (name) || !g_file_test (from, G_FILE_TEST_IS_REGULAR))
      continue;
    g_autoptr (GBytes) bytes = vj_file_read (from, COPY_LIMIT, &fault);
    if (bytes == NULL && g_error_matches (fault, VJ_ERROR, VJ_EXIT_LIMIT)) {
      g_clear_error (&fault);
      continue;
    }
    if (bytes == NULL)
      return vj_fail (error, VJ_EXIT_DATA, "save: copying the model's files: %s", fault->message);
    gsize length;
    const char *text = g_bytes_get_data (bytes, &length);
    if (strcmp (name, "config.json") == 0) {
      text = changed = with_dtype (text, length, dtype);
      length = strlen (text);
    }
    if (!write_synced (target, text, length, error))
      return FALSE;
  }
  return TRUE;
}

static void
remove_dir (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  for (const char *name; dir != NULL && (name = g_dir_read_name (dir)) != NULL;) {
    g_autofree char *file = g_build_filename (path, name, NULL);
    g_unlink (file);
  }
  g_rmdir (path);
}

static gboolean
sync_dir (const char *path)
{
  int fd = open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  gboolean ok = fd >= 0 && fsync (fd) == 0;
  if (fd >= 0)
    close (fd);
  return ok;
}

gboolean
vj_mllama_trainer_save (VjMllamaTrainer *trainer, const char *dir, VjDtype dtype, GError **error)
{
  g_autofree char *plain = g_strdup (dir);
  while (strlen (plain) > 1 && g_str_has_suffix (plain, "/"))
    plain[strlen (plain) - 1] = '\0';
  g_autofree char *temporary = g_strconcat (plain, ".XXXXXX", NULL), *parent = g_path_get_dirname (plain);
  if (g_mkdtemp_full (temporary, 0755) == NULL)
    return failed (error, plain, "creating a temporary directory beside it");
  gboolean adapter = trainer->config.lora.adapter;
  gboolean ok = (adapter || copy_files (trainer, temporary, dtype, error)) &&
                (adapter ? vj_trainer_write_adapter (trainer, temporary, error) : save_weights (trainer, temporary, dtype, error)) &&
                (sync_dir (temporary) || failed (error, temporary, "syncing"));
  if (ok && renameat2 (AT_FDCWD, temporary, AT_FDCWD, plain, RENAME_NOREPLACE) != 0) {
    int fault = errno;
    /* Not every file system knows the flag; there a plain rename refuses all but an empty directory. */
    ok = fault == EINVAL && g_rename (temporary, plain) == 0;
    errno = fault == EINVAL ? errno : fault;
    if (!ok)
      failed (error, plain, errno == EEXIST || errno == ENOTEMPTY ? "renaming over something that exists" : "renaming");
  }
  if (!ok)
    remove_dir (temporary);
  return ok && (sync_dir (parent) || failed (error, parent, "syncing"));
}
