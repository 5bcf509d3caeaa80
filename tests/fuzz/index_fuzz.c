/* An INDEX chunk whose checksums are right but whose contents need not be. */
#include <stdlib.h>

#include "engine/format/index.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < PST_BLOCK_BYTES)
        return 0;
    uint8_t *copy = fuzz_copy(data, size);
    fuzz_fix_block(copy, size);
    const struct pst_chunk_header *header = pst_chunk_header_of(copy);
    const struct pst_part_identity identity = header->head.identity;
    struct pst_index_view view;
    struct pst_damage damage;
    if (pst_chunk_check(copy, size, &identity, header->head.chunk, header->file_offset, &damage) ==
            0 &&
        pst_index_read(copy, &view, &damage) == 0) {
        for (uint32_t i = 0; i < view.entries_count; i++)
            (void)!pst_index_check_chunk(&view.entries[i], copy, size, &identity, &damage);
        (void)!pst_index_check_link(&view.head->previous, copy, size, &identity, &damage);
    }
    free(copy);
    return 0;
}
