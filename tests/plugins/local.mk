# tests of the role plugins, and plugins for tests: with --plugin-path tests/plugins they are
# found like any other; none is installed.
check_PROGRAMS += tests/plugins/backends/canned.so tests/plugins/trainers/canned.so tests/plugins/filters/odd.so \
	tests/plugins/injectors/odd.so tests/plugins/injectors/older.so
tests_plugins_backends_canned_so_SOURCES = tests/plugins/backends/canned.c
tests_plugins_backends_canned_so_CFLAGS = $(PLUGIN_CFLAGS)
tests_plugins_backends_canned_so_LDFLAGS = $(SHARED_LINK_FLAGS)
tests_plugins_backends_canned_so_LDADD = $(GLIB_LIBS) $(JANSSON_LIBS)
tests_plugins_trainers_canned_so_SOURCES = tests/plugins/trainers/canned.c
tests_plugins_trainers_canned_so_CFLAGS = $(PLUGIN_CFLAGS)
tests_plugins_trainers_canned_so_LDFLAGS = $(SHARED_LINK_FLAGS)
tests_plugins_trainers_canned_so_LDADD = $(GLIB_LIBS) $(JANSSON_LIBS)
tests_plugins_filters_odd_so_SOURCES = tests/plugins/filters/odd.c
tests_plugins_filters_odd_so_CFLAGS = $(PLUGIN_CFLAGS)
tests_plugins_filters_odd_so_LDFLAGS = $(SHARED_LINK_FLAGS)
tests_plugins_filters_odd_so_LDADD = $(GLIB_LIBS)
tests_plugins_injectors_odd_so_SOURCES = tests/plugins/injectors/odd.c
tests_plugins_injectors_odd_so_CFLAGS = $(PLUGIN_CFLAGS)
tests_plugins_injectors_odd_so_LDFLAGS = $(SHARED_LINK_FLAGS)
tests_plugins_injectors_odd_so_LDADD = $(GLIB_LIBS)
tests_plugins_injectors_older_so_SOURCES = tests/plugins/injectors/older.c
tests_plugins_injectors_older_so_CFLAGS = $(PLUGIN_CFLAGS) -Wno-override-init
tests_plugins_injectors_older_so_LDFLAGS = $(SHARED_LINK_FLAGS)
tests_plugins_injectors_older_so_LDADD = $(GLIB_LIBS)

check_PROGRAMS += tests/plugins/test-scene
TESTS += tests/plugins/test-scene tests/plugins/test-vj-tiny.py tests/plugins/test-vj-tiny-skills.py
EXTRA_DIST += tests/plugins/test-vj-tiny.py tests/plugins/test-vj-tiny-skills.py
tests_plugins_test_scene_SOURCES = tests/plugins/test-scene.c $(SCENE_SOURCES)
tests_plugins_test_scene_CPPFLAGS = $(SCENE_CPPFLAGS)
tests_plugins_test_scene_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_plugins_test_scene_LDADD = $(CORE_LDADD)

# The role plugins on the bench: one file of tests each, one program.
BENCH_SOURCES = tests/tools/bench.c tests/tools/bench.h
check_PROGRAMS += tests/plugins/test-roles
TESTS += tests/plugins/test-roles
tests_plugins_test_roles_SOURCES = tests/plugins/roles/main.c tests/plugins/roles/roles.h tests/plugins/roles/text.c \
	tests/plugins/roles/verdict.c tests/plugins/roles/both-orders.c tests/plugins/roles/balance.c \
	tests/plugins/roles/cap.c tests/plugins/roles/dedup.c tests/plugins/roles/minhash.c \
	tests/plugins/roles/quote.c tests/plugins/roles/consistent.c tests/plugins/roles/pairwise.c \
	tests/plugins/roles/even.c tests/plugins/roles/majority.c tests/plugins/roles/kinds.c tests/plugins/roles/rewrite.c \
	tests/plugins/roles/swap-words.c tests/plugins/roles/modified-instruction.c tests/plugins/roles/degraded-image.c \
	tests/plugins/roles/jsonl.c tests/plugins/roles/llava.c tests/plugins/roles/pairs.c tests/plugins/roles/scenes.c \
	$(BENCH_SOURCES) $(MINHASH_SOURCES) $(KINDS_SOURCES) plugins/text/choices.c \
	plugins/text/choices.h plugins/text/even.c plugins/text/even.h
tests_plugins_test_roles_CPPFLAGS = $(TEXT_CPPFLAGS)
tests_plugins_test_roles_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_plugins_test_roles_LDADD = $(CORE_LDADD)

check_PROGRAMS += tests/plugins/test-canned
TESTS += tests/plugins/test-canned
tests_plugins_test_canned_SOURCES = tests/plugins/test-canned.c $(BENCH_SOURCES)
tests_plugins_test_canned_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_plugins_test_canned_LDADD = $(CORE_LDADD)

# Not the whole core: the test brings its own tuner.
check_PROGRAMS += tests/plugins/test-sft
TESTS += tests/plugins/test-sft
tests_plugins_test_sft_SOURCES = tests/plugins/test-sft.c $(BENCH_SOURCES)
tests_plugins_test_sft_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_plugins_test_sft_LDADD = libvjcore.a $(CORE_LIBS)

# Plugins with one slip each; the .so files that tests/plugins/test-loader lays out in folders.
check_PROGRAMS += \
	tests/plugins/wrong/no-symbol.so \
	tests/plugins/wrong/no-descriptor.so \
	tests/plugins/wrong/magic.so \
	tests/plugins/wrong/old-abi.so \
	tests/plugins/wrong/newer-abi.so \
	tests/plugins/wrong/short-descriptor.so \
	tests/plugins/wrong/other-name.so \
	tests/plugins/wrong/capital-name.so \
	tests/plugins/wrong/wrong-folder.so \
	tests/plugins/wrong/no-verb.so \
	tests/plugins/wrong/no-license.so \
	tests/plugins/wrong/short-ops.so \
	tests/plugins/wrong/bad-preset.so \
	tests/plugins/wrong/bad-offset.so \
	tests/plugins/wrong/twice-named.so \
	tests/plugins/wrong/no-doc.so \
	tests/plugins/wrong/host-key.so \
	tests/plugins/wrong/grown.so \
	tests/plugins/wrong/right.so
tests_plugins_wrong_no_symbol_so_SOURCES = tests/plugins/wrong/no-symbol.c
tests_plugins_wrong_no_symbol_so_CFLAGS = $(PLUGIN_CFLAGS) -Wno-override-init -Wno-address
tests_plugins_wrong_no_symbol_so_LDFLAGS = $(SHARED_LINK_FLAGS)
tests_plugins_wrong_no_symbol_so_LDADD = $(GLIB_LIBS)
tests_plugins_wrong_no_descriptor_so_SOURCES = tests/plugins/wrong/no-descriptor.c tests/plugins/wrong/wrong.h
tests_plugins_wrong_no_descriptor_so_CFLAGS = $(PLUGIN_CFLAGS) -Wno-override-init -Wno-address
tests_plugins_wrong_no_descriptor_so_LDFLAGS = $(SHARED_LINK_FLAGS)
tests_plugins_wrong_no_descriptor_so_LDADD = $(GLIB_LIBS)
tests_plugins_wrong_magic_so_SOURCES = tests/plugins/wrong/magic.c tests/plugins/wrong/wrong.h
tests_plugins_wrong_magic_so_CFLAGS = $(PLUGIN_CFLAGS) -Wno-override-init -Wno-address
tests_plugins_wrong_magic_so_LDFLAGS = $(SHARED_LINK_FLAGS)
tests_plugins_wrong_magic_so_LDADD = $(GLIB_LIBS)
tests_plugins_wrong_old_abi_so_SOURCES = tests/plugins/wrong/old-abi.c tests/plugins/wrong/wrong.h
tests_plugins_wrong_old_abi_so_CFLAGS = $(PLUGIN_CFLAGS) -Wno-override-init -Wno-address
tests_plugins_wrong_old_abi_so_LDFLAGS = $(SHARED_LINK_FLAGS)
tests_plugins_wrong_old_abi_so_LDADD = $(GLIB_LIBS)
tests_plugins_wrong_newer_abi_so_SOURCES = tests/plugins/wrong/newer-abi.c tests/plugins/wrong/wrong.h
tests_plugins_wrong_newer_abi_so_CFLAGS = $(PLUGIN_CFLAGS) -Wno-override-init -Wno-address
tests_plugins_wrong_newer_abi_so_LDFLAGS = $(SHARED_LINK_FLAGS)
tests_plugins_wrong_newer_abi_so_LDADD = $(GLIB_LIBS)
tests_plugins_wrong_short_descriptor_so_SOURCES = tests/plugins/wrong/short-descriptor.c tests/plugins/wrong/wrong.h
tests_plugins_wrong_short_descriptor_so_CFLAGS = $(PLUGIN_CFLAGS) -Wno-override-init -Wno-address
tests_plugins_wrong_short_descriptor_so_LDFLAGS = $(SHARED_LINK_FLAGS)
tests_plugins_wrong_short_descriptor_so_LDADD = $(GLIB_LIBS)
tests_plugins_wrong_other_name_so_SOURCES = tests/plugins/wrong/other-name.c tests/plugins/wrong/wrong.h
tests_plugins_wrong_other_name_so_CFLAGS = $(PLUGIN_CFLAGS) -Wno-override-init -Wno-address
tests_plugins_wrong_other_name_so_LDFLAGS = $(SHARED_LINK_FLAGS)
tests_plugins_wrong_other_name_so_LDADD = $(GLIB_LIBS)
tests_plugins_wrong_capital_name_so_SOURCES = tests/plugins/wrong/capital-name.c tests/plugins/wrong/wrong.h
tests_plugins_wrong_capital_name_so_CFLAGS = $(PLUGIN_CFLAGS) -Wno-override-init -Wno-address
tests_plugins_wrong_capital_name_so_LDFLAGS = $(SHARED_LINK_FLAGS)
tests_plugins_wrong_capital_name_so_LDADD = $(GLIB_LIBS)
tests_plugins_wrong_wrong_folder_so_SOURCES = tests/plugins/wrong/wrong-folder.c tests/plugins/wrong/wrong.h
tests_plugins_wrong_wrong_folder_so_CFLAGS = $(PLUGIN_CFLAGS) -Wno-override-init -Wno-address
tests_plugins_wrong_wrong_folder_so_LDFLAGS = $(SHARED_LINK_FLAGS)
tests_plugins_wrong_wrong_folder_so_LDADD = $(GLIB_LIBS)
tests_plugins_wrong_no_verb_so_SOURCES = tests/plugins/wrong/no-verb.c tests/plugins/wrong/wrong.h
tests_plugins_wrong_no_verb_so_CFLAGS = $(PLUGIN_CFLAGS) -Wno-override-init -Wno-address
tests_plugins_wrong_no_verb_so_LDFLAGS = $(SHARED_LINK_FLAGS)
tests_plugins_wrong_no_verb_so_LDADD = $(GLIB_LIBS)
tests_plugins_wrong_no_license_so_SOURCES = tests/plugins/wrong/no-license.c tests/plugins/wrong/wrong.h
tests_plugins_wrong_no_license_so_CFLAGS = $(PLUGIN_CFLAGS) -Wno-override-init -Wno-address
tests_plugins_wrong_no_license_so_LDFLAGS = $(SHARED_LINK_FLAGS)
tests_plugins_wrong_no_license_so_LDADD = $(GLIB_LIBS)
tests_plugins_wrong_short_ops_so_SOURCES = tests/plugins/wrong/short-ops.c tests/plugins/wrong/wrong.h
tests_plugins_wrong_short_ops_so_CFLAGS = $(PLUGIN_CFLAGS) -Wno-override-init -Wno-address
tests_plugins_wrong_short_ops_so_LDFLAGS = $(SHARED_LINK_FLAGS)
tests_plugins_wrong_short_ops_so_LDADD = $(GLIB_LIBS)
tests_plugins_wrong_bad_preset_so_SOURCES = tests/plugins/wrong/bad-preset.c tests/plugins/wrong/wrong.h
tests_plugins_wrong_bad_preset_so_CFLAGS = $(PLUGIN_CFLAGS) -Wno-override-init -Wno-address
tests_plugins_wrong_bad_preset_so_LDFLAGS = $(SHARED_LINK_FLAGS)
tests_plugins_wrong_bad_preset_so_LDADD = $(GLIB_LIBS)
tests_plugins_wrong_bad_offset_so_SOURCES = tests/plugins/wrong/bad-offset.c tests/plugins/wrong/wrong.h
tests_plugins_wrong_bad_offset_so_CFLAGS = $(PLUGIN_CFLAGS) -Wno-override-init -Wno-address
tests_plugins_wrong_bad_offset_so_LDFLAGS = $(SHARED_LINK_FLAGS)
tests_plugins_wrong_bad_offset_so_LDADD = $(GLIB_LIBS)
tests_plugins_wrong_twice_named_so_SOURCES = tests/plugins/wrong/twice-named.c tests/plugins/wrong/wrong.h
tests_plugins_wrong_twice_named_so_CFLAGS = $(PLUGIN_CFLAGS) -Wno-override-init -Wno-address
tests_plugins_wrong_twice_named_so_LDFLAGS = $(SHARED_LINK_FLAGS)
tests_plugins_wrong_twice_named_so_LDADD = $(GLIB_LIBS)
tests_plugins_wrong_no_doc_so_SOURCES = tests/plugins/wrong/no-doc.c tests/plugins/wrong/wrong.h
tests_plugins_wrong_no_doc_so_CFLAGS = $(PLUGIN_CFLAGS) -Wno-override-init -Wno-address
tests_plugins_wrong_no_doc_so_LDFLAGS = $(SHARED_LINK_FLAGS)
tests_plugins_wrong_no_doc_so_LDADD = $(GLIB_LIBS)
tests_plugins_wrong_host_key_so_SOURCES = tests/plugins/wrong/host-key.c tests/plugins/wrong/wrong.h
tests_plugins_wrong_host_key_so_CFLAGS = $(PLUGIN_CFLAGS) -Wno-override-init -Wno-address
tests_plugins_wrong_host_key_so_LDFLAGS = $(SHARED_LINK_FLAGS)
tests_plugins_wrong_host_key_so_LDADD = $(GLIB_LIBS)
tests_plugins_wrong_grown_so_SOURCES = tests/plugins/wrong/grown.c tests/plugins/wrong/wrong.h
tests_plugins_wrong_grown_so_CFLAGS = $(PLUGIN_CFLAGS) -Wno-override-init -Wno-address
tests_plugins_wrong_grown_so_LDFLAGS = $(SHARED_LINK_FLAGS)
tests_plugins_wrong_grown_so_LDADD = $(GLIB_LIBS)
tests_plugins_wrong_right_so_SOURCES = tests/plugins/wrong/right.c tests/plugins/wrong/wrong.h
tests_plugins_wrong_right_so_CFLAGS = $(PLUGIN_CFLAGS) -Wno-override-init -Wno-address
tests_plugins_wrong_right_so_LDFLAGS = $(SHARED_LINK_FLAGS)
tests_plugins_wrong_right_so_LDADD = $(GLIB_LIBS)

check_PROGRAMS += tests/plugins/test-loader tests/plugins/test-contract
TESTS += tests/plugins/test-loader tests/plugins/test-contract tests/plugins/test-out-of-tree.sh
tests_plugins_test_loader_SOURCES = tests/plugins/test-loader.c
tests_plugins_test_loader_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_plugins_test_loader_LDADD = $(CORE_LDADD)
tests_plugins_test_contract_SOURCES = tests/plugins/test-contract.c
tests_plugins_test_contract_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_plugins_test_contract_LDADD = $(CORE_LDADD)
EXTRA_DIST += tests/plugins/test-out-of-tree.sh

# The example of doc/plugin-writing.md: the script builds the plugin, this program puts it on the bench.
check_PROGRAMS += tests/plugins/test-swap-number
tests_plugins_test_swap_number_SOURCES = doc/examples/test-swap-number.c $(BENCH_SOURCES)
tests_plugins_test_swap_number_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_plugins_test_swap_number_LDADD = $(CORE_LDADD)
TESTS += tests/plugins/test-example.sh
EXTRA_DIST += tests/plugins/test-example.sh doc/plugin-writing.md doc/examples/swap-number.c

check_PROGRAMS += tests/plugins/test-native
TESTS += tests/plugins/test-native
tests_plugins_test_native_SOURCES = tests/plugins/test-native.c $(BENCH_SOURCES)
tests_plugins_test_native_LDFLAGS = $(WHOLE_LINK_FLAGS)
tests_plugins_test_native_LDADD = $(CORE_LDADD)
TESTS += tests/plugins/test-data.py
EXTRA_DIST += tests/plugins/test-data.py tests/peers/make_pair_vectors.py tests/vectors/pairs/vectors.json
