# plugins of this role; name.so is built from name.c
computedir = $(pluginsdir)/compute
compute_PROGRAMS =

if HAVE_OPENBLAS
compute_PROGRAMS += plugins/compute/openblas.so
plugins_compute_openblas_so_SOURCES = plugins/compute/openblas.c
plugins_compute_openblas_so_CFLAGS = $(PLUGIN_CFLAGS) $(OPENBLAS_CFLAGS)
plugins_compute_openblas_so_LDFLAGS = $(SHARED_LINK_FLAGS)
plugins_compute_openblas_so_LDADD = $(OPENBLAS_LIBS) $(GLIB_LIBS)
endif

# cublas: the host's C by CC, the kernels by nvcc. Its C is also built for the emulated GPU of the tests.
CUBLAS_INCLUDED = plugins/compute/cublas/gpu.h plugins/compute/cublas/kernel.h plugins/compute/cublas/kernels.h plugins/compute/cublas/ops.h
CUBLAS_KERNELS = plugins/compute/cublas/attention.cu plugins/compute/cublas/rows.cu plugins/compute/cublas/train.cu
CUBLAS_SOURCES = plugins/compute/cublas.c plugins/compute/cublas/attention.c plugins/compute/cublas/memory.c \
	plugins/compute/cublas/product.c plugins/compute/cublas/rows.c plugins/compute/cublas/train.c $(CUBLAS_INCLUDED)
EXTRA_DIST += $(CUBLAS_KERNELS)

if HAVE_CUDA
compute_PROGRAMS += plugins/compute/cublas.so
CUBLAS_COMPILED = plugins/compute/cublas/attention.cu.o plugins/compute/cublas/rows.cu.o plugins/compute/cublas/train.cu.o
plugins_compute_cublas_so_SOURCES = $(CUBLAS_SOURCES) plugins/compute/cublas/gpu.c
plugins_compute_cublas_so_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)
plugins_compute_cublas_so_CFLAGS = $(PLUGIN_CFLAGS) $(CUDA_CFLAGS)
plugins_compute_cublas_so_LDFLAGS = $(SHARED_LINK_FLAGS)
plugins_compute_cublas_so_LDADD = $(CUBLAS_COMPILED) $(CUDA_LIBS) $(GLIB_LIBS)
plugins_compute_cublas_so_DEPENDENCIES = $(CUBLAS_COMPILED)
CLEANFILES += $(CUBLAS_COMPILED)

SUFFIXES = .cu .cu.o
.cu.cu.o:
	$(AM_V_GEN)$(MKDIR_P) $(@D) && $(NVCC) -std=c++17 -O2 --fmad=false $(NVCC_CODE) -Xcompiler -Wall,-fPIC,-fvisibility=hidden,-fno-exceptions -I$(srcdir) -c $< -o $@
$(CUBLAS_COMPILED): $(CUBLAS_INCLUDED)
endif

if HAVE_ONEDNN
compute_PROGRAMS += plugins/compute/onednn.so
plugins_compute_onednn_so_SOURCES = plugins/compute/onednn.c
plugins_compute_onednn_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_compute_onednn_so_LDFLAGS = $(SHARED_LINK_FLAGS)
plugins_compute_onednn_so_LDADD = $(ONEDNN_LIBS) -lgomp $(GLIB_LIBS)
endif
