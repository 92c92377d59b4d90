# VJ_CUDA: the compute plugin `cublas`; optional. Sets NVCC, NVCC_CODE, CUDA_CFLAGS, CUDA_LIBS. The CUDA runtime and the C++ library
# that nvcc's code wants are linked in, and libcublas is loaded when a GPU is opened: the plugin also loads where there is none of them.
AC_DEFUN([VJ_CUDA], [
  AC_ARG_WITH([cuda], [AS_HELP_STRING([--with-cuda=DIR], [CUDA toolkit for the cublas compute plugin, which --without-cuda leaves out])])
  have_cuda=no
  AS_IF([test "x$with_cuda" != xno], [
    cuda_dir=
    AS_CASE([$with_cuda], [/*], [cuda_dir=$with_cuda; AC_PATH_PROG([NVCC], [nvcc], [], [$with_cuda/bin])],
            [AC_PATH_PROG([NVCC], [nvcc], [], [$PATH:/usr/local/cuda/bin])])
    AS_IF([test -n "$NVCC"], [
      AS_IF([test -z "$cuda_dir"], [cuda_dir=`readlink -f "$NVCC" | sed 's,/bin/nvcc$,,'`])
      VJ_CUDA_LIBRARY
      VJ_CUDA_CODE
      VJ_CUDA_TRY
    ])
    AS_IF([test $have_cuda = no && test -n "$with_cuda"], [AC_MSG_ERROR([--with-cuda was asked for, but nvcc, cublas_v2.h, libcudart_static.a or a
host compiler that nvcc takes is missing; see config.log])])
  ])
  AC_SUBST([NVCC])
  AC_SUBST([NVCC_CODE])
  AC_SUBST([CUDA_CFLAGS])
  AC_SUBST([CUDA_LIBS])
  AM_CONDITIONAL([HAVE_CUDA], [test $have_cuda = yes])
  VJ_FEATURES="$VJ_FEATURES
  CUDA       $have_cuda       the native engine on NVIDIA GPUs (CUDA 12 or later)"
])

# Where the runtime lies: the toolkit's own folders, then the system's.
AC_DEFUN([VJ_CUDA_LIBRARY], [
  cuda_lib=
  for dir in "$cuda_dir/lib64" "$cuda_dir/targets/x86_64-linux/lib" "$cuda_dir/targets/sbsa-linux/lib" "$cuda_dir/lib"; do
    AS_IF([test -z "$cuda_lib" && test -f "$dir/libcudart_static.a"], [cuda_lib=$dir])
  done
  CUDA_CFLAGS=; CUDA_LIBS="-Wl,-Bstatic -lcudart_static -lstdc++ -Wl,-Bdynamic,--exclude-libs,ALL -lrt -lpthread -ldl"
  AS_IF([test -f "$cuda_dir/include/cublas_v2.h" && test "$cuda_dir" != /usr], [CUDA_CFLAGS="-isystem $cuda_dir/include"])
  AS_IF([test -n "$cuda_lib"], [CUDA_LIBS="-L$cuda_lib -Wl,-rpath,$cuda_lib $CUDA_LIBS"])
])

# Machine code for what this nvcc knows of the generations with their own, and the oldest and newest as PTX for all others.
AC_DEFUN([VJ_CUDA_CODE], [
  NVCC_CODE=; newest=
  known=`"$NVCC" --list-gpu-arch 2>/dev/null`
  for arch in 80 90 100 120; do
    AS_CASE([" "`echo $known`" "], [*" compute_$arch "*], [NVCC_CODE="$NVCC_CODE -gencode arch=compute_$arch,code=sm_$arch"; newest=$arch])
  done
  NVCC_CODE="$NVCC_CODE -gencode arch=compute_80,code=compute_80"
  AS_IF([test -n "$newest" && test $newest != 80], [NVCC_CODE="$NVCC_CODE -gencode arch=compute_$newest,code=compute_$newest"])
])

# A kernel with what ours use, and the host's C against cuBLAS's header and the runtime.
AC_DEFUN([VJ_CUDA_TRY], [
  AC_MSG_CHECKING([whether $NVCC builds kernels])
  AS_ECHO(['extern "C" __global__ void k (const __grid_constant__ int a) { extern __shared__ float x@<:@@:>@; x@<:@threadIdx.x@:>@ = a; }']) >conftest.cu
  AS_IF(["$NVCC" -std=c++17 $NVCC_CODE -c conftest.cu -o conftest-cu.o >&AS_MESSAGE_LOG_FD 2>&1], [
    vj_cflags=$CFLAGS; vj_libs=$LIBS
    CFLAGS="$CFLAGS $CUDA_CFLAGS"; LIBS="$CUDA_LIBS $LIBS"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#if CUDART_VERSION < 12000
#error too old
#endif], [[int n; return sizeof (&cublasGemmEx_64) == 0 || cudaGetDeviceCount (&n) != cudaSuccess;]])], [have_cuda=yes])
    CFLAGS=$vj_cflags; LIBS=$vj_libs
  ])
  rm -f conftest.cu conftest-cu.o
  AC_MSG_RESULT([$have_cuda])
])
