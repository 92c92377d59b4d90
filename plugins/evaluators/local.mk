# plugins of this role; name.so is built from name.c
evaluatorsdir = $(pluginsdir)/evaluators
evaluators_PROGRAMS =

evaluators_PROGRAMS += plugins/evaluators/scene-pairs.so
plugins_evaluators_scene_pairs_so_SOURCES = plugins/evaluators/scene-pairs.c $(SCENE_SOURCES)
plugins_evaluators_scene_pairs_so_CPPFLAGS = $(SCENE_CPPFLAGS)
plugins_evaluators_scene_pairs_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_evaluators_scene_pairs_so_LDFLAGS = $(SHARED_LINK_FLAGS)
plugins_evaluators_scene_pairs_so_LDADD = $(GLIB_LIBS) $(WAND_LIBS)

evaluators_PROGRAMS += plugins/evaluators/scene-skills.so
plugins_evaluators_scene_skills_so_SOURCES = plugins/evaluators/scene-skills.c $(SCENE_SOURCES)
plugins_evaluators_scene_skills_so_CPPFLAGS = $(SCENE_CPPFLAGS)
plugins_evaluators_scene_skills_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_evaluators_scene_skills_so_LDFLAGS = $(SHARED_LINK_FLAGS)
plugins_evaluators_scene_skills_so_LDADD = $(GLIB_LIBS) $(WAND_LIBS)

evaluators_PROGRAMS += plugins/evaluators/pairs.so
plugins_evaluators_pairs_so_SOURCES = plugins/evaluators/pairs.c $(JSON_SOURCES)
plugins_evaluators_pairs_so_CPPFLAGS = $(TEXT_CPPFLAGS)
plugins_evaluators_pairs_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_evaluators_pairs_so_LDFLAGS = $(SHARED_LINK_FLAGS)
plugins_evaluators_pairs_so_LDADD = $(GLIB_LIBS) $(JANSSON_LIBS)
