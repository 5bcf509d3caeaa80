#include <assert.h>
#include <errno.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/format/object.h"
#include "engine/pipeline/pipeline_internal.h"

void scan_start(struct pst_pipeline *pipeline, const struct pst_work *work)
{
    struct scan *scan = pipeline->scans;
    while (scan->phase != SCAN_FREE)
        scan++;
    assert(scan < pipeline->scans + PST_FRAGMENTS_AHEAD);
    memset(scan, 0, offsetof(struct scan, bad));
    scan->phase = SCAN_ENTRIES;
    scan->order = ++pipeline->scan_order;
    scan->source_instance = work->source;
    scan->source = pipeline->config.sources[work->source];
    scan->fragment_id = work->fragment;
    scan->fragment =
        pipeline->config.find_fragment(pipeline->config.context, work->source, work->fragment);
    memset(scan->bad, 0, scan->fragment->files_count);
    scan->entry_is_last =
        scan->fragment->kind == PST_FRAGMENT_ROWS && scan->fragment->extents[0].length == 0;
    if (scan->entry_is_last)
        scan->phase = SCAN_EXTENTS;
}

void scan_let_go(struct pst_pipeline *pipeline, struct scan *scan)
{
    assert(scan->users > 0);
    scan->users--;
    pipeline_moved(pipeline);
}

/* How many bytes of whole entries fit into room. */
static size_t entries_that_fit(struct scan *scan, size_t room)
{
    const struct pst_fragment_descriptor *fragment = scan->fragment;
    size_t fit = scan->entries_done;
    if (fragment->entries_bytes - fit <= room)
        return fragment->entries_bytes - fit;
    for (;;) {
        struct pst_object object;
        size_t next = fit;
        int error = pst_object_decode(fragment->data, fragment->entries_bytes, &next, &object);
        if (error) {
            scan->error = -error;
            return 0;
        }
        if (next - scan->entries_done > room)
            return fit - scan->entries_done;
        fit = next;
    }
}

/* Makes sure of a catalogue chunk with room; false: no buffer is free. */
static bool have_catalogue(struct pst_pipeline *pipeline, size_t room)
{
    if (pipeline->catalogue && chunk_room(pipeline->catalogue) < room) {
        struct chunk *full = pipeline->catalogue;
        pipeline->catalogue = NULL;
        chunk_close(full);
    }
    if (!pipeline->catalogue)
        pipeline->catalogue = chunk_take(pipeline, PST_CHUNK_CATALOGUE);
    return pipeline->catalogue;
}

static void count_objects(struct pst_pipeline *pipeline, struct scan *scan)
{
    scan->sums.objects += scan->fragment->objects_count;
    pipeline->sums.objects += scan->fragment->objects_count;
}

/* The entry of rows whose length is known by now. */
static bool write_last_entry(struct pst_pipeline *pipeline, struct scan *scan)
{
    struct pst_object object;
    size_t in = 0, out = 0;
    int error =
        pst_object_decode(scan->fragment->data, scan->fragment->entries_bytes, &in, &object);
    if (error) {
        scan->error = -error;
        return true;
    }
    object.size = scan->extent_done;
    if (!have_catalogue(pipeline, pst_object_bytes(&object)))
        return false;
    error = pst_object_encode(&object, chunk_payload(pipeline->catalogue),
                              chunk_room(pipeline->catalogue), &out);
    assert(!error);
    pipeline->catalogue->payload_bytes += (uint32_t)out;
    count_objects(pipeline, scan);
    scan->phase = SCAN_READING;
    return true;
}

static bool copy_entries(struct pst_pipeline *pipeline, struct scan *scan)
{
    const struct pst_fragment_descriptor *fragment = scan->fragment;
    while (scan->entries_done < fragment->entries_bytes && scan->error == 0) {
        if (!have_catalogue(pipeline, 1))
            return false;
        size_t bytes = entries_that_fit(scan, chunk_room(pipeline->catalogue));
        if (bytes == 0 && scan->error == 0) {
            if (!have_catalogue(pipeline, pipeline->config.chunk_bytes))
                return false;
            continue;
        }
        memcpy(chunk_payload(pipeline->catalogue), fragment->data + scan->entries_done, bytes);
        pipeline->catalogue->payload_bytes += (uint32_t)bytes;
        scan->entries_done += bytes;
    }
    count_objects(pipeline, scan);
    scan->phase = SCAN_EXTENTS;
    return true;
}

/* The data chunk being filled, with room for a piece; NULL: no buffer is free. */
static struct chunk *have_data(struct pst_pipeline *pipeline)
{
    struct chunk *chunk = pipeline->data;
    if (chunk &&
        (chunk_room(chunk) == 0 || pst_chunk_pieces_count(chunk->memory) == PST_CHUNK_PIECES_MAX)) {
        pipeline->data = NULL;
        chunk_close(chunk);
    }
    if (!pipeline->data)
        pipeline->data = chunk_take(pipeline, PST_CHUNK_DATA);
    return pipeline->data;
}

/* Enters the next bytes of the extent in the chunk's table; returns their index there. */
static uint32_t add_piece(struct scan *scan, struct chunk *chunk, uint32_t bytes)
{
    const struct pst_fragment_extent *extent = &scan->fragment->extents[scan->extent];
    struct pst_chunk_piece piece = {
        .object = scan->fragment->files[extent->file].object,
        .object_offset = extent->offset + scan->extent_done,
        .payload_offset = chunk->payload_bytes,
        .bytes = bytes,
    };
    int error = pst_chunk_add_piece(chunk->memory, &piece);
    assert(!error);
    chunk->payload_bytes += bytes;
    scan->extent_done += bytes;
    return pst_chunk_pieces_count(chunk->memory) - 1;
}

static void count_read(struct pst_pipeline *pipeline, struct scan *scan, uint64_t bytes)
{
    scan->sums.source_bytes += bytes;
    pipeline->sums.source_bytes += bytes;
}

void scan_piece_done(struct piece *piece, int result)
{
    struct scan_file *file = piece->file;
    struct pst_pipeline *pipeline = file->pipeline;
    struct scan *scan = file->scan;
    if (result < 0 && file->error == 0)
        scan_file_mark(file, PST_OBJECT_UNREADABLE, result);
    else if (result >= 0 && (uint32_t)result < piece->bytes && !scan_file_is_pinned(file))
        scan_file_mark(file, PST_OBJECT_CHANGED, PST_E_CHANGED);
    uint32_t bytes = result < 0 ? 0 : (uint32_t)result;
    pst_chunk_piece_at(piece->chunk->memory, piece->index)->bytes = bytes;
    count_read(pipeline, scan, bytes);
    chunk_read_done(piece->chunk);
    scan_file_let_go(file);
    scan_let_go(pipeline, scan);
}

static void start_read(struct scan *scan, struct chunk *chunk, uint32_t index, uint32_t bytes)
{
    struct piece *piece = &chunk->pieces[index];
    piece->chunk = chunk;
    piece->file = scan->file;
    piece->index = index;
    piece->bytes = bytes;
    piece->offset = pst_chunk_piece_at(chunk->memory, index)->object_offset;
    chunk->reads++;
    scan->file->users++;
    scan->users++;
    scan_file_read(scan->file, piece);
}

static void leave_file(struct scan *scan)
{
    struct scan_file *file = scan->file;
    scan->file = NULL;
    if (file)
        scan_file_let_go(file);
}

/* Makes scan->file the file of the extent; false: too many are open. */
static bool have_file(struct pst_pipeline *pipeline, struct scan *scan, uint32_t index)
{
    if (scan->file && scan->file->index == index)
        return true;
    leave_file(scan);
    scan->file = scan_file_take(pipeline, scan, index);
    return scan->file;
}

/* Assigns the next bytes of an extent to a chunk, and has them read. Returns how many; 0: not
 * now. */
static uint32_t assign_extent(struct pst_pipeline *pipeline, struct scan *scan)
{
    const struct pst_fragment_extent *extent = &scan->fragment->extents[scan->extent];
    struct chunk *chunk = have_data(pipeline);
    if (!chunk || (!extent->literal && !have_file(pipeline, scan, extent->file)))
        return 0;
    uint64_t left = extent->length - scan->extent_done;
    uint32_t bytes = left < chunk_room(chunk) ? (uint32_t)left : chunk_room(chunk);
    if (extent->literal) {
        memcpy(chunk_payload(chunk), (const char *)extent->literal + scan->extent_done, bytes);
        add_piece(scan, chunk, bytes);
        count_read(pipeline, scan, bytes);
    } else {
        uint32_t index = add_piece(scan, chunk, bytes);
        start_read(scan, chunk, index, bytes);
    }
    if (scan->extent_done == extent->length) {
        scan->extent++;
        scan->extent_done = 0;
    }
    return bytes;
}

static bool assign_extents(struct pst_pipeline *pipeline, struct scan *scan)
{
    uint32_t pieces = 0, bytes = 0;
    while (scan->extent < scan->fragment->extents_count) {
        if (pieces == SLICE_PIECES_MAX || bytes >= SLICE_READ_BYTES)
            return true;
        uint32_t assigned = assign_extent(pipeline, scan);
        if (assigned == 0)
            return pieces > 0;
        bytes += assigned;
        pieces++;
    }
    leave_file(scan);
    scan->phase = SCAN_READING;
    return true;
}

static bool make_rows(struct pst_pipeline *pipeline, struct scan *scan)
{
    struct chunk *chunk = have_data(pipeline);
    if (!chunk)
        return false;
    size_t room = chunk_room(chunk) < SLICE_ROWS_BYTES ? chunk_room(chunk) : SLICE_ROWS_BYTES;
    size_t bytes = 0;
    int error = pst_source_produce(scan->source, scan->fragment, &scan->cursor,
                                   chunk_payload(chunk), room, &bytes);
    if (error)
        scan->error = -error;
    if (error || bytes == 0) {
        scan->phase = scan->entry_is_last ? SCAN_LAST_ENTRY : SCAN_READING;
        return true;
    }
    add_piece(scan, chunk, (uint32_t)bytes);
    count_read(pipeline, scan, bytes);
    return true;
}

static int entry_of(const struct scan *scan, uint64_t id, struct pst_object *object)
{
    const struct pst_fragment_descriptor *fragment = scan->fragment;
    size_t offset = 0;
    while (offset < fragment->entries_bytes) {
        int error = pst_object_decode(fragment->data, fragment->entries_bytes, &offset, object);
        if (error || object->id == id)
            return error;
    }
    return -PST_E_SCAN;
}

/* Enters what could not be read once more, marked; a reader joins the flags of all entries. */
static bool mark_bad(struct pst_pipeline *pipeline, struct scan *scan)
{
    for (; scan->marked < scan->fragment->files_count; scan->marked++) {
        struct pst_object object;
        if (scan->bad[scan->marked] == 0)
            continue;
        int error = entry_of(scan, scan->fragment->files[scan->marked].object, &object);
        if (error) {
            scan->error = -error;
            return true;
        }
        object.flags |= scan->bad[scan->marked];
        if (!have_catalogue(pipeline, pst_object_bytes(&object)))
            return false;
        size_t offset = 0;
        error = pst_object_encode(&object, chunk_payload(pipeline->catalogue),
                                  chunk_room(pipeline->catalogue), &offset);
        assert(!error);
        pipeline->catalogue->payload_bytes += (uint32_t)offset;
    }
    return true;
}

static void end_scan(struct pst_pipeline *pipeline, struct scan *scan)
{
    int error = scan->error;
    if (!error && pipeline->error != 0)
        error = pipeline->error;
    if (!error && pipeline->halted)
        error = ECANCELED;
    struct pst_work_result result = {
        .type = PST_WORK_SCAN,
        .error = error,
        .backup = pipeline->backup,
        .source = scan->source_instance,
        .fragment = scan->fragment_id,
        .sums = scan->sums,
    };
    scan->phase = SCAN_FREE;
    pipeline_result(pipeline, &result);
}

/* What is left of a scan once all its bytes are assigned. false: it waits. */
static bool finish_scan(struct pst_pipeline *pipeline, struct scan *scan)
{
    if (scan->users > 0)
        return false;
    scan->phase = SCAN_MARKING;
    bool stopped = scan->error != 0 || pipeline->error != 0 || pipeline->halted;
    if (!stopped && !mark_bad(pipeline, scan))
        return false;
    end_scan(pipeline, scan);
    return true;
}

static bool advance(struct pst_pipeline *pipeline, struct scan *scan)
{
    if (scan->error != 0 || pipeline->error != 0 || pipeline->halted) {
        leave_file(scan);
        scan->phase = SCAN_READING;
        return true;
    }
    if (scan->phase == SCAN_ENTRIES)
        return copy_entries(pipeline, scan);
    if (scan->phase == SCAN_LAST_ENTRY)
        return write_last_entry(pipeline, scan);
    if (scan->fragment->kind == PST_FRAGMENT_ROWS)
        return make_rows(pipeline, scan);
    return assign_extents(pipeline, scan);
}

bool scan_slice(struct pst_pipeline *pipeline)
{
    bool moved = false;
    struct scan *first = NULL;
    for (uint32_t i = 0; i < PST_FRAGMENTS_AHEAD; i++) {
        struct scan *scan = &pipeline->scans[i];
        if (scan->phase == SCAN_READING || scan->phase == SCAN_MARKING)
            moved |= finish_scan(pipeline, scan);
        else if (scan->phase != SCAN_FREE && (!first || scan->order < first->order))
            first = scan;
    }
    if (first)
        moved |= advance(pipeline, first);
    return moved;
}
