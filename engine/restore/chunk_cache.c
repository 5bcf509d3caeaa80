/*
 * Keeps decoded chunks. Called by the view of a backup (view.c and its neighbours), on its thread.
 */
#include "engine/restore/chunk_cache.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/repository/part_tail.h"

static uint32_t count_slots(uint32_t chunk_bytes)
{
    uint32_t slots = CHUNK_CACHE_BYTES / (PST_CHUNK_HEADER_BYTES + chunk_bytes);
    if (slots > CHUNK_CACHE_SLOTS_MAX)
        return CHUNK_CACHE_SLOTS_MAX;
    return slots < CHUNK_CACHE_SLOTS_MIN ? CHUNK_CACHE_SLOTS_MIN : slots;
}

int chunk_cache_open(struct chunk_cache *cache, uint32_t chunk_bytes)
{
    *cache = (struct chunk_cache){.slots_count = count_slots(chunk_bytes)};
    cache->headers = aligned_alloc(PST_BLOCK_BYTES, CHUNK_CACHE_DEPTH * PST_CHUNK_HEADER_BYTES);
    cache->opened = aligned_alloc(PST_BLOCK_BYTES, PST_CHUNK_HEADER_BYTES);
    int error = cache->headers && cache->opened ? pst_reader_open(&cache->reader, CHUNK_CACHE_DEPTH)
                                                : -ENOMEM;
    if (!error)
        return 0;
    free(cache->headers);
    free(cache->opened);
    return error;
}

static void close_file(struct chunk_cache *cache, struct cached_file *file)
{
    if (file->part)
        pst_reader_close_file(&cache->reader, &file->file);
    file->part = NULL;
}

void chunk_cache_close(struct chunk_cache *cache)
{
    for (uint32_t i = 0; i < CHUNK_CACHE_FILES; i++)
        close_file(cache, &cache->files[i]);
    for (uint32_t i = 0; i < cache->slots_count; i++)
        decoded_chunk_release(&cache->slots[i].chunk);
    decoded_chunk_release(&cache->spare);
    pst_reader_close(&cache->reader);
    free(cache->headers);
    free(cache->opened);
}

static int damaged(struct pst_findings *findings, const struct pst_part_map *part,
                   uint64_t file_offset, const struct pst_damage *damage, int error)
{
    const struct pst_file_name file = pst_backup_part_file(part, &file_offset);
    pst_findings_add_damage(findings, &file, file_offset, damage, error);
    return error;
}

/* ---- files ---- */

static struct cached_file *choose_file(struct chunk_cache *cache, const struct pst_part_map *part)
{
    struct cached_file *oldest = &cache->files[0];
    for (uint32_t i = 0; i < CHUNK_CACHE_FILES; i++) {
        if (cache->files[i].part == part)
            return &cache->files[i];
        if (cache->files[i].used < oldest->used)
            oldest = &cache->files[i];
    }
    close_file(cache, oldest);
    return oldest;
}

static int open_part(struct chunk_cache *cache, const struct pst_part_map *part,
                     struct pst_findings *findings, struct pst_file **opened)
{
    const struct pst_damage damage = {.what = "part"};
    struct cached_file *file = choose_file(cache, part);
    file->used = ++cache->uses;
    *opened = &file->file;
    if (file->part)
        return 0;
    int error = pst_backup_open_part(&cache->reader, part, &file->file);
    if (error)
        return damaged(findings, part, 0, &damage, error);
    file->part = part;
    return 0;
}

/* ---- chunks ---- */

/* An origin may have larger chunks than the backup: fewer of them are kept then, for good. */
static void leave_room(struct chunk_cache *cache, uint32_t chunk_bytes)
{
    while (cache->slots_count > count_slots(chunk_bytes))
        decoded_chunk_release(&cache->slots[--cache->slots_count].chunk);
}

/* The slot of the chunk at an offset, or else the one that was used longest ago, emptied. */
static struct cached_chunk *choose_slot(struct chunk_cache *cache, const struct pst_part_map *part,
                                        uint64_t file_offset)
{
    leave_room(cache, part->chunk_bytes);
    struct cached_chunk *oldest = &cache->slots[0];
    for (uint32_t i = 0; i < cache->slots_count; i++) {
        struct cached_chunk *slot = &cache->slots[i];
        if (slot->part == part && slot->file_offset == file_offset) {
            slot->used = ++cache->uses;
            return slot;
        }
        if (slot->used < oldest->used)
            oldest = slot;
    }
    oldest->part = NULL;
    oldest->used = ++cache->uses;
    return oldest;
}

static int make_room(struct cached_chunk *slot, uint32_t chunk_bytes)
{
    if (slot->chunk.chunk_bytes >= chunk_bytes)
        return 0;
    decoded_chunk_release(&slot->chunk);
    slot->chunk.buffer =
        aligned_alloc(PST_BLOCK_BYTES, PST_CHUNK_HEADER_BYTES + (size_t)chunk_bytes);
    slot->chunk.chunk_bytes = slot->chunk.buffer ? chunk_bytes : 0;
    return slot->chunk.buffer ? 0 : -ENOMEM;
}

/* Bytes of the chunk at an offset, into the slot, or -errno. */
static int read_slot(struct chunk_cache *cache, const struct pst_part_map *part,
                     uint64_t file_offset, uint64_t file_bytes, struct pst_findings *findings,
                     struct cached_chunk *slot)
{
    const struct pst_damage damage = {.bytes = file_bytes, .what = "read error"};
    const struct pst_damage too_long = {.bytes = file_bytes,
                                        .what = "chunk longer than the part's chunk size"};
    struct pst_file *file;
    if (file_bytes > pst_chunk_file_bytes(part->chunk_bytes))
        return damaged(findings, part, file_offset, &too_long, -PST_E_CORRUPT);
    int error = make_room(slot, part->chunk_bytes);
    if (!error)
        error = open_part(cache, part, findings, &file);
    if (error)
        return error;
    int got = pst_reader_read(&cache->reader, file, slot->chunk.buffer, (uint32_t)file_bytes,
                              file_offset);
    if (got < 0)
        return damaged(findings, part, file_offset, &damage, got);
    cache->read_bytes += (uint64_t)got;
    return got;
}

/* Puts the decoded chunk into the slot, in place of what was read. */
static int decode_slot(struct chunk_cache *cache, const struct pst_part_map *part,
                       struct cached_chunk *slot, struct pst_damage *damage)
{
    struct pst_sealed *sealed = NULL;
    const void *decoded;
    int error = pst_opener_use(&cache->reader.opener, part, &sealed);
    if (!error)
        error = decoded_chunk_take(&cache->spare, sealed, part->chunk_bytes, slot->chunk.buffer,
                                   &decoded, damage);
    if (error || decoded == slot->chunk.buffer)
        return error;
    const struct decoded_chunk read = slot->chunk;
    slot->chunk = cache->spare;
    cache->spare = read;
    return 0;
}

int chunk_cache_read(struct chunk_cache *cache, const struct pst_part_map *part,
                     const struct pst_index_entry *entry, struct pst_findings *findings,
                     const void **chunk)
{
    struct cached_chunk *slot = choose_slot(cache, part, entry->file_offset);
    struct pst_damage damage = {.what = "chunk"};
    if (!slot->part) {
        int got = read_slot(cache, part, entry->file_offset,
                            pst_chunk_file_bytes(entry->stored_bytes), findings, slot);
        if (got < 0)
            return got;
        int error = pst_index_check_chunk(entry, slot->chunk.buffer, (uint64_t)got, &part->identity,
                                          &damage);
        if (!error)
            error = decode_slot(cache, part, slot, &damage);
        if (error)
            return damaged(findings, part, entry->file_offset, &damage, error);
        slot->part = part;
        slot->file_offset = entry->file_offset;
    }
    *chunk = slot->chunk.buffer;
    return 0;
}

/* Opens the index in the slot. */
static int open_index(struct chunk_cache *cache, const struct pst_part_map *part,
                      struct cached_chunk *slot, struct pst_damage *damage)
{
    struct pst_sealed *sealed = NULL;
    int error = pst_opener_use(&cache->reader.opener, part, &sealed);
    if (!error)
        error = pst_index_open(sealed, slot->chunk.buffer, damage);
    return error ? error : pst_index_read(slot->chunk.buffer, &slot->view, damage);
}

int chunk_cache_index(struct chunk_cache *cache, const struct pst_part_map *part,
                      const struct pst_part_link *link, struct pst_findings *findings,
                      const struct pst_index_view **view)
{
    const struct pst_index_link *at = &link->link;
    struct cached_chunk *slot = choose_slot(cache, part, at->file_offset);
    struct pst_damage damage = {.what = "index"};
    if (!slot->part) {
        int got = read_slot(cache, part, at->file_offset, at->file_bytes, findings, slot);
        if (got < 0)
            return got;
        int error =
            pst_index_check_link(at, slot->chunk.buffer, (uint64_t)got, &part->identity, &damage);
        if (!error)
            error = open_index(cache, part, slot, &damage);
        if (error)
            return damaged(findings, part, at->file_offset, &damage, error);
        slot->part = part;
        slot->file_offset = at->file_offset;
    }
    *view = &slot->view;
    return 0;
}

/* ---- headers ---- */

static void note_header(struct pst_io_op *op, int result)
{
    struct cached_header *header = PST_IO_OP_OF(op, struct cached_header, op);
    header->result = result;
    header->is_done = true;
}

static void read_headers(struct chunk_cache *cache, const struct pst_part_map *part,
                         const struct pst_index_entry *entries, uint32_t count,
                         struct pst_file *file)
{
    for (uint32_t i = 0; i < count; i++) {
        cache->reads[i] = (struct cached_header){.op = {.done = note_header}};
        pst_io_read(cache->reader.ring, &cache->reads[i].op, file,
                    cache->headers + i * PST_CHUNK_HEADER_BYTES, PST_CHUNK_HEADER_BYTES,
                    entries[i].file_offset, -1);
    }
    for (uint32_t i = 0; i < count; i++) {
        while (!cache->reads[i].is_done)
            pst_reader_wait(&cache->reader, part->file.text);
    }
    cache->read_bytes += (uint64_t)count * PST_CHUNK_HEADER_BYTES;
}

/* *header: of the i-th that was read, opened. */
static int open_header(struct chunk_cache *cache, const struct pst_part_map *part,
                       const struct pst_index_entry *entry, uint32_t i,
                       const struct pst_chunk_header **header, struct pst_damage *damage)
{
    const void *block = cache->headers + i * PST_CHUNK_HEADER_BYTES;
    struct pst_sealed *sealed = NULL;
    *header = pst_chunk_header_of(block);
    *damage = (struct pst_damage){.bytes = PST_CHUNK_HEADER_BYTES, .what = "read error"};
    if (cache->reads[i].result < 0)
        return cache->reads[i].result;
    int error = pst_index_check_header(entry, block, (uint64_t)cache->reads[i].result,
                                       &part->identity, damage);
    if (!error)
        error = pst_opener_use(&cache->reader.opener, part, &sealed);
    if (error || !sealed)
        return error;
    *header = cache->opened;
    return pst_chunk_open_header(sealed, block, cache->opened, damage);
}

int chunk_cache_headers(struct chunk_cache *cache, const struct pst_part_map *part,
                        const struct pst_index_entry *entries, uint32_t count,
                        struct pst_findings *findings,
                        int (*take)(void *context, const struct pst_part_map *part,
                                    const struct pst_index_entry *entry,
                                    const struct pst_chunk_header *header),
                        void *context)
{
    struct pst_file *file;
    int error = open_part(cache, part, findings, &file);
    for (uint32_t i = 0; !error && i < count; i++) {
        uint32_t at = i % CHUNK_CACHE_DEPTH, left = count - i;
        const struct pst_chunk_header *header;
        struct pst_damage damage;
        if (at == 0)
            read_headers(cache, part, entries + i,
                         left < CHUNK_CACHE_DEPTH ? left : CHUNK_CACHE_DEPTH, file);
        error = open_header(cache, part, &entries[i], at, &header, &damage);
        error = error ? damaged(findings, part, entries[i].file_offset, &damage, error)
                      : take(context, part, &entries[i], header);
    }
    return error;
}
