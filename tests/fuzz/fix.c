#include <stdlib.h>
#include <string.h>

#include "engine/format/chunk.h"
#include "tests/fuzz/fuzz.h"

uint8_t *fuzz_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    memcpy(copy, data, size);
    return copy;
}

static void fix_payload(uint8_t *block, size_t size)
{
    struct pst_chunk_header *header = (struct pst_chunk_header *)block;
    uint64_t padded =
        ((uint64_t)header->stored_bytes + PST_BLOCK_BYTES - 1) / PST_BLOCK_BYTES * PST_BLOCK_BYTES;
    if (memcmp(header->head.magic, "PSTKCHNK", 8) != 0 || padded > size - PST_BLOCK_BYTES)
        return;
    size_t from = offsetof(struct pst_block_head, identity);
    const struct pst_digest seed_digest =
        pst_digest_of(block + from, sizeof(header->head) - from, 0);
    uint64_t seed;
    memcpy(&seed, seed_digest.bytes, sizeof(seed));
    header->payload_checksum = pst_digest_of(block + PST_BLOCK_BYTES, padded, seed);
}

void fuzz_fix_block(uint8_t *block, size_t size)
{
    if (size < PST_BLOCK_BYTES)
        return;
    fix_payload(block, size);
    struct pst_block_head *head = (struct pst_block_head *)block;
    memset(&head->checksum, 0, sizeof(head->checksum));
    head->checksum = pst_digest_of(block, PST_BLOCK_BYTES, 0);
}
