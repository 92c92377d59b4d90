# plugins of this role; name.so is built from name.c
samplersdir = $(pluginsdir)/samplers
samplers_PROGRAMS =

samplers_PROGRAMS += plugins/samplers/majority.so
plugins_samplers_majority_so_SOURCES = plugins/samplers/majority.c $(TEXT_SOURCES) $(EVEN_SOURCES)
plugins_samplers_majority_so_CPPFLAGS = $(TEXT_CPPFLAGS)
plugins_samplers_majority_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_samplers_majority_so_LDFLAGS = $(SHARED_LINK_FLAGS)
plugins_samplers_majority_so_LDADD = $(GLIB_LIBS)
