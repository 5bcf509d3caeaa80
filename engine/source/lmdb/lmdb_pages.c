/*
 * Looks whether a snapshot's pages are there, by a reader, which may die of them. Called by
 * lmdb_list.c and lmdb.c on the source's thread.
 */
#include "engine/source/lmdb/lmdb_pages.h"

#include <errno.h>
#include <fcntl.h>

#include "engine/base/log.h"

#define WAIT_NS 400000u

static uint64_t bytes_of(const struct lmdb_source *lmdb)
{
    return (lmdb->meta.last_page + 1) * lmdb->meta.page_bytes;
}

static int start(struct lmdb_source *lmdb, enum lmdb_task_kind kind, uint64_t page)
{
    int error = lmdb_rows_open(lmdb, 0, &lmdb->rows);
    if (error)
        return error;
    struct lmdb_reader *reader = &lmdb->rows->readers[0];
    reader->slot->task.kind = kind;
    reader->slot->task.page = page;
    lmdb_reader_start(reader);
    return 0;
}

static void end(struct lmdb_source *lmdb)
{
    lmdb_rows_close(lmdb->rows);
    lmdb->rows = NULL;
}

static int wait_for(struct lmdb_source *lmdb, struct pst_fragment_sink *sink, uint64_t bytes)
{
    struct lmdb_reader *reader = &lmdb->rows->readers[0];
    struct pst_fragment_descriptor *slot;
    char text[LMDB_TEXT_BYTES];
    bool ended = false;
    while (bytes > 0) {
        uint64_t seen[512];
        size_t took;
        int error = lmdb_reader_take(reader, seen, sizeof(seen), &took, &ended, text);
        if (error)
            return lmdb_rows_error(lmdb->rows, NULL, error, text);
        if (ended)
            end(lmdb);
        if (ended)
            return 0;
        if (took > 0)
            reader->waits_since_ns = 0;
        if (took >= sizeof(seen[0]) && seen[took / sizeof(seen[0]) - 1] >= bytes)
            return 0;
        error = sink->acquire(sink, &slot);
        if (!error && took == 0)
            error = lmdb_rows_look(lmdb->rows, reader, NULL);
        if (error)
            return error;
        lmdb_reader_wait(reader, WAIT_NS);
    }
    return 0;
}

int lmdb_pages_start(struct lmdb_source *lmdb)
{
    return start(lmdb, LMDB_WALK, 0);
}

int lmdb_pages_wait(struct lmdb_source *lmdb, struct pst_fragment_sink *sink, uint64_t bytes)
{
    return lmdb->rows ? wait_for(lmdb, sink, bytes) : 0;
}

int lmdb_pages_look(struct lmdb_source *lmdb, struct pst_fragment_sink *sink)
{
    uint64_t there = (uint64_t)lmdb->file.st_size;
    if (there >= bytes_of(lmdb))
        return 0;
    int error = start(lmdb, LMDB_TAIL, there / lmdb->meta.page_bytes);
    return error ? error : wait_for(lmdb, sink, UINT64_MAX);
}

int lmdb_pages_check(const struct lmdb_source *lmdb)
{
    struct stat status;
    uint64_t there = (uint64_t)lmdb->file_bytes;
    uint64_t least = there < bytes_of(lmdb) ? there : bytes_of(lmdb);
    if (fstatat(lmdb->place.root_fd, lmdb->place.data, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if ((uint64_t)status.st_size >= least)
        return 0;
    pst_log(PST_LOG_ERROR, "source %s: %s: its data file was cut during the backup",
            lmdb->source.name, lmdb->place.path);
    return -PST_E_DAMAGED;
}
