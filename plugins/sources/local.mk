# plugins of this role; name.so is built from name.c
sourcesdir = $(pluginsdir)/sources
sources_PROGRAMS =

sources_PROGRAMS += plugins/sources/scenes.so
plugins_sources_scenes_so_SOURCES = plugins/sources/scenes.c $(SCENE_SOURCES)
plugins_sources_scenes_so_CPPFLAGS = $(SCENE_CPPFLAGS)
plugins_sources_scenes_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_sources_scenes_so_LDFLAGS = $(SHARED_LINK_FLAGS)
plugins_sources_scenes_so_LDADD = $(GLIB_LIBS) $(WAND_LIBS)

sources_PROGRAMS += plugins/sources/scene-lessons.so
plugins_sources_scene_lessons_so_SOURCES = plugins/sources/scene-lessons.c $(SCENE_SOURCES)
plugins_sources_scene_lessons_so_CPPFLAGS = $(SCENE_CPPFLAGS)
plugins_sources_scene_lessons_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_sources_scene_lessons_so_LDFLAGS = $(SHARED_LINK_FLAGS)
plugins_sources_scene_lessons_so_LDADD = $(GLIB_LIBS) $(WAND_LIBS)

sources_PROGRAMS += plugins/sources/jsonl.so
plugins_sources_jsonl_so_SOURCES = plugins/sources/jsonl.c $(TEXT_SOURCES) $(JSON_SOURCES)
plugins_sources_jsonl_so_CPPFLAGS = $(TEXT_CPPFLAGS)
plugins_sources_jsonl_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_sources_jsonl_so_LDFLAGS = $(SHARED_LINK_FLAGS)
plugins_sources_jsonl_so_LDADD = $(GLIB_LIBS) $(JANSSON_LIBS)

sources_PROGRAMS += plugins/sources/llava.so
plugins_sources_llava_so_SOURCES = plugins/sources/llava.c $(JSON_SOURCES)
plugins_sources_llava_so_CPPFLAGS = $(TEXT_CPPFLAGS)
plugins_sources_llava_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_sources_llava_so_LDFLAGS = $(SHARED_LINK_FLAGS)
plugins_sources_llava_so_LDADD = $(GLIB_LIBS) $(JANSSON_LIBS)
