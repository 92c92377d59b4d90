/* CUDA's runtime, linked in, and cuBLAS, loaded when a device is opened: a machine without either never notices that
 * this plugin is there. See gpu.h. */
#include "plugins/compute/cublas/gpu.h"

#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>

#define LIBRARY "libcublas.so." G_STRINGIFY (CUBLAS_VER_MAJOR)
#define BLAS_ERROR 10000 /* cuBLAS's numbers come after CUDA's */
#define MIN_MAJOR 8      /* compute capability                 */

typedef struct {
  __typeof__ (&cublasCreate_v2) create;
  __typeof__ (&cublasDestroy_v2) destroy;
  __typeof__ (&cublasSetStream_v2) set_stream;
  __typeof__ (&cublasSetMathMode) set_math_mode;
  __typeof__ (&cublasSetAtomicsMode) set_atomics_mode;
  __typeof__ (&cublasGemmEx_64) gemm;
} Blas;

struct VjGpu {
  Blas blas;
  cublasHandle_t handle;
  cudaStream_t stream;
  gboolean pools; /* the driver has memory that takes its turn on a stream */
  char *pinned;   /* VJ_GPU_SLOTS slots */
  cudaEvent_t sent[VJ_GPU_SLOTS];
};

/* -- what there is ----------------------------------------------------------- */

static gboolean
load_blas (Blas *ret_blas, GError **error)
{
  /* Never closed again: cuBLAS keeps threads and exit handlers. */
  void *library = dlopen (LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL)
    return vj_fail (error, VJ_EXIT_PLUGIN, "compute: 'cublas': %s cannot be loaded: %s; install NVIDIA's cuBLAS %d, or use compute 'cpu'", LIBRARY,
                    dlerror (), CUBLAS_VER_MAJOR);
  const struct {
    const char *name;
    void *to;
  } symbols[] = { { "cublasCreate_v2", &ret_blas->create }, { "cublasDestroy_v2", &ret_blas->destroy }, { "cublasSetStream_v2", &ret_blas->set_stream },
                  { "cublasSetMathMode", &ret_blas->set_math_mode }, { "cublasSetAtomicsMode", &ret_blas->set_atomics_mode },
                  { "cublasGemmEx_64", &ret_blas->gemm } };
  for (guint i = 0; i < G_N_ELEMENTS (symbols); i++)
    if ((*(void **) symbols[i].to = dlsym (library, symbols[i].name)) == NULL)
      return vj_fail (error, VJ_EXIT_PLUGIN, "compute: 'cublas': %s has no %s; "
                                             "install the cuBLAS this vjrun was built with (%d.%d), or use compute 'cpu'",
                      LIBRARY, symbols[i].name, CUBLAS_VER_MAJOR, CUBLAS_VER_MINOR);
  return TRUE;
}

static gboolean
usable (Blas *ret_blas, GError **error)
{
  int count = 0, major = 0, minor = 0;
  cudaError_t met = cudaGetDeviceCount (&count);
  if (met == cudaErrorNoDevice || (met == cudaSuccess && count == 0))
    return vj_fail (error, VJ_EXIT_PLUGIN, "compute: 'cublas': this machine has no NVIDIA GPU; use compute 'auto' or 'cpu'");
  if (met == cudaErrorInsufficientDriver)
    return vj_fail (error, VJ_EXIT_PLUGIN, "compute: 'cublas': this machine has no NVIDIA driver, or one too old for CUDA %d.%d; "
                                           "install the driver, or use compute 'auto' or 'cpu'",
                    CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
  if (met == cudaSuccess)
    met = cudaDeviceGetAttribute (&major, cudaDevAttrComputeCapabilityMajor, 0);
  if (met == cudaSuccess)
    met = cudaDeviceGetAttribute (&minor, cudaDevAttrComputeCapabilityMinor, 0);
  if (met != cudaSuccess)
    return vj_fail (error, VJ_EXIT_PLUGIN, "compute: 'cublas': the GPU does not answer: %s (%d); see nvidia-smi, or use compute 'auto' or 'cpu'",
                    cudaGetErrorString (met), (int) met);
  if (major < MIN_MAJOR)
    return vj_fail (error, VJ_EXIT_PLUGIN, "compute: 'cublas': the GPU has compute capability %d.%d, at least %d.0 is needed; "
                                           "use compute 'auto' or 'cpu'",
                    major, minor, MIN_MAJOR);
  return load_blas (ret_blas, error);
}

gboolean
vj_gpu_usable (GError **error)
{
  Blas blas;
  return usable (&blas, error);
}

/* -- opening ----------------------------------------------------------------- */

/* Freed memory stays with the process, so that allocating again does not wait for the GPU. */
static int
use_pools (VjGpu *gpu)
{
  int pools = 0;
  cudaMemPool_t pool;
  guint64 threshold = G_MAXUINT64;
  cudaError_t met = cudaDeviceGetAttribute (&pools, cudaDevAttrMemoryPoolsSupported, 0);
  gpu->pools = pools != 0;
  if (met == cudaSuccess && gpu->pools && (met = cudaDeviceGetDefaultMemPool (&pool, 0)) == cudaSuccess)
    met = cudaMemPoolSetAttribute (pool, cudaMemPoolAttrReleaseThreshold, &threshold);
  return (int) met;
}

static int
blas_error (cublasStatus_t status)
{
  return status == CUBLAS_STATUS_SUCCESS ? 0 : BLAS_ERROR + (int) status;
}

/* Sums of products stay in f32, in an order that does not change from call to call. */
static int
open_blas (VjGpu *gpu)
{
  int met = blas_error (gpu->blas.create (&gpu->handle));
  if (met == 0)
    met = blas_error (gpu->blas.set_stream (gpu->handle, gpu->stream));
  if (met == 0)
    met = blas_error (gpu->blas.set_math_mode (gpu->handle, CUBLAS_DEFAULT_MATH | CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION));
  if (met == 0)
    met = blas_error (gpu->blas.set_atomics_mode (gpu->handle, CUBLAS_ATOMICS_NOT_ALLOWED));
  return met;
}

VjGpu *
vj_gpu_open (G_GNUC_UNUSED guint threads, GError **error)
{
  Blas blas;
  if (!usable (&blas, error))
    return NULL;
  VjGpu *gpu = g_new0 (VjGpu, 1);
  gpu->blas = blas;
  int met = (int) cudaStreamCreateWithFlags (&gpu->stream, cudaStreamNonBlocking);
  if (met == 0)
    met = use_pools (gpu);
  if (met == 0)
    met = (int) cudaMallocHost ((void **) &gpu->pinned, VJ_GPU_SLOTS * VJ_GPU_SLOT_BYTES);
  for (guint i = 0; met == 0 && i < VJ_GPU_SLOTS; i++)
    met = (int) cudaEventCreateWithFlags (&gpu->sent[i], cudaEventDisableTiming);
  if (met == 0)
    met = open_blas (gpu);
  if (met == 0)
    return gpu;
  vj_fail (error, vj_gpu_error_is_memory (met) ? VJ_EXIT_LIMIT : VJ_EXIT_PLUGIN,
           "compute: 'cublas': the GPU cannot be opened: %s (%d); see nvidia-smi for who else uses it, or use compute 'auto' or 'cpu'",
           vj_gpu_error_text (met), met);
  vj_gpu_close (gpu);
  return NULL;
}

void
vj_gpu_close (VjGpu *gpu)
{
  if (gpu == NULL)
    return;
  if (gpu->stream != NULL)
    cudaStreamSynchronize (gpu->stream);
  if (gpu->handle != NULL)
    gpu->blas.destroy (gpu->handle);
  for (guint i = 0; i < VJ_GPU_SLOTS; i++)
    if (gpu->sent[i] != NULL)
      cudaEventDestroy (gpu->sent[i]);
  if (gpu->pinned != NULL)
    cudaFreeHost (gpu->pinned);
  if (gpu->stream != NULL)
    cudaStreamDestroy (gpu->stream);
  g_free (gpu);
}

void *
vj_gpu_stream (VjGpu *gpu)
{
  return gpu->stream;
}

/* -- errors ------------------------------------------------------------------ */

const char *
vj_gpu_error_text (int code)
{
  switch (code) {
  case BLAS_ERROR + CUBLAS_STATUS_ALLOC_FAILED: return "cuBLAS has no memory";
  case BLAS_ERROR + CUBLAS_STATUS_INVALID_VALUE: return "cuBLAS was asked for an impossible product";
  case BLAS_ERROR + CUBLAS_STATUS_ARCH_MISMATCH: return "cuBLAS does not know this GPU";
  case BLAS_ERROR + CUBLAS_STATUS_EXECUTION_FAILED: return "a product failed on the GPU";
  case BLAS_ERROR + CUBLAS_STATUS_NOT_SUPPORTED: return "cuBLAS does not have this product on this GPU";
  default: return code > BLAS_ERROR ? "cuBLAS failed" : cudaGetErrorString ((cudaError_t) code);
  }
}

gboolean
vj_gpu_error_is_memory (int code)
{
  return code == cudaErrorMemoryAllocation || code == BLAS_ERROR + CUBLAS_STATUS_ALLOC_FAILED;
}

/* -- memory ------------------------------------------------------------------ */

int
vj_gpu_alloc (VjGpu *gpu, gsize bytes, void **ret_memory)
{
  int met = (int) (gpu->pools ? cudaMallocAsync (ret_memory, bytes, gpu->stream) : cudaMalloc (ret_memory, bytes));
  if (met != 0)
    cudaGetLastError (); /* the caller reports it; it is not the next kernel's */
  return met;
}

int
vj_gpu_free (VjGpu *gpu, void *memory)
{
  return (int) (gpu->pools ? cudaFreeAsync (memory, gpu->stream) : cudaFree (memory));
}

int
vj_gpu_zero (VjGpu *gpu, void *memory, gsize bytes)
{
  return (int) cudaMemsetAsync (memory, 0, bytes, gpu->stream);
}

int
vj_gpu_slot_wait (VjGpu *gpu, guint slot, void **ret_memory)
{
  *ret_memory = gpu->pinned + slot * VJ_GPU_SLOT_BYTES;
  return (int) cudaEventSynchronize (gpu->sent[slot]);
}

int
vj_gpu_slot_send (VjGpu *gpu, guint slot, void *to, gsize bytes)
{
  int met = (int) cudaMemcpyAsync (to, gpu->pinned + slot * VJ_GPU_SLOT_BYTES, bytes, cudaMemcpyHostToDevice, gpu->stream);
  return met != 0 ? met : (int) cudaEventRecord (gpu->sent[slot], gpu->stream);
}

int
vj_gpu_download (VjGpu *gpu, void *to_host, const void *from, gsize bytes)
{
  int met = (int) cudaMemcpyAsync (to_host, from, bytes, cudaMemcpyDeviceToHost, gpu->stream);
  return met != 0 ? met : (int) cudaStreamSynchronize (gpu->stream);
}

int
vj_gpu_wait (VjGpu *gpu)
{
  return (int) cudaStreamSynchronize (gpu->stream);
}

/* -- products ---------------------------------------------------------------- */

int
vj_gpu_gemm (VjGpu *gpu, const VjGpuGemm *g)
{
  const float one = 1;
  cudaDataType_t type = g->half ? CUDA_R_16BF : CUDA_R_32F;
  return blas_error (gpu->blas.gemm (gpu->handle, g->ta ? CUBLAS_OP_T : CUBLAS_OP_N, g->tb ? CUBLAS_OP_T : CUBLAS_OP_N, g->m, g->n, g->k, &one,
                                     g->a, type, g->lda, g->b, type, g->ldb, &g->beta, g->c, CUDA_R_32F, g->ldc, CUBLAS_COMPUTE_32F,
                                     CUBLAS_GEMM_DEFAULT));
}
