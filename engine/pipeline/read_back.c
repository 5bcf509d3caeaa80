/* A finished part, read from its disk once more and checked block by block. Called by pipeline.c,
 * on the LDM's thread. */
#include "engine/pipeline/read_back.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>

#include "engine/base/fault_point.h"

static struct read_back *back_of(struct pst_io_op *op)
{
    return PST_IO_OP_OF(op, struct read_back, op);
}

static void on_closed(struct pst_io_op *op, int result)
{
    struct read_back *back = back_of(op);
    (void)result; /* it was only read */
    back->done(back, back->error);
}

static void end(struct read_back *back, int error, const char *what)
{
    back->error = error;
    back->what = what;
    back->op.done = on_closed;
    pst_io_close(back->ring, &back->op, &back->file);
}

static uint64_t trailer_offset(const struct read_back *back)
{
    return back->file_bytes - PST_BLOCK_BYTES;
}

static int check_header(struct read_back *back, const void *block, uint64_t bytes,
                        struct pst_damage *damage)
{
    int error = pst_part_header_check(block, bytes, back->identity, damage);
    if (!error)
        back->header_checksum = ((const struct pst_part_header *)block)->head.checksum;
    return error;
}

static struct pst_sealed *sealed_by(const struct read_back *back)
{
    return back->encoder ? back->encoder->sealed : NULL;
}

/* The digest covers the trailer's block, which names the header by its checksum. */
static int check_trailer(const struct read_back *back, const void *block, uint64_t bytes,
                         struct pst_damage *damage)
{
    const struct pst_part_trailer *trailer = block;
    int error = pst_part_trailer_check(block, bytes, back->file_bytes, back->identity, damage);
    if (!error && sealed_by(back))
        error = pst_part_trailer_open(sealed_by(back), trailer, damage);
    if (error)
        return error;
    struct pst_digest digest = pst_part_digest(trailer);
    *damage = (struct pst_damage){.bytes = PST_BLOCK_BYTES, .what = "another trailer"};
    if (!pst_digest_equal(&digest, &back->digest) || trailer->head.chunk != back->chunk ||
        !pst_digest_equal(&trailer->header_checksum, &back->header_checksum))
        return -PST_E_CORRUPT;
    damage->what = "what was encoded is not what was read from the sources";
    return pst_digest_equal(&back->raw_found, &back->raw_digest) ? 0 : -PST_E_CORRUPT;
}

static void *block_at(const struct read_back *back)
{
    return (char *)back->buffer + back->at;
}

static int begin_decoding(struct read_back *back, struct pst_damage *damage)
{
    struct pst_chunk_header *chunk = block_at(back);
    back->decoding = (struct pst_chunk_decoding){
        .sealed = sealed_by(back),
        .codec = chunk->codec < PST_CODECS ? back->encoder->decoders[chunk->codec] : NULL,
        .chunk = chunk,
        .decoded = back->decoded,
    };
    back->decodes = true;
    return pst_chunk_begin_decoding(&back->decoding, back->chunk_bytes, damage);
}

static uint64_t chunk_file_bytes(const struct read_back *back)
{
    return pst_chunk_file_bytes(pst_chunk_header_of(block_at(back))->stored_bytes);
}

static void pass(struct read_back *back, uint64_t bytes)
{
    back->at += (uint32_t)bytes;
    back->offset += bytes;
}

static void pass_chunk(struct read_back *back)
{
    back->chunk++;
    pass(back, chunk_file_bytes(back));
}

static int check_chunk(struct read_back *back, struct pst_damage *damage)
{
    int error = pst_chunk_check(block_at(back), back->held - back->at, back->identity, back->chunk,
                                back->offset, damage);
    if (error)
        return error;
    if (back->encoder && pst_chunk_is_encoded(block_at(back)))
        return begin_decoding(back, damage);
    pass_chunk(back);
    return 0;
}

/* The block at back->offset, of which something is there. */
static int check_block(struct read_back *back, struct pst_damage *damage)
{
    uint64_t bytes = back->held - back->at;
    if (back->offset != 0 && back->offset != trailer_offset(back))
        return check_chunk(back, damage);
    int error = back->offset == 0 ? check_header(back, block_at(back), bytes, damage)
                                  : check_trailer(back, block_at(back), bytes, damage);
    if (!error)
        pass(back, PST_BLOCK_BYTES);
    return error;
}

static int decode(struct read_back *back, struct pst_damage *damage)
{
    enum pst_decoded end = pst_chunk_decode_step(&back->decoding, damage);
    if (end == PST_DECODE_MORE)
        return 0;
    if (end == PST_DECODE_CORRUPT)
        return -PST_E_CORRUPT;
    if (pst_chunk_is_digested(back->decoded))
        pst_raw_digest_add(&back->raw_found, back->decoded, pst_chunk_payload_of(back->decoded));
    back->decodes = false;
    pass_chunk(back);
    return 0;
}

static void on_read(struct pst_io_op *op, int result)
{
    struct read_back *back = back_of(op);
    if (result < 0) {
        end(back, result, "read back");
        return;
    }
    if (result == 0) {
        end(back, -PST_E_READ_BACK, "end of the file");
        return;
    }
    back->held = (uint32_t)result;
    back->at = 0;
    back->checks = true;
}

static void read_next(struct read_back *back)
{
    uint64_t left = back->file_bytes - back->offset;
    uint64_t most = PST_CHUNK_HEADER_BYTES + (uint64_t)back->chunk_bytes;
    uint32_t bytes = (uint32_t)(left < most ? left : most);
    back->waits = false;
    if (left == 0 || back->must_stop) {
        end(back, left == 0 ? 0 : -ECANCELED, "read back");
        return;
    }
    back->waits = pst_pace_room(back->pace, (uint32_t)most) == 0;
    if (back->waits)
        return;
    pst_pace_spend(back->pace, bytes);
    back->op.done = on_read;
    pst_io_read(back->ring, &back->op, &back->file, back->buffer, bytes, back->offset,
                back->buffer_index);
}

/* Ends what the buffer holds: what begins in it and does not end there is read again, from its own
 * beginning on. */
static void read_on(struct read_back *back)
{
    back->checks = false;
    read_next(back);
}

static void check_slice(struct read_back *back)
{
    struct pst_damage damage;
    if (back->must_stop || back->at == back->held) {
        read_on(back);
        return;
    }
    int error = back->decodes ? decode(back, &damage) : check_block(back, &damage);
    if (error == -PST_E_TRUNCATED && back->at > 0) {
        read_on(back);
    } else if (error) {
        back->checks = false;
        back->offset += damage.offset;
        end(back, -PST_E_READ_BACK, damage.what);
    }
}

bool read_back_slice(struct read_back *back)
{
    if (back->checks) {
        check_slice(back);
        return true;
    }
    if (!back->waits)
        return false;
    read_next(back);
    return !back->waits;
}

static void on_opened(struct pst_io_op *op, int result)
{
    struct read_back *back = back_of(op);
    if (result) {
        back->what = "open to read back";
        back->done(back, result);
        return;
    }
    if (back->file.size_bytes != back->file_bytes) {
        back->offset = back->file.size_bytes;
        end(back, -PST_E_READ_BACK, "end of the file");
        return;
    }
    if (!back->file.direct) /* it was synced: no page of it is dirty */
        (void)posix_fadvise(back->file.fd, 0, 0, POSIX_FADV_DONTNEED);
    read_next(back);
}

void read_back_start(struct read_back *back)
{
    const struct pst_open how = {.dirfd = back->directory_fd,
                                 .path = back->name,
                                 .flags = O_RDONLY | O_NOFOLLOW,
                                 .direct = PST_DIRECT_AUTO};
    assert(back->file_bytes >= 2 * PST_BLOCK_BYTES);
    PST_FAULT_POINT("before", "READ_BACK");
    back->offset = 0;
    back->chunk = 0;
    back->error = 0;
    back->must_stop = false;
    back->waits = back->checks = back->decodes = false;
    back->raw_found = (struct pst_digest){0};
    back->op.done = on_opened;
    pst_io_open(back->ring, &back->op, &back->file, &how);
}
