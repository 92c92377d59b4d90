bin_PROGRAMS += vjrun
vjrun_SOURCES = core/cli/main.c core/cli/cli.h core/cli/options.c core/cli/check.c core/cli/plugins.c core/cli/describe.c core/cli/run.c core/cli/progress.c core/cli/progress.h
vjrun_LDFLAGS = $(WHOLE_LINK_FLAGS)
vjrun_LDADD = $(CORE_LDADD)
vjrun_DEPENDENCIES = libvjcore.a
