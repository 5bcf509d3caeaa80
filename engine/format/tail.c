/* The header of a tail. Called by engine/repository, where a part that was cut off is gathered, and
 * by readers of parts, on any thread. */
#include "engine/format/tail.h"

#include <string.h>

#include "engine/format/block.h"

#define MARK (PST_FORMAT_SEALED | PST_FORMAT_TAILS)

void pst_tail_begin(struct pst_tail_header *header, const struct pst_part_identity *identity,
                    uint64_t chunk, uint64_t file_offset)
{
    memset(header, 0, sizeof(*header));
    header->head.identity = *identity;
    header->head.chunk = chunk;
    header->file_offset = file_offset;
}

void pst_tail_seal(struct pst_tail_header *header)
{
    const struct pst_part_identity identity = header->head.identity;
    format_block_seal(header, PST_MAGIC_TAIL, &identity, header->head.chunk);
    (void)format_part_header_mark(header, MARK);
}

static void restore(void *block, const void *context)
{
    (void)context;
    struct pst_tail_header *header = block;
    header->head.incompatible = MARK;
    memset(header->reserved, 0, sizeof(header->reserved));
}

int pst_tail_check(const void *block, uint64_t bytes, const struct pst_part_identity *identity,
                   struct pst_damage *damage)
{
    const struct pst_block_expected expected = {
        .magic = PST_MAGIC_TAIL, .what = "tail header", .identity = identity, .restore = restore};
    const struct pst_tail_header *header = block;
    int error = format_block_check(block, bytes, &expected, damage);
    if (error)
        return error;
    if (header->file_offset < PST_BLOCK_BYTES || header->file_offset % PST_BLOCK_BYTES != 0)
        return DAMAGED_FIELD(damage, struct pst_tail_header, file_offset, "place of the tail",
                             -PST_E_CORRUPT);
    return 0;
}
