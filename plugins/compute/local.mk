# plugins of this role; name.so is built from name.c
computedir = $(pluginsdir)/compute
compute_PROGRAMS =
