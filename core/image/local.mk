libvjcore_a_SOURCES += core/image/codec.c core/image/codec.h core/image/degrade.c core/image/image.c core/image/image.h
