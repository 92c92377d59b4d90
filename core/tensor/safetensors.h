/* safetensors files: an 8-byte little-endian header length, a JSON header, then raw tensor bytes.
 * Reading maps the file; nothing is trusted: header at most 100,000,000 bytes, ranges tile the data
 * exactly (no gap, no overlap), dtype x shape = range, no duplicate names. Format:
 * https://github.com/huggingface/safetensors (README, "Format"). */
#ifndef VJ_TENSOR_SAFETENSORS_H
#define VJ_TENSOR_SAFETENSORS_H

#include "tensor/tensor.h"

typedef struct VjSafetensors VjSafetensors;

/* Opens one *.safetensors file, or all shards of a model directory: `model.safetensors.index.json` when
 * there is one (its shard names must be plain names inside the directory), else `model.safetensors`.
 * Tensors of dtypes outside VjDtype are kept out of the list; see vj_safetensors_foreign. All faults are
 * VJ_EXIT_DATA. Free with vj_safetensors_free, which ends every view. */
VJ_API VjSafetensors *vj_safetensors_open (const char *file, GError **error);
VJ_API VjSafetensors *vj_safetensors_open_dir (const char *dir, GError **error);
VJ_API void vj_safetensors_free (VjSafetensors *file);

/* The tensor called `name`, or NULL. Borrowed. */
VJ_API const VjTensor *vj_safetensors_find (const VjSafetensors *file, const char *name);

/* The dtype, as the file spells it, of a tensor that was kept out of the list; NULL when there is none. Borrowed. */
VJ_API const char *vj_safetensors_foreign (const VjSafetensors *file, const char *name);

/* All tensors, in name order. Borrowed. */
VJ_API const VjTensor *vj_safetensors_list (const VjSafetensors *file, gsize *ret_n);

/* TRUE when a mapped file is no longer as long as it was mapped: reading on would raise SIGBUS. */
VJ_API gboolean vj_safetensors_is_cut (const VjSafetensors *file);

/* Lets go of the memory that reading the file took so far: pages come back when they are read again. */
VJ_API void vj_safetensors_rest (const VjSafetensors *file);

/* Writes `tensors` (in the given order) to `file` through a temporary file, fsync and rename.
 * `metadata` is "key", "value", ..., NULL, or NULL. VJ_EXIT_STORE on a failed write. */
VJ_API gboolean vj_safetensors_save (const char *file, const VjTensor *tensors, gsize n,
                                     const char *const *metadata, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjSafetensors, vj_safetensors_free)

#endif
