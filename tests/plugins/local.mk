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
