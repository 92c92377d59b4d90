libvjcore_a_SOURCES += core/record/record.h core/record/request.h
