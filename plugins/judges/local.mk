# plugins of this role; name.so is built from name.c
judgesdir = $(pluginsdir)/judges
judges_PROGRAMS =

judges_PROGRAMS += plugins/judges/pairwise.so
plugins_judges_pairwise_so_SOURCES = plugins/judges/pairwise.c $(TEXT_SOURCES)
plugins_judges_pairwise_so_CPPFLAGS = $(TEXT_CPPFLAGS)
plugins_judges_pairwise_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_judges_pairwise_so_LDFLAGS = $(SHARED_LINK_FLAGS)
plugins_judges_pairwise_so_LDADD = $(GLIB_LIBS)
