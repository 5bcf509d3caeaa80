/*
 * The listing of an lmdb: source: its file in extents, or its tables in rows. Called by lmdb.c on
 * the source's thread.
 */
#include "engine/source/lmdb/lmdb_list.h"

#include <endian.h>

#include "engine/format/object.h"
#include "engine/format/rows.h"
#include "engine/source/lmdb/lmdb_list_rows.h"
#include "engine/source/lmdb/lmdb_pages.h"

/* Small enough that a small environment is shared out among several LDMs, large enough that dealing
 * one costs nothing beside reading it. */
#define FRAGMENT_BYTES (8u << 20)
#define AHEAD_BYTES (64u << 20)

static int add_object(struct pst_fragment_descriptor *slot, const struct pst_object *object,
                      bool first)
{
    uint8_t entry[PST_OBJECT_FIXED_BYTES + PST_PATH_BYTES_MAX + PST_ROWS_ATTRIBUTE_BYTES_MAX + 16];
    size_t entry_bytes = 0;
    int error = pst_object_encode(object, entry, sizeof(entry), &entry_bytes);
    return error ? error : pst_fragment_add_entry(slot, entry, entry_bytes, first);
}

static struct pst_object describe(const struct lmdb_source *lmdb, const struct stat *status,
                                  enum pst_object_type type, const char *path, uint64_t counter)
{
    return (struct pst_object){
        .id = pst_source_object_id(&lmdb->source, counter),
        .type = type,
        .path = path,
        .mtime_sec = status->st_mtim.tv_sec,
        .mtime_nsec = (uint32_t)status->st_mtim.tv_nsec,
        .mode = status->st_mode & 07777,
        .uid = status->st_uid,
        .gid = status->st_gid,
    };
}

static int add_entries(const struct lmdb_source *lmdb, struct pst_fragment_descriptor *slot,
                       uint64_t size, bool is_long_enough, bool first,
                       struct pst_source_listing *listing)
{
    struct pst_object environment =
        describe(lmdb, &lmdb->file, PST_OBJECT_ENVIRONMENT, lmdb->place.data, 1);
    uint8_t attribute[PST_OBJECT_DATA_ATTRIBUTE_BYTES];
    environment.size = size;
    if (is_long_enough) {
        environment.attributes = attribute;
        environment.attributes_bytes = pst_object_data_encode(size, attribute);
    }
    int error = add_object(slot, &environment, first);
    if (error || !first)
        return error;
    listing->objects++;
    if (lmdb->guard.is_file)
        return 0;
    struct pst_object directory = describe(lmdb, &lmdb->directory, PST_OBJECT_DIRECTORY, "", 2);
    listing->objects++;
    return add_object(slot, &directory, true);
}

/* Bytes from … to of the data file; the meta pages, which come first, are not read but captured. */
static int add_extents(const struct lmdb_source *lmdb, struct pst_fragment_descriptor *slot,
                       uint64_t from, uint64_t to)
{
    const struct lmdb_shared *shared = lmdb->guard.shared;
    uint64_t meta_bytes = 2 * (uint64_t)lmdb->meta.page_bytes;
    const struct pst_fragment_file file = {
        .object = pst_source_object_id(&lmdb->source, 1),
        .path = lmdb->place.data,
        .device = shared->inodes.device,
        .inode = shared->inodes.inode,
        .flags = PST_FRAGMENT_FILE_PINNED,
    };
    int error = pst_fragment_add_file(slot, &file);
    if (!error && from == 0) {
        error = pst_fragment_add_extent(slot, 0, meta_bytes, lmdb->pages);
        from = meta_bytes;
    }
    if (!error && to > from)
        error = pst_fragment_add_extent(slot, from, to - from, NULL);
    return error;
}

/* What the tables are tables of, and where it lay: no data. */
static int list_database(struct lmdb_source *lmdb, struct pst_fragment_sink *sink,
                         struct pst_source_listing *listing)
{
    uint8_t attribute[PST_ROWS_ATTRIBUTE_BYTES_MAX];
    uint64_t map_bytes = htole64(lmdb->meta.map_bytes);
    const struct pst_database_entry entry = {
        .kind = "lmdb", .details = &map_bytes, .details_bytes = sizeof(map_bytes)};
    struct pst_object database =
        describe(lmdb, &lmdb->file, PST_OBJECT_DATABASE, lmdb->place.data, 1);
    database.attributes = attribute;
    database.attributes_bytes = pst_database_encode(&entry, attribute);
    struct pst_object directory = describe(lmdb, &lmdb->directory, PST_OBJECT_DIRECTORY, "", 2);
    struct pst_fragment_descriptor *slot;
    int error = sink->acquire(sink, &slot);
    if (error)
        return error;
    pst_fragment_init(slot, PST_FRAGMENT_EXTENTS);
    error = add_object(slot, &database, true);
    if (!error && !lmdb->guard.is_file)
        error = add_object(slot, &directory, true);
    if (error)
        return error;
    listing->objects += slot->objects_count;
    listing->fragments++;
    return sink->emit(sink, slot);
}

static int list_rows(struct lmdb_source *lmdb, struct pst_fragment_sink *sink,
                     struct pst_source_listing *totals)
{
    int error = lmdb_rows_open(lmdb, lmdb->source.policy.ldms, &lmdb->rows);
    if (!error)
        error = list_database(lmdb, sink, totals);
    return error ? error : lmdb_list_rows(lmdb->rows, sink, totals, 3);
}

static int list_extents(struct lmdb_source *lmdb, struct pst_fragment_sink *sink, uint64_t from,
                        uint64_t to, struct pst_source_listing *listing)
{
    struct pst_fragment_descriptor *slot;
    uint64_t size = (lmdb->meta.last_page + 1) * lmdb->meta.page_bytes;
    int error = lmdb_look_at_guard(lmdb);
    if (!error)
        error = sink->acquire(sink, &slot);
    if (error)
        return error;
    pst_fragment_init(slot, PST_FRAGMENT_EXTENTS);
    /* what a short file lacks is read as zeros, and is no data */
    error = add_entries(lmdb, slot, size, lmdb->file_bytes >= size, from == 0, listing);
    if (!error)
        error = add_extents(lmdb, slot, from, to);
    if (!error)
        error = sink->emit(sink, slot);
    if (error)
        return error;
    listing->fragments++;
    listing->bytes += to - from;
    return 0;
}

/* While rows are read to see whether they can be, the pages are listed not much faster: as long as
 * either goes on, something does. */
static int list_pages(struct lmdb_source *lmdb, struct pst_fragment_sink *sink,
                      struct pst_source_listing *listing)
{
    uint64_t size = (lmdb->meta.last_page + 1) * lmdb->meta.page_bytes;
    int error = lmdb_pages_look(lmdb, sink);
    if (!error && lmdb->source.policy.check_pages)
        error = lmdb_pages_start(lmdb);
    for (uint64_t from = 0; !error && from < size; from += FRAGMENT_BYTES) {
        uint64_t to = size - from > FRAGMENT_BYTES ? from + FRAGMENT_BYTES : size;
        error = lmdb_pages_wait(lmdb, sink, from > AHEAD_BYTES ? from - AHEAD_BYTES : 0);
        if (!error)
            error = list_extents(lmdb, sink, from, to, listing);
    }
    return error ? error : lmdb_pages_wait(lmdb, sink, UINT64_MAX);
}

int lmdb_list(struct pst_source *source, struct pst_fragment_sink *sink,
              struct pst_source_listing *listing)
{
    struct lmdb_source *lmdb = lmdb_of(source);
    PST_CHECK_THREAD(&lmdb->owner);
    int error = lmdb_take_metas(lmdb);
    if (error)
        return error;
    lmdb->file_bytes = (uint64_t)lmdb->file.st_size;
    lmdb_rows_close(lmdb->rows); /* of an earlier listing of this snapshot */
    lmdb->rows = NULL;
    return source->policy.is_logical ? list_rows(lmdb, sink, listing)
                                     : list_pages(lmdb, sink, listing);
}
