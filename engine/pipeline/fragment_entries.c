/* Looks through the catalogue entries of a fragment. Called by fragment_scan.c, on the LDM's
 * thread.
 */
#include "engine/pipeline/fragment_entries.h"

#include "engine/format/object.h"

int entries_that_fit(const struct pst_fragment_descriptor *fragment, size_t from, size_t room,
                     size_t *bytes)
{
    *bytes = fragment->entries_bytes - from;
    if (*bytes <= room)
        return 0;
    for (size_t fit = from, next = from;; fit = next) {
        struct pst_object object;
        *bytes = fit - from;
        int error = pst_object_decode(fragment->data, fragment->entries_bytes, &next, &object);
        if (error || next - from > room)
            return error;
    }
}

uint64_t entries_of(const struct pst_fragment_descriptor *fragment, uint64_t object)
{
    struct pst_object entry;
    uint64_t count = 0;
    size_t offset = 0;
    while (offset < fragment->entries_bytes &&
           !pst_object_decode(fragment->data, fragment->entries_bytes, &offset, &entry))
        count += pst_object_is_name_of(&entry, object);
    return count > 0 ? count : 1;
}
