/* A named view of stored numbers: dtype, shape, borrowed bytes. No arithmetic happens here. */
#ifndef VJ_TENSOR_TENSOR_H
#define VJ_TENSOR_TENSOR_H

#include "tensor/dtype.h"

#define VJ_TENSOR_MAX_DIMS 8

typedef struct {
  const char *name;                /* borrowed */
  VjDtype dtype;
  guint n_dims;
  gsize dims[VJ_TENSOR_MAX_DIMS];  /* row-major, slowest first */
  gsize n_elements;                /* product of dims; checked against overflow by who made the view */
  const void *data;                /* borrowed, n_elements of dtype, any alignment */
} VjTensor;

/* "[2, 3]" for messages. Owned by the caller. */
VJ_API char *vj_tensor_describe (guint n_dims, const gsize *dims);

#endif
