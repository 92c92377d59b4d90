# plugins of this role; name.so is built from name.c
injectorsdir = $(pluginsdir)/injectors
injectors_PROGRAMS =

injectors_PROGRAMS += plugins/injectors/rewrite.so
plugins_injectors_rewrite_so_SOURCES = plugins/injectors/rewrite.c $(TEXT_SOURCES) $(KINDS_SOURCES)
plugins_injectors_rewrite_so_CPPFLAGS = $(TEXT_CPPFLAGS)
plugins_injectors_rewrite_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_injectors_rewrite_so_LDFLAGS = $(SHARED_LINK_FLAGS)
plugins_injectors_rewrite_so_LDADD = $(GLIB_LIBS)

injectors_PROGRAMS += plugins/injectors/swap-words.so
plugins_injectors_swap_words_so_SOURCES = plugins/injectors/swap-words.c $(TEXT_SOURCES)
plugins_injectors_swap_words_so_CPPFLAGS = $(TEXT_CPPFLAGS)
plugins_injectors_swap_words_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_injectors_swap_words_so_LDFLAGS = $(SHARED_LINK_FLAGS)
plugins_injectors_swap_words_so_LDADD = $(GLIB_LIBS)

injectors_PROGRAMS += plugins/injectors/degraded-image.so
plugins_injectors_degraded_image_so_SOURCES = plugins/injectors/degraded-image.c $(TEXT_SOURCES) $(OTHER_SOURCES)
plugins_injectors_degraded_image_so_CPPFLAGS = $(TEXT_CPPFLAGS)
plugins_injectors_degraded_image_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_injectors_degraded_image_so_LDFLAGS = $(SHARED_LINK_FLAGS)
plugins_injectors_degraded_image_so_LDADD = $(GLIB_LIBS)

injectors_PROGRAMS += plugins/injectors/modified-instruction.so
plugins_injectors_modified_instruction_so_SOURCES = plugins/injectors/modified-instruction.c $(TEXT_SOURCES) $(OTHER_SOURCES)
plugins_injectors_modified_instruction_so_CPPFLAGS = $(TEXT_CPPFLAGS)
plugins_injectors_modified_instruction_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_injectors_modified_instruction_so_LDFLAGS = $(SHARED_LINK_FLAGS)
plugins_injectors_modified_instruction_so_LDADD = $(GLIB_LIBS)
