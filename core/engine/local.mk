include core/engine/mllama/local.mk
libvjcore_a_SOURCES += core/engine/json.c core/engine/json.h core/engine/json-scan.c core/engine/json-scan.h \
	core/engine/tokenizer.c core/engine/tokenizer-load.c core/engine/tokenizer-load.h core/engine/tokenizer-vocab.c \
	core/engine/tokenizer.h core/engine/tokenizer-private.h \
	core/engine/chat.c core/engine/chat.h core/engine/preprocess.c core/engine/preprocess.h \
	core/engine/resample.c core/engine/resample.h
libvjcore_a_SOURCES += core/engine/engine.c core/engine/engine-private.h core/engine/generate.c core/engine/request.c core/engine/draw.c \
	core/engine/score.c core/engine/scheduler.h core/engine/memory.c core/engine/prefix.c core/engine/images.c \
	core/engine/sample.c core/engine/sample.h
