# checks of the tree itself
TESTS += tests/tools/arrows.py tests/tools/readme.py
EXTRA_DIST += tests/tools/arrows.py tests/tools/readme.py tests/tools/build.sh quickstart check
TESTS += tests/tools/generated.py tests/tools/test-cli.sh
EXTRA_DIST += tests/tools/generated.py tests/tools/test-cli.sh
