include tests/engine/mllama.mk
# tests of the engine around the model: text, pixels, generation
engine_tests = tests/engine/test-tokenizer tests/engine/test-preprocess tests/engine/test-chat tests/engine/test-pool
check_PROGRAMS += $(engine_tests)
TESTS += $(engine_tests)
tests_engine_test_tokenizer_SOURCES = tests/engine/test-tokenizer.c tests/engine/tokenizer-strings.h
tests_engine_test_tokenizer_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)
tests_engine_test_tokenizer_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_engine_test_tokenizer_LDADD = $(CORE_LDADD)
tests_engine_test_preprocess_SOURCES = tests/engine/test-preprocess.c
tests_engine_test_preprocess_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_engine_test_preprocess_LDADD = $(CORE_LDADD)
tests_engine_test_pool_SOURCES = tests/engine/test-pool.c
tests_engine_test_pool_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_engine_test_pool_LDADD = $(CORE_LDADD)
tests_engine_test_chat_SOURCES = tests/engine/test-chat.c
tests_engine_test_chat_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_engine_test_chat_LDADD = $(CORE_LDADD)

EXTRA_DIST += tests/peers/make_tokenizer_vectors.py tests/peers/make_preprocess_vectors.py tests/peers/make_chat_vectors.py \
	tests/vectors/tokenizer/plain/tokenizer.json tests/vectors/tokenizer/plain/vectors.json \
	tests/vectors/tokenizer/ignore-merges/tokenizer.json tests/vectors/tokenizer/ignore-merges/vectors.json \
	tests/vectors/tokenizer/strings.json tests/vectors/tokenizer/1k/tokenizer.json tests/vectors/tokenizer/1k/digests.json \
	tests/vectors/tokenizer/32k/digests.json tests/vectors/tokenizer/128k/digests.json \
	tests/vectors/preprocess/vectors.json tests/vectors/chat/vectors.json

engine_model_tests = tests/engine/test-engine tests/engine/test-sample tests/engine/test-company tests/engine/test-score \
	tests/engine/test-steps tests/engine/test-formats tests/engine/test-model-faults
check_PROGRAMS += $(engine_model_tests)
TESTS += $(engine_model_tests)
tests_engine_test_engine_SOURCES = tests/engine/test-engine.c tests/engine/chats.h
tests_engine_test_engine_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_engine_test_engine_LDADD = $(CORE_LDADD)
tests_engine_test_company_SOURCES = tests/engine/test-company.c tests/engine/chats.h tests/engine/plugins.h
tests_engine_test_company_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_engine_test_company_LDADD = $(CORE_LDADD)
tests_engine_test_score_SOURCES = tests/engine/test-score.c tests/engine/chats.h
tests_engine_test_score_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_engine_test_score_LDADD = $(CORE_LDADD)
tests_engine_test_steps_SOURCES = tests/engine/test-steps.c tests/engine/chats.h
tests_engine_test_steps_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_engine_test_steps_LDADD = $(CORE_LDADD)
tests_engine_test_formats_SOURCES = tests/engine/test-formats.c tests/engine/chats.h
tests_engine_test_formats_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)
tests_engine_test_formats_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_engine_test_formats_LDADD = $(CORE_LDADD)
tests_engine_test_model_faults_SOURCES = tests/engine/test-model-faults.c
tests_engine_test_model_faults_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_engine_test_model_faults_LDADD = $(CORE_LDADD)
tests_engine_test_sample_SOURCES = tests/engine/test-sample.c
tests_engine_test_sample_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_engine_test_sample_LDADD = $(CORE_LDADD)
EXTRA_DIST += tests/peers/make_sample_vectors.py tests/vectors/sample/vectors.json
EXTRA_DIST += tests/peers/check_generate.py tests/peers/make_generate_vectors.py tests/vectors/engine/config.json tests/vectors/engine/expected.json \
	tests/vectors/engine/generation_config.json tests/vectors/engine/model.safetensors tests/vectors/engine/preprocessor_config.json \
	tests/vectors/engine/tokenizer.json
EXTRA_DIST += tests/peers/make_format_vectors.py tests/peers/check_formats.py tests/vectors/formats

# Built on demand, for tests/peers/check_tokenizers.py.
EXTRA_PROGRAMS += tests/peers/encode-strings
tests_peers_encode_strings_SOURCES = tests/peers/encode-strings.c tests/engine/tokenizer-strings.h
tests_peers_encode_strings_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)
tests_peers_encode_strings_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_peers_encode_strings_LDADD = $(CORE_LDADD)
EXTRA_DIST += tests/peers/check_tokenizers.py tests/peers/tokenizer_strings.py

# Built on demand, for tests/peers/check_pictures.py.
EXTRA_PROGRAMS += tests/peers/tile-images
tests_peers_tile_images_SOURCES = tests/peers/tile-images.c
tests_peers_tile_images_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_peers_tile_images_LDADD = $(CORE_LDADD)
EXTRA_DIST += tests/peers/check_pictures.py
