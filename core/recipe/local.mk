libvjcore_a_SOURCES += core/recipe/node.h core/recipe/options.h core/recipe/recipe.h
