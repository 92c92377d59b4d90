libvjcore_a_SOURCES += core/store/checkpoint.h core/store/export.h core/store/store.h
