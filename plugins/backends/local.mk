# plugins of this role; name.so is built from name.c
backendsdir = $(pluginsdir)/backends
backends_PROGRAMS =
