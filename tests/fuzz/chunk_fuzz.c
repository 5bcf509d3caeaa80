/* Part header, chunk and trailer, as they are and with their checksums made right. */
#include <stdlib.h>
#include <string.h>

#include "engine/format/index.h"
#include "tests/fuzz/fuzz.h"

static void touch(const uint8_t *bytes, size_t size)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < size; i++)
        sum ^= bytes[i];
    volatile uint8_t sink = sum;
    (void)sink;
}

static void check(const uint8_t *data, size_t size)
{
    struct pst_part_identity identity = {0};
    uint64_t chunk = 0, file_offset = 0;
    if (size >= PST_BLOCK_BYTES) {
        const struct pst_chunk_header *header = pst_chunk_header_of(data);
        identity = header->head.identity;
        chunk = header->head.chunk;
        file_offset = header->file_offset;
    }
    struct pst_damage damage;
    (void)!pst_part_header_check(data, size, NULL, &damage);
    (void)!pst_part_header_check(data, size, &identity, &damage);
    (void)!pst_part_trailer_check(data, size, size, &identity, &damage);
    if (pst_chunk_check(data, size, &identity, chunk, file_offset, &damage) != 0)
        return;
    const struct pst_chunk_header *header = pst_chunk_header_of(data);
    const uint8_t *payload = pst_chunk_payload_of(data);
    for (uint32_t i = 0; i < header->pieces_count; i++)
        touch(payload + header->pieces[i].payload_offset, header->pieces[i].bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = fuzz_copy(data, size);
    check(copy, size);
    fuzz_fix_block(copy, size);
    check(copy, size);
    free(copy);
    return 0;
}
