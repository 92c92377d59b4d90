libvjcore_a_SOURCES += core/image/image.h
