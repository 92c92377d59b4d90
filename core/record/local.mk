libvjcore_a_SOURCES += core/record/fields.h core/record/json.c core/record/record-check.c core/record/record.c \
	core/record/record.h core/record/request.c core/record/request.h core/record/spans.c core/record/spans.h
EXTRA_DIST += schemas/record.schema.json
