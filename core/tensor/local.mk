libvjcore_a_SOURCES += core/tensor/dtype.c core/tensor/dtype.h core/tensor/tensor.h core/tensor/safetensors.c \
	core/tensor/safetensors-save.c core/tensor/safetensors.h
