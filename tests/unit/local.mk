# tests of the floors below the pipeline; each is one GLib test program
check_PROGRAMS += tests/unit/test-base
TESTS += tests/unit/test-base
tests_unit_test_base_SOURCES = tests/unit/test-base.c
tests_unit_test_base_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_unit_test_base_LDADD = $(CORE_LDADD)
check_PROGRAMS += tests/unit/test-store
TESTS += tests/unit/test-store
tests_unit_test_store_SOURCES = tests/unit/test-store.c tests/unit/store-kit.h
tests_unit_test_store_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_unit_test_store_LDADD = $(CORE_LDADD)

check_PROGRAMS += tests/unit/test-recipe tests/unit/test-log
TESTS += tests/unit/test-recipe tests/unit/test-log
tests_unit_test_recipe_SOURCES = tests/unit/test-recipe.c
tests_unit_test_recipe_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_unit_test_recipe_LDADD = $(CORE_LDADD)
tests_unit_test_log_SOURCES = tests/unit/test-log.c
tests_unit_test_log_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_unit_test_log_LDADD = $(CORE_LDADD)
