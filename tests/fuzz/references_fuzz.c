/* A payload of references: what is read lies in it, ascends, and names an origin. */
#include <stdlib.h>

#include "engine/format/references.h"
#include "tests/fuzz/fuzz.h"

static void check_records(const struct pst_references_view *view)
{
    for (uint32_t i = 0; i < view->records_count; i++) {
        const struct pst_reference *record = &view->records[i];
        if (record->bytes == 0 || view->origins[record->origin].number == 0)
            abort();
        if (i > 0 && record[-1].object >= record->object &&
            record[-1].object_offset + record[-1].bytes > record->object_offset)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = fuzz_copy(data, size);
    struct pst_references_view view;
    struct pst_damage damage;
    if (pst_references_read(copy, (uint32_t)size, &view, &damage) == 0)
        check_records(&view);
    else if (damage.offset + damage.bytes > PST_CHUNK_HEADER_BYTES + size)
        abort();
    free(copy);
    return 0;
}
