#include "tests/support/run_length.h"

#include <string.h>

#include "engine/format/chunk.h"
#include "engine/transform/registry/codec_table.h"

#define HEAD_BYTES sizeof(uint64_t) /* the chunk's number */
#define RUN_MAX 255u
#define STEP_BYTES 8000u

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

static enum pst_encoded encode(const struct pst_transform *transform, struct pst_encoding *encoding)
{
    uint32_t most = encoding->room < encoding->raw_bytes ? encoding->room : encoding->raw_bytes;
    uint32_t left = encoding->raw_bytes - encoding->raw_done;
    uint32_t end = encoding->raw_done + (left < STEP_BYTES ? left : STEP_BYTES);
    (void)transform;
    if (encoding->raw_done == 0) {
        if (HEAD_BYTES >= most)
            return PST_ENCODE_DECLINED;
        memcpy(encoding->stored, &encoding->head->chunk, HEAD_BYTES);
        encoding->stored_bytes = HEAD_BYTES;
    }
    while (encoding->raw_done < end) {
        const uint8_t *raw = encoding->raw + encoding->raw_done;
        uint32_t run = run_at(raw, end - encoding->raw_done);
        if (encoding->stored_bytes + 2 >= most)
            return PST_ENCODE_DECLINED;
        encoding->stored[encoding->stored_bytes++] = (uint8_t)run;
        encoding->stored[encoding->stored_bytes++] = *raw;
        encoding->raw_done += run;
    }
    return end == encoding->raw_bytes ? PST_ENCODED : PST_ENCODE_MORE;
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

const struct pst_transform *const pst_codec_table[] = {&run_length, NULL};
