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

/* The payload as it was before its codec; NULL: it never was. Exactly as large as it is to be, so
 * that what is written behind it is found. */
static uint8_t *decoded(const uint8_t *data)
{
    uint32_t raw_bytes = pst_chunk_header_of(data)->raw_bytes;
    uint8_t *copy = malloc(PST_CHUNK_HEADER_BYTES + raw_bytes);
    struct pst_damage damage;
    if (!copy)
        abort();
    if (!pst_chunk_decode(data, copy, raw_bytes, &damage))
        return copy;
    free(copy);
    return NULL;
}

static void touch_pieces(const uint8_t *chunk)
{
    const struct pst_chunk_header *header = pst_chunk_header_of(chunk);
    const uint8_t *payload = pst_chunk_payload_of(chunk);
    for (uint32_t i = 0; i < header->pieces_count; i++)
        touch(payload + header->pieces[i].payload_offset, header->pieces[i].bytes);
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
    if (!pst_chunk_is_encoded(data)) {
        touch_pieces(data);
        return;
    }
    uint8_t *raw = decoded(data);
    if (raw)
        touch_pieces(raw);
    free(raw);
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
