/* Reading safetensors: see safetensors.h. Every number of the header is checked before it is used. */
#include "tensor/safetensors.h"
#include "base/checked.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_HEADER 100000000
#define MAX_TENSORS 1000000

typedef struct {
  char *path;
  int fd;
  const guint8 *map;
  gsize size;
  json_t *header; /* owns the names of the tensors */
} Shard;

struct VjSafetensors {
  GPtrArray *shards;   /* Shard */
  GArray *tensors;     /* VjTensor, by name */
  GHashTable *foreign; /* name -> dtype, both owned by a header, of what is not ours to read */
};

typedef struct {
  gsize begin, end;
  const char *name;
} Range;

static void
shard_free (void *data)
{
  Shard *shard = data;
  if (shard->map != NULL)
    munmap ((void *) shard->map, shard->size);
  if (shard->fd >= 0)
    close (shard->fd);
  if (shard->header != NULL)
    json_decref (shard->header);
  g_free (shard->path);
  g_free (shard);
}

static VjSafetensors *
file_new (void)
{
  VjSafetensors *file = g_new0 (VjSafetensors, 1);
  file->shards = g_ptr_array_new_with_free_func (shard_free);
  file->tensors = g_array_new (FALSE, FALSE, sizeof (VjTensor));
  file->foreign = g_hash_table_new (g_str_hash, g_str_equal);
  return file;
}

void
vj_safetensors_free (VjSafetensors *file)
{
  if (file == NULL)
    return;
  g_hash_table_unref (file->foreign);
  g_ptr_array_unref (file->shards);
  g_array_unref (file->tensors);
  g_free (file);
}

static gboolean
refuse (GError **error, const char *path, const char *what, const char *cause)
{
  return vj_fail (error, VJ_EXIT_DATA, "%s: '%s': not a usable safetensors file: %s; fetch or export the model again",
                  path, what, cause);
}

/* A non-negative integer that fits gsize. */
static gboolean
get_size (const json_t *value, gsize *ret_size)
{
  if (!json_is_integer (value) || json_integer_value (value) < 0)
    return FALSE;
  *ret_size = (gsize) json_integer_value (value);
  return TRUE;
}

static gboolean
read_shape (const char *path, const char *name, const json_t *shape, VjTensor *tensor, GError **error)
{
  if (!json_is_array (shape) || json_array_size (shape) > VJ_TENSOR_MAX_DIMS)
    return refuse (error, path, name, "its shape is not an array of at most 8 sizes");
  tensor->n_dims = (guint) json_array_size (shape);
  tensor->n_elements = 1;
  for (guint i = 0; i < tensor->n_dims; i++) {
    if (!get_size (json_array_get (shape, i), &tensor->dims[i]))
      return refuse (error, path, name, "a size of its shape is not a non-negative integer");
    if (!vj_checked_multiply (tensor->n_elements, tensor->dims[i], &tensor->n_elements))
      return refuse (error, path, name, "the product of its shape overflows");
  }
  return TRUE;
}

/* One header entry: its view goes to the tensors when the dtype is ours, its range to `ranges` always. */
static gboolean
read_entry (VjSafetensors *file, const Shard *shard, gsize start, const char *name, const json_t *entry, GArray *ranges,
            GError **error)
{
  const json_t *offsets = json_object_get (entry, "data_offsets");
  const char *dtype = json_string_value (json_object_get (entry, "dtype"));
  Range range = { .name = name };
  VjTensor tensor = { .name = name };
  if (!json_is_object (entry) || dtype == NULL || !json_is_array (offsets) || json_array_size (offsets) != 2 ||
      !get_size (json_array_get (offsets, 0), &range.begin) || !get_size (json_array_get (offsets, 1), &range.end))
    return refuse (error, shard->path, name, "its entry lacks a dtype, a shape or two data_offsets");
  if (range.begin > range.end || range.end > shard->size - start)
    return refuse (error, shard->path, name, "its range is reversed or ends beyond the file");
  if (!read_shape (shard->path, name, json_object_get (entry, "shape"), &tensor, error))
    return FALSE;
  g_array_append_val (ranges, range);
  if (!vj_dtype_parse (dtype, &tensor.dtype)) {
    g_hash_table_insert (file->foreign, (gpointer) name, (gpointer) dtype);
    return TRUE;
  }
  gsize bytes;
  if (!vj_checked_multiply (tensor.n_elements, vj_dtype_size (tensor.dtype), &bytes) || bytes != range.end - range.begin)
    return refuse (error, shard->path, name, "its dtype and shape do not make the length of its range");
  tensor.data = shard->map + start + range.begin;
  g_array_append_val (file->tensors, tensor);
  return TRUE;
}

static int
compare_ranges (const void *a, const void *b)
{
  const Range *x = a, *y = b;
  if (x->begin != y->begin)
    return x->begin < y->begin ? -1 : 1;
  return x->end < y->end ? -1 : x->end > y->end;
}

static gboolean
check_tiling (const Shard *shard, gsize start, GArray *ranges, GError **error)
{
  gsize at = 0;
  g_array_sort (ranges, compare_ranges);
  for (guint i = 0; i < ranges->len; i++) {
    const Range *range = &g_array_index (ranges, Range, i);
    if (range->begin != at)
      return refuse (error, shard->path, range->name, range->begin < at ? "its range overlaps another" : "there is a gap before its range");
    at = range->end;
  }
  if (at != shard->size - start)
    return refuse (error, shard->path, "(end)", "bytes after the last tensor");
  return TRUE;
}

/* What a clone without `git lfs` leaves in a large file's place. */
static gboolean
is_lfs_pointer (const Shard *shard)
{
  static const char start[] = "version https://git-lfs";
  return shard->size < 1024 && shard->size >= sizeof start - 1 && memcmp (shard->map, start, sizeof start - 1) == 0;
}

static gboolean
read_header (VjSafetensors *file, Shard *shard, GError **error)
{
  guint64 length;
  if (is_lfs_pointer (shard))
    return vj_fail (error, VJ_EXIT_DATA,
                    "model: '%s': a Git LFS pointer, not the weights: they were not fetched; run `git lfs pull` in the model directory",
                    shard->path);
  if (shard->size < 8)
    return refuse (error, shard->path, "(header)", "shorter than its length field");
  memcpy (&length, shard->map, 8);
  length = GUINT64_FROM_LE (length);
  if (length > MAX_HEADER || length > shard->size - 8)
    return refuse (error, shard->path, "(header)", "its length is beyond the file or beyond 100,000,000 bytes");
  json_error_t fault;
  shard->header = json_loadb ((const char *) shard->map + 8, (gsize) length, JSON_REJECT_DUPLICATES, &fault);
  if (!json_is_object (shard->header))
    return refuse (error, shard->path, "(header)", shard->header == NULL ? fault.text : "not a JSON object");
  if (json_object_size (shard->header) > MAX_TENSORS)
    return refuse (error, shard->path, "(header)", "more than a million tensors");
  g_autoptr (GArray) ranges = g_array_new (FALSE, FALSE, sizeof (Range));
  const char *name;
  json_t *entry;
  json_object_foreach (shard->header, name, entry)
    if (strcmp (name, "__metadata__") != 0 && !read_entry (file, shard, 8 + (gsize) length, name, entry, ranges, error))
      return FALSE;
  return check_tiling (shard, 8 + (gsize) length, ranges, error);
}

static gboolean
add_shard (VjSafetensors *file, const char *path, GError **error)
{
  Shard *shard = g_new0 (Shard, 1);
  struct stat info;
  shard->path = g_strdup (path);
  g_ptr_array_add (file->shards, shard);
  shard->fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (shard->fd < 0 || fstat (shard->fd, &info) < 0)
    return vj_fail (error, VJ_EXIT_DATA, "model: '%s': cannot be opened: %s; check the path, or fetch the file", path,
                    g_strerror (errno));
  if (!S_ISREG (info.st_mode) || info.st_size <= 0)
    return refuse (error, path, "(file)", S_ISREG (info.st_mode) ? "empty" : "not a regular file");
  shard->size = (gsize) info.st_size;
  void *map = mmap (NULL, shard->size, PROT_READ, MAP_SHARED, shard->fd, 0);
  if (map == MAP_FAILED)
    return vj_fail (error, VJ_EXIT_LIMIT, "model: '%s': cannot be mapped: %s; free address space", path, g_strerror (errno));
  shard->map = map;
  return read_header (file, shard, error);
}

static int
compare_tensors (const void *a, const void *b)
{
  return strcmp (((const VjTensor *) a)->name, ((const VjTensor *) b)->name);
}

/* Sorts by name, after which a name that two shards claim stands beside itself. */
static gboolean
seal (VjSafetensors *file, const char *path, GError **error)
{
  g_array_sort (file->tensors, compare_tensors);
  for (guint i = 1; i < file->tensors->len; i++) {
    const VjTensor *tensor = &g_array_index (file->tensors, VjTensor, i);
    if (strcmp (tensor->name, tensor[-1].name) == 0)
      return refuse (error, path, tensor->name, "two shards hold it");
  }
  return TRUE;
}

VjSafetensors *
vj_safetensors_open (const char *path, GError **error)
{
  g_autoptr (VjSafetensors) file = file_new ();
  if (!add_shard (file, path, error) || !seal (file, path, error))
    return NULL;
  return g_steal_pointer (&file);
}

/* Shard names come from a file: plain names only, so that none leaves the directory. */
static gboolean
is_plain_name (const char *name)
{
  return name[0] != '\0' && name[0] != '.' && strchr (name, '/') == NULL && g_str_has_suffix (name, ".safetensors");
}

static json_t *
load_index (const char *path, GError **error)
{
  struct stat info;
  json_error_t fault;
  json_t *index = NULL;
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    vj_fail (error, VJ_EXIT_DATA, "model: '%s': cannot be opened: %s; check the file", path, g_strerror (errno));
  else if (fstat (fd, &info) < 0 || !S_ISREG (info.st_mode) || info.st_size > MAX_HEADER)
    refuse (error, path, "(file)", "not a regular file of at most 100,000,000 bytes");
  else if ((index = json_loadfd (fd, JSON_REJECT_DUPLICATES, &fault)) == NULL)
    refuse (error, path, "(file)", fault.text);
  if (fd >= 0)
    close (fd);
  return index;
}

/* Each shard that the map names, once. */
static gboolean
add_shards (VjSafetensors *file, const char *dir, const char *index_path, json_t *map, GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  const char *name;
  json_t *value;
  json_object_foreach (map, name, value) {
    const char *shard = json_string_value (value);
    if (shard == NULL || !is_plain_name (shard))
      return refuse (error, index_path, name,
                     "its shard is not the plain name of a .safetensors file in this directory");
    if (!g_hash_table_add (seen, (gpointer) shard))
      continue;
    g_autofree char *path = g_build_filename (dir, shard, NULL);
    if (!add_shard (file, path, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
check_map (const VjSafetensors *file, const char *index_path, json_t *map, GError **error)
{
  const char *name;
  json_t *value;
  json_object_foreach (map, name, value)
    if (vj_safetensors_find (file, name) == NULL && vj_safetensors_foreign (file, name) == NULL)
      return refuse (error, index_path, name, "no shard holds it");
  return TRUE;
}

static gboolean
add_indexed (VjSafetensors *file, const char *dir, const char *index_path, GError **error)
{
  json_t *index = load_index (index_path, error), *map = json_object_get (index, "weight_map");
  gboolean ok = index != NULL && (json_is_object (map) || refuse (error, index_path, "weight_map", "not an object"));
  ok = ok && add_shards (file, dir, index_path, map, error) && seal (file, index_path, error) &&
       check_map (file, index_path, map, error);
  json_decref (index);
  return ok;
}

/* Why a directory has no weights for us, by what else it has; the first kind found in this order. */
static const struct {
  const char *start, *end, *cause, *remedy;
} others[] = {
  { "model-", ".safetensors", "shards without their model.safetensors.index.json", "fetch that file too" },
  { "adapter_model", "", "only an adapter", "merge it into its base model" },
  { "", ".bin", "only a pickle file, which is never opened", "export it as safetensors" },
  { "", ".pth", "only a pickle file, which is never opened", "export it as safetensors" },
  { "", ".pt", "only a pickle file, which is never opened", "export it as safetensors" },
  { "", ".gguf", "only a GGUF file, which is not read", "fetch the Hugging Face model" },
};

static gboolean
refuse_absent (const char *path, GError **error)
{
  guint best = G_N_ELEMENTS (others);
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  for (const char *name; dir != NULL && (name = g_dir_read_name (dir)) != NULL;)
    for (guint i = 0; i < best; i++)
      if (g_str_has_prefix (name, others[i].start) && g_str_has_suffix (name, others[i].end))
        best = i;
  gboolean none = best == G_N_ELEMENTS (others);
  return vj_fail (error, VJ_EXIT_DATA, "model: '%s': has no model.safetensors: %s; %s", path,
                  none ? "nothing to read weights from" : others[best].cause,
                  none ? "give a Hugging Face model directory" : others[best].remedy);
}

VjSafetensors *
vj_safetensors_open_dir (const char *dir, GError **error)
{
  g_autoptr (VjSafetensors) file = file_new ();
  g_autofree char *index_path = g_build_filename (dir, "model.safetensors.index.json", NULL);
  g_autofree char *single = g_build_filename (dir, "model.safetensors", NULL);
  gboolean ok;
  if (g_file_test (index_path, G_FILE_TEST_EXISTS))
    ok = add_indexed (file, dir, index_path, error);
  else if (g_file_test (single, G_FILE_TEST_EXISTS))
    ok = add_shard (file, single, error) && seal (file, single, error);
  else
    ok = refuse_absent (dir, error);
  return ok ? g_steal_pointer (&file) : NULL;
}

const VjTensor *
vj_safetensors_find (const VjSafetensors *file, const char *name)
{
  guint low = 0, high = file->tensors->len;
  while (low < high) {
    guint middle = low + (high - low) / 2;
    const VjTensor *tensor = &g_array_index (file->tensors, VjTensor, middle);
    int order = strcmp (name, tensor->name);
    if (order == 0)
      return tensor;
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return NULL;
}

const char *
vj_safetensors_foreign (const VjSafetensors *file, const char *name)
{
  return g_hash_table_lookup (file->foreign, name);
}

const VjTensor *
vj_safetensors_list (const VjSafetensors *file, gsize *ret_n)
{
  *ret_n = file->tensors->len;
  return (const VjTensor *) file->tensors->data;
}

void
vj_safetensors_rest (const VjSafetensors *file)
{
  for (guint i = 0; i < file->shards->len; i++) {
    const Shard *shard = g_ptr_array_index (file->shards, i);
    if (shard->map != NULL)
      madvise ((void *) shard->map, shard->size, MADV_DONTNEED);
  }
}

gboolean
vj_safetensors_is_cut (const VjSafetensors *file)
{
  for (guint i = 0; i < file->shards->len; i++) {
    const Shard *shard = g_ptr_array_index (file->shards, i);
    struct stat info;
    if (fstat (shard->fd, &info) < 0 || (gsize) info.st_size < shard->size)
      return TRUE;
  }
  return FALSE;
}
