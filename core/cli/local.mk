bin_PROGRAMS += vjrun
vjrun_SOURCES = core/cli/main.c
vjrun_LDFLAGS = $(WHOLE_LINK_FLAGS)
vjrun_LDADD = $(CORE_LDADD)
vjrun_DEPENDENCIES = libvjcore.a
