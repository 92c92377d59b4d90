/* Element types of stored tensors, and their conversion to f32. */
#ifndef VJ_TENSOR_DTYPE_H
#define VJ_TENSOR_DTYPE_H

#include <vj/error.h>

/* X (NAME, bytes, safetensors name) - the types this project computes with. */
#define VJ_DTYPE_TABLE(X) \
  X (F32, 4, "F32")       \
  X (BF16, 2, "BF16")     \
  X (F16, 2, "F16")

typedef enum {
#define VJ_DTYPE_ENUM(name, size, key) VJ_DTYPE_##name,
  VJ_DTYPE_TABLE (VJ_DTYPE_ENUM)
#undef VJ_DTYPE_ENUM
  VJ_DTYPE_COUNT
} VjDtype;

/* Bytes of one element. */
VJ_API gsize vj_dtype_size (VjDtype dtype);

/* The safetensors name ("F32"). Static. */
VJ_API const char *vj_dtype_name (VjDtype dtype);

/* Reads a safetensors name; FALSE, output untouched, when it is not one of ours. */
VJ_API gboolean vj_dtype_parse (const char *name, VjDtype *ret_dtype);

/* n elements of `dtype` at `data` (any alignment) to f32. Exact. */
VJ_API void vj_dtype_to_f32 (VjDtype dtype, const void *data, gsize n, float *ret_values);

/* n values rounded to nearest even into `dtype`; NaN stays NaN, f16 overflow becomes infinity. */
VJ_API void vj_dtype_from_f32 (VjDtype dtype, const float *values, gsize n, void *ret_data);

#endif
