/* Has large files read in whole blocks. Called by fragment_scan.c, on the LDM's thread. */
#include "engine/pipeline/scan_blocks.h"

/* A read of less gains by what the kernel reads ahead, and others may want it again. */
#define LARGE_BYTES (1u << 20)

/* Its last block may be cut by the end of the file alone. */
static bool is_in_blocks(const struct pst_fragment_extent *extent, uint64_t file_bytes)
{
    uint64_t end = extent->offset + extent->length;
    return !extent->literal && extent->offset % PST_BLOCK_BYTES == 0 &&
           (end % PST_BLOCK_BYTES == 0 || end == file_bytes);
}

struct pst_io_range scan_blocks_of(const struct scan *scan, uint32_t file)
{
    const struct pst_fragment_descriptor *fragment = scan->fragment;
    const struct pst_fragment_extent *extent = &fragment->extents[scan->extent];
    uint32_t left = fragment->extents_count - scan->extent;
    bool is_alone = left > 0 && extent->file == file && (left == 1 || extent[1].file != file);
    if (!is_alone || extent->length < LARGE_BYTES ||
        !is_in_blocks(extent, fragment->files[file].size_bytes))
        return (struct pst_io_range){0};
    return (struct pst_io_range){extent->offset, extent->length};
}

static struct chunk *have_block(struct chunk_pool *pool)
{
    struct chunk *chunk = chunk_pool_fill(pool, PST_CHUNK_DATA, 1);
    if (chunk)
        chunk_align(chunk);
    return chunk && chunk_room(chunk) == 0 ? chunk_pool_fill(pool, PST_CHUNK_DATA, 1) : chunk;
}

struct chunk *scan_fill_some(struct scan *scan, const struct pst_fragment_extent *extent,
                             uint32_t *bytes)
{
    struct chunk_pool *pool = scan->scans->config.pool;
    uint64_t left = extent->length - scan->extent_done;
    struct chunk *chunk =
        scan->in_blocks ? have_block(pool) : chunk_pool_fill(pool, PST_CHUNK_DATA, 1);
    if (chunk)
        *bytes = left < chunk_room(chunk) ? (uint32_t)left : chunk_room(chunk);
    return chunk;
}
