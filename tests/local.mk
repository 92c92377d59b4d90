include tests/unit/local.mk
include tests/engine/local.mk
include tests/plugins/local.mk
include tests/pipeline/local.mk
include tests/fuzz/local.mk
include tests/faults/local.mk
include tests/bench/local.mk
include tests/tools/local.mk
