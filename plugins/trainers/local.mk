# plugins of this role; name.so is built from name.c
trainersdir = $(pluginsdir)/trainers
trainers_PROGRAMS =
