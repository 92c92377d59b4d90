# tests of tests/bench

# Built on demand: make tests/bench/bench-generate
EXTRA_PROGRAMS += tests/bench/bench-generate
tests_bench_bench_generate_SOURCES = tests/bench/bench-generate.c
tests_bench_bench_generate_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_bench_bench_generate_LDADD = $(CORE_LDADD)
EXTRA_PROGRAMS += tests/bench/bench-train
tests_bench_bench_train_SOURCES = tests/bench/bench-train.c
tests_bench_bench_train_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)
tests_bench_bench_train_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_bench_bench_train_LDADD = $(CORE_LDADD)
EXTRA_PROGRAMS += tests/bench/bench-serve
tests_bench_bench_serve_SOURCES = tests/bench/bench-serve.c
tests_bench_bench_serve_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_bench_bench_serve_LDADD = $(CORE_LDADD)
