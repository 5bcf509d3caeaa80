/* Scans: what a fragment describes goes into chunks, a bounded slice at a time. Called by
 * pipeline.c, on the LDM's thread; files and reads report to the functions here. */
#include "engine/pipeline/fragment_scan.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/activity.h"
#include "engine/base/log.h"
#include "engine/base/own_error.h"
#include "engine/format/object.h"
#include "engine/pipeline/fragment_entries.h"
#include "engine/pipeline/reference_chunks.h"
#include "engine/pipeline/scan_blocks.h"
#include "engine/pipeline/scan_runs.h"
#include "engine/pipeline/scans.h"

#define SLICE_PIECES_MAX 64u
#define SLICE_READ_BYTES (1u << 20)
#define SLICE_ROWS_BYTES (512u << 10)

static void on_bad(void *context, const struct pst_fragment_file *listed, uint8_t flag, int error);
static void on_shrunk(void *context, const struct pst_fragment_file *listed, uint64_t size_bytes);

static void on_closed(void *context)
{
    struct scan *scan = context;
    assert(scan->files > 0);
    scan->files--;
}

int fragment_scans_create(const struct fragment_scans_config *config, struct fragment_scans **scans)
{
    static const struct scan_file_reports reports = {
        .bad = on_bad, .shrunk = on_shrunk, .closed = on_closed};
    int error = -ENOMEM;
    struct fragment_scans *made = calloc(1, sizeof(*made));
    if (!made)
        return error;
    made->config = *config;
    size_t pieces = (size_t)chunk_pool_buffers(config->pool) * PST_CHUNK_PIECES_MAX;
    made->pieces = calloc(pieces, sizeof(*made->pieces));
    if (!made->pieces)
        goto err_after_scans;
    error = scan_files_create(config->ring, &reports, config->files_max, &made->files);
    if (error)
        goto err_after_pieces;
    *scans = made;
    return 0;

err_after_pieces:
    free(made->pieces);
err_after_scans:
    free(made);
    return error;
}

void fragment_scans_destroy(struct fragment_scans *scans)
{
    if (!scans)
        return;
    assert(fragment_scans_are_idle(scans));
    scan_files_destroy(scans->files);
    free(scans->pieces);
    free(scans);
}

bool fragment_scans_are_idle(const struct fragment_scans *scans)
{
    for (uint32_t i = 0; i < PST_FRAGMENTS_AHEAD; i++) {
        if (scans->scans[i].phase != SCAN_FREE)
            return false;
    }
    return true;
}

bool fragment_scans_name(const struct fragment_scans *scans, const struct pst_file *file,
                         char *text, size_t bytes)
{
    void *context;
    const struct pst_fragment_file *listed = scan_files_find(scans->files, file, &context);
    if (!listed)
        return false;
    snprintf(text, bytes, "source %s: %s", ((const struct scan *)context)->source->name,
             listed->path);
    return true;
}

void fragment_scans_begin_part(struct fragment_scans *scans)
{
    assert(fragment_scans_are_idle(scans));
    scans->sums = (struct pst_sums){0};
}

struct pst_sums fragment_scans_sums(const struct fragment_scans *scans)
{
    return scans->sums;
}

void fragment_scans_start(struct fragment_scans *scans, const struct pst_work *work,
                          struct pst_source *source, const struct pst_fragment_descriptor *fragment)
{
    struct scan *scan = scans->scans;
    while (scan->phase != SCAN_FREE) {
        scan++;
        assert(scan < scans->scans + PST_FRAGMENTS_AHEAD);
    }
    memset(scan, 0, offsetof(struct scan, bad));
    memset(scan->bad, 0, fragment->files_count);
    for (uint32_t i = 0; i < fragment->files_count; i++)
        scan->ends[i] = fragment->files[i].size_bytes;
    scan->scans = scans;
    scan->order = ++scans->order;
    scan->source_instance = work->source;
    scan->source = source;
    scan->fragment_id = work->fragment;
    scan->fragment = fragment;
    scan->entry_is_last = fragment->kind == PST_FRAGMENT_ROWS && fragment->extents[0].length == 0;
    scan->phase = scan->entry_is_last ? SCAN_EXTENTS : SCAN_ENTRIES;
    row_check_begin(&scan->rows, source, fragment);
}

/* ---- what is reported of files and reads ---- */

static void fail_scan(struct scan *scan, const struct pst_fragment_file *listed, int error)
{
    if (scan->error)
        return;
    if (error != -ECANCELED)
        pst_log(PST_LOG_ERROR, "source %s: %s: %s", scan->source->name, listed->path,
                pst_error_text(error));
    scan->error = error;
}

/* An object that could not be read, or changed: logged once, and marked in the catalogue at the
 * end; but a pinned one ends the scan, and so does what is no fault of the object's. */
static void on_bad(void *context, const struct pst_fragment_file *listed, uint8_t flag, int error)
{
    struct scan *scan = context;
    struct fragment_scans *scans = scan->scans;
    if ((listed->flags & PST_FRAGMENT_FILE_PINNED) || pst_is_own_error(error) ||
        error == -ECANCELED) {
        fail_scan(scan, listed, error);
        return;
    }
    uint8_t *bad = &scan->bad[listed - scan->fragment->files];
    if (*bad == 0 && pst_unreadable_add(scans->config.unreadable, listed->object,
                                        scan->source->name, listed->path)) {
        uint64_t objects = entries_of(scan->fragment, listed->object);
        scan->sums.unreadable += objects;
        scans->sums.unreadable += objects;
        entries_log_bad(scans->config.unreadable, scan->source->name, listed, error);
    }
    *bad |= flag;
}

static void on_shrunk(void *context, const struct pst_fragment_file *listed, uint64_t size_bytes)
{
    struct scan *scan = context;
    scan->ends[listed - scan->fragment->files] = size_bytes;
}

static void count_objects(struct scan *scan)
{
    scan->sums.objects += scan->fragment->objects_count;
    scan->scans->sums.objects += scan->fragment->objects_count;
}

static void count_read(struct scan *scan, uint64_t bytes)
{
    scan->sums.source_bytes += bytes;
    scan->scans->sums.source_bytes += bytes;
}

/* What lies beyond the end of a pinned file reads as zeros, unless the end is listed: a device that
 * is pulled out ends at 0. */
static bool is_cut(const struct scan_read *read, const struct pst_fragment_file *listed,
                   uint32_t bytes)
{
    return bytes < read->bytes && (!(listed->flags & PST_FRAGMENT_FILE_PINNED) ||
                                   read->offset + bytes < listed->size_bytes);
}

static void on_read(struct scan_read *read, int result)
{
    struct piece *piece = PST_IO_OP_OF(read, struct piece, read);
    struct scan *scan = piece->scan;
    uint32_t bytes = result < 0 ? 0 : (uint32_t)result;
    if (result < 0)
        on_bad(scan, piece->listed, PST_OBJECT_UNREADABLE, result);
    else if (is_cut(read, piece->listed, bytes))
        on_bad(scan, piece->listed, PST_OBJECT_CHANGED, -PST_E_CHANGED);
    count_read(scan, bytes);
    chunk_end_read(piece->chunk, piece->index, bytes);
    assert(scan->reads > 0);
    scan->reads--;
}

/* ---- catalogue entries ---- */

static struct chunk *have_catalogue(struct scan *scan, size_t room)
{
    return chunk_pool_fill(scan->scans->config.pool, PST_CHUNK_CATALOGUE, (uint32_t)room);
}

static struct chunk *have_data(struct scan *scan)
{
    return chunk_pool_fill(scan->scans->config.pool, PST_CHUNK_DATA, 1);
}

static bool copy_entries(struct scan *scan)
{
    const struct pst_fragment_descriptor *fragment = scan->fragment;
    size_t room = 1;
    while (scan->entries_done < fragment->entries_bytes && !scan->error) {
        struct chunk *catalogue = have_catalogue(scan, room);
        if (!catalogue)
            return false;
        size_t bytes = 0;
        scan->error = entries_that_fit(fragment, scan->entries_done, chunk_room(catalogue), &bytes);
        room = bytes > 0 ? 1 : PST_OBJECT_BYTES_MAX; /* the next entry fits another chunk */
        memcpy(chunk_end(catalogue), fragment->data + scan->entries_done, bytes);
        chunk_add(catalogue, (uint32_t)bytes);
        scan->entries_done += bytes;
    }
    count_objects(scan);
    scan->phase = SCAN_REFERENCES;
    return true;
}

static bool put_references(struct scan *scan)
{
    const struct fragment_scans_config *config = &scan->scans->config;
    uint32_t count =
        references_put_some(config->pool, config->base, scan->fragment, &scan->referenced);
    bool is_done = scan->referenced.files == scan->fragment->files_count;
    if (is_done)
        scan->phase = SCAN_EXTENTS;
    return is_done || count > 0;
}

/* Enters an object in the catalogue; false: no buffer is free. */
static bool put_entry(struct scan *scan, const struct pst_object *object)
{
    struct chunk *catalogue = have_catalogue(scan, pst_object_bytes(object));
    size_t bytes = 0;
    if (!catalogue)
        return false;
    scan->error = pst_object_encode(object, chunk_end(catalogue), chunk_room(catalogue), &bytes);
    chunk_add(catalogue, (uint32_t)bytes);
    return true;
}

/* The entry of rows whose length is known by now. */
static bool write_last_entry(struct scan *scan)
{
    struct pst_object object;
    size_t offset = 0;
    int error =
        pst_object_decode(scan->fragment->data, scan->fragment->entries_bytes, &offset, &object);
    if (error) {
        scan->error = error;
        return true;
    }
    object.size = scan->extent_done;
    if (!put_entry(scan, &object))
        return false;
    if (scan->error)
        pst_log(PST_LOG_ERROR,
                "source %s: %s: its produce made %llu bytes of an object that cannot have them",
                scan->source->name, object.path, (unsigned long long)object.size);
    count_objects(scan);
    scan->phase = SCAN_READING;
    return true;
}

/* Enters those entries once more that are of a file that is bad, from scan->marking on. false: no
 * buffer is free. */
static bool mark_entries(struct scan *scan, uint64_t id, uint8_t flags)
{
    const struct pst_fragment_descriptor *fragment = scan->fragment;
    while (scan->marking < fragment->entries_bytes) {
        struct pst_object object;
        size_t next = scan->marking;
        int error = pst_object_decode(fragment->data, fragment->entries_bytes, &next, &object);
        if (error) {
            scan->error = error;
            return true;
        }
        object.flags |= flags;
        if (pst_object_is_name_of(&object, id) && !put_entry(scan, &object))
            return false;
        scan->marking = next;
    }
    scan->marking = 0;
    return true;
}

/* A piece of no bytes says that its object ended there. false: no buffer is free. */
static bool put_end(struct scan *scan, uint32_t file)
{
    const struct pst_fragment_file *listed = &scan->fragment->files[file];
    struct chunk *chunk = have_data(scan);
    if (!chunk)
        return false;
    (void)chunk_add_piece(chunk, false, listed->object, scan->ends[file], 0);
    memset(chunk_end(chunk), 0, 1); /* a chunk has a payload */
    chunk_add(chunk, 1);
    scan->ends[file] = listed->size_bytes;
    return true;
}

/* Enters what could not be read once more, marked; a reader joins the flags of all entries. */
static bool mark_bad(struct scan *scan)
{
    for (; scan->marked < scan->fragment->files_count; scan->marked++) {
        uint8_t flags = scan->bad[scan->marked];
        const struct pst_fragment_file *listed = &scan->fragment->files[scan->marked];
        uint64_t end = scan->ends[scan->marked];
        if (end < listed->size_bytes && end < entries_size(scan->fragment, listed->object) &&
            !put_end(scan, scan->marked))
            return false;
        if (flags && !mark_entries(scan, listed->object, flags))
            return false;
        if (scan->error)
            return true;
    }
    return true;
}

/* ---- bytes ---- */

/* Enters the next bytes of the extent in the chunk's table; returns their index there. */
static uint32_t add_piece(struct scan *scan, struct chunk *chunk, uint32_t bytes)
{
    const struct pst_fragment_extent *extent = &scan->fragment->extents[scan->extent];
    uint32_t index = chunk_add_piece(chunk, scan->fragment->kind == PST_FRAGMENT_ROWS,
                                     scan->fragment->files[extent->file].object,
                                     extent->offset + scan->extent_done, bytes);
    scan->extent_done += bytes;
    return index;
}

static void start_read(struct scan *scan, struct chunk *chunk, uint32_t bytes)
{
    const struct pst_fragment_extent *extent = &scan->fragment->extents[scan->extent];
    struct scan_read read = {
        .memory = chunk_end(chunk),
        .bytes = bytes,
        .offset = extent->offset + scan->extent_done,
        .buffer_index = (int)chunk_number(chunk),
        .done = on_read,
    };
    uint32_t index = add_piece(scan, chunk, bytes);
    struct piece *piece = &scan->scans->pieces[chunk_number(chunk) * PST_CHUNK_PIECES_MAX + index];
    piece->read = read;
    piece->scan = scan;
    piece->listed = &scan->fragment->files[extent->file];
    piece->chunk = chunk;
    piece->index = index;
    scan->reads++;
    chunk_begin_read(chunk);
    scan_file_read(scan->file, &piece->read);
}

static void leave_file(struct scan *scan)
{
    struct scan_file *file = scan->file;
    scan->file = NULL;
    if (file)
        scan_file_let_go(file);
}

/* Makes scan->file a file of the fragment; false: too many are open. */
static bool have_file(struct scan *scan, uint32_t index)
{
    if (scan->file && scan->file_index == index)
        return true;
    leave_file(scan);
    struct pst_io_range blocks = scan_blocks_of(scan, index);
    scan->file = scan_file_take(scan->scans->files, scan->source->root_fd,
                                &scan->fragment->files[index], blocks, scan);
    if (!scan->file)
        return false;
    scan->file_index = index;
    scan->in_blocks = blocks.bytes > 0;
    scan->files++;
    return true;
}

/* Opens the files before this one that have no extents, nothing but holes: they are compared with
 * what was listed. false: too many are open. */
static bool look_at_files(struct scan *scan, uint32_t before)
{
    for (; scan->next_file < before; scan->next_file++) {
        if (scan->fragment->files[scan->next_file].path && !have_file(scan, scan->next_file))
            return false;
    }
    return true;
}

/* How many of these bytes may be read now. A run, which is compared as a whole, is not cut, and a
 * block is not. */
static uint32_t keep_pace(struct scan *scan, bool is_run, uint32_t bytes)
{
    struct pst_pace_share *pace = scan->scans->config.pace;
    if (!is_run && !scan->in_blocks)
        return pst_pace_take(pace, bytes);
    uint32_t room = pst_pace_room(pace, bytes);
    if (room == 0)
        return 0;
    uint32_t blocks = (room + PST_BLOCK_BYTES - 1) & ~(PST_BLOCK_BYTES - 1);
    uint32_t taken = is_run || blocks > bytes ? bytes : blocks;
    pst_pace_spend(pace, taken);
    return taken;
}

/* Assigns the next bytes of an extent to a chunk, and has them read. Returns how many; 0: not
 * now. */
static uint32_t assign_extent(struct scan *scan)
{
    const struct pst_fragment_extent *extent = &scan->fragment->extents[scan->extent];
    bool is_run = scan_has_runs(scan, extent);
    uint32_t bytes = 0;
    if (!extent->literal && !have_file(scan, extent->file))
        return 0;
    struct chunk *chunk =
        is_run ? scan_fill_run(scan, extent, &bytes) : scan_fill_some(scan, extent, &bytes);
    if (!chunk)
        return 0;
    bytes = keep_pace(scan, is_run, bytes);
    if (bytes == 0)
        return 0;
    if (extent->literal) {
        memcpy(chunk_end(chunk), (const char *)extent->literal + scan->extent_done, bytes);
        add_piece(scan, chunk, bytes);
        count_read(scan, bytes);
    } else {
        start_read(scan, chunk, bytes);
    }
    if (is_run)
        chunk_pool_close_data(scan->scans->config.pool);
    else if (scan->in_blocks)
        chunk_align(chunk);
    if (scan->extent_done == extent->length) {
        scan->extent++;
        scan->extent_done = 0;
    }
    return bytes;
}

static bool assign_extents(struct scan *scan)
{
    uint32_t pieces = 0, bytes = 0;
    while (scan->extent < scan->fragment->extents_count) {
        if (pieces == SLICE_PIECES_MAX || bytes >= SLICE_READ_BYTES)
            return true;
        uint32_t file = scan->fragment->extents[scan->extent].file;
        uint32_t assigned = look_at_files(scan, file) ? assign_extent(scan) : 0;
        if (assigned == 0)
            return pieces > 0;
        scan->next_file = file + 1;
        bytes += assigned;
        pieces++;
    }
    if (!look_at_files(scan, scan->fragment->files_count))
        return pieces > 0;
    leave_file(scan);
    scan->phase = SCAN_READING;
    return true;
}

static bool make_rows(struct scan *scan)
{
    struct chunk *chunk = have_data(scan);
    if (!chunk)
        return false;
    uint32_t most = chunk_room(chunk) < SLICE_ROWS_BYTES ? chunk_room(chunk) : SLICE_ROWS_BYTES;
    size_t room = pst_pace_room(scan->scans->config.pace, most), bytes = 0;
    if (room == 0)
        return false;
    pst_activity_begin("make rows of", scan->source->name);
    int error = pst_source_produce(scan->source, scan->fragment, scan->extent_done, &scan->cursor,
                                   chunk_end(chunk), room, &bytes);
    pst_activity_end();
    if (error == -EAGAIN)
        return true; /* it has waited as long as may be */
    scan->error = error ? error : row_check_take(&scan->rows, chunk_end(chunk), bytes);
    if (scan->error || bytes == 0) {
        scan->phase = scan->entry_is_last ? SCAN_LAST_ENTRY : SCAN_READING;
        return true;
    }
    add_piece(scan, chunk, (uint32_t)bytes);
    pst_pace_spend(scan->scans->config.pace, bytes);
    count_read(scan, bytes);
    return true;
}

/* ---- a slice ---- */

/* What is left of a scan once all its bytes are assigned. false: it waits. */
static bool finish_scan(struct scan *scan, int stop)
{
    if (scan->reads > 0 || scan->files > 0)
        return false;
    scan->phase = SCAN_MARKING;
    if (!scan->error && !stop && !mark_bad(scan))
        return false;
    scan->error = scan->error ? scan->error : stop;
    scan->phase = SCAN_ENDED;
    return true;
}

static bool advance(struct scan *scan, int stop)
{
    if (scan->error || stop) {
        leave_file(scan);
        scan->phase = SCAN_READING;
        return true;
    }
    if (scan->phase == SCAN_ENTRIES)
        return copy_entries(scan);
    if (scan->phase == SCAN_REFERENCES)
        return put_references(scan);
    if (scan->phase == SCAN_LAST_ENTRY)
        return write_last_entry(scan);
    return scan->fragment->kind == PST_FRAGMENT_ROWS ? make_rows(scan) : assign_extents(scan);
}

bool fragment_scans_slice(struct fragment_scans *scans, int stop)
{
    bool moved = scan_files_retry(scans->files, stop != 0);
    struct scan *first = NULL;
    for (uint32_t i = 0; i < PST_FRAGMENTS_AHEAD; i++) {
        struct scan *scan = &scans->scans[i];
        switch (scan->phase) {
        case SCAN_FREE:
        case SCAN_ENDED:
            break;
        case SCAN_READING:
        case SCAN_MARKING:
            moved |= finish_scan(scan, stop);
            break;
        case SCAN_ENTRIES:
        case SCAN_REFERENCES:
        case SCAN_EXTENTS:
        case SCAN_LAST_ENTRY:
            if (!first || scan->order < first->order)
                first = scan;
            break;
        }
    }
    if (first)
        moved |= advance(first, stop);
    return moved;
}

uint64_t fragment_scans_retry_ns(const struct fragment_scans *scans)
{
    return scan_files_retry_ns(scans->files);
}

bool fragment_scans_take_ended(struct fragment_scans *scans, struct pst_work_result *result)
{
    for (uint32_t i = 0; i < PST_FRAGMENTS_AHEAD; i++) {
        struct scan *scan = &scans->scans[i];
        if (scan->phase != SCAN_ENDED)
            continue;
        *result = (struct pst_work_result){
            .type = PST_WORK_SCAN,
            .error = scan->error,
            .source = scan->source_instance,
            .fragment = scan->fragment_id,
            .sums = scan->sums,
        };
        scan->phase = SCAN_FREE;
        return true;
    }
    return false;
}
