# tests of tests/faults
check_PROGRAMS += tests/faults/test-store-faults
TESTS += tests/faults/test-store-faults
tests_faults_test_store_faults_SOURCES = tests/faults/test-store-faults.c tests/unit/store-kit.h
tests_faults_test_store_faults_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_faults_test_store_faults_LDADD = $(CORE_LDADD)
check_PROGRAMS += tests/faults/test-io-faults
TESTS += tests/faults/test-io-faults
tests_faults_test_io_faults_SOURCES = tests/faults/test-io-faults.c tests/unit/store-kit.h
tests_faults_test_io_faults_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_faults_test_io_faults_LDADD = $(CORE_LDADD)
EXTRA_DIST += tests/faults/kill-quickstart.sh
