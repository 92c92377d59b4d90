# what the scene plugins share; linked into each of them
SCENE_SOURCES = plugins/scene/scene.h plugins/scene/scene.c plugins/scene/tell.c plugins/scene/ask.c \
	plugins/scene/letters.h plugins/scene/letters.c plugins/scene/lesson.h plugins/scene/lesson.c \
	plugins/scene/strange.h plugins/scene/strange.c
SCENE_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/plugins
