libvjcore_a_SOURCES += core/engine/tokenizer.h core/engine/chat.h core/engine/preprocess.h
