# plugins of this role; name.so is built from name.c
sourcesdir = $(pluginsdir)/sources
sources_PROGRAMS =
