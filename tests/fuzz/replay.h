/* A fuzz harness is one function over bytes. tests/fuzz/replay.c runs it over its corpus and over seeded mutations of
 * it, as a test; `clang -fsanitize=fuzzer` runs it for as long as one likes (see tests/fuzz/README.md). */
#ifndef VJ_FUZZ_REPLAY_H
#define VJ_FUZZ_REPLAY_H

#include <stddef.h>
#include <stdint.h>

/* Returns 0. Aborts when a law of the parser is broken. */
int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

#endif
