# Lower floors first; the arrows of doc/architecture.md point upwards in this list.
nobase_include_HEADERS +=
vjincludedir = $(includedir)/vj
vjinclude_HEADERS = core/vj/error.h core/vj/chat.h core/vj/engine.h core/vj/plugin.h

include core/base/local.mk
include core/tensor/local.mk
include core/compute/local.mk
include core/engine/local.mk
include core/image/local.mk
include core/record/local.mk
include core/recipe/local.mk
include core/plugin/local.mk
include core/store/local.mk
include core/pipeline/local.mk
include core/report/local.mk
include core/cli/local.mk
