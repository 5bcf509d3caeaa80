#include "tests/support/run_length.h"

#include <string.h>

#include "engine/format/chunk.h"
#include "engine/format/transform_table.h"

#define HEAD_BYTES sizeof(uint64_t) /* the chunk's number */
#define RUN_MAX 255u

static uint32_t bound(const struct pst_transform *transform, uint32_t raw_bytes)
{
    (void)transform;
    return raw_bytes;
}

static uint32_t run_at(const uint8_t *raw, uint32_t bytes)
{
    uint32_t run = 1;
    while (run < bytes && run < RUN_MAX && raw[run] == raw[0])
        run++;
    return run;
}

static uint32_t encode(const struct pst_transform *transform, const struct pst_block_head *head,
                       const void *raw, uint32_t raw_bytes, void *stored, uint32_t room)
{
    const uint8_t *in = raw;
    uint8_t *out = stored;
    uint32_t used = HEAD_BYTES;
    uint32_t most = room < raw_bytes ? room : raw_bytes;
    (void)transform;
    if (used >= most)
        return 0;
    memcpy(out, &head->chunk, HEAD_BYTES);
    for (uint32_t run, i = 0; i < raw_bytes; i += run) {
        run = run_at(in + i, raw_bytes - i);
        if (used + 2 >= most)
            return 0;
        out[used++] = (uint8_t)run;
        out[used++] = in[i];
    }
    return used;
}

static int decode(const struct pst_transform *transform, const struct pst_block_head *head,
                  const void *stored, uint32_t stored_bytes, void *raw, uint32_t raw_bytes)
{
    const uint8_t *in = stored;
    uint8_t *out = raw;
    uint32_t made = 0;
    (void)transform;
    if (stored_bytes < HEAD_BYTES || memcmp(in, &head->chunk, HEAD_BYTES) != 0)
        return -PST_E_CORRUPT;
    for (uint32_t i = HEAD_BYTES; i + 1 < stored_bytes; i += 2) {
        if (in[i] > raw_bytes - made)
            return -PST_E_CORRUPT;
        memset(out + made, in[i + 1], in[i]);
        made += in[i];
    }
    return made == raw_bytes ? 0 : -PST_E_CORRUPT;
}

const struct pst_transform run_length = {
    .codec = RUN_LENGTH_CODEC,
    .bound = bound,
    .encode = encode,
    .decode = decode,
};

const struct pst_transform *const pst_transform_table[] = {&run_length, NULL};
