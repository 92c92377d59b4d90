# plugins of this role; name.so is built from name.c
computedir = $(pluginsdir)/compute
compute_PROGRAMS =

if HAVE_OPENBLAS
compute_PROGRAMS += plugins/compute/openblas.so
plugins_compute_openblas_so_SOURCES = plugins/compute/openblas.c
plugins_compute_openblas_so_CFLAGS = $(PLUGIN_CFLAGS) $(OPENBLAS_CFLAGS)
plugins_compute_openblas_so_LDFLAGS = $(SHARED_LINK_FLAGS)
plugins_compute_openblas_so_LDADD = $(OPENBLAS_LIBS) $(GLIB_LIBS)
endif
