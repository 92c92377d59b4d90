# tests of the role plugins, and plugins for tests: with --plugin-path tests/plugins they are
# found like any other; none is installed.
check_PROGRAMS += tests/plugins/backends/canned.so tests/plugins/trainers/canned.so
tests_plugins_backends_canned_so_SOURCES = tests/plugins/backends/canned.c
tests_plugins_backends_canned_so_CFLAGS = $(PLUGIN_CFLAGS)
tests_plugins_backends_canned_so_LDFLAGS = $(SHARED_LINK_FLAGS)
tests_plugins_backends_canned_so_LDADD = $(GLIB_LIBS) $(JANSSON_LIBS)
tests_plugins_trainers_canned_so_SOURCES = tests/plugins/trainers/canned.c
tests_plugins_trainers_canned_so_CFLAGS = $(PLUGIN_CFLAGS)
tests_plugins_trainers_canned_so_LDFLAGS = $(SHARED_LINK_FLAGS)
tests_plugins_trainers_canned_so_LDADD = $(GLIB_LIBS) $(JANSSON_LIBS)

check_PROGRAMS += tests/plugins/test-scene
TESTS += tests/plugins/test-scene tests/plugins/test-vj-tiny.py
EXTRA_DIST += tests/plugins/test-vj-tiny.py
tests_plugins_test_scene_SOURCES = tests/plugins/test-scene.c $(SCENE_SOURCES)
tests_plugins_test_scene_CPPFLAGS = $(SCENE_CPPFLAGS)
tests_plugins_test_scene_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_plugins_test_scene_LDADD = $(CORE_LDADD)

# The role plugins on the bench: one file of tests each, one program.
BENCH_SOURCES = tests/tools/bench.c tests/tools/bench.h
check_PROGRAMS += tests/plugins/test-roles
TESTS += tests/plugins/test-roles
tests_plugins_test_roles_SOURCES = tests/plugins/roles/main.c tests/plugins/roles/roles.h tests/plugins/roles/text.c \
	tests/plugins/roles/verdict.c tests/plugins/roles/both-orders.c tests/plugins/roles/balance.c \
	tests/plugins/roles/dedup.c tests/plugins/roles/quote.c tests/plugins/roles/pairwise.c \
	tests/plugins/roles/majority.c tests/plugins/roles/rewrite.c tests/plugins/roles/swap-words.c \
	tests/plugins/roles/jsonl.c tests/plugins/roles/llava.c tests/plugins/roles/pairs.c \
	$(BENCH_SOURCES) plugins/text/text.c plugins/text/text.h
tests_plugins_test_roles_CPPFLAGS = $(TEXT_CPPFLAGS)
tests_plugins_test_roles_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_plugins_test_roles_LDADD = $(CORE_LDADD)

check_PROGRAMS += tests/plugins/test-canned
TESTS += tests/plugins/test-canned
tests_plugins_test_canned_SOURCES = tests/plugins/test-canned.c $(BENCH_SOURCES)
tests_plugins_test_canned_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_plugins_test_canned_LDADD = $(CORE_LDADD)

# Not the whole core: the test brings its own tuner.
check_PROGRAMS += tests/plugins/test-sft
TESTS += tests/plugins/test-sft
tests_plugins_test_sft_SOURCES = tests/plugins/test-sft.c $(BENCH_SOURCES)
tests_plugins_test_sft_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_plugins_test_sft_LDADD = libvjcore.a $(CORE_LIBS)
