# The bench: `make bench` measures, tests/bench/test-bench.py sees that it can. doc/performance.md says what the figures mean.
bench_programs = tests/bench/bench-limits tests/bench/bench-weights tests/bench/bench-generate tests/bench/bench-train
check_PROGRAMS += $(bench_programs)
TESTS += tests/bench/test-bench.py
EXTRA_DIST += tests/bench/bench.py tests/bench/bench_rows.py tests/bench/bench_sides.py tests/bench/bench_cases.py \
	tests/bench/bench_work.py tests/bench/test-bench.py doc/performance.md \
	tests/peers/README.md tests/peers/bench_peers.py tests/peers/bench_torch.py

tests_bench_bench_limits_SOURCES = tests/bench/bench-limits.c tests/bench/bench-limits.h
tests_bench_bench_limits_CPPFLAGS = $(AM_CPPFLAGS)
tests_bench_bench_limits_LDADD = $(GLIB_LIBS) -lpthread
if HAVE_OPENBLAS
tests_bench_bench_limits_SOURCES += tests/bench/limits-openblas.c
tests_bench_bench_limits_CPPFLAGS += -DBENCH_OPENBLAS $(OPENBLAS_CFLAGS)
tests_bench_bench_limits_LDADD += $(OPENBLAS_LIBS)
endif
if HAVE_ONEDNN
tests_bench_bench_limits_SOURCES += tests/bench/limits-onednn.c
tests_bench_bench_limits_CPPFLAGS += -DBENCH_ONEDNN
tests_bench_bench_limits_LDADD += $(ONEDNN_LIBS)
endif

tests_bench_bench_weights_SOURCES = tests/bench/bench-weights.c tests/bench/bench-kit.c tests/bench/bench-kit.h
tests_bench_bench_weights_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_bench_bench_weights_LDADD = $(CORE_LDADD)
tests_bench_bench_generate_SOURCES = tests/bench/bench-generate.c tests/bench/bench-kit.c tests/bench/bench-kit.h
tests_bench_bench_generate_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_bench_bench_generate_LDADD = $(CORE_LDADD)
tests_bench_bench_train_SOURCES = tests/bench/bench-train.c tests/bench/bench-kit.c tests/bench/bench-kit.h
tests_bench_bench_train_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_bench_bench_train_LDADD = $(CORE_LDADD)
EXTRA_PROGRAMS += tests/bench/bench-serve
tests_bench_bench_serve_SOURCES = tests/bench/bench-serve.c
tests_bench_bench_serve_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_bench_bench_serve_LDADD = $(CORE_LDADD)

# BENCH_ARGS: what to tell it, e.g. --rows decode --rounds 9
bench: all $(bench_programs)
	VJ_SRCDIR='$(abs_top_srcdir)' VJ_BUILDDIR='$(abs_top_builddir)' python3 $(srcdir)/tests/bench/bench.py $(BENCH_ARGS)
.PHONY: bench
