/*
 * The data pass: pieces of verified chunks are written to their places in the files. Called by
 * restore.c on its thread; the pieces are written on the crew's threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "engine/restore/restore_object.h"
#include "engine/restore/restore_passes.h"

/* Files that a worker keeps open while pieces of them come in. */
#define FILES 8u

struct restore_file {
    struct object_record *record; /* NULL: free */
    int fd;
    bool is_direct; /* open with O_DIRECT */
};

struct restore_worker {
    struct restore_file files[FILES];
    uint32_t next_file; /* to be replaced */
    struct pst_parent parent;
};

/* The file takes nothing more; the rest of it would only look like data. */
static int refuse(struct restore_run *run, int error, struct object_record *record,
                  const char *what)
{
    atomic_store(&record->refused, true);
    return restore_miss(run, error, record, what);
}

static int close_file(struct restore_run *run, struct restore_file *file)
{
    if (!file->record)
        return 0;
    struct object_record *record = file->record;
    file->record = NULL;
    restore_begin(run, record, "close");
    int closed = close(file->fd);
    pst_activity_end();
    if (closed != 0 && errno != EINTR)
        return refuse(run, -errno, record, "could not write");
    return 0;
}

static bool set_direct(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
}

/* An environment is one large file without holes, which all workers write. Once its blocks are
 * allocated, they can write it in parallel and past the page cache. On tmpfs neither would help. No
 * more is allocated for all of them together than the backup has bytes, whatever size they claim.
 */
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

static int open_file(struct restore_run *run, struct restore_worker *worker,
                     struct object_record *record, const struct pst_object *object, bool *is_direct)
{
    pthread_mutex_lock(&run->files);
    bool is_first = !atomic_load(&record->made);
    int fd = restore_open(run, &worker->parent, record, object->path, 0600);
    if (fd >= 0 && is_first && object->type == PST_OBJECT_ENVIRONMENT)
        allocate(run, record, fd, object->size);
    *is_direct = fd >= 0 && record->allocated && set_direct(fd, true);
    pthread_mutex_unlock(&run->files);
    return fd;
}

/* The open file of an object; if it is not open, the file that was opened first is closed for it.
 * *found stays NULL where the object takes nothing. */
static int file_of(struct restore_run *run, struct restore_worker *worker,
                   struct object_record *record, const struct pst_object *object,
                   struct restore_file **found)
{
    for (uint32_t i = 0; i < FILES; i++) {
        if (worker->files[i].record == record) {
            *found = &worker->files[i];
            return 0;
        }
    }
    struct restore_file *file = &worker->files[worker->next_file];
    worker->next_file = (worker->next_file + 1) % FILES;
    int error = close_file(run, file);
    if (error)
        return error;
    restore_begin(run, record, "write");
    bool is_direct = false;
    int fd = open_file(run, worker, record, object, &is_direct);
    if (fd < 0)
        return refuse(run, fd, record, "could not create");
    *file = (struct restore_file){record, fd, is_direct};
    *found = file;
    return 0;
}

static int write_all(int fd, const uint8_t *data, size_t bytes, uint64_t offset)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t wrote = pwrite(fd, data + done, bytes - done, (off_t)(offset + done));
        if (wrote < 0 && errno != EINTR)
            return -errno;
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    return 0;
}

/* Where O_DIRECT is not possible, or the file system refuses this write, the rest is buffered. */
static int write_at(struct restore_file *file, const uint8_t *data, size_t bytes, uint64_t offset)
{
    if (file->is_direct) {
        bool is_aligned = ((uintptr_t)data | bytes | offset) % PST_BLOCK_BYTES == 0;
        int error = is_aligned ? write_all(file->fd, data, bytes, offset) : -EINVAL;
        if (error != -EINVAL)
            return error;
        file->is_direct = false;
        if (!set_direct(file->fd, false))
            return -errno;
    }
    return write_all(file->fd, data, bytes, offset);
}

/* Most files are one piece: opened once, written, finished. */
static int write_whole(struct restore_run *run, struct restore_worker *worker,
                       struct object_record *record, const struct pst_object *object,
                       const uint8_t *data)
{
    if (atomic_exchange(&record->finished, true))
        return 0; /* a second one: restore_check_contents() refuses it */
    /* beside the target nobody else gets to it: it may have its mode from the beginning */
    mode_t mode = run->target.in_place ? 0600 : object->mode & 0777;
    int fd = restore_open(run, &worker->parent, record, object->path, mode);
    if (fd < 0)
        return refuse(run, fd, record, "could not create");
    int error = write_all(fd, data, object->size, 0);
    if (error)
        error = refuse(run, error, record, "could not write");
    else
        error = restore_finish_open(run, fd, record);
    if (close(fd) != 0 && errno != EINTR && !error)
        error = refuse(run, -errno, record, "could not write");
    return error;
}

/* One of the pieces of a file, which is finished when all are there. */
static int write_part(struct restore_run *run, struct restore_worker *worker,
                      struct object_record *record, const struct pst_object *object,
                      const struct pst_chunk_piece *piece, const uint8_t *data)
{
    struct restore_file *file = NULL;
    int error = file_of(run, worker, record, object, &file);
    if (error || !file)
        return error;
    error = write_at(file, data, piece->bytes, piece->object_offset);
    return error ? refuse(run, error, record, "could not write") : 0;
}

static int write_piece(struct restore_run *run, struct restore_worker *worker,
                       const struct pst_part_map *part, const struct pst_chunk_piece *piece,
                       const uint8_t *payload)
{
    if (!restore_is_chosen(run, part->node_index, piece->object))
        return 0;
    struct object_record *record = objects_find(&run->objects, part->node_index, piece->object);
    if (!record || !contents_has_bytes(record, piece))
        return 0; /* restore_add_pieces() reported it */
    const struct pst_object object = object_of(record);
    if (object.type == PST_OBJECT_ROWS)
        return 0; /* restore_rows.c, in their order */
    if (piece->bytes == 0 || atomic_load(&record->refused))
        return 0;
    const uint8_t *data = payload + piece->payload_offset;
    restore_begin(run, record, "write");
    int error = piece->bytes == object.size ? write_whole(run, worker, record, &object, data)
                                            : write_part(run, worker, record, &object, piece, data);
    pst_activity_end();
    if (!error && !atomic_load(&record->refused)) {
        atomic_fetch_add(&record->received, piece->bytes);
        atomic_fetch_add(&run->bytes, piece->bytes);
    }
    return error;
}

/* Takes a piece that is a whole file for hit where its checksum refutes it: nothing of it is to be
 * written. */
static bool refute(struct restore_run *run, const struct pst_part_map *part, const void *buffer,
                   uint32_t i)
{
    const struct pst_chunk_piece *piece = &pst_chunk_header_of(buffer)->pieces[i];
    struct object_record *record = objects_find(&run->objects, part->node_index, piece->object);
    bool is_hit = record && piece->bytes > 0 && piece->bytes == object_size(record) &&
                  !contents_vouch_for(record, buffer, i);
    if (is_hit)
        atomic_store(&record->is_hit, true);
    return is_hit;
}

/* Some of the payload is damaged. What it costs is judged by the checksums of objects: of a file in
 * one piece at once, of one in several when all were added. */
static int salvage_chunk(void *context, uint32_t number, const struct pst_part_map *part,
                         const void *buffer)
{
    struct restore_run *run = context;
    const struct pst_chunk_header *header = pst_chunk_header_of(buffer);
    if (!contents_sums_are_whole(&run->contents, part->node_index)) {
        restore_note_hit(run, part, header);
        return 0;
    }
    int error = restore_add_pieces(run, part, buffer, true);
    for (uint32_t i = 0; !error && i < header->pieces_count; i++) {
        if (!refute(run, part, buffer, i))
            error = write_piece(run, &run->workers[number], part, &header->pieces[i],
                                pst_chunk_payload_of(buffer));
    }
    return error;
}

static int write_pieces(struct restore_run *run, uint32_t number, const struct pst_part_map *part,
                        const void *buffer)
{
    const struct pst_chunk_header *header = pst_chunk_header_of(buffer);
    int error = 0;
    for (uint32_t i = 0; !error && i < header->pieces_count; i++)
        error = write_piece(run, &run->workers[number], part, &header->pieces[i],
                            pst_chunk_payload_of(buffer));
    return error;
}

static int write_proven(void *context, uint32_t number, const struct pst_part_map *part,
                        const void *buffer)
{
    struct restore_run *run = context;
    int taken = contents_add_proven(&run->contents, part, buffer);
    int error = taken > 0 ? write_pieces(run, number, part, buffer) : 0;
    return error ? error : taken;
}

static int write_chunk(void *context, uint32_t number, const struct pst_part_map *part,
                       const void *buffer)
{
    struct restore_run *run = context;
    int error = restore_add_pieces(run, part, buffer, false);
    return error ? error : write_pieces(run, number, part, buffer);
}

int restore_write_data(struct restore_run *run)
{
    uint32_t workers = crew_workers(run->crew);
    if ((run->objects.types & RESTORE_FILE_TYPES) == 0)
        return 0;
    run->workers = calloc(workers, sizeof(*run->workers));
    if (!run->workers)
        return -ENOMEM;
    for (uint32_t i = 0; i < workers; i++)
        run->workers[i].parent = (struct pst_parent)PST_PARENT_NONE;
    run->allocate_bytes = run->set.file_bytes;
    int error = restore_read_chunks(run, PST_CHUNK_DATA, CHUNK_WHOLE, write_chunk, write_proven,
                                    salvage_chunk);
    if (!error)
        error = restore_check_contents(run);
    for (uint32_t i = 0; i < workers; i++) {
        for (uint32_t j = 0; j < FILES; j++) {
            int closed = close_file(run, &run->workers[i].files[j]);
            error = error ? error : closed;
        }
        pst_parent_close(&run->workers[i].parent);
    }
    free(run->workers);
    run->workers = NULL;
    return error;
}
