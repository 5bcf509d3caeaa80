/*
 * The data pass: pieces of verified chunks are written to their places in the files, here or, of
 * files that have several, by restore_files.c. Called by restore.c on its thread; the pieces are
 * written on the crew's threads.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/restore/restore_files.h"
#include "engine/restore/restore_flush.h"
#include "engine/restore/restore_passes.h"

struct restore_worker {
    struct restore_files *files; /* of several pieces */
    struct pst_parent parent;    /* of others */
};

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
        return restore_refuse(run, fd, record, "could not create");
    int error = restore_write_all(fd, data, object->size, 0);
    if (error)
        error = restore_refuse(run, error, record, "could not write");
    else
        error = restore_finish_open(run, fd, record);
    if (close(fd) != 0 && errno != EINTR && !error)
        error = restore_refuse(run, -errno, record, "could not write");
    restore_flush_add(run, object->size);
    if (!error)
        restore_count(run, record, object->size);
    return error;
}

/* Takes a piece that is a whole file for hit where its checksum refutes it: nothing of it is to be
 * written. */
static bool refute(struct object_record *record, const void *buffer, uint32_t i)
{
    const struct pst_chunk_piece *piece = &pst_chunk_header_of(buffer)->pieces[i];
    bool is_hit = record && piece->bytes > 0 && piece->bytes == object_size(record) &&
                  !contents_vouch_for(record, buffer, i);
    if (is_hit)
        atomic_store(&record->is_hit, true);
    return is_hit;
}

/* is_doubtful: unless that is refuted. */
static int write_to(struct restore_run *run, struct restore_worker *worker,
                    struct object_record *record, const void *buffer, uint32_t i, bool is_doubtful)
{
    const struct pst_chunk_piece *piece = &pst_chunk_header_of(buffer)->pieces[i];
    if (!record || !contents_has_bytes(record, piece))
        return 0; /* restore_add_pieces() reported it */
    if (is_doubtful && refute(record, buffer, i))
        return 0;
    const struct pst_object object = object_of(record);
    if (object.type == PST_OBJECT_ROWS)
        return 0; /* restore_rows.c, in their order */
    if (piece->bytes == 0 || atomic_load(&record->refused))
        return 0;
    const uint8_t *data = (const uint8_t *)pst_chunk_payload_of(buffer) + piece->payload_offset;
    restore_begin(run, record, "write");
    int error = piece->bytes == object.size
                    ? write_whole(run, worker, record, &object, data)
                    : restore_files_write(worker->files, record, &object, piece, data);
    pst_activity_end();
    return error;
}

/* To where it belongs here. */
static int write_piece(struct restore_run *run, struct restore_worker *worker,
                       const struct pst_part_map *part, const void *buffer, uint32_t i,
                       bool is_doubtful)
{
    const struct pst_chunk_piece *piece = &pst_chunk_header_of(buffer)->pieces[i];
    int error = 0;
    if (part->origin == 0) {
        struct object_record *record = objects_find(&run->objects, part->node_index, piece->object);
        return restore_is_chosen(run, part->node_index, piece->object)
                   ? write_to(run, worker, record, buffer, i, is_doubtful)
                   : 0;
    }
    struct origin_walk walk = origins_walk(&run->origins, part, piece);
    while (!error && origins_next(&run->origins, &walk))
        error = write_to(run, worker, walk.record, buffer, i, is_doubtful);
    return error;
}

static int write_pieces(struct restore_run *run, uint32_t number, const struct pst_part_map *part,
                        const void *buffer, bool are_doubtful)
{
    const struct pst_chunk_header *header = pst_chunk_header_of(buffer);
    int error = 0;
    for (uint32_t i = 0; !error && i < header->pieces_count; i++)
        error = write_piece(run, &run->workers[number], part, buffer, i, are_doubtful);
    return error;
}

/* Some of the payload is damaged. What it costs is judged by the checksums of objects: of a file in
 * one piece at once, of one in several when all were added. */
static int salvage_chunk(void *context, uint32_t number, const struct pst_part_map *part,
                         const void *buffer)
{
    struct restore_run *run = context;
    if (part->origin == 0 && !contents_sums_are_whole(&run->contents, part->node_index)) {
        restore_note_hit(run, part, pst_chunk_header_of(buffer));
        return 0;
    }
    int error = restore_add_pieces(run, part, buffer, true);
    return error ? error : write_pieces(run, number, part, buffer, true);
}

static int write_proven(void *context, uint32_t number, const struct pst_part_map *part,
                        const void *buffer)
{
    struct restore_run *run = context;
    int taken = contents_add_proven(&run->contents, part, buffer);
    int error = taken > 0 ? write_pieces(run, number, part, buffer, false) : 0;
    return error ? error : taken;
}

static int write_chunk(void *context, uint32_t number, const struct pst_part_map *part,
                       const void *buffer)
{
    struct restore_run *run = context;
    int error = restore_add_pieces(run, part, buffer, false);
    return error ? error : write_pieces(run, number, part, buffer, false);
}

static int make_workers(struct restore_run *run, uint32_t count)
{
    run->watch = restore_files_watch;
    run->workers = calloc(count, sizeof(*run->workers));
    for (uint32_t i = 0; run->workers && i < count; i++) /* all are closed, whatever fails here */
        run->workers[i].parent = (struct pst_parent)PST_PARENT_NONE;
    for (uint32_t i = 0; run->workers && i < count; i++) {
        run->workers[i].files = restore_files_make(run, i);
        if (!run->workers[i].files)
            return -ENOMEM;
    }
    return run->workers ? 0 : -ENOMEM;
}

static int close_workers(struct restore_run *run, uint32_t count)
{
    int error = 0;
    for (uint32_t i = 0; run->workers && i < count; i++) {
        int closed = run->workers[i].files ? restore_files_close(run->workers[i].files) : 0;
        error = error ? error : closed;
        pst_parent_close(&run->workers[i].parent);
    }
    free(run->workers);
    run->workers = NULL;
    return error;
}

int restore_write_data(struct restore_run *run)
{
    uint32_t workers = crew_workers(run->crew);
    if ((run->objects.types & RESTORE_FILE_TYPES) == 0)
        return 0;
    run->allocate_bytes = run->set.file_bytes + run->origins.bytes;
    int error = make_workers(run, workers);
    if (!error)
        error = restore_read_chunks(run, PST_CHUNK_DATA, CHUNK_WHOLE, write_chunk, write_proven,
                                    salvage_chunk);
    if (!error)
        error = restore_read_origins(run, write_chunk, write_proven, salvage_chunk);
    if (!error)
        error = restore_check_contents(run);
    int closed = close_workers(run, workers);
    return error ? error : closed;
}
