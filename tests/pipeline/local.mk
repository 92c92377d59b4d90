# tests of tests/pipeline
check_PROGRAMS += tests/pipeline/test-statistics
TESTS += tests/pipeline/test-statistics
tests_pipeline_test_statistics_SOURCES = tests/pipeline/test-statistics.c
tests_pipeline_test_statistics_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_pipeline_test_statistics_LDADD = $(CORE_LDADD)
