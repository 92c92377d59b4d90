# plugins of this role; name.so is built from name.c
evaluatorsdir = $(pluginsdir)/evaluators
evaluators_PROGRAMS =
