# tests of the model itself
check_PROGRAMS += tests/engine/test-safetensors tests/engine/test-compute tests/engine/test-kernels tests/engine/test-compute-laws tests/engine/test-fused tests/engine/test-mllama tests/engine/test-mllama-train \
	tests/engine/test-trainer tests/engine/test-lora tests/engine/test-adapter-targets tests/engine/test-full-size
TESTS += tests/engine/test-safetensors tests/engine/test-compute tests/engine/test-kernels tests/engine/test-compute-laws tests/engine/test-fused tests/engine/test-mllama tests/engine/test-mllama-train \
	tests/engine/test-trainer tests/engine/test-lora tests/engine/test-adapter-targets tests/engine/test-full-size
tests_engine_test_mllama_SOURCES = tests/engine/test-mllama.c tests/engine/mllama-cases.h tests/engine/plugins.h
tests_engine_test_mllama_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)
tests_engine_test_mllama_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_engine_test_mllama_LDADD = $(CORE_LDADD)
tests_engine_test_mllama_train_SOURCES = tests/engine/test-mllama-train.c tests/engine/trainer-kit.h tests/engine/mllama-cases.h \
	tests/engine/plugins.h
tests_engine_test_mllama_train_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)
tests_engine_test_mllama_train_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_engine_test_mllama_train_LDADD = $(CORE_LDADD)
tests_engine_test_trainer_SOURCES = tests/engine/test-trainer.c tests/engine/trainer-kit.h tests/engine/mllama-cases.h \
	tests/engine/plugins.h
tests_engine_test_trainer_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)
tests_engine_test_trainer_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_engine_test_trainer_LDADD = $(CORE_LDADD)
tests_engine_test_lora_SOURCES = tests/engine/test-lora.c tests/engine/mllama-cases.h tests/engine/plugins.h
tests_engine_test_lora_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)
tests_engine_test_lora_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_engine_test_lora_LDADD = $(CORE_LDADD)
tests_engine_test_adapter_targets_SOURCES = tests/engine/test-adapter-targets.c
tests_engine_test_adapter_targets_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_engine_test_adapter_targets_LDADD = $(CORE_LDADD)
EXTRA_DIST += tests/peers/make_lora_vectors.py tests/peers/make_target_vectors.py tests/vectors/lora
EXTRA_DIST += tests/peers/make_mllama_vectors.py \
	tests/vectors/mllama/one-tile/config.json tests/vectors/mllama/one-tile/model.safetensors tests/vectors/mllama/one-tile/expected.safetensors \
	tests/vectors/mllama/four-tiles/config.json tests/vectors/mllama/four-tiles/model.safetensors tests/vectors/mllama/four-tiles/expected.safetensors \
	tests/vectors/mllama/tied/config.json tests/vectors/mllama/tied/model.safetensors tests/vectors/mllama/tied/expected.safetensors
tests_engine_test_fused_SOURCES = tests/engine/test-fused.c tests/engine/plugins.h
tests_engine_test_fused_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)
tests_engine_test_fused_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_engine_test_fused_LDADD = $(CORE_LDADD)
tests_engine_test_compute_SOURCES = tests/engine/test-compute.c tests/engine/plugins.h
tests_engine_test_compute_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)
tests_engine_test_compute_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_engine_test_compute_LDADD = $(CORE_LDADD)
tests_engine_test_kernels_SOURCES = tests/engine/test-kernels.c tests/engine/emulated/wide/immintrin.h \
	tests/engine/emulated/wide/avx512.c tests/engine/emulated/wide/amx.c
tests_engine_test_kernels_CPPFLAGS = -I$(srcdir)/tests/engine/emulated/wide $(AM_CPPFLAGS) -I$(srcdir)
tests_engine_test_kernels_CFLAGS = $(AM_CFLAGS) -Wno-psabi
tests_engine_test_kernels_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_engine_test_kernels_LDADD = $(CORE_LDADD)
tests_engine_test_compute_laws_SOURCES = tests/engine/test-compute-laws.c tests/engine/plugins.h
tests_engine_test_compute_laws_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)
tests_engine_test_compute_laws_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_engine_test_compute_laws_LDADD = $(CORE_LDADD)
tests_engine_test_safetensors_SOURCES = tests/engine/test-safetensors.c
tests_engine_test_safetensors_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_engine_test_safetensors_LDADD = $(CORE_LDADD)
# Built on demand, for tests/peers/check_mllama_reverse.py.
EXTRA_PROGRAMS += tests/peers/save-mllama
tests_peers_save_mllama_SOURCES = tests/peers/save-mllama.c tests/engine/mllama-cases.h
tests_peers_save_mllama_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)
tests_peers_save_mllama_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_peers_save_mllama_LDADD = $(CORE_LDADD)
EXTRA_DIST += tests/peers/check_mllama_reverse.py
tests_engine_test_full_size_SOURCES = tests/engine/test-full-size.c
tests_engine_test_full_size_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_engine_test_full_size_LDADD = $(CORE_LDADD)
EXTRA_DIST += tests/tools/make-full-size.py tests/peers/check_full_size.py

# The cublas compute on a GPU that is none: its C and its kernels, compiled for the processor; see tests/engine/emulated/emulated.h.
check_PROGRAMS += tests/engine/emulated/cublas.so
tests_engine_emulated_cublas_so_SOURCES = $(CUBLAS_SOURCES) tests/engine/emulated/attention.c tests/engine/emulated/emulated.h \
	tests/engine/emulated/fibers.c tests/engine/emulated/gpu.c tests/engine/emulated/rows.c tests/engine/emulated/train.c
tests_engine_emulated_cublas_so_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)
tests_engine_emulated_cublas_so_CFLAGS = $(PLUGIN_CFLAGS) -ffp-contract=off
tests_engine_emulated_cublas_so_LDFLAGS = $(SHARED_LINK_FLAGS)
tests_engine_emulated_cublas_so_LDADD = $(GLIB_LIBS) -lm
check_PROGRAMS += tests/engine/test-cublas tests/engine/test-cublas-faults
TESTS += tests/engine/test-cublas tests/engine/test-cublas-faults
tests_engine_test_cublas_faults_SOURCES = tests/engine/test-cublas-faults.c tests/engine/emulated/emulated.h tests/engine/emulated/fibers.c \
	tests/engine/plugins.h
tests_engine_test_cublas_faults_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)
tests_engine_test_cublas_faults_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_engine_test_cublas_faults_LDADD = $(CORE_LDADD)
tests_engine_test_cublas_SOURCES = tests/engine/test-cublas.c tests/engine/plugins.h
tests_engine_test_cublas_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)
tests_engine_test_cublas_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_engine_test_cublas_LDADD = $(CORE_LDADD)
