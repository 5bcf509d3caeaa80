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

/* The digest covers the trailer's block, which names the header by its checksum. */
static int check_trailer(const struct read_back *back, const void *block, uint64_t bytes,
                         struct pst_damage *damage)
{
    const struct pst_part_trailer *trailer = block;
    int error = pst_part_trailer_check(block, bytes, back->file_bytes, back->identity, damage);
    if (error)
        return error;
    struct pst_digest digest = pst_part_digest(trailer);
    if (pst_digest_equal(&digest, &back->digest) && trailer->head.chunk == back->chunk &&
        pst_digest_equal(&trailer->header_checksum, &back->header_checksum))
        return 0;
    *damage = (struct pst_damage){.bytes = PST_BLOCK_BYTES, .what = "another trailer"};
    return -PST_E_CORRUPT;
}

/* The block at back->offset, of which so many bytes are there. Sets *checked to its length. */
static int check_block(struct read_back *back, const void *block, uint64_t bytes, uint64_t *checked,
                       struct pst_damage *damage)
{
    *checked = PST_BLOCK_BYTES;
    if (back->offset == 0)
        return check_header(back, block, bytes, damage);
    if (back->offset == trailer_offset(back))
        return check_trailer(back, block, bytes, damage);
    int error = pst_chunk_check(block, bytes, back->identity, back->chunk, back->offset, damage);
    if (error)
        return error;
    back->chunk++;
    *checked = pst_chunk_file_bytes(pst_chunk_header_of(block)->stored_bytes);
    return 0;
}

static void read_next(struct read_back *back);

/* What begins in the buffer and does not end there is read again, from its own beginning on. */
static void on_read(struct pst_io_op *op, int result)
{
    struct read_back *back = back_of(op);
    uint64_t at = 0, checked;
    if (result < 0) {
        end(back, result, "read back");
        return;
    }
    while (at < (uint64_t)result) {
        struct pst_damage damage;
        int error = check_block(back, (const char *)back->buffer + at, (uint64_t)result - at,
                                &checked, &damage);
        if (error == -PST_E_TRUNCATED && at > 0)
            break;
        if (error) {
            back->offset += damage.offset;
            end(back, -PST_E_READ_BACK, damage.what);
            return;
        }
        at += checked;
        back->offset += checked;
    }
    if (at == 0)
        end(back, -PST_E_READ_BACK, "end of the file");
    else
        read_next(back);
}

static void read_next(struct read_back *back)
{
    uint64_t left = back->file_bytes - back->offset;
    back->waits = false;
    if (left == 0 || back->must_stop) {
        end(back, left == 0 ? 0 : -ECANCELED, "read back");
        return;
    }
    back->waits = pst_pace_room(back->pace, back->buffer_bytes) == 0;
    if (back->waits)
        return;
    pst_pace_spend(back->pace, left < back->buffer_bytes ? left : back->buffer_bytes);
    back->op.done = on_read;
    pst_io_read(back->ring, &back->op, &back->file, back->buffer,
                left < back->buffer_bytes ? (uint32_t)left : back->buffer_bytes, back->offset,
                back->buffer_index);
}

void read_back_go_on(struct read_back *back)
{
    if (back->waits)
        read_next(back);
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
    back->waits = false;
    back->op.done = on_opened;
    pst_io_open(back->ring, &back->op, &back->file, &how);
}
