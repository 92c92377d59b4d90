bin_PROGRAMS += vjrun
vjrun_SOURCES = core/cli/main.c core/cli/cli.h
vjrun_LDFLAGS = $(WHOLE_LINK_FLAGS)
vjrun_LDADD = $(CORE_LDADD)
vjrun_DEPENDENCIES = libvjcore.a
