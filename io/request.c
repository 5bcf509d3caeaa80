/*
 * What an operation asks the kernel for, and how it goes on from the answer: ended, continued, or
 * made again. Runs on the ring's thread; called by io/ring.c.
 */
#include "io/request.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "engine/base/activity.h"
#include "engine/base/limits.h"
#include "io/fault.h"
#include "io/page_cache.h"

#define READ_AHEAD_BYTES (64u << 10)
#define RETRIES_MAX 100 /* of a request that makes no progress */
#define OP_FTRUNCATE 55 /* IORING_OP_FTRUNCATE, Linux 6.9; liburing 2.3 does not know it */

/* ---- attributes and O_DIRECT ---- */

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
int request_stat(struct pst_file *file, uint32_t *align_bytes)
{
    struct statx attributes;
    if (statx(file->fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_DIOALIGN, &attributes) != 0)
        return -errno;
    file->mode = attributes.stx_mode;
    file->uid = attributes.stx_uid;
    file->gid = attributes.stx_gid;
    file->names = attributes.stx_nlink;
    file->size_bytes = attributes.stx_size;
    file->inode = attributes.stx_ino;
    file->device = (uint64_t)attributes.stx_dev_major << 32 | attributes.stx_dev_minor;
    file->mtime_ns = nanoseconds(attributes.stx_mtime);
    file->ctime_ns = nanoseconds(attributes.stx_ctime);
    *align_bytes = direct_alignment(&attributes);
    if (!S_ISREG(file->mode) && !S_ISBLK(file->mode))
        *align_bytes = 0;
    return 0;
}

/* File systems whose data another process or host has. */
static bool is_remote(int fd)
{
    static const uint32_t types[] = {
        0x65735546, /* FUSE */
        0x6969,     /* NFS */
        0x517b,     /* SMB */
        0xfe534d42, /* SMB2 */
        0xff534d42, /* CIFS */
        0x01021997, /* 9P */
        0x00c36400, /* Ceph */
        0x5346414f, /* AFS */
        0x0bd00bd0, /* Lustre */
        0x47504653, /* GPFS */
        0x19830326, /* BeeGFS */
        0x01161970, /* GFS2 */
        0x7461636f, /* OCFS2 */
        0x786f4256, /* VirtualBox */
    };
    struct statfs file_system;
    if (fstatfs(fd, &file_system) < 0)
        return false;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if ((uint32_t)file_system.f_type == types[i])
            return true;
    }
    return false;
}

/* Asked once for a run of files of one device. */
static void note_remote(struct pst_ring *ring, struct pst_file *file)
{
    if (file->device != ring->device) {
        ring->device = file->device;
        ring->device_is_remote = is_remote(file->fd);
    }
    file->is_remote = ring->device_is_remote;
    file->no_poll = file->is_remote || file->device == ring->unpolled_device;
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

/* ---- one request ---- */

/* Of a file that fits into one request there is nothing to read ahead. */
static void follow_read_ahead(const struct pst_ring *ring, struct pst_io_op *op)
{
    struct pst_file *file = op->file;
    if (op->kind != KIND_READ || file->direct || file->no_read_ahead == ring->is_gentle ||
        op->transfer.bytes < READ_AHEAD_BYTES)
        return;
    (void)posix_fadvise(file->fd, 0, 0, ring->is_gentle ? POSIX_FADV_RANDOM : POSIX_FADV_NORMAL);
    file->no_read_ahead = ring->is_gentle;
}

/* Whether a transfer may name this buffer, which is registered now if it has not been. */
static bool has_buffer(struct request_queue *queue, unsigned index)
{
    if (!queue->buffers)
        return false;
    struct iovec *buffer = &queue->buffers[index];
    if (!buffer->iov_base || queue->buffers_error) /* once one is refused no other is tried */
        return !buffer->iov_base;
    int updated = io_uring_register_buffers_update_tag(&queue->uring, index, buffer, NULL, 1);
    if (updated == 1)
        buffer->iov_base = NULL;
    else
        queue->buffers_error = updated;
    return updated == 1;
}

static void prepare_transfer(struct pst_ring *ring, struct pst_io_op *op,
                             struct request_queue *queue, struct io_uring_sqe *sqe)
{
    struct pst_file *file = op->file;
    char *data = op->transfer.data + op->transfer.started;
    uint64_t offset = op->transfer.offset + op->transfer.started;
    uint32_t align = file->align_bytes;
    uint32_t wanted = op->transfer.bytes - op->transfer.started;
    if (wanted > op->short_bytes)
        wanted = op->short_bytes;
    if (ring->is_gentle && wanted > PST_GENTLE_BYTES)
        wanted = PST_GENTLE_BYTES;
    follow_read_ahead(ring, op);
    uint32_t bytes = (wanted + align - 1) & ~(align - 1);
    int index = op->transfer.buffer_index;
    bool fixed =
        index >= 0 && (unsigned)index < ring->buffers_count && has_buffer(queue, (unsigned)index);
    if (op->kind == KIND_READ && fixed)
        io_uring_prep_read_fixed(sqe, file->fd, data, bytes, offset, index);
    else if (op->kind == KIND_READ)
        io_uring_prep_read(sqe, file->fd, data, bytes, offset);
    else if (fixed)
        io_uring_prep_write_fixed(sqe, file->fd, data, bytes, offset, index);
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
        io_uring_prep_rw(OP_FTRUNCATE, sqe, op->file->fd, NULL, 0, op->range.bytes);
        return;
    }
    pst_activity_begin("truncate", "the part");
    replace_result(op, ftruncate(op->file->fd, (off_t)op->range.bytes) == 0 ? 0 : -errno);
    pst_activity_end();
    io_uring_prep_nop(sqe);
}

static void prepare_request(struct pst_ring *ring, struct pst_io_op *op,
                            struct request_queue *queue, struct io_uring_sqe *sqe)
{
    switch ((enum request_kind)op->kind) {
    case KIND_OPEN:
        io_uring_prep_openat2(sqe, op->open.dirfd, op->open.path, &op->open.how);
        break;
    case KIND_READ:
    case KIND_WRITE:
        prepare_transfer(ring, op, queue, sqe);
        break;
    case KIND_FALLOCATE:
        io_uring_prep_fallocate(sqe, op->file->fd, op->range.mode, (off_t)op->range.offset,
                                (off_t)op->range.bytes);
        break;
    case KIND_TRUNCATE:
        prepare_truncate(ring, op, sqe);
        break;
    case KIND_FDATASYNC:
        io_uring_prep_fsync(sqe, op->file->fd, IORING_FSYNC_DATASYNC);
        break;
    case KIND_CLOSE:
        io_uring_prep_close(sqe, op->file->fd);
        break;
    case KIND_UNLINK:
        io_uring_prep_unlinkat(sqe, op->name.dirfd, op->name.path, op->name.flags);
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

struct request_queue *request_queue_of(struct pst_ring *ring, const struct pst_io_op *op)
{
    bool polls = ring->polls && (op->kind == KIND_READ || op->kind == KIND_WRITE) &&
                 op->file->direct && !op->file->no_poll;
    return polls ? &ring->polled : &ring->usual;
}

void request_prepare(struct pst_ring *ring, struct pst_io_op *op, struct request_queue *queue,
                     struct io_uring_sqe *sqe)
{
    op->polled = queue == &ring->polled;
    op->replaced = false;
    op->short_bytes = UINT32_MAX;
    op->direct = op->file && op->file->direct;
    if (__builtin_expect(ring->fault != NULL, 0))
        inject_fault(ring->fault, op);
    if (op->replaced && op->kind != KIND_CLOSE) {
        io_uring_prep_nop(sqe);
        return;
    }
    prepare_request(ring, op, queue, sqe);
    if (op->kind == KIND_READ || op->kind == KIND_WRITE)
        sqe->ioprio = ring->priority;
    if (op->file && op->file->is_remote) /* the thread of the ring must not wait for it */
        sqe->flags |= IOSQE_ASYNC;
    if (op->file && op->file->slot >= 0 && !op->polled && sqe->opcode != IORING_OP_NOP) {
        sqe->fd = op->file->slot;
        sqe->flags |= IOSQE_FIXED_FILE;
    }
}

/* ---- completions ---- */

static void finish(struct pst_ring *ring, struct pst_io_op *op, int result)
{
    *(op->older ? &op->older->newer : &ring->oldest) = op->newer;
    *(op->newer ? &op->newer->older : &ring->newest) = op->older;
    ring->in_flight--;
    if (ring->in_flight == 0)
        ring->transfers.busy_ns += ring->now_ns - ring->busy_since_ns;
    if (op->kind == KIND_READ || op->kind == KIND_WRITE)
        ring->transfers.ns += ring->now_ns - op->began_ns;
    if (op->file)
        op->file->in_flight--;
    op->done(op, result);
}

/* Whether the same request may be made again after it brought nothing. */
static bool may_retry(struct pst_io_op *op, int result)
{
    return (result == -EINTR || result == -EAGAIN) && op->retries++ < RETRIES_MAX;
}

/* The disk has no queues that are polled, or the file system does not know what that is. */
static bool leave_polling(struct pst_ring *ring, struct pst_io_op *op, int result)
{
    if (result != -EOPNOTSUPP || !op->polled)
        return false;
    op->file->no_poll = true;
    ring->unpolled_device = op->file->device;
    return true;
}

static void transfer_failed(struct pst_ring *ring, struct pst_io_op *op, int result)
{
    if (may_retry(op, result) || leave_polling(ring, op, result))
        ring_enqueue(ring, op);
    else if (result == -EINVAL && op->direct && fall_back_to_buffered(op->file))
        ring_enqueue(ring, op);
    else
        finish(ring, op, result);
}

/* Where the next request begins: O_DIRECT needs it aligned, and the odd bytes are moved again. */
static void continue_at(struct pst_ring *ring, struct pst_io_op *op, uint32_t moved)
{
    op->transfer.moved = moved;
    op->transfer.started = moved & ~(op->file->align_bytes - 1);
    ring_enqueue(ring, op);
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
    ring->transfers.count++;
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

static bool wants_direct(const struct pst_file *file, const struct pst_io_look *look)
{
    if (look->direct == PST_DIRECT_COLD)
        return !file->is_remote && page_cache_lacks(file->fd, &look->cold);
    const struct pst_io_range whole = {0, file->size_bytes};
    if (look->direct == PST_DIRECT_UNLESS_CACHED)
        return file->is_remote || !page_cache_has(file->fd, &whole);
    return look->direct != PST_DIRECT_OFF;
}

int request_look_at(struct pst_ring *ring, struct pst_file *file, const struct pst_io_look *look)
{
    uint32_t align_bytes = 0;
    bool is_enough = look->is_known && lseek(file->fd, 0, SEEK_CUR) == 0; /* less than a statx(2) */
    int error = is_enough ? 0 : request_stat(file, &align_bytes);
    if (error)
        return error;
    note_remote(ring, file);
    return wants_direct(file, look) ? switch_direct_on(file, align_bytes) : 0;
}

static int take_descriptor(struct pst_ring *ring, struct pst_io_op *op, int fd)
{
    op->file->fd = fd;
    return PST_ACTIVITY_STEP("look at", op->open.path,
                             request_look_at(ring, op->file, &op->open.look));
}

/* An error after the open itself leaves neither the descriptor nor a file that it created. */
static void open_completed(struct pst_ring *ring, struct pst_io_op *op, int result)
{
    int error = result < 0 ? result : take_descriptor(ring, op, result);
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

void request_complete(struct pst_ring *ring, struct pst_io_op *op, int result)
{
    if (op->replaced)
        result = op->replaced_result;
    if (op->kind == KIND_READ || op->kind == KIND_WRITE)
        transfer_completed(ring, op, result);
    else if (op->kind == KIND_CLOSE)
        close_completed(ring, op, result);
    else if (may_retry(op, result))
        ring_enqueue(ring, op);
    else if (op->kind == KIND_OPEN)
        open_completed(ring, op, result);
    else
        finish(ring, op, result);
}

bool request_kernel_truncates(struct io_uring *uring)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(uring);
    bool supported = probe && io_uring_opcode_supported(probe, OP_FTRUNCATE);
    io_uring_free_probe(probe);
    return supported;
}
