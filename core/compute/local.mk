vjinclude_HEADERS += core/vj/compute.h
libvjcore_a_SOURCES += core/compute/compute.c core/compute/compute.h core/compute/ref.c core/compute/pool.c core/compute/pool.h \
	core/compute/vector.h core/compute/cpu.h core/compute/cpu.c core/compute/cpu-gemm.c core/compute/cpu-matrix.c core/compute/attention.h core/compute/cpu-attention.c core/compute/cpu-attention-backward.c core/compute/cpu-cache.c core/compute/cpu-product.c \
	core/compute/cpu-norm.c core/compute/cpu-rows.c core/compute/cpu-train.c \
	core/compute/bf16.h core/compute/bf16-wide.h core/compute/bf16.c core/compute/bf16-gemm.c core/compute/bf16-attention-backward.c core/compute/bf16-amx.c core/compute/bf16-avx512.c core/compute/bf16-generic.c
