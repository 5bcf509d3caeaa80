/*
 * Writes the pieces of files that have several. Runs on the crew's threads, each with files of its
 * own; several of them may have the same file open.
 */
#include "engine/restore/restore_files.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "engine/restore/restore_flush.h"
#include "io/file.h"

/* Writes on their way; one more file is open, so that one of them can always be closed. */
#define WRITES_MAX 16u

/* Below that, a file is no more than a few chunks, and the page cache may gather its neighbours. */
#define DIRECT_BYTES_MIN (4u << 20)

/* Of a buffered piece that is so large the disk begins to write at once, not when all is there. */
#define WRITE_BACK_BYTES_MIN (256u << 10)

struct restore_file {
    struct object_record *record; /* NULL: free */
    int fd;
    bool is_direct;       /* file is in use, at first with O_DIRECT */
    struct pst_file file; /* of fd */
};

/* A piece on its way, whose chunk is held. */
struct file_write {
    struct pst_io_op op; /* first: see restore_files_watch() */
    struct restore_files *files;
    struct object_record *record;
    struct chunk_hold *hold;
    struct file_write *next; /* of those that are free */
};

struct restore_files {
    struct restore_run *run;
    uint32_t worker;
    uint32_t next_file; /* to be replaced, unless it is being written */
    struct pst_parent parent;
    struct restore_file files[WRITES_MAX + 1];
    struct file_write writes[WRITES_MAX];
    struct file_write *free_writes;
};

struct restore_files *restore_files_make(struct restore_run *run, uint32_t worker)
{
    struct restore_files *files = calloc(1, sizeof(*files));
    if (!files)
        return NULL;
    files->run = run;
    files->worker = worker;
    files->parent = (struct pst_parent)PST_PARENT_NONE;
    for (uint32_t i = 0; i < WRITES_MAX; i++) {
        files->writes[i].files = files;
        files->writes[i].next = files->free_writes;
        files->free_writes = &files->writes[i];
    }
    return files;
}

int restore_refuse(struct restore_run *run, int error, struct object_record *record,
                   const char *what)
{
    atomic_store(&record->refused, true); /* the rest of it would only look like data */
    return restore_miss(run, error, record, what);
}

void restore_count(struct restore_run *run, struct object_record *record, uint64_t bytes)
{
    if (atomic_load(&record->refused))
        return;
    atomic_fetch_add(&record->received, bytes);
    atomic_fetch_add(&run->bytes, bytes);
}

static int close_file(struct restore_run *run, struct restore_file *file)
{
    if (!file->record)
        return 0;
    struct object_record *record = file->record;
    file->record = NULL;
    assert(!file->is_direct || file->file.in_flight == 0);
    restore_begin(run, record, "close");
    int closed = close(file->fd);
    pst_activity_end();
    if (closed != 0 && errno != EINTR)
        return restore_refuse(run, -errno, record, "could not write");
    return 0;
}

int restore_files_close(struct restore_files *files)
{
    int error = 0;
    for (uint32_t i = 0; i <= WRITES_MAX; i++) {
        int closed = close_file(files->run, &files->files[i]);
        error = error ? error : closed;
    }
    pst_parent_close(&files->parent);
    free(files);
    return error;
}

/* ---- opening ---- */

/* What is large, and data from end to end. What may be cut short of its listed end, by the backup
 * or by damage, is not allocated: its length says how much there is. */
static bool is_to_be_allocated(const struct restore_run *run, const struct pst_object *object)
{
    uint64_t data_bytes;
    if (object->type == PST_OBJECT_ENVIRONMENT)
        return true;
    return object->size >= DIRECT_BYTES_MIN && object->flags == 0 && !run->options->keep_going &&
           pst_object_data_bytes(object, &data_bytes) && data_bytes == object->size;
}

/* Once its blocks are allocated, workers can write a file in parallel and past the page cache. On
 * tmpfs neither would help. No more is allocated for all files together than the backup has bytes,
 * whatever size they claim. */
static void allocate(struct restore_run *run, struct object_record *record, int fd, uint64_t size)
{
    struct statfs attributes;
    if (fstatfs(fd, &attributes) != 0 || attributes.f_type == TMPFS_MAGIC ||
        size > run->allocate_bytes)
        return;
    record->allocated = fallocate(fd, 0, 0, (off_t)size) == 0;
    if (record->allocated)
        run->allocate_bytes -= size;
    else /* it keeps what it got (fallocate(2)); nobody has written into it yet */
        (void)!ftruncate(fd, 0);
}

/* Others may open it too; the first one decides how it is written. */
static int open_shared(struct restore_files *files, struct object_record *record,
                       const struct pst_object *object)
{
    struct restore_run *run = files->run;
    pthread_mutex_lock(&run->files);
    bool is_first = !atomic_load(&record->made);
    int fd = restore_open(run, &files->parent, record, object->path, 0600);
    if (fd >= 0 && is_first && is_to_be_allocated(run, object))
        allocate(run, record, fd, object->size);
    pthread_mutex_unlock(&run->files);
    return fd;
}

static struct restore_file *next_idle(struct restore_files *files)
{
    struct restore_file *file;
    do {
        file = &files->files[files->next_file];
        files->next_file = (files->next_file + 1) % (WRITES_MAX + 1);
    } while (file->record && file->is_direct && file->file.in_flight > 0);
    return file;
}

/* The open file of an object; if it is not open, the file that was opened first is closed for it.
 * *found stays NULL where the object takes nothing. */
static int file_of(struct restore_files *files, struct object_record *record,
                   const struct pst_object *object, struct restore_file **found)
{
    for (uint32_t i = 0; i <= WRITES_MAX; i++) {
        if (files->files[i].record == record) {
            *found = &files->files[i];
            return 0;
        }
    }
    struct restore_file *file = next_idle(files);
    int error = close_file(files->run, file);
    if (error)
        return error;
    restore_begin(files->run, record, "write");
    int fd = open_shared(files, record, object);
    if (fd < 0)
        return restore_refuse(files->run, fd, record, "could not create");
    *file = (struct restore_file){.record = record, .fd = fd};
    file->is_direct = record->allocated && pst_io_adopt(chunk_ring(files->run->crew, files->worker),
                                                        &file->file, fd, PST_DIRECT_AUTO) == 0;
    *found = file;
    return 0;
}

/* ---- writing ---- */

int restore_write_all(int fd, const uint8_t *data, size_t bytes, uint64_t offset)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t wrote = pwrite(fd, data + done, bytes - done, (off_t)(offset + done));
        if (wrote < 0 && errno != EINTR)
            return -errno;
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    return 0;
}

static int write_now(struct restore_files *files, struct object_record *record, int fd,
                     const struct pst_chunk_piece *piece, const uint8_t *data)
{
    int error = restore_write_all(fd, data, piece->bytes, piece->object_offset);
    if (error)
        return restore_refuse(files->run, error, record, "could not write");
    if (piece->bytes >= WRITE_BACK_BYTES_MIN)
        (void)!sync_file_range(fd, (off_t)piece->object_offset, piece->bytes,
                               SYNC_FILE_RANGE_WRITE);
    restore_flush_add(files->run, piece->bytes);
    restore_count(files->run, record, piece->bytes);
    return 0;
}

/* Through the page cache, by a descriptor of its own: what O_DIRECT does not take. */
static int write_aside(struct restore_files *files, struct object_record *record,
                       const struct pst_object *object, const struct pst_chunk_piece *piece,
                       const uint8_t *data)
{
    int fd = restore_open(files->run, &files->parent, record, object->path, 0600);
    if (fd < 0)
        return restore_refuse(files->run, fd, record, "could not open");
    int error = write_now(files, record, fd, piece, data);
    if (close(fd) != 0 && errno != EINTR && !error)
        error = restore_refuse(files->run, -errno, record, "could not write");
    return error;
}

static void write_done(struct pst_io_op *op, int result)
{
    struct file_write *write = PST_IO_OP_OF(op, struct file_write, op);
    struct restore_files *files = write->files;
    int error = 0;
    if (result < 0)
        error = restore_refuse(files->run, result, write->record, "could not write");
    else
        restore_count(files->run, write->record, (uint64_t)result);
    if (result > 0 && !op->file->direct) /* refused: it is in the page cache */
        restore_flush_add(files->run, (uint64_t)result);
    write->next = files->free_writes;
    files->free_writes = write;
    chunk_release(write->hold, error);
}

static void start_write(struct restore_files *files, struct restore_file *file,
                        const struct pst_chunk_piece *piece, const uint8_t *data)
{
    struct crew *crew = files->run->crew;
    struct file_write *write = files->free_writes;
    files->free_writes = write->next;
    write->record = file->record;
    write->hold = chunk_hold(crew, files->worker);
    write->op.done = write_done;
    pst_io_write(chunk_ring(crew, files->worker), &write->op, &file->file, data, piece->bytes,
                 piece->object_offset, -1);
}

int restore_files_write(struct restore_files *files, struct object_record *record,
                        const struct pst_object *object, const struct pst_chunk_piece *piece,
                        const uint8_t *data)
{
    struct restore_file *file = NULL;
    int error = file_of(files, record, object, &file);
    if (error || !file)
        return error;
    if (!file->is_direct)
        return write_now(files, record, file->fd, piece, data);
    bool is_aligned =
        ((uintptr_t)data | piece->bytes | piece->object_offset) % PST_BLOCK_BYTES == 0;
    if (!is_aligned || !files->free_writes)
        return write_aside(files, record, object, piece, data);
    start_write(files, file, piece, data);
    return 0;
}

void restore_files_watch(void *context, const struct pst_io_op *op)
{
    const struct file_write *write = (const void *)op;
    restore_begin(context, write->record, "write");
}
