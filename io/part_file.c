/*
 * A part on disk: created, preallocated ahead of its writes, and finished or abandoned step by step
 * as completions come in. Runs on the ring's thread; an LDM's pipeline calls it.
 */
#include "io/part_file.h"

#include <assert.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "engine/base/limits.h"

#define PREALLOCATE_BYTES_MIN (16ull << 20)
#define PREALLOCATE_BYTES_MAX (1ull << 30)
#define PREALLOCATE_SHARE PST_LDMS_MAX /* of the free space, at most */

static struct pst_part_file *part_of(struct pst_io_op *op)
{
    return PST_IO_OP_OF(op, struct pst_part_file, op);
}

static void fail(struct pst_part_file *part, const char *step, int result)
{
    part->failed_step = step;
    part->done(part, result);
}

/* ---- preallocation ---- */

static void preallocated(struct pst_io_op *op, int result)
{
    struct pst_part_file *part = PST_IO_OP_OF(op, struct pst_part_file, preallocate_op);
    void (*after)(struct pst_part_file *) = part->after_preallocation;
    part->preallocating = false;
    part->after_preallocation = NULL;
    if (result == 0) {
        part->allocated_bytes += part->allocating_bytes;
    } else {
        part->preallocate_error = result;
        part->preallocates = false;
    }
    if (after)
        after(part);
}

/* 0: none. Where little is free, LDMs would take it from each other, and a backup that fits fail.
 * tmpfs clears each page as it allocates it, and has to find it again for the write. */
static uint64_t step_bytes(struct pst_part_file *part)
{
    struct statfs attributes;
    if (fstatfs(part->file.fd, &attributes) != 0)
        return 0;
    part->in_memory = attributes.f_type == TMPFS_MAGIC;
    if (part->in_memory)
        return 0;
    uint64_t free_bytes = (uint64_t)attributes.f_bavail * (uint64_t)attributes.f_bsize;
    uint64_t bytes = free_bytes / PREALLOCATE_SHARE & ~(uint64_t)(PST_BLOCK_BYTES - 1);
    if (bytes < PREALLOCATE_BYTES_MIN)
        return 0;
    return bytes < PREALLOCATE_BYTES_MAX ? bytes : PREALLOCATE_BYTES_MAX;
}

static void preallocate(struct pst_part_file *part)
{
    part->allocating_bytes = step_bytes(part);
    part->preallocates = part->allocating_bytes > 0;
    if (!part->preallocates)
        return;
    part->preallocating = true;
    part->preallocate_op.done = preallocated;
    io_fallocate(part->ring, &part->preallocate_op, &part->file, 0, part->allocated_bytes,
                 part->allocating_bytes);
}

static void preallocate_ahead(struct pst_part_file *part)
{
    if (part->preallocating || !part->preallocates)
        return;
    if (part->size_bytes + PREALLOCATE_BYTES_MIN / 2 > part->allocated_bytes)
        preallocate(part);
}

static void after_preallocation(struct pst_part_file *part, void (*next)(struct pst_part_file *))
{
    assert(part->file.in_flight == (part->preallocating ? 1u : 0u));
    if (part->preallocating)
        part->after_preallocation = next;
    else
        next(part);
}

/* ---- create ---- */

/* Not by fstat(2): ThreadSanitizer takes the number of a descriptor that an io_uring has closed,
 * and another thread then got, for this one. */
static void note_identity(struct pst_part_file *part)
{
    struct stat status;
    if (fstatat(part->file.fd, "", &status, AT_EMPTY_PATH) != 0)
        return;
    part->device = status.st_dev;
    part->inode = status.st_ino;
}

static void created(struct pst_io_op *op, int result)
{
    struct pst_part_file *part = part_of(op);
    if (result) {
        fail(part, "create", result);
        return;
    }
    note_identity(part);
    pst_ring_register_file(part->ring, &part->file);
    if (!part->is_discarded)
        preallocate(part); /* beside what comes before the first write */
    part->done(part, 0);
}

void pst_io_part_create(struct pst_part_file *part, struct pst_ring *ring, int dirfd,
                        const char *name, enum pst_direct direct,
                        void (*done)(struct pst_part_file *part, int result))
{
    struct pst_open how = {.dirfd = dirfd,
                           .path = name,
                           .flags = O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW,
                           .mode = 0600,
                           .direct = direct};
    *part = (struct pst_part_file){.ring = ring, .dirfd = dirfd, .name = name, .done = done};
    part->op.done = created;
    pst_io_open(ring, &part->op, &part->file, &how);
}

void pst_io_part_discard(struct pst_part_file *part, struct pst_ring *ring,
                         void (*done)(struct pst_part_file *part, int result))
{
    struct pst_open how = {
        .dirfd = AT_FDCWD, .path = "/dev/null", .flags = O_WRONLY, .direct = PST_DIRECT_OFF};
    *part =
        (struct pst_part_file){.ring = ring, .in_memory = true, .is_discarded = true, .done = done};
    part->op.done = created;
    pst_io_open(ring, &part->op, &part->file, &how);
}

void pst_io_part_write(struct pst_part_file *part, struct pst_io_op *op, const void *data,
                       uint32_t bytes, uint64_t offset, int buffer_index)
{
    assert(offset % PST_BLOCK_BYTES == 0 && bytes % PST_BLOCK_BYTES == 0);
    assert((uintptr_t)data % PST_BLOCK_BYTES == 0);
    if (offset + bytes > part->size_bytes)
        part->size_bytes = offset + bytes;
    preallocate_ahead(part);
    pst_io_write(part->ring, op, &part->file, data, bytes, offset, buffer_index);
}

/* ---- finish: truncate, fdatasync, close ---- */

static void finish_closed(struct pst_io_op *op, int result)
{
    struct pst_part_file *part = part_of(op);
    if (result)
        fail(part, "close", result);
    else
        part->done(part, 0);
}

static void close_finished(struct pst_part_file *part)
{
    part->op.done = finish_closed;
    pst_io_close(part->ring, &part->op, &part->file);
}

static void synced(struct pst_io_op *op, int result)
{
    struct pst_part_file *part = part_of(op);
    if (result) {
        fail(part, "fdatasync", result);
        return;
    }
    close_finished(part);
}

static void truncated(struct pst_io_op *op, int result)
{
    struct pst_part_file *part = part_of(op);
    if (result) {
        fail(part, "truncate", result);
        return;
    }
    part->op.done = synced;
    io_fdatasync(part->ring, &part->op, &part->file);
}

/* Always: a preallocation that failed half-way may have extended the file too. */
static void truncate_to_size(struct pst_part_file *part)
{
    part->op.done = truncated;
    io_truncate(part->ring, &part->op, &part->file, part->size_bytes);
}

void pst_io_part_finish(struct pst_part_file *part,
                        void (*done)(struct pst_part_file *part, int result))
{
    assert(part->file.fd >= 0);
    part->done = done;
    after_preallocation(part, part->is_discarded ? close_finished : truncate_to_size);
}

/* ---- abandon: close, unlink ---- */

static void unlinked(struct pst_io_op *op, int result)
{
    struct pst_part_file *part = part_of(op);
    if (result)
        fail(part, "unlink", result);
    else
        part->done(part, 0);
}

/* Where locks do not reach from host to host, another process may have swept it, and taken the name
 * for its own. */
static bool is_anothers(const struct pst_part_file *part)
{
    struct stat status;
    return part->inode != 0 &&
           fstatat(part->dirfd, part->name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           (status.st_dev != part->device || status.st_ino != part->inode);
}

static void unlink_file(struct pst_part_file *part)
{
    if (is_anothers(part)) {
        part->done(part, 0);
        return;
    }
    part->op.done = unlinked;
    io_unlink(part->ring, &part->op, part->dirfd, part->name, 0);
}

/* The file goes away: an error of its close does not matter. */
static void abandon_closed(struct pst_io_op *op, int result)
{
    (void)result;
    unlink_file(part_of(op));
}

static void close_and_unlink(struct pst_part_file *part)
{
    if (part->file.fd >= 0) {
        part->op.done = part->is_discarded ? finish_closed : abandon_closed;
        pst_io_close(part->ring, &part->op, &part->file);
    } else if (part->is_discarded) {
        part->done(part, 0);
    } else {
        unlink_file(part);
    }
}

void pst_io_part_abandon(struct pst_part_file *part,
                         void (*done)(struct pst_part_file *part, int result))
{
    part->done = done;
    after_preallocation(part, close_and_unlink);
}
