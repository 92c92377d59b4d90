libvjcore_a_SOURCES += core/recipe/node.h core/recipe/node-private.h core/recipe/node.c core/recipe/scalar.c \
	core/recipe/parse.c core/recipe/overlay.c core/recipe/problems.h core/recipe/problems.c \
	core/recipe/options.h core/recipe/options-private.h core/recipe/options.c core/recipe/sound.c \
	core/recipe/recipe.h core/recipe/recipe-private.h core/recipe/recipe.c core/recipe/entry.c core/recipe/audit.c \
	core/recipe/repeat.c core/recipe/schema.h core/recipe/schema.c
