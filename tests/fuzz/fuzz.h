/*
 * A fuzz target: takes arbitrary bytes and must neither crash nor read beyond them.
 *
 * Under libFuzzer (clang, -DPENSTOCK_FUZZ=ON) it is driven by that; else replay.c feeds it every
 * file of a corpus, and each of them cut and with bits flipped.
 */
#ifndef PST_TESTS_FUZZ_FUZZ_H
#define PST_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The decoders want memory aligned to 8; a copy of exactly this size, so that a sanitizer sees the
 * byte behind it. The caller frees. */
uint8_t *fuzz_copy(const uint8_t *data, size_t size);

/* The checksum of a 4096-byte block made right (and a chunk's of its payload), as an attacker
 * would: so that the fuzzer gets past it. Less than a block: nothing. */
void fuzz_fix_block(uint8_t *block, size_t size);

#endif
