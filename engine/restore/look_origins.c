/* Finds the pieces of one object that lie in earlier backups. Called by look.c on the caller's
 * thread; the chunks are taken on the crew's. */
#include "engine/restore/look_origins.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/restore/chunk_reader.h"

/* What a reading is for. */
struct wanted {
    struct look_origins *look;
    uint32_t node_index;
    uint64_t id;
};

static bool may_refer(void *context, const struct pst_part_map *part,
                      const struct pst_index_entry *entry)
{
    const struct wanted *wanted = context;
    return part->node_index == wanted->node_index && entry->object_first <= wanted->id &&
           wanted->id <= entry->object_last;
}

static int take_references(void *context, uint32_t worker, const struct pst_part_map *part,
                           const void *chunk)
{
    struct look_origins *look = ((const struct wanted *)context)->look;
    const struct pst_chunk_header *header = pst_chunk_header_of(chunk);
    struct pst_damage damage;
    (void)worker;
    int error = origins_take(&look->origins, part, chunk, &damage);
    if (!error || error == -ENOMEM)
        return error;
    damage.offset += header->file_offset;
    pst_findings_add_damage(look->findings, &part->file, 0, &damage, error);
    return error;
}

static bool holds_some(void *context, const struct pst_part_map *part,
                       const struct pst_index_entry *entry)
{
    return origins_want(&((const struct wanted *)context)->look->origins, part, entry);
}

static int take_data(void *context, uint32_t worker, const struct pst_part_map *part,
                     const void *chunk)
{
    struct look_origins *look = ((const struct wanted *)context)->look;
    uint32_t index = look->own->count + (uint32_t)(part - look->origins.set.parts);
    (void)worker;
    return row_map_add_referred(look->map, &look->origins, index, part, pst_chunk_header_of(chunk));
}

static int read_chunks(struct wanted *wanted, struct chunk_reading *reading)
{
    struct look_origins *look = wanted->look;
    reading->crew = look->crew;
    reading->findings = look->findings;
    reading->stop_at_damage = true;
    reading->context = wanted;
    int error = chunk_reading_run(reading);
    *look->read_bytes += atomic_load(&reading->bytes_done) + atomic_load(&reading->index_bytes);
    return error;
}

/* One array of all parts, for the reading of the pieces in their order. */
static int join(struct look_origins *look)
{
    const struct pst_part_set *own = look->own, *further = &look->origins.set;
    look->set = *own;
    look->set.parts = calloc(own->count + further->count + 1, sizeof(*look->set.parts));
    if (!look->set.parts)
        return -ENOMEM;
    memcpy(look->set.parts, own->parts, own->count * sizeof(*own->parts));
    if (further->count > 0)
        memcpy(look->set.parts + own->count, further->parts,
               further->count * sizeof(*further->parts));
    look->set.count += further->count;
    if (further->chunk_bytes > look->set.chunk_bytes)
        look->set.chunk_bytes = further->chunk_bytes;
    return 0;
}

int look_origins_add(struct look_origins *look, uint32_t node_index, uint64_t id)
{
    struct wanted wanted = {.look = look, .node_index = node_index, .id = id};
    struct chunk_reading references = {
        .set = look->own,
        .types = 1u << PST_CHUNK_REFERENCES,
        .extent = CHUNK_WHOLE,
        .wants = may_refer,
        .take = take_references,
    };
    struct chunk_reading data = {
        .set = &look->origins.set,
        .types = 1u << PST_CHUNK_DATA,
        .extent = CHUNK_HEADER,
        .wants = holds_some,
        .take = take_data,
    };
    int error = origins_init(&look->origins, look->backup, look->own, look->objects);
    if (!error)
        error = read_chunks(&wanted, &references);
    if (!error)
        error = origins_open(&look->origins, look->crew, look->findings, look->read_bytes, true);
    if (!error && look->findings->damages > 0)
        error = look->findings->first_error;
    if (!error)
        error = read_chunks(&wanted, &data);
    return error ? error : join(look);
}

void look_origins_release(struct look_origins *look)
{
    origins_release(&look->origins);
    free(look->set.parts);
}
