# plugins of this role; name.so is built from name.c
judgesdir = $(pluginsdir)/judges
judges_PROGRAMS =
