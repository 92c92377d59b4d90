libvjcore_a_SOURCES += core/store/ablation.c core/store/audits.c core/store/checkpoint.c core/store/checkpoint.h core/store/export.c core/store/export.h \
	core/store/internal.h core/store/layouts.c core/store/layouts.h core/store/lock.c core/store/quarantine.c \
	core/store/records.c core/store/replies.c core/store/schema.c core/store/sql.c core/store/store.c \
	core/store/store.h core/store/tables.c
EXTRA_DIST += tests/peers/check_records.py
