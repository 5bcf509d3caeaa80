/* Finds the pieces of objects that lie in earlier backups. Called by look_contents.c on the
 * caller's thread; the chunks are taken on the crew's. */
#include "engine/restore/look_origins.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/restore/chunk_reader.h"

static bool may_refer(void *context, const struct pst_part_map *part,
                      const struct pst_index_entry *entry)
{
    const struct look_origins *look = context;
    return look->is_of_all || (part->node_index == look->node_index &&
                               entry->object_first <= look->id && look->id <= entry->object_last);
}

static int take_references(void *context, uint32_t worker, const struct pst_part_map *part,
                           const void *chunk)
{
    struct look_origins *look = context;
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
    return origins_want(&((const struct look_origins *)context)->origins, part, entry);
}

static int take_data(void *context, uint32_t worker, const struct pst_part_map *part,
                     const void *chunk)
{
    struct look_origins *look = context;
    uint32_t index = look->own->count + (uint32_t)(part - look->origins.set.parts);
    (void)worker;
    return row_map_add_referred(look->map, &look->origins, index, part, pst_chunk_header_of(chunk));
}

static int read_chunks(struct look_origins *look, struct chunk_reading *reading)
{
    reading->crew = look->crew;
    reading->findings = look->findings;
    reading->stop_at_damage = true;
    reading->context = look;
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

static int read_origins(struct look_origins *look)
{
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
    int error = read_chunks(look, &references);
    if (!error)
        error = origins_open(&look->origins, look->crew, look->findings, look->read_bytes, true);
    if (!error && look->findings->damages > 0)
        error = look->findings->first_error;
    return error ? error : read_chunks(look, &data);
}

int look_origins_add(struct look_origins *look)
{
    int error = origins_init(&look->origins, look->backup, look->own, look->objects);
    if (!error && origins_may_be(look->backup))
        error = read_origins(look);
    return error ? error : join(look);
}

void look_origins_release(struct look_origins *look)
{
    if (look->origins.own)
        origins_release(&look->origins);
    free(look->set.parts);
}
