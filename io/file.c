#include "io/file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/limits.h"
#include "io/ring_internal.h"

#define RETRIES_MAX 100 /* of a request that makes no progress */
#define TRANSFER_BYTES_MAX (1u << 30)

enum kind {
    KIND_OPEN,
    KIND_READ,
    KIND_WRITE,
    KIND_FALLOCATE,
    KIND_TRUNCATE,
    KIND_FSYNC,
    KIND_FDATASYNC,
    KIND_CLOSE,
    KIND_RENAME,
    KIND_UNLINK,
};

/* ---- files ---- */

static int64_t nanoseconds(struct statx_timestamp time)
{
    return (int64_t)((uint64_t)time.tv_sec * UINT64_C(1000000000) + time.tv_nsec);
}

static uint32_t direct_alignment(const struct statx *attributes)
{
    if (!(attributes->stx_mask & STATX_DIOALIGN))
        return PST_BLOCK_BYTES;
    if (attributes->stx_dio_mem_align > PST_BLOCK_BYTES)
        return 0;
    if (attributes->stx_dio_offset_align > attributes->stx_dio_mem_align)
        return attributes->stx_dio_offset_align;
    return attributes->stx_dio_mem_align;
}

/* Takes over the attributes; *align_bytes becomes what O_DIRECT would need, 0: it cannot be. */
static int stat_file(struct pst_file *file, uint32_t *align_bytes)
{
    struct statx attributes;
    if (statx(file->fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_DIOALIGN, &attributes) != 0)
        return -errno;
    file->mode = attributes.stx_mode;
    file->size_bytes = attributes.stx_size;
    file->inode = attributes.stx_ino;
    file->mtime_ns = nanoseconds(attributes.stx_mtime);
    file->ctime_ns = nanoseconds(attributes.stx_ctime);
    *align_bytes = direct_alignment(&attributes);
    if (!S_ISREG(file->mode) && !S_ISBLK(file->mode))
        *align_bytes = 0;
    return 0;
}

int pst_file_stat(struct pst_file *file)
{
    uint32_t align_bytes;
    return stat_file(file, &align_bytes);
}

static int set_direct_flag(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) < 0)
        return -errno;
    return 0;
}

static int switch_direct_on(struct pst_file *file, uint32_t align_bytes)
{
    bool fits = align_bytes > 0 && align_bytes <= PST_BLOCK_BYTES;
    if (fits && set_direct_flag(file->fd, true) == 0) {
        file->direct = true;
        file->align_bytes = align_bytes;
        return 0;
    }
    file->direct_refused = true;
    return file->direct_required ? -EINVAL : 0;
}

/* The file system took O_DIRECT at the open and refuses it in the transfer. */
static bool fall_back_to_buffered(struct pst_file *file)
{
    if (!file->direct)
        return true;
    if (file->direct_required || set_direct_flag(file->fd, false) != 0)
        return false;
    file->direct = false;
    file->direct_refused = true;
    file->align_bytes = 1;
    return true;
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
    if (io_uring_register_files_update(&ring->uring, (unsigned)slot, &file->fd, 1) != 1)
        return;
    ring->slots_free--;
    file->slot = slot;
}

static void unregister_file(struct pst_ring *ring, struct pst_file *file)
{
    int none = -1;
    if (file->slot < 0)
        return;
    int updated = io_uring_register_files_update(&ring->uring, (unsigned)file->slot, &none, 1);
    assert(updated == 1);
    ring->free_slots[ring->slots_free++] = file->slot;
    file->slot = -1;
}

/* ---- starting ---- */

static void start(struct pst_ring *ring, struct pst_io_op *op, enum kind kind,
                  struct pst_file *file)
{
    assert(op->done);
    op->kind = (uint8_t)kind;
    op->file = file;
    op->retries = 0;
    ring->in_flight++;
    if (file)
        file->in_flight++;
    pst_ring_enqueue(ring, op);
}

void pst_io_open(struct pst_ring *ring, struct pst_io_op *op, struct pst_file *file,
                 const struct pst_open *how)
{
    assert(!(how->flags & O_DIRECT));
    *file = (struct pst_file){.fd = -1, .slot = -1, .align_bytes = 1};
    file->direct_required = how->direct == PST_DIRECT_ON;
    op->open.dirfd = how->dirfd;
    op->open.path = how->path;
    op->open.try_direct = how->direct != PST_DIRECT_OFF;
    op->open.how = (struct open_how){.flags = (unsigned)(how->flags | O_CLOEXEC),
                                     .mode = how->flags & O_CREAT ? how->mode : 0};
    if (how->beneath)
        op->open.how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    start(ring, op, KIND_OPEN, file);
}

static bool is_aligned(const struct pst_file *file, uint64_t number)
{
    return (number & (file->align_bytes - 1)) == 0;
}

static void start_transfer(struct pst_ring *ring, struct pst_io_op *op, enum kind kind,
                           struct pst_file *file)
{
    assert(file->fd >= 0);
    assert(op->transfer.bytes > 0 && op->transfer.bytes <= TRANSFER_BYTES_MAX);
    assert(op->transfer.buffer_index < 0 || ring->buffers_error ||
           (unsigned)op->transfer.buffer_index < ring->buffers);
    assert(is_aligned(file, op->transfer.offset));
    assert(is_aligned(file, (uintptr_t)op->transfer.data));
    start(ring, op, kind, file);
}

void pst_io_read(struct pst_ring *ring, struct pst_io_op *op, struct pst_file *file, void *data,
                 uint32_t bytes, uint64_t offset, int buffer_index)
{
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

void pst_io_fallocate(struct pst_ring *ring, struct pst_io_op *op, struct pst_file *file, int mode,
                      uint64_t offset, uint64_t bytes)
{
    op->range.mode = mode;
    op->range.offset = offset;
    op->range.bytes = bytes;
    start(ring, op, KIND_FALLOCATE, file);
}

void pst_io_truncate(struct pst_ring *ring, struct pst_io_op *op, struct pst_file *file,
                     uint64_t size_bytes)
{
    op->range.bytes = size_bytes;
    start(ring, op, KIND_TRUNCATE, file);
}

void pst_io_fdatasync(struct pst_ring *ring, struct pst_io_op *op, struct pst_file *file)
{
    start(ring, op, KIND_FDATASYNC, file);
}

void pst_io_fsync(struct pst_ring *ring, struct pst_io_op *op, struct pst_file *file)
{
    start(ring, op, KIND_FSYNC, file);
}

void pst_io_close(struct pst_ring *ring, struct pst_io_op *op, struct pst_file *file)
{
    assert(file->fd >= 0 && file->in_flight == 0);
    unregister_file(ring, file);
    start(ring, op, KIND_CLOSE, file);
}

void pst_io_rename(struct pst_ring *ring, struct pst_io_op *op, int old_dirfd, const char *old_path,
                   int new_dirfd, const char *new_path, unsigned flags)
{
    op->name.old_dirfd = old_dirfd;
    op->name.old_path = old_path;
    op->name.new_dirfd = new_dirfd;
    op->name.new_path = new_path;
    op->name.flags = flags;
    start(ring, op, KIND_RENAME, NULL);
}

void pst_io_unlink(struct pst_ring *ring, struct pst_io_op *op, int dirfd, const char *path,
                   int flags)
{
    op->name.old_dirfd = dirfd;
    op->name.old_path = path;
    op->name.flags = (unsigned)flags;
    start(ring, op, KIND_UNLINK, NULL);
}

/* ---- one request ---- */

static void prepare_transfer(struct pst_ring *ring, struct pst_io_op *op, struct io_uring_sqe *sqe)
{
    struct pst_file *file = op->file;
    char *data = op->transfer.data + op->transfer.started;
    uint64_t offset = op->transfer.offset + op->transfer.started;
    uint32_t align = file->align_bytes;
    uint32_t wanted = op->transfer.bytes - op->transfer.started;
    if (wanted > op->short_bytes)
        wanted = op->short_bytes;
    uint32_t bytes = (wanted + align - 1) & ~(align - 1);
    bool fixed = op->transfer.buffer_index >= 0 && ring->buffers > 0;
    if (op->kind == KIND_READ && fixed)
        io_uring_prep_read_fixed(sqe, file->fd, data, bytes, offset, op->transfer.buffer_index);
    else if (op->kind == KIND_READ)
        io_uring_prep_read(sqe, file->fd, data, bytes, offset);
    else if (fixed)
        io_uring_prep_write_fixed(sqe, file->fd, data, bytes, offset, op->transfer.buffer_index);
    else
        io_uring_prep_write(sqe, file->fd, data, bytes, offset);
}

static void replace_result(struct pst_io_op *op, int result)
{
    op->replaced = true;
    op->replaced_result = result;
}

static void prepare_truncate(struct pst_ring *ring, struct pst_io_op *op, struct io_uring_sqe *sqe)
{
    if (ring->kernel_truncates) {
        io_uring_prep_rw(PST_OP_FTRUNCATE, sqe, op->file->fd, NULL, 0, op->range.bytes);
        return;
    }
    replace_result(op, ftruncate(op->file->fd, (off_t)op->range.bytes) == 0 ? 0 : -errno);
    io_uring_prep_nop(sqe);
}

static void prepare_request(struct pst_ring *ring, struct pst_io_op *op, struct io_uring_sqe *sqe)
{
    switch ((enum kind)op->kind) {
    case KIND_OPEN:
        io_uring_prep_openat2(sqe, op->open.dirfd, op->open.path, &op->open.how);
        break;
    case KIND_READ:
    case KIND_WRITE:
        prepare_transfer(ring, op, sqe);
        break;
    case KIND_FALLOCATE:
        io_uring_prep_fallocate(sqe, op->file->fd, op->range.mode, (off_t)op->range.offset,
                                (off_t)op->range.bytes);
        break;
    case KIND_TRUNCATE:
        prepare_truncate(ring, op, sqe);
        break;
    case KIND_FSYNC:
        io_uring_prep_fsync(sqe, op->file->fd, 0);
        break;
    case KIND_FDATASYNC:
        io_uring_prep_fsync(sqe, op->file->fd, IORING_FSYNC_DATASYNC);
        break;
    case KIND_CLOSE:
        io_uring_prep_close(sqe, op->file->fd);
        break;
    case KIND_RENAME:
        io_uring_prep_renameat(sqe, op->name.old_dirfd, op->name.old_path, op->name.new_dirfd,
                               op->name.new_path, op->name.flags);
        break;
    case KIND_UNLINK:
        io_uring_prep_unlinkat(sqe, op->name.old_dirfd, op->name.old_path, (int)op->name.flags);
        break;
    }
}

/* A close is not replaced, only its result: the descriptor is gone even if close(2) fails. */
static void inject_fault(struct pst_io_fault *fault, struct pst_io_op *op)
{
    if (++fault->seen != fault->at)
        return;
    if (fault->kind == PST_IO_FAULT_ERROR) {
        replace_result(op, -fault->error);
    } else {
        if (op->kind != KIND_READ && op->kind != KIND_WRITE)
            return;
        op->short_bytes = fault->short_bytes;
    }
    fault->hits++;
}

void pst_io_prepare(struct pst_ring *ring, struct pst_io_op *op, struct io_uring_sqe *sqe)
{
    op->replaced = false;
    op->short_bytes = UINT32_MAX;
    op->direct = op->file && op->file->direct;
    if (__builtin_expect(ring->fault != NULL, 0))
        inject_fault(ring->fault, op);
    if (op->replaced && op->kind != KIND_CLOSE) {
        io_uring_prep_nop(sqe);
        return;
    }
    prepare_request(ring, op, sqe);
    if (op->file && op->file->slot >= 0 && sqe->opcode != IORING_OP_NOP) {
        sqe->fd = op->file->slot;
        sqe->flags |= IOSQE_FIXED_FILE;
    }
}

/* ---- completions ---- */

static void finish(struct pst_ring *ring, struct pst_io_op *op, int result)
{
    ring->in_flight--;
    if (op->file)
        op->file->in_flight--;
    op->done(op, result);
}

/* Whether the same request may be made again after it brought nothing. */
static bool may_retry(struct pst_io_op *op, int result)
{
    return (result == -EINTR || result == -EAGAIN) && op->retries++ < RETRIES_MAX;
}

static void transfer_failed(struct pst_ring *ring, struct pst_io_op *op, int result)
{
    if (may_retry(op, result))
        pst_ring_enqueue(ring, op);
    else if (result == -EINVAL && op->direct && fall_back_to_buffered(op->file))
        pst_ring_enqueue(ring, op);
    else
        finish(ring, op, result);
}

/* Where the next request begins: O_DIRECT needs it aligned, and the odd bytes are moved again. */
static void continue_at(struct pst_ring *ring, struct pst_io_op *op, uint32_t moved)
{
    op->transfer.moved = moved;
    op->transfer.started = moved & ~(op->file->align_bytes - 1);
    pst_ring_enqueue(ring, op);
}

static void read_completed(struct pst_ring *ring, struct pst_io_op *op, uint32_t end)
{
    if (end >= op->transfer.bytes) {
        finish(ring, op, (int)op->transfer.bytes);
    } else if (end <= op->transfer.moved) {
        finish(ring, op, (int)op->transfer.moved); /* nothing new: the end of the file */
    } else {
        op->retries = 0;
        continue_at(ring, op, end);
    }
}

static void write_completed(struct pst_ring *ring, struct pst_io_op *op, uint32_t end)
{
    uint32_t aligned_end = end & ~(op->file->align_bytes - 1);
    if (end >= op->transfer.bytes) {
        finish(ring, op, (int)op->transfer.bytes);
    } else if (aligned_end > op->transfer.started) {
        op->retries = 0;
        continue_at(ring, op, end);
    } else if (op->retries++ < RETRIES_MAX || (op->direct && fall_back_to_buffered(op->file))) {
        continue_at(ring, op, end);
    } else {
        finish(ring, op, -EIO);
    }
}

static void transfer_completed(struct pst_ring *ring, struct pst_io_op *op, int result)
{
    if (result < 0) {
        transfer_failed(ring, op, result);
        return;
    }
    uint32_t moved = (uint32_t)result < op->short_bytes ? (uint32_t)result : op->short_bytes;
    if (op->kind == KIND_READ)
        read_completed(ring, op, op->transfer.started + moved);
    else
        write_completed(ring, op, op->transfer.started + moved);
}

static int take_descriptor(struct pst_io_op *op, int fd)
{
    uint32_t align_bytes;
    op->file->fd = fd;
    int error = stat_file(op->file, &align_bytes);
    if (error || !op->open.try_direct)
        return error;
    return switch_direct_on(op->file, align_bytes);
}

/* An error after the open itself leaves neither the descriptor nor a file that it created. */
static void open_completed(struct pst_ring *ring, struct pst_io_op *op, int result)
{
    int error = result < 0 ? result : take_descriptor(op, result);
    if (result >= 0 && error) {
        if ((op->open.how.flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
            (void)unlinkat(op->open.dirfd, op->open.path, 0);
        (void)close(result);
        op->file->fd = -1;
    }
    finish(ring, op, error);
}

static void close_completed(struct pst_ring *ring, struct pst_io_op *op, int result)
{
    op->file->fd = -1;
    finish(ring, op, result == -EINTR ? 0 : result);
}

void pst_io_complete(struct pst_ring *ring, struct pst_io_op *op, int result)
{
    if (op->replaced)
        result = op->replaced_result;
    if (op->kind == KIND_READ || op->kind == KIND_WRITE)
        transfer_completed(ring, op, result);
    else if (op->kind == KIND_CLOSE)
        close_completed(ring, op, result);
    else if (may_retry(op, result))
        pst_ring_enqueue(ring, op);
    else if (op->kind == KIND_OPEN)
        open_completed(ring, op, result);
    else
        finish(ring, op, result);
}
