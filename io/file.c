/*
 * Starts operations on files, and keeps the ring's table of registered files. Any caller, on the
 * ring's thread.
 */
#include "io/file.h"

#include <assert.h>
#include <fcntl.h>
#include <sys/sysmacros.h>

#include "io/request.h"

#define TRANSFER_BYTES_MAX (1u << 30)

/* ---- files ---- */

int pst_io_adopt(struct pst_ring *ring, struct pst_file *file, int fd, enum pst_direct direct)
{
    PST_CHECK_THREAD(&ring->owner);
    *file = (struct pst_file){
        .fd = fd, .slot = -1, .align_bytes = 1, .direct_required = direct == PST_DIRECT_ON};
    return request_look_at(ring, file, &(struct pst_io_look){.direct = direct});
}

int pst_file_stat(struct pst_file *file)
{
    uint32_t align_bytes;
    return request_stat(file, &align_bytes);
}

const char *pst_file_describe(const struct pst_file *file)
{
    if (file->direct_refused)
        return "buffered: O_DIRECT is refused here";
    if (!file->direct)
        return "buffered";
    if (file->align_bytes <= 512)
        return "O_DIRECT, aligned to 512";
    return "O_DIRECT, aligned to 4096";
}

void pst_ring_register_file(struct pst_ring *ring, struct pst_file *file)
{
    assert(file->fd >= 0 && file->slot < 0);
    if (ring->slots_free == 0)
        return;
    int slot = ring->free_slots[ring->slots_free - 1];
    if (io_uring_register_files_update(&ring->usual.uring, (unsigned)slot, &file->fd, 1) != 1)
        return;
    ring->slots_free--;
    file->slot = slot;
}

static void unregister_file(struct pst_ring *ring, struct pst_file *file)
{
    int none = -1;
    if (file->slot < 0)
        return;
    int updated =
        io_uring_register_files_update(&ring->usual.uring, (unsigned)file->slot, &none, 1);
    assert(updated == 1);
    ring->free_slots[ring->slots_free++] = file->slot;
    file->slot = -1;
}

const char *pst_io_op_text(const struct pst_io_op *op)
{
    static const char *const texts[] = {
        [KIND_OPEN] = "open",         [KIND_READ] = "read",
        [KIND_WRITE] = "write",       [KIND_FALLOCATE] = "allocate space for",
        [KIND_TRUNCATE] = "truncate", [KIND_FDATASYNC] = "sync",
        [KIND_CLOSE] = "close",       [KIND_UNLINK] = "remove",
    };
    return texts[op->kind];
}

/* ---- starting ---- */

static void start(struct pst_ring *ring, struct pst_io_op *op, enum request_kind kind,
                  struct pst_file *file)
{
    PST_CHECK_THREAD(&ring->owner);
    assert(op->done);
    op->kind = (uint8_t)kind;
    op->file = file;
    op->retries = 0;
    op->began_ns = ring->now_ns;
    op->newer = NULL;
    op->older = ring->newest;
    *(op->older ? &op->older->newer : &ring->oldest) = op;
    ring->newest = op;
    if (ring->in_flight++ == 0)
        ring->busy_since_ns = ring->now_ns;
    if (file)
        file->in_flight++;
    ring_enqueue(ring, op);
}

void pst_io_open(struct pst_ring *ring, struct pst_io_op *op, struct pst_file *file,
                 const struct pst_open *how)
{
    assert(!(how->flags & O_DIRECT));
    *file = (struct pst_file){.fd = -1, .slot = -1, .align_bytes = 1};
    file->direct_required = how->direct == PST_DIRECT_ON;
    op->open.dirfd = how->dirfd;
    op->open.path = how->path;
    op->open.look =
        (struct pst_io_look){.direct = how->direct, .is_known = how->is_known, .cold = how->cold};
    op->open.how = (struct open_how){.flags = (unsigned)(how->flags | O_CLOEXEC),
                                     .mode = how->flags & O_CREAT ? how->mode : 0};
    if (how->beneath)
        op->open.how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    if (how->is_known)
        file->device = (uint64_t)major(how->known_device) << 32 | minor(how->known_device);
    start(ring, op, KIND_OPEN, file);
}

static bool is_aligned(const struct pst_file *file, uint64_t number)
{
    return (number & (file->align_bytes - 1)) == 0;
}

static void start_transfer(struct pst_ring *ring, struct pst_io_op *op, enum request_kind kind,
                           struct pst_file *file)
{
    assert(file->fd >= 0);
    assert(op->transfer.bytes > 0 && op->transfer.bytes <= TRANSFER_BYTES_MAX);
    assert(op->transfer.buffer_index < 0 || ring->usual.buffers_error ||
           (unsigned)op->transfer.buffer_index < ring->buffers_count);
    assert(is_aligned(file, op->transfer.offset));
    assert(is_aligned(file, (uintptr_t)op->transfer.data));
    start(ring, op, kind, file);
}

void pst_io_read(struct pst_ring *ring, struct pst_io_op *op, struct pst_file *file, void *data,
                 uint32_t bytes, uint64_t offset, int buffer_index)
{
    if (file->rest && offset >= file->rest_at) {
        offset = offset - file->rest_at + file->rest_from;
        file = file->rest;
    } else if (file->rest && bytes > file->rest_at - offset) {
        bytes = (uint32_t)(file->rest_at - offset);
    }
    op->transfer.data = data;
    op->transfer.offset = offset;
    op->transfer.bytes = bytes;
    op->transfer.moved = 0;
    op->transfer.started = 0;
    op->transfer.buffer_index = buffer_index;
    start_transfer(ring, op, KIND_READ, file);
}

void pst_io_write(struct pst_ring *ring, struct pst_io_op *op, struct pst_file *file,
                  const void *data, uint32_t bytes, uint64_t offset, int buffer_index)
{
    assert(is_aligned(file, bytes));
    op->transfer.data = (char *)(uintptr_t)data; /* the kernel only reads it */
    op->transfer.offset = offset;
    op->transfer.bytes = bytes;
    op->transfer.moved = 0;
    op->transfer.started = 0;
    op->transfer.buffer_index = buffer_index;
    start_transfer(ring, op, KIND_WRITE, file);
}

void io_fallocate(struct pst_ring *ring, struct pst_io_op *op, struct pst_file *file, int mode,
                  uint64_t offset, uint64_t bytes)
{
    op->range.mode = mode;
    op->range.offset = offset;
    op->range.bytes = bytes;
    start(ring, op, KIND_FALLOCATE, file);
}

void io_truncate(struct pst_ring *ring, struct pst_io_op *op, struct pst_file *file,
                 uint64_t size_bytes)
{
    op->range.bytes = size_bytes;
    start(ring, op, KIND_TRUNCATE, file);
}

void io_fdatasync(struct pst_ring *ring, struct pst_io_op *op, struct pst_file *file)
{
    start(ring, op, KIND_FDATASYNC, file);
}

void pst_io_close(struct pst_ring *ring, struct pst_io_op *op, struct pst_file *file)
{
    assert(file->fd >= 0 && file->in_flight == 0);
    unregister_file(ring, file);
    start(ring, op, KIND_CLOSE, file);
}

void io_unlink(struct pst_ring *ring, struct pst_io_op *op, int dirfd, const char *path, int flags)
{
    op->name.dirfd = dirfd;
    op->name.path = path;
    op->name.flags = flags;
    start(ring, op, KIND_UNLINK, NULL);
}
