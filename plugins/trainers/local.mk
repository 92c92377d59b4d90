# plugins of this role; name.so is built from name.c
trainersdir = $(pluginsdir)/trainers
trainers_PROGRAMS =

trainers_PROGRAMS += plugins/trainers/sft.so
plugins_trainers_sft_so_SOURCES = plugins/trainers/sft.c
plugins_trainers_sft_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_trainers_sft_so_LDFLAGS = $(SHARED_LINK_FLAGS)
plugins_trainers_sft_so_LDADD = $(GLIB_LIBS) -lm
