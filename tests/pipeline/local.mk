# tests of tests/pipeline
check_PROGRAMS += tests/pipeline/test-statistics
TESTS += tests/pipeline/test-statistics
tests_pipeline_test_statistics_SOURCES = tests/pipeline/test-statistics.c
tests_pipeline_test_statistics_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_pipeline_test_statistics_LDADD = $(CORE_LDADD)
check_PROGRAMS += tests/pipeline/test-gold
TESTS += tests/pipeline/test-gold
tests_pipeline_test_gold_SOURCES = tests/pipeline/test-gold.c
tests_pipeline_test_gold_LDADD = libvjcore.a $(CORE_LIBS)
TESTS += tests/pipeline/test-traces.py
EXTRA_DIST += tests/pipeline/test-traces.py
TESTS += tests/pipeline/test-run.py tests/pipeline/test-loop.py tests/pipeline/test-resume.py tests/pipeline/test-faults.py tests/pipeline/test-real-data.py tests/pipeline/test-native.py
EXTRA_DIST += tests/pipeline/harness.py tests/pipeline/test-run.py tests/pipeline/test-loop.py tests/pipeline/test-resume.py tests/pipeline/test-faults.py tests/pipeline/test-real-data.py tests/pipeline/test-native.py tests/pipeline/canned/recipe.yaml tests/pipeline/canned/pretrain.yaml tests/pipeline/canned/deploy.yaml \
	tests/pipeline/canned/replies.json tests/pipeline/canned/loop.yaml tests/pipeline/canned/loop.json
