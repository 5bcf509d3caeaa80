/* The data pass: pieces of verified chunks go to their places in the files. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "engine/restore/restore_internal.h"

bool pst_restore_is_file(const struct pst_object *object)
{
    return object->type == PST_OBJECT_FILE || object->type == PST_OBJECT_TABLE ||
           object->type == PST_OBJECT_ENVIRONMENT || object->type == PST_OBJECT_BLOCK_IMAGE;
}

int pst_restore_open(struct pst_restore_run *run, struct pst_parent *parent,
                     const struct pst_object_record *record, const char *path)
{
    const char *name;
    int source_fd = pst_restore_source_fd(run, record);
    if (source_fd < 0)
        return -PST_E_CORRUPT;
    int parent_fd = pst_parent_of(parent, source_fd, path, &name);
    if (parent_fd < 0)
        return parent_fd;
    return pst_beneath_open(parent_fd, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600);
}

static int close_file(struct pst_restore_run *run, struct pst_restore_file *file)
{
    if (!file->record)
        return 0;
    const struct pst_object_record *record = file->record;
    file->record = NULL;
    if (close(file->fd) != 0 && errno != EINTR)
        return pst_restore_fail_object(run, -errno, record, "could not write");
    return 0;
}

static bool set_direct(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
}

/* All workers write one large file, whose pages all exist: into blocks that are there already they
 * do so at once, past the page cache. In memory there is neither to gain. */
static bool prepare_environment(int fd, uint64_t size)
{
    struct statfs attributes;
    if (fstatfs(fd, &attributes) != 0 || attributes.f_type == TMPFS_MAGIC)
        return false;
    return fallocate(fd, 0, 0, (off_t)size) == 0 && set_direct(fd, true);
}

/* The open file of an object; the longest kept one makes room. */
static int file_of(struct pst_restore_run *run, struct pst_restore_worker *worker,
                   const struct pst_object_record *record, const struct pst_object *object,
                   struct pst_restore_file **found)
{
    for (uint32_t i = 0; i < PST_RESTORE_FILES; i++) {
        if (worker->files[i].record == record) {
            *found = &worker->files[i];
            return 0;
        }
    }
    struct pst_restore_file *file = &worker->files[worker->next_file];
    worker->next_file = (worker->next_file + 1) % PST_RESTORE_FILES;
    int error = close_file(run, file);
    if (error)
        return error;
    int fd = pst_restore_open(run, &worker->parent, record, object->path);
    if (fd < 0)
        return pst_restore_fail_object(run, fd, record, "could not create");
    bool is_direct =
        object->type == PST_OBJECT_ENVIRONMENT && prepare_environment(fd, object->size);
    *file = (struct pst_restore_file){record, fd, is_direct};
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

/* Where O_DIRECT cannot be, or the file system does not want it so, the rest is buffered. */
static int write_at(struct pst_restore_file *file, const uint8_t *data, size_t bytes,
                    uint64_t offset)
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
static int write_whole(struct pst_restore_run *run, struct pst_restore_worker *worker,
                       struct pst_object_record *record, const struct pst_object *object,
                       const uint8_t *data)
{
    if (atomic_exchange(&record->finished, true))
        return -PST_E_CORRUPT;
    int fd = pst_restore_open(run, &worker->parent, record, object->path);
    if (fd < 0)
        return pst_restore_fail_object(run, fd, record, "could not create");
    int error = write_all(fd, data, object->size, 0);
    if (!error)
        error = pst_restore_finish_open(run, fd, object);
    if (close(fd) != 0 && errno != EINTR && !error)
        error = -errno;
    return error ? pst_restore_fail_object(run, error, record, "could not write") : 0;
}

/* One of the pieces of a file, which is finished when all are there. */
static int write_part(struct pst_restore_run *run, struct pst_restore_worker *worker,
                      const struct pst_object_record *record, const struct pst_object *object,
                      const struct pst_chunk_piece *piece, const uint8_t *data)
{
    struct pst_restore_file *file = NULL;
    int error = file_of(run, worker, record, object, &file);
    if (error)
        return error;
    error = write_at(file, data, piece->bytes, piece->object_offset);
    return error ? pst_restore_fail_object(run, error, record, "could not write") : 0;
}

static int write_piece(struct pst_restore_run *run, struct pst_restore_worker *worker,
                       const struct pst_part_map *part, const struct pst_chunk_piece *piece,
                       const uint8_t *payload)
{
    if (!pst_restore_is_chosen(run, part->node_index, piece->object))
        return 0;
    struct pst_object_record *record =
        pst_objects_find(&run->objects, part->node_index, piece->object);
    if (!record)
        return -PST_E_CORRUPT;
    const struct pst_object object = pst_object_of(record);
    if (object.type == PST_OBJECT_ROWS)
        return 0; /* restore_rows.c, in their order */
    if (!pst_restore_is_file(&object) || piece->bytes > object.size ||
        piece->object_offset > object.size - piece->bytes)
        return -PST_E_CORRUPT;
    if (piece->bytes == 0)
        return 0;
    const uint8_t *data = payload + piece->payload_offset;
    int error = piece->bytes == object.size ? write_whole(run, worker, record, &object, data)
                                            : write_part(run, worker, record, &object, piece, data);
    if (!error)
        atomic_fetch_add(&run->bytes, piece->bytes);
    return error;
}

static int write_chunk(void *context, uint32_t number, const struct pst_part_map *part,
                       const void *buffer)
{
    struct pst_restore_run *run = context;
    const struct pst_chunk_header *header = pst_chunk_header_of(buffer);
    int error = 0;
    for (uint32_t i = 0; !error && i < header->pieces_count; i++) {
        error = write_piece(run, &run->workers[number], part, &header->pieces[i],
                            pst_chunk_payload_of(buffer));
        if (error == -PST_E_CORRUPT) {
            const struct pst_damage damage = {
                offsetof(struct pst_chunk_header, pieces) + i * sizeof(header->pieces[0]),
                sizeof(header->pieces[0]), "piece of an object that has no such bytes"};
            pst_findings_add_damage(&run->findings, &part->file, header->file_offset, &damage,
                                    error);
        }
    }
    return error;
}

static bool has_files(const struct pst_objects *objects)
{
    for (size_t i = 0; i < objects->count; i++) {
        const struct pst_object object = pst_object_of(objects->sorted[i]);
        if (pst_restore_is_file(&object))
            return true;
    }
    return false;
}

int pst_restore_write_data(struct pst_restore_run *run)
{
    uint32_t workers = run->options->crew.workers;
    if (!has_files(&run->objects))
        return 0;
    run->workers = calloc(workers, sizeof(*run->workers));
    if (!run->workers)
        return -ENOMEM;
    for (uint32_t i = 0; i < workers; i++)
        run->workers[i].parent = (struct pst_parent)PST_PARENT_NONE;
    int error = pst_restore_scan(run, PST_CHUNK_DATA, false, write_chunk);
    for (uint32_t i = 0; i < workers; i++) {
        for (uint32_t j = 0; j < PST_RESTORE_FILES; j++) {
            int closed = close_file(run, &run->workers[i].files[j]);
            error = error ? error : closed;
        }
        pst_parent_close(&run->workers[i].parent);
    }
    free(run->workers);
    run->workers = NULL;
    return error;
}
