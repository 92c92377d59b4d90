# tests of the engine around the model: text, pixels, generation
engine_tests = tests/engine/test-tokenizer
check_PROGRAMS += $(engine_tests)
TESTS += $(engine_tests)
tests_engine_test_tokenizer_SOURCES = tests/engine/test-tokenizer.c
tests_engine_test_tokenizer_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_engine_test_tokenizer_LDADD = $(CORE_LDADD)

EXTRA_DIST += tests/peers/make_tokenizer_vectors.py \
	tests/vectors/tokenizer/plain/tokenizer.json tests/vectors/tokenizer/plain/vectors.json \
	tests/vectors/tokenizer/ignore-merges/tokenizer.json tests/vectors/tokenizer/ignore-merges/vectors.json
