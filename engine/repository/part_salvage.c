/*
 * Finds the chunks of a part whose trailer or index is damaged, or whose end is missing: one behind
 * the other, by their headers, each of which says whose it is and where it belongs. Called by
 * part_map.c on a restore's thread.
 */
#include "engine/repository/part_salvage.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/base/own_error.h"
#include "engine/repository/part_tail.h"

struct salvage {
    struct pst_part_map *part;
    struct pst_reader *reader;
    struct pst_file *file;
    void *buffer;
    struct pst_findings *findings;
    uint64_t offset;
    uint64_t number;    /* of the chunk that comes next */
    uint64_t gap_began; /* where the header should be that was not found; 0: none is missing */
    bool is_all;        /* no number is missing so far */
};

static bool fits(const struct pst_part_map *part, const struct pst_chunk_header *header)
{
    return header->stored_bytes <= part->chunk_bytes && header->raw_bytes <= part->chunk_bytes;
}

/* Whether a header that is whole begins at the offset: 1, 0, or an error of our own. */
static int look(struct salvage *salvage)
{
    struct pst_damage damage;
    const struct pst_chunk_header *header = pst_chunk_header_of(salvage->buffer);
    int got = pst_reader_read(salvage->reader, salvage->file, salvage->buffer,
                              PST_CHUNK_HEADER_BYTES, salvage->offset);
    if (got < 0)
        return pst_is_own_error(got) ? got : 0;
    return got == PST_CHUNK_HEADER_BYTES && header->head.chunk >= salvage->number &&
           fits(salvage->part, header) &&
           pst_chunk_check_header(header, PST_CHUNK_HEADER_BYTES, &salvage->part->identity,
                                  header->head.chunk, salvage->offset, &damage) == 0;
}

/* As an index would name it, but that it may have any object. */
static int add(struct pst_part_map *part, const struct pst_chunk_header *header)
{
    if ((part->salvaged_count & (part->salvaged_count - 1)) == 0) {
        size_t room = part->salvaged_count ? 2 * (size_t)part->salvaged_count : 1;
        struct pst_index_entry *entries = realloc(part->salvaged, room * sizeof(*entries));
        if (!entries)
            return -ENOMEM;
        part->salvaged = entries;
    }
    struct pst_index_entry *entry = &part->salvaged[part->salvaged_count++];
    pst_index_entry_fill(entry, header);
    entry->object_last = UINT64_MAX;
    return 0;
}

static void end_gap(struct salvage *salvage)
{
    if (!salvage->gap_began)
        return;
    const struct pst_damage damage = {
        .bytes = salvage->offset - salvage->gap_began,
        .what = "no chunk that could be found again",
    };
    uint64_t began = salvage->gap_began;
    const struct pst_file_name file = pst_backup_part_file(salvage->part, &began);
    pst_findings_add_damage(salvage->findings, &file, began, &damage, -PST_E_CORRUPT);
    salvage->gap_began = 0;
}

static int take(struct salvage *salvage)
{
    const struct pst_chunk_header *header = pst_chunk_header_of(salvage->buffer);
    end_gap(salvage);
    salvage->is_all &= header->head.chunk == salvage->number;
    salvage->number = header->head.chunk + 1;
    salvage->offset += pst_chunk_file_bytes(header->stored_bytes);
    return header->type == PST_CHUNK_INDEX ? 0 : add(salvage->part, header);
}

/* Past a block that no chunk is found in; where the damaged INDEX chunk lies, past all of that. */
static void skip(struct salvage *salvage, const struct pst_index_link *damaged)
{
    bool is_damaged = salvage->offset == damaged->file_offset && !salvage->gap_began &&
                      salvage->number == damaged->chunk && damaged->file_bytes > 0;
    if (is_damaged)
        salvage->number++;
    else if (!salvage->gap_began)
        salvage->gap_began = salvage->offset;
    salvage->offset += is_damaged ? damaged->file_bytes : PST_BLOCK_BYTES;
}

int part_salvage(struct pst_part_map *part, struct pst_reader *reader, struct pst_file *file,
                 const struct pst_index_link *damaged, void *buffer, struct pst_findings *findings)
{
    struct salvage salvage = {
        .part = part,
        .reader = reader,
        .file = file,
        .buffer = buffer,
        .findings = findings,
        .offset = PST_BLOCK_BYTES,
        .is_all = true,
    };
    uint64_t wanted = part->file_bytes - PST_BLOCK_BYTES;
    uint64_t end = file->size_bytes < wanted ? file->size_bytes : wanted;
    int error = 0;
    while (!error && salvage.offset < end) {
        int found = look(&salvage);
        if (found > 0)
            error = take(&salvage);
        else if (found < 0)
            error = found;
        else
            skip(&salvage, damaged);
    }
    end_gap(&salvage);
    part->is_mapped =
        salvage.is_all && salvage.offset == wanted && salvage.number == part->sums.chunks;
    return error;
}
