# Helpers that are compiled into the plugins which use them.
TEXT_SOURCES = plugins/text/text.c plugins/text/text.h
MINHASH_SOURCES = plugins/text/minhash.c plugins/text/minhash.h $(TEXT_SOURCES)
LEXICON_SOURCES = plugins/text/lexicon.c plugins/text/lexicon.h
KINDS_SOURCES = plugins/text/kinds.c plugins/text/kinds.h $(LEXICON_SOURCES)
EVEN_SOURCES = plugins/text/choices.c plugins/text/choices.h plugins/text/even.c plugins/text/even.h $(LEXICON_SOURCES)
OTHER_SOURCES = plugins/text/other-answer.c plugins/text/other-answer.h
JSON_SOURCES = plugins/text/json.c plugins/text/json.h
TEXT_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/plugins
