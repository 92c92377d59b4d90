/* Kernels for the emulated GPU. */
#include "plugins/compute/cublas/attention.cu"
