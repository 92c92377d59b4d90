libvjcore_a_SOURCES += core/engine/mllama/config.c core/engine/mllama/config.h core/engine/mllama/mllama.c \
	core/engine/mllama/mllama.h core/engine/mllama/model.h core/engine/mllama/net.h core/engine/mllama/sequence.c core/engine/mllama/cache.c core/engine/mllama/sequence.h core/engine/mllama/forward.c \
	core/engine/mllama/text.c core/engine/mllama/linear.c core/engine/mllama/lora.c core/engine/mllama/adapter.c core/engine/mllama/adapter.h core/engine/mllama/vision.c core/engine/mllama/weights.c core/engine/mllama/weights.h \
	core/engine/mllama/text-backward.c core/engine/mllama/vision-backward.c core/engine/mllama/micro-batch.c \
	core/engine/mllama/trainer.c core/engine/mllama/trainer-weights.c core/engine/mllama/trainer-adapter.c core/engine/mllama/trainer-save.c core/engine/mllama/trainer.h core/engine/mllama/train.h core/engine/tuner.c
