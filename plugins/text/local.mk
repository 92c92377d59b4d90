# Helpers that are compiled into the plugins which use them.
TEXT_SOURCES = plugins/text/text.c plugins/text/text.h
KINDS_SOURCES = plugins/text/kinds.c plugins/text/kinds.h plugins/text/lexicon.c plugins/text/lexicon.h
OTHER_SOURCES = plugins/text/other-answer.c plugins/text/other-answer.h
JSON_SOURCES = plugins/text/json.c plugins/text/json.h
TEXT_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/plugins
