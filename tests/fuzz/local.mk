# tests of tests/fuzz
# Each harness is linked with replay.c, which is told the folder of its corpus.
EXTRA_DIST += tests/fuzz/README.md tests/fuzz/corpus
check_PROGRAMS += tests/fuzz/fuzz-image tests/fuzz/fuzz-record
TESTS += tests/fuzz/fuzz-image tests/fuzz/fuzz-record
tests_fuzz_fuzz_image_SOURCES = tests/fuzz/fuzz-image.c tests/fuzz/replay.c tests/fuzz/replay.h
tests_fuzz_fuzz_image_CPPFLAGS = $(AM_CPPFLAGS) -DVJ_FUZZ_CORPUS=\"image\"
tests_fuzz_fuzz_image_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_fuzz_fuzz_image_LDADD = $(CORE_LDADD)
tests_fuzz_fuzz_record_SOURCES = tests/fuzz/fuzz-record.c tests/fuzz/replay.c tests/fuzz/replay.h
tests_fuzz_fuzz_record_CPPFLAGS = $(AM_CPPFLAGS) -DVJ_FUZZ_CORPUS=\"record\"
tests_fuzz_fuzz_record_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_fuzz_fuzz_record_LDADD = $(CORE_LDADD)

# Parsers that plugins share (plugins/text).
check_PROGRAMS += tests/fuzz/fuzz-data tests/fuzz/fuzz-text
TESTS += tests/fuzz/fuzz-data tests/fuzz/fuzz-text
tests_fuzz_fuzz_data_SOURCES = tests/fuzz/fuzz-data.c tests/fuzz/replay.c tests/fuzz/replay.h $(JSON_SOURCES)
tests_fuzz_fuzz_data_CPPFLAGS = $(TEXT_CPPFLAGS) -DVJ_FUZZ_CORPUS=\"data\"
tests_fuzz_fuzz_data_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_fuzz_fuzz_data_LDADD = $(CORE_LDADD)
tests_fuzz_fuzz_text_SOURCES = tests/fuzz/fuzz-text.c tests/fuzz/replay.c tests/fuzz/replay.h $(TEXT_SOURCES) $(EVEN_SOURCES) \
	plugins/text/kinds.c plugins/text/kinds.h
tests_fuzz_fuzz_text_CPPFLAGS = $(TEXT_CPPFLAGS) -DVJ_FUZZ_CORPUS=\"text\"
tests_fuzz_fuzz_text_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_fuzz_fuzz_text_LDADD = $(CORE_LDADD)
check_PROGRAMS += tests/fuzz/fuzz-recipe
TESTS += tests/fuzz/fuzz-recipe
tests_fuzz_fuzz_recipe_SOURCES = tests/fuzz/fuzz-recipe.c tests/fuzz/replay.c tests/fuzz/replay.h tests/tools/stub-plugins.h
tests_fuzz_fuzz_recipe_CPPFLAGS = $(AM_CPPFLAGS) -DVJ_FUZZ_CORPUS=\"recipe\" -I$(srcdir)/tests/tools
tests_fuzz_fuzz_recipe_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_fuzz_fuzz_recipe_LDADD = $(CORE_LDADD)

# The files of a model directory.
check_PROGRAMS += tests/fuzz/fuzz-tokenizer tests/fuzz/fuzz-safetensors tests/fuzz/fuzz-model-config
TESTS += tests/fuzz/fuzz-tokenizer tests/fuzz/fuzz-safetensors tests/fuzz/fuzz-model-config
tests_fuzz_fuzz_tokenizer_SOURCES = tests/fuzz/fuzz-tokenizer.c tests/fuzz/replay.c tests/fuzz/replay.h
tests_fuzz_fuzz_tokenizer_CPPFLAGS = $(AM_CPPFLAGS) -DVJ_FUZZ_CORPUS=\"tokenizer\"
tests_fuzz_fuzz_tokenizer_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_fuzz_fuzz_tokenizer_LDADD = $(CORE_LDADD)
tests_fuzz_fuzz_safetensors_SOURCES = tests/fuzz/fuzz-safetensors.c tests/fuzz/replay.c tests/fuzz/replay.h
tests_fuzz_fuzz_safetensors_CPPFLAGS = $(AM_CPPFLAGS) -DVJ_FUZZ_CORPUS=\"safetensors\"
tests_fuzz_fuzz_safetensors_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_fuzz_fuzz_safetensors_LDADD = $(CORE_LDADD)
tests_fuzz_fuzz_model_config_SOURCES = tests/fuzz/fuzz-model-config.c tests/fuzz/replay.c tests/fuzz/replay.h
tests_fuzz_fuzz_model_config_CPPFLAGS = $(AM_CPPFLAGS) -DVJ_FUZZ_CORPUS=\"model-config\"
tests_fuzz_fuzz_model_config_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_fuzz_fuzz_model_config_LDADD = $(CORE_LDADD)
