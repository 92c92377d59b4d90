/* cublas: the native engine on an NVIDIA GPU. Products by cuBLAS, everything else by kernels of our own; see
 * plugins/compute/cublas/. */
#include <vj/compute.h>
#include <vj/plugin.h>

#include "plugins/compute/cublas/ops.h"

VJ_DEFINE_COMPUTE ((.name = "cublas",
                    .prepare = vj_gpu_usable,
                    .open = vj_cublas_open,
                    .close = vj_cublas_close,
                    .alloc = vj_cublas_alloc,
                    .release = vj_cublas_release,
                    .upload = vj_cublas_upload,
                    .download = vj_cublas_download,
                    .zero = vj_cublas_zero,
                    .finish = vj_cublas_finish,
                    .gemm = vj_cublas_gemm,
                    .matrix_new = vj_cublas_matrix_new,
                    .matrix_free = vj_cublas_matrix_free,
                    .linear = vj_cublas_linear,
                    .layer_norm = vj_cublas_layer_norm,
                    .layer_norm_backward = vj_cublas_layer_norm_backward,
                    .rms_norm = vj_cublas_rms_norm,
                    .rms_norm_backward = vj_cublas_rms_norm_backward,
                    .rope = vj_cublas_rope,
                    .activation = vj_cublas_activation,
                    .activation_backward = vj_cublas_activation_backward,
                    .swiglu = vj_cublas_swiglu,
                    .swiglu_backward = vj_cublas_swiglu_backward,
                    .attention = vj_cublas_attention,
                    .attention_backward = vj_cublas_attention_backward,
                    .add_rows = vj_cublas_add_rows,
                    .add_matrix_rows = vj_cublas_add_matrix_rows,
                    .add_rows_backward = vj_cublas_add_rows_backward,
                    .copy_2d = vj_cublas_copy_2d,
                    .dropout = vj_cublas_dropout,
                    .sum_rows = vj_cublas_sum_rows,
                    .cross_entropy = vj_cublas_cross_entropy,
                    .sum_squares = vj_cublas_sum_squares,
                    .adamw = vj_cublas_adamw),
                   .name = "cublas", .version = "1.0", .license = "Apache-2.0",
                   .summary = "The native engine on an NVIDIA GPU: products by cuBLAS, all other operations by CUDA kernels.")
