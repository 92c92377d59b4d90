libvjcore_a_SOURCES += core/report/bar.c core/report/bar.h core/report/progress.h core/report/summary.c core/report/summary.h core/report/statistics.c core/report/statistics.h
