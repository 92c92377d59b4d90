bin_PROGRAMS += vjrun
vjrun_SOURCES = core/cli/main.c core/cli/cli.h core/cli/crash.c core/cli/options.c core/cli/check.c core/cli/plugins.c core/cli/describe.c core/cli/run.c core/cli/status.c core/cli/explain.c core/cli/lineage.c core/cli/lineage.h core/cli/export.c core/cli/judge.c core/cli/rundir.c core/cli/rundir.h core/cli/progress.c core/cli/progress.h
vjrun_LDFLAGS = $(WHOLE_LINK_FLAGS)
vjrun_LDADD = $(CORE_LDADD)
vjrun_DEPENDENCIES = libvjcore.a

# What is made from option tables is committed; tests/tools/generated.py tells when it is stale.
EXTRA_DIST += schemas/recipe.schema.json doc/plugins
regenerate: all
	mkdir -p $(srcdir)/schemas $(srcdir)/doc/plugins
	./vjrun describe --schema > recipe.schema.tmp
	mv recipe.schema.tmp $(srcdir)/schemas/recipe.schema.json
	./vjrun describe --pages $(srcdir)/doc/plugins
.PHONY: regenerate
dist_man_MANS += doc/vjrun.1
