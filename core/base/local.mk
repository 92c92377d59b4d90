libvjcore_a_SOURCES += core/base/checked.h core/base/error.c core/base/random.c core/base/random.h core/base/log.h core/base/log.c \
	core/base/nearest.h core/base/nearest.c core/base/file.c core/base/file.h core/base/machine.c core/base/machine.h
