/* Cuts large files into runs, which are compared with a base. Called by fragment_scan.c, on the
 * LDM's thread. */
#include "engine/pipeline/scan_runs.h"

bool scan_has_runs(const struct scan *scan, const struct pst_fragment_extent *extent)
{
    const struct fragment_scans_config *config = &scan->scans->config;
    return config->compares_runs && !extent->literal &&
           extent->length >= chunk_pool_chunk_bytes(config->pool);
}

/* The id in the base of the file of the extent. Its entry is in the fragment. */
static uint64_t find_base_object(struct scan *scan, uint64_t id)
{
    const struct pst_fragment_descriptor *fragment = scan->fragment;
    struct pst_base *base = *scan->scans->config.base;
    for (size_t offset = 0; base && offset < fragment->entries_bytes;) {
        struct pst_object object;
        if (pst_object_decode(fragment->data, fragment->entries_bytes, &offset, &object) != 0)
            break;
        if (object.id == id)
            return pst_base_object(base, scan->source->name, &object);
    }
    return 0;
}

struct chunk *scan_fill_run(struct scan *scan, const struct pst_fragment_extent *extent,
                            uint32_t *bytes)
{
    struct chunk_pool *pool = scan->scans->config.pool;
    uint64_t id = scan->fragment->files[extent->file].object;
    uint32_t chunk_bytes = chunk_pool_chunk_bytes(pool);
    struct chunk *chunk = chunk_pool_fill(pool, PST_CHUNK_DATA, chunk_bytes);
    if (!chunk)
        return NULL;
    if (scan->run_object != id) {
        scan->run_object = id;
        scan->base_object = find_base_object(scan, id);
    }
    uint64_t left = extent->length - scan->extent_done;
    uint64_t room = chunk_bytes - (extent->offset + scan->extent_done) % chunk_bytes;
    *bytes = (uint32_t)(left < room ? left : room);
    chunk_note_run(chunk, scan->base_object);
    return chunk;
}
