# plugins of this role; name.so is built from name.c
injectorsdir = $(pluginsdir)/injectors
injectors_PROGRAMS =

injectors_PROGRAMS += plugins/injectors/rewrite.so
plugins_injectors_rewrite_so_SOURCES = plugins/injectors/rewrite.c $(TEXT_SOURCES)
plugins_injectors_rewrite_so_CPPFLAGS = $(TEXT_CPPFLAGS)
plugins_injectors_rewrite_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_injectors_rewrite_so_LDFLAGS = $(SHARED_LINK_FLAGS)
plugins_injectors_rewrite_so_LDADD = $(GLIB_LIBS)

injectors_PROGRAMS += plugins/injectors/swap-words.so
plugins_injectors_swap_words_so_SOURCES = plugins/injectors/swap-words.c
plugins_injectors_swap_words_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_injectors_swap_words_so_LDFLAGS = $(SHARED_LINK_FLAGS)
plugins_injectors_swap_words_so_LDADD = $(GLIB_LIBS)
