# plugins of this role; name.so is built from name.c
backendsdir = $(pluginsdir)/backends
backends_PROGRAMS =

backends_PROGRAMS += plugins/backends/native.so
plugins_backends_native_so_SOURCES = plugins/backends/native.c
plugins_backends_native_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_backends_native_so_LDFLAGS = $(SHARED_LINK_FLAGS)
plugins_backends_native_so_LDADD = $(GLIB_LIBS)
