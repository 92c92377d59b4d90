# One line per role folder, after what they share.
include plugins/scene/local.mk
include plugins/text/local.mk
include plugins/sources/local.mk
include plugins/injectors/local.mk
include plugins/samplers/local.mk
include plugins/judges/local.mk
include plugins/filters/local.mk
include plugins/trainers/local.mk
include plugins/evaluators/local.mk
include plugins/backends/local.mk
include plugins/compute/local.mk
