libvjcore_a_SOURCES +=
