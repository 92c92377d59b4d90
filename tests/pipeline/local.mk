# tests of tests/pipeline
check_PROGRAMS += tests/pipeline/test-statistics
TESTS += tests/pipeline/test-statistics
tests_pipeline_test_statistics_SOURCES = tests/pipeline/test-statistics.c
tests_pipeline_test_statistics_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_pipeline_test_statistics_LDADD = $(CORE_LDADD)
check_PROGRAMS += tests/pipeline/test-shortcut
TESTS += tests/pipeline/test-shortcut
tests_pipeline_test_shortcut_SOURCES = tests/pipeline/test-shortcut.c
tests_pipeline_test_shortcut_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_pipeline_test_shortcut_LDADD = $(CORE_LDADD)
EXTRA_DIST += tests/peers/make_shortcut_vectors.py tests/vectors/shortcut/vectors.json
check_PROGRAMS += tests/pipeline/test-gold
TESTS += tests/pipeline/test-gold
tests_pipeline_test_gold_SOURCES = tests/pipeline/test-gold.c
tests_pipeline_test_gold_LDADD = libvjcore.a $(CORE_LIBS)
PIPELINE_RUNS = \
	tests/pipeline/test-check.py tests/pipeline/test-run.py tests/pipeline/test-rundir.py tests/pipeline/test-loop.py tests/pipeline/test-traces.py \
	tests/pipeline/test-pairs.py tests/pipeline/test-audits.py \
	tests/pipeline/test-resume.py tests/pipeline/test-faults.py tests/pipeline/test-real-data.py tests/pipeline/test-nlvr-sets.py tests/pipeline/test-study.py tests/pipeline/test-native.py
TESTS += $(PIPELINE_RUNS)
EXTRA_DIST += $(PIPELINE_RUNS) tests/pipeline/harness.py \
	tests/pipeline/canned/recipe.yaml tests/pipeline/canned/replies.json tests/pipeline/canned/pretrain.yaml \
	tests/pipeline/canned/deploy.yaml tests/pipeline/canned/loop.yaml tests/pipeline/canned/loop.json \
	tests/pipeline/canned/pairs.yaml tests/pipeline/canned/pairs.json
