# plugins of this role; name.so is built from name.c
samplersdir = $(pluginsdir)/samplers
samplers_PROGRAMS =
