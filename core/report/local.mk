libvjcore_a_SOURCES += \
	core/report/bar.c core/report/bar.h \
	core/report/gate.c core/report/gate.h \
	core/report/lineage.c core/report/lineage.h \
	core/report/notes.c core/report/notes.h \
	core/report/progress.h \
	core/report/statistics.c core/report/statistics.h \
	core/report/summary.c core/report/summary.h
