libvjcore_a_SOURCES += core/plugin/registry.h core/plugin/registry.c core/plugin/loader.c \
	core/plugin/host.h core/plugin/run.c core/plugin/draft.c core/plugin/ask.c core/plugin/course.c \
	core/plugin/instance.h core/plugin/instance.c core/plugin/verb.h core/plugin/verb.c
