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
  GPtrArray *shards; /* Shard */
  GArray *tensors;   /* VjTensor, by name */
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
  return file;
}

void
vj_safetensors_free (VjSafetensors *file)
{
  if (file == NULL)
    return;
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

/* One header entry: its view goes to `tensors` when the dtype is ours, its range to `ranges` always. */
static gboolean
read_entry (const Shard *shard, gsize start, const char *name, const json_t *entry, GArray *tensors, GArray *ranges,
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
  if (!vj_dtype_parse (dtype, &tensor.dtype))
    return TRUE;
  gsize bytes;
  if (!vj_checked_multiply (tensor.n_elements, vj_dtype_size (tensor.dtype), &bytes) || bytes != range.end - range.begin)
    return refuse (error, shard->path, name, "its dtype and shape do not make the length of its range");
  tensor.data = shard->map + start + range.begin;
  g_array_append_val (tensors, tensor);
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

static gboolean
read_header (Shard *shard, GArray *tensors, GError **error)
{
  guint64 length;
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
    if (strcmp (name, "__metadata__") != 0 && !read_entry (shard, 8 + (gsize) length, name, entry, tensors, ranges, error))
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
    return vj_fail (error, VJ_EXIT_DATA, "model: '%s': cannot be opened: %s; check the path", path, g_strerror (errno));
  if (!S_ISREG (info.st_mode) || info.st_size <= 0)
    return refuse (error, path, "(file)", S_ISREG (info.st_mode) ? "empty" : "not a regular file");
  shard->size = (gsize) info.st_size;
  void *map = mmap (NULL, shard->size, PROT_READ, MAP_SHARED, shard->fd, 0);
  if (map == MAP_FAILED)
    return vj_fail (error, VJ_EXIT_LIMIT, "model: '%s': cannot be mapped: %s; free address space", path, g_strerror (errno));
  shard->map = map;
  return read_header (shard, file->tensors, error);
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

static gboolean
add_indexed (VjSafetensors *file, const char *dir, const char *index_path, GError **error)
{
  json_error_t fault;
  json_t *index = json_load_file (index_path, JSON_REJECT_DUPLICATES, &fault);
  json_t *map = json_object_get (index, "weight_map");
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  gboolean ok = json_is_object (map) || refuse (error, index_path, "weight_map", index == NULL ? fault.text : "not an object");
  const char *name;
  json_t *value;
  if (ok)
    json_object_foreach (map, name, value) {
      const char *shard = json_string_value (value);
      if (shard == NULL || !is_plain_name (shard)) {
        ok = refuse (error, index_path, name, "its shard is not the plain name of a .safetensors file in this directory");
        break;
      }
      if (!g_hash_table_add (seen, g_strdup (shard)))
        continue;
      g_autofree char *path = g_build_filename (dir, shard, NULL);
      if (!(ok = add_shard (file, path, error)))
        break;
    }
  if (ok && (ok = seal (file, index_path, error)))
    json_object_foreach (map, name, value)
      if (vj_safetensors_find (file, name) == NULL) {
        ok = refuse (error, index_path, name, "no shard holds it in a known dtype");
        break;
      }
  json_decref (index);
  return ok;
}

VjSafetensors *
vj_safetensors_open_dir (const char *dir, GError **error)
{
  g_autoptr (VjSafetensors) file = file_new ();
  g_autofree char *index_path = g_build_filename (dir, "model.safetensors.index.json", NULL);
  g_autofree char *single = g_build_filename (dir, "model.safetensors", NULL);
  if (g_file_test (index_path, G_FILE_TEST_EXISTS)) {
    if (!add_indexed (file, dir, index_path, error))
      return NULL;
  } else if (!g_file_test (single, G_FILE_TEST_EXISTS)) {
    g_autofree char *pickle = g_build_filename (dir, "pytorch_model.bin", NULL);
    vj_fail (error, VJ_EXIT_DATA, "model: '%s': has no model.safetensors: %s; export it as safetensors", dir,
             g_file_test (pickle, G_FILE_TEST_EXISTS) ? "only a pickle file, which is never opened" : "nothing to read weights from");
    return NULL;
  } else if (!add_shard (file, single, error) || !seal (file, single, error)) {
    return NULL;
  }
  return g_steal_pointer (&file);
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
