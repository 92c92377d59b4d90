libvjcore_a_SOURCES += \
	core/pipeline/audit.c core/pipeline/audit-images.c core/pipeline/audit-shortcut.c core/pipeline/audit.h \
	core/pipeline/context.h \
	core/pipeline/course.c \
	core/pipeline/drafts.c \
	core/pipeline/evaluate.c \
	core/pipeline/filter.c \
	core/pipeline/gate.c \
	core/pipeline/gold.c \
	core/pipeline/judge.c \
	core/pipeline/judging.c core/pipeline/judging.h \
	core/pipeline/lineage.c \
	core/pipeline/load.c \
	core/pipeline/made.c \
	core/pipeline/models.c core/pipeline/models.h \
	core/pipeline/pairs.c \
	core/pipeline/plan.c \
	core/pipeline/questions.c \
	core/pipeline/reuse.c \
	core/pipeline/replay.c \
	core/pipeline/run.c core/pipeline/run.h \
	core/pipeline/scheduler.c core/pipeline/scheduler.h \
	core/pipeline/stages.c \
	core/pipeline/train.c \
	core/pipeline/trial.c
