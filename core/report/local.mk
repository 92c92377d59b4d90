libvjcore_a_SOURCES += \
	core/report/audit.c core/report/audit-text.c core/report/audit.h \
	core/report/bar.c core/report/bar.h \
	core/report/cells.c core/report/cells.h \
	core/report/gate.c core/report/gate.h \
	core/report/lineage.c core/report/lineage.h \
	core/report/logistic.c core/report/logistic.h \
	core/report/ngrams.c core/report/ngrams.h \
	core/report/notes.c core/report/notes.h \
	core/report/progress.h \
	core/report/shortcut.c core/report/shortcut.h \
	core/report/statistics.c core/report/statistics.h \
	core/report/summary.c core/report/summary.h
