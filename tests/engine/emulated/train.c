/* Kernels for the emulated GPU. */
#include "plugins/compute/cublas/train.cu"
