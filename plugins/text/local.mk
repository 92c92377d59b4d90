# Helpers that are compiled into the plugins which use them.
TEXT_SOURCES = plugins/text/text.c plugins/text/text.h
MINHASH_SOURCES = plugins/text/minhash.c plugins/text/minhash.h $(TEXT_SOURCES)
JSON_SOURCES = plugins/text/json.c plugins/text/json.h
TEXT_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/plugins
