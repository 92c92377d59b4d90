# plugins of this role; name.so is built from name.c
injectorsdir = $(pluginsdir)/injectors
injectors_PROGRAMS =
