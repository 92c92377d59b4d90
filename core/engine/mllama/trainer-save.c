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

gboolean
vj_mllama_trainer_checkpoint (VjMllamaTrainer *trainer, const char *file, GError **error)
{
  guint n = trainer->plan->weights->len - (trainer->plan->tied ? 1 : 0);
  g_autofree VjTensor *tensors = g_new0 (VjTensor, 3 * n + 1);
  g_autoptr (GPtrArray) owned = g_ptr_array_new_with_free_func (g_free);
  const char *const metadata[] = { "vjrun", "training checkpoint 1", NULL };
  float steps[3];
  split_steps (trainer->steps, steps);
  tensors[0] = (VjTensor) { .name = "steps", .n_dims = 1, .dims = { 3 }, .n_elements = 3, .data = steps };
  for (guint k = 0; k < 3 * n; k++) {
    const VjMllamaWeight *weight = vj_mllama_plan_at (trainer->plan, k % n);
    VjTensor *tensor = &tensors[k + 1];
    float *values = g_new (float, weight->n_elements);
    g_ptr_array_add (owned, values);
    vj_mllama_trainer_get (trainer, kept_states[k / n].state, k % n, values);
    *tensor = (VjTensor) { .name = g_strconcat (kept_states[k / n].prefix, weight->key, NULL), .n_dims = weight->n_dims, .n_elements = weight->n_elements, .data = values };
    g_ptr_array_add (owned, (gpointer) tensor->name);
    memcpy (tensor->dims, weight->dims, sizeof weight->dims);
  }
  return vj_safetensors_save (file, tensors, 3 * n + 1, metadata, error);
}

/* The tensor `prefix` + key of a checkpoint, if it has the weight's shape. */
static const VjTensor *
find_state (const VjSafetensors *file, const char *prefix, const VjMllamaWeight *weight)
{
  g_autofree char *name = g_strconcat (prefix, weight->key, NULL);
  const VjTensor *tensor = vj_safetensors_find (file, name);
  if (tensor == NULL || tensor->dtype != VJ_DTYPE_F32 || tensor->n_dims != weight->n_dims)
    return NULL;
  for (guint d = 0; d < weight->n_dims; d++)
    if (tensor->dims[d] != weight->dims[d])
      return NULL;
  return tensor;
}

gboolean
vj_mllama_trainer_restore (VjMllamaTrainer *trainer, const char *path, GError **error)
{
  g_autoptr (VjSafetensors) file = vj_safetensors_open (path, error);
  if (file == NULL)
    return FALSE;
  guint n = trainer->plan->weights->len - (trainer->plan->tied ? 1 : 0);
  const VjTensor *steps = vj_safetensors_find (file, "steps");
  const char *bad = steps != NULL && steps->dtype == VJ_DTYPE_F32 && steps->n_elements == 3 ? NULL : "steps";
  for (guint k = 0; k < 3 * n && bad == NULL; k++) /* all is checked before anything changes */
    if (find_state (file, kept_states[k / n].prefix, vj_mllama_plan_at (trainer->plan, k % n)) == NULL)
      bad = vj_mllama_plan_at (trainer->plan, k % n)->key;
  if (bad != NULL)
    return vj_fail (error, VJ_EXIT_DATA, "%s: '%s': not a checkpoint of this model: missing or of another shape; restore the checkpoint that belongs to it", path, bad);
  float parts[3];
  memcpy (parts, steps->data, sizeof parts);
  guint64 count = 0;
  for (guint i = 0; i < 3; i++) {
    if (!(parts[i] >= 0 && parts[i] < 0x1p24f))
      return vj_fail (error, VJ_EXIT_DATA, "%s: 'steps': not a checkpoint of this model: no step count; restore another", path);
    count |= (guint64) parts[i] << 24 * i;
  }
  for (guint k = 0; k < 3 * n; k++) {
    const VjMllamaWeight *weight = vj_mllama_plan_at (trainer->plan, k % n);
    g_autofree float *values = g_new (float, weight->n_elements);
    memcpy (values, find_state (file, kept_states[k / n].prefix, weight)->data, weight->n_elements * 4);
    vj_mllama_trainer_set (trainer, kept_states[k / n].state, k % n, values);
  }
  trainer->steps = count;
  return TRUE;
}

/* -- model directories ----------------------------------------------------- */

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
    g_autofree float *values = g_new (float, weight->n_elements);
    void *data = g_malloc (weight->n_elements * vj_dtype_size (dtype));
    g_ptr_array_add (owned, data);
    vj_mllama_trainer_get (trainer, VJ_STATE_PARAM, i, values);
    vj_dtype_from_f32 (dtype, values, weight->n_elements, data);
    tensors[i] = (VjTensor) { .name = weight->key, .dtype = dtype, .n_dims = weight->n_dims, .n_elements = weight->n_elements, .data = data };
    memcpy (tensors[i].dims, weight->dims, sizeof weight->dims);
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
  gboolean ok = copy_files (trainer, temporary, dtype, error) && save_weights (trainer, temporary, dtype, error) &&
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
