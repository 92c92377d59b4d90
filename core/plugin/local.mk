libvjcore_a_SOURCES += core/plugin/registry.h core/plugin/host.h core/plugin/instance.h
