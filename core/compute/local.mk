vjinclude_HEADERS += core/vj/compute.h
libvjcore_a_SOURCES += core/compute/compute.c core/compute/compute.h core/compute/ref.c
