# plugins of this role; name.so is built from name.c
filtersdir = $(pluginsdir)/filters
filters_PROGRAMS =
